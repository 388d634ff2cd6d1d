"""LoRA files with random factors for a tiny model, in every dialect."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.names import LAYERS, OPEN_CLIP_LAYER, RESBLOCKS, diffusers_unet
from fromnoise.nn.ops import Fetching

Namer = Callable[[Checkpoint, str, str], str]  # (model, network, our layer) -> the file's
RANK = 2


def networks(model: Checkpoint) -> dict[str, nn.Module]:
    return {"unet": model.unet, **{f"text{i}": encoder for i, encoder in enumerate(model.text)}}


def open_clip(layer: str) -> str:
    """A layer's name in OpenCLIP; projections have none."""
    number, _, rest = layer.removeprefix(LAYERS).partition(".")
    theirs = {ours: name for name, ours in OPEN_CLIP_LAYER.items()}
    return f"{RESBLOCKS}{number}.{theirs[rest]}"


def diffusers(model: Checkpoint, layer: str) -> str:
    return diffusers_unet(model.unet.config)(layer)


def encoder_prefix(model: Checkpoint, network: str, names: tuple[str, str, str]) -> str:
    """For the only encoder, the first of two, and the second."""
    return names[0] if len(model.text) == 1 else names[1 + int(network[-1])]


def kohya(model: Checkpoint, network: str, layer: str) -> str:
    """SD 1.x and 2.x with diffusers' names of the U-Net."""
    if network == "unet":
        return "lora_unet_" + diffusers(model, layer).replace(".", "_")
    return encoder_prefix(model, network, ("lora_te_", "lora_te1_", "lora_te2_")) + layer.replace(".", "_")


def kohya_xl(model: Checkpoint, network: str, layer: str) -> str:
    """SDXL with the original names."""
    return f"lora_unet_{layer.replace('.', '_')}" if network == "unet" else kohya(model, network, layer)


def diffusers_new(model: Checkpoint, network: str, layer: str) -> str:
    if network == "unet":
        return f"unet.{diffusers(model, layer)}"
    return encoder_prefix(model, network, ("text_encoder.", "text_encoder.", "text_encoder_2.")) + layer


def diffusers_short(model: Checkpoint, network: str, layer: str) -> str:
    """Text encoders without `text_model.`, as transformers 5 names them."""
    return diffusers_new(model, network, layer).replace(".text_model.", ".")


def processors(model: Checkpoint, network: str, layer: str) -> str:
    """Old diffusers: attention processors of the U-Net alone, without a prefix."""
    name = re.sub(r"\.(to_\w+?)(\.0)?$", r".processor.\1", diffusers(model, layer))
    return name if network == "unet" else diffusers_new(model, network, layer).replace("q_proj", "to_q")


def peft(model: Checkpoint, network: str, layer: str) -> str:
    return "base_model.model." + (diffusers(model, layer) if network == "unet" else layer)


def one_trainer(model: Checkpoint, network: str, layer: str) -> str:
    """OneTrainer's exchange format."""
    return (
        f"unet.{layer}"
        if network == "unet"
        else encoder_prefix(model, network, ("clip_l.", "clip_l.", "clip_g.")) + layer
    )


def original(model: Checkpoint, network: str, layer: str) -> str:
    """The names of the original files."""
    if network == "unet":
        return f"model.diffusion_model.{layer}"
    prefixes = (
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.",
        "conditioner.embedders.1.model.",
    )
    name = layer if network == "text0" else open_clip(layer)
    return encoder_prefix(model, network, prefixes) + name


def comfyui(model: Checkpoint, network: str, layer: str) -> str:
    prefixes = tuple(f"text_encoders.clip_{which}.transformer." for which in "llg")
    if network == "unet":
        return f"diffusion_model.{layer}"
    return encoder_prefix(model, network, prefixes) + layer  # type: ignore[arg-type]


def simple_tuner(model: Checkpoint, network: str, layer: str) -> str:
    return "lycoris_" + diffusers(model, layer).replace(".", "_")


def kohya_open_clip(model: Checkpoint, network: str, layer: str) -> str:
    """What LyCORIS wrote for SD 2.x."""
    if network == "unet":
        return kohya(model, network, layer)
    return encoder_prefix(model, network, ("lora_te_", "lora_te1_", "lora_te2_")) + open_clip(layer).replace(".", "_")


SIDES: Mapping[str, tuple[str, str]] = {  # endings of up and down
    "kohya": (".lora_up.weight", ".lora_down.weight"),
    "peft": (".lora_B.weight", ".lora_A.weight"),
    "peft in memory": (".lora_B.default.weight", ".lora_A.default.weight"),
    "diffusers": (".lora.up.weight", ".lora.down.weight"),
    "processors": ("_lora.up.weight", "_lora.down.weight"),
    "linear layer": (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
}


def layers(
    model: Checkpoint, network: str, kind: type[nn.Module] | tuple[type[nn.Module], ...], pattern: str = ""
) -> list[str]:
    found = networks(model)[network].named_modules()
    return [name for name, m in found if isinstance(m, Fetching) and isinstance(m, kind) and re.search(pattern, name)]


def factors(network: nn.Module, layer: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """up and down, of a size that the change is well seen."""
    weight = network.get_submodule(layer).weight
    out, *inner = weight.shape
    up = torch.randn(out, RANK, *[1] * (weight.ndim - 2), generator=generator)
    return up, torch.randn(RANK, *inner, generator=generator) * weight[0].numel() ** -0.5


def lora(
    model: Checkpoint, namer: Namer, sides: str, wanted: Mapping[str, list[str]], seed: int = 0
) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """A file's tensors, and (up, down) by network and our name."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    known: dict[str, tuple[Tensor, Tensor]] = {}
    for network, names in wanted.items():
        for layer in names:
            up, down = factors(networks(model)[network], layer, generator)
            for tensor, end in zip((up, down), SIDES[sides], strict=True):
                tensors[namer(model, network, layer) + end] = tensor
            known[f"{network}/{layer}"] = up, down
    return tensors, known


def saved(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path
