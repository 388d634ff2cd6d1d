"""Inner sizes and learning rates of a LoRA by the U-Net's blocks, as kohya counts and names them.

SD 1.x and 2.x have 12 blocks on the way down, the middle as one, and 12 on the way up. SDXL has 23: what stands before
all, 9 down, the middle's 3, 9 up, and the last layer.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fromnoise.engine.library import Model
from fromnoise.errors import UserError

N = TypeVar("N", int, float)
CURVES: dict[str, Callable[[float], float]] = {  # place from 0 to 1 -> factor
    "cosine": lambda place: math.sin(math.pi / 2 * (1 - place)),
    "sine": lambda place: math.sin(math.pi / 2 * place),
    "linear": lambda place: place,
    "reverse_linear": lambda place: 1 - place,
    "zeros": lambda place: 0.0,
}


def listed(kind: type[N]) -> Callable[[object], object]:
    """A reader of numbers with commas between them."""

    def read(value: object) -> object:
        try:
            return tuple(kind(part) for part in value.split(",")) if isinstance(value, str) else value
        except ValueError:
            raise ValueError(f"{value!r} is no list of numbers such as 4,8,8") from None

    return read


def weighted(value: object) -> object:
    """Numbers with commas between them, of which those left out are 0; or a curve, as name or name+least."""
    if not isinstance(value, str):
        return value
    name, plus, least = value.partition("+")
    try:
        if name in CURVES:
            return Curve(name=name, least=float(least) if plus else 0.0)
        return tuple(float(part) if part.strip() else 0.0 for part in value.split(","))
    except ValueError:
        raise ValueError(f"{value!r} is neither numbers such as 0,0.5,1 nor one of {', '.join(CURVES)}") from None


class Curve(BaseModel):
    """Factors that rise or fall from block to block."""

    model_config = ConfigDict(frozen=True)

    name: str
    least: float = Field(default=0.0, description="Added to each.")

    def factors(self, count: int) -> tuple[float, ...]:
        curve = CURVES[self.name]
        return tuple(curve(index / max(1, count - 1)) + self.least for index in range(count))

    def __str__(self) -> str:
        return f"{self.name}+{self.least:g}" if self.least else self.name


Sizes = Annotated[tuple[Annotated[int, Field(ge=0, le=1024)], ...], BeforeValidator(listed(int))]
Numbers = tuple[Annotated[float, Field(ge=0)], ...]
Strengths = Annotated[Numbers, BeforeValidator(listed(float))]
Factors = Annotated[Curve | Numbers, BeforeValidator(weighted)]
Middle = Annotated[Numbers, BeforeValidator(weighted)]


class BlockOptions(BaseModel):
    """What is said of blocks, by kohya's names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_dims: Sizes | None = Field(default=None, description="Inner sizes; 0: the block is left out.")
    block_alphas: Strengths | None = Field(default=None, description="Strengths, times the inner sizes; 0: as much.")
    conv_block_dims: Sizes | None = Field(default=None, description="Inner sizes in 3x3 convolutions.")
    conv_block_alphas: Strengths | None = Field(default=None, description="Strengths there.")
    down_lr_weight: Factors | None = Field(default=None, description="Factors of the learning rate on the way down.")
    mid_lr_weight: Middle | None = Field(default=None, description="The middle's.")
    up_lr_weight: Factors | None = Field(default=None, description="Those on the way up.")
    block_lr_zero_threshold: float = Field(default=0.0, ge=0, description="What is not above it is 0.")

    @property
    def sized(self) -> bool:
        """Whether anything is said of inner sizes."""
        return any((self.block_dims, self.block_alphas, self.conv_block_dims, self.conv_block_alphas))

    def told(self) -> dict[str, str]:
        """As `ss_network_args` has them."""
        return {
            name: ",".join(f"{number:g}" for number in value) if isinstance(value, tuple) else str(value)
            for name, value in ((name, getattr(self, name)) for name in type(self).model_fields)
            if value is not None and value != type(self).model_fields[name].default
        }


