"""What trains, how the networks behave with it, and what of it a file has.

A method is a `Trainable` in a file of its own; `methods.py` lists them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.hashes import legacy_hash, tensors_hash
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model


class Trainable(ABC):
    """A method of training, on the networks of one model."""

    model: Model
    module: nn.Module  # everything that trains, and only that
    trains_text: bool = False  # whether the states of captions change with it
    wants_controls: bool = False  # whether each picture needs one that steers it
    stored: torch.dtype = torch.float16  # numbers in the file
    slower: Mapping[str, float] = {}  # factors of the learning rate by how parameters' names begin
    rates: Mapping[str, float] = {}  # learning rates by how parameters' names begin

    def applied(self) -> AbstractContextManager[None]:
        """Inside, the networks compute with what trains, and gradients reach it."""
        return nullcontext()

    def steered(self, controls: Tensor | None) -> AbstractContextManager[None]:
        """Inside, the pictures (b 3 h w) in [0, 1] steer the calls of the U-Net, one each, or one all of them."""
        return nullcontext()

    def embeddings(self) -> tuple[Mapping[str, Tensor], ...]:
        """Vectors that captions name, for each text encoder: name to (n d)."""
        return ()

    def said(self, caption: str, random: Random) -> str:
        """What is said of a picture with this caption."""
        return caption

    def bound(self) -> Mapping[str, float]:
        """Bring back what a step has led beyond its bounds; figures for the log."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What the file has, by its names there."""
        return {}

    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return {}

    @abstractmethod
    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        """The file, with what is told of the training; its path. FileError."""


def text_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Those of text encoders, or of what changes them."""
    return (parameter for name, parameter in module.named_parameters() if name.startswith(("lora_te", "text")))


class SafetensorsFile(Trainable):
    """A method whose file is its tensors."""

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        return write_hashed(path, self.tensors(), {**self.metadata(), **told}, self.stored)


def write_hashed(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, str], dtype: torch.dtype) -> Path:
    """A file of tensors that tells kohya's hashes of itself, and ModelSpec's."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        save_checkpoint(draft, tensors, dtype=dtype, metadata=told)
        whole, legacy = tensors_hash(draft), legacy_hash(draft)
    finally:
        draft.unlink(missing_ok=True)
    hashes = {"sshs_model_hash": whole, "sshs_legacy_hash": legacy, "modelspec.hash_sha256": f"0x{whole}"}
    return save_checkpoint(path, tensors, dtype=dtype, metadata={**told, **{k: v for k, v in hashes.items() if v}})
