"""Tiny random upscalers, written as files under the keys of every year."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from fromnoise.nn.rrdb import RRDBConfig, RRDBNet
from fromnoise.nn.srvgg import CompactConfig, SRVGGNetCompact

N = TypeVar("N", bound=nn.Module)
RRDB = RRDBConfig(width=8, growth=4, blocks=1)
COMPACT = CompactConfig(width=8, convolutions=2, scale=2)


@torch.no_grad()
def stirred(network: N, seed: int = 0) -> N:
    """Random weights of a size that keeps pictures in sight."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.requires_grad_(False).normal_(generator=generator)
        parameter.mul_(0.5 / max(1, parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1)
    return network.eval()


def rrdb(config: RRDBConfig = RRDB, seed: int = 0) -> RRDBNet:
    return stirred(RRDBNet(config), seed)


def compact(config: CompactConfig = COMPACT, seed: int = 0) -> SRVGGNetCompact:
    return stirred(SRVGGNetCompact(config), seed)


def saved(network: nn.Module, path: Path, key: str | None = "params_ema") -> Path:
    """The file of a network, wrapped as Real-ESRGAN's are."""
    state = dict(network.state_dict())
    torch.save({key: state} if key else state, path)
    return path


def old_names(network: RRDBNet) -> dict[str, Tensor]:
    """The weights under ESRGAN's first names."""
    ups = network.config.doublings
    layers = {"conv_first": 0, **{f"conv_up{i + 1}": 3 + 3 * i for i in range(ups)}}
    layers |= {"conv_hr": 2 + 3 * ups, "conv_last": 4 + 3 * ups}
    state = {}
    for name, tensor in network.state_dict().items():
        layer, _, parameter = name.rpartition(".")
        if name.startswith("body."):
            _, block, rdb, conv = layer.split(".")
            between = "" if conv == "conv1x1" else ".0"
            state[f"model.1.sub.{block}.{rdb.upper()}.{conv}{between}.{parameter}"] = tensor
        elif layer == "conv_body":
            state[f"model.1.sub.{network.config.blocks}.{parameter}"] = tensor
        else:
            state[f"model.{layers[layer]}.{parameter}"] = tensor
    return state


def middle_names(network: RRDBNet) -> dict[str, Tensor]:
    """The weights under the names of ESRGAN's second code."""
    renamed = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    state = {}
    for name, tensor in network.state_dict().items():
        layer, _, parameter = name.rpartition(".")
        if name.startswith("body."):
            _, block, rdb, conv = layer.split(".")
            layer = f"RRDB_trunk.{block}.{rdb.upper()}.{conv}"
        state[f"{renamed.get(layer, layer)}.{parameter}"] = tensor
    return state
