"""Guides asked by hand: a pretend network, and a driver that tells what was asked of it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fromnoise.sampling.guidance import Cond, Guidance, NetworkCall
from fromnoise.sampling.samplers import Evaluate

Network = Callable[[NetworkCall], Tensor]

SHAPE = (1, 4, 6, 6)


def cond(value: float) -> Cond:
    """A condition that `pretend` answers in its own way."""
    return Cond(torch.full((1, 3, 2), value))


def value(call: NetworkCall) -> float:
    return float(call.cond.context[0, 0, 0])


def pretend(call: NetworkCall) -> Tensor:
    """A smooth answer that depends on everything that is asked, in float64."""
    x = call.x.double()
    return torch.sin(x * (1 + 0.1 * value(call))) + 0.2 * value(call) * torch.cos(x.flip(-1)) + 0.01 * call.sigma


def question(sigma: float = 2.0, split: bool = False, number: int = 0, seed: int = 0) -> Evaluate:
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Evaluate(x, torch.tensor(sigma, dtype=torch.float64), split, number)


def answered(guide: Guidance, ask: Evaluate, network: Network = pretend) -> Tensor:
    return asked(guide, ask, network)[0]


def asked(guide: Guidance, ask: Evaluate, network: Network = pretend) -> tuple[Tensor, list[Sequence[NetworkCall]]]:
    """The guide's answer, and the calls of each round."""
    guiding, rounds = guide(ask), list[Sequence[NetworkCall]]()
    try:
        calls = next(guiding)
        while True:
            rounds.append(calls)
            calls = guiding.send([network(call) for call in calls])
    except StopIteration as stop:
        return stop.value, rounds
