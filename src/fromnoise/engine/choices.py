"""Random choices in prompts, made before a recipe is: the recipe holds what was chosen, and so do its pictures."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fromnoise.engine.recipe import Recipe
from fromnoise.text.prompt_random import expand, may_choose
from fromnoise.text.prompt_weights import PromptWarning


def with_choices_made(recipe: Recipe, wildcards: Sequence[Path] = ()) -> tuple[Recipe, tuple[PromptWarning, ...]]:
    """The recipe with `{a|b}` and `__name__` in its prompts replaced by what its seed chooses, and what was odd.

    `wildcards` are the folders of the lists. All prompts of a recipe choose alike: the same text becomes the same
    everywhere.

    >>> with_choices_made(Recipe(prompt="a {red|red} apple", seed=1))[0].prompt
    'a red apple'
    """
    warnings: list[PromptWarning] = []

    def chosen(text: str) -> str:
        expanded = expand(text, recipe.seed, wildcards)
        warnings.extend(expanded.warnings)
        return expanded.text

    return recipe.but(**reworded(recipe, chosen)), tuple(warnings)


def has_choices(recipe: Recipe) -> bool:
    """Whether any prompt of a recipe might be changed by `with_choices_made`."""
    return any(map(may_choose, texts(recipe)))


def texts(recipe: Recipe) -> Iterator[str]:
    """All prompts of a recipe."""
    for holder in (recipe, recipe.hires, recipe.inversion):
        if holder is not None:
            yield from (text for text in (holder.prompt, holder.negative) if text is not None)
    yield from (region.prompt for region in (recipe.regional.regions if recipe.regional else ()))


def reworded(recipe: Recipe, change: Callable[[str], str]) -> dict[str, object]:
    """The fields of a recipe that hold prompts, each of these changed."""
    found: dict[str, object] = {"prompt": change(recipe.prompt), "negative": change(recipe.negative)}
    for name in ("hires", "inversion"):
        part = getattr(recipe, name)
        if part is not None:
            own = {side: change(text) for side in ("prompt", "negative") if (text := getattr(part, side)) is not None}
            found[name] = part.model_copy(update=own).model_dump()
    if recipe.regional is not None:
        regions = [region.model_copy(update={"prompt": change(region.prompt)}) for region in recipe.regional.regions]
        found["regional"] = recipe.regional.model_copy(update={"regions": tuple(regions)}).model_dump()
    return found
