"""Tiny random models of every family, written in seconds as checkpoints in the layout of the original files.

path = tiny.checkpoint(tmp_path / "model.safetensors", "sdxl")
model = load_checkpoint(path)

They draw noise, but every size, key and code path is that of the real thing: the text encoders know the whole
vocabulary, the autoencoder shrinks pictures to an eighth, SDXL has two encoders and takes sizes.
"""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from fromnoise.checkpoints.detect import VAE_SCALES, Family, ModelFacts, Prediction, Task
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionConfig
from fromnoise.nn.unet import UNet, UNetConfig
from fromnoise.nn.vae import AutoencoderKL, VAEConfig

CHANNELS: dict[Task, int] = {"base": 4, "unclip": 4, "depth": 5, "upscale": 7, "instruct": 8, "inpaint": 9}
SIZES = 256  # sinusoids for each number in SDXL's y

CLIP_L = CLIPConfig(dim=32, layers=2, heads=1)
OPENCLIP = CLIPConfig(dim=64, layers=3, heads=1, act="gelu", projection_dim=64)
TEXT: dict[Family, tuple[CLIPConfig, ...]] = {
    "sd1": (CLIP_L,),
    "sd2": (replace(OPENCLIP, layers=24),),  # with fewer, the last layer counts as left out
    "sdxl": (CLIP_L, OPENCLIP),
    "sdxl_refiner": (OPENCLIP,),
}
VISION = CLIPVisionConfig(dim=64, layers=3, heads=1, projection_dim=48, patch=8, image_size=32)
VAE = VAEConfig(channels=32, channel_mult=(1, 1, 1, 1), res_blocks=1)


def unet_config(family: Family = "sd1", task: Task = "base") -> UNetConfig:
    """Two levels; a transformer at both for SD 1.x and 2.x, at the lower one for SDXL."""
    xl, refiner = family.startswith("sdxl"), family == "sdxl_refiner"
    numbers = 5 if refiner else 6
    pooled = OPENCLIP.dim + numbers * SIZES if xl else None
    if task == "upscale":  # two levels with attention; on the first it reads the prompt twice
        return replace(
            UNetConfig.uniform(
                in_channels=7, model_channels=32, channel_mult=(1, 2), level_depths=(1, 1), res_blocks=1,
                context_dim=OPENCLIP.dim, heads=8, linear_proj=True,
            ),
            classes=1000, crossed=(True, False),
        )  # fmt: skip
    return UNetConfig.uniform(
        in_channels=CHANNELS[task],
        model_channels=64 if family == "sd2" else 32,
        channel_mult=(1, 2),
        level_depths=(0, 2) if xl else (1, 1),
        res_blocks=1,
        context_dim=sum(config.dim for config in TEXT[family]),
        heads=8 if family == "sd1" else None,
        vector_dim=2 * VISION.projection_dim if task == "unclip" else pooled,
        linear_proj=family != "sd1",
    )


N = TypeVar("N", bound=nn.Module)


@torch.no_grad()
def filled(network: N, generator: torch.Generator) -> N:
    """Small random weights: each layer keeps the size of what goes through it, norms scale by about 1."""
    for name, parameter in sorted(network.named_parameters()):
        parameter.requires_grad_(False).normal_(generator=generator)
        if parameter.ndim > 1:
            parameter.mul_(0.02 if "embedding" in name else parameter[0].numel() ** -0.5)
        else:
            parameter.mul_(0.1).add_(1.0 if name.endswith("weight") else 0.0)
    return network.eval()


def model(
    family: Family = "sd1",
    *,
    seed: int = 0,
    task: Task = "base",
    prediction: Prediction = "eps",
    zero_snr: bool = False,
    unet: UNetConfig | None = None,
    vae: VAEConfig | None = None,
    with_vae: bool = True,
    text: tuple[CLIPConfig, ...] | None = None,
) -> Checkpoint:
    """A random model of `family`, as it would be loaded; `unet`, `vae` and `text` replace its configurations."""
    unet = unet or unet_config(family, task)
    vae = (vae or replace(VAE, scale_factor=VAE_SCALES[family])) if with_vae else None
    text = TEXT[family] if text is None else text
    vision = VISION if task == "unclip" else None
    facts = ModelFacts(family, task, prediction, "caller", zero_snr, unet, vae, text, vision)
    generator = torch.Generator().manual_seed(seed)
    return Checkpoint(
        Path(f"tiny-{family}"),
        facts,
        filled(UNet(unet), generator),
        filled(AutoencoderKL(vae), generator) if vae else None,
        tuple(filled(CLIPText(config), generator) for config in text),
        {},
        filled(CLIPVision(vision), generator) if vision else None,
    )


def checkpoint(
    path: Path,
    family: Family = "sd1",
    seed: int = 0,
    *,
    task: Task = "base",
    prediction: Prediction = "eps",
    zero_snr: bool = False,
    dtype: torch.dtype = torch.float32,
    unet: UNetConfig | None = None,
    vae: VAEConfig | None = None,
    with_vae: bool = True,
    text: tuple[CLIPConfig, ...] | None = None,
) -> Path:
    """Write `model(...)` to `path`."""
    made = model(
        family,
        seed=seed,
        task=task,
        prediction=prediction,
        zero_snr=zero_snr,
        unet=unet,
        vae=vae,
        with_vae=with_vae,
        text=text,
    )
    return save_checkpoint(path, made, dtype=dtype)
