"""What is odd in a recipe's prompts: read as text or left out, and where. No torch: the server tells it, too."""

from collections.abc import Iterator
from dataclasses import dataclass

from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.text.prompt import parse

AROUND = 12  # characters that are shown on each side
MAX_TOLD = 50


@dataclass(frozen=True)
class Oddity:
    """Something in a prompt that is not what its writer will have meant."""

    field: str  # of the recipe: prompt, negative, hires.prompt, regional.regions.0.prompt
    position: int  # characters before it
    message: str
    excerpt: str  # the text around it


def oddities(recipe: Recipe) -> tuple[Oddity, ...]:
    """All of a recipe's prompts, each read as its profile reads it."""
    return tuple(found for field, text, negative in prompts(recipe) for found in odd(recipe, field, text, negative))[
        :MAX_TOLD
    ]


def prompts(recipe: Recipe) -> Iterator[tuple[str, str, bool]]:
    """Field, text, and whether it is what not to see."""
    holders = [("", recipe), ("hires.", recipe.hires), ("inversion.", recipe.inversion)]
    for prefix, holder in holders:
        if holder is not None:
            sides = (("prompt", holder.prompt, False), ("negative", holder.negative, True))
            yield from ((prefix + name, text, negative) for name, text, negative in sides if text)
    for index, region in enumerate(recipe.regional.regions if recipe.regional else ()):
        yield f"regional.regions.{index}.prompt", region.prompt, False


def odd(recipe: Recipe, field: str, text: str, negative: bool) -> Iterator[Oddity]:
    """What is odd in one prompt, in order."""
    profile = PROFILES[recipe.profile]
    tags = not negative or profile.dialect != "a1111"
    for at, message in parse(text, profile.dialect, compose=not negative, weights=profile.weights, tags=tags).warnings:
        start, end = max(0, at - AROUND), at + AROUND
        shown = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
        yield Oddity(field, at, message, " ".join(shown.split()))
