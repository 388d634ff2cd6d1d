"""Learning rates of any scheduler of PyTorch's kind, as a list: a step's rate hangs on nothing but the step.

So a run that was stopped goes on with the same rates, and needs no state of the scheduler.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import nn

from fromnoise.errors import UserError
from fromnoise.train.optimizers import read_arguments

HOME = "torch.optim.lr_scheduler"


def rates_of(path: str, arguments: Mapping[str, Any], rate: float, steps: int) -> tuple[float, ...]:
    """The rate at each step: of a class named as "module.Class", or as "Class" of PyTorch's. UserError."""
    return _rates(path, tuple(f"{name}={value!r}" for name, value in sorted(arguments.items())), rate, steps)


@lru_cache(maxsize=8)
def _rates(path: str, arguments: tuple[str, ...], rate: float, steps: int) -> tuple[float, ...]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)
    try:
        scheduler = found(path)(optimizer, **read_arguments(arguments))
        rates = []
        for _ in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
    except (TypeError, ValueError) as error:
        raise UserError(f"the scheduler {path} does not go with its arguments: {error}") from error
    return tuple(rates)


def found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module or HOME), name)
    except (ImportError, AttributeError) as error:
        near = [] if module else get_close_matches(name, dir(import_module(HOME)), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "; name a class, such as CosineAnnealingLR or module.Class"
        raise UserError(f"unknown scheduler {path!r}{hint}") from error
