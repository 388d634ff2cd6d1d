"""SA-Solver: stochastic Adams methods, predictor and corrector.

Xue et al. (2023), "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models". Answers are interpolated
by Lagrange polynomials in lambda = -log(sigma) and integrated exactly against exp((1 + tau^2) lambda).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from fromnoise.sampling.multistep import combine
from fromnoise.sampling.noise import NoiseSource
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import Reals, lagrange_weights


@sampler(
    "sa_solver",
    label="SA-Solver",
    order=2,
    stochastic=True,
    good_for="High-order SDE sampler with noise only in the middle: detailed from 20 steps on.",
    good_for_zh="仅在中段加噪的高阶 SDE 采样器：20 步以上细节丰富。",
)
def sa_solver(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    sde_from: float = 5.0924077,
    sde_to: float = 0.5711888,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
) -> Sampler:
    """Algorithm 1: each answer corrects the step that led to it and predicts the next.

    tau is `eta` on steps to a level between `sde_from` and `sde_to`, by default those at 20 % and 80 % of Stable
    Diffusion's timesteps, and 0 elsewhere.
    """
    return (
        yield from _solve(x, sigmas, noise, eta, sde_from, sde_to, s_noise, predictor_order, corrector_order, False)
    )


@sampler(
    "sa_solver_pece",
    label="SA-Solver PECE",
    order=2,
    evaluations=2,
    stochastic=True,
    good_for="SA-Solver that asks again after correcting: cleaner, at twice the time.",
    good_for_zh="校正后再评估一次的 SA-Solver：更干净，耗时加倍。",
)
def sa_solver_pece(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    sde_from: float = 5.0924077,
    sde_to: float = 0.5711888,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
) -> Sampler:
    """`sa_solver` in the order predict, evaluate, correct, evaluate."""
    return (yield from _solve(x, sigmas, noise, eta, sde_from, sde_to, s_noise, predictor_order, corrector_order, True))


def _solve(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    eta: float,
    sde_from: float,
    sde_to: float,
    s_noise: float,
    predictor_order: int,
    corrector_order: int,
    evaluate_again: bool,
) -> Sampler:
    lambdas = [-math.log(sigma) if sigma > 0 else math.inf for sigma in sigmas.tolist()]
    predicted, added, tau = x, 0 * x, 0.0
    answers: list[Tensor] = []  # latest last
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(predicted, sigma)
        answers = [*answers, denoised][-max(predictor_order, corrector_order) :]
        left = len(sigmas) - 1 - step if sigmas[-1] == 0 else len(answers) + 1  # towards sigma 0, lower orders
        corrector = min(corrector_order, len(answers), left)
        if step == 0 or corrector == 0 or (sigma_next == 0 and not evaluate_again):
            x = predicted
        else:
            x = _adams(x, answers[-corrector:], lambdas[: step + 1], tau) + added
            if evaluate_again:
                denoised = yield Evaluate(x, sigma)
                answers[-1] = denoised
        if sigma_next == 0:
            return denoised
        predictor = min(predictor_order, len(answers), left - 1)
        tau = eta if sde_to <= sigma_next <= sde_from else 0.0
        predicted = _adams(x, answers[-predictor:], lambdas[: step + 2], tau, ahead=True)
        if tau > 0 and s_noise > 0:
            spread = sigma_next * (1 - (sigma_next / sigma) ** (2 * tau**2)).sqrt() * s_noise
            added = noise(step, sigma, sigma_next) * spread
            predicted = predicted + added
        else:
            added = 0 * x
    return predicted


def _adams(x: Tensor, answers: Sequence[Tensor], lambdas: Sequence[float], tau: float, ahead: bool = False) -> Tensor:
    """The mean after the step from lambdas[-2] to lambdas[-1].

    The answers belong to the last lambdas, or with `ahead` to those before the last.
    """
    start, end = lambdas[-2:]
    nodes = lambdas[-1 - len(answers) : -1] if ahead else lambdas[-len(answers) :]
    rate = 1 + tau**2

    def density(at: Reals) -> Reals:
        return rate * np.exp(rate * (at - end))

    return x * math.exp(-rate * (end - start)) + combine(lagrange_weights(nodes, start, end, density), answers)
