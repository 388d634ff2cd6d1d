"""LoRA files with random factors, as kohya's trainer writes them for every attention weight of U-Net and text encoders.

`python -m bench lora_switch` changes from one to the next; `python -m bench.loras SIZE RANK SEED PATH` writes one.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.work import SIZES, Size
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.unet import UNet

RANK = 16
STD = 0.02  # of what is added, in units of the weights'


def lora_file(size: Size, seed: int, rank: int = RANK) -> Path:
    """One made once, by a process of its own: this one's memory is measured."""
    path = Path(tempfile.gettempdir()) / f"fromnoise-bench-{size.name}-rank{rank}-{seed}.safetensors"
    if not path.exists():
        subprocess.run([sys.executable, "-m", __name__, size.name, str(rank), str(seed), str(path)], check=True)
    return path


def written(size: Size, rank: int, seed: int, path: Path) -> None:
    with torch.device("meta"):
        unet, encoders = UNet(size.unet), [CLIPText(config) for config in size.text]
    rename = diffusers_unet(size.unet)
    prefixes = ["lora_te_"] if len(encoders) == 1 else ["lora_te1_", "lora_te2_"]
    layers = [(f"lora_unet_{rename(name)}", layer) for name, layer in unet.named_modules() if is_attention(name, layer)]
    for prefix, encoder in zip(prefixes, encoders, strict=True):
        linear = ((name, layer) for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear))
        layers += [(f"{prefix}{name}", layer) for name, layer in linear if ".layers." in name]
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, layer in layers:
        assert isinstance(layer.weight, Tensor)
        out, across, *sides = layer.weight.shape
        key = name.replace(".", "_")
        ones = [1] * len(sides)
        down = torch.randn(rank, across, *ones, generator=generator) * across**-0.5
        up = torch.randn(out, rank, *ones, generator=generator) * STD
        tensors |= {f"{key}.lora_down.weight": down.half(), f"{key}.lora_up.weight": up.half()}
        tensors[f"{key}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, path, {"ss_network_module": "networks.lora", "ss_network_dim": str(rank)})


def is_attention(name: str, layer: nn.Module) -> bool:
    if not isinstance(layer, (nn.Linear, nn.Conv2d)):
        return False
    return "transformer_blocks" in name or name.endswith(("proj_in", "proj_out"))


if __name__ == "__main__":
    written(SIZES[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
