"""Deterministic multistep samplers: one evaluation a step, and earlier answers to extrapolate from."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from fromnoise.sampling.noise import NoiseSource, no_noise
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import (
    GAUSS_LEGENDRE,
    RECTANGLES,
    Quadrature,
    Reals,
    add_noise,
    ancestral,
    lagrange_weights,
    log_ratio,
    toward,
)


@sampler(
    "dpmpp_2m",
    label="DPM++ 2M",
    order=2,
    default_schedule="karras",
    good_for="The best first choice: detailed pictures in 20 to 30 steps for the price of Euler.",
    good_for_zh="首选采样器：与 Euler 同样的耗时，20 到 30 步得到细节丰富的图。",
    aliases=("k_dpmpp_2m",),
)
def dpmpp_2m(x: Tensor, sigmas: Tensor) -> Sampler:
    """DPM-Solver++(2M), Lu et al. (2022), algorithm 2."""
    previous = h_last = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield Evaluate(x, sigma)
        h = log_ratio(sigma, sigma_next)
        target = denoised
        if previous is not None and h_last is not None and sigma_next > 0:
            target = denoised + (denoised - previous) * h / (2 * h_last)
        x = toward(target, x, sigma_next / sigma)
        previous, h_last = denoised, h
    return x


@sampler(
    "lms",
    label="LMS",
    order=2,
    good_for="An early linear multistep method; smooth, can overshoot below 20 steps.",
    good_for_zh="早期的线性多步法；画面平滑，少于 20 步时可能过冲。",
    aliases=("k_lms",),
)
def lms(x: Tensor, sigmas: Tensor, *, order: int = 4, extrapolate_last: bool = False) -> Sampler:
    """Adams-Bashforth with steps of any size, on dx/dsigma (Katherine Crowson, k-diffusion).

    The step to sigma 0 ends at the model's answer, or with `extrapolate_last` (AUTOMATIC1111) is like any other.
    """
    return (yield from adams(x, sigmas, order, lambda sigma: sigma, np.ones_like, extrapolate_last=extrapolate_last))


@sampler(
    "deis",
    label="DEIS",
    order=2,
    good_for="Multistep method for few steps: good pictures from 10 to 15 steps.",
    good_for_zh="面向少步数的多步法：10 到 15 步即可得到不错的图。",
)
def deis(x: Tensor, sigmas: Tensor, *, order: int = 3) -> Sampler:
    """tAB-DEIS, Zhang and Chen (2023): polynomials in the time of a VP process of sigma 0.002 to 80."""
    return (yield from adams(x, sigmas, order, _vp_time, _vp_sigma_slope, RECTANGLES))


@sampler(
    "ipndm",
    label="iPNDM",
    order=2,
    good_for="Adams-Bashforth with fixed weights: sharp pictures in few steps on even schedules.",
    good_for_zh="固定权重的 Adams-Bashforth 法：在均匀调度上用少量步数得到清晰的图。",
)
def ipndm(x: Tensor, sigmas: Tensor, *, order: int = 4) -> Sampler:
    """Zhang and Chen (2023), improved PNDM: the weights of equal steps, whatever the steps are."""
    slopes: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield Evaluate(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        if sigma_next == 0:
            return denoised
        x = x + combine(EQUAL_STEPS[len(slopes) - 1], slopes) * (sigma_next - sigma)
    return x


@sampler(
    "plms",
    label="PLMS",
    order=2,
    good_for="The sampler of the first Stable Diffusion; kept to repeat old pictures.",
    good_for_zh="最早的 Stable Diffusion 所用的采样器；用于重现旧图。",
)
def plms(x: Tensor, sigmas: Tensor) -> Sampler:
    """Pseudo linear multistep, Liu et al. (2022), equations 12 and 13: iPNDM with a Heun step to start."""
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[:3]]
        if sigma_next == 0:
            return denoised
        slope = combine(EQUAL_STEPS[len(slopes) - 1], slopes)
        if step == 0:
            trial = x + slope * (sigma_next - sigma)
            slope = (slope + (trial - (yield Evaluate(trial, sigma_next))) / sigma_next) / 2
        x = x + slope * (sigma_next - sigma)
    return x


# Adams-Bashforth weights of the latest slope and those before it, for equal steps.
EQUAL_STEPS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


@sampler(
    "ipndm_v",
    label="iPNDM v",
    order=2,
    good_for="iPNDM with weights for steps of any size; pairs with every schedule.",
    good_for_zh="权重随步长变化的 iPNDM；适合任何调度。",
)
def ipndm_v(x: Tensor, sigmas: Tensor, *, order: int = 4) -> Sampler:
    """iPNDM with weights that follow the step sizes, as in the solvers of Zhou et al. (2024), arXiv 2312.00094.

    Their third- and fourth-order weights are those of Adams-Bashforth for equal steps only; `lms` has the exact ones.
    """
    slopes: list[Tensor] = []
    steps = (-sigmas.diff()).tolist()
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        if sigma_next == 0:
            return denoised
        lengths = steps[step + 1 - len(slopes) : step + 1][::-1]
        x = x + combine(_variable_weights(*lengths), slopes) * (sigma_next - sigma)
    return x


def _variable_weights(h: float, *earlier: float) -> tuple[float, ...]:
    """Weights of the latest slope and those before it, for a step of length h after steps of `earlier` lengths."""
    if not earlier:
        return (1.0,)
    h_1, *rest = earlier
    second = h / h_1 / 2
    if not rest:
        return 1 + second, -second
    h_2, *last = rest
    third = (1 - h / (3 * (h + h_1)) * (h * (h + h_1)) / (h_1 * (h_1 + h_2))) / 2
    weights = (1 + second + third, -second - (1 + h_1 / h_2) * third, third * h_1 / h_2)
    if not last:
        return weights
    (h_3,) = last
    fourth = (1 - h / (3 * (h + h_1))) / 2 + (1 - h / (2 * (h + h_1))) * h / (6 * (h + h_1 + h_2))
    fourth *= h * (h + h_1) * (h + h_1 + h_2) / (h_1 * (h_1 + h_2) * (h_1 + h_2 + h_3))
    ratio = h_1 * (h_1 + h_2) / (h_2 * (h_2 + h_3))
    return (
        weights[0] + fourth,
        weights[1] - (1 + h_1 / h_2 + ratio) * fourth,
        weights[2] + (h_1 / h_2 + ratio * (1 + h_2 / h_3)) * fourth,
        -fourth * ratio * h_1 / h_2,
    )


def adams(
    x: Tensor,
    sigmas: Tensor,
    order: int,
    time: Callable[[Reals], Reals],
    sigma_slope: Callable[[Reals], Reals],
    quadrature: Quadrature = GAUSS_LEGENDRE,
    extrapolate_last: bool = False,
) -> Sampler:
    """The slope (x - denoised) / sigma extrapolated as a polynomial of `order` points in `time`, a function of sigma;
    `sigma_slope` is d sigma / d time as a function of time."""
    times = time(sigmas.double().cpu().numpy())
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        if sigma_next == 0 and not extrapolate_last:
            return denoised
        if len(slopes) == 1:
            x = x + slopes[0] * (sigma_next - sigma)
            continue
        nodes = [float(t) for t in times[step + 1 - len(slopes) : step + 1][::-1]]
        weights = lagrange_weights(nodes, times[step], times[step + 1], sigma_slope, quadrature)
        x = x + combine(weights, slopes)
    return x


def combine(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """The weighted sum of tensors of one shape."""
    total = tensors[0] * weights[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + tensor * weight
    return total


# The variance-preserving process of Karras et al. (2022), appendix B.1, for sigma from 0.002 at time 0.001 to 80 at 1.
_LOG_80, _LOG_002 = math.log(80**2 + 1), math.log(0.002**2 + 1)
_BETA_SLOPE = 2 * (_LOG_002 / 1e-3 - _LOG_80) / (1e-3 - 1)
_BETA_MIN = _LOG_80 - 0.5 * _BETA_SLOPE


def _vp_time(sigma: Reals) -> Reals:
    root: Reals = np.sqrt(_BETA_MIN**2 + 2 * _BETA_SLOPE * np.log(sigma**2 + 1))
    return (root - _BETA_MIN) / _BETA_SLOPE


def _vp_sigma_slope(time: Reals) -> Reals:
    growth: Reals = np.exp(0.5 * _BETA_SLOPE * time**2 + _BETA_MIN * time)
    return 0.5 * (_BETA_SLOPE * time + _BETA_MIN) * growth / np.sqrt(growth - 1)


@sampler(
    "res_multistep",
    label="RES multistep",
    order=2,
    good_for="Second order in log sigma like DPM++ 2M, with steadier weights for few steps.",
    good_for_zh="与 DPM++ 2M 同为二阶，少步数时权重更稳定。",
)
def res_multistep(x: Tensor, sigmas: Tensor) -> Sampler:
    """Refined exponential solver, Zhang et al. (2023), arXiv 2308.02157."""
    return (yield from res_multistep_ancestral(x, sigmas, no_noise, eta=0.0))


@sampler(
    "res_multistep_ancestral",
    label="RES multistep a",
    order=2,
    stochastic=True,
    good_for="RES multistep with fresh noise: livelier, changes with the number of steps.",
    good_for_zh="带随机噪声的 RES multistep：更生动，结果随步数变化。",
)
def res_multistep_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """RES multistep to the lower level of an ancestral step."""
    previous = down_last = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        down, up = ancestral(sigma, sigma_next, eta)
        target = denoised
        if previous is not None and down_last is not None and down > 0:
            target = denoised + (previous - denoised) * res_share(sigmas[step - 1], down_last, sigma, down)
        x = toward(target, x, down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
        previous, down_last = denoised, down
    return x


def res_share(sigma_last: Tensor, down_last: Tensor, sigma: Tensor, down: Tensor) -> Tensor:
    """The share of the previous answer in the target: phi_2(-h) / (c_2 phi_1(-h))."""
    h = log_ratio(sigma, down)
    phi_1 = -(-h).expm1() / h
    phi_2 = (1 - phi_1) / h
    return phi_2 * h / (log_ratio(down_last, sigma_last) * phi_1)


@sampler(
    "gradient_estimation",
    label="Gradient estimation",
    order=1,
    good_for="Euler that corrects itself by the change of its slope: crisper with few steps.",
    good_for_zh="按斜率变化自我修正的 Euler：少步数时更清晰。",
)
def gradient_estimation(x: Tensor, sigmas: Tensor, *, ge_gamma: float = 2.0) -> Sampler:
    """Permenter and Yuan (2024), "Interpreting and Improving Diffusion Models from an Optimization Perspective"."""
    slope_last = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield Evaluate(x, sigma)
        slope = (x - denoised) / sigma
        if sigma_next == 0:
            return denoised
        x = x + slope * (sigma_next - sigma)
        if slope_last is not None:
            x = x + (slope - slope_last) * (ge_gamma - 1) * (sigma_next - sigma)
        slope_last = slope
    return x
