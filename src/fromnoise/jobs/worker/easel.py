"""Pictures under way in a worker: those of one model side by side, a step at a time."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from fromnoise.allocator import trim
from fromnoise.engine import generate, library
from fromnoise.engine.behind import worthwhile
from fromnoise.engine.company import written
from fromnoise.engine.executor import Executor
from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import Step
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement
from fromnoise.engine.previews import Previewer
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.room import make_room
from fromnoise.engine.trace import Look, Tracer
from fromnoise.errors import UserError, is_out_of_memory
from fromnoise.jobs.job import Job
from fromnoise.jobs.leases import Update
from fromnoise.jobs.traces import Part, TracedStep, Traces
from fromnoise.jobs.worker.kept import Kept
from fromnoise.sampling.guidance import Picture
from fromnoise.sampling.resume import Recording
from fromnoise.settings import Settings

SPARING = 10  # a network's previews take one part in so many of the time


@dataclass
class Drawing:
    """A picture under way."""

    job: Job
    maker: generate.Job
    recording: Recording
    steps: int = 0  # there will be, or nearly
    denoised: Tensor | None = None  # the newest guess of the clean latents
    previewed: float = 0.0  # when, by the monotonic clock
    kept_at: float = field(default_factory=time.monotonic)
    kept: int = 0
    tracer: Tracer | None = None
    resumed: bool = False
    company: str = ""  # the batches that it was made in, once it is finished

    @property
    def step(self) -> int:
        return len(self.recording.answers)

    @property
    def aside(self) -> bool:
        """Whether the picture is better decoded while others are drawn."""
        return worthwhile(self.maker.last)

    def finished(self, latents: Tensor) -> Image.Image:
        """The picture of latents (1 c h w)."""
        with torch.inference_mode():
            return self.maker.finish(latents)

    def watch(self, step: Step) -> None:
        self.steps, self.denoised = step.count, step.denoised
        if self.tracer is not None:
            self.tracer.watch(step)

    def picture(self) -> Picture:
        """The coroutine that makes it."""
        made = self.maker.picture(self.watch, self.recording)
        return made if self.tracer is None else self.tracer.listening(made)


@dataclass
class Easel:
    """Holds the models of one affinity and the pictures that are made with them."""

    placement: Placement
    settings: Settings
    kept: Kept
    max_batch: int = 8
    budget: int | None = None  # bytes of memory for each model
    preview_every: float = 0.5
    clock: Callable[[], float] = time.monotonic
    traces: Traces | None = None
    affinity: str | None = None
    models: tuple[Model, Model | None] | None = None
    previewer: Previewer | None = None
    preview_cost: float = 0.0  # seconds that the last one took
    executor: Executor[str] | None = None
    drawings: dict[str, Drawing] = field(default_factory=dict)

    def start(self, job: Job) -> None:
        """Begin a picture, or go on with it. UserError where its recipe can't be done."""
        asked = Recipe.from_table(job.work.body)
        model, refiner = self._models(job, asked)
        recipe = fitted(asked, model.defaults)
        make_room([*(drawing.maker.recipe for drawing in self.drawings.values()), recipe], model, refiner)
        maker = generate.Job(model, recipe, refiner)
        drawing = Drawing(job, maker, self.kept.load(job.id) if job.kept else Recording())
        assert self.executor is not None
        if job.work.trace and self.traces is not None:
            assert self.previewer is not None
            drawing.tracer = Tracer(model, recipe, self.previewer, partial(kept_look, self.traces, job.id))
        with torch.inference_mode():
            try:
                self.executor.add(job.id, drawing.picture())
            except UserError:  # what was kept belongs to another picture
                drawing.recording = Recording()
                self.executor.add(job.id, drawing.picture())
        drawing.kept, drawing.resumed = drawing.step, drawing.step > 0
        self.drawings[job.id] = drawing

    def _models(self, job: Job, recipe: Recipe) -> tuple[Model, Model | None]:
        """The models of a recipe; those of another affinity are let go first."""
        if self.models is None or self.affinity != job.work.affinity:
            self.models = self.previewer = self.executor = None
            named = [Weights.of(recipe), *Weights.others(recipe)]
            model, *more = (
                library.load(name, self.placement, settings=self.settings, budget=self.budget) for name in named
            )
            self.models, self.affinity = (model, more[0] if more else None), job.work.affinity
            self.previewer = Previewer(model)
            self.executor = Executor(model, self.max_batch, self.models[1])
        return self.models

    def step(self) -> dict[str, Tensor]:
        """Advance every picture by one evaluation; the latents of those that have ended."""
        assert self.executor is not None
        with torch.inference_mode():
            return dict(self.executor.step())

    def updates(self) -> list[Update]:
        """How far pictures are, some with a preview."""
        return [Update(d.job.id, d.step, max(d.steps, d.step), self._preview(d)) for d in self.drawings.values()]

    def _preview(self, drawing: Drawing) -> bytes | None:
        now = self.clock()
        if not self.preview_every or drawing.denoised is None or now - drawing.previewed < self.preview_every:
            return None
        assert self.previewer is not None
        if self.previewer.tiny is not None and now - drawing.previewed < self.preview_cost * (SPARING - 1):
            return None
        try:
            preview = self.previewer.jpeg(drawing.denoised)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            drawing.previewed = float("inf")  # the picture goes on without
            self.tidy()
            return None
        drawing.previewed = self.clock()
        self.preview_cost = drawing.previewed - now
        return preview

    def taken(self, job: str) -> Drawing:
        """A drawing whose latents are there, off the easel. FileError or UserError where they may be no numbers."""
        batches = self.executor.company.get(job, []) if self.executor is not None else []
        drawing = self.drop(job)
        drawing.company = "" if drawing.resumed else written(batches)
        if self.executor is not None and (error := self.executor.doubts.look()) is not None:
            raise error
        return drawing

    @property
    def sound(self) -> bool:
        """Whether all answers so far are numbers; waits for a GPU to have them."""
        return self.executor is None or self.executor.doubts.look() is None

    def keep(self, drawing: Drawing) -> int:
        """Write down what a picture could go on from; the step."""
        self.kept.save(drawing.job.id, drawing.recording)
        drawing.kept, drawing.kept_at = drawing.step, self.clock()
        return drawing.kept

    def drop(self, job: str) -> Drawing:
        """Take a picture off the easel."""
        if self.executor is not None:
            self.executor.cancel(job)
        return self.drawings.pop(job)

    def let_go(self) -> None:
        """Forget the models, which others want the memory of. Nothing is under way."""
        self.models = self.previewer = self.executor = self.affinity = None
        self.tidy()

    def clear(self) -> list[Drawing]:
        """Take all off the easel after a failure, whose tensors may fill the device; who they were."""
        dropped = [self.drop(job) for job in list(self.drawings)]
        if self.models is not None:
            self.executor = Executor(self.models[0], self.max_batch, self.models[1])
        self.tidy()
        return dropped

    def tidy(self) -> None:
        """Give back the device's memory that nothing uses."""
        if self.placement.device.type == "cpu":
            trim()
        else:
            torch.get_device_module(self.placement.device).empty_cache()


def kept_look(traces: Traces, job: str, look: Look) -> None:
    """Write down what there is to see of a step; without room on the disk nothing is shown."""
    maps = [] if look.maps is None else [Image.fromarray(one) for one in (look.maps * 255).round().byte().numpy()]
    first = look.channels[0]
    step = TracedStep(
        look.index, look.sigma, first.width, first.height, len(look.channels),
        tuple(word.text for word in look.words), *(maps[0].size if maps else (0, 0)),
    )  # fmt: skip
    images: dict[Part, list[Image.Image]] = {
        "predicted": [look.predicted], "noisy": [look.noisy], "noise": [look.noise],
        "channels": list(look.channels), "attention": maps,
    }  # fmt: skip
    with suppress(OSError):
        traces.write(job, step, images)
