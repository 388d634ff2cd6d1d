"""Aspect-ratio buckets: pictures of about the same shape are made the same size, so that they can share a batch.

The sizes and the choice among them are kohya sd-scripts' (`bucket_reso_steps` and its relatives), so that a data set
falls into the same buckets here as there. Lengths are pixels, sizes (width, height).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fromnoise.errors import UserError

Size = tuple[int, int]


@dataclass(frozen=True)
class Fit:
    """How a picture becomes as large as its bucket: resized so that it covers it, then cut."""

    bucket: Size
    resized: Size

    @property
    def spare(self) -> Size:
        """What is cut off in all, across and down."""
        return self.resized[0] - self.bucket[0], self.resized[1] - self.bucket[1]


@dataclass(frozen=True)
class BucketRules:
    """Which buckets there are. UserError where none can be."""

    resolution: Size = (512, 512)  # its area bounds that of every bucket
    enabled: bool = True  # without buckets every picture is made `resolution`
    smallest: int = 256  # shortest side
    largest: int = 1024  # longest side
    step: int = 64  # all sides are multiples of it
    upscale: bool = True  # whether a small picture may be enlarged to fill a bucket

    def __post_init__(self) -> None:
        if self.step < 1 or self.step % 8:
            raise UserError(f"bucket_reso_steps {self.step}: the sides of pictures are multiples of 8")
        if self.smallest > self.largest:
            raise UserError(f"min_bucket_reso {self.smallest} is above max_bucket_reso {self.largest}")
        if self.enabled and min(self.resolution) < self.smallest:
            raise UserError(f"min_bucket_reso {self.smallest} is above the resolution {min(self.resolution)}; lower it")
        if self.enabled and max(self.resolution) > self.largest:
            raise UserError(f"max_bucket_reso {self.largest} is below the resolution {max(self.resolution)}; raise it")

    @cached_property
    def buckets(self) -> tuple[Size, ...]:
        """All of them in order; with `upscale` off they are made as pictures need them."""
        if not self.enabled:
            return (self.resolution,)
        across, down = self.resolution
        return bucket_sizes(across * down, self.smallest, self.largest, self.step)

    def fit(self, size: Size) -> Fit:
        """Where a picture of this size belongs."""
        if not self.enabled:
            return Fit(self.resolution, covering(size, self.resolution))
        if not self.upscale:
            return self._unenlarged(size)
        bucket = size if size in self.buckets else closest(size, self.buckets)
        return Fit(bucket, covering(size, bucket))

    def _unenlarged(self, size: Size) -> Fit:
        """Only shrunk, to the area of `resolution`, and cut to whole steps."""
        across, down = self.resolution
        resized = shrunk(size, across * down, self.step)
        bucket = resized[0] // self.step * self.step, resized[1] // self.step * self.step
        if min(bucket) == 0:
            raise UserError(
                f"a picture of {size[0]}x{size[1]} is smaller than one step of {self.step}; leave out bucket_no_upscale"
            )
        return Fit(bucket, resized)


def bucket_sizes(area: int, smallest: int, largest: int, step: int) -> tuple[Size, ...]:
    """The sizes of at most `area` pixels whose sides are multiples of `step`, one for each length of a side."""
    side = int(math.sqrt(area)) // step * step
    found = {(side, side)}
    for width in range(smallest, largest + 1, step):
        height = min(largest, area // width // step * step)
        if height >= smallest:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found))


def closest(size: Size, buckets: Sequence[Size]) -> Size:
    """The bucket whose ratio of width to height differs least."""
    ratio = size[0] / size[1]
    return min(buckets, key=lambda bucket: abs(bucket[0] / bucket[1] - ratio))


def covering(size: Size, bucket: Size) -> Size:
    """`size` in its proportions, just as large as `bucket` along one side and no smaller along the other."""
    if size[0] / size[1] > bucket[0] / bucket[1]:
        return int(size[0] * bucket[1] / size[1] + 0.5), bucket[1]
    return bucket[0], int(size[1] * bucket[0] / size[0] + 0.5)


def shrunk(size: Size, area: int, step: int) -> Size:
    """`size` where it has at most `area` pixels; else that area with one side a whole number of steps.

    Which side is the one after which the other comes closer to the picture's proportions.
    """
    if size[0] * size[1] <= area:
        return size
    ratio = size[0] / size[1]
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    across, down = whole(width, step), whole(height, step)
    if across == 0 or down == 0:
        return max(1, int(width)), max(1, int(height))
    by_width = abs(across / max(whole(across / ratio, step), 1) - ratio)
    by_height = abs(whole(down * ratio, step) / down - ratio)
    if by_width < by_height:
        return across, int(across / ratio + 0.5)
    return int(down * ratio + 0.5), down


def whole(length: float, step: int) -> int:
    """The length, rounded, down to whole steps."""
    return int(length + 0.5) // step * step
