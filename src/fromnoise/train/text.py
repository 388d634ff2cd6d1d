"""First lessons for the text encoder: tell from a caption what it describes, and sketch it.

Read: a classifier at a random token at or after the end of the text names the objects, how they stand to each other,
the style and the background. So captions that mean the same, in either language, come to lie together: what contrastive
pre-training does for CLIP, at a millionth of the cost.

Sketch: each of the last 16 of the 77 tokens, which are padding in all but very long captions, foretells one square of
the picture's latents. So the U-Net finds in its context roughly what belongs where, and need not learn it object by
object.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.ops import Linear
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.autoencoder import CPU
from fromnoise.train.emoji import BACKGROUNDS, COLOURS, STYLES, EmojiSet, Language, Scene, philox
from fromnoise.train.initialise import initialise

SQUARES = 4  # along each side


class Meaning(NamedTuple):
    """What a caption says, as class numbers; the last class of each is "not said"."""

    first: int
    second: int
    relation: int  # 0: none, 1: left, 2: above
    style: int
    background: int


class Pool:
    """Scenes and their latents, single objects first; what all lessons draw from."""

    def __init__(self, data: EmojiSet, scenes: Sequence[Scene], latents: NDArray[np.float16], scale: float) -> None:
        self.data, self.scenes, self.latents, self.scale = data, scenes, latents, scale
        self.singles = sum(scene.relation is None for scene in scenes)

    def draw(self, rng: np.random.Generator, pairs: float, chinese: float, said: float = 0.7) -> tuple[int, str]:
        """The number of a scene, of two objects with probability `pairs`, and a caption.

        `chinese`: the share of captions in Chinese; `said`: how often they name the style, and the background.
        """
        single = rng.random() >= pairs or self.singles == len(self.scenes)
        low, high = (0, self.singles) if single else (self.singles, len(self.scenes))
        index = int(rng.integers(low, high))
        language: Language = "zh" if rng.random() < chinese else "en"
        return index, self.data.caption(self.scenes[index], rng, language, said)

    def take(self, indices: Sequence[int]) -> Tensor:
        """Scaled latents (n c h w) float32."""
        return torch.from_numpy(self.latents[list(indices)].astype(np.float32)) * self.scale


class Sketch(nn.Module):
    """The last tokens' states to the latents they foretell."""

    def __init__(self, dim: int, channels: int, side: int) -> None:
        super().__init__()
        self.channels, self.square = channels, side // SQUARES
        self.head = Linear(dim, channels * self.square**2)

    def forward(self, states: Tensor) -> Tensor:
        """states (b n d) -> latents (b c h w)."""
        squares: Tensor = self.head(states[:, -(SQUARES**2) :])
        grid = squares.view(len(states), SQUARES, SQUARES, self.channels, self.square, self.square)
        return grid.permute(0, 3, 1, 4, 2, 5).reshape(len(states), self.channels, *[SQUARES * self.square] * 2)


def states_at(text: CLIPText, tokens: Tensor, places: Tensor) -> Tensor:
    """The states (b m d) of a text encoder at `places` (m) of tokens (b n), as if there were no others."""
    model = text.text_model
    states = model.embeddings.token_embedding(tokens[:, places]) + model.embeddings.position_embedding.weight[places]
    for layer in model.encoder.layers:
        states = layer(states)
    last: Tensor = model.final_layer_norm(states)
    return last


def needed(tokens: Tensor) -> Tensor:
    """The places of windows (b n) up to the first padding after the longest caption, and those that sketch."""
    first = tokens.shape[1] - SQUARES**2
    end = min(int(tokens.argmax(dim=1).max()) + 2, first)
    return torch.cat((torch.arange(end), torch.arange(first, tokens.shape[1])))


