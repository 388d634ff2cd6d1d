"""Hypernetworks: two small networks for each width of context, which change what keys and values are made of.

AUTOMATIC1111's, and NovelAI's before it: k(x + s hk(x)) in place of k(x), and for v alike, in self- and
cross-attention. The width of x chooses the pair; where a file has none for it, nothing changes.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.adapter_files.hypernetwork import HypernetworkFile, State
from fromnoise.errors import FileError
from fromnoise.nn.ops import LayerNorm, Linear
from fromnoise.nn.unet import CrossAttention

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    **{kind.__name__.lower(): kind for kind in (
        nn.CELU, nn.ELU, nn.GELU, nn.GLU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU,
        nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink,
        nn.Softsign, nn.Tanh, nn.Tanhshrink,
    )},
    "linear": nn.Identity,
    "none": nn.Identity,
    "swish": nn.Hardswish,  # as AUTOMATIC1111 and ComfyUI have it
}  # fmt: skip


class Hypernetwork(nn.Module):
    """The pairs of a file, ready to compute."""

    def __init__(self, pairs: Mapping[int, tuple[nn.Sequential, nn.Sequential]]) -> None:
        super().__init__()
        self.pairs = nn.ModuleDict({str(width): nn.ModuleList(pair) for width, pair in pairs.items()})

    def changed(self, x: Tensor, side: int, strength: float) -> Tensor:
        """What keys (side 0) or values (side 1) are made of instead of x (b n d)."""
        width = str(x.shape[-1])
        if width not in self.pairs:
            return x
        return x + strength * cast(Tensor, cast(nn.ModuleList, self.pairs[width])[side](x))


def build(file: HypernetworkFile, path: object, *, activate_output: bool = True) -> Hypernetwork:
    """The networks of a file; `activate_output` is for files that don't say. FileError where it contradicts itself."""
    if file.activate_output is not None:
        activate_output = file.activate_output
    activation = ACTIVATIONS.get(file.activation)
    if activation is None:
        raise FileError(f"{path}: its activation {file.activation!r} is not known here")
    pairs = {}
    for width, (keys, values) in file.weights.items():
        made = [filled(file, width, state, activation, activate_output, path) for state in (keys, values)]
        pairs[width] = made[0], made[1]
    return Hypernetwork(pairs)


def filled(
    file: HypernetworkFile, width: int, state: State, activation: type[nn.Module], activate_output: bool, path: object
) -> nn.Sequential:
    """One small network with the weights of `state`, whose layers are taken in the order of their numbers.

    AUTOMATIC1111 counts activations as layers and others do not, so the numbers themselves tell nothing.
    """
    with torch.device("meta"):
        network = nn.Sequential(*layers(file, width, activation, activate_output))
    places = [place for place, layer in network.named_children() if list(layer.parameters())]
    numbers = sorted({int(name.split(".")[1]) for name in state})
    renamed = {f"linear.{number}": place for number, place in zip(numbers, places, strict=False)}
    weights = {
        f"{renamed.get(layer, layer)}.{end}": tensor
        for (layer, _, end), tensor in ((name.rpartition("."), tensor) for name, tensor in state.items())
    }
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    if shapes != {name: tensor.shape for name, tensor in network.state_dict().items()}:
        raise FileError(f"{path}: its weights for width {width} are not those of the structure {list(file.structure)}")
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()


def layers(file: HypernetworkFile, width: int, activation: type[nn.Module], activate_output: bool) -> list[nn.Module]:
    """In the order of AUTOMATIC1111, on which the numbers of the layers depend."""
    found: list[nn.Module] = []
    sizes = [int(width * times) for times in file.structure]
    for index, (before, after) in enumerate(pairwise(sizes)):
        found.append(Linear(before, after))
        last = index == len(sizes) - 2
        if activation is not nn.Identity and (not last or activate_output):
            found.append(activation())
        if file.layer_norm:
            found.append(LayerNorm(after))
        if index + 1 < len(file.dropout) and file.dropout[index + 1] > 0:
            found.append(nn.Identity())
    return found


@dataclass(frozen=True)
class Hypernetworks:
    """Several hypernetworks on a U-Net, one after the other: a network variant."""

    uses: tuple[tuple[Hypernetwork, float], ...]  # with their strengths

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as undo:
            for module in network.modules():
                if isinstance(module, CrossAttention):
                    for side, layer in enumerate((module.to_k, module.to_v)):
                        undo.callback(layer.register_forward_pre_hook(partial(self._change, side)).remove)
            yield

    def _change(self, side: int, layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        x = args[0]
        for hypernetwork, strength in self.uses:
            x = hypernetwork.changed(x, side, strength)
        return (x,)
