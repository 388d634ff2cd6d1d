"""LoRAs, hypernetworks and embeddings in a recipe: in a list of their own, and as tags and words in its prompts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from fromnoise.engine.recipe_parts import Part
from fromnoise.errors import UserError
from fromnoise.text.block_weights import ALL, parse_blocks
from fromnoise.text.network_tags import Network
from fromnoise.text.prompt_source import read_source
from fromnoise.text.prompt_weights import Dialect

MAX_NETWORKS = 100
MAX_STAGES = 1000

Strength = Annotated[float, Field(ge=-100, le=100)]
Kind = Literal["lora", "hypernetwork", "embedding"]
TAGS: dict[str, Kind] = {"lora": "lora", "hypernet": "hypernetwork"}


class NetworkUse(Part):
    """A network that a picture is made with, besides the model's own."""

    name: str = Field(min_length=1, max_length=1000, description="Name or path of its file.")
    strength: Strength = Field(default=1.0, description="How strongly it acts on the U-Net.")
    text_strength: Strength | None = Field(default=None, description="And on the text encoders; by default the same.")
    blocks: str | None = Field(
        default=None,
        max_length=1000,
        description="Factors of its blocks: a preset such as OUTALL, 12, 17, 20 or 26 numbers, or BASE=1 IN04-IN08=2.",
    )
    rank: int | None = Field(default=None, ge=1, description="The most of its rank that is used.")
    schedule: tuple[tuple[Annotated[float, Field(ge=0, le=1)], Strength], ...] = Field(
        default=(),
        max_length=MAX_STAGES,
        description="Shares of the steps and factors of the strength from there on; before the first it is 1.",
    )
    ramp: bool = Field(default=False, description="Go from factor to factor in a line, and begin with the first.")
    kind: Kind = Field(default="lora", description="What it is: lora, hypernetwork or embedding.")
    hash: str | None = Field(
        default=None,
        pattern=r"^[0-9a-fA-F]{8,64}$",
        description="SHA-256 of its file (or a LoRA's tensors), or its beginning; filled in when the picture is made.",
    )
    in_prompt: bool = Field(
        default=False, description="A prompt names it, and this is a note of its hash: as an entry it does nothing."
    )

    @field_validator("blocks")
    @classmethod
    def _known_blocks(cls, text: str | None) -> str | None:
        try:
            parse_blocks(text or "ALL")
        except UserError as error:
            raise ValueError(str(error)) from None
        return text

    @field_validator("schedule", mode="before")
    @classmethod
    def _short_form(cls, stages: Any) -> Any:
        """Stages may be written "0.5@1.2": from half of the steps on the factor 1.2."""
        if not isinstance(stages, (list, tuple)):
            return stages
        return [stage.split("@") if isinstance(stage, str) else stage for stage in stages]

    @model_validator(mode="after")
    def _can_be_listed(self) -> Self:
        if self.kind == "embedding" and not self.in_prompt:
            raise ValueError("an embedding is named in a prompt, not listed")
        return self

    @property
    def on_text(self) -> float:
        """Its strength on the text encoders."""
        return self.strength if self.text_strength is None else self.text_strength

    @property
    def factors(self) -> tuple[float, ...] | None:
        """Those of the blocks `block_weights.ALL`."""
        if self.blocks is None:
            return None
        found = parse_blocks(self.blocks)
        return tuple(found[name] for name in ALL)

    def stages(self, steps: int) -> list[tuple[int, float]]:
        """(step, strength on the U-Net from it on) over so many steps."""
        if not self.schedule:
            return [(0, self.strength)]
        if self.ramp:
            return [(step, self.strength * along(self.schedule, step / max(1, steps - 1))) for step in range(steps)]
        begun = {0: self.strength}
        begun |= {round(share * steps): self.strength * factor for share, factor in self.schedule}
        return sorted(begun.items())

    @classmethod
    def of_tag(cls, tag: Network, steps: int) -> Self:
        """What a tag in a prompt means in a pass of so many steps. UserError where a value is out of range."""
        schedule: list[tuple[float, float]] = []
        strength, ramp = tag.unet_strength, bool(tag.keyframes)
        if ramp:
            strength, counted = 1.0, tag.keyframes[-1][1] > 1
            last = max(1, steps - 1) if counted else 1
            schedule = [(min(1.0, max(0.0, moment / last)), value) for value, moment in tag.keyframes]
        elif tag.start is not None or tag.stop is not None:
            start, stop = (0 if tag.start is None else before(tag.start, steps)), before(tag.stop, steps)
            schedule = [(0.0, float(start == 0))]
            schedule += [(start / steps, 1.0)] if 0 < start < stop else []
            schedule += [(stop / steps, 0.0)] if stop < steps else []
        try:
            return cls(
                name=tag.name,
                kind=TAGS[tag.kind],
                strength=strength,
                text_strength=None if tag.text_strength == strength else tag.text_strength,
                blocks=tag.blocks or None,
                rank=tag.rank,
                schedule=tuple(schedule),
                ramp=ramp,
                in_prompt=True,
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = first["msg"].removeprefix("Value error, ")
            raise UserError(f"<{tag.kind}:{tag.name}>: {first['loc'][0]}: {reason}") from error


def named(listed: Sequence[NetworkUse], prompt: str, dialect: Dialect, steps: int) -> tuple[NetworkUse, ...]:
    """The networks of a pass: those of the recipe's list, then those of its prompt's tags."""
    tags = read_source(prompt, dialect).networks
    return (*(use for use in listed if not use.in_prompt), *(NetworkUse.of_tag(tag, steps) for tag in tags))


def before(moment: float | None, steps: int) -> int:
    """Steps before a moment: a share of them below 1, else the number of a step, from 1; None is the end."""
    if moment is None:
        return steps
    number = max(1, round(moment * steps)) if 0 < moment < 1 else int(moment)
    return min(max(0, number - 1), steps)


def along(schedule: Sequence[tuple[float, float]], share: float) -> float:
    """The line through the points of a schedule, level before the first and after the last."""
    points = sorted(schedule)
    if share <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if share <= right:
            return low + (high - low) * (share - left) / max(right - left, 1e-12)
    return points[-1][1]


def tag_of(use: NetworkUse, steps: int) -> str:
    """The tag that means the same in a picture of so many steps; factors between 0 and 1 over the steps have none."""
    word = next(word for word, kind in TAGS.items() if kind == use.kind)
    if use.kind == "hypernetwork":
        return f"<{word}:{use.name}:{use.strength:g}>"
    parts = [word, use.name, f"{use.on_text:g}", f"{use.strength:g}"]
    if use.ramp:
        parts[-1] = ",".join(f"{use.strength * factor:g}@{share:g}" for share, factor in sorted(use.schedule))
    else:
        on = [step for step, strength in use.stages(steps) if strength]
        off = [step for step, strength in use.stages(steps) if not strength and on and step > on[0]]
        parts += [f"start={on[0] + 1}"] if on and on[0] else []
        parts += [f"stop={off[0] + 1}"] if off else []
    parts += [f"dyn={use.rank}"] if use.rank else []
    parts += [f"lbw={use.blocks}"] if use.blocks else []
    return f"<{':'.join(parts)}>"
