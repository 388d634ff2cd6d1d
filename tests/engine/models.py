"""Tiny models for engine tests, built without files."""

from pathlib import Path

import torch

from fromnoise.checkpoints.detect import Family, ModelFacts, Prediction
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.unet import UNet, UNetConfig
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.sampling.parametrization import eps_scalings, v_scalings
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.train.initialise import initialise


def tiny_model(
    family: Family = "sd1", *, in_channels: int = 4, prediction: Prediction = "eps", dtype: torch.dtype = torch.float32
) -> Model:
    """A random model with the real vocabulary that draws 64x64 noise patterns quickly, and obeys its prompt."""
    sdxl = family.startswith("sdxl")
    encoders = [CLIPConfig(dim=32, layers=2, heads=2)]
    if sdxl:
        encoders.append(CLIPConfig(dim=64, layers=2, heads=2, act="gelu", projection_dim=64))
    unet = UNet(
        UNetConfig.uniform(
            in_channels=in_channels,
            model_channels=32,
            channel_mult=(1, 2),
            level_depths=(1, 1),
            res_blocks=1,
            context_dim=96 if sdxl else 32,
            heads=4,
            vector_dim=64 + 6 * 256 if sdxl else None,
            linear_proj=sdxl,
        )
    )
    vae = AutoencoderKL(VAEConfig(channels=32, channel_mult=(1, 1, 1, 1), res_blocks=1))
    text = tuple(CLIPText(config) for config in encoders)
    for seed, part in enumerate((unet, vae, *text)):
        initialise(part, seed)
        part.requires_grad_(False)
        stir(part, seed)
        part.to(dtype)
    configs = tuple(encoder.config for encoder in text)
    facts = ModelFacts(family, "base", prediction, "caller", False, unet.config, vae.config, configs)
    return Model(
        name="tiny",
        path=Path("tiny"),
        sha256="0" * 64,
        facts=facts,
        unet=unet,
        vae=vae,
        text=text,
        table=NoiseTable.ldm(),
        scalings=v_scalings if prediction == "v" else eps_scalings,
        placement=Placement(torch.device("cpu"), dtype),
    )


def stir(module: torch.nn.Module, seed: int) -> None:
    """Fill what starts at zero, so that every layer has an effect."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
