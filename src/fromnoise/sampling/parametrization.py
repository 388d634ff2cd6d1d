"""What a network's output means: the three numbers that turn it into a guess of the clean latents.

A network F is given `c_in * x` and its answer becomes `denoised = c_skip * x + c_out * F` (Karras et al. 2022, eq. 7).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Scalings(NamedTuple):
    """(c_skip, c_out, c_in), each shaped like the `sigma` it was made from."""

    skip: Tensor
    out: Tensor
    input: Tensor


def eps_scalings(sigma: Tensor) -> Scalings:
    """For a network that predicts the noise (Ho et al. 2020)."""
    return Scalings(torch.ones_like(sigma), -sigma, (sigma**2 + 1).rsqrt())


def v_scalings(sigma: Tensor) -> Scalings:
    """For a network that predicts v (Salimans and Ho 2022, appendix D)."""
    shrink = (sigma**2 + 1).rsqrt()
    return Scalings(shrink**2, -sigma * shrink, shrink)


def edm_scalings(sigma: Tensor, deviation: float = 0.5) -> Scalings:
    """For a network between the two, by the `deviation` of the clean latents (Karras et al. 2022, table 1)."""
    root = (sigma**2 + deviation**2).rsqrt()
    return Scalings((deviation * root) ** 2, sigma * deviation * root, root)


def sample_scalings(sigma: Tensor) -> Scalings:
    """For a network that predicts the clean latents themselves."""
    return Scalings(torch.zeros_like(sigma), torch.ones_like(sigma), (sigma**2 + 1).rsqrt())


def network_input(x: Tensor, scalings: Scalings) -> Tensor:
    """What the network is shown for latents `x` (b c h w); scalings of shape (b,) or ()."""
    return x * _per_picture(scalings.input, x)


def to_denoised(output: Tensor, x: Tensor, scalings: Scalings) -> Tensor:
    """The network's answer `output` (b c h w) to noisy latents `x` (b c h w), as a guess of the clean latents."""
    return x * _per_picture(scalings.skip, x) + output * _per_picture(scalings.out, x)


def _per_picture(scale: Tensor, x: Tensor) -> Tensor:
    return scale.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
