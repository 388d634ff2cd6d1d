"""DPM-Solver with steps of its own choice: a fixed mixture of orders, or steps as long as the error allows.

Lu et al. (2022), "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps", as in
k-diffusion. Both go from the first to the last level above 0 and take nothing else from the schedule.
"""

import math
from collections.abc import Generator
from typing import TypeAlias

import torch
from torch import Tensor

from fromnoise.errors import FromnoiseError
from fromnoise.sampling.noise import NoiseSource, no_noise
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import add_noise, ancestral, between, log_ratio


@sampler(
    "dpm_fast",
    label="DPM fast",
    order=2,
    good_for="Third-order steps that fit the number of evaluations exactly; leaves a little noise at the end.",
    good_for_zh="用三阶步恰好用完给定的评估次数；结尾会留少许噪声。",
    aliases=("k_dpm_fast",),
)
def dpm_fast(
    x: Tensor, sigmas: Tensor, noise: NoiseSource = no_noise, *, eta: float = 0.0, s_noise: float = 1.0
) -> Sampler:
    """DPM-Solver-fast, appendix C: len(sigmas) - 1 evaluations, in steps of order 3 and then 2 or 1."""
    if len(sigmas) < 2:
        return x
    if _ends_at_once(sigmas):
        return (yield Evaluate(x, sigmas[0]))
    first, last = _ends(sigmas)
    orders = _orders(len(sigmas) - 1)
    levels = torch.linspace(math.log(first), math.log(last), len(orders) + 1, dtype=sigmas.dtype).exp()
    for step, order in enumerate(orders):
        sigma, sigma_next = levels[step], levels[step + 1]
        down, up = _ancestral(sigma, sigma_next, last, eta)
        slope = (x - (yield Evaluate(x, sigma))) / sigma
        if order == 1:
            x = x + slope * (down - sigma)
        elif order == 2:
            x, _ = yield from _second_order(x, slope, sigma, down, 1 / 2)
        else:
            _, slope_1 = yield from _second_order(x, slope, sigma, down, 1 / 3)
            x = yield from _third_order(x, slope, slope_1, sigma, down)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


def _ends_at_once(sigmas: Tensor) -> bool:
    return len(sigmas) == 2 and bool(sigmas[1] == 0)


def _orders(evaluations: int) -> list[int]:
    thirds, rest = divmod(evaluations, 3)
    return [3] * thirds + [rest] if rest else [3] * (thirds - 1) + [2, 1]


def _ends(sigmas: Tensor) -> tuple[float, float]:
    return float(sigmas[0]), float(sigmas[-1] if sigmas[-1] > 0 else sigmas[-2])


def _ancestral(sigma: Tensor, sigma_next: Tensor, last: float, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up) of an ancestral step that never goes below `last`."""
    down = ancestral(sigma, sigma_next, eta)[0].clamp(min=last) if eta else sigma_next
    return down, (sigma_next**2 - down**2).sqrt()


_Slopes: TypeAlias = Generator[Evaluate, Tensor, tuple[Tensor, Tensor]]


def _second_order(x: Tensor, slope: Tensor, sigma: Tensor, sigma_next: Tensor, r: float) -> _Slopes:
    """(x after the step, the slope after the share `r` of it): algorithm 1 of the paper for r = 1/2."""
    middle = between(sigma, sigma_next, r)
    trial = x + slope * (middle - sigma)
    slope_1 = (trial - (yield Evaluate(trial, middle))) / middle
    return x + (slope + (slope_1 - slope) / (2 * r)) * (sigma_next - sigma), slope_1


def _third_order(x: Tensor, slope: Tensor, slope_1: Tensor, sigma: Tensor, sigma_next: Tensor) -> Sampler:
    """x after the step, given the slope after a third of it: algorithm 2 of the paper."""
    h = log_ratio(sigma, sigma_next)
    late = between(sigma, sigma_next, 2 / 3)
    bend = (slope_1 - slope) * (2 * late * ((2 / 3 * h).expm1() / (2 / 3 * h) - 1))
    trial = x + slope * (late - sigma) - bend
    slope_2 = (trial - (yield Evaluate(trial, late))) / late
    return x + slope * (sigma_next - sigma) - (slope_2 - slope) * (1.5 * sigma_next * (h.expm1() / h - 1))


@sampler(
    "dpm_adaptive",
    label="DPM adaptive",
    order=3,
    evaluations=0,
    good_for="Chooses the number of steps by itself, whatever is asked; exact and slow.",
    good_for_zh="自行决定步数，不受设定影响；精确但慢。",
    aliases=("k_dpm_ad", "k_dpm_adaptive"),
)
def dpm_adaptive(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource = no_noise,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Sampler:
    """DPM-Solver-12 (order 2) or -23 (order 3), appendix C, with a PID controller of the step length in log sigma.

    Unlike every other sampler it has to read latents back, to know its error.
    """
    if len(sigmas) < 2:
        return x
    if _ends_at_once(sigmas):
        return (yield Evaluate(x, sigmas[0]))
    first, last = _ends(sigmas)
    sigma, end = sigmas.new_tensor(first), sigmas.new_tensor(last)
    control = _StepLength(h_init, 1.5 if eta else order, pcoeff, icoeff, dcoeff, accept_safety)
    accepted, x_low_last = 0, x
    while -sigma.log() < -end.log() - 1e-5:
        sigma_next = (sigma * math.exp(-control.h)).maximum(end)
        down, up = _ancestral(sigma, sigma_next, last, eta)
        slope = (x - (yield Evaluate(x, sigma))) / sigma
        if order == 2:
            low = x + slope * (down - sigma)
            high, _ = yield from _second_order(x, slope, sigma, down, 1 / 2)
        else:
            low, slope_1 = yield from _second_order(x, slope, sigma, down, 1 / 3)
            high = yield from _third_order(x, slope, slope_1, sigma, down)
        allowed = (rtol * low.abs().maximum(x_low_last.abs())).clamp(min=atol)
        error = float(((low - high) / allowed).square().mean().sqrt())
        if control.accepts(error):
            x = add_noise(high, noise, accepted, sigma, sigma_next, up * s_noise)
            x_low_last, sigma, accepted = low, sigma_next, accepted + 1
    return x


class _StepLength:
    """A PID controller: the next step's length from the last three errors (Soederlind 2003)."""

    def __init__(self, h: float, order: float, p: float, i: float, d: float, accept_safety: float) -> None:
        self.h = h
        self._powers = (p + i + d) / order, -(p + 2 * d) / order, d / order
        self._safety = accept_safety
        self._inverse_errors: list[float] = []

    def accepts(self, error: float) -> bool:
        """Whether a step with `error`, in units of what is allowed, may stand; sets the length of the next try."""
        if not math.isfinite(error):
            raise FromnoiseError("DPM adaptive cannot go on: the model answered with numbers that are not finite")
        inverse = 1 / (error + 1e-8)
        recent = [inverse, *(self._inverse_errors or [inverse, inverse])]
        factor = math.prod(value**power for value, power in zip(recent, self._powers, strict=True))
        factor = 1 + math.atan(factor - 1)
        if accept := factor >= self._safety:
            self._inverse_errors = recent[:2]
        else:
            self._inverse_errors = recent[1:]
        self.h *= factor
        return accept
