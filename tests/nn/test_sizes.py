"""The full-size networks have exactly the parameters of the published models."""

import pytest
import torch
from torch import nn

from fromnoise.nn import clip, unet, vae


def parameters(build: type[nn.Module], config: object) -> tuple[int, int]:
    """(numbers, tensors) of a network, made without memory."""
    with torch.device("meta"):
        network = build(config)
    return sum(p.numel() for p in network.parameters()), len(network.state_dict())


@pytest.mark.parametrize(
    ("config", "numbers", "tensors"),
    [
        (unet.SD1, 859_520_964, 686),
        (unet.SD2, 865_910_724, 686),
        (unet.SDXL, 2_567_463_684, 1680),
        (unet.SDXL_REFINER, 2_259_526_660, 1220),
    ],
    ids=["sd1", "sd2", "sdxl", "refiner"],
)
def test_unet(config: unet.UNetConfig, numbers: int, tensors: int) -> None:
    assert parameters(unet.UNet, config) == (numbers, tensors)


def test_vae() -> None:
    assert parameters(vae.AutoencoderKL, vae.SD_VAE) == (83_653_863, 248)


@pytest.mark.parametrize(
    ("config", "numbers", "tensors"),
    [
        (clip.CLIP_L, 123_060_480, 196),
        (clip.OPENCLIP_H, 354_032_640, 389),
        (clip.OPENCLIP_G, 694_659_840, 517),
    ],
    ids=["clip_l", "openclip_h", "openclip_g"],
)
def test_text_encoder(config: clip.CLIPConfig, numbers: int, tensors: int) -> None:
    assert parameters(clip.CLIPText, config) == (numbers, tensors)
