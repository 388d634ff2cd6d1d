"""Grids of recipes: X/Y/Z plots and prompt matrices."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fromnoise.engine.axis_values import any_seed
from fromnoise.engine.recipe import MAX_SEED, Recipe
from fromnoise.engine.sheets.axes import AXES, Point, points_of
from fromnoise.errors import UserError
from fromnoise.text.prompt_styles import Style

MAX_CELLS = 10_000
MAX_PARTS = 10  # of a prompt matrix, besides the first: 1024 pictures

SPLIT = re.compile(r"(\\.)|([\[{(<])|([\]})>])|(\|)", re.DOTALL)


@dataclass(frozen=True)
class Grid:
    """Recipes in layers (z) of rows (y) of columns (x), and what to write beside them; no labels: one of its kind."""

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    layers: tuple[str, ...]
    cells: tuple[Recipe, ...]  # layer by layer, row by row

    def index(self, layer: int, row: int, column: int) -> int:
        """Of a cell in `cells`."""
        return (layer * len(self.rows) + row) * len(self.columns) + column

    def by_model(self) -> list[int]:
        """The indices of the cells, those of the same model one after the other: loading is what takes long."""
        first = {recipe.model: i for i, recipe in reversed(list(enumerate(self.cells)))}
        return sorted(range(len(self.cells)), key=lambda i: first[self.cells[i].model])


Axis = tuple[str, str] | None  # name and values


def xyz(
    recipe: Recipe, x: Axis = None, y: Axis = None, z: Axis = None, *, styles: Sequence[Style] = (),
    vary_seeds: str = "", any_seeds: bool = False,
) -> Grid:  # fmt: skip
    """`recipe` with every combination of values. Samplers and prompts are changed before what is set in them.

    Along the axes that `vary_seeds` names, such as "xz", each place has the next seed; x counts fastest. With
    `any_seeds` each cell has a seed that nobody chose, unless an axis says otherwise.

    UserError or UnknownName where an axis, a value or a combination is wrong.
    """
    axes = [points_of(*axis, styles) if axis else [Point("", lambda same: same)] for axis in (x, y, z)]
    count = len(axes[0]) * len(axes[1]) * len(axes[2])
    if count > MAX_CELLS:
        raise UserError(f"{count} pictures; a sheet has {MAX_CELLS} at most")
    cells = tuple(changed(recipe, (column, row, layer)) for layer in axes[2] for row in axes[1] for column in axes[0])
    if any_seeds and not any(axis and AXES.canonical(axis[0]) == "seed" for axis in (x, y, z)):
        cells = tuple(cell.but(seed=any_seed()) for cell in cells)
    ahead = seeds_ahead([len(points) for points in axes], vary_seeds)
    cells = tuple(
        cell.but(seed=(cell.seed + more) % (MAX_SEED + 1)) if more else cell
        for cell, more in zip(cells, ahead, strict=True)
    )
    columns, rows, layers = (tuple(point.label for point in points) for points in axes)
    return Grid(columns, rows, layers, cells)


def seeds_ahead(sizes: Sequence[int], varied: str) -> list[int]:
    """How far the seed of each cell is ahead of the first one's, cells in their order.

    >>> seeds_ahead([2, 3, 1], "y"), seeds_ahead([2, 2, 1], "xy")
    ([0, 0, 1, 1, 2, 2], [0, 1, 2, 3])
    """
    across, down, deep = sizes
    wide = across if "x" in varied else 1
    high = wide * (down if "y" in varied else 1)
    return [
        column * ("x" in varied) + row * wide * ("y" in varied) + layer * high * ("z" in varied)
        for layer in range(deep) for row in range(down) for column in range(across)
    ]  # fmt: skip


def changed(recipe: Recipe, points: Sequence[Point]) -> Recipe:
    for point in points:
        recipe = point.change(recipe)
    return recipe


def matrix(
    recipe: Recipe,
    *,
    side: Literal["prompt", "negative"] = "prompt",
    at_start: bool = False,
    delimiter: str = ", ",
    different_seeds: bool = False,
) -> Grid:
    """AUTOMATIC1111's prompt matrix: of `always|this|that`, the first part with every choice of the others.

    A bar inside brackets belongs to the prompt. `at_start` puts the chosen parts before the first one.
    """
    always, *parts = split_bars(getattr(recipe, side))
    if not parts:
        if side == "negative":
            raise UserError("the negative prompt has no parts; write them as always|this|that")
        raise UserError("the prompt has no parts; write them as always|this|that")
    if len(parts) > MAX_PARTS:
        raise UserError(f"{len(parts)} parts make {2 ** len(parts)} pictures; give {MAX_PARTS} at most")
    labels = [part.strip().strip(",").strip() for part in parts]
    across = (len(parts) + 1) // 2  # the first half of the parts changes along the columns
    cells = []
    for number in range(2 ** len(parts)):
        chosen = [label for bit, label in enumerate(labels) if number >> bit & 1]
        text = delimiter.join([*chosen, always] if at_start else [always, *chosen])
        seed = (recipe.seed + number * different_seeds) % (MAX_SEED + 1)
        cells.append(recipe.but(**{side: text, "seed": seed}))
    return Grid(combinations(labels[:across]), combinations(labels[across:]), ("",), tuple(cells))


def combinations(labels: Sequence[str]) -> tuple[str, ...]:
    """What each column or row has of `labels`; the first has none.

    >>> combinations(["a", "b"])
    ('-', 'a', 'b', 'a + b')
    """
    if not labels:
        return ("",)
    chosen = ([label for bit, label in enumerate(labels) if n >> bit & 1] for n in range(2 ** len(labels)))
    return tuple(" + ".join(some) or "-" for some in chosen)


def split_bars(prompt: str) -> list[str]:
    """The parts of `prompt` between bars that stand outside all brackets."""
    parts, start, depth = [], 0, 0
    for match in SPLIT.finditer(prompt):
        depth = max(0, depth + bool(match[2]) - bool(match[3]))
        if match[4] and depth == 0:
            parts.append(prompt[start : match.start()])
            start = match.end()
    return [*parts, prompt[start:]]
