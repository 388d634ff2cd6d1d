"""Samplers that ask more than once in a step and remember nothing between steps."""

from itertools import pairwise

import torch
from torch import Tensor

from fromnoise.sampling.noise import NoiseSource, no_noise
from fromnoise.sampling.samplers import Evaluate, Sampler, churned, heun, sampler
from fromnoise.sampling.schedules import append_zero
from fromnoise.sampling.spacing import karras_sigmas
from fromnoise.sampling.steps import add_noise, ancestral, toward


@sampler(
    "heunpp2",
    label="Heun++",
    order=1,
    evaluations=3,
    good_for="Three looks in each step, weighted by noise level; clean pictures in very few steps.",
    good_for_zh="每步三次评估并按噪声加权；极少步数也较干净。",
)
def heunpp2(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Sampler:
    """The slopes at this and the next two levels, weighted by their share of sigma_max."""
    for step, sigma_next in enumerate(sigmas[1:]):
        x, sigma = churned(x, step, sigmas, noise, s_churn, s_tmin, s_tmax, s_noise)
        slope = (x - (yield Evaluate(x, sigma))) / sigma
        trial = x + slope * (sigma_next - sigma)
        levels = sigmas[step + 1 : min(step + 3, len(sigmas) - 1)]
        mean = slope
        for index, level in enumerate(levels):
            slope_there = (trial - (yield Evaluate(trial, level))) / level
            mean = mean + (slope_there - slope) * (level / ((len(levels) + 1) * sigmas[0]))
            if index + 1 < len(levels):
                trial = trial + slope_there * (levels[index + 1] - level)
        x = x + mean * (sigma_next - sigma)
    return x


@sampler(
    "dpm_2",
    label="DPM2",
    order=2,
    evaluations=2,
    drop_penultimate=True,
    default_schedule="karras",
    good_for="A careful second-order sampler; twice the time of Euler for each step.",
    good_for_zh="稳健的二阶采样器；每步耗时是 Euler 的两倍。",
    aliases=("k_dpm_2",),
)
def dpm_2(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Sampler:
    """The slope at the middle of the step in log sigma: DPM-Solver-2, Lu et al. (2022), as in k-diffusion."""
    for step, sigma_next in enumerate(sigmas[1:]):
        x, sigma = churned(x, step, sigmas, noise, s_churn, s_tmin, s_tmax, s_noise)
        denoised = yield Evaluate(x, sigma)
        x = (yield from _midpoint(x, denoised, sigma, sigma_next)) if sigma_next > 0 else denoised
    return x


@sampler(
    "dpm_2_ancestral",
    label="DPM2 a",
    order=2,
    evaluations=2,
    stochastic=True,
    drop_penultimate=True,
    default_schedule="karras",
    good_for="DPM2 with fresh noise; fine texture, slow.",
    good_for_zh="带随机噪声的 DPM2；纹理细腻，但较慢。",
    aliases=("k_dpm_2_a", "k_dpm_2_ancestral"),
)
def dpm_2_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM2 to the lower level of an ancestral step."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        down, up = ancestral(sigma, sigma_next, eta)
        x = (yield from _midpoint(x, denoised, sigma, down)) if down > 0 else denoised
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


def _midpoint(x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor) -> Sampler:
    middle = (sigma * sigma_next).sqrt()
    trial = toward(denoised, x, middle / sigma)
    slope = (trial - (yield Evaluate(trial, middle))) / middle
    return x + slope * (sigma_next - sigma)


@sampler(
    "dpmpp_2s_ancestral",
    label="DPM++ 2S a",
    order=2,
    evaluations=2,
    stochastic=True,
    default_schedule="karras",
    good_for="Rich detail and variety; twice the time of Euler a for each step.",
    good_for_zh="细节丰富、变化多；每步耗时是 Euler a 的两倍。",
    aliases=("k_dpmpp_2s_a", "k_dpmpp_2s_ancestral"),
)
def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM-Solver++(2S), Lu et al. (2022), algorithm 1, to the lower level of an ancestral step."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        target = yield Evaluate(x, sigma)
        down, up = ancestral(sigma, sigma_next, eta)
        if down > 0:
            middle = (sigma * down).sqrt()
            target = yield Evaluate(toward(target, x, middle / sigma), middle)
        x = toward(target, x, down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


@sampler(
    "restart",
    label="Restart",
    order=2,
    evaluations=2,
    by_slope=True,
    stochastic=True,
    default_schedule="karras",
    good_for="Heun that goes back to a noisier level and repeats it: repairs mistakes, from 20 steps on.",
    good_for_zh="在中间噪声段回退重走的 Heun：能修正错误，20 步以上有效。",
)
def restart(x: Tensor, sigmas: Tensor, noise: NoiseSource, *, s_noise: float = 1.0) -> Sampler:
    """Xu et al. (2023), algorithm 1, with the repetitions that AUTOMATIC1111 chooses; below 20 steps it is Heun."""
    sigma_last = sigmas[0]
    for step, (sigma, sigma_next) in enumerate(restart_steps(sigmas)):
        raised = (sigma**2 - sigma_last**2).clamp(min=0).sqrt()
        x = add_noise(x, noise, step, sigma_last, sigma, raised * s_noise)
        x = yield from heun(x, torch.stack((sigma, sigma_next)))
        sigma_last = sigma_next
    return x


def restart_steps(sigmas: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs (sigma, sigma_next): a Karras schedule that, once near 0.1, returns to about 2 once or twice."""
    steps = len(sigmas) - 1
    if steps < 20:
        return list(pairwise(sigmas))
    length, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    to_zero = bool(sigmas[-1] == 0)
    count, lowest = steps + 1 - to_zero - length * times, float(sigmas[-1 - to_zero])
    main = karras_sigmas(count, lowest, float(sigmas[0]))
    main = (append_zero(main) if to_zero else main).to(sigmas)
    low, high = (int((main - level).abs().argmin()) for level in (0.1, 2.0))
    pairs = list(pairwise(main))
    if high >= low:
        return pairs
    again = karras_sigmas(length + 1, float(main[low]), float(main[high])).to(sigmas)
    return pairs[:low] + list(pairwise(again)) * times + pairs[low:]