@dataclass(frozen=True)
class Layout:
    """How many blocks a U-Net has."""

    down: int
    middle: int
    up: int
    framed: bool  # whether what stands before and behind them is counted, too, and the middle by its parts

    @classmethod
    def of(cls, model: Model) -> Self:
        framed, unet = model.facts.family.startswith("sdxl"), model.unet
        return cls(len(unet.input_blocks), 3 if framed else 1, len(unet.output_blocks), framed)

    @property
    def count(self) -> int:
        return self.down + self.middle + self.up + 2 * self.framed

    def block(self, layer: str) -> int | None:
        """The number of the block that has the layer, by its name in the original files; None outside of all."""
        name, _, rest = layer.partition(".")
        number = int(rest.split(".")[0]) if rest[:1].isdigit() else 0
        if name == "input_blocks":
            return self.framed + number
        if name == "middle_block":
            return self.framed + self.down + (number if self.framed else 0)
        if name == "output_blocks":
            return self.framed + self.down + self.middle + number
        if not self.framed:
            return None
        return self.count - 1 if name == "out" else 0

    def said(self) -> str:
        return f"{self.down} down, {self.middle} in the middle, {self.up} up" + (
            ", one before, one after" * self.framed
        )


@dataclass(frozen=True)
class Size:
    """What a block's layers are given."""

    rank: int
    alpha: float
    conv_rank: int
    conv_alpha: float


class Blocks:
    """The size and the factor of the learning rate of each block. UserError where there are not as many."""

    def __init__(self, options: BlockOptions, layout: Layout, plain: Size) -> None:
        def all_of(field: str, value: tuple[N, ...] | None, otherwise: N) -> tuple[N, ...]:
            if value is not None and len(value) != layout.count:
                raise UserError(
                    f"network_args: {field} has {len(value)} numbers, and there are {layout.count} blocks "
                    f"({layout.said()}); give one for each"
                )
            return value or (otherwise,) * layout.count

        self.layout, self.plain = layout, plain
        self.factors = rates(options, layout)
        self.sizes = tuple(
            Size(rank, alpha or rank, conv_rank, conv_alpha or conv_rank)
            for rank, alpha, conv_rank, conv_alpha in zip(
                all_of("block_dims", options.block_dims, plain.rank),
                all_of("block_alphas", options.block_alphas, plain.alpha),
                all_of("conv_block_dims", options.conv_block_dims, plain.conv_rank),
                all_of("conv_block_alphas", options.conv_block_alphas, plain.conv_alpha),
                strict=True,
            )
        )

    @property
    def convolutions(self) -> bool:
        """Whether any block's 3x3 convolutions are trained."""
        return any(size.conv_rank for size in self.sizes)

    def factor(self, layer: str) -> float:
        """Of the learning rate of a layer."""
        block = self.layout.block(layer)
        return 1.0 if block is None else self.factors[block]

    def size(self, layer: str, *, wide: bool) -> Size | None:
        """Of a layer, which is `wide` where it is a convolution of more than a pixel; None: it is left out."""
        block = self.layout.block(layer)
        size = self.plain if block is None else self.sizes[block]
        return size if (size.conv_rank if wide else size.rank) and self.factor(layer) else None


def rates(options: BlockOptions, layout: Layout) -> tuple[float, ...]:
    """The factor of each block's learning rate."""
    parts = ((options.down_lr_weight, layout.down, "down_lr_weight"), (options.mid_lr_weight, layout.middle,
             "mid_lr_weight"), (options.up_lr_weight, layout.up, "up_lr_weight"))  # fmt: skip
    found = [factor for value, count, field in parts for factor in spread(value, count, field)]
    kept = [factor if factor > options.block_lr_zero_threshold else 0.0 for factor in found]
    return (1.0, *kept, 1.0) if layout.framed else tuple(kept)


def spread(value: Curve | Numbers | None, count: int, field: str) -> tuple[float, ...]:
    """As many factors as there are blocks; what is missing is 1, and what is too much is left out, both with a word."""
    if value is None:
        return (1.0,) * count
    factors = value.factors(count) if isinstance(value, Curve) else value
    if len(factors) != count:
        missing = "%s has %s numbers for %s blocks; those that are missing are 1."
        more = "%s has %s numbers for %s blocks; the others are left out."
        logging.getLogger(__name__).warning(missing if len(factors) < count else more, field, len(factors), count)
    return (*factors, *(1.0,) * (count - len(factors)))[:count]
