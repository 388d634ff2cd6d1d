"""From a file to networks: detect, build without memory, put the mapped weights in.

model = load_checkpoint("v1-5-pruned.safetensors", dtype=torch.bfloat16)
model.unet, model.vae, model.text, model.facts.family
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.detect import (
    VAE_SCALES,
    Family,
    ModelFacts,
    NotDetected,
    Prediction,
    detect,
    overridden,
    vae_config,
)
from fromnoise.checkpoints.fitting import INSTEAD, NOTHING, holds
from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.parts import MEAN, STD, UNET, VAE, VISION, Parts
from fromnoise.checkpoints.sources import combined, open_source, require
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.clip_vision import CLIPVision
from fromnoise.nn.quantized import Quantized
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL

LOG = logging.getLogger(__name__)
SHOWN = 5  # names in a message


class UnmatchedKeys(FileError):
    """Weights that no network takes, or networks' weights that the file does not give.

    `unknown`, `missing` and `misshapen` hold all the names; the message shows the first few.
    """

    def __init__(self, path: Path, unknown: list[str], missing: list[str], misshapen: list[str]) -> None:
        self.unknown, self.missing, self.misshapen = unknown, missing, misshapen
        kinds = (("missing", missing), ("of another shape", misshapen), ("unknown", unknown))
        found = "; ".join(f"{len(names):,} {kind}: {shortened(names)}" for kind, names in kinds if names)
        remedy = (
            "the file is damaged or of a kind that is not supported"
            if missing or misshapen
            else "load it with allow_unmatched=True to do without them"
        )
        super().__init__(f"weights of {path} do not match its networks ({found}); {remedy}")


def shortened(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


@dataclass(frozen=True)
class Checkpoint:
    """The networks of one file, ready for inference."""

    path: Path
    facts: ModelFacts
    unet: UNet
    vae: AutoencoderKL | None  # some files leave it out, to be used with a separate one
    text: tuple[CLIPText, ...]
    metadata: Mapping[str, str]
    vision: CLIPVision | None = None  # unCLIP's
    vision_stats: tuple[Tensor, Tensor] | None = None  # mean and deviation (1 d) of unCLIP's embeddings
    files: tuple[Path, ...] = ()  # that the weights come from
    own_files: tuple[Path, ...] = ()  # those of them that are the checkpoint itself

    @property
    def family(self) -> Family:
        return self.facts.family

    def with_vae(self, path: Path | str) -> "Checkpoint":
        """The same with the autoencoder of another file, its latents scaled as this family's are."""
        vae = load_vae(path, scale_factor=VAE_SCALES[self.family])
        return replace(self, vae=vae, facts=replace(self.facts, vae=vae.config))


def load_checkpoint(
    path: Path | str,
    *,
    unet: Path | str | None = None,
    text_encoders: Sequence[Path | str] = (),
    vae: Path | str | None = None,
    variant: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    prediction: Prediction | None = None,
    ema: bool = False,
    allow_unmatched: bool = False,
) -> Checkpoint:
    """The networks of a checkpoint of any family and layout, a file or a diffusers folder.

    `unet`, `text_encoders` and `vae` are files or folders whose networks are used instead of its own; `variant` chooses
    among the weights of a folder. Weights stay in the files' memory maps, in their dtype, unless `dtype` or `device`
    asks for copies. `prediction` says what the network predicts where the file cannot (see `detect`); `ema` takes the
    running averages that full training checkpoints carry.

    Raises FileError for a bad file, NotDetected and UnmatchedKeys for weights that make no model.
    """
    own = open_source(path, variant)
    source = combined(
        own,
        unet=None if unet is None else open_source(unet, variant),
        text=[open_source(file, variant) for file in text_encoders],
        vae=None if vae is None else open_source(vae, variant),
    )
    parts = source.parts
    if ema:
        averaged = parts.with_ema()
        if averaged is None:
            raise FileError(f"{path} holds no EMA weights; leave --ema out")
        parts = averaged
    if not parts.unet:
        kind = holds(parts)
        raise NotDetected(f"{path} holds {INSTEAD.get(kind, NOTHING)}")
    try:
        facts = detect(parts, source.metadata, prediction=prediction)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    networks = build(source.path, parts, facts, allow_unmatched)
    for network in networks.all:
        convert(network, dtype=dtype, device=device)
    return Checkpoint(
        source.path,
        facts,
        networks.unet,
        networks.vae,
        networks.text,
        source.metadata,
        networks.vision,
        vision_stats(parts),
        source.files,
        own.files,
    )


