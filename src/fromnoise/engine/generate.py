"""From a recipe to a picture. START READING HERE.

Recipe -> generate -> sampler        yields  Evaluate(x, sigma)       and is sent back  denoised
                        guidance     yields  [NetworkCall, ...]       and is sent back  their outputs
                          executor   packs the calls of one or many pictures into one batch -> U-Net
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.behind import Behind, worthwhile
from fromnoise.engine.beside import enlarging, with_faces
from fromnoise.engine.checks import check, check_options
from fromnoise.engine.company import written
from fromnoise.engine.control import finished
from fromnoise.engine.control_networks import with_hashes
from fromnoise.engine.enlarge import (
    enlarged_image,
    enlarged_latents,
    latent_upscaler,
    upscaler,
)
from fromnoise.engine.executor import Executor
from fromnoise.engine.guides import has_momentum, seamless
from fromnoise.engine.images import to_image, to_tensor
from fromnoise.engine.inverting import Inverting
from fromnoise.engine.library import Model
from fromnoise.engine.noting import noted, noted_files
from fromnoise.engine.passes import Pass, Progress, orders
from fromnoise.engine.picture_notes import with_picture_hashes
from fromnoise.engine.prepare import Preparation, in_order
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.redraw import Redrawing, with_size
from fromnoise.engine.room import make_room
from fromnoise.engine.start import Start, begun
from fromnoise.engine.step_reuse import reusing, whole_until
from fromnoise.sampling.guidance import Picture, drive
from fromnoise.sampling.resume import Recording, resumable
from fromnoise.sampling.samplers import Sampler


@dataclass(frozen=True)
class Step:
    """What can be seen after one evaluation of the model."""

    index: int  # of the evaluation, from 0
    count: int  # evaluations there will be, or nearly
    x: Tensor  # (1 c h w) the noisy latents
    sigma: Tensor  # () their noise level
    denoised: Tensor  # (1 c h w) the guess of the clean latents


Watch = Callable[[int, Step], None]  # (number of the recipe, step)


@dataclass(frozen=True)
class Generated:
    """A finished picture."""

    index: int  # of its recipe among those asked for
    recipe: Recipe
    image: Image.Image
    company: str = ""  # the batches that it was made in; see company.py


@torch.inference_mode()
def generate(
    model: Model,
    recipes: Sequence[Recipe],
    *,
    refiner: Model | None = None,
    watch: Watch | None = None,
    recordings: Sequence[Recording] | None = None,
    max_batch: int = 8,
) -> Iterator[Generated]:
    """Make the pictures side by side; each is yielded as it is finished.

    `refiner` is the second model of recipes that name one: a refiner's, or that of their second pass. `watch` is told
    of every evaluation. `recordings`, one a recipe, make pictures that can be stopped and resumed.
    """
    make_room(recipes, model, refiner)
    executor = Executor[int](model, max_batch, refiner)
    resumed = [bool(recording.answers) for recording in recordings or ()]
    jobs = [Job(model, recipe, refiner) for recipe in recipes]
    for i, job in enumerate(jobs):
        recording = recordings[i] if recordings else None
        executor.add(i, job.picture(None if watch is None else partial(watch, i), recording))
    with Behind[Generated](model.placement.device) as behind:
        for i, latents in executor.run():
            company = "" if any(resumed[i : i + 1]) else written(executor.company.pop(i))
            behind.add(partial(jobs[i].generated, i, latents, company), aside=worthwhile(model))
            yield from behind.ready()
        yield from behind.rest()


class Job:
    """One recipe on one model: its inputs as tensors, and what to do with its latents."""

    def __init__(self, model: Model, recipe: Recipe, refiner: Model | None = None) -> None:
        check(model, recipe, refiner)
        model = replace(model, vae_changes=(*model.vae_changes, *seamless(recipe)))
        self.model, self.refiner = model, refiner
        first = orders(recipe)[0]
        self.recipe = with_picture_hashes(model, recipe).but(
            model_hash=model.sha256,
            dtype=model.placement.dtype_name,
            schedule=Preparation(model, recipe).schedule(first),
            networks=noted(model, recipe),
            **noted_files(model, recipe),
        )
        if refiner is not None and recipe.refiner is not None:
            self.recipe = self.recipe.but(
                refiner=recipe.refiner.model_copy(update={"model_hash": refiner.sha256}).model_dump()
            )
        hires = self.recipe.hires
        check_options(self.recipe)
        self.last = model  # decodes the result
        if refiner is not None and hires is not None and hires.model is not None:
            self.last = replace(refiner, vae_changes=(*refiner.vae_changes, *seamless(recipe)))
            self.recipe = self.recipe.but(hires={**hires.model_dump(), "model_hash": refiner.sha256})
        self.recipe = with_hashes(model, self.recipe)
        self.redrawn: Image.Image | None = None  # the picture of a redraw, when it is finished
        self.start: Start | None = None
        if self.recipe.redraw is not None:
            self.recipe = with_size(self.recipe)
        else:
            self.start = begun(model, self.recipe, Preparation(model, self.recipe).seeding(first))

    @property
    def latents(self) -> Tensor | None:
        """(1 c h w), the start picture's; None where the picture starts from noise."""
        return None if self.start is None else self.start.latents

    def picture(self, watch: Callable[[Step], None] | None, recording: Recording | None) -> Picture:
        """The coroutine of network calls that ends in the picture's latents."""
        preparation = Preparation(self.model, self.recipe, self.refiner)
        if self.recipe.redraw is not None:
            redrawing = Redrawing(self.model, self.recipe, self.refiner, preparation.progress)
            sampler, count = self._redrawn(redrawing), redrawing.evaluations
        else:
            passes = in_order(orders(self.recipe), preparation, self.start)
            inverting = preparation.inverting(self.start)
            sampler = self._sampler(passes, inverting, preparation.progress)
            count = sum(one.evaluations for one in passes) + (inverting.evaluations if inverting else 0)
        answered = 0
        if recording is not None:
            if has_momentum(self.recipe):  # which is not recorded: the picture begins anew
                recording.clear()
            recording.shorten(whole_until(self.recipe, len(recording.answers)))
            answered = len(recording.answers)
            sampler = resumable(sampler, recording)
        guide = reusing(preparation.progress.guide, self.recipe, preparation.progress)

        def observe(index: int, x: Tensor, sigma: Tensor, denoised: Tensor) -> None:
            if watch is not None:
                watch(Step(index, count, x, sigma, denoised))

        return drive(sampler, guide, observe, answered)

    def generated(self, index: int, latents: Tensor, company: str) -> Generated:
        return Generated(index, self.recipe, self.finish(latents), company)

    def finish(self, latents: Tensor) -> Image.Image:
        """Decode; where the mask is black, the start picture's own pixels come back."""
        if self.redrawn is not None:
            return finished(self._with_faces(self.redrawn), self.model, self.recipe, None)
        image = finished(self._with_faces(self._decoded(latents, self.last)), self.model, self.recipe, self.start)
        return image if self.start is None else self.start.finished(image, self.recipe, latents)

    def _with_faces(self, image: Image.Image) -> Image.Image:
        """As AUTOMATIC1111 does: before colours are matched and what was kept comes back."""
        wanted = self.recipe.restore_faces
        return image if wanted is None else with_faces(self.model, image, wanted)

    def _redrawn(self, redrawing: Redrawing) -> Sampler:
        """All tiles of a redraw as one sampler; there are no latents of the whole."""
        self.redrawn = yield from redrawing.painting()
        return torch.empty(0)

    def _sampler(self, passes: Sequence[Pass], inverting: Inverting | None, progress: Progress) -> Sampler:
        """All passes as one sampler, so that a stopped picture goes on in whichever it was."""
        first, *later = passes
        if inverting is not None and self.latents is not None:
            found = yield from inverting.sampler(self.latents.to(first.starting.device), first.starting, progress)
            first = replace(first, starting=found)
        latents = yield from first.sampler(self.latents, progress)
        for one in later:
            latents = yield from one.sampler(self._enlarged(latents), progress)
        return latents

    def _enlarged(self, latents: Tensor) -> Tensor:
        """Latents of the second pass's size."""
        hires = self.recipe.hires
        assert hires is not None
        factor = self.model.vae.config.downscale
        width, height = hires.size(self.recipe.width, self.recipe.height)
        if by := latent_upscaler(hires.upscaler):
            return enlarged_latents(latents, height // factor, width // factor, by)
        through = upscaler(hires.upscaler, self.model.settings)
        small = self._decoded(latents, self.model)
        image = enlarging(self.model, through, lambda how: enlarged_image(small, height, width, through, how))
        second = orders(self.recipe)[1]
        return Preparation(self.model, self.recipe, self.refiner).of(second).encoded(to_tensor(image), second.words)

    def _decoded(self, latents: Tensor, by: Model) -> Image.Image:
        return to_image(by.decode(latents), down=not PROFILES[self.recipe.profile].round_pixels)

    def _inpaint_channels(self) -> Tensor:
        """(1 c+1 h w): what an inpainting model is shown besides the noisy latents."""
        return Preparation(self.model, self.recipe).inpaint_channels(orders(self.recipe)[0].words, self.start)
