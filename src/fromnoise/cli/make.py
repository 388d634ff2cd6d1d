"""`fromnoise "a red apple"`: from options to recipes, through the engine, to files."""

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fromnoise import settings
from fromnoise.cli.contact_sheet import contact_sheet
from fromnoise.cli.failures import Stopped
from fromnoise.cli.messages import say
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import Report, note, progress
from fromnoise.engine import library
from fromnoise.engine.generate import Generated, Step, generate
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.memory import place
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.errors import UserError
from fromnoise.sampling.samplers import SAMPLERS, resolve
from fromnoise.sampling.schedules import SCHEDULES

TOGETHER = 4  # pictures made side by side; more of them take more memory and come later
RANDOM_SEEDS = 2**32
IMG2IMG_STRENGTH = 0.75
SIZE = re.compile(r"\s*(\d{1,6})\s*(?:[xX×*]\s*(\d{1,6})\s*)?")


@dataclass(frozen=True)
class Order:
    """What the command line asked for, not yet checked."""

    prompt: str
    negative: str
    size: str | None
    seed: int | None
    batch: int
    init: Path | None
    strength: float | None
    mask: Path | None
    model: str
    steps: int
    guidance: float | None
    sampler: str
    schedule: str | None
    clip_skip: int | None
    out: str | None
    watch: bool
    quiet: bool
    device: str | None
    dtype: str | None


def make_pictures(order: Order) -> None:
    """Make what was ordered and print the paths, each on a line of its own on stdout.

    Whatever can be known to be wrong is, before the model is loaded. Ctrl-C keeps the pictures that are finished.
    """
    draft = drafted(order)
    destination = Destination.of(order.out)
    destination.check()
    placement = place(order.device, order.dtype)
    here = settings.read()
    library.find(order.model, here)
    written: list[Path] = []
    try:
        began = time.perf_counter()
        note(say("loading {model} ...", model=order.model), order.quiet)
        model = library.load(order.model, placement, settings=here)
        recipes = numbered(fitted(draft, order, model), order.batch)
        note(summary(recipes[0], model), order.quiet)
        for path in finished(model, recipes, destination, order):
            written.append(path)
        note(say("done in {seconds:.1f} s", seconds=time.perf_counter() - began), order.quiet)
    except KeyboardInterrupt:
        raise Stopped(stopped(len(written), order.batch)) from None
    finally:
        print(*written, sep="\n", end="\n" if written else "", flush=True)


def stopped(written: int, wanted: int) -> str:
    if not written:
        return say("stopped; nothing was written")
    return say("stopped; {written} of {wanted} pictures are finished", written=written, wanted=wanted)


def drafted(order: Order) -> Recipe:
    """The recipe but for what only the model can tell; a UserError where it is wrong already."""
    sampler, schedule = resolve(order.sampler)
    width, height = sides(order.size) if order.size else (None, None)
    if order.strength is not None and order.init is None:
        raise UserError(say("--strength needs a start picture: give one with --init"))
    optional = {
        "width": width,
        "height": height,
        "guidance_scale": order.guidance,
        "strength": order.strength if order.strength is not None or order.init is None else IMG2IMG_STRENGTH,
        "clip_skip": order.clip_skip,
        "schedule": SCHEDULES.canonical(order.schedule) if order.schedule else schedule,
        "init": reference(order.init),
        "mask": reference(order.mask),
    }
    return Recipe.make(
        prompt=order.prompt,
        negative=order.negative,
        model=order.model,
        seed=secrets.randbelow(RANDOM_SEEDS) if order.seed is None else order.seed,
        steps=order.steps,
        sampler=sampler,
        **{name: value for name, value in optional.items() if value is not None},
    )


def sides(size: str) -> tuple[int, int]:
    """Width and height of "512x768", or of "512", a square; UserError for anything else."""
    found = SIZE.fullmatch(size)
    if found is None:
        raise UserError(say("--size {size}: give width and height in pixels, such as 512x768", size=size))
    return int(found[1]), int(found[2] or found[1])


def reference(path: Path | None) -> ImageRef | None:
    """A picture to start from, known to be readable."""
    if path is None:
        return None
    open_image(path)
    return ImageRef.of(path)


def fitted(draft: Recipe, order: Order, model: library.Model) -> Recipe:
    """The recipe with the model's own defaults where nothing was said."""
    changes: dict[str, object] = {}
    if order.guidance is None:
        changes["guidance_scale"] = model.defaults.guidance_scale
    if order.size is None:
        side = model.defaults.size
        shape = open_image(order.init).size if order.init else (side, side)
        changes["width"], changes["height"] = native_size(shape, side)
    return draft.but(**changes)


def native_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height in the proportions of `shape`, about as many pixels as the model was trained on, in eights."""
    scale = side / (shape[0] * shape[1]) ** 0.5
    width, height = (max(8, round(length * scale / 8) * 8) for length in shape)
    return width, height


def numbered(recipe: Recipe, count: int) -> list[Recipe]:
    """The same with seed, seed + 1, ... (after the highest seed comes 0)."""
    return [recipe.but(seed=(recipe.seed + i) % (MAX_SEED + 1)) for i in range(count)]


def summary(recipe: Recipe, model: library.Model) -> str:
    """What is about to be made, with all that is needed to make it again."""
    spec = SAMPLERS[recipe.sampler]
    return say(
        "seed {seed}, {width}x{height}, {steps} steps of {sampler} ({schedule}), on {device} in {dtype}",
        seed=recipe.seed,
        width=recipe.width,
        height=recipe.height,
        steps=recipe.steps,
        sampler=spec.label,
        schedule=SCHEDULES[recipe.schedule or model.schedule(recipe.sampler)].label,
        device=model.placement.device,
        dtype=model.placement.dtype_name,
    )


@dataclass
class Observer:
    """Counts the evaluations of all pictures and keeps their predictions, if they are wanted."""

    report: Report
    pictures: int
    keep: bool
    done: int = 0
    predictions: dict[int, list[Tensor]] = field(default_factory=dict)  # of the pictures under way

    def __call__(self, index: int, step: Step) -> None:
        self.done += 1
        self.report(self.done, max(self.done, step.count * self.pictures))
        if self.keep:
            self.predictions.setdefault(index, []).append(step.denoised)


def finished(model: library.Model, recipes: Sequence[Recipe], destination: Destination, order: Order) -> Iterator[Path]:
    """The path of each picture as it is written, a few pictures at a time."""
    with progress(order.quiet) as report:
        observer = Observer(report, len(recipes), order.watch)
        for start in range(0, len(recipes), TOGETHER):
            observer.predictions.clear()
            for made in generate(model, recipes[start : start + TOGETHER], watch=observer):
                number = None if len(recipes) == 1 else start + made.index + 1
                predictions = observer.predictions.get(made.index)
                sheet = contact_sheet(model, predictions) if predictions else None
                yield write(made, sheet, destination, number, model.placement.device)


def write(
    made: Generated, sheet: Image.Image | None, destination: Destination, number: int | None, device: torch.device
) -> Path:
    """Write a picture and its contact sheet; the path of the picture."""
    carried = texts(made.recipe, device)
    carried = texts(made.recipe, device)
    with destination.claimed(destination.stem(made.recipe.prompt, made.recipe.seed, number)) as path:
        save_png(made.image, path, carried)
    if sheet is not None:
        with destination.claimed(f"{path.stem}-watch") as beside:
            save_png(sheet, beside, carried)
    return path
