"""Sheets of pictures: `planned` says which recipes a script makes, and a job of the kind `sheet` draws them together.

{"images": [...], "columns": ["Seed: 1", "Seed: 2"], "rows": [""], "layers": [""], "margin": 0,
 "text": "the first picture's infotext", "fields": {"Script": "X/Y/Z plot"}}
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from fromnoise.engine.metadata.carrier import PARAMETERS_KEY
from fromnoise.engine.metadata.infotext import written_line
from fromnoise.engine.picture_io import open_image, save_png
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.sheets.drawing import draw_grid, draw_sheet
from fromnoise.engine.sheets.grids import Grid, matrix, xyz
from fromnoise.engine.sheets.lists import from_lines, loopback
from fromnoise.errors import UserError
from fromnoise.jobs.worker.finishing import folder, picture, result_of
from fromnoise.jobs.worker.tasks import Desk, Task, task

KIND, GRIDS = "sheet", "grids"
MOST_CELLS = 500  # of one plan: what one owner may have waiting


def planned(body: Mapping[str, Any]) -> dict[str, Any]:
    """The recipes of a script, as JSON, with their labels. UserError."""
    grid = plan_of(Recipe.from_table(body["recipe"]), body)
    if len(grid.cells) > MOST_CELLS:
        raise UserError(f"{len(grid.cells)} pictures are too many: at most {MOST_CELLS} can be asked for at once")
    cells = [recipe.to_table() for recipe in grid.cells]
    return {"columns": grid.columns, "rows": grid.rows, "layers": grid.layers, "cells": cells}


def plan_of(recipe: Recipe, body: Mapping[str, Any]) -> Grid:
    script, given = str(body["script"]), dict(body.get("given") or {})
    if script == "xyz":
        axes = [tuple(axis) if axis else None for axis in given["axes"]]
        return xyz(recipe, *axes)
    if script == "matrix":
        return matrix(recipe, **given)
    if script == "lines":
        return in_a_row(from_lines(recipe, **given))
    if script == "loopback":
        return in_a_row(loopback(recipe, **given))
    raise UserError(f"no script is called {script!r}")


def in_a_row(cells: Sequence[Recipe]) -> Grid:
    return Grid(tuple("" for _ in cells), ("",), ("",), tuple(cells))


@task(KIND)
def sheet(body: Mapping[str, Any], desk: Desk) -> Task:
    pictures = list(body.get("images") or ())
    if not 1 <= len(pictures) <= MOST_CELLS:
        raise UserError(f"a sheet has 1 to {MOST_CELLS} pictures")
    yield 0, len(pictures)
    images = [open_image(picture({"picture": reference})) for reference in pictures]
    columns, rows, layers = (tuple(str(label) for label in body.get(name) or ("",)) for name in SIDES)
    margin = int(body.get("margin") or 0)
    if not body.get("columns"):  # a plain grid, as near to a square as it can be
        down = round(math.sqrt(len(images)))
        across = math.ceil(len(images) / down)
        blank = [Image.new("RGB", images[0].size, "white")] * (across * down - len(images))
        drawn = draw_sheet([*images, *blank], ("",) * across, ("",) * down, margin=margin)
    else:
        if len(images) != len(columns) * len(rows) * len(layers):
            raise UserError("a sheet has a picture for each of its places")
        drawn = draw_grid(Grid(columns, rows, layers, ()), images, margin=margin)
    fields = {str(key): str(value) for key, value in dict(body.get("fields") or {}).items()}
    text = ", ".join(part for part in (str(body.get("text") or ""), written_line(fields.items())) if part)
    file = desk.outputs / folder(desk, GRIDS) / f"grid-{desk.job.id}.png"
    save_png(drawn, file, {PARAMETERS_KEY: text} if text else {})
    return [result_of(drawn, file, desk, {})]


SIDES = ("columns", "rows", "layers")
