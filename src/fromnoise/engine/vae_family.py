"""Which family of models an autoencoder is of: SD's and SDXL's have the same shapes, and garble each other's latents.

Seen from far enough both are nearly linear: a pixel of the shrunken picture is a weighted sum of the latents there. The
weights are known for either family (they are what others draw previews with), so colours that an autoencoder is shown
come back from its latents by the weights of its own family, and by no others.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from fromnoise.checkpoints.detect import VAE_SCALES, Family
from fromnoise.checkpoints.load import load_vae

Space = Literal["sd1", "sdxl"]

SPACES: Mapping[Family, Space] = {"sd1": "sd1", "sd2": "sd1", "sdxl": "sdxl", "sdxl_refiner": "sdxl"}
LABELS: Mapping[Space, str] = {"sd1": "SD 1.x and 2.x", "sdxl": "SDXL"}
COLOURS: Mapping[Space, tuple[tuple[float, float, float], ...]] = {  # of scaled latents: to red, green, blue in [-1, 1]
    "sd1": ((0.3512, 0.2297, 0.3227), (0.3250, 0.4974, 0.2350), (-0.2829, 0.1762, 0.2721), (-0.2120, -0.2616, -0.7177)),
    "sdxl": (
        (0.3651, 0.4232, 0.4341), (-0.2533, -0.0042, 0.1068), (0.1076, 0.1111, -0.0362), (-0.3165, -0.2492, -0.2188),
    ),
}  # fmt: skip
SIDE, FIELDS = 64, 4  # pixels of the test picture, and fields of colour across
ALIKE = 0.7  # correlation of the colours that come back with those that were shown
SLOPES = (0.4, 2.5)  # how strong they may come back
UNLIKE = 0.35  # less than that correlation by the weights of the other family


def colour_fields() -> Tensor:
    """(1 3 h w) in [-1, 1]: soft fields of colours that differ in everything."""
    levels = torch.rand(1, 3, FIELDS, FIELDS, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return interpolate(levels, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(-1, 1)


def space_of(encode: Callable[[Tensor], Tensor], downscale: int) -> Space | None:
    """The latents' family; None where they are of neither, or it is not clear.

    encode: from a picture to the mean of its latents (1 c h w) as the encoder makes them, without a scale.
    """
    picture = colour_fields()
    latents = encode(picture).float().cpu()
    if latents.shape[1] != len(COLOURS["sd1"]) or not torch.isfinite(latents).all():
        return None
    shown = chroma(avg_pool2d(picture, downscale))
    fits = {space: likeness(shown, latents * VAE_SCALES[space], space) for space in COLOURS}
    pairs: tuple[tuple[Space, Space], ...] = (("sd1", "sdxl"), ("sdxl", "sd1"))
    for space, other in pairs:
        correlation, slope = fits[space]
        clear = correlation > ALIKE and SLOPES[0] < slope < SLOPES[1]
        if clear and fits[other][0] < correlation - UNLIKE:
            return space
    return None


def space_in(path: Path) -> Space | None:
    """The same of an autoencoder's file. FileError."""
    vae = load_vae(path, dtype=torch.float32)
    with torch.inference_mode():
        return space_of(lambda image: vae.moments(image)[0], vae.config.downscale)


def likeness(shown: Tensor, latents: Tensor, space: Space) -> tuple[float, float]:
    """How well colours (2 n) come back from latents by the weights of a family: least correlation, mean slope."""
    seen = chroma(torch.einsum("bchw,ck->bkhw", latents, torch.tensor(COLOURS[space])))
    covariance = (shown * seen).sum(1)
    spread = shown.norm(dim=1) * seen.norm(dim=1)
    slopes = covariance / shown.square().sum(1)
    return float((covariance / spread.clamp_min(1e-12)).min()), float(slopes.mean())


def chroma(rgb: Tensor) -> Tensor:
    """(2 n) red less green and blue less green of a picture (1 3 h w), about their means."""
    red, green, blue = rgb[0].flatten(1)
    found = torch.stack((red - green, blue - green))
    return found - found.mean(1, keepdim=True)