def load_vae(
    path: Path | str,
    *,
    scale_factor: float = VAE_SCALES["sd1"],
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    allow_unmatched: bool = False,
) -> AutoencoderKL:
    """The autoencoder of a file of its own (our names or diffusers') or of a checkpoint.

    `scale_factor` brings its latents to unit variance, which its shapes cannot tell. Raises as `load_checkpoint`.
    """
    source = open_source(path)
    parts = source.parts
    require(source, "autoencoder", parts.vae)
    try:
        config = overridden(vae_config(parts.vae, scale_factor), "vae", source.metadata)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    faults = Faults()
    vae = faults.filled(partial(AutoencoderKL, config), parts.vae, VAE)
    faults.check(source.path, allow_unmatched)
    return convert(vae, dtype=dtype, device=device)


class Networks(NamedTuple):
    """Of a checkpoint."""

    unet: UNet
    vae: AutoencoderKL | None
    text: tuple[CLIPText, ...]
    vision: CLIPVision | None

    @property
    def all(self) -> list[nn.Module]:
        return [network for network in (self.unet, self.vae, *self.text, self.vision) if network is not None]


def build(path: Path, parts: Parts, facts: ModelFacts, allow_unmatched: bool) -> Networks:
    """The networks that `facts` describe with the weights of `parts`. Raises UnmatchedKeys."""
    faults = Faults()
    faults.unknown += parts.unknown
    unet = faults.filled(partial(UNet, facts.unet), parts.unet, UNET)
    vae = faults.filled(partial(AutoencoderKL, facts.vae), parts.vae, VAE) if facts.vae else None
    pairs = zip(facts.text, parts.text, strict=True)
    text = tuple(faults.filled(partial(CLIPText, config), part.state, part.prefix) for config, part in pairs)
    vision = faults.filled(partial(CLIPVision, facts.vision), parts.vision, VISION) if facts.vision else None
    faults.check(path, allow_unmatched)
    return Networks(unet, vae, text, vision)


def vision_stats(parts: Parts) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation (1 d) of the embeddings that unCLIP was trained on, where a file tells them."""
    mean, std = parts.rest.get(MEAN), parts.rest.get(STD)
    return None if mean is None or std is None else (mean.reshape(1, -1), std.reshape(1, -1))


N = TypeVar("N", bound=nn.Module)


class Faults:
    """Builds networks and gathers what does not fit, so that one error can name all of it."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.missing: list[str] = []
        self.misshapen: list[str] = []

    def filled(self, build: Callable[[], N], state: State, prefix: str) -> N:
        """The network with the weights of `state`, without a copy; `prefix` is how the file begins their names."""
        with torch.device("meta"):
            network = build()
        network.requires_grad_(False).eval()
        wanted = network.state_dict()
        fitting = {}
        for name, weight in wanted.items():
            tensor = state.get(name)
            if tensor is None:
                self.missing.append(prefix + name)
            elif tensor.shape != weight.shape or not tensor.is_floating_point():
                self.misshapen.append(prefix + name)
            else:
                fitting[name] = tensor
        self.unknown += [prefix + name for name in state if name not in wanted]
        network.load_state_dict(fitting, strict=len(fitting) == len(wanted), assign=True)
        return network

    def check(self, path: Path, allow_unmatched: bool) -> None:
        """Raise UnmatchedKeys; `allow_unmatched` forgives weights too many, but none too few."""
        if self.missing or self.misshapen or (self.unknown and not allow_unmatched):
            raise UnmatchedKeys(path, self.unknown, self.missing, self.misshapen)
        remark_unmatched(LOG, path, self.unknown)


def remark_unmatched(log: logging.Logger, path: Path, names: list[str]) -> None:
    """Say what a file holds that is passed over because the caller allowed it; nothing where that is nothing."""
    if names:
        log.warning(
            "%s: %s of its keys match nothing (%s): done without them", path, f"{len(names):,}", shortened(names)
        )


def convert(
    network: N,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    channels_last: bool = False,
) -> N:
    """Change a network in place, one tensor after the other, so that there are never two copies of it.

    Weights that already are as asked stay where they are, such as in a file's memory map. Quantised ones stay quantised
    and are unpacked to `dtype` at each use. Patches and hooks stay.
    """
    for layer in network.modules():
        convert_layer(layer, dtype, device, channels_last)
    return network


def convert_layer(
    layer: nn.Module, dtype: torch.dtype | None, device: torch.device | str | None, channels_last: bool
) -> None:
    """The same for a layer's own parameters."""
    for name, parameter in list(layer.named_parameters(recurse=False)):
        if isinstance(parameter.data, Quantized):
            packed = parameter.data.packed(device, dtype)
            layer.register_parameter(name, nn.Parameter(packed, requires_grad=False))
            continue
        layout = torch.channels_last if channels_last and parameter.ndim == 4 else torch.preserve_format
        parameter.data = parameter.data.to(device, dtype, memory_format=layout)
