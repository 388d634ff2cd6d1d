"""Reading textual inversions in the layouts of all tools, and out of pictures that carry one.

    file = read_embedding("bad-hands.pt")
    file.vectors  # [(n 768)]; of SDXL (n 768) and (n 1280)

Gal et al. (2022), arXiv 2208.01618.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from fromnoise.checkpoints.adapter_files.embedding_picture import read_picture
from fromnoise.checkpoints.files import finite, read_object
from fromnoise.checkpoints.load import Faults
from fromnoise.errors import FileError

PICTURES = (".png", ".webp", ".avif", ".jxl")
SDXL = ("clip_l", "clip_g")
MAX_VECTORS = 4096
TRAINING = ("name", "step", "sd_checkpoint", "sd_checkpoint_name")


@dataclass(frozen=True)
class EmbeddingFile:
    """Vectors that stand in place of tokens: one tensor (n d) for each text encoder that they were made for."""

    vectors: tuple[Tensor, ...]
    token: str | None = None  # what the file calls it, where it does
    metadata: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None  # None where a LoRA brought it along

    @property
    def count(self) -> int:
        """Places that it takes in a prompt."""
        return max(len(vectors) for vectors in self.vectors)

    def of_width(self, width: int) -> Tensor | None:
        """The vectors for a text encoder of that width."""
        return next((vectors for vectors in self.vectors if vectors.shape[1] == width), None)


def read_embedding(path: Path | str, *, allow_unmatched: bool = False) -> EmbeddingFile:
    """A .pt, .bin or .safetensors file, or a picture made by AUTOMATIC1111.

    Raises FileError; UnmatchedKeys where it holds other tensors besides, such as a second embedding.
    """
    path = Path(path)
    tree = read_picture(path) if path.suffix.lower() in PICTURES else read_object(path)
    found = understood(tree, path)
    faults = Faults()
    faults.unknown += unused(tree, vectors_in(tree)[0])
    faults.check(path, allow_unmatched)
    return replace(found, path=path)


def bundled(weights: Mapping[str, Tensor], prefix: str) -> dict[str, EmbeddingFile]:
    """Those that a LoRA file carries as `bundle_emb.NAME.string_to_param.*` or `bundle_emb.NAME.clip_l`."""
    found: dict[str, dict[str, Tensor]] = {}
    for key in weights:
        if key.startswith(prefix):
            name, _, part = key.removeprefix(prefix).partition(".")
            found.setdefault(name, {})[part.removeprefix("string_to_param.")] = weights[key]
    return {name: understood(parts, Path(name)) for name, parts in found.items()}


def understood(tree: object, path: Path) -> EmbeddingFile:
    """The vectors in what a file holds. FileError where there are none, or too many."""
    vectors, token = vectors_in(tree)
    if not vectors or not all(v.is_floating_point() and 1 <= v.ndim <= 2 and v.numel() for v in vectors):
        raise FileError(f"{path} is no embedding that is known here: it has no vectors in place of tokens")
    shaped = tuple(v.reshape(-1, v.shape[-1]) for v in vectors)
    longest = max(map(len, shaped))
    if longest > MAX_VECTORS:
        raise FileError(f"{path} is no embedding: it has {longest:,} vectors, and at most {MAX_VECTORS:,} are read")
    if not all(finite(v) for v in shaped):
        raise FileError(f"{path} is damaged: its vectors hold NaN or infinity; get the file again")
    known = tree if isinstance(tree, dict) else {}
    metadata = {name: str(known[name]) for name in TRAINING if isinstance(known.get(name), (str, int, float))}
    return EmbeddingFile(shaped, token, metadata)


def unused(tree: object, vectors: Sequence[Tensor]) -> list[str]:
    """The names of tensors in a file that are no part of its embedding; numbers of tokens are none."""
    whole = {one.data_ptr() for one in vectors}
    rows = [row for one in vectors for row in one.reshape(-1, one.shape[-1])]
    return [
        name
        for name, tensor in tensors_in(tree)
        if tensor.data_ptr() not in whole and not any(torch.equal(tensor, row) for row in rows)
    ]


def tensors_in(tree: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of floating-point numbers in a file, with their places."""
    if isinstance(tree, Tensor):
        if tree.is_floating_point():
            yield name, tree
        return
    inside = getattr(tree, "state", tree)  # of an object in a pickle
    parts = inside.items() if isinstance(inside, dict) else enumerate(inside) if isinstance(inside, list) else ()
    for key, value in parts:
        yield from tensors_in(value, f"{name}.{key}".lstrip("."))


def vectors_in(tree: object) -> tuple[list[Tensor], str | None]:
    """The tensors of an embedding, and what the file calls it.

    In this order: AUTOMATIC1111's {"string_to_param": {"*": (n d)}}; SDXL's pair clip_l and clip_g; one tensor alone; a
    list of dicts; {"emb_params": (n d)}; diffusers' {"<token>": (d)}, whose further vectors are <token>_1 and so on.
    """
    if isinstance(tree, Tensor):
        return [tree], None
    if isinstance(tree, list):
        parts = [vectors for item in tree for vectors in vectors_in(item)[0]]
        return parts, None
    if not isinstance(tree, dict):
        return [], None
    param = tree.get("string_to_param")
    state = getattr(param, "state", None)  # of a torch.nn.ParameterDict, in the files of the authors' own code
    param = state.get("_parameters") if isinstance(state, dict) else param
    if isinstance(param, dict):
        name = tree.get("name")
        return [v for v in param.values() if isinstance(v, Tensor)][:1], name if isinstance(name, str) else None
    tensors = {str(name): value for name, value in tree.items() if isinstance(value, Tensor)}
    if any(name in tensors for name in SDXL):
        return [tensors[name] for name in SDXL if name in tensors], None
    if not tensors:
        return [], None
    first, vectors = next(iter(tensors.items()))
    further = [tensors[name] for name in (f"{first}_{i}" for i in range(1, len(tensors))) if name in tensors]
    if further and vectors.ndim == 1 and all(v.shape == vectors.shape for v in further):
        return [torch.stack([vectors, *further])], first
    return [vectors], None if first in ("emb_params", "*") else first
