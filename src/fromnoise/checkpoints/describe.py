"""What a file holds, for people: family, parameters, dtypes, metadata. Knows more kinds of files than it can load."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fromnoise.checkpoints.adapter_files.keys import is_lora
from fromnoise.checkpoints.detect import ModelFacts, NotDetected, detect
from fromnoise.checkpoints.files import check_sums, non_finite, read_object
from fromnoise.checkpoints.fitting import holds
from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.parts import HARMLESS, Parts
from fromnoise.checkpoints.sources import open_source
from fromnoise.errors import FileError
from fromnoise.nn.quantized import Quantized


@dataclass(frozen=True)
class Description:
    """A weight file at a glance."""

    path: Path
    format: str  # safetensors, gguf, torch, torch (legacy), diffusers
    size: int  # bytes
    holds: str  # "checkpoint", "U-Net", "VAE", "LoRA", one of fitting.HOLDS, "hypernetwork" or "unknown"
    facts: ModelFacts | None  # of a file with a U-Net
    parameters: Mapping[str, int]  # of each part: unet, vae, text encoder 1, ..., other
    dtypes: Mapping[str, int]  # parameters stored in each dtype
    ema: bool  # has running averages beside the U-Net's weights
    unknown: tuple[str, ...]  # names that no network takes and that are not known to be harmless
    metadata: Mapping[str, str]
    non_finite: tuple[str, ...] | None  # names of tensors with NaN or infinity; None where it was not checked
    remark: str = ""  # why a file that looks like a model is none

    @property
    def parameter_count(self) -> int:
        return sum(self.parameters.values())


def describe(path: Path | str, *, check: bool = False) -> Description:
    """Describe any weight file; `check` looks for NaN in all of it. Raises FileError where nothing can be read."""
    path = Path(path)
    try:
        source = open_source(path)
    except FileError as error:
        return describe_object(path, error, check)
    parts = Parts({}, {}, (), source.weights) if is_lora(source.weights) else source.parts
    facts, remark = None, ""
    try:
        facts = detect(parts, source.metadata) if parts.unet else None
    except NotDetected as error:
        remark = str(error)
    return Description(
        path,
        source.kind,
        sum(file.stat().st_size for file in source.files),
        holds(parts),
        facts,
        parameters(parts),
        dtypes(source.weights.values()),
        parts.with_ema() is not None,
        tuple(parts.unknown),
        source.metadata,
        checked(source.files, source.weights) if check else None,
        remark,
    )


def checked(files: Iterable[Path], weights: State) -> tuple[str, ...]:
    """Names of tensors with NaN or infinity. FileError where a checksum says that weights are damaged."""
    for file in files:
        check_sums(file)
    return tuple(non_finite(weights))


def describe_object(path: Path, error: FileError, check: bool) -> Description:
    """Of a torch file that is no table of weights: an embedding, a hypernetwork, or something unknown."""
    try:
        tree = read_object(path)
    except FileError:
        raise error from None  # what went wrong first says more
    tensors, kind = tensors_in(tree), holds_object(tree)
    return Description(
        path,
        "torch",
        path.stat().st_size,
        kind,
        None,
        {"other": sum(tensor.numel() for tensor in tensors.values())},
        dtypes(tensors.values()),
        False,
        (),
        {},
        tuple(non_finite(tensors)) if check else None,
        str(error) if kind == "unknown" else "",
    )


def holds_object(tree: object) -> str:
    if isinstance(tree, dict) and "string_to_param" in tree:
        return "embedding"
    if isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        return "embedding"  # as ComfyUI reads it
    if isinstance(tree, dict) and any(isinstance(key, int) and isinstance(tree[key], list) for key in tree):
        return "hypernetwork"
    return "unknown"


def parameters(parts: Parts) -> dict[str, int]:
    """How many numbers each part has, without what is known to be beside the point."""
    named: dict[str, State] = {"unet": parts.unet, "vae": parts.vae}
    named |= {f"text encoder {i}": part.state for i, part in enumerate(parts.text, 1)}
    named["other"] = {name: tensor for name, tensor in parts.rest.items() if not HARMLESS.match(name)}
    counts = {name: sum(tensor.numel() for tensor in state.values()) for name, state in named.items()}
    return {name: count for name, count in counts.items() if count}


def dtypes(tensors: Iterable[Tensor]) -> dict[str, int]:
    """Parameters by dtype, the most frequent first."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        plain = str(tensor.dtype).removeprefix("torch.")
        name = tensor.scheme.name if isinstance(tensor, Quantized) else plain
        counts[name] += tensor.numel()
    return dict(counts.most_common())


def tensors_in(tree: object) -> dict[str, Tensor]:
    """Every tensor of nested dicts and lists, under the path to it; what appears in several places counts once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def visit(value: object, name: str) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, Tensor):
            found[name] = value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            visit(item, f"{name}.{key}".lstrip("."))

    visit(tree, "")
    return found
