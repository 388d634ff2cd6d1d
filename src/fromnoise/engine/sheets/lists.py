"""Lists of recipes: prompts from a file, and loopback."""

import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.sheets.axes import sampler_change, schedule_named
from fromnoise.engine.sheets.grids import Grid
from fromnoise.errors import UserError

MAX_LINES = 10_000
MAX_COPIES = 1000
Position = Literal["instead", "start", "end"]
Curve = Literal["aggressive", "linear", "lazy"]

FIELDS = {  # AUTOMATIC1111's options of a line that are a field of the recipe
    "prompt": "prompt",
    "negative_prompt": "negative",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "guidance_scale",
    "width": "width",
    "height": "height",
    "sd_model": "model",
    "denoising_strength": "strength",
}
COPIES = ("batch_size", "n_iter")
WITHOUT_EFFECT = ("outpath_samples", "outpath_grids", "prompt_for_display", "do_not_save_samples", "do_not_save_grid")
OPTIONS = (*FIELDS, "sampler_name", "sampler_index", "scheduler", *COPIES, *WITHOUT_EFFECT)


def lines(recipe: Recipe, text: str, *, position: Position = "instead", count_seeds: bool = False) -> Grid:
    """`from_lines` in a row, each below its prompt."""
    return in_a_row(
        [(made.prompt, made) for made in from_lines(recipe, text, position=position, count_seeds=count_seeds)]
    )


def turns(recipe: Recipe, loops: int = 4, final_strength: float = 0.5, curve: Curve = "aggressive") -> Grid:
    """`loopback` in a row, each turn below its strength."""
    made = loopback(recipe, loops, final_strength, curve)
    return in_a_row([(f"{i}: {turn.strength:.2g}", turn) for i, turn in enumerate(made, 1)])


def in_a_row(cells: Sequence[tuple[str, Recipe]]) -> Grid:
    """A grid of one row."""
    return Grid(tuple(label for label, _ in cells), ("",), ("",), tuple(recipe for _, recipe in cells))


def from_lines(recipe: Recipe, text: str, *, position: Position = "instead", count_seeds: bool = False) -> list[Recipe]:
    """A recipe for each line: a prompt, or options such as `--prompt "a cat" --steps 5` that change `recipe`.

    The prompt takes the place of the recipe's, or stands at its start or end. `count_seeds`: each line has the next
    seed. UserError names the line that is wrong.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError("there are no prompts; write one on each line")
    if len(lines) > MAX_LINES:
        raise UserError(f"{len(lines)} lines; at most {MAX_LINES} are read")
    made: list[Recipe] = []
    for number, line in lines:
        try:
            base = recipe.but(seed=(recipe.seed + len(made)) % (MAX_SEED + 1)) if count_seeds else recipe
            made += from_options(base, line, position) if line.startswith("--") else [placed(base, line, position)]
        except UserError as error:
            raise UserError(f"line {number}: {error}") from error
    return made


def placed(recipe: Recipe, prompt: str, position: Position) -> Recipe:
    """`recipe` with `prompt` in its place."""
    order = {"instead": [prompt], "start": [prompt, recipe.prompt], "end": [recipe.prompt, prompt]}[position]
    return recipe.but(prompt=" ".join(part for part in order if part))


def from_options(recipe: Recipe, line: str, position: Position) -> list[Recipe]:
    """What a line of options makes of `recipe`: several recipes where it asks for more than one picture."""
    copies = 1
    for name, value in read_options(line):
        if name == "prompt":
            recipe = placed(recipe, value, position)
        elif name in ("sampler_name", "sampler_index"):
            recipe = sampler_change(value)(recipe)
        elif name == "scheduler":
            recipe = recipe.but(schedule=schedule_named(value))
        elif name in COPIES:
            copies *= whole(name, value)
        elif name in FIELDS and not (name == "seed" and value == "-1"):
            recipe = recipe.but(**{FIELDS[name]: value})
    if copies > MAX_COPIES:
        raise UserError(f"{copies} pictures of one line; at most {MAX_COPIES} are made")
    return [recipe.but(seed=(recipe.seed + i) % (MAX_SEED + 1)) for i in range(copies)]


def read_options(line: str) -> list[tuple[str, str]]:
    """Names and values of `--name value --name value`; the words up to the next option belong together."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UserError("a quote is not closed") from error
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            found.append((word.removeprefix("--").replace("-", "_"), []))
        else:
            found[-1][1].append(word)
    for name, values in found:
        if name not in OPTIONS:
            raise UserError(f"unknown option --{name}; there are {', '.join('--' + known for known in OPTIONS)}")
        if not values and name not in WITHOUT_EFFECT:
            raise UserError(f"--{name} needs a value")
    return [(name, " ".join(values)) for name, values in found]


def whole(name: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value[:9]) <= MAX_COPIES:
        raise UserError(f"--{name} {value}: give a number from 1 to {MAX_COPIES}")
    return int(value)


CURVES: dict[Curve, Callable[[float], float]] = {
    "aggressive": lambda progress: math.sin(progress * math.pi / 2),
    "linear": lambda progress: progress,
    "lazy": lambda progress: 1 - math.cos(progress * math.pi / 2),
}


def loopback(recipe: Recipe, loops: int = 4, final_strength: float = 0.5, curve: Curve = "aggressive") -> list[Recipe]:
    """A recipe for each turn: each starts from the picture before it (see `following`), with the next seed.

    The strength goes from the recipe's to `final_strength` along `curve`, as in AUTOMATIC1111's script. Without a
    start picture the first turn starts from noise.
    """
    if not 1 <= loops <= MAX_COPIES:
        raise UserError(f"{loops} loops: choose 1 to {MAX_COPIES}")
    change = final_strength - recipe.strength
    shares = [CURVES[curve](i / (loops - 1)) if loops > 1 else 0.0 for i in range(loops)]
    return [
        recipe.but(
            seed=(recipe.seed + i) % (MAX_SEED + 1), strength=min(1.0, max(0.0, recipe.strength + change * share))
        )
        for i, share in enumerate(shares)
    ]


def following(recipe: Recipe, picture: Path) -> Recipe:
    """The turn `recipe` on the picture that the turn before it made."""
    return recipe.but(init=ImageRef.of(picture))
