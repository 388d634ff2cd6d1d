"""The parts of a `Recipe` by which pictures and boxes steer generation: image prompts, text boxes, depth."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fromnoise.engine.recipe_parts import Part, Share, Text
from fromnoise.engine.references import ImageRef
from fromnoise.text.ip_adapter_weights import Scaling, WeightType

MAX_PICTURES = 16  # of one prompt, and prompts of one recipe
MAX_BOXES = 30  # GLIGEN was trained with no more

Weight = Annotated[float, Field(ge=-10, le=10)]
Place = Annotated[int, Field(ge=0, le=16384)]
Extent = Annotated[int, Field(ge=1, le=16384)]
Combination = Literal["concat", "add", "subtract", "average", "norm average"]


class ImagePrompt(Part):
    """A picture as a prompt: through an IP-Adapter, or, without one, as unCLIP models and SDXL take it themselves."""

    image: ImageRef = Field(description="What the result is to be like.")
    model: str | None = Field(
        default=None, description="Name or path of the IP-Adapter; by default the checkpoint's own way, if it has one."
    )
    weight: Weight = Field(default=1.0, description="How strongly it acts; 0 is not at all.")
    start: Share = Field(default=0.0, description="Share of the steps after which it acts.")
    end: Share = Field(default=1.0, description="Share of the steps after which it acts no more.")
    mask: ImageRef | None = Field(default=None, description="White where in the result it acts.")
    weight_type: WeightType = Field(default="linear", description="In which layers it acts, as ComfyUI's nodes say.")
    second_weight: Weight | None = Field(
        default=None,
        description="Of the layout in weight types that weigh style and composition apart, and of what is pushed away "
        "in the precise ones; by default the weight.",
    )
    more: tuple[ImageRef, ...] = Field(default=(), max_length=MAX_PICTURES - 1, description="Other pictures with it.")
    combine: Combination = Field(
        default="concat", description="How several pictures are one prompt: side by side, or computed with."
    )
    negative: ImageRef | None = Field(default=None, description="What the result is not to be like.")
    composition: ImageRef | None = Field(default=None, description="SDXL: another picture for the layout.")
    scaling: Scaling = Field(default="V only", description="What the weight multiplies, as ComfyUI's nodes say.")
    crop: bool = Field(default=True, description="The middle square is looked at, not the whole, squeezed.")
    vision: str | None = Field(
        default=None, description="Name or path of the image encoder; by default one that fits the IP-Adapter."
    )
    noise_level: Share = Field(default=0.0, description="unCLIP and SDXL: how freely the picture is taken.")
    structure: Weight | None = Field(
        default=None, description="Version 2 of the face adapters: how much of the face's looks counts."
    )
    lora: Weight | None = Field(
        default=None, description="Face adapters that bring a LoRA: its weight; by default 1, and 0 with comfyui."
    )
    model_hash: str | None = Field(
        default=None, description="SHA-256 of the IP-Adapter; filled in when the picture is made."
    )
    vision_hash: str | None = Field(
        default=None, description="SHA-256 of the image encoder; filled in when the picture is made."
    )

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All pictures that are prompts."""
        return (self.image, *self.more)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start > self.end:
            raise ValueError("its start is after its end")
        if self.combine == "subtract" and not self.more:
            raise ValueError("nothing can be subtracted from a single picture: give others in more")
        if self.composition is not None and "precise" in self.weight_type:
            raise ValueError("the precise weight types know no other picture for the layout")
        return self


class Box(Part):
    """What is to be where: GLIGEN. Pixels of the first pass."""

    x: Place = Field(description="The left side.")
    y: Place = Field(description="The top.")
    width: Extent = Field(description="Across.")
    height: Extent = Field(description="Down.")
    text: Text = Field(description="What is in it.")


class Gligen(Part):
    """The model that heeds boxes."""

    model: str = Field(description="Name or path of the GLIGEN model.")
    start: Share = Field(default=0.0, description="Share of the steps after which boxes count.")
    end: Share = Field(default=1.0, description="Share of the steps after which they count no more.")
    model_hash: str | None = Field(default=None, description="Its SHA-256; filled in when the picture is made.")


class Depth(Part):
    """How far things are, for depth models."""

    image: ImageRef = Field(description="A depth map, white where things are near; or a picture to estimate it from.")
    estimator: str | None = Field(
        default=None, description="The preprocessor that makes a depth map of the picture; by default it is one."
    )
