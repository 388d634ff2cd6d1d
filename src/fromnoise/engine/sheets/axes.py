"""What can change along an axis of a sheet: every plain field of the recipe, and a few things more.

A package adds its own with `@AXES.register` or by the entry point `fromnoise.axes`. Names are those of the recipe;
AUTOMATIC1111's labels are aliases.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, Union, get_args, get_origin

from fromnoise.engine.axis_values import integers, numbers, seeds, words
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UnknownName, UserError
from fromnoise.registry import Registry
from fromnoise.sampling.samplers import resolve
from fromnoise.sampling.schedules import SCHEDULES
from fromnoise.text.prompt_styles import Style, add_styles

STYLES = "styles"
MAX_ORDERED = 6  # words of Prompt order: 720 orders
Values = Literal["whole", "number", "truth", "words", "none"]


@dataclass(frozen=True)
class Point:
    """One value of an axis."""

    label: str
    change: Callable[[Recipe], Recipe]


@dataclass(frozen=True)
class Axis:
    """Reads the values of an axis."""

    name: str
    label: str
    points: Callable[[str], Sequence[Point]]  # of the text that the user typed; UserError where it is wrong
    values: Values = "words"
    choices: tuple[str, ...] = ()  # all that a value can be, where these are few
    among: str = ""  # or the list that values are names of: samplers, schedules, upscalers, profiles, checkpoints


AXES: Registry[Axis] = Registry("axis", entry_points="fromnoise.axes")

LABELS = {  # AUTOMATIC1111's, of the recipe's fields
    "steps": "Steps",
    "guidance_scale": "CFG Scale",
    "image_guidance_scale": "Image CFG Scale",
    "model": "Checkpoint name",
    "clip_skip": "Clip skip",
    "strength": "Denoising",
    "drop_penultimate": "Always discard next-to-last sigma",
}
OPTIONS = {
    "eta": "Eta",
    "s_churn": "Sigma Churn",
    "s_tmin": "Sigma min",
    "s_tmax": "Sigma max",
    "s_noise": "Sigma noise",
}
AMONG = {"model": "checkpoints", "profile": "profiles", "init_upscaler": "upscalers"}
TRUTHS = ("false", "true")
OF_THEIR_OWN = {"seed", "prompt", "negative", "sampler", "schedule", "model_hash", "dtype"}


def axis(
    name: str, label: str, values: Values = "words", *, choices: tuple[str, ...] = (), among: str = ""
) -> Callable[[Callable[[str], Sequence[Point]]], Callable[[str], Sequence[Point]]]:
    """Register a function from typed values to points; the label is an alias."""

    def register(points: Callable[[str], Sequence[Point]]) -> Callable[[str], Sequence[Point]]:
        made = Axis(name, label, points, values, choices, among)
        AXES.add(name, made, (label,) if label.lower() != name else ())
        return points

    return register


def points_of(name: str, values: str, styles: Sequence[Style] = ()) -> list[Point]:
    """The points of the named axis, labelled "Axis: value"; UnknownName, or UserError where there are no values.

    `styles` are those that the axis of styles can name.
    """
    chosen = AXES[name]
    points = style_points(values, styles) if chosen.name == STYLES else list(chosen.points(values))
    if not points:
        raise UserError(f"axis {chosen.label} has no values; give some, such as 1, 2, 3")
    return [Point(f"{chosen.label}: {point.label}", point.change) for point in points]


def setting(field: str, value: object, label: str | None = None) -> Point:
    """The recipe with one field changed."""
    return Point(str(value) if label is None else label, lambda recipe: recipe.but(**{field: value}))


def plain_type(annotation: Any) -> Any:
    """bool, int, float or str under Optional and Annotated; None for other types."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        return plain_type(inner[0]) if len(inner) == 1 else None
    if get_origin(annotation) is Literal:
        return str
    return annotation if annotation in (bool, int, float, str) else None


