"""How finished pictures are cut to what a model learns from. No torch: servers check it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fromnoise.engine.recipe_parts import Part, Share, Side

Flip = Literal["horizontal", "vertical", "both"]


class Cut(Part):
    """What becomes of each picture, in this order, as in AUTOMATIC1111's tab "Extras"."""

    width: Side = Field(default=512, description="Of parts and of what is cut out, in pixels.")
    height: Side = Field(default=512, description="Of parts and of what is cut out, in pixels.")
    split: bool = Field(default=False, description="A long picture becomes several that overlap.")
    threshold: Share = Field(
        default=0.5, description="split: a picture is left whole whose proportions come nearer to the size than this."
    )
    overlap: float = Field(default=0.2, ge=0, le=0.9, description="split: how much neighbours share.")
    focal: bool = Field(default=False, description="Cut to the size about what draws the eye.")
    edges: Share = Field(default=0.5, description="focal: how much corners and edges count.")
    entropy: Share = Field(default=0.15, description="focal: how much the place with most to see counts.")
    fit: bool = Field(default=False, description="Cut to the size that suits its proportions, a multiple of 64.")
    shortest: Side = Field(default=384, description="fit: pixels of a side, at least.")
    longest: Side = Field(default=768, description="fit: pixels of a side, at most.")
    smallest: int = Field(default=4096, ge=64, le=2**28, description="fit: pixels in all, at least.")
    largest: int = Field(default=409_600, ge=4096, le=2**28, description="fit: pixels in all, at most.")
    prefer: Literal["area", "proportions"] = Field(
        default="area", description="fit: the largest that suits, or the one that suits best."
    )
    error: Share = Field(default=0.1, description="fit: how far proportions may be off.")
    flips: tuple[Flip, ...] = Field(default=(), max_length=3, description="Mirrored copies beside each.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError("shortest: larger than longest")
        if self.smallest > self.largest:
            raise ValueError("smallest: larger than largest")
        if self.focal and not self.edges + self.entropy:
            raise ValueError("edges: nothing is looked for; edges or entropy has to count")
        return self
