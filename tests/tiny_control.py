"""Tiny random control networks for a U-Net, and their files in the layouts that people have.

path = tiny_control.written(tmp_path / "canny.safetensors", tiny_control.controlnet(unet))
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.control import CONTROL, DIFFERENCE_MARK, LORA_MARK
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.nn.controlnet import ControlNet, ControlNetConfig, UnionConfig
from fromnoise.nn.t2i_adapter import T2IAdapter, T2IAdapterConfig
from fromnoise.nn.unet import UNet
from tests.tiny import filled

WIDTHS = (4, 4, 8, 8)  # of a hint's layers


def controlnet(unet: UNet, seed: int = 0, *, union: UnionConfig | None = None, pooled: bool = False) -> ControlNet:
    """Random, and the residuals about a tenth of what they are added to."""
    config = ControlNetConfig(unet.config, hint_widths=WIDTHS, union=union, pooled=pooled)
    return filled(ControlNet(config), torch.Generator().manual_seed(seed))


def adapter(unet: UNet, seed: int = 0, *, light: bool = False) -> T2IAdapter:
    widths = tuple(unet.config.model_channels * mult for mult in unet.config.channel_mult)
    return filled(T2IAdapter(T2IAdapterConfig(widths=widths, light=light)), torch.Generator().manual_seed(seed))


def lllite(unet: UNet, seed: int = 0, depth: int = 2) -> dict[str, Tensor]:
    """Weights beside every query of the way down and the middle."""
    generator, state = torch.Generator().manual_seed(seed), {}

    def put(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * torch.Size(shape[1:]).numel() ** -0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)

    for path, module in unet.named_modules():
        if path.endswith(".to_q") and not path.startswith("output_blocks"):
            name, dim = "lllite_unet_" + path.replace(".", "_"), module.in_features
            put(f"{name}.conditioning1.0", 4, 3, 4, 4)
            if depth == 3:
                put(f"{name}.conditioning1.2", 4, 4, 4, 4)
            stride = 4 if depth == 2 else 2
            put(f"{name}.conditioning1.{4 if depth == 3 else 2}", 8, 4, stride, stride)
            put(f"{name}.down.0", 6, dim)
            put(f"{name}.mid.0", 6, 6 + 8)
            put(f"{name}.up.0", dim, 6)
    return state


def control_lora(unet: UNet, network: ControlNet, rank: int = 2, seed: int = 0) -> tuple[dict[str, Tensor], ControlNet]:
    """The weights of a Control-LoRA file, and the ControlNet that it comes to."""
    generator, base = torch.Generator().manual_seed(seed), unet.state_dict()
    state: dict[str, Tensor] = {LORA_MARK: torch.zeros(0)}
    whole = {}
    for name, weight in network.state_dict().items():
        if name in base and weight.ndim > 1:
            layer = name.removesuffix(".weight")
            up = torch.randn(len(weight), rank, *(1,) * (weight.ndim - 2), generator=generator)
            down = 0.1 * torch.randn(rank, *weight.shape[1:], generator=generator)
            state |= {f"{layer}.up": up, f"{layer}.down": down}
            whole[name] = base[name] + (up.flatten(1) @ down.flatten(1)).view_as(weight)
        else:
            state[name] = whole[name] = weight
    expected = ControlNet(network.config)
    expected.load_state_dict(whole)
    return state, expected.requires_grad_(False)


def difference(unet: UNet, network: ControlNet) -> dict[str, Tensor]:
    """The weights of a difference ControlNet that comes to `network`."""
    base = unet.state_dict()
    state = {CONTROL + n: w - base[n] if n in base else w for n, w in network.state_dict().items()}
    return {**state, DIFFERENCE_MARK: torch.zeros(0)}


def written(path: Path, network: nn.Module | Mapping[str, Tensor], prefix: str = "") -> Path:
    state = network.state_dict() if isinstance(network, nn.Module) else network
    return save_checkpoint(path, {prefix + name: tensor for name, tensor in state.items()}, dtype=None)
