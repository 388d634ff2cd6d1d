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

    def draw(self, rng: np.random.Generator, pairs: float, languages: Sequence[Language]) -> tuple[int, str]:
        """The number of a scene, of two objects with probability `pairs`, and a caption."""
        single = rng.random() >= pairs or self.singles == len(self.scenes)
        low, high = (0, self.singles) if single else (self.singles, len(self.scenes))
        index = int(rng.integers(low, high))
        return index, self.data.caption(self.scenes[index], rng, languages[int(rng.integers(len(languages)))])

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


class Reader(nn.Module):
    """A text encoder, and what is thrown away after training."""

    def __init__(self, config: CLIPConfig, classes: Meaning, channels: int, side: int) -> None:
        super().__init__()
        self.text = CLIPText(config)
        self.heads = nn.ModuleList(Linear(config.dim, count) for count in classes)
        self.sketch = Sketch(config.dim, channels, side)

    def forward(self, tokens: Tensor, positions: Tensor) -> tuple[list[Tensor], Tensor]:
        """Logits of each head at `positions` (b) of tokens (b n), and the sketch (b c h w)."""
        states = self.text(tokens).last
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
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.pool, self.data, self.batch, self.pairs, self.seed = pool, pool.data, batch, pairs, seed
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

    def examples(
        self, rng: np.random.Generator, languages: Sequence[Language]
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Tokens (b 77), positions (b), one column of class numbers for each head, latents (b c h w)."""
        drawn = [self.pool.draw(rng, self.pairs, languages) for _ in range(self.batch)]
        tokens = torch.tensor([self.tokenizer.encode_window(caption) for _, caption in drawn])
        meanings = torch.tensor([self.meaning(self.pool.scenes[i], caption) for i, caption in drawn])
        positions = torch.from_numpy(rng.integers(tokens.argmax(dim=1).numpy(), Tokenizer.window))
        latents = self.pool.take([i for i, _ in drawn])
        device = self.device
        return tokens.to(device), positions.to(device), list(meanings.T.to(device)), latents.to(device)

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        tokens, positions, targets, latents = self.examples(philox(self.seed, 3, step), ("en", "zh"))
        logits, sketch = self.reader(tokens, positions)
        reading = torch.stack([F.cross_entropy(out, t) for out, t in zip(logits, targets, strict=True)]).mean()
        sketching = F.mse_loss(sketch, latents)
        return 0.2 * reading + sketching, {"read": float(reading.detach()), "sketch": float(sketching.detach())}

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """In each language the share of objects and of whole meanings read right, and the error of the sketches."""
        figures = {}
        languages: tuple[Language, ...] = ("en", "zh")
        for language in languages:
            tokens, positions, targets, latents = self.examples(philox(self.seed, 4, step), (language,))
            logits, sketch = self.reader(tokens, positions)
            right = [out.argmax(dim=1) == target for out, target in zip(logits, targets, strict=True)]
            figures[f"objects_{language}"] = float((right[0] & right[1]).float().mean())
            figures[f"all_{language}"] = float(torch.stack(right).all(dim=0).float().mean())
            figures[f"sketch_{language}"] = float(F.mse_loss(sketch, latents).detach())
        return figures
