"""The formulas that samplers share, on noise levels sigma > sigma_next >= 0.

With lambda = -log(sigma), the probability-flow equation of a denoiser D is dx/dlambda = D(x) - x. A step of length
h = log(sigma / sigma_next) on which D is a constant `target` therefore ends at exp(-h) x + (1 - exp(-h)) target:
`toward`. Multistep methods differ only in how they extrapolate `target` from earlier answers (Lu et al. 2022).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fromnoise.sampling.noise import NoiseSource

Reals: TypeAlias = NDArray[np.float64]

Quadrature: TypeAlias = tuple[Reals, Reals]  # points in [0, 1] and their weights


def _gauss_legendre(count: int) -> Quadrature:
    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2


GAUSS_LEGENDRE = _gauss_legendre(24)
RECTANGLES: Quadrature = (np.linspace(0, 1, 10_000), np.full(10_000, 1e-4))  # as the authors of DEIS integrate


def toward(target: Tensor, x: Tensor, ratio: Tensor) -> Tensor:
    """`x` moved in a straight line to `target` until `ratio` of the way is left; exactly `target` for 0."""
    return target + (x - target) * ratio


def log_ratio(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """The step's length h in lambda = -log(sigma): positive, infinite for sigma_next = 0."""
    return (sigma / sigma_next).log()


def between(sigma: Tensor, sigma_next: Tensor, share: float) -> Tensor:
    """The level after `share` of the step in log sigma, in k-diffusion's order of operations: Brownian noise shows the
    last bit."""
    start, end = -sigma.log(), -sigma_next.log()
    return (-(start + share * (end - start))).exp()


def ancestral(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up): step down to the first, then add noise of the second to be at sigma_next again."""
    up = (eta * sigma_next * (1 - (sigma_next / sigma) ** 2).sqrt()).minimum(sigma_next)
    return (sigma_next**2 - up**2).sqrt(), up


def add_noise(
    x: Tensor, noise: NoiseSource, step: int, sigma: Tensor, sigma_next: Tensor, scale: Tensor, draw: int = 0
) -> Tensor:
    """`x` plus noise of standard deviation `scale`; draws nothing when `scale` is 0."""
    return x + noise(step, sigma, sigma_next, draw) * scale if scale > 0 else x


def stochastic_step(
    target: Tensor,
    x: Tensor,
    noise: NoiseSource,
    step: int,
    sigma: Tensor,
    sigma_next: Tensor,
    eta: float,
    s_noise: float,
    draw: int = 0,
) -> Tensor:
    """The exact solution of the reverse SDE with constant `target`: Lu et al. (2022), appendix B.

    `eta` scales the SDE's noise: 0 is the deterministic `toward`, 1 the usual SDE.
    """
    ratio = sigma_next / sigma
    x = toward(target, x, ratio ** (1 + eta))
    scale = sigma_next * (1 - ratio ** (2 * eta)).sqrt() * s_noise
    return add_noise(x, noise, step, sigma, sigma_next, scale, draw)


def lagrange_weights(
    nodes: Sequence[float],
    start: float,
    end: float,
    density: Callable[[Reals], Reals],
    quadrature: Quadrature = GAUSS_LEGENDRE,
) -> list[float]:
    """Weights w_j with sum_j w_j f(nodes[j]) = the integral over [start, end] of density(t) p(t) dt, where p is the
    polynomial through f at the nodes."""
    points, weights = quadrature
    t = start + (end - start) * points
    mass = weights * (end - start) * density(t)
    result = []
    for j, node in enumerate(nodes):
        others = np.array([other for k, other in enumerate(nodes) if k != j])
        basis = np.prod((t[:, None] - others) / (node - others), axis=1)
        result.append(float(mass @ basis))
    return result
