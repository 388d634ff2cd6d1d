"""ControlNet and T2I-Adapter: a network beside the U-Net learns to steer it by a second picture.

Zhang et al. (2023), "Adding Conditional Control to Text-to-Image Diffusion Models": a copy of the way down, joined by
convolutions that begin at zero. Mou et al. (2023), "T2I-Adapter": a small network of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.checkpoints.control import CONTROL, load_control
from fromnoise.checkpoints.control_names import adapter_to_diffusers
from fromnoise.engine.control_networks import check
from fromnoise.engine.images import write_whole
from fromnoise.engine.library import Model
from fromnoise.errors import FileError
from fromnoise.nn.controlnet import ControlNet, ControlNetConfig
from fromnoise.nn.ops import Conv2d
from fromnoise.nn.t2i_adapter import T2IAdapter, T2IAdapterConfig, places
from fromnoise.nn.unet import UNet
from fromnoise.train.initialise import initialise
from fromnoise.train.trainable import SafetensorsFile, write_hashed

DIFFUSERS = "diffusion_pytorch_model.safetensors"
COPIED = ("time_embed", "label_emb", "input_blocks", "middle_block")


class ControlOptions(BaseModel):
    """Options of control networks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Path | None = Field(default=None, description="A network of the same kind to go on from.")


class ControlNetTraining(SafetensorsFile):
    """A ControlNet for one U-Net."""

    wants_controls = True

    def __init__(self, model: Model, options: ControlOptions, seed: int) -> None:
        self.model = model
        self.network = started(options.start, ControlNet, model) if options.start else copied(model.unet, seed)
        self.network.to(model.placement.device, torch.float32)
        self.module: nn.Module = self.network.requires_grad_(True)

    @contextmanager
    def steered(self, controls: Tensor | None) -> Iterator[None]:
        if controls is None:
            yield
            return
        guided = self.network.guide([controls.to(self.model.placement.device)])
        hint = ControlHint(self.network, guided, (1.0,) * (len(self.network.zero_convs) + 1))
        with hint.applied(self.model.unet, [hint]):
            yield

    def tensors(self) -> dict[str, Tensor]:
        return {f"{CONTROL}{name}": tensor.detach() for name, tensor in self.network.state_dict().items()}


class T2IAdapterTraining(SafetensorsFile):
    """A T2I-Adapter for one U-Net."""

    wants_controls = True

    def __init__(self, model: Model, options: ControlOptions, seed: int) -> None:
        self.model = model
        self.network = started(options.start, T2IAdapter, model) if options.start else fresh(model, seed)
        self.network.to(model.placement.device, torch.float32)
        self.module: nn.Module = self.network.requires_grad_(True)

    @contextmanager
    def steered(self, controls: Tensor | None) -> Iterator[None]:
        if controls is None:
            yield
            return
        features = tuple(self.network(controls.to(self.model.placement.device)))
        where = tuple(places(self.network.config, self.model.unet.config))
        hint = AdapterHint(features, where, (1.0,) * len(features))
        with hint.applied(self.model.unet, [hint]):
            yield

    def tensors(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.network.state_dict().items()}

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        """The original file; under the name that diffusers gives its files, one of theirs with its configuration."""
        if path.name != DIFFUSERS:
            return super().write(path, told)
        config = self.network.config
        settings = {
            "_class_name": "T2IAdapter", "in_channels": config.hint_channels, "channels": list(config.widths),
            "num_res_blocks": config.blocks, "downscale_factor": config.unshuffle,
            "adapter_type": "full_adapter_xl" if config.xl else "full_adapter",
        }  # fmt: skip
        write_whole(path.with_name("config.json"), json.dumps(settings, indent=2).encode())
        return write_hashed(
            path, adapter_to_diffusers(self.tensors(), len(config.widths), config.blocks), told, self.stored
        )


N = TypeVar("N", ControlNet, T2IAdapter)


def started(path: Path, kind: type[N], model: Model) -> N:
    """The network of a file; FileError where it is of another kind, or for another model."""
    network = load_control(path, model.unet)
    if not isinstance(network, kind):
        raise FileError(f"{path} is a {type(network).__name__}, and a {kind.__name__} is to be trained; take another")
    check(path, network, model.unet)
    for name, parameter in list(network.named_parameters()):
        layer, _, own = name.rpartition(".")
        setattr(network.get_submodule(layer), own, nn.Parameter(parameter.detach().float().clone()))
    return network


@torch.no_grad()
def copied(unet: UNet, seed: int) -> ControlNet:
    """A ControlNet that does nothing yet: the U-Net's way down, and zeros where it joins."""
    network = ControlNet(ControlNetConfig(unet.config))
    initialise(network, seed)
    for name in COPIED:
        if hasattr(network, name):
            part = cast(nn.Module, getattr(network, name))
            part.load_state_dict(cast(nn.Module, getattr(unet, name)).state_dict())
    joints = (*network.zero_convs.modules(), *network.middle_block_out.modules())
    for joint in (*(m for m in joints if isinstance(m, Conv2d)), cast(Conv2d, network.input_hint_block[-1])):
        joint.weight.zero_()
        cast(Tensor, joint.bias).zero_()
    return network


@torch.no_grad()
def fresh(model: Model, seed: int) -> T2IAdapter:
    """A T2I-Adapter in the size of the model's that does nothing yet: its features begin at zero."""
    unet, xl = model.unet.config, model.facts.family.startswith("sdxl")
    levels = [unet.model_channels * mult for mult in unet.channel_mult]
    widths = (levels[0], *levels[1:], levels[-1]) if xl else tuple(levels)
    network = T2IAdapter(T2IAdapterConfig(widths=widths, xl=xl))
    initialise(network, seed)
    network.conv_in.weight.zero_()
    return network
