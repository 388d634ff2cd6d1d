"""Pictures cut to what a model learns from: split, cut about what draws the eye, or to a size that suits, mirrored.

for name, part in cut(image, Cut(split=True, flips=("horizontal",))): ...

What is done and its order are those of AUTOMATIC1111's tab "Extras" (split oversized images, auto focal point crop,
auto-sized crop, create flipped copies).
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fromnoise.engine.recipe_cut import Cut, Flip

LOOKED_AT = 256  # pixels of the longer side of what is looked at for what draws the eye
CORNERS = 100  # that count
STEPS = 16  # places of the window that is looked for
SNAP = 64  # pixels
LANCZOS = Image.Resampling.LANCZOS
MIRRORED: dict[Flip, Image.Transpose] = {
    "horizontal": Image.Transpose.FLIP_LEFT_RIGHT,
    "vertical": Image.Transpose.FLIP_TOP_BOTTOM,
    "both": Image.Transpose.ROTATE_180,  # which is one after the other
}


def cut(image: Image.Image, wanted: Cut) -> Iterator[tuple[str, Image.Image]]:
    """What becomes of a picture: parts with endings of their names, such as "-2" or "-2-horizontal"; one at least."""
    parts = split(image, wanted) if wanted.split else [image]
    for number, part in enumerate(parts, 1):
        name = f"-{number}" if len(parts) > 1 else ""
        if wanted.focal:
            part = about_the_eye(part, wanted)
        if wanted.fit and (size := suiting(part.size, wanted)) is not None:
            part = ImageOps.fit(part, size, LANCZOS)
        yield name, part
        for flip in dict.fromkeys(wanted.flips):
            yield f"{name}-{flip}", part.transpose(MIRRORED[flip])


def split(image: Image.Image, wanted: Cut) -> list[Image.Image]:
    """Parts of a picture that is longer than the size, along its longer side; else the picture itself."""
    upright = image.height > image.width
    across, down = (wanted.width, wanted.height) if upright else (wanted.height, wanted.width)
    short, long = sorted(image.size)
    ratio = short * down / (long * across)  # how much of its length one part sees
    if ratio >= 1 or ratio > wanted.threshold:
        return [image]
    whole = round(long * across / short)
    image = image.resize((across, whole) if upright else (whole, across), LANCZOS)
    count = max(2, math.ceil((whole - down * wanted.overlap) / (down * (1 - wanted.overlap))))
    starts = [round((whole - down) * index / (count - 1)) for index in range(count)]
    boxes = [(0, at, across, at + down) if upright else (at, 0, at + down, across) for at in starts]
    return [image.crop(box) for box in boxes]


def about_the_eye(image: Image.Image, wanted: Cut) -> Image.Image:
    """The size cut out of a picture, as much of it as fits, about what draws the eye."""
    scale = max(wanted.width / image.width, wanted.height / image.height)
    size = max(wanted.width, round(image.width * scale)), max(wanted.height, round(image.height * scale))
    x, y = eye(image, (wanted.width / size[0], wanted.height / size[1]), wanted)
    image = image.resize(size, LANCZOS)
    left = min(max(0, round(x * size[0] - wanted.width / 2)), size[0] - wanted.width)
    top = min(max(0, round(y * size[1] - wanted.height / 2)), size[1] - wanted.height)
    return image.crop((left, top, left + wanted.width, top + wanted.height))


def eye(image: Image.Image, window: tuple[float, float], wanted: Cut) -> tuple[float, float]:
    """Where it looks, from 0 to 1 of width and height; `window` is the share of these that is seen."""
    small = image.convert("L")
    small.thumbnail((LOOKED_AT, LOOKED_AT))
    grey = np.asarray(small, np.float32)
    points = [(wanted.edges, corners(grey)), (wanted.entropy, fullest(grey, window))]
    weighed = [(weight, point) for weight, point in points if weight and point is not None]
    total = sum(weight for weight, _ in weighed)
    if not total:
        return 0.5, 0.5
    x, y = (sum(weight * point[axis] for weight, point in weighed) / total for axis in (0, 1))
    return x, y


def corners(grey: NDArray[np.float32]) -> tuple[float, float] | None:
    """The middle of the sharpest corners (Shi, Tomasi, 1994, "Good features to track"); None where all is flat."""
    if min(grey.shape) < 3:
        return None
    down, across = (np.asarray(one, np.float32) for one in np.gradient(grey))
    xx, yy, xy = boxed(across * across), boxed(down * down), boxed(across * down)
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)  # the smaller eigenvalue
    if (best := float(least.max())) < 1:
        return None
    order = np.argsort(least, axis=None, kind="stable")[::-1][:CORNERS]
    rows, columns = np.unravel_index(order[least.ravel()[order] >= 0.01 * best], least.shape)
    return (float(columns.mean()) + 0.5) / grey.shape[1], (float(rows.mean()) + 0.5) / grey.shape[0]


def boxed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over 3x3 neighbours; edges are repeated."""
    wide = np.pad(values, 1, mode="edge")
    height, width = values.shape
    total = sum(wide[i : i + height, j : j + width] for i in range(3) for j in range(3))
    return np.asarray(total, np.float32)


def fullest(grey: NDArray[np.float32], window: tuple[float, float]) -> tuple[float, float] | None:
    """The middle of the window whose greys differ most (Shannon's entropy), along the side that it does not fill."""
    height, width = grey.shape
    seen = max(1, round(width * window[0])), max(1, round(height * window[1]))
    rests = width - seen[0], height - seen[1]
    along = 0 if rests[0] >= rests[1] else 1
    if rests[along] < 1:
        return None
    starts = sorted({round(rests[along] * step / STEPS) for step in range(STEPS + 1)})

    def entropy(at: int) -> float:
        part = grey[:, at : at + seen[0]] if along == 0 else grey[at : at + seen[1]]
        shares = np.bincount(part.astype(np.uint8).ravel() >> 2, minlength=64) / part.size
        return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())

    best = max(starts, key=lambda at: round(entropy(at), 6))
    middle = (best + seen[along] / 2) / grey.shape[1 - along]
    return (middle, 0.5) if along == 0 else (0.5, middle)


def suiting(size: tuple[int, int], wanted: Cut) -> tuple[int, int] | None:
    """Width and height, multiples of 64, for a picture of that size; None where none suits."""
    sides = range(math.ceil(wanted.shortest / SNAP) * SNAP, wanted.longest + 1, SNAP)
    proportions = size[0] / size[1]

    def off(width: int, height: int) -> float:
        times = proportions / (width / height)
        return 1 - min(times, 1 / times)

    found = [
        (width, height) for width in sides for height in sides
        if wanted.smallest <= width * height <= wanted.largest and off(width, height) <= wanted.error
    ]  # fmt: skip
    if not found:
        return None
    by_area = wanted.prefer == "area"

    def worth(one: tuple[int, int]) -> tuple[float, float]:
        area, nearness = float(one[0] * one[1]), -off(*one)
        return (area, nearness) if by_area else (nearness, area)

    return max(found, key=worth)
