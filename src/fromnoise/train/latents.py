"""Latents of a data set's pictures: encoded once, kept with mean and spread, drawn anew at each step.

A picture's entry is a file of its own, under a key of everything that it hangs on: the picture's file, its bucket and
cut, and the autoencoder. A training that is started again finds them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.engine.memory import vae_dtype
from fromnoise.errors import FileError
from fromnoise.train.data.batches import Item
from fromnoise.train.data.pictures import Cut, Seen, seen


@dataclass(frozen=True)
class Encoded:
    """A picture as the networks are given it."""

    mean: Tensor  # (c h w), unscaled
    deviation: Tensor  # (c h w)
    cut: Cut
    mask: Tensor | None = None  # (1 h w) at the size of the latents
    control: Tensor | None = None  # (3 8h 8w) in [0, 1]

    def drawn(self, noise: Tensor, scale: float) -> Tensor:
        """A draw of the posterior, scaled (c h w)."""
        return (self.mean + self.deviation * noise) * scale


class LatentCache:
    """Encodes pictures, and remembers those whose cut is always the same."""

    def __init__(self, model: Model, folder: Path | None) -> None:
        self.model, self.folder = model, folder
        self.known: dict[str, Encoded] = {}

    def take(self, items: Sequence[Item], randoms: Sequence[Random]) -> list[Encoded]:
        """The pictures of a batch, each with the random state that its cut is drawn from."""
        return [self._one(item, random) for item, random in zip(items, randoms, strict=True)]

    def _one(self, item: Item, random: Random) -> Encoded:
        rules = item.example.subset
        if rules.random_crop or rules.color_aug:
            return self._encoded(seen(item.example, item.fit, random))
        mirrored = rules.flip_aug and random.random() < 0.5
        key = self._key(item, mirrored)
        if key not in self.known:
            self.known[key] = self._stored(key) or self._fresh(item, mirrored, key)
        return self.known[key]

    def _fresh(self, item: Item, mirrored: bool, key: str) -> Encoded:
        """Encoded now, mirrored or not, and stored."""
        encoded = self._encoded(self._middle(item, mirrored))
        if self.folder is not None:
            self._store(key, encoded)
        return encoded

    def _middle(self, item: Item, mirrored: bool) -> Seen:
        """The picture cut in the middle, and mirrored as wanted."""
        rules = item.example.subset.model_copy(update={"flip_aug": False})
        whole = seen(replace(item.example, subset=rules), item.fit, Random(0))
        if not mirrored:
            return whole
        cut = Cut(whole.cut.original, whole.cut.corner, True)
        flip = [None if t is None else t.flip(-1) for t in (whole.mask, whole.control)]
        return Seen(whole.pixels.flip(-1), cut, *flip)

    @torch.no_grad()
    def _encoded(self, picture: Seen) -> Encoded:
        place = self.model.placement
        pixels = picture.pixels[None].to(place.device, vae_dtype(place.dtype))
        mean, logvar = self.model.vae.moments(pixels)
        factor = self.model.vae.config.downscale
        mask = None if picture.mask is None else torch.nn.functional.avg_pool2d(picture.mask, factor)
        deviation = (0.5 * logvar.float()).exp()
        return Encoded(mean[0].float().cpu(), deviation[0].cpu(), picture.cut, mask, picture.control)

    def _key(self, item: Item, mirrored: bool) -> str:
        stat = item.example.path.stat()
        masks = [
            None if p is None else (str(p), p.stat().st_mtime_ns) for p in (item.example.mask, item.example.control)
        ]
        rules = item.example.subset.alpha_mask, item.example.subset.resize_interpolation
        place = str(item.example.path.resolve())
        told = (place, stat.st_size, stat.st_mtime_ns, item.fit, mirrored, masks, rules, self.model.sha256)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:32]

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}.safetensors"

    def _store(self, key: str, encoded: Encoded) -> None:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {"mean": encoded.mean, "deviation": encoded.deviation}
        tensors |= {} if encoded.mask is None else {"mask": encoded.mask}
        tensors |= {} if encoded.control is None else {"control": encoded.control}
        (width, height), (left, top) = encoded.cut.original, encoded.cut.corner
        told = f"{width} {height} {left} {top} {int(encoded.cut.mirrored)}"
        save_checkpoint(self._path(key), tensors, dtype=None, metadata={"cut": told})

    def _stored(self, key: str) -> Encoded | None:
        """What an earlier run left; None where there is nothing that can be read."""
        if self.folder is None or not self._path(key).exists():
            return None
        try:
            tensors = read(self._path(key))
            width, height, left, top, mirrored = map(int, tensors.metadata["cut"].split())
            cut = Cut((width, height), (left, top), bool(mirrored))
            return Encoded(tensors["mean"], tensors["deviation"], cut, tensors.get("mask"), tensors.get("control"))
        except (FileError, KeyError, ValueError):
            return None
