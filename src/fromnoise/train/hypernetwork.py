"""Hypernetworks: two small networks for each width of context learn to change what keys and values are made of.

The layout and the choices are AUTOMATIC1111's; the networks are those that inference uses.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from fromnoise.adapters.hypernetwork import ACTIVATIONS, Hypernetwork, Hypernetworks, layers
from fromnoise.checkpoints.adapter_files.hypernetwork import HypernetworkFile
from fromnoise.engine.images import write_whole
from fromnoise.engine.library import Model
from fromnoise.nn.ops import LayerNorm, Linear
from fromnoise.nn.unet import CrossAttention
from fromnoise.train.pickled import pickled
from fromnoise.train.trainable import Trainable


class HypernetworkOptions(BaseModel):
    """Options of a hypernetwork."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    structure: tuple[float, ...] = Field(default=(1, 2, 1), description="Widths of its layers in units of the context.")
    activation: str = Field(default="linear", description="Between its layers, such as relu or swish.")
    layer_norm: bool = Field(default=False, description="A norm after each layer.")
    widths: tuple[int, ...] = Field(default=(), description="Widths of context that it acts on; by default all.")

    @model_validator(mode="after")
    def _fit(self) -> "HypernetworkOptions":
        if len(self.structure) < 2 or self.structure[0] != 1 or self.structure[-1] != 1:
            raise ValueError("the structure begins and ends with 1, such as 1, 2, 1")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}; there are {', '.join(ACTIVATIONS)}")
        return self


class HypernetworkTraining(Trainable):
    """The pairs of networks, one pair for each width."""

    def __init__(self, model: Model, options: HypernetworkOptions, seed: int) -> None:
        self.model, self.options = model, options
        self.file = HypernetworkFile({}, options.structure, options.activation, options.layer_norm, False)
        generator = torch.Generator().manual_seed(seed)
        widths = options.widths or widths_of(model.unet)
        pairs = {width: (self._network(width, generator), self._network(width, generator)) for width in widths}
        self.network = Hypernetwork(pairs)
        self.module = self.network

    def _network(self, width: int, generator: torch.Generator) -> nn.Sequential:
        """It does nothing yet: its last layer is zero."""
        made = layers(self.file, width, ACTIVATIONS[self.options.activation], activate_output=False)
        linear = [layer for layer in made if isinstance(layer, Linear)]
        for layer, following in pairwise([*linear, None]):
            assert layer is not None
            nn.init.zeros_(layer.bias)
            if following is None:
                nn.init.zeros_(layer.weight)
            else:
                nn.init.xavier_normal_(layer.weight, generator=generator)
        for norm in (layer for layer in made if isinstance(layer, LayerNorm)):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)
        if self.options.layer_norm:
            nn.init.zeros_(next(layer for layer in reversed(made) if isinstance(layer, LayerNorm)).weight)
            nn.init.xavier_normal_(linear[-1].weight, generator=generator)
        device = self.model.placement.device
        return nn.Sequential(*made).to(device)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with Hypernetworks(((self.network, 1.0),)).applied(self.model.unet):
            yield

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        options = self.options
        tree: dict[object, object] = {}
        for width, pair in self.network.pairs.items():
            tree[int(width)] = tuple(named(cast(nn.Sequential, side)) for side in cast(nn.ModuleList, pair))
        tree |= {
            "step": int(told.get("ss_steps", 0)), "name": path.stem, "layer_structure": list(options.structure),
            "activation_func": options.activation, "is_layer_norm": options.layer_norm,
            "weight_initialization": "XavierNormal", "sd_checkpoint": told.get("ss_new_sd_model_hash", "")[:10],
            "sd_checkpoint_name": told.get("ss_sd_model_name"), "activate_output": False, "use_dropout": False,
            "dropout_structure": [0.0] * len(options.structure), "last_layer_dropout": False,
        }  # fmt: skip
        write_whole(path, pickled(tree))
        return path


def named(network: nn.Sequential) -> dict[str, Tensor]:
    """Weights by AUTOMATIC1111's names, whose numbers count activations as layers."""
    return {f"linear.{name}": tensor.detach().float().cpu() for name, tensor in network.state_dict().items()}


def widths_of(unet: nn.Module) -> list[int]:
    """Those of all that keys and values of a U-Net are made of."""
    found = {m.to_k.in_features for m in unet.modules() if isinstance(m, CrossAttention)}
    return sorted(found)