def literals(annotation: Any) -> tuple[str, ...]:
    """What a field can be, where its type lists it."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(word for inner in get_args(annotation) for word in literals(inner))
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


KINDS: dict[type, Values] = {int: "whole", float: "number", bool: "truth", str: "words"}


def read_values(kind: type, text: str) -> list[Any]:
    """Values of a field of type `kind`."""
    if kind is int:
        return list(integers(text))
    if kind is float:
        return list(numbers(text))
    if kind is bool:
        return [truth(word) for word in words(text)]
    return list(words(text))


def truth(word: str) -> bool:
    if word.lower() not in ("true", "false", "yes", "no", "1", "0"):
        raise UserError(f"{word!r} is neither true nor false")
    return word.lower() in ("true", "yes", "1")


def add_fields() -> None:
    """An axis for every plain field of the recipe."""
    for name, info in Recipe.model_fields.items():
        kind = plain_type(info.annotation)
        if kind is None or name in OF_THEIR_OWN:
            continue

        def points(text: str, name: str = name, kind: type = kind) -> list[Point]:
            shown = "{:g}".format if kind is float else str
            return [setting(name, value, shown(value)) for value in read_values(kind, text)]

        label = LABELS.get(name, name.replace("_", " ").capitalize())
        choices = TRUTHS if kind is bool else literals(info.annotation)
        axis(name, label, KINDS[kind], choices=choices, among=AMONG.get(name, ""))(points)


def add_options() -> None:
    """An axis for each option that samplers share; samplers without it are left as they are."""
    for option, label in OPTIONS.items():

        def points(text: str, option: str = option) -> list[Point]:
            return [Point(f"{value:g}", with_option(option, value)) for value in numbers(text)]

        axis(option, label, "number")(points)


def with_option(option: str, value: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.but(sampler_options={**recipe.sampler_options, option: value})


add_fields()
add_options()


@axis("seed", "Seed", "whole")
def all_seeds(text: str) -> list[Point]:
    """Seeds; -1 is any."""
    return [setting("seed", seed) for seed in seeds(text)]


@axis("nothing", "Nothing", "none")
def nothing(text: str) -> list[Point]:
    """A single point that changes nothing."""
    return [Point(text.strip(), lambda recipe: recipe)]


@axis(STYLES, "Styles", among="styles")
def no_styles(text: str) -> list[Point]:
    """None is known here; `points_of` is given those there are."""
    return style_points(text, ())


def style_points(text: str, styles: Sequence[Style]) -> list[Point]:
    """Styles by name, several of them as "ink, soft" in quotes; None is none."""
    known = {style.name: style for style in styles}
    return [Point(word, styled([part.strip() for part in word.split(",")], known)) for word in words(text)]


def styled(names: Sequence[str], known: Mapping[str, Style]) -> Callable[[Recipe], Recipe]:
    """Both prompts with the texts of styles. UnknownName."""
    names = [name for name in names if name.lower() not in ("", "none")]
    if lacking := next((name for name in names if name not in known), None):
        raise UnknownName("style", lacking, known)
    positive, negative = [known[name].prompt for name in names], [known[name].negative_prompt for name in names]
    return lambda recipe: recipe.but(
        prompt=add_styles(recipe.prompt, positive), negative=add_styles(recipe.negative, negative)
    )


@axis("sampler", "Sampler", among="samplers")
def samplers(text: str) -> list[Point]:
    """Samplers by any name; "DPM++ 2M Karras" sets the schedule too."""
    return [Point(word, sampler_change(word)) for word in words(text)]


def sampler_change(word: str) -> Callable[[Recipe], Recipe]:
    name, schedule = resolve(word)
    changes = {"sampler": name, **({"schedule": schedule} if schedule else {})}
    return lambda recipe: recipe.but(**changes)


@axis("schedule", "Schedule type", among="schedules")
def schedules(text: str) -> list[Point]:
    """Schedules by any name; Automatic is the sampler's own."""
    return [setting("schedule", schedule_named(word), word) for word in words(text)]


def schedule_named(word: str) -> str | None:
    return None if word.lower() == "automatic" else SCHEDULES.canonical(word)


@axis("size", "Size")
def sizes(text: str) -> list[Point]:
    """Widths and heights: 512x768, 768x512."""
    return [Point(word, size_change(word)) for word in words(text)]


def size_change(word: str) -> Callable[[Recipe], Recipe]:
    width, _, height = word.lower().replace("×", "x").partition("x")
    if not (width.strip().isdigit() and height.strip().isdigit()):
        raise UserError(f"{word!r} is no size; give width and height in pixels, such as 512x768")
    return lambda recipe: recipe.but(width=int(width), height=int(height))


@axis("prompt_sr", "Prompt S/R")
def search_and_replace(text: str) -> list[Point]:
    """The first value is searched for in both prompts; each of them, the first too, takes its place in turn."""
    found = words(text)
    return [Point(word, replacing(found[0], word)) for word in found]


def replacing(search: str, word: str) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        if search not in recipe.prompt and search not in recipe.negative:
            raise UserError(f"Prompt S/R: {search!r} is neither in the prompt nor in the negative prompt")
        return recipe.but(prompt=recipe.prompt.replace(search, word), negative=recipe.negative.replace(search, word))

    return change


@axis("prompt_order", "Prompt order")
def prompt_order(text: str) -> list[Point]:
    """The given words of the prompt in every order."""
    found = words(text)
    if len(found) > MAX_ORDERED:
        raise UserError(f"{len(found)} words have too many orders; give {MAX_ORDERED} at most")
    return [Point(", ".join(order), ordering(found, order)) for order in permutations(found)]


def ordering(found: Sequence[str], order: Sequence[str]) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        return recipe.but(prompt=reordered(recipe.prompt, found, order))

    return change


def reordered(prompt: str, found: Sequence[str], order: Sequence[str]) -> str:
    """`prompt` with the first places of the `found` words filled by `order`."""
    places = []
    for word in found:
        start = prompt.find(word)
        if start < 0:
            raise UserError(f"Prompt order: {word!r} is not in the prompt")
        places.append((start, start + len(word)))
    text, end = "", 0
    for (start, stop), word in zip(sorted(places), order, strict=True):
        if start < end:
            raise UserError("Prompt order: the words overlap")
        text += prompt[end:start] + word
        end = stop
    return text + prompt[end:]
