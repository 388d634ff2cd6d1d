"""`Recipe`: the one description of a picture. Everything that changes pixels is in it, and nothing else.

Command line, HTTP bodies, workflow nodes, picture metadata and job tables all convert to and from it.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fromnoise.errors import UserError

MAX_SIDE = 16384  # pixels
MAX_SEED = 2**64 - 1
BUILTIN = "builtin"

Side = Annotated[int, Field(ge=8, le=MAX_SIDE)]


class ImageRef(BaseModel):
    """A picture that a recipe starts from: where it was, and what it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the file

    @classmethod
    def of(cls, path: Path) -> Self:
        """The reference to a file; FileError is left to whoever opens it as a picture."""
        return cls(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


class Recipe(BaseModel):
    """A picture, before it is made. The same recipe and the same files give the same picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field("", max_length=100_000, description="What to see.")
    negative: str = Field("", max_length=100_000, description="What not to see.")
    model: str = Field(BUILTIN, description="Name or path of the checkpoint.")
    model_hash: str | None = Field(None, description="SHA-256 of the checkpoint; filled in when the picture is made.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Chooses the noise the picture comes from.")
    width: Side = Field(512, description="Pixels; a multiple of 8.")
    height: Side = Field(512, description="Pixels; a multiple of 8.")
    steps: int = Field(20, ge=1, le=10_000, description="Steps from noise to picture.")
    guidance_scale: float = Field(7.0, ge=0, le=100, description="How closely to follow the prompt; 1 is not at all.")
    sampler: str = Field("dpmpp_2m", description="How to walk from noise to picture.")
    schedule: str | None = Field(None, description="Which noise levels to step on; by default the sampler's own.")
    sampler_options: dict[str, float | int | str | bool] = Field(
        default_factory=dict, description="Options of the sampler, such as eta."
    )
    clip_skip: int | None = Field(
        None, ge=1, le=12, description="Take the text encoder's states this far from its end."
    )
    init: ImageRef | None = Field(None, description="A picture to start from.")
    strength: float = Field(1.0, ge=0, le=1, description="How much of the start picture to replace by noise.")
    mask: ImageRef | None = Field(None, description="White where the start picture may change.")
    image_guidance_scale: float = Field(
        1.5, ge=0, le=100, description="How closely an instruct-pix2pix model follows the start picture."
    )
    dtype: str = Field("float32", description="What the network computed in: float32, bfloat16 or float16.")

    @field_validator("width", "height")
    @classmethod
    def _multiple_of_8(cls, side: int) -> int:
        if side % 8:
            below, above = side // 8 * 8, side // 8 * 8 + 8
            raise ValueError(f"{side} is not a multiple of 8; the nearest sizes are {below} and {above}")
        return side

    @model_validator(mode="after")
    def _mask_needs_picture(self) -> Self:
        if self.mask and not self.init:
            raise ValueError("a mask needs a start picture: give one with --init")
        return self

    def but(self, **changes: Any) -> Self:
        """The recipe with some fields changed, checked anew."""
        return type(self).make(**{**self.model_dump(), **changes})

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


def explain(error: ValidationError) -> str:
    """One line: the field, what is wrong with it, and what it may be."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "recipe"
    message = first["msg"].removeprefix("Value error, ")
    return f"{field}: {message[0].lower()}{message[1:]}"
