"""The parts of a `Recipe` that change how the network is asked and what is made of its answers.

Ranges and usual values are those of the papers and tools; docs/guidance.md says where each comes from.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fromnoise.engine.recipe_parts import Part, Scale, Share, Steps, Text
from fromnoise.engine.references import ImageRef

Strength = Annotated[float, Field(ge=0, le=10)]
Factor = Annotated[float, Field(ge=0, le=10)]
Mode = Literal[
    "constant", "linear down", "cosine down", "half cosine down", "linear up", "cosine up", "half cosine up",
    "power up", "power down", "linear repeating", "cosine repeating", "sawtooth",
]  # fmt: skip


class Rescale(Part):
    """CFG rescale: guided answers keep the contrast of the unguided one."""

    share: Share = Field(default=0.7, description="How much of it: 0 is none.")
    of: Literal["v", "output", "denoised"] | None = Field(
        default=None,
        description="Whose contrast: that of v (the paper, ComfyUI), of the model's own output (diffusers), or of the "
        "clean latents (AUTOMATIC1111's extensions); by default as the profile does.",
    )


class Projected(Part):
    """Adaptive projected guidance (APG): what oversaturates is taken out of the guidance."""

    eta: float = Field(default=0.0, ge=-10, le=10, description="How much stays of the part along the answer itself.")
    threshold: float = Field(default=15.0, ge=0, le=1000, description="Largest norm of the guidance; 0 is no limit.")
    momentum: float = Field(default=-0.5, ge=-5, le=1, description="Of the guidance before; 0 is none.")


class Thresholding(Part):
    """Dynamic thresholding: a high guidance scale with the range of values of a lower one."""

    mimic_scale: Scale = Field(default=7.0, description="The guidance scale whose range of values is kept to.")
    percentile: Share = Field(default=1.0, description="Of the distances from the mean that counts as their range.")
    mimic_mode: Mode = Field(default="constant", description="How mimic_scale changes in the course of the picture.")
    mimic_minimum: Scale = Field(default=0.0, description="What it changes from or to.")
    scale_mode: Mode = Field(default="constant", description="How the guidance scale changes.")
    scale_minimum: Scale = Field(default=0.0, description="What it changes from or to.")
    power: Scale = Field(default=1.0, description="Of the modes that have one: the power, or how often they repeat.")
    per_channel: bool = Field(default=True, description="Each channel of the latents by itself.")
    around: Literal["mean", "zero"] = Field(default="mean", description="What distances are measured from.")
    variability: Literal["range", "deviation"] = Field(default="range", description="What is measured.")
    share: Share = Field(default=1.0, description="How much of it; the rest is plain guidance.")


class ZeroStar(Part):
    """CFG-Zero*: the unconditional answer is fitted to the conditional one first."""

    of: Literal["slope", "denoised"] | None = Field(
        default=None,
        description="What is scaled: the slope (the paper) or the clean latents (ComfyUI); by default as the profile "
        "does.",
    )
    wait: int = Field(default=0, ge=0, le=100, description="Evaluations at the start that leave everything in place.")


class PerpendicularNegative(Part):
    """Perp-Neg: of the negative prompt only what is perpendicular to the prompt is taken away."""

    weight: Scale = Field(default=1.0, description="How much of it.")


class Skip(Part):
    """Evaluations without the negative prompt, for speed."""

    below: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="Noise level under which every other one is (NGMS); a1111: a timestep with DDIM.",
    )  # fmt: skip
    every_step: bool = Field(default=False, description="All of them there.")
    early: Share = Field(default=0.0, description="Share of the steps at the start (Skip Early CFG).")


class PerturbedAttention(Part):
    """PAG: away from what is drawn when each place looks at itself alone."""

    scale: Scale = Field(default=3.0, description="How far.")
    layers: tuple[str, ...] = Field(
        default=("middle_block",), description="Where: beginnings of module names, such as input_blocks.4."
    )


class SelfAttention(Part):
    """SAG: away from what is drawn when what is looked at most is blurred."""

    scale: float = Field(default=0.5, ge=-2, le=5, description="How far.")
    blur: float = Field(default=2.0, gt=0, le=32, description="Standard deviation of the blur in latents.")
    threshold: float = Field(default=1.0, ge=0, le=4, description="Attention above which is blurred; 1 is average.")


class GuidanceOptions(Part):
    """How the answers with and without the prompt make one, and what is added to them."""

    rescale: Rescale | None = Field(default=None, description="Guided answers keep their contrast.")
    projected: Projected | None = Field(default=None, description="Adaptive projected guidance (APG).")
    thresholding: Thresholding | None = Field(default=None, description="Dynamic thresholding.")
    zero_star: ZeroStar | None = Field(default=None, description="CFG-Zero*.")
    perp_neg: PerpendicularNegative | None = Field(default=None, description="Perp-Neg.")
    skip: Skip | None = Field(default=None, description="Evaluations without the negative prompt.")
    perturbed: PerturbedAttention | None = Field(default=None, description="Perturbed-attention guidance (PAG).")
    self_attention: SelfAttention | None = Field(default=None, description="Self-attention guidance (SAG).")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = [name for name in ("projected", "thresholding", "zero_star", "perp_neg") if getattr(self, name)]
        if len(rules) > 1:
            raise ValueError(f"{rules[0]} and {rules[1]} are different rules for the same thing: choose one")
        if self.perp_neg and (self.rescale or self.skip):
            raise ValueError("perp_neg asks for three answers at each step: leave out rescale and skip")
        return self


class FreeU(Part):
    """FreeU: more of the network's backbone, less of its skip connections."""

    b1: Factor = Field(default=1.3, description="Of the backbone where it is narrowest; 1 changes nothing.")
    b2: Factor = Field(default=1.4, description="Of the backbone one stage above.")
    s1: Factor = Field(default=0.9, description="Of the low frequencies in the skip connections there.")
    s2: Factor = Field(default=0.2, description="And one stage above.")
    version: int = Field(default=2, ge=1, le=2, description="1: everywhere; 2: most where the backbone is strong.")
    stages: Literal["width", "level"] | None = Field(
        default=None,
        description="Chosen by channels (the authors, ComfyUI) or by resolution (diffusers); by default as the profile "
        "does.",
    )


