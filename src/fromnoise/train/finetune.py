"""Training something on a model that is there: pictures and captions to a loss, whatever it is that trains.

Ho et al. (2020) on latents; the loss, its weights and the noise are `objective.py`'s and `noising.py`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from fromnoise.engine.conditioning import Encoder, Words, vector
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Sizes
from fromnoise.engine.sheets.drawing import draw_sheet
from fromnoise.text.encode import Encoded
from fromnoise.text.prompt_weights import Piece
from fromnoise.train.data.batches import Item, Schedule
from fromnoise.train.data.captions import NOTHING_REPLACED, Moment, Replacements, spoken
from fromnoise.train.emoji import philox
from fromnoise.train.latents import Encoded as EncodedPicture
from fromnoise.train.latents import LatentCache
from fromnoise.train.noising import Noising, normal
from fromnoise.train.objective import Objective, noised, target_of
from fromnoise.train.trainable import Trainable

AESTHETIC = 6.0  # what SDXL's refiner is told of pictures


@dataclass(frozen=True)
class Lesson:
    """What is learnt, and how."""

    schedule: Schedule
    steps: int
    objective: Objective
    noising: Noising
    seed: int = 0
    clip_skip: int | None = None
    replacements: Replacements = NOTHING_REPLACED
    samples: tuple[Recipe, ...] = ()  # drawn on the way, with what trains applied


class FineTuneTask:
    """A `Task` of the training loop: one `Trainable` on one model and data set."""

    def __init__(self, model: Model, trainable: Trainable, lesson: Lesson, cache: Path | None = None) -> None:
        lesson.objective.check(model.facts.prediction)
        self.model, self.trainable, self.lesson = model, trainable, lesson
        self.latents = LatentCache(model, cache)
        self.module: nn.Module = trainable.module
        self.encoder = self._encoder()

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """That of a step, and how pictures of the concept and of its class in general fare apart."""
        lesson, model = self.lesson, self.model
        epoch, items = lesson.schedule.at(step)
        pictures = self.latents.take(items, [Random(f"{lesson.seed}/cut/{step}/{i}") for i in range(len(items))])
        captions = self.captions(items, step, epoch)
        clean = self.drawn(pictures, step)
        drawn = lesson.noising.draw(clean, lesson.seed, step)
        noisy = noised(clean, drawn.disturbing, drawn.timesteps, model.table)
        target = target_of(clean, drawn.noise, drawn.timesteps, model.table, model.facts.prediction)
        with self.trainable.applied():
            predicted = self.answer(noisy, drawn.timesteps, captions, pictures)
        regular = torch.tensor([item.example.regular for item in items], device=clean.device)
        losses = lesson.objective.loss(
            predicted, target, drawn.timesteps, model.table, model.facts.prediction, mask=masks(pictures, clean),
            regular=regular,
        )  # fmt: skip
        figures = {"own": float(losses.detach()[~regular].mean())} if (~regular).any() else {}
        if regular.any():
            figures["regular"] = float(losses.detach()[regular].mean())
        return losses.mean(), figures

    def captions(self, items: Sequence[Item], step: int, epoch: int) -> list[str]:
        """What is said of each picture of a batch."""
        now, lesson = Moment(step, self.lesson.steps, epoch), self.lesson
        return [
            spoken(item.example.caption, item.example.subset, Random(f"{lesson.seed}/say/{step}/{i}"), now,
                   lesson.replacements)
            for i, item in enumerate(items)
        ]  # fmt: skip

    def drawn(self, pictures: Sequence[EncodedPicture], step: int) -> Tensor:
        """Clean latents (b c h w): a draw of each picture's posterior."""
        rng, scale = philox(self.lesson.seed, 21, step), self.model.vae.config.scale_factor
        place = self.model.placement
        latents = torch.stack([p.drawn(normal(rng, tuple(p.mean.shape)), scale) for p in pictures])
        layout = torch.channels_last if place.channels_last else torch.contiguous_format
        return latents.to(place.device, memory_format=layout)

    def answer(
        self, noisy: Tensor, timesteps: Tensor, captions: Sequence[str], pictures: Sequence[EncodedPicture]
    ) -> Tensor:
        """What the U-Net answers (b c h w)."""
        states = self.states(captions)
        context = torch.cat([state.context for state in states])
        vectors = [self.vector(state, picture) for state, picture in zip(states, pictures, strict=True)]
        y = torch.cat([v for v in vectors if v is not None]) if vectors[0] is not None else None
        dtype = self.model.placement.dtype
        answer: Tensor = self.model.unet(
            noisy.to(dtype), timesteps.float(), context.to(dtype), None if y is None else y.to(dtype)
        )
        return answer

    def states(self, captions: Sequence[str]) -> list[Encoded]:
        """The states of captions; once for all where nothing that trains changes them."""
        if self.trainable.trains_text:
            return self._encoder().encode(*((Piece(caption, 1.0),) for caption in captions))
        with torch.no_grad():
            return [self.encoder.encode((Piece(caption, 1.0),))[0] for caption in captions]

    def vector(self, state: Encoded, picture: EncodedPicture) -> Tensor | None:
        """SDXL's y for one picture: its sizes, and where it was cut."""
        factor = self.model.vae.config.downscale
        height, width = (side * factor for side in picture.mean.shape[-2:])
        words = Words("", "", width, height, 1)
        return vector(
            self.model, state, words, Sizes(original=picture.cut.original, crop=picture.cut.corner), AESTHETIC
        )

    def _encoder(self) -> Encoder:
        recipe = Recipe.make(emphasis="ignore", clip_skip=self.lesson.clip_skip)
        return Encoder(self.model, recipe, PROFILES["native"], self.trainable.embeddings())

    @torch.no_grad()
    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """Draw the samples, and measure the loss on what was held out."""
        if self.lesson.samples:
            with self.trainable.applied(), cleared(self):
                made = sorted(generate(self.model, self.lesson.samples), key=lambda one: one.index)
            sheet = draw_sheet([one.image for one in made], [one.recipe.prompt for one in made])
            sheet.save(folder / f"sample-{step:06d}.png")
        return self.held_out()

    def held_out(self) -> Mapping[str, float]:
        """The loss on the pictures held out, at the same noise every time; nothing where there are none."""
        items = [item for pool in self.lesson.schedule.pools for item in pool.held_out]
        losses = []
        for number, item in enumerate(items):
            pictures = self.latents.take([item], [Random(0)])
            clean = pictures[0].mean[None] * self.model.vae.config.scale_factor
            drawn = Noising().draw(clean, self.lesson.seed, 10**9, number)
            noisy = noised(clean, drawn.noise, drawn.timesteps, self.model.table)
            target = target_of(clean, drawn.noise, drawn.timesteps, self.model.table, self.model.facts.prediction)
            with self.trainable.applied():
                predicted = self.answer(noisy, drawn.timesteps, [item.example.caption], pictures)
            losses.append(float((predicted.float() - target).square().mean()))
        return {"held_out_loss": sum(losses) / len(losses)} if losses else {}


def masks(pictures: Sequence[EncodedPicture], like: Tensor) -> Tensor | None:
    """(b 1 h w): those that pictures have, ones for those that have none; None where none has one."""
    if all(picture.mask is None for picture in pictures):
        return None
    ones = torch.ones(1, *like.shape[-2:])
    return torch.stack([ones if p.mask is None else p.mask for p in pictures]).to(like.device)


@contextmanager
def cleared(task: FineTuneTask) -> Iterator[None]:
    """The networks as they are used: gradients are neither wanted nor kept."""
    networks: list[nn.Module] = [task.model.unet, *task.model.text]
    modes: list[tuple[nn.Module, bool]] = [(network, network.training) for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, mode in modes:
            network.train(mode)
