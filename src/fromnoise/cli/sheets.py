"""`fromnoise grid`, `matrix`, `from-file` and `loopback`: many pictures from one recipe, and their sheet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from fromnoise.cli.drafting import drafted
from fromnoise.cli.elsewhere import at_work, copied, made
from fromnoise.cli.make import Observer
from fromnoise.cli.messages import say
from fromnoise.cli.models import Models, names
from fromnoise.cli.options import Order
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import Report, note, progress
from fromnoise.cli.service import Service
from fromnoise.cli.wording import chosen, style_files
from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import Generated, generate
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.metadata.carrier import PARAMETERS_KEY, SOFTWARE_KEY
from fromnoise.engine.metadata.infotext import parameters, quoted
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.sheets.axes import AXES
from fromnoise.engine.sheets.drawing import draw_grid, missing_characters
from fromnoise.engine.sheets.grids import Axis, Grid, matrix, xyz
from fromnoise.engine.sheets.lists import Curve, following, lines, turns
from fromnoise.errors import FileError, UserError
from fromnoise.text.prompt_styles import read_styles

TOGETHER = 4  # pictures made side by side
MAX_FILE = 2_000_000  # bytes of prompts
Plan = Callable[[Recipe], Grid]


@dataclass(frozen=True)
class Sheet:
    """What to draw besides the pictures."""

    script: dict[str, str]  # fields for the infotext of the sheet, as AUTOMATIC1111's scripts write them
    each: bool
    font: Path | None
    in_turn: bool = False  # each picture starts from the one before it


def draw_xyz(order: Order, axes: Sequence[str | None], each: bool, font: Path | None) -> None:
    """A plot over up to three axes, each written as NAME=VALUES."""
    chosen = [read_axis(axis) for axis in axes]
    if not any(chosen):
        raise UserError(say("give an axis, such as --x {example}; there are {known}", example='"steps=10, 20, 30"',
                            known=", ".join(AXES)))  # fmt: skip
    script = {"Script": "X/Y/Z plot"}
    for letter, axis in zip("XYZ", chosen, strict=True):
        script |= {f"{letter} Type": AXES[axis[0]].label, f"{letter} Values": axis[1]} if axis else {}
    styles = [style for file in style_files(order) for style in read_styles(file)]
    draw(order, lambda recipe: xyz(recipe, *chosen, styles=styles), Sheet(script, each, font))


def read_axis(text: str | None) -> Axis:
    """Name and values."""
    if text is None:
        return None
    name, equals, values = text.partition("=")
    if not equals:
        raise UserError(say("axis {text}: write it as NAME=VALUES, such as {example}", text=text, example="seed=1-3"))
    return name.strip(), values


def draw_matrix(order: Order, negative: bool, at_start: bool, seeds: bool, each: bool, font: Path | None) -> None:
    """Every choice of the parts of a prompt."""
    side: Literal["prompt", "negative"] = "negative" if negative else "prompt"

    def plan(recipe: Recipe) -> Grid:
        return matrix(recipe, side=side, at_start=at_start, different_seeds=seeds)

    draw(order, plan, Sheet({"Script": "Prompt matrix"}, each, font))


def draw_file(order: Order, file: Path, count_seeds: bool, font: Path | None) -> None:
    """A picture for each line of a file."""
    try:
        text = file.read_bytes()[:MAX_FILE].decode("utf-8-sig")
    except OSError as error:
        raise FileError(say("{path}: can't be read ({reason})", path=file, reason=error.strerror)) from error
    except UnicodeDecodeError as error:
        raise FileError(say("{path}: is not text in UTF-8", path=file)) from error

    def plan(recipe: Recipe) -> Grid:
        return lines(recipe, text, count_seeds=count_seeds)

    draw(order, plan, Sheet({"Script": "Prompts from file"}, True, font))


def draw_loopback(order: Order, loops: int, final_strength: float, curve: Curve, font: Path | None) -> None:
    """Each picture made from the one before it."""

    def plan(recipe: Recipe) -> Grid:
        return turns(recipe, loops, final_strength, curve)

    script = {"Script": "Loopback", "Final denoising strength": f"{final_strength:g}", "Denoising curve": curve}
    draw(order, plan, Sheet(script, True, font, in_turn=True))


def draw(order: Order, plan: Plan, sheet: Sheet) -> None:
    """Make the pictures of a plan, write the sheet, and print the paths, that of the sheet last."""
    draft, destination = drafted(order), Destination.of(order.out)
    destination.check()
    grid = plan(draft)  # mistakes show before a model is loaded
    service, base, models = at_work(order, draft, *grid.cells), draft, None
    if service is None:
        models = Models.of_order(order)
        base = fitted(draft, models.of(draft)[0].defaults)
        grid = plan(base)
    grid = replace(grid, cells=tuple(chosen(grid.cells, order)))
    warn_of_letters(grid, sheet.font, order.quiet)
    note(say("{count} pictures", count=len(grid.cells)), order.quiet)
    if service is not None:
        note(say("a server is running and does it; --local works here"), order.quiet)
    images: dict[int, Image.Image] = {}
    written: dict[int, Path] = {}
    try:
        with progress(order.quiet) as report:
            if models is not None:
                cells = make_all(grid, models, Observer(report, len(grid.cells), keep=False), sheet, destination)
            elif service is not None:
                cells = make_there(grid, service, report, sheet, destination)
            for cell in cells:
                images[cell.index] = cell.image
                written |= {cell.index: cell.path} if cell.path else {}
                if service is not None:
                    base = base.but(**{name: getattr(cell.recipe, name) for name in grid.cells[cell.index].unsaid})
        whole = draw_grid(grid, [images[i] for i in range(len(images))], font=sheet.font)
        with destination.claimed(destination.stem(base.prompt, base.seed, None)) as path:
            save_png(whole, path, sheet_texts(base, sheet.script))
            written[len(images)] = path
    finally:
        for i in sorted(written):
            print(written[i], flush=True)


@dataclass(frozen=True)
class Cell:
    """A picture of a sheet."""

    index: int
    image: Image.Image
    path: Path | None  # where it is written by itself
    recipe: Recipe  # as it was made


def make_there(
    grid: Grid, service: Service, report: Report, sheet: Sheet, destination: Destination
) -> Iterator[Cell]:  # fmt: skip
    """All pictures, by a server's workers."""
    previous: Path | None = None
    order, count = grid.by_model(), len(grid.cells)
    for before, together in enumerate([[index] for index in range(count)] if sheet.in_turn else [order]):
        recipes = [grid.cells[index] for index in together]
        if previous is not None:
            recipes = [following(recipes[0], previous)]

        def tell(done: int, total: int, before: int = before, share: int = count // len(together)) -> None:
            report(before * total + done, total * share)

        for number, result in made(service, recipes, tell):
            index, recipe = together[number], recipes[number]
            path = copied(service, result, recipe, destination, index + 1) if sheet.each else None
            previous = path if sheet.in_turn else None
            image = open_image(service.outputs / str(result.path))
            yield Cell(index, image, path, Recipe.from_table(result.data["recipe"]))


def make_all(
    grid: Grid, models: Models, observer: Observer, sheet: Sheet, destination: Destination
) -> Iterator[Cell]:  # fmt: skip
    """All pictures, model by model, a few side by side, each with its file where they are written by themselves."""
    previous: Path | None = None
    for together in chunks(grid, 1 if sheet.in_turn else TOGETHER):
        recipes = [grid.cells[i] for i in together]
        if previous is not None:
            recipes = [following(recipes[0], previous)]
        model, refiner = models.of(recipes[0])
        for done in generate(model, recipes, refiner=refiner, watch=observer):
            index = together[done.index]
            path = write(done, index, model.placement.device, destination) if sheet.each else None
            previous = path if sheet.in_turn else None
            yield Cell(index, done.image, path, done.recipe)


def chunks(grid: Grid, size: int) -> list[list[int]]:
    """Indices of cells that are made side by side: at most `size`, of the same models."""
    found: list[list[int]] = []
    for i in grid.by_model():
        if found and len(found[-1]) < size and names(grid.cells[found[-1][0]]) == names(grid.cells[i]):
            found[-1].append(i)
        else:
            found.append([i])
    return found


def write(made: Generated, index: int, device: torch.device, destination: Destination) -> Path:
    """Write one picture of a sheet; its path."""
    stem = destination.stem(made.recipe.prompt, made.recipe.seed, index + 1)
    with destination.claimed(stem) as path:
        save_png(made.image, path, texts(made.recipe, device, made.company))
    return path


def sheet_texts(base: Recipe, script: dict[str, str]) -> dict[str, str]:
    """A sheet carries the infotext of its plan, but no recipe: none makes it."""
    carried = texts(base)
    fields = ", ".join(f"{key}: {quoted(value)}" for key, value in script.items())
    return {PARAMETERS_KEY: f"{parameters(base)}, {fields}", SOFTWARE_KEY: carried[SOFTWARE_KEY]}


def warn_of_letters(grid: Grid, font: Path | None, quiet: bool) -> None:
    """Say which letters of the labels no font here has."""
    if lacking := missing_characters((*grid.columns, *grid.rows, *grid.layers), font):
        note(
            say("no font here has {letters}: they show as boxes; install one, such as Noto Sans CJK, or give --font",
                letters=lacking[:20]),
            quiet,
        )  # fmt: skip
