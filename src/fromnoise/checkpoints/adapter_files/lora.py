"""Reading LoRA files of every kind and dialect.

    file = read_lora("ink.safetensors")
    file.layers["lora_unet_mid_block_attentions_0_proj_in"]  # {"lora_down": ..., "lora_up": ..., "alpha": ...}

Layers are still called as in the file: what they are called here is told by a model (`layers.LayerNames`). Factors are
those of LyCORIS; what peft means by its own is translated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fromnoise.checkpoints.adapter_files.embedding import EmbeddingFile, bundled, read_embedding
from fromnoise.checkpoints.adapter_files.keys import split
from fromnoise.checkpoints.adapter_files.peft import peft_config
from fromnoise.checkpoints.files import non_finite, read
from fromnoise.errors import FileError

FOLDER = (
    "adapter_model.safetensors",
    "pytorch_lora_weights.safetensors",
    "adapter_model.bin",
    "pytorch_lora_weights.bin",
    "pytorch_custom_diffusion_weights.safetensors",
    "pytorch_custom_diffusion_weights.bin",
)
BUNDLE = "bundle_emb."
CUSTOM = "pytorch_custom_diffusion_weights."
SINGLE = ("alpha", "scale")
RANKED = ("lora_down", "hada_w1_b", "hada_w2_b", "lokr_w1_b", "lokr_w2_b")  # factors that are as long as the rank
MAX_ALPHA, MAX_RANK = 1e6, 16384


@dataclass(frozen=True)
class LoRAFile:
    """The tensors of a LoRA file, by layer and factor, and what comes along."""

    path: Path
    layers: Mapping[str, Mapping[str, Tensor]]
    keys: Mapping[tuple[str, str], str]  # the file's key of a layer's factor
    unknown: tuple[str, ...]  # keys that name no factor
    embeddings: Mapping[str, EmbeddingFile]
    metadata: Mapping[str, str]


def read_lora(path: Path | str) -> LoRAFile:
    """A file, or a folder that peft or diffusers saved. Raises FileError; NaN and infinity are refused."""
    path = weights_of(Path(path))
    weights = read(path)
    broken = non_finite(weights)
    if broken:
        raise FileError(f"{path} is damaged: {broken[0]} holds NaN or infinity; get the file again")
    config = peft_config(path, weights.metadata)
    layers: dict[str, dict[str, Tensor]] = {}
    keys: dict[tuple[str, str], str] = {}
    unknown = []
    for key in weights:
        found = split(key)
        if key.startswith(BUNDLE):
            continue
        if found is None:
            unknown.append(key)
            continue
        layer, factor = found
        for name, tensor in as_lycoris(factor, weights[key]).items():
            layers.setdefault(layer, {})[name] = tensor
            keys[layer, name] = key
    for layer, factors in layers.items():
        scale = config.scale(layer)
        if scale is not None and "alpha" not in factors:
            factors["scale"] = torch.tensor(scale)
    for layer, factors in layers.items():
        check_factors(path, layer, factors)
    embeddings = {**bundled(weights, BUNDLE), **words_beside(path)}
    return LoRAFile(path, layers, keys, tuple(unknown), embeddings, weights.metadata)


def words_beside(path: Path) -> dict[str, EmbeddingFile]:
    """The words in the folder of diffusers' Custom Diffusion, which are files of their own."""
    if not path.name.startswith(CUSTOM):
        return {}
    others = [one for one in sorted(path.parent.iterdir()) if one.suffix in (".bin", ".safetensors")]
    return {one.stem: read_embedding(one) for one in others if not one.name.startswith(CUSTOM)}


def check_factors(path: Path, layer: str, factors: Mapping[str, Tensor]) -> None:
    """FileError where a layer's factors are nonsense whatever they are for."""
    for name, tensor in factors.items():
        if not tensor.numel():
            raise FileError(f"{path}: {layer}.{name} holds no numbers: its rank is 0; get the file again")
        if name in SINGLE and tensor.numel() != 1:
            raise FileError(f"{path}: {layer}.{name} is no single number; get the file again")
        if name in SINGLE and abs(float(tensor)) > MAX_ALPHA:
            raise FileError(f"{path}: {layer}.{name} is {float(tensor):g}, which no model stands; get the file again")
        if name in RANKED and len(tensor) > MAX_RANK:
            raise FileError(f"{path}: {layer} has a rank of {len(tensor):,}, more than any layer; get the file again")


def weights_of(path: Path) -> Path:
    """The file with the weights in a folder; a file is itself."""
    if not path.is_dir():
        return path
    for name in FOLDER:
        if (path / name).is_file():
            return path / name
    raise FileError(f"{path} holds no LoRA; give a folder with one of {', '.join(FOLDER)}, or a file")


def as_lycoris(factor: str, tensor: Tensor) -> dict[str, Tensor]:
    """A factor under LyCORIS's names, and with its meaning."""
    if factor in ("w_norm", "b_norm"):
        return {"diff" if factor == "w_norm" else "diff_b": tensor}
    if factor == "lora_magnitude_vector":  # peft's is always of rows, and (1 out 1 1) for convolutions
        return {"dora_scale": tensor.flatten()}
    if factor == "oft_blocks" and tensor.ndim == 4:
        return {"boft_blocks": tensor}
    if factor == "ia3_l":  # peft: 1 where nothing was learned; (1 in) or (out 1)
        return {"weight": tensor.flatten().float() - 1, "on_input": torch.tensor(tensor.ndim == 2 and len(tensor) == 1)}
    return {factor: tensor}
