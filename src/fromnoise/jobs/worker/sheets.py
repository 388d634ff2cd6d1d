"""Sheets of pictures: `planned` says which recipes a script makes, and a job of the kind `sheet` draws them together.

{"images": [...], "columns": ["Seed: 1", "Seed: 2"], "rows": [""], "layers": [""], "margin": 0,
 "text": "the first picture's infotext", "fields": {"Script": "X/Y/Z plot"}}

{"labels": {"Seed: 1": "种子：1"}} has what is drawn in place of labels: whoever asked may read another language.
{"sub_grids": true} has a sheet of each layer drawn besides.
With {"jobs": [...], "recipe": {...}} in place of images and text it draws what those jobs have made: it begins when no
other job of its group is left to do. A job of the kind `loopback` makes {"cells": [recipe, ...]} one from the other,
and their sheet; with {"describe_by": "wd14"} a captioner's words for what each starts from join its prompt.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fromnoise.captioners import Captions
from fromnoise.engine import library
from fromnoise.engine.generate import Generated, Step, generate
from fromnoise.engine.metadata.carrier import PARAMETERS_KEY
from fromnoise.engine.metadata.infotext import parameters, written_line
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.picture_io import open_image, save_png
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.references import ImageRef
from fromnoise.engine.sheets.drawing import draw_grid, draw_sheet
from fromnoise.engine.sheets.grids import Grid, matrix, xyz
from fromnoise.engine.sheets.lists import following, lines, turns
from fromnoise.errors import FromnoiseError, UserError
from fromnoise.jobs.job import SHEET, Result
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.thumbnails import small_jpeg
from fromnoise.jobs.worker.extensions import examine
from fromnoise.jobs.worker.finishing import captioning, folder, picture, result_of
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Desk, Moment, Task, task
from fromnoise.text.prompt_styles import Style, add_styles

GRIDS = "grids"  # a folder below the outputs
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
        return xyz(
            recipe, *axes, styles=[Style(**one) for one in given.get("styles") or ()],
            vary_seeds=str(given.get("vary_seeds") or ""), any_seeds=bool(given.get("any_seeds")),
        )  # fmt: skip
    if script == "matrix":
        return matrix(recipe, **given)
    if script == "lines":
        return lines(recipe, **given)
    if script == "loopback":
        return turns(recipe, **given)
    raise UserError(f"no script is called {script!r}")


@task(SHEET)
def sheet(body: Mapping[str, Any], desk: Desk) -> Task:
    pictures = list(body.get("images") or body.get("jobs") or ())
    if not 1 <= len(pictures) <= MOST_CELLS:
        raise UserError(f"a sheet has 1 to {MOST_CELLS} pictures")
    yield 0, len(pictures)
    if body.get("images"):
        images, missing = [open_image(picture({"picture": reference})) for reference in pictures], 0
    else:
        images, missing = made_by(pictures, desk)
    columns, rows, layers = (drawn_labels(body, name) for name in SIDES)
    margin, further = int(body.get("margin") or 0), list[Image.Image]()
    if not body.get("columns"):  # a plain grid, as near to a square as it can be
        down = round(math.sqrt(len(images)))
        across = math.ceil(len(images) / down)
        blank = [Image.new("RGB", images[0].size, "white")] * (across * down - len(images))
        drawn = draw_sheet([*images, *blank], ("",) * across, ("",) * down, margin=margin)
    else:
        if len(images) != len(columns) * len(rows) * len(layers):
            raise UserError("a sheet has a picture for each of its places")
        drawn = draw_grid(Grid(columns, rows, layers, ()), images, margin=margin)
        if body.get("sub_grids") and len(layers) > 1:
            size = len(columns) * len(rows)
            further = [
                draw_grid(Grid(columns, rows, (layer,), ()), images[i * size : (i + 1) * size], margin=margin)
                for i, layer in enumerate(layers)
            ]
    whole = kept(drawn, body, desk, {"missing": missing} if missing else {})
    return [whole, *(kept(one, body, desk, {"layer": i}, f"-{i + 1}") for i, one in enumerate(further))]


def made_by(jobs: Sequence[str], desk: Desk) -> tuple[list[Image.Image], int]:
    """The pictures of jobs, with blank ones for those that have none, and how many these are. UserError: all."""
    queue, found = Queue(desk.database), list[Image.Image | None]()
    for job in jobs:
        try:
            made = next(one for one in queue.results(str(job), desk.job.work.owner) if one.path)
            found.append(open_image(desk.outputs / str(made.path)).convert("RGB"))
        except (FromnoiseError, StopIteration, OSError):
            found.append(None)
    there = [image for image in found if image is not None]
    if not there:
        raise UserError("none of the pictures was made, so there is no sheet")
    blank = Image.new("RGB", there[0].size, "lightgrey")
    return [blank if image is None else image for image in found], len(found) - len(there)


def kept(drawn: Image.Image, body: Mapping[str, Any], desk: Desk, more: Mapping[str, Any], ending: str = "") -> Result:
    """The sheet in its file, with what says how it was made, but no recipe: none makes it."""
    fields = {str(key): str(value) for key, value in dict(body.get("fields") or {}).items()}
    text = str(body.get("text") or (parameters(Recipe.make(**body["recipe"])) if body.get("recipe") else ""))
    text = ", ".join(part for part in (text, written_line(fields.items())) if part)
    file = desk.outputs / folder(desk, GRIDS) / f"grid-{desk.job.id}{ending}.png"
    drawn = desk.marks.on(drawn)
    save_png(drawn, file, {PARAMETERS_KEY: text} if text else {})
    desk.marks.sign(file)
    return result_of(drawn, file, desk, more)


SIDES = ("columns", "rows", "layers")


def drawn_labels(body: Mapping[str, Any], side: str, count: int = 1) -> tuple[str, ...]:
    """The labels of a side, as they are drawn; `count` blank ones where it has none."""
    instead: Mapping[str, Any] = body.get("labels") or {}
    return tuple(str(instead.get(str(label), label)) for label in body.get(side) or [""] * count)


@task("loopback")
def looped(body: Mapping[str, Any], desk: Desk) -> Task:
    recipes = [Recipe.make(**cell) for cell in body.get("cells") or ()]
    if not 1 <= len(recipes) <= MOST_CELLS:
        raise UserError(f"a sheet has 1 to {MOST_CELLS} pictures")
    load = captioning(str(body["describe_by"]), None, desk) if body.get("describe_by") else None

    def run(tell: Progress) -> list[Result]:
        tell(0, 0)
        return in_turn(recipes, desk, tell, load() if load else None)

    desk.make_room()
    made = yield from with_pictures(in_steps(run), [turn_file(desk, number) for number in range(len(recipes))])
    images = [open_image(desk.outputs / str(one.path)) for one in made]
    drawn = draw_sheet(images, drawn_labels(body, "columns", len(made)), margin=int(body.get("margin") or 0))
    return [kept(drawn, body, desk, {}), *made]


def turn_file(desk: Desk, number: int) -> Path:
    """Where the picture of a turn is written."""
    return desk.outputs / folder(desk, "") / f"loopback-{desk.job.id}-{number + 1:03}.png"


def with_pictures(
    steps: Generator[tuple[int, int], None, list[Result]], files: Sequence[Path]
) -> Generator[tuple[int, int] | Moment, None, list[Result]]:
    """The same steps, each file shown when it has come."""
    shown = 0
    try:
        while True:
            done, of = next(steps)
            there = sum(file.is_file() for file in files)
            yield Moment(done, of, preview=small_jpeg(files[there - 1])) if there > shown else (done, of)
            shown = there
    except StopIteration as stop:
        made: list[Result] = stop.value
        return made
    finally:
        steps.close()


def in_turn(recipes: Sequence[Recipe], desk: Desk, tell: Progress, describe: Captions | None = None) -> list[Result]:
    """Each picture from the one before it. Those that an earlier attempt has written are taken as they are."""
    made: list[Result] = []
    first = recipes[0]
    model, *others = (
        library.load(one, desk.placement, settings=desk.settings, budget=desk.memory)
        for one in (Weights.of(first), *Weights.others(first))
    )
    refiner = others[0] if others else None
    previous: ImageRef | None = first.init
    for number, recipe in enumerate(recipes):
        file = turn_file(desk, number)
        wanted = recipe if not made else following(recipe, desk.outputs / str(made[-1].path))
        if not file.is_file():
            if describe and wanted.init:
                start = picture({"picture": wanted.init.model_dump(mode="json")})
                (told,) = describe([open_image(start).convert("RGB")])
                wanted = wanted.but(prompt=add_styles(wanted.prompt, [told.text]))

            def watch(_: int, step: Step, before: int = number) -> None:
                tell(before * step.count + min(step.index, step.count - 1) + 1, len(recipes) * step.count)

            one: Generated = next(generate(model, [wanted], refiner=refiner, watch=watch))
            image, _ = examine(one.image, one.recipe)
            save_png(desk.marks.on(image), file, texts(one.recipe, desk.placement.device, one.company))
            desk.marks.sign(file)
        carried = read_any(file).recipe
        more: dict[str, Any] = {"recipe": carried.model_dump(mode="json", exclude_none=True)}
        more |= {"parent": previous.sha256} if previous else {}
        result = result_of(open_image(file), file, desk, more)
        previous = ImageRef(path=str(file), sha256=str(result.sha256))
        made.append(result)
    return made
