"""Cuts around faces, whose places names of pictures tell as kohya's detect_face_rotate.py writes them.

girl_0123_512_300_180_200.png: a face in the middle of (512, 300), 180 wide and 200 high
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from fromnoise.train.data.buckets import Size

SEEN = 40  # pixels: a smaller face is not moved about


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of the file."""

    middle: Size
    size: Size


def face_of(path: Path) -> Face | None:
    """The face that a picture's name tells; None where it tells none."""
    words = path.stem.split("_")[-4:]
    if len(words) < 4 or "_" not in path.stem.removesuffix("_".join(words)) or not all(w.isdecimal() for w in words):
        return None
    across, down, width, height = map(int, words)
    return Face((across, down), (width, height)) if width and height else None


def around(
    face: Face, size: Size, bucket: Size, times: tuple[float, float], random: Random, *, anywhere: bool = False
) -> tuple[Size, Size]:
    """The size that a picture of `size` is made, and the corner of `bucket` in it, with the face in the middle.

    The bucket's shorter side is `times` as long as the face, a draw between two numbers, as far as the picture goes: it
    is not enlarged for that, and covers the bucket. With `anywhere` the face may be away from the middle.
    """
    covering = max(bucket[0] / size[0], bucket[1] / size[1])
    longest, side = max(face.size), min(bucket)
    nearest, farthest = (max(covering, min(1.0, side / (longest * t))) for t in times)
    scale = random.uniform(farthest, nearest)
    resized = max(bucket[0], round(size[0] * scale)), max(bucket[1], round(size[1] * scale))
    corner = []
    for whole, part, at in zip(resized, bucket, face.middle, strict=True):
        at = round(at * scale)
        start = at - part // 2
        if anywhere:
            reach = max(whole - at, at)
            start += random.randint(0, reach) + random.randint(0, reach) - reach
        elif times[0] != times[1] and longest * scale >= max(SEEN, side / 10):
            start += random.randint(-int(longest * scale / 20), int(longest * scale / 20))
        corner.append(max(0, min(start, whole - part)))
    return resized, (corner[0], corner[1])
