"""What is said of a picture at a step: its caption, varied by rules, in the order that kohya sd-scripts has them.

prefix and suffix; dropout; wildcards, or the first line; split into tags; warm-up, shuffling and dropout of the tags
that are not kept; joined; the second separator; replacements.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
CHOICE = re.compile(r"\{([^}]+)\}")
OPEN, CLOSED = "\ue000", "\ue001"  # private characters that stand for {{ and }} while choices are made


class CaptionRules(BaseModel):
    """How captions are varied; the names are kohya's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shuffle_caption: bool = Field(
        default=False, description="Put the tags that are not kept into another order each time."
    )
    keep_tokens: int = Field(default=0, ge=0, description="So many tags at the front stay where they are.")
    keep_tokens_separator: str = Field(
        default="", description="What stands before its first, and after its second, is kept."
    )
    caption_separator: str = Field(default=",", min_length=1, description="Parts tags.")
    secondary_separator: str = Field(
        default="", description="Joins tags that stay together; becomes the separator at the end."
    )
    enable_wildcard: bool = Field(default=False, description="Choose among {a|b}, and among the lines of a caption.")
    caption_prefix: str = Field(default="", description="Said before every caption.")
    caption_suffix: str = Field(default="", description="Said after every caption.")
    caption_dropout_rate: Rate = Field(default=0.0, description="Share of pictures of which nothing is said.")
    caption_dropout_every_n_epochs: int = Field(
        default=0, ge=0, description="Nothing is said in every so manieth epoch."
    )
    caption_tag_dropout_rate: Rate = Field(default=0.0, description="Share of the tags that are left out.")
    token_warmup_min: int = Field(default=1, ge=0, description="Tags at the first step of a warm-up.")
    token_warmup_step: float = Field(
        default=0, ge=0, description="Steps until all tags are said; below 1 a share of all steps."
    )


@dataclass(frozen=True)
class Moment:
    """When something is said."""

    step: int  # from 0
    steps: int  # of the whole training
    epoch: int  # from 1


@dataclass(frozen=True)
class Replacements:
    """Words that a method puts in place of others, such as a concept's token; "" replaces the whole caption."""

    words: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    def applied(self, caption: str, random: Random) -> str:
        for old, new in self.words.items():
            if old:
                caption = caption.replace(old, new if isinstance(new, str) else random.choice(new))
            else:
                caption = new if isinstance(new, str) else random.choice(new)
        return caption


NOTHING_REPLACED = Replacements()


def spoken(
    caption: str, rules: CaptionRules, random: Random, now: Moment, replacements: Replacements = NOTHING_REPLACED
) -> str:
    """The caption as it is at this moment; equal arguments give equal captions."""
    if rules.caption_prefix:
        caption = f"{rules.caption_prefix} {caption}"
    if rules.caption_suffix:
        caption = f"{caption} {rules.caption_suffix}"
    if dropped(rules, random, now):
        return ""
    caption = chosen(caption, random) if rules.enable_wildcard else caption.split("\n")[0]
    if rules.shuffle_caption or rules.token_warmup_step or rules.caption_tag_dropout_rate:
        caption = ", ".join(varied(caption, rules, random, now))
    if rules.secondary_separator:
        caption = caption.replace(rules.secondary_separator, rules.caption_separator)
    return replacements.applied(caption, random)


def dropped(rules: CaptionRules, random: Random, now: Moment) -> bool:
    """Whether nothing is said."""
    by_chance = rules.caption_dropout_rate > 0 and random.random() < rules.caption_dropout_rate
    every = rules.caption_dropout_every_n_epochs
    return by_chance or (every > 0 and now.epoch % every == 0)


def chosen(caption: str, random: Random) -> str:
    """One line, and one of each {a|b}; {{ and }} are braces."""
    if "\n" in caption:
        caption = random.choice(caption.split("\n"))
    caption = caption.replace("{{", OPEN).replace("}}", CLOSED)
    caption = CHOICE.sub(lambda found: random.choice(found[1].split("|")), caption)
    return caption.replace(OPEN, "{").replace(CLOSED, "}")


def varied(caption: str, rules: CaptionRules, random: Random, now: Moment) -> list[str]:
    """The tags: those that are kept, some of the others in some order, those kept at the end."""
    head, free, tail = parted(caption, rules)
    if warming := warmup_steps(rules, now):
        free = free[: math.floor(now.step * ((len(free) - rules.token_warmup_min) / warming)) + rules.token_warmup_min]
    if rules.shuffle_caption:
        random.shuffle(free)
    if rules.caption_tag_dropout_rate > 0:
        free = [tag for tag in free if random.random() >= rules.caption_tag_dropout_rate]
    return head + free + tail


def parted(caption: str, rules: CaptionRules) -> tuple[list[str], list[str], list[str]]:
    """Tags that stay at the front, tags that may move, tags that stay at the end."""
    mark = rules.keep_tokens_separator
    if mark and mark in caption:
        front, _, rest = caption.partition(mark)
        middle, _, end = rest.partition(mark)
        head, free, tail = (tags(part, rules.caption_separator) for part in (front, middle, end))
        return head, free, tail
    every = [tag.strip() for tag in caption.strip().split(rules.caption_separator)]
    return every[: rules.keep_tokens], every[rules.keep_tokens :], []


def tags(text: str, separator: str) -> list[str]:
    return [tag.strip() for tag in text.split(separator) if tag.strip()]


def warmup_steps(rules: CaptionRules, now: Moment) -> int:
    """The length of the warm-up that is under way; 0 where none is."""
    length = rules.token_warmup_step
    steps = math.floor(length * now.steps) if length < 1 else int(length)
    return steps if now.step < steps else 0
