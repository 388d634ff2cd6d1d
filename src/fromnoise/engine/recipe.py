"""`Recipe`: the one description of a picture. Everything that changes pixels is in it, and nothing else.

Command line, HTTP bodies, workflow nodes, picture metadata and job tables all convert to and from it.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe_control import Control
from fromnoise.engine.recipe_files import MAX_ENCODERS, WeightFile
from fromnoise.engine.recipe_guidance import (
    FreeU,
    GuidanceOptions,
    Inversion,
    Outpaint,
    Regional,
    Seamless,
    StepReuse,
    TokenMerging,
)
from fromnoise.engine.recipe_networks import MAX_NETWORKS, NetworkUse
from fromnoise.engine.recipe_parts import (
    MAX_SEED,
    MAX_SIDE,
    Hires,
    Inpaint,
    Noise,
    Refiner,
    Scale,
    Seed,
    Share,
    Side,
    Sizes,
    Steps,
    Text,
    Variation,
    in_eights,
)
from fromnoise.engine.recipe_pictures import MAX_BOXES, MAX_PICTURES, Box, Depth, Gligen, ImagePrompt
from fromnoise.engine.recipe_upscale import Enlarge, FaceRestoration, Redraw, TiledDiffusion
from fromnoise.engine.references import ImageRef
from fromnoise.engine.shelves import BUILTIN
from fromnoise.errors import UserError
from fromnoise.text.prompt_weights import Emphasis

__all__ = ["BUILTIN", "MAX_SEED", "MAX_SIDE", "ImageRef", "Recipe", "explain"]


NOT_REDRAWN = ("mask", "outpaint", "inversion")
OPEN = ("steps", "guidance_scale", "sampler", "width", "height")  # a model may have wishes of its own: fitting.py
UNSAID = "unsaid"


class Recipe(BaseModel):
    """A picture, before it is made. The same recipe and the same files give the same picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Text = Field("", description="What to see.")
    negative: Text = Field("", description="What not to see.")
    model: str = Field(BUILTIN, description="Name or path of the checkpoint.")
    model_hash: str | None = Field(
        None, description="SHA-256 of the checkpoint, or its beginning; filled in when the picture is made."
    )
    unet: WeightFile | None = Field(None, description="The U-Net of another file.")
    text_encoders: tuple[WeightFile, ...] = Field(
        (), max_length=MAX_ENCODERS, description="Text encoders of other files, in any order."
    )
    vae: WeightFile | None = Field(None, description="The autoencoder of another file.")
    ema: bool = Field(False, description="Take the running averages that full training checkpoints carry.")
    variant: str | None = Field(
        None, max_length=100, description="Which of several sets of weights in a folder, such as fp16."
    )
    seed: Seed = Field(0, description="Chooses the noise the picture comes from.")
    width: Side = Field(512, description="Pixels; a multiple of 8.")
    height: Side = Field(512, description="Pixels; a multiple of 8.")
    steps: Steps = Field(20, description="Steps from noise to picture.")
    guidance_scale: Scale = Field(7.0, description="How closely to follow the prompt; 1 is not at all.")
    sampler: str = Field("dpmpp_2m", description="How to walk from noise to picture.")
    schedule: str | None = Field(None, description="Which noise levels to step on; by default the sampler's own.")
    sampler_options: dict[str, float | int | str | bool] = Field(
        default_factory=dict, description="Options of the sampler, such as eta."
    )
    schedule_options: dict[Annotated[str, Field(max_length=50)], Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict, max_length=20, description="Options of the schedule: sigma_min, sigma_max, rho, ..."
    )
    drop_penultimate: bool = Field(
        False, description="Plan a step more and leave out the last noise level but one, as some samplers do anyway."
    )
    profile: str = Field("native", description="Whose numerics to follow: native, a1111, comfyui or diffusers.")

    clip_skip: int | None = Field(
        None, ge=1, le=12, description="Take the text encoder's states this far from its end."
    )
    emphasis: Emphasis | None = Field(
        None,
        description="How weights in prompts act: native, comfyui, no norm or ignore; by default as the profile does.",
    )
    old_prompt_timing: bool = Field(
        False, description="In [a:b:when], a number below 1 is a share of the steps and any other a step."
    )
    sizes: Sizes | None = Field(None, description="The sizes that SDXL is told.")

    variation: Variation | None = Field(None, description="A second seed, mixed into the first.")
    noise: Noise | None = Field(None, description="Where noise comes from.")

    init: ImageRef | None = Field(None, description="A picture to start from.")
    strength: Share = Field(1.0, description="How much of the start picture to replace by noise.")
    exact_steps: bool = Field(False, description="a1111: take all steps whatever the strength.")
    resize: Literal["crop", "stretch", "fill", "latent"] = Field(
        "crop", description="How a start picture of another size becomes as large: cut, distorted, with more edge, or "
        "distorted after encoding."
    )  # fmt: skip
    init_upscaler: str | None = Field(
        None, description="What enlarges a start picture that is too small; None: Lanczos: see fromnoise upscalers."
    )
    redraw: Redraw | None = Field(None, description="The start picture is enlarged and painted anew in tiles.")
    enlarge: Enlarge | None = Field(None, description="A small picture for models that upscale.")
    match_colours: bool = Field(False, description="Give the result the colours of the start picture.")
    mask: ImageRef | None = Field(None, description="White where the start picture may change.")
    inpaint: Inpaint | None = Field(None, description="How the mask is used.")
    outpaint: Outpaint | None = Field(None, description="The start picture on a larger canvas.")
    inversion: Inversion | None = Field(None, description="The noise is that which the start picture would come from.")
    image_guidance_scale: Scale = Field(
        1.5, description="How closely an instruct-pix2pix model follows the start picture."
    )

    guidance: GuidanceOptions | None = Field(None, description="How answers are put together, and what is added.")
    regional: Regional | None = Field(None, description="Prompts for parts of the picture.")
    free_u: FreeU | None = Field(None, description="More of the network's backbone, less of its skip connections.")
    token_merging: TokenMerging | None = Field(None, description="Self-attention on fewer tokens, for speed.")
    step_reuse: StepReuse | None = Field(None, description="Most of the network runs at some steps alone, for speed.")
    int8: bool = Field(False, description="The U-Net multiplies 8-bit integers, for speed on processors.")
    fp8: bool = Field(False, description="The U-Net multiplies 8-bit floats, for speed on GPUs.")
    compile: bool = Field(False, description="The U-Net's blocks are compiled, for speed after the first picture.")
    seamless: Seamless | None = Field(None, description="Pictures that tile.")
    tiles: TiledDiffusion | None = Field(None, description="Large pictures in tiles that are averaged at each step.")

    networks: tuple[NetworkUse, ...] = Field(
        (), max_length=MAX_NETWORKS, description="LoRAs and hypernetworks, and notes of those that prompts name."
    )
    image_prompts: tuple[ImagePrompt, ...] = Field((), max_length=MAX_PICTURES, description="Pictures as prompts.")
    boxes: tuple[Box, ...] = Field((), max_length=MAX_BOXES, description="What is to be where.")
    gligen: Gligen | None = Field(None, description="The model that heeds boxes.")
    depth: Depth | None = Field(None, description="How far things are, for depth models.")

    controls: tuple[Control, ...] = Field(
        (), max_length=16, description="Hints for ControlNets and their relatives, and pictures to refer to."
    )
    hires: Hires | None = Field(None, description="A second pass on the enlarged picture.")
    restore_faces: FaceRestoration | None = Field(None, description="Faces are made clear in the finished picture.")
    refiner: Refiner | None = Field(None, description="Another model for the last steps.")
    dtype: str = Field("float32", description="What the network computed in: float32, bfloat16 or float16.")

    _eights = field_validator("width", "height")(in_eights)

    @field_validator("guidance")
    @classmethod
    def _some_guidance(cls, options: GuidanceOptions | None) -> GuidanceOptions | None:
        return None if options == GuidanceOptions() else options

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, name: str) -> str:
        try:
            return PROFILES.canonical(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.mask and not self.init:
            raise ValueError("a mask needs a start picture: give one with --init")
        if self.hires and self.init:
            raise ValueError("a second pass follows pictures made from noise: leave out the start picture or hires")
        if self.hires and self.hires.model and self.refiner and self.hires.model != self.refiner.model:
            raise ValueError("a refiner and a second pass by another model exclude each other: leave out one of them")
        if self.redraw and (part := next((name for name in NOT_REDRAWN if getattr(self, name)), None)):
            raise ValueError(f"redraw paints all of the start picture anew: leave out {part}")
        if self.step_reuse and self.controls:
            raise ValueError("step_reuse leaves out blocks that controls act on: choose one")
        if self.step_reuse and self.guidance and self.guidance.self_attention:
            raise ValueError("step_reuse leaves out the block that self_attention reads: choose one")
        if self.boxes and not self.gligen:
            raise ValueError("boxes need a GLIGEN model: give one with --gligen")
        if self.noise and self.noise.index >= self.noise.batch:
            raise ValueError(f"noise: picture {self.noise.index} is not in a batch of {self.noise.batch}")
        return self

    def but(self, **changes: Any) -> Self:
        """The recipe with some fields changed, checked anew. What was left to the model still is."""
        return type(self).make(**{**self.model_dump(), **changes}).leaving(self.unsaid - changes.keys())

    @property
    def unsaid(self) -> frozenset[str]:
        """Which of the fields `OPEN` nobody has set: there the model's wishes come first (`fitting.fitted`)."""
        return frozenset(OPEN) - self.model_fields_set

    def leaving(self, names: Iterable[str]) -> Self:
        """The same recipe with some of the fields `OPEN` left to the model; their values are for one without wishes."""
        if not (left := set(names)):
            return self
        copy = self.model_copy()
        copy.__pydantic_fields_set__.difference_update(left)
        return copy

    def to_table(self) -> dict[str, Any]:
        """A table for JSON that `from_table` reads: it tells, too, what is left to the model."""
        table = self.model_dump(mode="json", exclude_none=True)
        return {**table, UNSAID: sorted(self.unsaid)} if self.unsaid else table

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """The recipe of a table. UserError."""
        given = {name: value for name, value in table.items() if name != UNSAID}
        return cls.make(**given).leaving(name for name in table.get(UNSAID) or () if name in OPEN)

    @classmethod
    def make(cls, **fields: Any) -> Self:
        """A recipe, or a UserError that names the first bad field."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise UserError(explain(error)) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe in `text`, or a UserError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(explain(error)) from error

    def to_json(self) -> str:
        """Compact JSON with the fields that differ from their defaults, and always the ones that matter most."""
        return self.model_dump_json(exclude_none=True)


M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], **fields: Any) -> M:
    """A model of these fields; UserError names the first bad one."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise UserError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """One line: the field, what is wrong with it, and what it may be."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "recipe"
    message = first["msg"].removeprefix("Value error, ")
    return f"{field}: {message[0].lower()}{message[1:]}"
