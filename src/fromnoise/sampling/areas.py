"""Rectangles of latents, and the parts of other tensors that lie over them."""

from dataclasses import dataclass, replace

from torch import Tensor

SMALLEST = 8  # side of the area around a mask


@dataclass(frozen=True)
class Area:
    """A rectangle of latents; what lies outside the picture is cut off."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def shares(cls, top: float, left: float, height: float, width: float, of: tuple[int, int]) -> "Area":
        """From shares of the picture's height and width, `of` latents."""
        down, across = of
        return cls(round(top * down), round(left * across), max(1, round(height * down)), max(1, round(width * across)))

    @classmethod
    def around(cls, mask: Tensor) -> "Area":
        """The smallest one around all of `mask` (1 1 h w) that is not 0, at least 8 x 8; an empty mask's is at 0."""
        rows, columns = mask[0, 0].abs().nonzero().unbind(1)
        if len(rows) == 0:
            return cls(0, 0, SMALLEST, SMALLEST)
        top, left = int(rows.min()), int(columns.min())
        return cls(top, left, max(SMALLEST, int(rows.max()) - top + 1), max(SMALLEST, int(columns.max()) - left + 1))

    def of(self, x: Tensor) -> Tensor:
        """That part of x (1 c h w)."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def inside(self, of: tuple[int, int]) -> "Area":
        """What of it lies inside a picture of that height and width."""
        return replace(
            self, height=max(0, min(self.height, of[0] - self.top)), width=max(0, min(self.width, of[1] - self.left))
        )

    def holds(self, other: "Area") -> bool:
        """Whether `other` lies within."""
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.top + self.height >= other.top + other.height
            and self.left + self.width >= other.left + other.width
        )


@dataclass(frozen=True)
class Place:
    """The part of a picture that a question is about."""

    area: Area  # inside the picture
    of: tuple[int, int]  # height and width of the picture in latents

    def part(self, tensor: Tensor) -> Tensor:
        """What of a tensor over the whole picture lies there."""
        return cut(tensor, self.area, self.of)

    def within(self, area: Area) -> "Place":
        """A part of the part."""
        return replace(self, area=replace(area, top=self.area.top + area.top, left=self.area.left + area.left))


def cut(tensor: Tensor, area: Area, of: tuple[int, int]) -> Tensor:
    """The part over `area` of a tensor (b c h w) of any size that lies over the whole picture. Areas of one size get
    parts of one size, halves rounded up as the layers of a U-Net do.
    """
    rows, columns = (
        stretch(start, length, side, whole)
        for start, length, side, whole in zip(
            (area.top, area.left), (area.height, area.width), tensor.shape[-2:], of, strict=True
        )
    )
    return tensor[..., rows, columns]


def stretch(start: int, length: int, side: int, whole: int) -> slice:
    """What `length` of `whole` from `start` on is of `side`."""
    count = min(side, -(-length * side // whole))
    first = min(round(start * side / whole), side - count)
    return slice(first, first + count)
