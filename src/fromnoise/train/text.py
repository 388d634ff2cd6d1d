"""First lessons for the text encoder: tell from a caption what it describes.

A classifier reads the state at a random token at or after the end of the text and names the objects, how they stand
to each other, the style and the background. So captions that mean the same, in either language, come to lie together
before the U-Net sees them: what contrastive pre-training does for CLIP, at a millionth of the cost.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.ops import Linear
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.autoencoder import CPU
from fromnoise.train.emoji import BACKGROUNDS, COLOURS, STYLES, EmojiSet, Scene, philox, random_scene
from fromnoise.train.initialise import initialise


class Meaning(NamedTuple):
    """What a caption says, as class numbers; the last class of each is "not said"."""

    first: int
    second: int
    relation: int  # 0: none, 1: left, 2: above
    style: int
    background: int


class Reader(nn.Module):
    """A text encoder and the heads that are thrown away after the lesson."""

    def __init__(self, config: CLIPConfig, classes: Meaning) -> None:
        super().__init__()
        self.text = CLIPText(config)
        self.heads = nn.ModuleList(Linear(config.dim, count) for count in classes)

    def forward(self, tokens: Tensor, positions: Tensor) -> list[Tensor]:
        """Logits of each head at `positions` (b) of tokens (b n)."""
        states = self.text(tokens).last[torch.arange(len(tokens)), positions]
        return [head(states) for head in self.heads]


class TextTask:
    """Captions of random scenes in both languages; held-out pairs of object and style are not among them."""

    def __init__(
        self,
        data: EmojiSet,
        config: CLIPConfig,
        *,
        batch: int = 128,
        pairs: float = 0.3,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.data, self.batch, self.pairs, self.seed = data, batch, pairs, seed
        self.pictures = data.select(chosen=True, held_out=False)
        self.number = {thing: i for i, thing in enumerate(data.vocabulary)}
        self.styles = {style: i for i, style in enumerate(STYLES)}
        count = len(data.vocabulary)
        self.reader = Reader(config, Meaning(count, count + 1, 3, len(STYLES) + 1, len(BACKGROUNDS) + 1))
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

    def examples(self, rng: np.random.Generator, languages: tuple[str, ...]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Tokens (b 77), positions (b) and one column of class numbers for each head."""
        rows, meanings = [], []
        for _ in range(self.batch):
            scene = random_scene(self.data, self.pictures, rng, self.pairs)
            caption = self.data.caption(scene, rng, "en" if rng.choice(languages) == "en" else "zh")
            rows.append(self.tokenizer.encode_window(caption))
            meanings.append(self.meaning(scene, caption))
        tokens = torch.tensor(rows)
        ends = tokens.argmax(dim=1).numpy()
        positions = torch.from_numpy(rng.integers(ends, Tokenizer.window))
        return tokens.to(self.device), positions.to(self.device), list(torch.tensor(meanings).T.to(self.device))

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        tokens, positions, targets = self.examples(philox(self.seed, 3, step), ("en", "zh"))
        logits = self.reader(tokens, positions)
        loss = torch.stack([F.cross_entropy(out, target) for out, target in zip(logits, targets, strict=True)]).mean()
        return loss, {"first": accuracy(logits[0], targets[0])}

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """Share of objects, and of whole meanings, read right in each language."""
        figures = {}
        for language in ("en", "zh"):
            tokens, positions, targets = self.examples(philox(self.seed, 4, step), (language,))
            logits = self.reader(tokens, positions)
            right = [out.argmax(dim=1) == target for out, target in zip(logits, targets, strict=True)]
            figures[f"objects_{language}"] = float((right[0] & right[1]).float().mean())
            figures[f"all_{language}"] = float(torch.stack(right).all(dim=0).float().mean())
        return figures


def accuracy(logits: Tensor, target: Tensor) -> float:
    return float((logits.argmax(dim=1) == target).float().mean())
