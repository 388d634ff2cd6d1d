"""What is wrong with a folder of pictures: broken files, pictures too small, pictures that are there twice.

Pictures count as the same where their difference hashes differ in few bits: of a picture shrunk to 9x8 greys, whether
each is brighter than its right neighbour (Krawetz, 2013, "Kind of Like That").
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fromnoise.engine.images import open_image, write_whole
from fromnoise.errors import FileError
from fromnoise.train.data.source import Subset, caption_of, pictures_in

BITS = 64


@dataclass(frozen=True)
class Findings:
    """What was found, in the order of names."""

    count: int  # pictures looked at
    broken: tuple[tuple[Path, str], ...]  # with the reason
    small: tuple[tuple[Path, tuple[int, int]], ...]  # with width and height
    same: tuple[tuple[Path, ...], ...]  # groups, the largest picture first

    @property
    def spare(self) -> list[Path]:
        """What can go: everything but the largest picture of each group."""
        doubles = [path for group in self.same for path in group[1:]]
        return [*(path for path, _ in self.broken), *(path for path, _ in self.small), *doubles]


def examine(folder: Path, *, smallest: int = 256, bits: int = 3) -> Findings:
    """Look at every picture of a folder. `smallest`: pixels of the shorter side; `bits`: that may differ, of 64."""
    hashes: dict[Path, int] = {}
    sizes: dict[Path, int] = {}
    broken, small, count = [], [], 0
    for path in pictures_in(folder):
        count += 1
        try:
            picture = open_image(path)
        except FileError as error:
            broken.append((path, str(error)))
            continue
        if min(picture.size) < smallest:
            small.append((path, picture.size))
            continue
        hashes[path], sizes[path] = difference_hash(picture), picture.width * picture.height
    return Findings(count, tuple(broken), tuple(small), tuple(alike(hashes, sizes, bits)))


def difference_hash(picture: Image.Image) -> int:
    """64 bits that hardly change when a picture is resized or saved anew."""
    grey = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes(), "big")


def alike(hashes: dict[Path, int], sizes: dict[Path, int], bits: int) -> Iterable[tuple[Path, ...]]:
    """Groups of pictures whose hashes differ in at most `bits` from the first of the group."""
    left = sorted(hashes, key=lambda path: (-sizes[path], path))
    values = np.array([hashes[path] for path in left], np.uint64)
    free = np.ones(len(left), bool)
    for index, path in enumerate(left):
        if not free[index]:
            continue
        near = free & (np.bitwise_count(values ^ values[index]) <= bits)
        near[: index + 1] = False
        free[near] = False
        if near.any():
            yield (path, *(left[other] for other in np.flatnonzero(near)))


def tag_counts(folder: Path, separator: str = ",") -> Counter[str]:
    """How many captions of a folder have each tag."""
    counts: Counter[str] = Counter()
    for path in pictures_in(folder):
        caption = caption_of(path, Subset()) or ""
        counts.update({tag.strip() for tag in caption.split(separator) if tag.strip()})
    return counts


def replace_tags(folder: Path, changes: dict[str, str], *, separator: str = ",", extension: str = ".txt") -> int:
    """Put other tags in place of some in every caption, or with "" take them out; how many captions changed."""
    changed = 0
    for path in pictures_in(folder):
        caption = caption_of(path, Subset(caption_extension=extension))
        if caption is None:
            continue
        words = [tag.strip() for tag in caption.split(separator)]
        wanted = dict.fromkeys(new for tag in words if (new := changes.get(tag, tag)))
        text = f"{separator} ".join(wanted)
        if text != caption:
            write_caption(path, text, extension)
            changed += 1
    return changed


def write_caption(picture: Path, caption: str, extension: str = ".txt") -> None:
    """The caption beside a picture, whole or not at all."""
    write_whole(picture.with_suffix(extension), f"{caption}\n".encode())


def merged(old: str | None, new: str, separator: str = ", ") -> str:
    """Both captions, without tags that are there twice."""
    parts: Sequence[str] = [*(old or "").split(separator.strip()), *new.split(separator.strip())]
    return separator.join(dict.fromkeys(part.strip() for part in parts if part.strip()))
