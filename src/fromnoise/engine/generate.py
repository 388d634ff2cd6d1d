"""From a recipe to a picture. START READING HERE.

Recipe -> generate -> sampler        yields  Evaluate(x, sigma)       and is sent back  denoised
                        guidance     yields  [NetworkCall, ...]       and is sent back  their outputs
                          executor   packs the calls of one or many pictures into one batch -> U-Net
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.conditioning import Prompts, encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.images import fitted, mask_tensor, open_image, to_image, to_tensor
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.guidance import Guidance, Picture, classifier_free, drive, instruct_pix2pix, keep
from fromnoise.sampling.noise import NativeNoise, Purpose, philox_normal
from fromnoise.sampling.resume import Recording, resumable
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import sigmas_for


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


@torch.inference_mode()
def generate(
    model: Model,
    recipes: Sequence[Recipe],
    *,
    watch: Watch | None = None,
    recordings: Sequence[Recording] | None = None,
    max_batch: int = 8,
) -> Iterator[Generated]:
    """Make the pictures side by side; each is yielded as it is finished.

    `watch` is told of every evaluation. `recordings`, one a recipe, make pictures that can be stopped and resumed.
    """
    executor = Executor[int](model, max_batch)
    jobs = [Job(model, recipe) for recipe in recipes]
    for i, job in enumerate(jobs):
        recording = recordings[i] if recordings else None
        executor.add(i, job.picture(None if watch is None else partial(watch, i), recording))
    for i, latents in executor.run():
        yield Generated(i, jobs[i].recipe, jobs[i].finish(latents))


class Job:
    """One recipe on one model: its inputs as tensors, and what to do with its latents."""

    def __init__(self, model: Model, recipe: Recipe) -> None:
        check(model, recipe)
        self.model = model
        self.recipe = recipe.but(
            model_hash=model.sha256,
            dtype=model.placement.dtype_name,
            schedule=recipe.schedule or model.schedule(recipe.sampler),
        )
        factor = model.vae.config.downscale
        self.shape = (1, model.vae.config.latent_channels, recipe.height // factor, recipe.width // factor)
        self.init = opened(recipe.init, recipe)
        self.mask = opened(recipe.mask, recipe)
        self.latents = self._encoded(to_tensor(self.init)) if self.init else None

    def picture(self, watch: Callable[[Step], None] | None, recording: Recording | None) -> Picture:
        """The coroutine of network calls that ends in the picture's latents."""
        recipe, spec = self.recipe, SAMPLERS[self.recipe.sampler]
        sigmas = sigmas_for(
            recipe.schedule or self.model.schedule(recipe.sampler),
            self.model.table,
            recipe.steps,
            recipe.strength if recipe.init else 1.0,
            drop_penultimate=spec.drop_penultimate,
        )
        noise = philox_normal(self.shape, recipe.seed, Purpose.INITIAL_LATENTS)
        if len(sigmas) == 0:  # strength 0
            return finished(self.latents if self.latents is not None else noise)
        x = noise * (1 + sigmas[0] ** 2).sqrt() if self.latents is None else self.latents + noise * sigmas[0]
        sampler = spec.start(x, sigmas, NativeNoise(self.shape, recipe.seed), recipe.sampler_options)
        if recording is not None:
            sampler = resumable(sampler, recording)
        count = max(1, (len(sigmas) - 1) * spec.evaluations - (spec.evaluations - 1))

        def observe(index: int, x: Tensor, sigma: Tensor, denoised: Tensor) -> None:
            if watch is not None:
                watch(Step(index, count, x, sigma, denoised))

        return drive(sampler, self._guidance(noise), observe)

    def finish(self, latents: Tensor) -> Image.Image:
        """Decode; where the mask is black, the start picture's own pixels come back."""
        image = to_image(self.model.decode(latents))
        if self.mask is None or self.init is None:
            return image
        return Image.composite(image, self.init.convert("RGB"), self._pixel_mask())

    def _guidance(self, noise: Tensor) -> Guidance:
        recipe, channels = self.recipe, self.model.unet.config.in_channels
        prompts = encode_prompts(self.model, recipe)
        if channels == 2 * self.shape[1] and self.latents is not None:
            return self._instructed(prompts)
        if channels == 2 * self.shape[1] + 1:
            prompts = prompts.with_concat(self._inpaint_channels())
        guide = classifier_free(prompts.cond, prompts.uncond, recipe.guidance_scale)
        if self.mask is None or self.latents is None:
            return guide
        return keep(guide, self.latents, self._latent_mask(), noise)

    def _instructed(self, prompts: Prompts) -> Guidance:
        """Brooks et al. (2023): the picture's latents, unscaled, as extra channels; zeros where it is unseen."""
        assert self.latents is not None
        picture = self.latents / self.model.vae.config.scale_factor
        seen, unseen = prompts.with_concat(picture), prompts.with_concat(torch.zeros_like(picture))
        recipe = self.recipe
        return instruct_pix2pix(
            seen.cond, seen.uncond, unseen.uncond, recipe.guidance_scale, recipe.image_guidance_scale
        )

    def _inpaint_channels(self) -> Tensor:
        """(1 c+1 h w): the mask, then the latents of the picture with the masked part in mid gray."""
        if self.init is None or self.mask is None:  # everything may change
            gray = self._encoded(torch.zeros(1, 3, self.recipe.height, self.recipe.width))
            return torch.cat((torch.ones_like(gray[:, :1]), gray), dim=1)
        hole = mask_tensor(self.mask).round()
        return torch.cat((self._latent_mask().round(), self._encoded(to_tensor(self.init) * (1 - hole))), dim=1)

    def _latent_mask(self) -> Tensor:
        """(1 1 h/8 w/8) in [0, 1]."""
        assert self.mask is not None
        return torch.nn.functional.interpolate(mask_tensor(self.mask), size=self.shape[-2:], mode="area")

    def _pixel_mask(self) -> Image.Image:
        """Grey levels; 0 keeps a pixel of the start picture exactly."""
        assert self.mask is not None
        return Image.fromarray((mask_tensor(self.mask)[0, 0] * 255).round().to(torch.uint8).numpy())

    def _encoded(self, image: Tensor) -> Tensor:
        """Latents (1 c h w), the same draw of the posterior for the same seed."""
        return self.model.encode(image, philox_normal(self.shape, self.recipe.seed, Purpose.IMAGE_ENCODING))


def finished(latents: Tensor) -> Picture:
    """A picture that needs no network."""
    yield from ()
    return latents


def check(model: Model, recipe: Recipe) -> None:
    """What a recipe can't know without the model."""
    factor = model.vae.config.downscale
    for side in (recipe.width, recipe.height):
        if side % factor:
            raise UserError(f"{side} is not a multiple of {factor}, which {recipe.model} needs")
    if recipe.model_hash not in (None, model.sha256):
        raise UserError(f"{recipe.model}: not the file of the recipe (its SHA-256 begins {model.sha256[:10]})")


def opened(reference: ImageRef | None, recipe: Recipe) -> Image.Image | None:
    """The referenced picture in the recipe's size; FileError where the file has changed."""
    if reference is None:
        return None
    image = open_image(Path(reference.path))
    if ImageRef.of(Path(reference.path)).sha256 != reference.sha256:
        raise FileError(f"{reference.path}: has changed since the recipe was written")
    return fitted(image, recipe.width, recipe.height)
