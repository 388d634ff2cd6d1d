"""Drawing samples with words that are being learnt: their vectors lie in a file among the run's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.train.embedding import SDXL


def with_words(model: Model, embeddings: Sequence[Mapping[str, Tensor]], folder: Path) -> Model:
    """The model, whose prompts may name the words as they are now."""
    if not embeddings:
        return model
    shelf = folder / "models/embeddings"
    shelf.mkdir(parents=True, exist_ok=True)
    for word in embeddings[0]:
        vectors = [one[word].detach() for one in embeddings]
        tensors = {"emb_params": vectors[0]} if len(vectors) == 1 else dict(zip(SDXL, vectors, strict=True))
        save_checkpoint(shelf / f"{word}.safetensors", tensors, dtype=None)
    return replace(model, settings=replace(model.settings, models=(folder / "models", *model.settings.models)))
