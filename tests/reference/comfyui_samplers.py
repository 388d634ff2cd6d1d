"""ComfyUI's samplers that k-diffusion lacks, each written out from its publication in float64, apart from our own.

`model(x, sigma)` answers (guided, unconditional); `noise(sigma, sigma_next)` draws. Sigmas are Python floats, highest
first. `test_whole_samplers.py` holds them to numbers recorded from ComfyUI before it trusts them with anything.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.integrate import quad
from torch import Tensor

Model = Callable[[Tensor, float], tuple[Tensor, Tensor]]
Noise = Callable[[float, float], Tensor]
Sample = Callable[[Model, Tensor, list[float], Noise], Tensor]


def split(sigma: float, following: float, eta: float = 1.0) -> tuple[float, float]:
    """Karras's ancestral step: down to the first, and up again by noise of the second."""
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def euler_cfg_pp(model: Model, x: Tensor, sigmas: list[float], noise: Noise, eta: float = 0.0) -> Tensor:
    """Chung et al. (2024), algorithm 2."""
    for sigma, following in itertools.pairwise(sigmas):
        guided, free = model(x, sigma)
        down, up = split(sigma, following, eta)
        x = guided + down * (x - free) / sigma
        if up > 0:
            x = x + up * noise(sigma, following)
    return x


