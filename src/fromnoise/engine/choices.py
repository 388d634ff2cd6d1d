"""Random choices in prompts, made before a recipe is: the recipe holds what was chosen, and so do its pictures."""

from pathlib import Path

from fromnoise.engine.recipe import Recipe
from fromnoise.text.prompt_random import expand
from fromnoise.text.prompt_weights import PromptWarning


def with_choices_made(recipe: Recipe, wildcards: Path | None = None) -> tuple[Recipe, tuple[PromptWarning, ...]]:
    """The recipe with `{a|b}` and `__name__` in its prompts replaced by what its seed chooses, and what was odd.

    `wildcards` is the folder of the lists. Prompt, negative prompt and those of a second pass choose alike: the same
    text becomes the same everywhere.

    >>> with_choices_made(Recipe(prompt="a {red|red} apple", seed=1))[0].prompt
    'a red apple'
    """
    warnings: list[PromptWarning] = []

    def chosen(text: str) -> str:
        expanded = expand(text, recipe.seed, wildcards)
        warnings.extend(expanded.warnings)
        return expanded.text

    changes: dict[str, object] = {"prompt": chosen(recipe.prompt), "negative": chosen(recipe.negative)}
    hires = recipe.hires
    if hires is not None:
        own = {name: text for name in ("prompt", "negative") if (text := getattr(hires, name)) is not None}
        changes["hires"] = hires.model_copy(update={name: chosen(text) for name, text in own.items()}).model_dump()
    return recipe.but(**changes), tuple(warnings)