class TokenMerging(Part):
    """Token merging: self-attention on fewer tokens, for speed."""

    ratio: Share = Field(default=0.5, description="Share of the tokens that is done without; at most 0.75 has effect.")
    hires_ratio: Share | None = Field(default=None, description="In the second pass; by default the same.")
    max_downsample: int = Field(
        default=1, ge=1, le=8, description="Where the network works at most this many times smaller than the latents."
    )


class StepReuse(Part):
    """Step reuse (DeepCache): most of the network runs at some steps alone, for speed."""

    every: int = Field(default=3, ge=2, le=100, description="Of so many evaluations of the network one runs all of it.")
    blocks: int = Field(
        default=2, ge=1, le=32, description="How many of its outermost blocks, on either side, run at all of them."
    )


class Seamless(Part):
    """Pictures that tile: opposite edges meet."""

    x: bool = Field(default=True, description="Left and right.")
    y: bool = Field(default=True, description="Top and bottom.")


class Region(Part):
    """A prompt for a part of the picture."""

    prompt: Text = Field(default="", description="What to see there.")
    left: Share = Field(default=0.0, description="Its left edge, as a share of the picture's width.")
    top: Share = Field(default=0.0, description="Its upper edge, as a share of the picture's height.")
    width: Share = Field(default=1.0, description="As a share of the picture's.")
    height: Share = Field(default=1.0, description="As a share of the picture's.")
    strength: Strength = Field(default=1.0, description="How much it counts where prompts meet.")
    mask: ImageRef | None = Field(default=None, description="White where it counts, in the picture's proportions.")
    bounds: bool = Field(default=False, description="With a mask: the network sees its surroundings alone.")
    negative: bool = Field(default=False, description="What not to see there.")
    start: Share = Field(default=0.0, description="Share of the timesteps after which it counts.")
    end: Share = Field(default=1.0, description="Share of the timesteps until which it counts.")


class Regional(Part):
    """Prompts for parts of the picture, besides the one for all of it."""

    base: Strength = Field(default=1.0, description="How much the prompt of the whole counts; 0 leaves it out.")
    regions: tuple[Region, ...] = Field(default=(), max_length=64, description="The others.")


class Inversion(Part):
    """The noise of a start picture is found by running its making backwards ("img2img alternative test")."""

    prompt: Text | None = Field(default=None, description="What is seen in the start picture; by default the prompt.")
    negative: Text | None = Field(default=None, description="And not seen; by default the negative prompt.")
    steps: Steps = Field(default=50, description="Steps backwards.")
    guidance_scale: Scale = Field(default=1.0, description="How closely they follow these prompts.")
    randomness: Share = Field(default=0.0, description="How much of the seed's noise is mixed in.")
    adjusted: bool = Field(default=False, description="The slope is asked where a step begins, not where it ends.")


class Outpaint(Part):
    """The start picture on a larger canvas, of which the new part is painted."""

    left: int = Field(default=0, ge=0, le=8192, description="New pixels at the left.")
    top: int = Field(default=0, ge=0, le=8192, description="New pixels above.")
    right: int = Field(default=0, ge=0, le=8192, description="New pixels at the right.")
    bottom: int = Field(default=0, ge=0, le=8192, description="New pixels below.")
    feather: int = Field(default=40, ge=0, le=8192, description="Pixels of the picture into which the new part fades.")
    fill: Literal["edge", "gray"] | None = Field(
        default=None,
        description="What is there at first: the picture's edge, stretched, or gray (ComfyUI); by default as the "
        "profile does. inpaint.content can replace it.",
    )
