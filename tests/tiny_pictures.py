"""Tiny random networks that read pictures: encoders, IP-Adapters, and pictures for them to look at."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionConfig
from fromnoise.nn.gligen import Gligen, GligenConfig
from fromnoise.nn.image_projection import Kind, ProjectionConfig
from fromnoise.nn.ip_adapter import IPAdapter, IPAdapterConfig, sites
from fromnoise.nn.unet import UNet
from tests.tiny import VISION, filled

IDENTITY = 24  # numbers that tell a face

PROJECTIONS: dict[Kind, ProjectionConfig] = {
    "plain": ProjectionConfig("plain", 0, VISION.projection_dim, tokens=4),
    "full": ProjectionConfig("full", 0, VISION.dim, tokens=0),
    "plus": ProjectionConfig("plus", 0, VISION.dim, tokens=5, dim=64, heads=2),
    "face": ProjectionConfig("face", 0, IDENTITY, tokens=4, hidden_dim=48),
    "face_plus": ProjectionConfig(
        "face_plus", 0, IDENTITY, tokens=4, heads=1, layers=4, vision_dim=VISION.dim, hidden_dim=48
    ),
}


def noisy(folder: Path, captions: Sequence[str]) -> Path:
    """The folder, with a picture of noise, 64x64, for each caption; the same ones each time."""
    for number, caption in enumerate(captions):
        noise(number).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(caption)
    return folder


def noise(seed: int, side: int = 64) -> Image.Image:
    """A grey picture of noise."""
    levels = np.random.default_rng(seed).normal(128, 80, (side, side)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(levels).convert("RGB")


def vision(seed: int = 0, config: CLIPVisionConfig = VISION) -> CLIPVision:
    return filled(CLIPVision(config), torch.Generator().manual_seed(seed))


def ip_adapter(unet: UNet, kind: Kind = "plain", *, seed: int = 0, rank: int = 0) -> IPAdapter:
    """A random adapter for `unet`."""
    projection = replace(PROJECTIONS[kind], out_dim=unet.config.context_dim)
    config = IPAdapterConfig(projection, tuple(site.dim for site in sites(unet)), rank)
    return filled(IPAdapter(config), torch.Generator().manual_seed(seed))


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (40, 48)) -> Path:
    """A picture with large random shapes."""
    levels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def gligen(unet: UNet, seed: int = 0) -> Gligen:
    """A random GLIGEN model for `unet`, whose gates are open."""
    width = unet.config.context_dim
    blocks = tuple((site.name, site.dim) for site in sites(unet))
    made = filled(Gligen(GligenConfig(blocks, width, width, hidden_dim=512)), torch.Generator().manual_seed(seed))
    for name, parameter in made.named_parameters():
        if ".alpha_" in name:
            parameter.fill_(0.7)
    return made
