"""Latents of a data set's pictures: encoded once, kept with mean and spread, drawn anew at each step.

A picture's entry is a file of its own, under a key of everything that it hangs on: the picture's file, its bucket and
cut, and the autoencoder. A training that is started again finds them.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from fromnoise.train.data.openers import Openers, mirror, opened, varies
from fromnoise.train.data.pictures import Cut, Seen

LOG = logging.getLogger(__name__)
MOST = 2 << 30  # bytes of latents that are kept in memory; others are read again, or encoded anew


@dataclass(frozen=True)
class Encoded:
    """A picture as the networks are given it."""

    mean: Tensor  # (c h w), unscaled
    deviation: Tensor  # (c h w)
    cut: Cut
    mask: Tensor | None = None  # (1 h w) at the size of the latents
    control: Tensor | None = None  # (3 8h 8w) in 0..255

    @property
    def steering(self) -> Tensor | None:
        """What a control network sees (3 8h 8w), in [0, 1]."""
        return None if self.control is None else self.control.float() / 255

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (self.mean, self.deviation, self.mask, self.control) if t is not None)

    def drawn(self, noise: Tensor, scale: float) -> Tensor:
        """A draw of the posterior, scaled (c h w)."""
        return (self.mean + self.deviation * noise) * scale


class LatentCache:
    """Encodes pictures, and remembers those whose cut is always the same."""

    def __init__(self, model: Model, folder: Path | None, openers: Openers | None = None) -> None:
        self.model, self.folder, self.openers = model, folder, openers
        self.known: dict[str, Encoded] = {}
        self.size = 0  # bytes of what is known

    def take(self, items: Sequence[Item], randoms: Sequence[Random], batch: int = -1) -> list[Encoded]:
        """The pictures of a batch, each with the random state that its cut is drawn from."""
        return [
            self._one(item, random, (batch, i)) for i, (item, random) in enumerate(zip(items, randoms, strict=True))
        ]

    def expect(self, items: Sequence[Item], randoms: Sequence[Random], batch: int) -> None:
        """Have pictures opened that will be taken; where processes do that."""
        for i, (item, random) in enumerate(zip(items, randoms, strict=True)):
            mirrored = None if varies(item) else mirror(item, random)
            if self.openers and (mirrored is None or not self._is_known(self._key(item, mirrored))):
                self.openers.begin((batch, i), item, mirrored, random)

    def _is_known(self, key: str) -> bool:
        return key in self.known or (self.folder is not None and self._path(key).exists())

    def _one(self, item: Item, random: Random, place: tuple[int, int]) -> Encoded:
        if varies(item):
            return self._encoded(self._opened(item, None, random, place))
        mirrored = mirror(item, random)
        key = self._key(item, mirrored)
        if key in self.known:
            return self.known[key]
        found = self._stored(key) or self._fresh(item, mirrored, key, place)
        if self.size < MOST:
            self.known[key] = found
            self.size += found.nbytes
        return found

    def _fresh(self, item: Item, mirrored: bool, key: str, place: tuple[int, int]) -> Encoded:
        """Encoded now, mirrored or not, and stored."""
        encoded = self._encoded(self._opened(item, mirrored, Random(0), place))
        if self.folder is not None:
            try:
                self._store(key, encoded)
            except FileError as error:
                LOG.warning("latents are not kept for the next time: %s", error)
                self.folder = None
        return encoded

    def _opened(self, item: Item, mirrored: bool | None, random: Random, place: tuple[int, int]) -> Seen:
        ready = self.openers.end(place) if self.openers else None
        return ready or opened(item, mirrored, random)

    @torch.no_grad()
    def _encoded(self, picture: Seen) -> Encoded:
        place = self.model.placement
        pixels = picture.pixels[None].to(place.device, vae_dtype(place.dtype))
        mean, logvar = self.model.vae.moments(pixels)
        factor = self.model.vae.config.downscale
        mask = None if picture.mask is None else torch.nn.functional.avg_pool2d(picture.mask, factor)
        deviation = (0.5 * logvar.float()).exp()
        control = None if picture.control is None else (picture.control * 255).round().to(torch.uint8)
        return Encoded(mean[0].float().cpu(), deviation[0].cpu(), picture.cut, mask, control)

    def _key(self, item: Item, mirrored: bool) -> str:
        stat = item.example.path.stat()
        masks = [
            None if p is None else (str(p), p.stat().st_mtime_ns) for p in (item.example.mask, item.example.control)
        ]
        rules = item.example.subset.alpha_mask, item.example.subset.resize_interpolation
        place = str(item.example.path.resolve())
        told = (
            place,
            stat.st_size,
            stat.st_mtime_ns,
            item.fit,
            mirrored,
            masks,
            rules,
            self.model.sha256,
            self.model.hashes,
        )
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
            control = tensors.get("control")
            if control is not None and control.dtype != torch.uint8:
                return None  # of an older version
            return Encoded(tensors["mean"], tensors["deviation"], cut, tensors.get("mask"), control)
        except (FileError, KeyError, ValueError):
            return None
