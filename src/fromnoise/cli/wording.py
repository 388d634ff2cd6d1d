"""Styles, and choices made in prompts, before a recipe is: the recipe holds the prompts as they came to be."""

from collections.abc import Iterable
from pathlib import Path

from fromnoise import settings
from fromnoise.cli.messages import say, translated
from fromnoise.cli.options import Order
from fromnoise.cli.progress import note
from fromnoise.engine import shelves
from fromnoise.engine.choices import has_choices, with_choices_made
from fromnoise.engine.prompt_warnings import oddities
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UnknownName
from fromnoise.text.prompt_styles import Style, add_styles, read_styles

HERE = "styles.csv"  # in the current folder, as AUTOMATIC1111 keeps it in its own
FOLDER = "wildcards"


def with_styles(recipe: Recipe, order: Order) -> Recipe:
    """The recipe with the texts of the styles that were named merged into its prompts, as AUTOMATIC1111 merges them.

    UnknownName, or FileError where the file of styles can't be read.
    """
    if not order.style:
        return recipe
    known = {style.name: style for file in style_files(order) for style in read_styles(file)}
    chosen = [style_named(name, known) for name in order.style]
    positive, negative = [style.prompt for style in chosen], [style.negative_prompt for style in chosen]
    changes: dict[str, object] = {
        "prompt": add_styles(recipe.prompt, positive),
        "negative": add_styles(recipe.negative, negative),
    }
    if (hires := recipe.hires) is not None:
        own = {"prompt": (hires.prompt, positive), "negative": (hires.negative, negative)}
        said = {name: add_styles(text, texts) for name, (text, texts) in own.items() if text is not None}
        changes["hires"] = hires.model_copy(update=said).model_dump()
    return recipe.but(**changes)


def style_named(name: str, known: dict[str, Style]) -> Style:
    if name not in known:
        raise UnknownName("style", name, known)
    return known[name]


def style_files(order: Order) -> list[Path]:
    """The file that was named, or those there are; where a name is in several, the last one counts."""
    if order.styles is not None:
        return [order.styles]
    here = [Path(HERE)] if Path(HERE).is_file() else []
    return [*reversed(shelves.listed("styles", settings.read())), *here]


def chosen(recipes: Iterable[Recipe], order: Order) -> list[Recipe]:
    """The recipes with `{a|b}` and `__name__` in their prompts replaced by what their seeds choose.

    What is odd in the prompts is told, once.
    """
    recipes = list(recipes)
    if not order.as_written and any(map(has_choices, recipes)):
        folders = wildcard_folders(order)
        made = [with_choices_made(recipe, folders) for recipe in recipes]
        for warning in dict.fromkeys(warning for _, warnings in made for warning in warnings):
            note(say("note: {warning}", warning=translated(warning.message)), order.quiet)
        recipes = [recipe for recipe, _ in made]
    tell_oddities(recipes, order.quiet)
    return recipes


def tell_oddities(recipes: Iterable[Recipe], quiet: bool) -> None:
    """A line for each thing in prompts that is not what their writer will have meant."""
    for odd in dict.fromkeys(odd for recipe in recipes for odd in oddities(recipe)):
        text = say(
            "{prompt}, character {position}, {excerpt!r}: {warning}",
            prompt=odd.field, position=odd.position + 1, excerpt=odd.excerpt, warning=translated(odd.message),
        )  # fmt: skip
        note(say("note: {warning}", warning=text), quiet)


def wildcard_folders(order: Order) -> list[Path]:
    """The folder that was named, or those there are, the first of them first."""
    if order.wildcards is not None:
        return [order.wildcards]
    return [Path(FOLDER), *(shelf.folder for shelf in shelves.shelves("wildcards", settings.read()))]
