"""Hypernetworks: two small networks for each width of context learn to change what keys and values are made of.

The layout and the choices are AUTOMATIC1111's; the networks are those that inference uses.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from fromnoise.adapters.hypernetwork import ACTIVATIONS, Hypernetwork, Hypernetworks, build, layers
from fromnoise.checkpoints.adapter_files.hypernetwork import HypernetworkFile, read_hypernetwork
from fromnoise.engine.images import write_whole
from fromnoise.engine.library import Model
from fromnoise.nn.ops import LayerNorm, Linear
from fromnoise.nn.unet import CrossAttention
from fromnoise.train.pickled import pickled
from fromnoise.train.trainable import Trainable

Start = Literal["Normal", "XavierNormal", "XavierUniform", "KaimingNormal", "KaimingUniform"]
STARTS: Mapping[Start, Callable[..., Tensor]] = {  # AUTOMATIC1111's
    "Normal": partial(nn.init.normal_, std=0.01), "XavierNormal": nn.init.xavier_normal_,
    "XavierUniform": nn.init.xavier_uniform_, "KaimingNormal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "KaimingUniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
}  # fmt: skip


class Dropping(nn.Module):
    """Dropout while it learns, wherever the layer is: what is drawn on the way is drawn whole."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.share, training=torch.is_grad_enabled())


class HypernetworkOptions(BaseModel):
    """Options of a hypernetwork."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    structure: tuple[float, ...] = Field(default=(1, 2, 1), description="Widths of its layers in units of the context.")
    activation: str = Field(default="linear", description="Between its layers, such as relu or swish.")
    layer_norm: bool = Field(default=False, description="A norm after each layer.")
    widths: tuple[int, ...] = Field(default=(), description="Widths of context that it acts on; by default all.")
    activate_output: bool = Field(default=False, description="The activation after the last layer, too.")
    dropouts: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        default=(), description="Shares that are dropped after each width of the structure; the first and last are 0."
    )
    weight_init: Start = Field(
        default="XavierNormal", description="How layers begin; the last is 0 unless its output is activated."
    )
    start: Path | None = Field(default=None, description="A hypernetwork to go on from, with its structure.")

    @model_validator(mode="after")
    def _fit(self) -> "HypernetworkOptions":
        if len(self.structure) < 2 or self.structure[0] != 1 or self.structure[-1] != 1:
            raise ValueError("the structure begins and ends with 1, such as 1, 2, 1")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}; there are {', '.join(ACTIVATIONS)}")
        if self.dropouts and (len(self.dropouts) != len(self.structure) or self.dropouts[0] or self.dropouts[-1]):
            raise ValueError("the dropout structure has a share for each width, the first and the last 0: 0, 0.1, 0")
        return self


class HypernetworkTraining(Trainable):
    """The pairs of networks, one pair for each width."""

    def __init__(self, model: Model, options: HypernetworkOptions, seed: int) -> None:
        self.model, self.options = model, options
        self.file = HypernetworkFile(
            {}, options.structure, options.activation, options.layer_norm, options.activate_output, options.dropouts
        )
        if options.start is not None:
            self.file = read_hypernetwork(options.start)
        generator = torch.Generator().manual_seed(seed)
        widths = self.file.widths or options.widths or widths_of(model.unet)
        pairs = {width: (self._network(width, generator), self._network(width, generator)) for width in widths}
        self.network = Hypernetwork(pairs)
        if options.start is not None:
            self._go_on(options.start)
        self.module = self.network

    @torch.no_grad()
    def _go_on(self, path: Path) -> None:
        """Begin with the weights of a file. FileError where its structure contradicts them."""
        there = dict(build(self.file, path, activate_output=False).named_parameters())
        for name, parameter in self.network.named_parameters():
            parameter.copy_(there[name])

    def _network(self, width: int, generator: torch.Generator) -> nn.Sequential:
        """It does nothing yet, its last layer being zero, unless an activation comes after it."""
        file, options = self.file, self.options
        made = layers(file, width, ACTIVATIONS[file.activation], activate_output=bool(file.activate_output))
        shares = iter([share for share in file.dropout[1 : len(file.structure)] if share])
        made = [Dropping(next(shares)) if type(layer) is nn.Identity else layer for layer in made]
        linear = [layer for layer in made if isinstance(layer, Linear)]
        begin = partial(STARTS[options.weight_init], generator=generator)
        for layer, following in pairwise([*linear, None]):
            assert layer is not None
            nn.init.zeros_(layer.bias)
            if following is None and not file.activate_output:
                nn.init.zeros_(layer.weight)
            else:
                begin(layer.weight)
        for norm in (layer for layer in made if isinstance(layer, LayerNorm)):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)
        if file.layer_norm:
            nn.init.zeros_(next(layer for layer in reversed(made) if isinstance(layer, LayerNorm)).weight)
            begin(linear[-1].weight)
        device = self.model.placement.device
        return nn.Sequential(*made).to(device)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with Hypernetworks(((self.network, 1.0),)).applied(self.model.unet):
            yield

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        file = self.file
        tree: dict[object, object] = {}
        for width, pair in self.network.pairs.items():
            tree[int(width)] = tuple(named(cast(nn.Sequential, side)) for side in cast(nn.ModuleList, pair))
        tree |= {
            "step": int(told.get("ss_steps", 0)), "name": path.stem, "layer_structure": list(file.structure),
            "activation_func": file.activation, "is_layer_norm": file.layer_norm,
            "weight_initialization": self.options.weight_init,
            "sd_checkpoint": told.get("ss_new_sd_model_hash", "")[:10],
            "sd_checkpoint_name": told.get("ss_sd_model_name"), "activate_output": bool(file.activate_output),
            "use_dropout": any(file.dropout), "last_layer_dropout": False,
            "dropout_structure": list(file.dropout) or [0.0] * len(file.structure),
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
