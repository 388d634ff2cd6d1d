"""Pictures between files, PIL and the engine's tensors (b 3 h w) in [-1, 1]."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.picture_io import MAX_PIXELS as MAX_PIXELS
from fromnoise.engine.picture_io import opaque as opaque
from fromnoise.engine.picture_io import open_image as open_image
from fromnoise.engine.picture_io import save_png as save_png
from fromnoise.engine.picture_io import write_whole as write_whole


def to_tensor(image: Image.Image) -> Tensor:
    """(1 3 h w) in [-1, 1]; transparency shows white."""
    pixels = torch.from_numpy(np.array(opaque(image), dtype=np.float32))
    return (pixels / 127.5 - 1)[None].permute(0, 3, 1, 2).contiguous()


def to_image(tensor: Tensor, *, down: bool = False) -> Image.Image:
    """(1 3 h w) in [-1, 1], clamped and rounded to nearest or `down`, as PIL."""
    levels = (tensor[0].float().clamp(-1, 1) + 1) * 127.5
    pixels = (levels if down else levels.round()).to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
