"""The depth map that depth models are shown: a channel beside the noisy latents."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fromnoise.engine.hints import weight_folders
from fromnoise.engine.images import opaque
from fromnoise.engine.recipe_pictures import Depth
from fromnoise.engine.start import open_reference
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.settings import Settings


def depth_channel(depth: Depth, size: tuple[int, int], settings: Settings) -> Tensor:
    """(1 1 h w) from -1, farthest, to 1, nearest, as high and wide as latents of `size`.

    FileError where the picture is missing or has changed, UserError where its depth can't be estimated.
    """
    image = open_reference(depth.image)
    if depth.estimator is not None:
        folders = weight_folders(settings)
        image = Image.fromarray(PREPROCESSORS[depth.estimator](np.asarray(opaque(image)), folders=folders))
    small = F.interpolate(grey(image), size=size, mode="bicubic", align_corners=False)
    low, high = small.amin(), small.amax()
    return torch.zeros_like(small) if low == high else 2 * (small - low) / (high - low) - 1


def grey(image: Image.Image) -> Tensor:
    """(1 1 h w) of any range: maps of 16 bits or of floats keep all their levels."""
    deep = image.mode.startswith(("I", "F"))
    return torch.from_numpy(np.array(image if deep else opaque(image).convert("L"), dtype=np.float32))[None, None]
