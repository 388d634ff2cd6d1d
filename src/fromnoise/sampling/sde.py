"""Samplers of the reverse SDE: fresh noise in every step."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from fromnoise.sampling.noise import NoiseSource
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import add_noise, ancestral, between, log_ratio, stochastic_step, toward


@sampler(
    "dpmpp_2m_sde",
    label="DPM++ 2M SDE",
    order=2,
    stochastic=True,
    brownian=True,
    default_schedule="exponential",
    good_for="DPM++ 2M with fresh noise: richer texture, good from 25 steps on.",
    good_for_zh="带随机噪声的 DPM++ 2M：质感更丰富，建议 25 步以上。",
    aliases=("k_dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
)
def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Sampler:
    """SDE-DPM-Solver++(2M), Lu et al. (2022), appendix B; eta 0 is DPM-Solver++(2M)."""
    previous = h_last = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        h = log_ratio(sigma, sigma_next)
        target = denoised
        if previous is not None and h_last is not None and sigma_next > 0:
            span = h * (1 + eta)
            share = 0.5 if solver_type == "midpoint" else -1 / (-span).expm1() - 1 / span
            target = denoised + (denoised - previous) * (share * h / h_last)
        x = stochastic_step(target, x, noise, step, sigma, sigma_next, eta, s_noise)
        previous, h_last = denoised, h
    return x


@sampler(
    "dpmpp_2m_sde_heun",
    label="DPM++ 2M SDE Heun",
    order=2,
    stochastic=True,
    brownian=True,
    default_schedule="exponential",
    good_for="DPM++ 2M SDE with other second-order weights; the pictures differ a little.",
    good_for_zh="二阶权重不同的 DPM++ 2M SDE；画面略有差别。",
    aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
)
def dpmpp_2m_sde_heun(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """SDE-DPM-Solver++(2M) with the exact integral of the linear term."""
    return (yield from dpmpp_2m_sde(x, sigmas, noise, eta=eta, s_noise=s_noise, solver_type="heun"))


@sampler(
    "dpmpp_sde",
    label="DPM++ SDE",
    order=1,
    evaluations=2,
    stochastic=True,
    brownian=True,
    default_schedule="karras",
    good_for="Detailed and natural even with 10 to 15 steps; twice the time of Euler for each step.",
    good_for_zh="10 到 15 步就细致自然；每步耗时是 Euler 的两倍。",
    aliases=("k_dpmpp_sde", "dpmpp_sde_gpu"),
)
def dpmpp_sde(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5
) -> Sampler:
    """DPM-Solver++(2S) whose trial to the share `r` of the step and whose step are both ancestral (k-diffusion)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        middle = between(sigma, sigma_next, r)
        down, up = ancestral(sigma, middle, eta)
        trial = add_noise(toward(denoised, x, down / sigma), noise, step, sigma, middle, up * s_noise)
        denoised_middle = yield Evaluate(trial, middle)
        down, up = ancestral(sigma, sigma_next, eta)
        target = denoised + (denoised_middle - denoised) / (2 * r)
        x = toward(target, x, down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise, draw=1)
    return x


@sampler(
    "dpmpp_3m_sde",
    label="DPM++ 3M SDE",
    order=2,
    stochastic=True,
    brownian=True,
    default_schedule="exponential",
    good_for="Three answers back, with fresh noise: fine texture from 30 steps on.",
    good_for_zh="回看三次结果并加入随机噪声：质感细腻，建议 30 步以上。",
    aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
)
def dpmpp_3m_sde(x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0) -> Sampler:
    """SDE-DPM-Solver++ with the last three answers (k-diffusion); divided differences as in a Newton polynomial."""
    history: list[tuple[Tensor, Tensor]] = []  # (answer, length of the step that led away from it), latest first
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        h = log_ratio(sigma, sigma_next)
        target = denoised + _higher_orders(denoised, history, h, h * (1 + eta)) / -(-h * (1 + eta)).expm1()
        x = stochastic_step(target, x, noise, step, sigma, sigma_next, eta, s_noise)
        history = [(denoised, h), *history[:1]]
    return x


def _higher_orders(denoised: Tensor, history: list[tuple[Tensor, Tensor]], h: Tensor, span: Tensor) -> Tensor:
    """What the slope and curvature of the answers add to a step of length `h`, scaled by 1 + eta to `span`."""
    if not history:
        return denoised * 0
    phi_2 = (-span).expm1() / span + 1
    previous, h_1 = history[0]
    slope = (denoised - previous) * (h / h_1)
    if len(history) == 1:
        return slope * phi_2
    phi_3 = phi_2 / span - 0.5
    before, h_2 = history[1]
    slope_last = (previous - before) * (h / h_2)
    curvature = (slope - slope_last) * (h / (h_1 + h_2))
    return (slope + curvature * (h_1 / h)) * phi_2 - curvature * phi_3


@sampler(
    "er_sde",
    label="ER SDE",
    order=1,
    stochastic=True,
    good_for="Third-order SDE sampler with gentle noise: stable and detailed in 10 to 20 steps.",
    good_for_zh="噪声温和的三阶 SDE 采样器：10 到 20 步即稳定细致。",
)
def er_sde(x: Tensor, sigmas: Tensor, noise: NoiseSource, *, s_noise: float = 1.0, max_stage: int = 3) -> Sampler:
    """Extended reverse-time SDE solver, Cui et al. (2023), arXiv 2309.06169, with the noise scale they recommend."""
    past: list[tuple[Tensor, Tensor]] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        scale, scale_next = _er_scale(sigma), _er_scale(sigma_next)
        ratio, dt = scale_next / scale, sigma_next - sigma
        x = toward(denoised, x, ratio)
        levels = sigma_next - dt * torch.arange(_ER_POINTS, dtype=sigma.dtype) / _ER_POINTS
        inverse = 1 / _er_scale(levels)
        if step > 0 and max_stage >= 2:
            previous, slope_last = past[0]
            slope = (denoised - previous) / (sigma - sigmas[step - 1])
            x = x + slope * (dt - inverse.sum() * dt / _ER_POINTS * scale_next)
            if step > 1 and max_stage >= 3:
                curvature = (slope - slope_last) / ((sigma - sigmas[step - 2]) / 2)
                moment = (inverse * (levels - sigma)).sum() * dt / _ER_POINTS
                x = x + curvature * (dt**2 / 2 - moment * scale_next)
        else:
            slope = denoised * 0
        past = [(denoised, slope)]
        added = (sigma_next**2 - (sigma * ratio) ** 2).clamp(min=0).sqrt()
        x = add_noise(x, noise, step, sigma, sigma_next, added * s_noise)
    return x


_ER_POINTS = 200  # of the rectangle rule; part of the method's definition


def _er_scale(sigma: Tensor) -> Tensor:
    return sigma * ((sigma**0.3).exp() + 10)
