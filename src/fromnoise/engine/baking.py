"""LoRAs of every kind made part of a model's weights, for files that need them no more."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints.merge import Baked
from fromnoise.checkpoints.opening import Opened
from fromnoise.errors import UserError
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.ops import Patch
from fromnoise.nn.unet import UNet


def baking(loras: Sequence[tuple[Path, Strengths]], *, allow_unmatched: bool = False) -> Callable[[Opened], Baked]:
    """What `checkpoints.merge` takes as `bake`: these LoRAs, one after the other.

    The function raises FileError, UnmatchedLoRA, and UserError for a model without a U-Net.
    """

    def baked(model: Opened) -> Baked:
        if model.facts is None:
            raise UserError(f"{model.path} holds no U-Net; LoRAs are put into whole checkpoints")
        networks = outlines(model)
        found: dict[tuple[str, str], tuple[Patch, ...]] = {}
        for path, strengths in loras:
            adapter = load_adapter(path, networks, allow_unmatched=allow_unmatched)
            for network in networks:
                for name, patches in adapter.patches(network, strengths).items():
                    found[network, name] = (*found.get((network, name), ()), *patches)
        return found

    return baked


def outlines(model: Opened) -> dict[str, nn.Module]:
    """The networks without weights, by the names that adapters know them by."""
    assert model.facts is not None
    with torch.device("meta"):
        networks: dict[str, nn.Module] = {"unet": UNet(model.facts.unet)}
        networks |= {f"text{i}": CLIPText(config) for i, config in enumerate(model.text)}
    return networks
