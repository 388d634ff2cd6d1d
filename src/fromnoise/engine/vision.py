"""Pictures as a picture encoder wants them: square, of its size, normalised."""

from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fromnoise.engine.images import opaque, to_tensor
from fromnoise.nn.clip_vision import MEAN, STD, CLIPVision, CLIPVisionOutput

Resampling = Literal["pil", "torch"]
"""PIL's bicubic filter on levels of grey, as transformers' CLIPImageProcessor; or torch's on fractions, as ComfyUI."""


def clip_pixels(image: Image.Image, size: int, *, crop: bool = True, resampling: Resampling = "pil") -> Tensor:
    """(1 3 size size), normalised: the middle of a picture whose shorter side is made `size`, or all of it, squeezed.

    Transparency shows white.
    """
    if resampling == "torch":
        return normalised(resized(to_tensor(image) / 2 + 0.5, size, crop))
    short = min(image.size)
    width, height = (size * side // short if crop else size for side in image.size)
    scaled = to_tensor(opaque(image).resize((width, height), Image.Resampling.BICUBIC)) / 2 + 0.5
    return normalised(middle(scaled, size))


def resized(pixels: Tensor, size: int, crop: bool) -> Tensor:
    """pixels (1 3 h w) in [0, 1] as ComfyUI makes them (1 3 size size), rounded to 256 levels."""
    height, width = pixels.shape[-2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        wanted = (round(scale * height), round(scale * width)) if crop else (size, size)
        pixels = middle(F.interpolate(pixels, size=wanted, mode="bicubic", antialias=True), size)
    return (pixels * 255).clamp(0, 255).round() / 255


def middle(pixels: Tensor, size: int) -> Tensor:
    """The middle square of (1 3 h w)."""
    top, left = ((side - size) // 2 for side in pixels.shape[-2:])
    return pixels[:, :, top : top + size, left : left + size]


def normalised(pixels: Tensor) -> Tensor:
    """(1 3 h w) in [0, 1] -> mean 0 and deviation 1 over CLIP's training pictures."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


@torch.inference_mode()
def seen(encoder: CLIPVision, pixels: Tensor) -> CLIPVisionOutput:
    """What the encoder tells of pixels (b 3 size size), in the dtype and on the device of its weights."""
    weight = encoder.visual_projection.weight
    told: CLIPVisionOutput = encoder(pixels.to(weight.device, weight.dtype))
    return told
