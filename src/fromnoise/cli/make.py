"""`fromnoise "a red apple"`: from options to recipes, through the engine, to files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fromnoise.cli.contact_sheet import contact_sheet
from fromnoise.cli.drafting import drafted, numbered
from fromnoise.cli.elsewhere import at_work, made_there, stopped
from fromnoise.cli.failures import Stopped
from fromnoise.cli.messages import say
from fromnoise.cli.models import Models
from fromnoise.cli.options import Order
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import Report, note, progress
from fromnoise.cli.wording import chosen
from fromnoise.engine import library
from fromnoise.engine.behind import Behind
from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import Generated, Step, generate
from fromnoise.engine.images import save_png
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import Recipe
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

TOGETHER = 4  # pictures made side by side; more of them take more memory and come later


def make_pictures(order: Order, batch: int = 1, watch: bool = False) -> None:
    """Make what was ordered and print the paths, each on a line of its own on stdout.

    Whatever can be known to be wrong is, before a model is loaded. Ctrl-C keeps the pictures that are finished.
    """
    draft = drafted(order)
    destination = Destination.of(order.out)
    destination.check()
    if not watch and (service := at_work(order, draft)) is not None:
        made_there(service, chosen(numbered(draft, batch), order), destination, order.quiet)
        return
    models = Models.of_order(order)
    models.check(draft)
    written: list[Path] = []
    try:
        began = time.perf_counter()
        recipes = chosen(numbered(fitted(draft, models.of(draft)[0].defaults), batch), order)
        note(summary(recipes[0], models.of(draft)[0]), order.quiet)
        draw(models, recipes, destination, watch, written)
        note(say("done in {seconds:.1f} s", seconds=time.perf_counter() - began), order.quiet)
    except KeyboardInterrupt:
        raise Stopped(stopped(len(written), batch)) from None
    finally:
        print(*written, sep="\n", end="\n" if written else "", flush=True)


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


def draw(models: Models, recipes: Sequence[Recipe], destination: Destination, watch: bool, written: list[Path]) -> None:
    """Make the pictures, a few at a time; each is written while others are drawn, and then its path joins `written`.

    What is finished is written, whatever ends the work.
    """
    model, refiner = models.of(recipes[0])
    with progress(models.quiet) as report, Behind[Path]() as files:
        observer = Observer(report, len(recipes), watch)
        try:
            for start in range(0, len(recipes), TOGETHER):
                observer.predictions.clear()
                for made in generate(model, recipes[start : start + TOGETHER], refiner=refiner, watch=observer):
                    number = None if len(recipes) == 1 else start + made.index + 1
                    predictions = observer.predictions.get(made.index)
                    sheet = contact_sheet(model, predictions) if predictions else None
                    work = partial(write, made, sheet, destination, number, model.placement.device)
                    files.add(work, aside=len(recipes) > 1)
                    written.extend(files.ready(TOGETHER))
        finally:
            written.extend(files.rest())


def write(
    made: Generated, sheet: Image.Image | None, destination: Destination, number: int | None, device: torch.device
) -> Path:
    """Write a picture and its contact sheet; the path of the picture."""
    carried = texts(made.recipe, device, made.company)
    with destination.claimed(destination.stem(made.recipe.prompt, made.recipe.seed, number)) as path:
        save_png(made.image, path, carried)
    if sheet is not None:
        with destination.claimed(f"{path.stem}-watch") as beside:
            save_png(sheet, beside, carried)
    return path
