"""The parts of a `Recipe` that most pictures do without, each frozen and documented like the recipe itself."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_SIDE = 16384  # pixels
MAX_SEED = 2**64 - 1
MAX_BATCH = 1024  # pictures that share one stream of noise

Side = Annotated[int, Field(ge=8, le=MAX_SIDE)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
Scale = Annotated[float, Field(ge=0, le=100)]
Text = Annotated[str, Field(max_length=100_000)]


def in_eights(side: int) -> int:
    """`side`, or a ValueError that names the sizes nearest to it."""
    if side % 8:
        below, above = side // 8 * 8, side // 8 * 8 + 8
        raise ValueError(f"{side} is not a multiple of 8; the nearest sizes are {below} and {above}")
    return side


class Part(BaseModel):
    """What all parts have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Variation(Part):
    """A second seed, whose noise is mixed into that of the first."""

    seed: Seed = Field(default=0, description="Chooses the noise that is mixed in.")
    strength: Share = Field(default=0.0, description="0: only the first seed counts; 1: only this one.")


class Noise(Part):
    """Where noise comes from, where that is not what the profile does by itself."""

    source: Literal["philox", "cpu", "nv"] | None = Field(
        default=None,
        description="The generator: philox (native), cpu (PyTorch's) or nv (that of NVIDIA GPUs); by default the "
        "profile's. With comfyui the starting noise is always the CPU's, and this is where the sampler ran.",
    )
    from_size: tuple[Side, Side] | None = Field(
        default=None,
        description="Width and height for which the seed makes its noise; it is put into the middle of the picture's.",
    )
    seed_delta: int = Field(
        default=0,
        ge=0,
        le=2**32,
        description="Added to the seed for the noise of the sampler's steps (ENSD); a1111 and native.",
    )
    multiplier: float = Field(default=1.0, ge=0, le=10, description="Of the noise on a start picture.")
    extra: float = Field(default=0.0, ge=0, le=10, description="More noise on a start picture, of this many units.")
    whole_variance: bool = Field(
        default=False,
        description="The picture begins with noise of sqrt(1 + sigma^2), as SDXL's own code has it; a1111.",
    )
    index: int = Field(default=0, ge=0, lt=MAX_BATCH, description="Which picture of a batch this is, from 0; comfyui.")
    batch: int = Field(default=1, ge=1, le=MAX_BATCH, description="Pictures that share one stream of noise; comfyui.")


class Hires(Part):
    """A second pass on the enlarged picture. Every None means: as in the first pass."""

    scale: float = Field(default=2.0, ge=1, le=8, description="Times the size of the first pass.")
    width: Side | None = Field(default=None, description="Pixels instead of `scale`; alone it keeps the proportions.")
    height: Side | None = Field(default=None, description="Pixels instead of `scale`; alone it keeps the proportions.")
    upscaler: str = Field(default="latent", description="How the picture is enlarged: see fromnoise upscalers.")
    strength: Share = Field(default=0.7, description="How much of the enlarged picture to replace by noise.")
    steps: Steps | None = Field(default=None, description="Steps of the second pass.")
    guidance_scale: Scale | None = Field(default=None, description="How closely the second pass follows the prompt.")
    sampler: str | None = Field(default=None, description="Of the second pass.")
    schedule: str | None = Field(default=None, description="Of the second pass.")
    prompt: Text | None = Field(default=None, description="Of the second pass.")
    negative: Text | None = Field(default=None, description="Of the second pass.")
    seed: Seed | None = Field(default=None, description="Of the second pass's noise; by default the picture's.")
    model: str | None = Field(default=None, description="Name or path of the checkpoint of the second pass.")
    model_hash: str | None = Field(
        default=None, description="SHA-256 of that checkpoint; filled in when the picture is made."
    )

    _eights = field_validator("width", "height")(lambda side: side if side is None else in_eights(side))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in eights, of the second pass after a first of this size."""
        if self.width is None and self.height is None:
            wanted = width * self.scale, height * self.scale
        else:
            across, down = self.width, self.height
            wanted = across or width * (down or 0) // height, down or height * (across or 0) // width
        return max(8, int(wanted[0]) // 8 * 8), max(8, int(wanted[1]) // 8 * 8)


class Refiner(Part):
    """Another model that takes over at low noise."""

    model: str = Field(description="Name or path of its checkpoint.")
    switch_at: Share = Field(default=0.8, description="Share of the timesteps after which it takes over.")
    model_hash: str | None = Field(
        default=None, description="SHA-256 of its checkpoint; filled in when the picture is made."
    )


class SoftInpaint(Part):
    """Repaint in proportion to the mask's grey, and let both pictures flow into each other."""

    bias: float = Field(default=1.0, ge=0, le=8, description="How late in the run the mask gives way; more is later.")
    preservation: float = Field(default=0.5, ge=0, le=8, description="How strongly half-masked content is kept.")
    contrast: float = Field(default=4.0, ge=1, le=32, description="Keeps contrast where both pictures blend.")
    mask_influence: Share = Field(default=0.0, description="Of the mask on which pixels stay as they were.")
    difference_threshold: float = Field(
        default=0.5, ge=0, le=8, description="How much latents must have changed for a pixel to be half new."
    )
    difference_contrast: float = Field(default=2.0, ge=0, le=8, description="How suddenly pixels become new.")


class Inpaint(Part):
    """How a mask is used."""

    content: Literal["original", "fill", "noise", "nothing"] = Field(
        default="original",
        description="What is under the mask at first: the picture, its surroundings' colours, noise, or zeros.",
    )
    blur: float = Field(
        default=0.0, ge=0, le=256, description="Standard deviation in pixels that the mask is blurred with."
    )
    invert: bool = Field(default=False, description="Repaint what is black instead.")
    only_masked: bool = Field(default=False, description="Repaint the mask's surroundings alone, at the full size.")
    padding: int = Field(default=32, ge=0, le=1024, description="Pixels around the mask that are looked at then.")
    gradual: bool = Field(
        default=False, description="Grey parts of the mask join later the darker they are (differential diffusion)."
    )
    gradual_strength: Share = Field(default=1.0, description="Less mixes the mask itself in; 0 counts as 1.")
    soft: SoftInpaint | None = Field(default=None, description="AUTOMATIC1111's soft inpainting.")
    masked_image_weight: Share = Field(
        default=1.0, description="How much of the picture under the mask an inpainting model is not shown."
    )


class Sizes(Part):
    """SDXL: the sizes that the picture is said to have; None is the size it has."""

    original: tuple[int, int] | None = Field(default=None, description="Width and height before cropping.")
    crop: tuple[int, int] = Field(default=(0, 0), description="Pixels cut off at the left and the top.")
    target: tuple[int, int] | None = Field(default=None, description="Width and height asked for.")
    aesthetic_score: float = Field(
        default=6.0, ge=0, le=10, description="Refiner: how beautiful the prompt's picture is."
    )
    negative_aesthetic_score: float = Field(default=2.5, ge=0, le=10, description="Refiner: and the negative prompt's.")
