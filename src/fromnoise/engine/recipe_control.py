"""The part of a recipe that steers a picture by another: ControlNets, T2I-Adapters, LLLite, references."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fromnoise.engine.recipe_parts import Part, Share
from fromnoise.engine.references import ImageRef
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.registry import MAX_RESOLUTION, MIN_RESOLUTION, spelt_parameters

LayerWeight = Annotated[float, Field(ge=-10, le=10)]


class Control(Part):
    """A picture that steers, what is made of it, and the network that sees it."""

    image: ImageRef | None = Field(default=None, description="The picture; by default the start picture.")
    model: str | None = Field(
        default=None, description="Name or path of the ControlNet, T2I-Adapter or LLLite; references need none."
    )
    model_hash: str | None = Field(default=None, description="SHA-256 of it; filled in when the picture is made.")
    preprocessor: str = Field(default="none", description="What makes a hint of the picture.")
    parameters: dict[str, float] = Field(default_factory=dict, description="Of the preprocessor, by their names.")
    resolution: int | None = Field(
        default=None,
        ge=MIN_RESOLUTION,
        le=MAX_RESOLUTION,
        description="Pixels of the shorter side while the preprocessor works; 512 if not given.",
    )
    pixel_perfect: bool = Field(default=False, description="As many pixels as the result has, instead of `resolution`.")
    weight: float = Field(default=1.0, ge=0, le=10, description="How strongly it acts.")
    start: Share = Field(default=0.0, description="Share of the run after which it acts.")
    end: Share = Field(default=1.0, description="Share of the run up to which it acts.")
    mode: Literal["balanced", "prompt", "control", "guess"] = Field(
        default="balanced",
        description="What is more important: neither, the prompt, or the control, which the negative prompt then does "
        "without; guess is diffusers' rule for pictures without a prompt.",
    )
    resize: Literal["crop", "stretch", "fill"] | None = Field(
        default=None, description="How a hint of another size becomes as large; by default as the profile does."
    )
    mask: ImageRef | None = Field(
        default=None, description="White where the picture is to be painted anew, for the inpaint preprocessors."
    )
    region: ImageRef | None = Field(default=None, description="White where the control acts.")
    passes: Literal["both", "first", "second"] = Field(default="both", description="Of pictures with a second pass.")
    type: str | None = Field(
        default=None,
        description="Of the hint, for union ControlNets: openpose, depth, softedge, lineart, normal, segmentation, "
        "tile, inpaint, or auto; by default the preprocessor's.",
    )
    together: bool | None = Field(
        default=None,
        description="Hints of the same union ControlNet are seen in one pass, each by its type; by default as the "
        "profile does.",
    )
    layers: tuple[LayerWeight, ...] = Field(
        default=(), max_length=32, description="A weight for each residual, the middle's last, instead of `weight`."
    )

    @field_validator("parameters", mode="before")
    @classmethod
    def _spelt(cls, given: Any) -> Any:
        """ "low=80 high=160" as a table."""
        try:
            return spelt_parameters(given) if isinstance(given, str) else given
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("preprocessor")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return PREPROCESSORS.canonical(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("type")
    @classmethod
    def _known_type(cls, name: str | None) -> str | None:
        if name is None:
            return None
        found = UNION_NAMES.get(name.lower())
        if found is None:
            raise ValueError(f"unknown type {name!r}; known: {', '.join(TYPES)}, auto")
        return found

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start > self.end:
            raise ValueError(f"it would end at {self.end:g} before it starts at {self.start:g}")
        spec = PREPROCESSORS[self.preprocessor]
        try:
            spec.checked(self.parameters)
        except UserError as error:
            raise ValueError(str(error)) from None
        if spec.role == "reference" and self.model:
            raise ValueError(f"{spec.name} needs no model")
        if spec.role != "reference" and not self.model:
            raise ValueError("a control needs a model: a ControlNet, T2I-Adapter or LLLite")
        return self

    @property
    def is_reference(self) -> bool:
        return PREPROCESSORS[self.preprocessor].role == "reference"

    @property
    def type_number(self) -> int | None:
        """The number of the hint's type for a union ControlNet; None where it is to find out by itself."""
        name = self.type or PREPROCESSORS[self.preprocessor].control_type
        return None if name in (None, AUTO) else TYPES.index(str(name))


AUTO = "auto"
TYPES = ("openpose", "depth", "softedge", "lineart", "normal", "segmentation", "tile", "inpaint")
UNION_NAMES: Mapping[str, str] = {
    **{name: name for name in (*TYPES, AUTO)},
    # AUTOMATIC1111's extension
    "soft edge": "softedge", "hard edge": "lineart", "normal map": "normal", "unknown": AUTO,
    # ComfyUI's SetUnionControlNetType
    "hed/pidi/scribble/ted": "softedge", "canny/lineart/anime_lineart/mlsd": "lineart", "segment": "segmentation",
    "repaint": "inpaint",
    # what people type
    "pose": "openpose", "scribble": "softedge", "hed": "softedge", "canny": "lineart", "mlsd": "lineart",
    "normalmap": "normal", "seg": "segmentation", "blur": "tile",
}  # fmt: skip
