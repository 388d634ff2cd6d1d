"""UniPC: a multistep predictor whose answer at the next level also corrects the step that led there.

Zhao et al. (2023), "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models".
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import toward

Variant: TypeAlias = Literal["bh1", "bh2"]

_LAST_SIGMA = 1e-3  # stands for 0, where log sigma would be infinite


@sampler(
    "uni_pc",
    label="UniPC",
    order=2,
    drop_penultimate=True,
    good_for="Converges in 8 to 12 steps; for quick, clean pictures.",
    good_for_zh="8 到 12 步即可收敛；适合快速得到干净的图。",
    aliases=("unipc",),
)
def uni_pc(x: Tensor, sigmas: Tensor, *, order: int = 3, variant: Variant = "bh1") -> Sampler:
    """UniPC-p with B(h) = h ("bh1") or exp(h) - 1 ("bh2"); the last steps lower the order and the very last only
    predicts. It stops at sigma 0.001 when the last level is 0."""
    levels = sigmas.clone()
    levels[levels == 0] = _LAST_SIGMA
    steps = len(levels) - 1
    order = max(1, min(order, steps - 1))
    start = x
    answers: list[Tensor] = []  # latest first
    for step in range(steps + 1):
        if step > 0:
            used = step if step < order else min(order, steps + 1 - step)
            predict, correct = _weights(levels[step - used : step + 1].flip(0), variant)
            differences = [answer - answers[0] for answer in answers[1:used]]
            base = toward(answers[0], start, levels[step] / levels[step - 1])
            x = _add(base, predict, differences)
        if step == steps:
            break
        answer = yield Evaluate(x, levels[step])
        if step > 0:
            start = _add(base, correct, [*differences, answer - answers[0]])
        answers = [answer, *answers[: order - 1]]
    return x


@sampler(
    "uni_pc_bh2",
    label="UniPC bh2",
    order=2,
    drop_penultimate=True,
    good_for="UniPC for strong guidance and fewer than 10 steps.",
    good_for_zh="适合强引导和 10 步以内的 UniPC。",
)
def uni_pc_bh2(x: Tensor, sigmas: Tensor, *, order: int = 3) -> Sampler:
    """UniPC with B(h) = exp(h) - 1."""
    return (yield from uni_pc(x, sigmas, order=order, variant="bh2"))


def _add(base: Tensor, weights: Sequence[float], differences: Sequence[Tensor]) -> Tensor:
    for weight, difference in zip(weights, differences, strict=True):
        base = base + difference * weight
    return base


def _weights(levels: Tensor, variant: Variant) -> tuple[list[float], list[float]]:
    """Weights of the predictor and of the corrector for a step to levels[0] from levels[1]; levels[2:] came before.

    They multiply (answer at levels[2:], and for the corrector at levels[0]) - (answer at levels[1]); equations 5 to 9.
    """
    goal, start, *earlier = (-math.log(level) for level in levels.tolist())
    h = goal - start
    order = 1 + len(earlier)
    nodes = np.array([*((node - start) / h for node in earlier), 1.0])
    scale = -h if variant == "bh1" else math.expm1(-h)
    matrix = np.vander(nodes, increasing=True).T
    moments = np.array(_moments(-h, order)) / scale
    if order == 1:
        return [], [-scale / 2]
    predict = np.array([0.5]) if order == 2 else np.linalg.solve(matrix[:-1, :-1], moments[:-1])
    correct = np.linalg.solve(matrix, moments)
    return list(-scale * predict / nodes[:-1]), list(-scale * correct / nodes)


def _moments(z: float, order: int) -> list[float]:
    """k! z phi_(k+1)(z) for k = 1 to `order`, with phi of the exponential integrators."""
    result = []
    phi = math.expm1(z) / z - 1
    factorial = 1
    for k in range(1, order + 1):
        result.append(phi * factorial)
        factorial *= k + 1
        phi = phi / z - 1 / factorial
    return result
