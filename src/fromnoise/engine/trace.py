"""How a picture comes about, to be looked at: what the model predicts at each step, the latents, the noise, and where
in the picture it looks for each word. Nothing of it changes a pixel.

    tracer = Tracer(model, recipe, keep=lambda look: ...)
    picture = tracer.listening(job.picture(tracer.watch, None))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from fromnoise.assets.vocabulary import END_OF_WORD
from fromnoise.engine.executor import copied
from fromnoise.engine.generate import Step
from fromnoise.engine.images import to_image
from fromnoise.engine.library import Model
from fromnoise.engine.previews import Previewer
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.nn.attention_probe import AttentionProbe
from fromnoise.sampling.guidance import NetworkCall, Picture
from fromnoise.text.chunks import Chunk, chunk_pieces
from fromnoise.text.prompt import parse
from fromnoise.text.tokenizer import Tokenizer

MOST_WORDS = 150
DECODED = 256 * 256  # pixels of a picture that is decoded at each step on a processor; larger ones are estimated


@dataclass(frozen=True)
class Word:
    """A word of the prompt, and the places of its tokens in what the network is told."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """What there is to see after one evaluation."""

    index: int
    count: int
    sigma: float
    predicted: Image.Image  # the clean picture as the model sees it now
    noisy: Image.Image  # where the sampler is, estimated
    noise: Image.Image  # what would have to go, estimated
    channels: tuple[Image.Image, ...]  # each latent channel in grey, from -3 to 3 deviations
    words: tuple[Word, ...]
    maps: Tensor | None  # (words h w) in [0, 1], each word's largest is 1


@dataclass
class Tracer:
    """Watches one picture."""

    model: Model
    recipe: Recipe
    previewer: Previewer
    keep: Callable[[Look], None]
    probe: AttentionProbe | None = None

    def listening(self, picture: Picture) -> Picture:
        """The picture, with one more call at each evaluation whose answer nobody is sent."""
        try:
            calls = next(picture)
            while True:
                more = self._overheard(calls)
                answers = yield [*calls, *more]
                calls = picture.send(answers[: len(calls)])
        except StopIteration as stop:
            latents: Tensor = stop.value
            return latents

    def _overheard(self, calls: Sequence[NetworkCall]) -> list[NetworkCall]:
        """The first call that is about the prompt and the whole picture, once more."""
        self.probe = None
        for call in calls:
            if not call.cond.negative and call.place is None:
                self.probe = AttentionProbe()
                return [copied(call)._replace(variants=(*call.variants, self.probe))]
        return []

    def watch(self, step: Step) -> None:
        """Tell `keep` what there is to see."""
        words, maps = self._attention(step)
        noise = (step.x - step.denoised) / step.sigma.clamp(min=1e-6)
        self.keep(
            Look(
                step.index,
                step.count,
                float(step.sigma),
                self._predicted(step.denoised),
                self._estimated(step.x / (1 + step.sigma**2) ** 0.5),
                self._estimated(noise),
                tuple(grey(channel) for channel in step.x[0].float().cpu()),
                words,
                maps,
            )
        )

    def _predicted(self, denoised: Tensor) -> Image.Image:
        factor = self.model.vae.config.downscale
        pixels = denoised.shape[-1] * denoised.shape[-2] * factor * factor
        if pixels <= DECODED or self.model.placement.device.type != "cpu":
            return to_image(self.model.decode(denoised), down=False)
        return self._estimated(denoised)

    def _estimated(self, latents: Tensor) -> Image.Image:
        pixels = ((self.previewer.rgb(latents)[0] + 1) * 127.5).round().to(torch.uint8)
        return Image.fromarray(pixels.numpy())

    def _attention(self, step: Step) -> tuple[tuple[Word, ...], Tensor | None]:
        probe, self.probe = self.probe, None
        maps = None if probe is None else probe.maps(*step.x.shape[-2:])
        if maps is None:
            return (), None
        moment = min(self.recipe.steps - 1, step.index * self.recipe.steps // max(1, step.count))
        words = tuple(word for word in words_of(self.recipe, moment) if max(word.tokens) < len(maps))[:MOST_WORDS]
        if not words:
            return (), None
        shown = torch.stack([maps[list(word.tokens)].mean(dim=0) for word in words])
        return words, shown / shown.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def words_of(recipe: Recipe, step: int) -> list[Word]:
    """The words that the prompt says at a step, in its first part."""
    dialect = PROFILES[recipe.profile].dialect
    pieces = parse(recipe.prompt, dialect).at(step, max(1, recipe.steps))[0].pieces
    tokenizer = Tokenizer()
    chunks = chunk_pieces(pieces, tokenizer, dialect)
    return [
        word for number, chunk in enumerate(chunks) for word in words_in(chunk, number * Tokenizer.window, tokenizer)
    ]


def words_in(chunk: Chunk, offset: int, tokenizer: Tokenizer) -> list[Word]:
    """Tokens joined to words; punctuation says nothing."""
    found: list[Word] = []
    places: list[int] = []
    for place in range(1, chunk.used + 1):
        places.append(place)
        if tokenizer.token(chunk.ids[place]).endswith(END_OF_WORD):
            text = tokenizer.decode([chunk.ids[p] for p in places])
            if any(character.isalnum() for character in text):
                found.append(Word(text, tuple(offset + p for p in places)))
            places = []
    return found


def grey(channel: Tensor) -> Image.Image:
    """(h w) in grey about its mean: three deviations to either side."""
    spread = float(channel.std()) or 1.0
    levels = ((channel - channel.mean()) / (6 * spread) + 0.5).clamp(0, 1) * 255
    return Image.fromarray(levels.round().to(torch.uint8).numpy())
