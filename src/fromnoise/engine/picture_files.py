"""The networks that image prompts and boxes need, found on their shelves and kept for a model."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from fromnoise.checkpoints.clip_vision import load_clip_vision
from fromnoise.checkpoints.detect import NotDetected, vision_config
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.gligen import load_gligen
from fromnoise.checkpoints.hashes import file_hash, hashes
from fromnoise.checkpoints.ip_adapter import load_ip_adapter
from fromnoise.checkpoints.parts import picture_encoder
from fromnoise.engine import shelves
from fromnoise.engine.kept import Kept
from fromnoise.engine.memory import Placement
from fromnoise.engine.vision import seen
from fromnoise.errors import FileError, UserError
from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionConfig, CLIPVisionOutput
from fromnoise.nn.gligen import Gligen
from fromnoise.nn.ip_adapter import IPAdapter
from fromnoise.settings import Settings

T = TypeVar("T", covariant=True)
U = TypeVar("U")


class Load(Protocol[T]):
    """A function that loads a network."""

    def __call__(
        self,
        path: Path,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        allow_unmatched: bool = False,
    ) -> T: ...

    def __hash__(self) -> int: ...


class Enduring(Protocol):
    """What does work again with less in memory where it was too much."""

    def __call__(self, work: Callable[[], U], /) -> U: ...


def at_once(work: Callable[[], U], /) -> U:
    """Without a model there is nothing to take from memory."""
    return work()


@dataclass(frozen=True)
class Wanted:
    """Which picture encoder goes with a network."""

    by: str  # the network, for messages
    embedding: int | None = None  # numbers of the embedding that it takes
    states: int | None = None  # or width of the states

    def fits(self, config: CLIPVisionConfig) -> bool:
        return self.embedding in (None, config.projection_dim) and self.states in (None, config.dim)

    def __str__(self) -> str:
        what = f"embeddings of {self.embedding} numbers" if self.states is None else f"states {self.states} wide"
        return f"{self.by} needs an image encoder of CLIP with {what}{self._known}"

    @property
    def _known(self) -> str:
        by_embedding = {768: "ViT-L/14", 1024: "ViT-H/14", 1280: "ViT-bigG/14"}
        by_states = {1024: "ViT-L/14", 1280: "ViT-H/14", 1664: "ViT-bigG/14"}
        known = by_embedding.get(self.embedding or 0) if self.states is None else by_states.get(self.states)
        return f" ({known})" if known else ""


@dataclass(frozen=True)
class PictureFiles:
    """Those of one model; `own` is the picture encoder that a checkpoint brings along, `enduring` the model's."""

    settings: Settings
    placement: Placement
    allow_unmatched: bool
    kept: Kept
    own: CLIPVision | None = None
    enduring: Enduring = at_once

    def ip_adapter(self, path: Path) -> IPAdapter:
        """Raises FileError where it can't be read."""
        return self._loaded(load_ip_adapter, path)

    def gligen(self, path: Path) -> Gligen:
        """Raises FileError where it can't be read."""
        return self._loaded(load_gligen, path)

    def vision(self, path: Path) -> CLIPVision:
        """Raises FileError where it can't be read."""
        return self._loaded(load_clip_vision, path)

    def find(self, kind: shelves.Kind, name: str, wanted_hash: str | None) -> Path:
        """The file that a recipe names. FileError where there is none, UserError where its hash is another."""
        path = shelves.find(kind, name, self.settings)
        if wanted_hash is not None and not hashes(path, self.settings.hashes).match(wanted_hash):
            raise UserError(f"{name}: not the file of the recipe, whose hash is {wanted_hash}")
        return path

    def hash_of(self, path: Path) -> str:
        """SHA-256 of a file."""
        return file_hash(path, self.settings.hashes)

    def vision_path(self, name: str | None, wanted: Wanted, wanted_hash: str | None = None) -> Path | None:
        """The named picture encoder, or one on the shelves that fits; None for the checkpoint's own.

        FileError where there is none, or the named one doesn't fit.
        """
        if name is not None:
            path = self.find("clip_vision", name, wanted_hash)
            if not wanted.fits(self.vision(path).config):
                raise FileError(f"{path}: not the image encoder that goes with it; {wanted}")
            return path
        if self.own is not None and wanted.fits(self.own.config):
            return None
        for path in shelves.listed("clip_vision", self.settings):
            config = self.kept.files.of_file(config_of, path, partial(config_of, path))
            if config is not None and wanted.fits(config):
                return path
        home = shelves.home("clip_vision", self.settings)
        raise FileError(f"{wanted}: put one into {home}, or give its path with vision=")

    def encoder(self, path: Path | None) -> CLIPVision:
        """That of a file, or the checkpoint's own."""
        if path is not None:
            return self.vision(path)
        assert self.own is not None
        return self.own

    def seen(self, encoder: CLIPVision, what: Hashable, pixels: Callable[[int], Tensor]) -> CLIPVisionOutput:
        """What the encoder tells of `pixels` of its size; `what` stands for them."""

        def look() -> tuple[CLIPVision, CLIPVisionOutput]:  # kept together, so that no other encoder has its id
            return encoder, self.enduring(lambda: seen(encoder, pixels(encoder.config.image_size)))

        return self.kept.answers.get((id(encoder), what), look)[1]

    def _loaded(self, load: Load[T], path: Path) -> T:
        place = self.placement
        return self.kept.files.of_file(
            load,
            path,
            lambda: self.enduring(
                lambda: load(path, dtype=place.dtype, device=place.device, allow_unmatched=self.allow_unmatched)
            ),
        )


def config_of(path: Path) -> CLIPVisionConfig | None:
    """Of a picture encoder's file; None where it is something else."""
    try:
        state, _ = picture_encoder(read(path))
        return vision_config(state) if state else None
    except (FileError, NotDetected):
        return None
