"""The files that recipes name besides checkpoints: found on their shelves, read once, and kept for a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from fromnoise.adapters.adapter import Adapter, load_adapter
from fromnoise.adapters.hypernetwork import Hypernetwork, build
from fromnoise.checkpoints.adapter_files.embedding import EmbeddingFile, read_embedding
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.checkpoints.adapter_files.lora import weights_of
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.hashes import file_hash, hashes, tensors_hash
from fromnoise.checkpoints.load import convert
from fromnoise.engine import shelves
from fromnoise.engine.kept import Kept
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe_networks import Kind, NetworkUse
from fromnoise.errors import FileError, UserError
from fromnoise.settings import Settings

SHELVES: Mapping[Kind, shelves.Kind] = {
    "lora": "loras",
    "hypernetwork": "hypernetworks",
    "embedding": "embeddings",
}
ALIAS = "ss_output_name"  # what kohya's trainer was told to call a LoRA
PREVIEW = ".preview"

T = TypeVar("T")


@dataclass(frozen=True)
class NetworkFiles:
    """Those of one model."""

    networks: Mapping[str, nn.Module]  # unet, text0, text1
    settings: Settings
    placement: Placement
    allow_unmatched: bool
    kept: Kept

    def lora(self, use: NetworkUse) -> Adapter:
        """Raises FileError where it can't be found or read, or doesn't fit."""
        path = self.path(use)
        return self._kept(path, "lora", lambda: load_adapter(path, self.networks, allow_unmatched=self.allow_unmatched))

    def hypernetwork(self, use: NetworkUse, *, activate_output: bool) -> Hypernetwork:
        """`activate_output` is for files that don't say. Raises FileError."""
        path = self.path(use)

        def load() -> Hypernetwork:
            made = build(
                read_hypernetwork(path, allow_unmatched=self.allow_unmatched), path, activate_output=activate_output
            )
            return convert(made, dtype=self.placement.dtype, device=self.placement.device)

        return self._kept(path, ("hypernetwork", activate_output), load)

    def embedding(self, path: Path) -> EmbeddingFile:
        return self._kept(path, "embedding", lambda: read_embedding(path, allow_unmatched=self.allow_unmatched))

    def embeddings(self) -> dict[str, Path]:
        """Every embedding on the shelves by what prompts may call it: its file's name, and its path below the shelf."""
        found: dict[str, Path] = {}
        for item in shelves.items("embeddings", self.settings):
            if not item.stem.endswith(PREVIEW):
                for name in (item.stem, item.path.stem):
                    found.setdefault(name, item.path)
        return found

    def path(self, use: NetworkUse) -> Path:
        """The file that a use names, by its own name or by what its trainer called it. FileError."""
        return network_path(SHELVES[use.kind], use.name, self.settings)

    def noted(self, use: NetworkUse) -> NetworkUse:
        """The use with the hash of its file. UserError where it has one that isn't the file's."""
        file = weights_of(self.path(use))
        if use.hash is not None and not hashes(file, self.settings.hashes).match(use.hash):
            raise UserError(f"{use.name}: not the file of the recipe, whose hash is {use.hash}")
        return use.model_copy(update={"hash": digest(use.kind, file, self.settings.hashes)})

    def _kept(self, path: Path, variant: object, load: Callable[[], T]) -> T:
        """What `load` makes of a file, made anew where the file has changed."""
        return self.kept.files.of_file(variant, weights_of(path), load)


def network_path(kind: shelves.Kind, name: str, settings: Settings) -> Path:
    """A file by its own name, and a LoRA also by what its trainer called it. FileError."""
    try:
        return shelves.find(kind, name, settings)
    except FileError as error:
        known = shelves.listed(kind, settings) if kind == "loras" else []
        for path in known:
            if alias(path) == name:
                return path
        raise error


def digest(kind: Kind, file: Path, cache: Path | None) -> str:
    """The hash that AUTOMATIC1111 writes: of a LoRA's tensors without its metadata, else of the whole file."""
    tensors = tensors_hash(file, cache) if kind == "lora" else None
    return tensors or file_hash(file, cache)


def alias(path: Path) -> str | None:
    """The name in the metadata of a safetensors file; None where it has none or can't be read."""
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        return read(path).metadata.get(ALIAS)
    except FileError:
        return None