class Reader(nn.Module):
    """A text encoder, and what is thrown away after training."""

    def __init__(self, config: CLIPConfig, classes: Meaning, channels: int, side: int) -> None:
        super().__init__()
        self.text = CLIPText(config)
        self.heads = nn.ModuleList(Linear(config.dim, count) for count in classes)
        self.sketch = Sketch(config.dim, channels, side)

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Logits of each head at `positions` (b) of tokens (b n), and the sketch (b c h w).

        With `places` (m), only those tokens are computed, and `positions` count among them.
        """
        states = self.text(tokens).last if places is None else states_at(self.text, tokens, places)
        read = states[torch.arange(len(tokens)), positions]
        return [head(read) for head in self.heads], self.sketch(states)


class TextTask:
    """Captions of the pool's scenes in both languages."""

    def __init__(
        self,
        pool: Pool,
        config: CLIPConfig,
        *,
        batch: int = 64,
        pairs: float = 0.2,
        chinese: float = 0.5,
        said: float = 0.7,
        groups: int = 1,
        whole: float = 1.0,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.pool, self.data, self.batch, self.pairs, self.seed = pool, pool.data, batch, pairs, seed
        self.chinese, self.said, self.groups, self.whole = chinese, said, groups, whole
        self.number = {thing: i for i, thing in enumerate(self.data.vocabulary)}
        self.styles = {style: i for i, style in enumerate(STYLES)}
        count = len(self.number)
        classes = Meaning(count, count + 1, 3, len(STYLES) + 1, len(BACKGROUNDS) + 1)
        _, channels, side, _ = pool.latents.shape
        self.reader = Reader(config, classes, channels, side)
        initialise(self.reader, seed)
        self.device = device
        self.module: nn.Module = self.reader.to(device)
        self.tokenizer = Tokenizer()

    def meaning(self, scene: Scene, caption: str) -> Meaning:
        """What of `scene` the caption says."""
        objects = [self.number[self.data.pictures[p].object] for p in scene.pictures]
        style, lower = self.data.pictures[scene.pictures[0]].style, caption.lower()
        ground = BACKGROUNDS[scene.background][0]
        named = f"{scene.background} background" in lower or f"{ground}背景" in lower
        styled = any(f"{word} style" in lower or f"{word}风格" in lower for word in STYLES[style])
        return Meaning(
            objects[0],
            objects[1] if len(objects) > 1 else len(self.number),
            {None: 0, "left": 1, "above": 2}[scene.relation],
            self.styles[style] if styled else len(self.styles),
            COLOURS.index(scene.background) if named else len(COLOURS),
        )

    def examples(self, rng: np.random.Generator, chinese: float, said: float) -> tuple[Tensor, list[Tensor], Tensor]:
        """Tokens (b 77), one column of class numbers for each head, latents (b c h w)."""
        drawn = [self.pool.draw(rng, self.pairs, chinese, said) for _ in range(self.batch)]
        tokens = torch.tensor([self.tokenizer.encode_window(caption) for _, caption in drawn])
        meanings = torch.tensor([self.meaning(self.pool.scenes[i], caption) for i, caption in drawn])
        latents = self.pool.take([i for i, _ in drawn])
        device = self.device
        return tokens.to(device), list(meanings.T.to(device)), latents.to(device)

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """Captions of like length are read together, without most of the padding that comes before the sketch."""
        rng = philox(self.seed, 3, step)
        tokens, targets, latents = self.examples(rng, self.chinese, self.said)
        order = tokens.argmax(dim=1).argsort(stable=True)
        reading, sketching = latents.new_zeros(()), latents.new_zeros(())
        for part in torch.tensor_split(order, self.groups):
            places = needed(tokens[part]) if rng.random() >= self.whole else torch.arange(Tokenizer.window)
            logits, sketch = self.reader(tokens[part], self.positions(tokens[part], len(places), rng), places)
            share = len(part) / len(tokens)
            right = [F.cross_entropy(out, target[part]) for out, target in zip(logits, targets, strict=True)]
            reading = reading + share * torch.stack(right).mean()
            sketching = sketching + share * F.mse_loss(sketch, latents[part])
        return 0.2 * reading + sketching, {"read": float(reading.detach()), "sketch": float(sketching.detach())}

    def positions(self, tokens: Tensor, count: int, rng: np.random.Generator) -> Tensor:
        """For each window (b n) one of the first `count` places at or after its end of text."""
        return torch.from_numpy(rng.integers(tokens.argmax(dim=1).cpu().numpy(), count)).to(tokens.device)

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """In each language the share of objects and of whole meanings read right, and the error of the sketches."""
        figures = {}
        for language in ("en", "zh"):
            rng = philox(self.seed, 4, 0)
            tokens, targets, latents = self.examples(rng, float(language == "zh"), 1.0)
            logits, sketch = self.reader(tokens, self.positions(tokens, Tokenizer.window, rng))
            right = [out.argmax(dim=1) == target for out, target in zip(logits, targets, strict=True)]
            figures[f"objects_{language}"] = float((right[0] & right[1]).float().mean())
            figures[f"all_{language}"] = float(torch.stack(right).all(dim=0).float().mean())
            figures[f"sketch_{language}"] = float(F.mse_loss(sketch, latents).detach())
        return figures
