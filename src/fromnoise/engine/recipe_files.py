"""Which files a model is put together of: its checkpoint, and networks that are taken from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from fromnoise.engine.recipe_parts import Part

if TYPE_CHECKING:
    from fromnoise.engine.recipe import Recipe

MAX_ENCODERS = 4
MAX_NAME = 1000  # characters of a name or path


class WeightFile(Part):
    """A file of weights, or a folder that is one network, in place of what the checkpoint holds."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="Name on the shelves, or path.")]
    hash: str | None = Field(default=None, description="SHA-256, or its beginning; filled in when the picture is made.")


@dataclass(frozen=True)
class Weights:
    """The names of what a model is loaded from; equal where it is the same model."""

    model: str
    unet: str | None = None
    text_encoders: tuple[str, ...] = ()
    vae: str | None = None
    ema: bool = False  # the running averages that full training checkpoints carry
    variant: str | None = None  # of the weights of folders, such as fp16

    @classmethod
    def of(cls, recipe: "Recipe") -> Self:
        """Of the model that begins a picture; a refiner is its checkpoint alone."""
        return cls(
            recipe.model,
            recipe.unet.name if recipe.unet else None,
            tuple(one.name for one in recipe.text_encoders),
            recipe.vae.name if recipe.vae else None,
            recipe.ema,
            recipe.variant,
        )

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The names of the networks that are not the checkpoint's, in one order."""
        return tuple(name for name in (self.unet, *self.text_encoders, self.vae) if name is not None)


def named_files(recipe: "Recipe") -> Iterator[WeightFile]:
    """Those of a recipe, in the order of `Weights.elsewhere`."""
    yield from (one for one in (recipe.unet, *recipe.text_encoders, recipe.vae) if one is not None)
