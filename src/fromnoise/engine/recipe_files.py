"""Which files a model is put together of: its checkpoint, and networks that are taken from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from fromnoise.engine.recipe_parts import Part

if TYPE_CHECKING:
    from fromnoise.engine.recipe import Recipe

MAX_ENCODERS = 4
OWN = "none"  # as the name of a VAE: the checkpoint's own, though another lies beside it
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
    automatic: bool = True  # without `vae`, take the one that belongs to the checkpoint (`vae_pairing.py`)

    @classmethod
    def of(cls, recipe: "Recipe") -> Self:
        """Of the model that begins a picture; a refiner is its checkpoint alone.

        Recipes of finished pictures have the model's hash, and nothing about their files is left to be found.
        """
        return cls(
            recipe.model,
            recipe.unet.name if recipe.unet else None,
            tuple(one.name for one in recipe.text_encoders),
            recipe.vae.name if recipe.vae and recipe.vae.name != OWN else None,
            recipe.ema,
            recipe.variant,
            recipe.vae is None and recipe.model_hash is None,
        )

    @classmethod
    def others(cls, recipe: "Recipe") -> list[Self]:
        """Of the model that takes part besides: the refiner, or that of the second pass, which shares the autoencoder.

        None or one of them.
        """
        hires = recipe.hires
        if hires is not None and hires.model is not None:
            vae = recipe.vae.name if recipe.vae and recipe.vae.name != OWN else None
            return [cls(hires.model, vae=vae, automatic=recipe.vae is None and hires.model_hash is None)]
        return [cls(recipe.refiner.model)] if recipe.refiner else []

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The names of the networks that are not the checkpoint's, in one order."""
        return tuple(name for name in (self.unet, *self.text_encoders, self.vae) if name is not None)


def named_files(recipe: "Recipe") -> Iterator[WeightFile]:
    """Those of a recipe, in the order of `Weights.elsewhere`."""
    files = (recipe.unet, *recipe.text_encoders, recipe.vae)
    yield from (one for one in files if one is not None and one.name != OWN)
