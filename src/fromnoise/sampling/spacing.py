"""Noise levels between two bounds, highest first and without the final 0: what schedules are made of.

float32 in k-diffusion's order of operations, because Brownian step noise depends on the sigmas' last bits.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Karras et al. (2022), equation 5: even distances in sigma^(1 / rho)."""
    low, high = math.pow(sigma_min, 1 / rho), math.pow(sigma_max, 1 / rho)
    return (high + torch.linspace(0, 1, steps) * (low - high)) ** rho


def exponential_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even distances in log sigma."""
    return torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp()


def polyexponential_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """Polynomial of degree `rho` in log sigma; 1 gives even distances, more than 1 more steps at low noise."""
    ramp = torch.linspace(1, 0, steps) ** rho
    return (ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp()


def kl_optimal_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even distances in arctan sigma: Sabour et al. (2024), "Align Your Steps", theorem 3.1."""
    if steps == 1:
        return torch.tensor([sigma_max])
    share = torch.arange(steps) / (steps - 1)
    return (share * math.atan(sigma_min) + (1 - share) * math.atan(sigma_max)).tan()


def laplace_sigmas(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma (Hang et al. 2024, arXiv 2407.03297), cut to the bounds."""
    share = torch.linspace(0, 1, steps)
    logs = mu - beta * (0.5 - share).sign() * (1 - 2 * (0.5 - share).abs() + 1e-5).log()
    return logs.exp().clamp(sigma_min, sigma_max)


def vp_sigmas(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """The continuous variance-preserving schedule of Song et al. (2021), time from 1 to `eps_s`."""
    t = torch.linspace(1, eps_s, steps)
    return (beta_d * t**2 / 2 + beta_min * t).expm1().sqrt()


def log_interpolated(levels: Sequence[float], count: int) -> Tensor:
    """`count` levels along the polyline through `levels` in log sigma; `levels` themselves when there are as many."""
    at = np.linspace(0, len(levels) - 1, count)
    return torch.tensor(np.exp(np.interp(at, np.arange(len(levels)), np.log(levels))), dtype=torch.float32)
