"""Training something on a model that is there: pictures and captions to a loss, whatever it is that trains.

Ho et al. (2020) on latents; the loss, its weights and the noise are `objective.py`'s and `noising.py`'s.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.engine.conditioning import Encoder, Words, vector
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Sizes
from fromnoise.engine.sheets.drawing import draw_sheet
from fromnoise.text.encode import Encoded, match_chunks
from fromnoise.text.prompt_weights import Piece, parse_weights
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.data.batches import Item, Schedule
from fromnoise.train.data.captions import Moment, dropped, spoken
from fromnoise.train.data.openers import Openers
from fromnoise.train.data.pictures import Cut
from fromnoise.train.data.source import Example
from fromnoise.train.emoji import philox
from fromnoise.train.keeping import Kept, KeptStates, drawings, drawn, known_words, other_captions, short, stored
from fromnoise.train.latents import Encoded as EncodedPicture
from fromnoise.train.latents import LatentCache
from fromnoise.train.noising import Noising, normal
from fromnoise.train.objective import Objective, noised, target_of
from fromnoise.train.sampling import with_words
from fromnoise.train.saving import Files
from fromnoise.train.tightness import Tightness
from fromnoise.train.trainable import Trainable, text_parameters

AESTHETIC = 6.0  # what SDXL's refiner is told of pictures
REMEMBERED = 4096  # captions whose states are kept
REMEMBERED_STATES = 256  # of other captions, that text encoders are held to


@dataclass(frozen=True)
class Lesson:
    """What is learnt, and how."""

    schedule: Schedule
    steps: int  # batches in all
    objective: Objective
    noising: Noising
    seed: int = 0
    clip_skip: int | None = None
    max_tokens: int | None = None  # of a caption: a multiple of 75; None: all
    samples: tuple[Recipe, ...] = ()  # drawn on the way, with what trains applied
    recompute: bool = False  # gradient checkpointing
    workers: int = 0  # processes that open pictures
    keep: float = 0.0  # how much it counts to answer as before where the trigger is not said
    side: int = 512  # pixels of what is drawn to keep
    weighted: bool = False  # whether (word:1.2) in captions weighs it
    padding: bool = True  # whether states are filled up to a whole window
    most_held_out: int | None = None  # batches that are measured; None: all
    merged: tuple[str, ...] = ()  # what is part of the model besides its file


@dataclass(frozen=True)
class Batch:
    """What a step looks at."""

    items: Sequence[Item]
    pictures: Sequence[EncodedPicture]
    captions: Sequence[str]
    clean: Tensor  # latents (b c h w), scaled
    controls: Tensor | None  # (b 3 H W) in [0, 1]

    def of(self, now: slice) -> Self:
        """Some of its pictures."""
        controls = None if self.controls is None else self.controls[now]
        return replace(
            self, items=self.items[now], pictures=self.pictures[now], captions=self.captions[now],
            clean=self.clean[now], controls=controls,
        )  # fmt: skip

    def saying(self, captions: Sequence[str]) -> Self:
        """The same with other captions."""
        return replace(self, captions=captions)


class FineTuneTask:
    """A `Task` of the training loop: one `Trainable` on one model and data set."""

    def __init__(self, model: Model, trainable: Trainable, lesson: Lesson, cache: Path | None = None) -> None:
        lesson.objective.check(model.facts.prediction)
        self.model, self.trainable, self.lesson = model, trainable, lesson
        self.openers = Openers(lesson.workers) if lesson.workers else None
        self.latents = LatentCache(model, cache, self.openers)
        self.module: nn.Module = trainable.module
        self.encoder = self._encoder()
        self.is_applied = False
        self.kept: Kept | None = None
        self.kept_states: KeptStates | None = None
        self.tightness = Tightness()
        self.files: Files | None = None  # of what is learnt so far

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the networks compute with what trains. A run is inside as a whole: see `recomputing`."""
        if self.is_applied:
            yield
            return
        with ExitStack() as stack:
            stack.enter_context(self.trainable.applied())
            self.tightness.enter(stack, self.model, recompute=self.lesson.recompute)
            self.is_applied = True
            try:
                yield
            finally:
                self.is_applied = False
                if self.openers:
                    self.openers.close()

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """That of a step as a whole: the sum of its parts."""
        parts = list(self.parts(step))
        return torch.stack([loss for loss, _ in parts]).sum(), summed(figures for _, figures in parts)

    def parts(self, step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
        """The loss of a step, bit by bit, so that each can be differentiated before the next is computed.

        The pictures at once, or as few together as memory allows; then what is to be kept. Figures tell how pictures of
        the concept and of its class in general fare apart.
        """
        lesson, model = self.lesson, self.model
        whole = self.batch(step)
        drawn = lesson.noising.draw(whole.clean, lesson.seed, step)
        noisy = noised(whole.clean, drawn.disturbing, drawn.timesteps, model.table)
        target = target_of(whole.clean, drawn.noise, drawn.timesteps, model.table, model.facts.prediction)
        regular = torch.tensor([item.example.regular for item in whole.items])
        counts = {"own": int((~regular).sum()), "regular": int(regular.sum())}
        together = -(-len(whole.items) // self.tightness.parts)
        for start in range(0, len(whole.items), together):
            now = slice(start, start + together)
            batch, timesteps, marked = whole.of(now), drawn.timesteps[now], regular[now].to(noisy.device)
            with self.applied(), self.chance(step):
                predicted = self.answer(noisy[now], timesteps, batch)
            losses = lesson.objective.loss(
                predicted, target[now], timesteps, model.table, model.facts.prediction,
                mask=masks(batch.pictures, batch.clean), regular=marked,
            )  # fmt: skip
            apart = {"own": losses.detach()[~marked], "regular": losses.detach()[marked]}
            yield (
                losses.sum() / len(whole.items),
                {name: float(found.sum()) / counts[name] for name, found in apart.items() if len(found)},
            )
        if self.kept and (kept := self.kept.at(lesson.seed, step, len(whole.items))).captions:
            for start in range(0, len(kept.captions), together):
                some = kept.some(slice(start, start + together))
                strayed = self.strayed(some, step) * (len(some.captions) / len(kept.captions))
                yield lesson.keep * strayed, {"strayed": float(strayed.detach())}
        if self.kept_states and any(p.requires_grad for p in text_parameters(self.trainable.module)):
            strayed = self.strayed_states(*self.kept_states.at(lesson.seed, step, len(whole.items)), step)
            yield lesson.keep * strayed, {"strayed_text": float(strayed.detach())}

    def tighten(self, whole: bool = False) -> str | None:
        """Take less memory from now on: what is done about it, or None where nothing is left to do."""
        most = 1 if whole else max(pool.batch_size for pool in self.lesson.schedule.pools)
        return self.tightness.tighten(self.model, most)

    def bound(self) -> Mapping[str, float]:
        """Bring back what a step has led beyond its bounds; figures for the log."""
        return self.trainable.bound()

    def keep(self, called: str, folder: Path, half: bool) -> None:
        """Note what the model answers, before it learns, where `called` is not said."""
        model, lesson = self.model, self.lesson
        items = [item for pool in lesson.schedule.pools for item in pool.items]
        own = sorted({item.example.caption for item in items if not item.example.regular})
        seen = lesson.steps * lesson.schedule.pools[0].batch_size
        captions = other_captions(own, called, known_words(model), lesson.seed, drawings(seen))

        def answer(noisy: Tensor, timesteps: Tensor, said: Sequence[str]) -> Tensor:
            with torch.autocast(model.placement.device.type, torch.bfloat16, enabled=half):
                return self.answer(noisy, timesteps, self.imagined(noisy, said))

        key = json.dumps([model.sha256, *lesson.merged, lesson.seed, lesson.side, half, captions])
        self.kept = stored(
            folder / "kept.safetensors", lambda: drawn(model, answer, captions, lesson.side, lesson.seed), key
        )

        if self.trainable.trains_text and not self.trainable.embeddings():
            said = short(other_captions(own, called, known_words(model), lesson.seed + 1, REMEMBERED_STATES))
            with torch.no_grad():
                contexts = [self.states(said[i : i + 16]) for i in range(0, len(said), 16)]
            self.kept_states = KeptStates(
                tuple(said), torch.cat([c.context.float().cpu() for cs in contexts for c in cs])
            )

    def strayed_states(self, captions: Sequence[str], contexts: Tensor, step: int) -> Tensor:
        """How far text states are from those before: the mean square, as a share of theirs."""
        with self.applied(), self.chance(step):
            now = torch.cat([state.context for state in self.states(captions)])
        before = contexts.to(now.device)
        return (now.float() - before).square().mean() / before.square().mean()

    def strayed(self, kept: Kept, step: int) -> Tensor:
        """How far answers are from those before: the mean square."""
        device = self.model.placement.device
        noisy, timesteps = kept.noisy.to(device), kept.timesteps.to(device)
        with self.applied(), self.chance(step):
            answer = self.answer(noisy, timesteps, self.imagined(noisy, kept.captions))
        return (answer.float() - kept.answers.to(device)).square().mean()

    def imagined(self, noisy: Tensor, captions: Sequence[str]) -> Batch:
        """A batch of no pictures."""
        cut = Cut((self.lesson.side, self.lesson.side), (0, 0), False)
        return Batch([], [EncodedPicture(x, x, cut) for x in noisy], captions, noisy, None)

    @contextmanager
    def chance(self, step: int) -> Iterator[None]:
        """Inside, dropout is that of the step, whatever was drawn before."""
        device = self.model.placement.device
        with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
            torch.manual_seed(int(philox(self.lesson.seed, 23, step).integers(2**63)))
            yield

    def batch(self, step: int) -> Batch:
        """The pictures of a step, and what is said of them."""
        lesson = self.lesson
        for ahead in range(step + 1, min(step + 1 + lesson.workers, lesson.steps)):
            _, expected = lesson.schedule.at(ahead)
            self.latents.expect(expected, self.chances(ahead, expected), ahead)
        epoch, items = lesson.schedule.at(step)
        pictures = self.latents.take(items, self.chances(step, items), step)
        controls = None
        if self.trainable.wants_controls:
            controls = torch.stack([hint for p in pictures if (hint := p.steering) is not None])
        return Batch(items, pictures, self.captions(items, step, epoch), self.drawn(pictures, step), controls)

    def chances(self, step: int, items: Sequence[Item]) -> list[Random]:
        """What cuts are drawn from."""
        return [Random(f"{self.lesson.seed}/cut/{step}/{i}") for i in range(len(items))]

    def captions(self, items: Sequence[Item], step: int, epoch: int) -> list[str]:
        """What is said of each picture of a batch."""
        now, lesson = Moment(step, self.lesson.steps, epoch), self.lesson
        found = []
        for i, item in enumerate(items):
            key, rules = f"{lesson.seed}/say/{step}/{i}", item.example.subset
            random = Random(key)
            caption = spoken(item.example.caption, rules, random, now)
            silent = item.example.regular or dropped(rules, Random(key), now)  # the first that is drawn
            found.append(caption if silent else self.trainable.said(caption, random))
        return found

    def drawn(self, pictures: Sequence[EncodedPicture], step: int) -> Tensor:
        """Clean latents (b c h w): a draw of each picture's posterior."""
        rng, scale = philox(self.lesson.seed, 21, step), self.model.vae.config.scale_factor
        place = self.model.placement
        latents = torch.stack([p.drawn(normal(rng, tuple(p.mean.shape)), scale) for p in pictures])
        layout = torch.channels_last if place.channels_last else torch.contiguous_format
        return latents.to(place.device, memory_format=layout)

    def answer(self, noisy: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        """What the U-Net answers (b c h w)."""
        states = self.states(batch.captions)
        context = torch.cat([state.context for state in states])
        vectors = [self.vector(state, picture) for state, picture in zip(states, batch.pictures, strict=True)]
        y = torch.cat([v for v in vectors if v is not None]) if vectors[0] is not None else None
        dtype = self.model.placement.dtype
        with self.trainable.steered(batch.controls):
            answer: Tensor = self.model.unet(
                noisy.to(dtype), timesteps.float(), context.to(dtype), None if y is None else y.to(dtype)
            )
        return answer

    def states(self, captions: Sequence[str]) -> list[Encoded]:
        """The states of captions; once for all where nothing that trains changes them."""
        if self.trainable.trains_text:
            encoder, said = self._encoder(), [self.pieces(caption) for caption in captions]
            if not self.lesson.weighted:
                return self._limited(encoder.encode(*said), captions)
            return self._limited([encoder.encode(one)[0] for one in said], captions)  # each keeps a mean of its own
        with torch.no_grad():
            if len(self.encoder.known) > REMEMBERED:
                self.encoder.known.clear()
            states = [self.encoder.encode(self.pieces(caption))[0] for caption in captions]
            if len({state.context.shape[1] for state in states}) > 1:
                states = match_chunks(states, self.encoder.encode((Piece(""),))[0])
        return self._limited(states, captions)

    def pieces(self, caption: str) -> tuple[Piece, ...]:
        """A caption as it is encoded: with weights, where they are wanted."""
        return tuple(parse_weights(caption, "a1111")) if self.lesson.weighted else (Piece(caption),)

    def _limited(self, states: list[Encoded], captions: Sequence[str]) -> list[Encoded]:
        most = states[0].context.shape[1]
        if self.lesson.max_tokens is not None:
            most = Tokenizer.window * -(-self.lesson.max_tokens // (Tokenizer.window - 2))
        if not self.lesson.padding and most == Tokenizer.window:  # up to the end of the longest
            said = ("".join(piece.text for piece in self.pieces(caption)) for caption in captions)
            most = min(most, 2 + max(len(Tokenizer().encode(text)) for text in said))
        return [state._replace(context=state.context[:, :most]) for state in states]

    def vector(self, state: Encoded, picture: EncodedPicture) -> Tensor | None:
        """SDXL's y for one picture: its sizes, and where it was cut."""
        factor = self.model.vae.config.downscale
        height, width = (side * factor for side in picture.mean.shape[-2:])
        words = Words("", "", width, height, 1)
        return vector(
            self.model, state, words, Sizes(original=picture.cut.original, crop=picture.cut.corner), AESTHETIC
        )

    def _encoder(self) -> Encoder:
        emphasis = "native" if self.lesson.weighted else "ignore"
        recipe = Recipe.make(emphasis=emphasis, clip_skip=self.lesson.clip_skip)
        return Encoder(self.model, recipe, PROFILES["native"], self.trainable.embeddings())

    @torch.no_grad()
    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """Draw the samples, and measure the loss on what was held out."""
        samples = self.lesson.samples
        if samples:
            model = with_words(self.model, self.trainable.embeddings(), folder)
            with self.applied(), cleared(self), self.trainable.steered(self.shown(samples[0])):
                made = sorted(generate(model, samples), key=lambda one: one.index)
            sheet = draw_sheet([one.image for one in made], [one.recipe.prompt for one in made])
            sheet.save(folder / f"sample-{step:06d}.png")
        return self.held_out()

    def shown(self, recipe: Recipe) -> Tensor | None:
        """The picture that steers samples (1 3 h w): the first that is held out, or of all."""
        if not self.trainable.wants_controls:
            return None
        pool = self.lesson.schedule.pools[0]
        picture = self.latents.take([(*pool.held_out, *pool.items)[0]], [Random(0)])[0]
        assert picture.steering is not None
        return F.interpolate(picture.steering[None], (recipe.height, recipe.width), mode="bilinear")

    def held_out(self) -> Mapping[str, float]:
        """The loss on the pictures held out, at the same noise every time; nothing where there are none.

        It counts as in training; captions are said in full.
        """
        most, losses = self.lesson.most_held_out, list[float]()
        items = [
            item
            for pool in self.lesson.schedule.pools
            for item in pool.held_out[: None if most is None else most * pool.batch_size]
        ]
        for number, item in enumerate(items):
            picture = self.latents.take([item], [Random(0)])[0]
            clean = picture.mean[None].to(self.model.placement.device) * self.model.vae.config.scale_factor
            drawn = Noising().draw(clean, self.lesson.seed, 10**9, number)
            noisy = noised(clean, drawn.noise, drawn.timesteps, self.model.table)
            target = target_of(clean, drawn.noise, drawn.timesteps, self.model.table, self.model.facts.prediction)
            controls = None if picture.steering is None else picture.steering[None]
            caption = self.trainable.said(in_full(item.example, Random(number)), Random(number))
            batch = Batch([item], [picture], [caption], clean, controls)
            with self.applied(), cleared(self):
                predicted = self.answer(noisy, drawn.timesteps, batch)
            found = self.lesson.objective.loss(
                predicted, target, drawn.timesteps, self.model.table, self.model.facts.prediction,
                mask=masks([picture], clean),
            )  # fmt: skip
            losses.append(float(found.detach()))
        return {"held_out_loss": sum(losses) / len(losses)} if losses else {}


def in_full(example: Example, random: Random) -> str:
    """What is said of a picture where nothing of it is left out or moved by chance."""
    rules = example.subset.model_copy(update=dict.fromkeys(
        ("caption_dropout_rate", "caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "token_warmup_step"), 0
    ) | {"shuffle_caption": False})  # fmt: skip
    return spoken(example.caption, rules, random, Moment(0, 1, 1))


def summed(figures: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """By name."""
    found: dict[str, float] = {}
    for one in figures:
        for name, value in one.items():
            found[name] = found.get(name, 0.0) + value
    return found


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
