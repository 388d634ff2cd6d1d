"""What is wrong with a folder of pictures: broken files, pictures too small, pictures that are there twice.

Pictures count as the same where their difference hashes differ in few bits: of a picture shrunk to 9x8 greys, whether
each is brighter than its right neighbour (Krawetz, 2013, "Kind of Like That").
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fromnoise.engine.picture_io import open_image
from fromnoise.errors import FileError

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


def unheard(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


def examine(
    pictures: Sequence[Path], *, smallest: int = 256, bits: int = 3, report: Callable[[int, int], None] = unheard
) -> Findings:
    """Look at every picture. `smallest`: pixels of the shorter side; `bits`: that may differ, of 64.

    `report` is told how many were looked at, of how many.
    """
    hashes: dict[Path, int] = {}
    sizes: dict[Path, int] = {}
    broken, small = [], []
    for done, path in enumerate(pictures):
        report(done, len(pictures))
        try:
            picture = open_image(path)
        except FileError as error:
            broken.append((path, str(error)))
            continue
        if min(picture.size) < smallest:
            small.append((path, picture.size))
            continue
        hashes[path], sizes[path] = difference_hash(picture), picture.width * picture.height
    return Findings(len(pictures), tuple(broken), tuple(small), tuple(alike(hashes, sizes, bits)))


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
