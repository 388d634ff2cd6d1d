"""Which weights of a model are ready in memory, and which wait in its files until they are used."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.load import convert_layer
from fromnoise.engine.memory import WAITING, Placement, Plan, release, tighter, wait
from fromnoise.engine.streaming import Ahead, carrier
from fromnoise.engine.traffic import Traffic
from fromnoise.nn.ops import Embedding, Fetching
from fromnoise.nn.quantized import Quantized

Stored = dict[tuple[nn.Module, str], Tensor]


@dataclass
class Residence:
    """Of one model's networks. What is stored in memory maps costs nothing to remember."""

    unet: nn.Module
    text: Sequence[nn.Module]
    vae: nn.Module
    placement: Placement
    plan: Plan = field(default_factory=Plan)
    beside: tuple["Residence", ...] = ()  # other models', which make way while this one works
    aside: bool = False  # all weights wait, as another model works
    alone: bool = False  # the U-Net's weights are away, for the autoencoder
    ahead: Ahead | None = None  # brings the U-Net's that wait
    traffic: Traffic = field(default_factory=Traffic)
    moves: int = 0  # of the U-Net's weights so far

    def __post_init__(self) -> None:
        networks = (self.unet, *self.text, self.vae)
        self.stored: Stored = {
            (layer, name): parameter.data
            for network in networks
            for layer in network.modules()
            for name, parameter in layer.named_parameters(recurse=False)
        }

    def settle(self, plan: Plan) -> None:
        """Bring the weights where `plan` wants them."""
        self.plan = plan
        self.bring(plan)

    def bring(self, plan: Plan) -> None:
        """The same for now."""
        place = self.placement
        with self.traffic.move():
            self.aside = False
            self._settle_unet(0.0 if plan.alone else plan.unet)
            self.alone = plan.alone  # until it is about to work
            for encoder in self.text:
                self.keep(encoder, place.dtype, float("inf") if plan.text else 0)
            self.keep(self.vae, place.dtype, float("inf") if plan.vae else 0, place.channels_last)

    def settle_unet(self, share: float) -> None:
        """Make that part of the U-Net's weights ready."""
        with self.traffic.move():
            self._settle_unet(share)

    def _settle_unet(self, share: float) -> None:
        self.alone = False
        self.moves += 1
        dtype = self.placement.dtype
        size = sum(ready_size(parameter.data, dtype) for parameter in self.unet.parameters())
        if self.ahead is not None:
            self.ahead.close()
        self.keep(self.unet, dtype, share * size, self.placement.channels_last)
        most = max((parameter.numel() for parameter in self.unet.parameters()), default=0)
        self.ahead = Ahead(self.unet, self.waiting, carrier(self.placement.device), most) if share < 1 else None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Inside, the U-Net works."""
        self.for_drawing()
        with self.traffic.work():
            yield

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Inside, the autoencoder works on a whole picture; a GPU has done so at the end."""
        self.for_autoencoder()
        with self.traffic.work():
            yield
            wait(self.placement.device)

    def for_drawing(self) -> None:
        """The U-Net is about to work."""
        self.come_forward()
        if self.alone:
            self.settle_unet(self.plan.unet)

    def for_autoencoder(self) -> None:
        """The autoencoder is about to work on a whole picture."""
        self.come_forward()
        if self.plan.alone and not self.plan.away and not self.alone:
            self.settle_unet(0.0)
            self.alone = True
            release(self.placement.device)

    def come_forward(self) -> None:
        """This model works, so that the others beside it wait."""
        for other in self.beside:
            other.step_aside()
        if self.aside:
            self.bring(self.plan)

    def step_aside(self) -> None:
        """All weights wait until this model works again."""
        if not self.aside:
            self.bring(WAITING)
            self.aside = True
            release(self.placement.device)

    @property
    def here(self) -> int:
        """Bytes of weights that are ready in memory of their own."""
        now = ((layer.get_parameter(name).data, stored) for (layer, name), stored in self.stored.items())
        return sum(nbytes(there) for there, stored in now if not same(there, stored))

    @property
    def size(self) -> int:
        """Bytes of all weights once they are ready."""
        return sum(ready_size(tensor, self.placement.dtype) for tensor in self.stored.values())

    def tighten(self, calls: int) -> Plan | None:
        """The next plan after `calls` network calls at once took too much memory; None where there is none."""
        two = self.placement.device.type != "cpu"
        plan = tighter(replace(self.plan, calls=min(calls, self.plan.calls)), two)
        if plan is not None:
            self.settle(plan)
            release(self.placement.device)
        return plan

    def keep(self, network: nn.Module, dtype: torch.dtype, room: float, channels_last: bool = False) -> None:
        """Make as many weights ready as `room` bytes hold, convolutions first, and put the others back."""
        layers = [layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False))]
        for layer in sorted(layers, key=lambda layer: not isinstance(layer, nn.Conv2d)):
            size = sum(ready_size(tensor, dtype) for tensor in layer.parameters(recurse=False))
            room -= size
            if room >= 0 or not self.may_wait(layer):
                convert_layer(layer, dtype, self.placement.device, channels_last)
                if isinstance(layer, Fetching):
                    layer.waits = False
                continue
            if isinstance(layer, Embedding):
                layer.ready = dtype
            elif isinstance(layer, Fetching):
                layer.waits = True
            for name, _ in list(layer.named_parameters(recurse=False)):  # another, so that what is kept of it goes, too
                layer.register_parameter(name, nn.Parameter(self.stored[layer, name], requires_grad=False))

    def waiting(self, layer: Fetching) -> list[str]:
        """The parameters of a layer that are still in its file and can be brought from there."""
        here = self.placement.device.type == "cpu"
        return [
            name
            for name, parameter in layer.named_parameters(recurse=False)
            if same(parameter.data, self.stored[layer, name]) and (here or type(parameter.data) is Tensor)
        ]

    def may_wait(self, layer: nn.Module) -> bool:
        """Whether a layer fetches its weights at each use; embeddings do where all is in the same memory."""
        here = self.placement.device.type == "cpu"
        return isinstance(layer, Fetching) or (here and isinstance(layer, Embedding))


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are in the same place in memory."""
    if isinstance(one, Quantized) and isinstance(other, Quantized):
        return all(a.data_ptr() == b.data_ptr() for a, b in zip(one.stored, other.stored, strict=True))
    return one.device == other.device and one.data_ptr() == other.data_ptr()


def ready_size(tensor: Tensor, dtype: torch.dtype) -> int:
    """Bytes of a weight once it is ready; quantised ones stay as they are."""
    return nbytes(tensor) if isinstance(tensor, Quantized) else tensor.numel() * dtype.itemsize


def nbytes(tensor: Tensor) -> int:
    return sum(part.nbytes for part in tensor.stored) if isinstance(tensor, Quantized) else tensor.nbytes