def heunpp2(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Weights by the share of the first level: two slopes before the last step, three before that."""
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        first = (x - model(x, sigma)[0]) / sigma
        length = following - sigma
        if following == 0:
            x = x + first * length
            continue
        x_2 = x + first * length
        second = (x_2 - model(x_2, following)[0]) / following
        if sigmas[i + 2] == 0:
            share = following / (2 * sigmas[0])
            x = x + (first * (1 - share) + second * share) * length
            continue
        x_3 = x_2 + second * (sigmas[i + 2] - following)
        third = (x_3 - model(x_3, sigmas[i + 2])[0]) / sigmas[i + 2]
        share_2, share_3 = following / (3 * sigmas[0]), sigmas[i + 2] / (3 * sigmas[0])
        x = x + (first * (1 - share_2 - share_3) + second * share_2 + third * share_3) * length
    return x


def dpmpp_2s_ancestral_cfg_pp(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    for sigma, following in itertools.pairwise(sigmas):
        guided, free = model(x, sigma)
        down, up = split(sigma, following)
        if down == 0:
            x = guided
        else:
            h = math.log(sigma / down)
            middle = sigma * math.exp(-h / 2)
            trial = math.exp(-h / 2) * (x + guided - free) - math.expm1(-h / 2) * guided
            guided_2, free_2 = model(trial, middle)
            x = math.exp(-h) * (x + guided - free_2) - math.expm1(-h) * guided_2
        if up > 0:
            x = x + up * noise(sigma, following)
    return x


def dpmpp_2m_cfg_pp(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    before: Tensor | None = None
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        guided, free = model(x, sigma)
        mix = -following / sigma * free
        if before is not None and following > 0:
            h = math.log(sigma / following)
            mix = mix - math.expm1(-h) * h / (2 * math.log(sigmas[i - 1] / sigma)) * (guided - before)
        x = guided + mix + following / sigma * x
        before = free
    return x


def ddpm(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Ho et al. (2020), algorithm 2, with the posterior's variance, in variance-preserving latents."""
    for sigma, following in itertools.pairwise(sigmas):
        product, product_next = 1 / (1 + sigma**2), 1 / (1 + following**2)
        alpha = product / product_next
        epsilon = (x - model(x, sigma)[0]) / sigma
        mean = (x * math.sqrt(product) - (1 - alpha) / math.sqrt(1 - product) * epsilon) / math.sqrt(alpha)
        if following > 0:
            variance = (1 - alpha) * (1 - product_next) / (1 - product)
            mean = mean + math.sqrt(variance) * noise(sigma, following)
        x = mean / math.sqrt(product_next)
    return x


def lcm(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Song et al. (2023), algorithm 1."""
    for sigma, following in itertools.pairwise(sigmas):
        x = model(x, sigma)[0]
        if following > 0:
            x = x + following * noise(sigma, following)
    return x


def ddim(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Song et al. (2021), equation 12, in variance-preserving latents."""
    for sigma, following in itertools.pairwise(sigmas):
        product, product_next = 1 / (1 + sigma**2), 1 / (1 + following**2)
        clean = model(x, sigma)[0]
        epsilon = (x * math.sqrt(product) - math.sqrt(product) * clean) / math.sqrt(1 - product)
        x = (math.sqrt(product_next) * clean + math.sqrt(1 - product_next) * epsilon) / math.sqrt(product_next)
    return x


ADAMS_BASHFORTH = ([1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24])


def of_slopes(
    weigh: Callable[[int, list[float], int], Sequence[float]], order: int,
    model: Model, x: Tensor, sigmas: list[float], noise: Noise,
) -> Tensor:  # fmt: skip
    """A linear multistep method on the slope; `weigh(step, sigmas, slopes)`: weights, the latest first, in sigma."""
    slopes: list[Tensor] = []
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        clean = model(x, sigma)[0]
        if following == 0:
            return clean
        slopes = [(x - clean) / sigma, *slopes][:order]
        for weight, slope in zip(weigh(i, sigmas, len(slopes)), slopes, strict=True):
            x = x + weight * slope
    return x


def equal_steps(i: int, sigmas: list[float], count: int) -> list[float]:
    """Adams-Bashforth (iPNDM)."""
    return [weight * (sigmas[i + 1] - sigmas[i]) for weight in ADAMS_BASHFORTH[count - 1]]


def steps_of_any_size(i: int, sigmas: list[float], count: int) -> list[float]:
    """Zhou et al. (2024), arXiv 2312.00094, the tables of their code `ipndm_v`."""
    h, h1, h2, h3 = ([sigmas[i - k + 1] - sigmas[i - k] for k in range(min(count, i + 1))] + [math.nan] * 4)[:4]
    one = 1.0
    weights = [one] if count == 1 else [(2 + h / h1) / 2, -h / h1 / 2]
    if count > 2:
        third = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
        weights = [weights[0] + third, weights[1] - (1 + h1 / h2) * third, third * h1 / h2]
    if count > 3:
        fourth = (1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))
        fourth *= h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        far = h1 * (h1 + h2) / (h2 * (h2 + h3))
        weights = [
            weights[0] + fourth,
            weights[1] - (1 + h1 / h2 + far) * fourth,
            weights[2] + (h1 / h2 + far * (1 + h2 / h3)) * fourth,
            -fourth * far * h1 / h2,
        ]
    return [weight * h for weight in weights]


def tab_deis(i: int, sigmas: list[float], count: int) -> list[float]:
    """Zhang and Chen (2023): polynomials in the time of a VP process with sigma 0.002 at 0.001 and 80 at 1; sums."""
    high, low = math.log(80**2 + 1), math.log(0.002**2 + 1)
    slope = 2 * (low / 1e-3 - high) / (1e-3 - 1)
    least = high - slope / 2
    times = [(math.sqrt(least**2 + 2 * slope * math.log(s**2 + 1)) - least) / slope for s in sigmas[: i + 2]]
    start, end = times[i], times[i + 1]
    if count == 1:
        return [sigmas[i + 1] - sigmas[i]]
    t = np.linspace(start, end, 10_000)
    growth = np.exp(slope * t**2 / 2 + least * t)
    density = (slope * t + least) * growth / 2 / np.sqrt(growth - 1)
    weights = []
    for j in range(count):
        basis = np.ones_like(t)
        for k in range(count):
            if k != j:
                basis *= (t - times[i - k]) / (times[i - j] - times[i - k])
        weights.append(float((density * basis).sum() * (end - start) / 10_000))
    return weights


def res_multistep(
    model: Model, x: Tensor, sigmas: list[float], noise: Noise, eta: float = 0.0, plus_plus: bool = False
) -> Tensor:
    """Zhang et al. (2023), arXiv 2308.02157, the multistep method of second order."""
    before: Tensor | None = None
    down_before = math.nan
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        guided, free = model(x, sigma)
        down, up = split(sigma, following, eta)
        used = free if plus_plus else guided
        if down == 0 or before is None:
            x = guided + down * (x - used) / sigma
        else:
            h = math.log(sigma / down)
            c_2 = math.log(down_before / sigmas[i - 1]) / h
            phi_1 = math.expm1(-h) / -h
            phi_2 = (phi_1 - 1) / -h
            moved = x + guided - free if plus_plus else x
            x = math.exp(-h) * moved + h * ((phi_1 - phi_2 / c_2) * used + phi_2 / c_2 * before)
        if up > 0:
            x = x + up * noise(sigma, following)
        before, down_before = used, down
    return x


def gradient_estimation(
    model: Model, x: Tensor, sigmas: list[float], noise: Noise, plus_plus: bool = False, gamma: float = 2.0
) -> Tensor:
    """Permenter and Yuan (2024), equation 10."""
    before: Tensor | None = None
    for sigma, following in itertools.pairwise(sigmas):
        guided, free = model(x, sigma)
        if following == 0:
            return guided
        slope = (x - (free if plus_plus else guided)) / sigma
        x = guided + slope * following if plus_plus else x + slope * (following - sigma)
        if before is not None:
            x = x + (gamma - 1) * (slope - before) * (following - sigma)
        before = slope
    return x


def er_sde(model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Cui et al. (2023), arXiv 2309.06169, three stages, integrals as sums of 200 rectangles."""

    def scale(sigma: float) -> float:
        return sigma * (math.exp(sigma**0.3) + 10)

    answers: list[Tensor] = []
    slopes: list[Tensor] = []
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        answers.append(model(x, sigma)[0])
        if following == 0:
            return answers[-1]
        ratio = scale(following) / scale(sigma)
        new = ratio * x + (1 - ratio) * answers[-1]
        length, width = following - sigma, (sigma - following) / 200
        places = [following + k * width for k in range(200)]
        if i >= 1:
            slopes.append((answers[-1] - answers[-2]) / (sigma - sigmas[i - 1]))
            new = new + (length + sum(width / scale(p) for p in places) * scale(following)) * slopes[-1]
        if i >= 2:
            curve = (slopes[-1] - slopes[-2]) / ((sigma - sigmas[i - 2]) / 2)
            new = new + (length**2 / 2 + sum(width * (p - sigma) / scale(p) for p in places) * scale(following)) * curve
        x = new + math.sqrt(max(0.0, following**2 - sigma**2 * ratio**2)) * noise(sigma, following)
    return x


def seeds(shares: Sequence[float], model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Gonzalez et al. (2023), SEEDS-2 and -3: stages at `shares` of the step in log sigma, eta 1."""
    for sigma, following in itertools.pairwise(sigmas):
        clean = model(x, sigma)[0]
        if following == 0:
            return clean
        h = math.log(sigma / following)
        ends = [sigma, *(sigma * math.exp(-share * h) for share in shares), following]
        walk, change = 0 * x, 0 * x
        for k, share in enumerate((*shares, 1.0)):
            drift = math.exp(-2 * share * h) * x - math.expm1(-2 * share * h) * clean
            if k:
                span = 2 * share * h
                weight = math.expm1(-span) / span + 1
                drift = drift + (weight * share / shares[k - 1] if len(shares) == 2 else -math.expm1(-span)) * change
            step = math.log(ends[k] / ends[k + 1])
            walk = math.exp(-step) * walk + math.sqrt(-math.expm1(-2 * step)) * noise(ends[k], ends[k + 1])
            there = drift + ends[k + 1] * walk
            if k < len(shares):
                change = model(there, ends[k + 1])[0] - clean
                change = change if len(shares) == 2 else change / (2 * shares[0])
        x = there
    return x


def stochastic_adams(
    again: bool, model: Model, x: Tensor, sigmas: list[float], noise: Noise, predictor: int = 3, corrector: int = 4
) -> Tensor:
    """Xue et al. (2023), algorithm 1; tau is 1 between the levels at 20 % and 80 % of SD's timesteps, 0 elsewhere."""

    def integrated(answers: list[Tensor], at: list[float], start: float, end: float, tau: float) -> Tensor:
        rate = 1 + tau**2
        total = 0 * answers[0]
        for j, answer in enumerate(answers):
            others = [node for k, node in enumerate(at) if k != j]

            def mass(t: float, node: float = at[j], others: list[float] = others) -> float:
                basis = math.prod((t - other) / (node - other) for other in others)
                return rate * math.exp(rate * (t - end)) * basis

            total = total + quad(mass, start, end, epsabs=1e-13)[0] * answer
        return total

    logs = [-math.log(sigma) if sigma > 0 else math.inf for sigma in sigmas]
    answers: list[Tensor] = []
    predicted, added, tau = x, 0 * x, 0.0
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        answers.append(model(predicted, sigma)[0])
        left = len(sigmas) - 1 - i
        order = min(corrector, len(answers), left)
        if i > 0 and (following > 0 or again):
            start, end = logs[i - 1 : i + 1]
            mean = integrated(answers[-order:], logs[i + 1 - order : i + 1], start, end, tau)
            x = math.exp(-(1 + tau**2) * (end - start)) * x + mean + added
            if again:
                answers[-1] = model(x, sigma)[0]
        else:
            x = predicted
        if following == 0:
            return answers[-1]
        order = min(predictor, len(answers), left - 1)
        tau = 1.0 if 0.5711888 <= following <= 5.0924077 else 0.0
        start, end = logs[i : i + 2]
        mean = integrated(answers[-order:], logs[i + 1 - order : i + 1], start, end, tau)
        predicted = math.exp(-(1 + tau**2) * (end - start)) * x + mean
        spread = following * math.sqrt(1 - (following / sigma) ** (2 * tau**2))
        added = spread * noise(sigma, following) if tau else 0 * x
        predicted = predicted + added
    return predicted


def uni_pc(second: bool, model: Model, x: Tensor, sigmas: list[float], noise: Noise) -> Tensor:
    """Zhao et al. (2023), algorithms 1 and 2, data prediction, order 3, B(h) = h or, with `second`, e^h - 1."""
    levels = [sigma or 0.001 for sigma in sigmas]
    count = len(levels) - 1
    most = max(1, min(3, count - 1))
    answers = [model(x, levels[0])[0]]
    for i in range(1, count + 1):
        order = min(i, most, count + 1 - i)
        logs = [-math.log(level) for level in levels[i - order : i + 1]]
        h = logs[-1] - logs[-2]
        ratios = [(log - logs[-2]) / h for log in logs[-3::-1]]
        differences = [(answers[-2 - k] - answers[-1]) / ratio for k, ratio in enumerate(ratios)]
        nodes = np.array([*ratios, 1.0])
        scale = math.expm1(-h) if second else -h
        phi, factorial, right = math.expm1(-h) / -h - 1, 1, []
        for k in range(1, order + 1):
            right.append(phi * factorial / scale)
            factorial *= k + 1
            phi = phi / -h - 1 / factorial
        rows = np.stack([nodes**k for k in range(order)])
        base = math.exp(-h) * x - math.expm1(-h) * answers[-1]
        ahead = [0.5] if order == 2 else list(np.linalg.solve(rows[:-1, :-1], right[:-1])) if order > 2 else []
        trial = base - scale * sum((float(w) * d for w, d in zip(ahead, differences, strict=True)), 0 * x)
        if i == count:
            return trial
        answer = model(trial, levels[i])[0]
        back = [0.5] if order == 1 else list(np.linalg.solve(rows, right))
        whole = [*differences, answer - answers[-1]]
        x = base - scale * sum((float(w) * d for w, d in zip(back, whole, strict=True)), 0 * x)
        answers.append(answer)
    return x


WRITTEN_OUT: dict[str, Sample] = {
    "euler_cfg_pp": euler_cfg_pp,
    "euler_ancestral_cfg_pp": partial(euler_cfg_pp, eta=1.0),
    "heunpp2": heunpp2,
    "dpmpp_2s_ancestral_cfg_pp": dpmpp_2s_ancestral_cfg_pp,
    "dpmpp_2m_cfg_pp": dpmpp_2m_cfg_pp,
    "ddpm": ddpm,
    "lcm": lcm,
    "ddim": ddim,
    "ipndm": partial(of_slopes, equal_steps, 4),
    "ipndm_v": partial(of_slopes, steps_of_any_size, 4),
    "deis": partial(of_slopes, tab_deis, 3),
    "res_multistep": res_multistep,
    "res_multistep_cfg_pp": partial(res_multistep, plus_plus=True),
    "res_multistep_ancestral": partial(res_multistep, eta=1.0),
    "res_multistep_ancestral_cfg_pp": partial(res_multistep, eta=1.0, plus_plus=True),
    "gradient_estimation": gradient_estimation,
    "gradient_estimation_cfg_pp": partial(gradient_estimation, plus_plus=True),
    "er_sde": er_sde,
    "seeds_2": partial(seeds, (0.5,)),
    "seeds_3": partial(seeds, (1 / 3, 2 / 3)),
    "sa_solver": partial(stochastic_adams, False),
    "sa_solver_pece": partial(stochastic_adams, True),
    "uni_pc": partial(uni_pc, False),
    "uni_pc_bh2": partial(uni_pc, True),
}
