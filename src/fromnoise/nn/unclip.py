"""What unCLIP models are told of a picture: its embedding with some noise, and how much noise that is.

Ramesh et al. (2022), "Hierarchical Text-Conditional Image Generation with CLIP Latents"; the noise as in Stable unCLIP.
"""

import math
from functools import cache

import torch
from torch import Tensor

from fromnoise.nn.unet import timestep_embedding

LEVELS = 1000
MAX_BETA = 0.999


def noised(
    embedding: Tensor, level: int, noise: Tensor, mean: Tensor | None = None, std: Tensor | None = None
) -> Tensor:
    """embedding (b d) -> (b 2d) float32.

    level: 0, which is little noise, to LEVELS - 1. noise: unit noise like `embedding`. mean and std (1 d): of the
    embeddings that the model was trained on, where they are known.
    """
    centred = embedding.float()
    if mean is not None and std is not None:
        centred = (centred - mean.to(centred)) / std.to(centred)
    signal = float(signals()[level])
    mixed = centred * math.sqrt(signal) + noise.to(centred) * math.sqrt(1 - signal)
    if mean is not None and std is not None:
        mixed = mixed * std.to(mixed) + mean.to(mixed)
    levels = torch.full((len(mixed),), level, device=mixed.device)
    return torch.cat((mixed, timestep_embedding(levels, mixed.shape[1])), dim=1)


@cache
def signals() -> Tensor:
    """(LEVELS) the share of the variance that is left: the cosine schedule of Nichol and Dhariwal (2021), eq. 17."""
    ends = torch.arange(LEVELS + 1, dtype=torch.float64) / LEVELS
    wanted = ((ends + 0.008) / 1.008 * math.pi / 2).cos() ** 2
    return (wanted[1:] / wanted[:-1]).clamp_min(1 - MAX_BETA).float().cumprod(0)
