"""SEEDS: single-step exponential solvers of the reverse SDE whose stages share their noise.

Gonzalez et al. (2023), "SEEDS: Exponential SDE Solvers for Fast High-Quality Sampling from Diffusion Models".
"""

from itertools import pairwise

from torch import Tensor

from fromnoise.sampling.noise import NoiseSource, no_noise
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import between, log_ratio, toward


@sampler(
    "seeds_2",
    label="SEEDS-2",
    order=2,
    evaluations=2,
    stochastic=True,
    default_schedule="karras",
    good_for="Second-order SDE sampler; detailed pictures in 10 to 20 steps at twice the time.",
    good_for_zh="二阶 SDE 采样器；10 到 20 步细节丰富，每步耗时加倍。",
)
def seeds_2(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5
) -> Sampler:
    """SEEDS-2 with a stage after the share `r` of the step."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        path = _Path(noise, step, eta, s_noise)
        middle = between(sigma, sigma_next, r)
        trial = path.noised(toward(denoised, x, (middle / sigma) ** (1 + eta)), sigma, middle)
        denoised_1 = yield Evaluate(trial, middle)
        target = denoised + (denoised_1 - denoised) / (2 * r)
        x = path.noised(toward(target, x, (sigma_next / sigma) ** (1 + eta)), middle, sigma_next)
    return x


@sampler(
    "exp_heun_2_x0",
    label="Exponential Heun",
    order=2,
    evaluations=2,
    good_for="Heun in log sigma: steadier than Heun with few steps, at the same price.",
    good_for_zh="在 log σ 上的 Heun：少步数时比 Heun 更稳，耗时相同。",
)
def exp_heun_2_x0(x: Tensor, sigmas: Tensor) -> Sampler:
    """The exponential Runge-Kutta method with stages at both ends of the step (Hochbruck and Ostermann 2005)."""
    return (yield from exp_heun_2_x0_sde(x, sigmas, no_noise, eta=0.0))


@sampler(
    "exp_heun_2_x0_sde",
    label="Exponential Heun SDE",
    order=2,
    evaluations=2,
    stochastic=True,
    good_for="Exponential Heun with fresh noise in every step.",
    good_for_zh="每步加入随机噪声的指数 Heun。",
)
def exp_heun_2_x0_sde(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """SEEDS-2 with its stage at the end of the step and the weights of phi_2."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        path = _Path(noise, step, eta, s_noise)
        mean = toward(denoised, x, (sigma_next / sigma) ** (1 + eta))
        trial = path.noised(mean, sigma, sigma_next)
        denoised_1 = yield Evaluate(trial, sigma_next)
        x = trial - (denoised_1 - denoised) * _phi_2(log_ratio(sigma, sigma_next) * (1 + eta))
    return x


@sampler(
    "seeds_3",
    label="SEEDS-3",
    order=2,
    evaluations=3,
    stochastic=True,
    default_schedule="karras",
    good_for="Third-order SDE sampler; much detail per step at three times the time.",
    good_for_zh="三阶 SDE 采样器；单步细节多，每步耗时三倍。",
)
def seeds_3(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Sampler:
    """SEEDS-3 with stages after the shares `r_1` and `r_2` of the step."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        if sigma_next == 0:
            return denoised
        path = _Path(noise, step, eta, s_noise)
        span = log_ratio(sigma, sigma_next) * (1 + eta)
        early, late = between(sigma, sigma_next, r_1), between(sigma, sigma_next, r_2)
        trial = path.noised(toward(denoised, x, (early / sigma) ** (1 + eta)), sigma, early)
        change_1 = (yield Evaluate(trial, early)) - denoised
        trial = toward(denoised, x, (late / sigma) ** (1 + eta)) - change_1 * (_phi_2(r_2 * span) * r_2 / r_1)
        trial = path.noised(trial, early, late)
        change_2 = (yield Evaluate(trial, late)) - denoised
        x = toward(denoised, x, (sigma_next / sigma) ** (1 + eta)) - change_2 * (_phi_2(span) / r_2)
        x = path.noised(x, late, sigma_next)
    return x


def _phi_2(span: Tensor) -> Tensor:
    """The weight, negated, of the change of the answer over a step of length `span`: z phi_2(z) at z = -span."""
    return -(-span).expm1() / span - 1


class _Path:
    """The noise of one step, stage by stage: each stage keeps what is left of the earlier noise and adds its own."""

    def __init__(self, noise: NoiseSource, step: int, eta: float, s_noise: float) -> None:
        self._noise, self._step, self._eta, self._s_noise = noise, step, eta, s_noise
        self._so_far: Tensor | float = 0.0
        self._draws = 0

    def noised(self, x: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """`x`, the mean at `sigma_next`, with the noise of the path that has been at `sigma`."""
        if self._eta == 0 or self._s_noise == 0:
            return x
        fade = (sigma_next / sigma) ** self._eta
        drawn = self._noise(self._step, sigma, sigma_next, self._draws)
        self._draws += 1
        self._so_far = drawn * (1 - fade**2).sqrt() + self._so_far * fade
        return x + self._so_far * (sigma_next * self._s_noise)
