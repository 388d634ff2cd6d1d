"""Seconds a picture would take, from timing pieces of the networks at their real sizes.

Pieces of a network are timed, and the whole takes as much longer as it has more floating-point operations. On a CPU the
U-Net and the decoder of SD 1.5 took 4 to 15 % less than estimated. Loading and the text encoders are left out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.checkpoints.detect import Family, ModelFacts
from fromnoise.engine.memory import Placement, vae_dtype
from fromnoise.nn.clip import CLIP_L, OPENCLIP_G, OPENCLIP_H, CLIPConfig
from fromnoise.nn.unet import SD1, SD2, SDXL, ResBlock, SpatialTransformer, UNetConfig
from fromnoise.nn.vae import SD_VAE, SDXL_VAE, ResnetBlock, VAEConfig

STEPS = 20
CALLS = 2  # of the U-Net in a step: with the prompt and with the negative prompt
TOKENS = 77
EMB = 1280  # channels of the embedded timestep
SLOW = 0.7  # seconds: a first pass that takes this long is the measurement, else the best of a few more is
PASSES = 3


@dataclass(frozen=True)
class Cost:
    """A model family at its own size; a multiplication and an addition are two operations."""

    label: str
    size: int  # pixels, width and height
    unet: float  # 1e12 operations of one call
    decoder: float  # 1e12 operations
    facts: ModelFacts
    pieces: str  # whose to time: a key of Speeds.unet


def facts(family: Family, unet: UNetConfig, vae: VAEConfig, *text: CLIPConfig) -> ModelFacts:
    return ModelFacts(family, "base", "eps", "caller", False, unet, vae, text)


COSTS = (
    Cost("SD 1.5", 512, 0.803, 2.515, facts("sd1", SD1, SD_VAE, CLIP_L), "sd1"),
    Cost("SD 2.1", 768, 2.149, 5.754, facts("sd2", SD2, SD_VAE, OPENCLIP_H), "sd1"),
    Cost("SDXL", 1024, 6.761, 10.470, facts("sdxl", SDXL, SDXL_VAE, CLIP_L, OPENCLIP_G), "sdxl"),
)


@dataclass(frozen=True)
class Speeds:
    """1e12 operations a second."""

    unet: dict[str, float]
    decoder: float

    def seconds(self, cost: Cost, steps: int = STEPS) -> float:
        """For one picture."""
        return steps * CALLS * cost.unet / self.unet[cost.pieces] + cost.decoder / self.decoder


@dataclass(frozen=True)
class Piece:
    """A part of a network, and what goes into it at batch 1."""

    make: Callable[[], nn.Module]
    inputs: tuple[tuple[int, ...], ...]  # shapes


SD1_PIECES = (
    Piece(lambda: ResBlock(320, EMB, 320), ((1, 320, 64, 64), (1, EMB))),
    Piece(lambda: SpatialTransformer(320, 1, SD1), ((1, 320, 64, 64), (1, TOKENS, 768))),
    Piece(lambda: ResBlock(1280, EMB, 1280), ((1, 1280, 16, 16), (1, EMB))),
)
SDXL_PIECES = (
    Piece(lambda: ResBlock(640, EMB, 640), ((1, 640, 64, 64), (1, EMB))),
    Piece(lambda: SpatialTransformer(1280, 1, SDXL), ((1, 1280, 32, 32), (1, TOKENS, 2048))),
)
DECODER_PIECES = (Piece(lambda: ResnetBlock(128, 128, groups=32), ((1, 128, 128, 128),)),)


@torch.inference_mode()
def measure(placement: Placement) -> Speeds:
    """Time the pieces; takes seconds."""
    decoding = Placement(placement.device, vae_dtype(placement.dtype))
    unet = {"sd1": speed(SD1_PIECES, placement), "sdxl": speed(SDXL_PIECES, placement)}
    return Speeds(unet, speed(DECODER_PIECES, decoding))


def speed(pieces: Sequence[Piece], placement: Placement) -> float:
    """1e12 operations a second over all pieces."""
    return sum(map(operations, pieces)) / sum(seconds(piece, placement) for piece in pieces) / 1e12


def operations(piece: Piece) -> int:
    """Counted on shapes alone, without computing."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        piece.make()(*(torch.empty(shape) for shape in piece.inputs))
    return int(counter.get_total_flops())


def seconds(piece: Piece, placement: Placement) -> float:
    """The best of a few passes."""
    module = piece.make()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.02)
    module.to(placement.device, placement.dtype)
    inputs = [torch.randn(shape).to(placement.device, placement.dtype) for shape in piece.inputs]
    if placement.channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        inputs = [x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs]

    def timed() -> float:
        began = time.perf_counter()
        float(module(*inputs).flatten()[0])  # waits for an accelerator to finish
        return time.perf_counter() - began

    first = timed()
    return first if first > SLOW else min(timed() for _ in range(PASSES))
