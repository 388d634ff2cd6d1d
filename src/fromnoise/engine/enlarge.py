"""Enlarging the result of a first pass: its latents, or its pixels."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from fromnoise.errors import UnknownName

Resample = Image.Resampling

LATENT_UPSCALERS: dict[str, tuple[str, bool]] = {  # interpolation, antialiased
    "latent": ("bilinear", False),
    "latent (antialiased)": ("bilinear", True),
    "latent (bicubic)": ("bicubic", False),
    "latent (bicubic antialiased)": ("bicubic", True),
    "latent (nearest)": ("nearest", False),
    "latent (nearest-exact)": ("nearest-exact", False),
}
PIXEL_UPSCALERS: dict[str, Callable[[Image.Image, int, int], Image.Image]] = {
    "lanczos": lambda image, width, height: image.resize((width, height), Resample.LANCZOS),
    "nearest": lambda image, width, height: image.resize((width, height), Resample.NEAREST),
    "none": lambda image, width, height: image.resize((width, height), Resample.LANCZOS),
}


def upscaler(name: str) -> str:
    """The name as it is known here; UnknownName lists what there is."""
    known = {**LATENT_UPSCALERS, **PIXEL_UPSCALERS}
    if name.lower() not in known:
        raise UnknownName("upscaler", name, known)
    return name.lower()


def enlarged_latents(latents: Tensor, height: int, width: int, name: str) -> Tensor:
    """(1 c h w) in that many latents each way: covering them all, and cut about the centre."""
    mode, antialias = LATENT_UPSCALERS[name]
    down, across = covering(latents.shape[2], latents.shape[3], height, width)
    large = torch.nn.functional.interpolate(latents, size=(down, across), mode=mode, antialias=antialias)
    top, left = (down - height + 1) // 2, (across - width + 1) // 2
    return large[..., top : top + height, left : left + width]


def enlarged_image(image: Image.Image, height: int, width: int, name: str) -> Image.Image:
    """In that many pixels each way: covering them all, and cut about the centre."""
    down, across = covering(image.height, image.width, height, width)
    large = PIXEL_UPSCALERS[name](image, across, down)
    left, top = (across - width) // 2, (down - height) // 2
    return large.crop((left, top, left + width, top + height))


def covering(height: int, width: int, wanted_height: int, wanted_width: int) -> tuple[int, int]:
    """The smallest sides in proportion to `height` and `width` that cover the wanted ones."""
    scale = max(wanted_height / height, wanted_width / width)
    return max(wanted_height, round(height * scale)), max(wanted_width, round(width * scale))
