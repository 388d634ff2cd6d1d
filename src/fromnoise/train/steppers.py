"""The optimizers of a run, made as its configuration says: one, or Muon and another, or one for each weight.

With `fused_backward` each weight is stepped as soon as its gradient is known, and the gradient is dropped: at no time
are there all of them (Lv et al., 2023, "Full Parameter Fine-tuning for Large Language Models with Limited Resources").
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fromnoise.errors import UserError
from fromnoise.train.muon import optimizers
from fromnoise.train.optimizers import OPTIMIZERS, make_optimizer

OWN = ("AdamW", "muon")  # made by `muon.optimizers`: PyTorch's fused AdamW
FUSABLE = ("AdamW", "AdamW8bit", "PagedAdamW8bit", "Lion", "Lion8bit", "PagedLion8bit", "AdaFactor", "SGDNesterov")


class Wanted(Protocol):
    """What is asked of a configuration."""

    @property
    def optimizer(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...
    @property
    def slower(self) -> Mapping[str, float]: ...
    @property
    def clip_norm(self) -> float: ...


def steppers_of(module: nn.Module, config: Wanted) -> list[torch.optim.Optimizer]:
    """What steps the parameters of `module`; their groups have the `factor` of the learning rate. UserError."""
    name = canonical(config.optimizer)
    if name in OWN and not config.arguments:
        kind = "muon" if name == "muon" else "adamw"
        return optimizers(module, kind, betas=config.betas, weight_decay=config.weight_decay, slower=config.slower)  # type: ignore[arg-type]
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter_name, parameter in learning(module):
        groups.setdefault(factor_of(parameter_name, config.slower), []).append(parameter)
    rate = config.learning_rate
    made = [{"params": ps, "lr": rate * factor, "factor": factor} for factor, ps in groups.items()]
    return [make_optimizer(config.optimizer, made, rate, config.arguments)]


def learning(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters that learn, by name."""
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def rest(module: nn.Module, slower: Mapping[str, float]) -> None:
    """Parameters whose learning rate is 0 stay as they are. UserError where none is left."""
    for name, parameter in module.named_parameters():
        if factor_of(name, slower) == 0:
            parameter.requires_grad_(False)
    if not any(True for _ in learning(module)):
        raise UserError("nothing would be trained: all learning rates are 0")


def canonical(name: str) -> str:
    return name if name == "muon" or "." in name else OPTIMIZERS.canonical(name)


def factor_of(name: str, slower: Mapping[str, float]) -> float:
    """The factor of a parameter's learning rate: those of all patterns that its name begins with, * being anything."""
    return math.prod(factor for pattern, factor in slower.items() if fnmatchcase(name, f"{pattern}*"))


class FusedBackward:
    """Steps each weight in the backward pass. Each gradient is clipped by itself."""

    def __init__(self, module: nn.Module, config: Wanted) -> None:
        if canonical(config.optimizer) not in FUSABLE:
            raise UserError(
                f"{config.optimizer} looks at all gradients together, so it can't step in the backward pass; take one "
                f"of {', '.join(FUSABLE)}, or leave fused_backward_pass out"
            )
        self.clip, self.squares = config.clip_norm, 0.0
        self.steppers = [make(name, parameter, config) for name, parameter in learning(module)]
        self.handles = [
            parameter.register_post_accumulate_grad_hook(self._hook(stepper))  # type: ignore[no-untyped-call]
            for (_, parameter), stepper in zip(learning(module), self.steppers, strict=True)
        ]

    def _hook(self, stepper: torch.optim.Optimizer) -> Any:
        def step(parameter: Tensor) -> None:
            assert parameter.grad is not None
            norm = float(parameter.grad.norm())
            self.squares += norm * norm
            if math.isfinite(norm):
                if self.clip and norm > self.clip:
                    parameter.grad.mul_(self.clip / norm)
                stepper.step()
            parameter.grad = None

        return step

    def norm(self) -> float:
        """Of all gradients since it was asked last."""
        squares, self.squares = self.squares, 0.0
        return math.sqrt(squares) if math.isfinite(squares) else squares

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


def make(name: str, parameter: nn.Parameter, config: Wanted) -> torch.optim.Optimizer:
    """The optimizer of one weight."""
    group = {"params": [parameter], "factor": factor_of(name, config.slower)}
    arguments = dict(config.arguments)
    if canonical(config.optimizer) == "AdamW":
        arguments = {"betas": config.betas, "weight_decay": config.weight_decay, **arguments}
    return make_optimizer(config.optimizer, [group], config.learning_rate, arguments)


def training(steppers: Sequence[torch.optim.Optimizer], on: bool = True) -> None:
    """Tell schedule-free optimizers that training begins, or that weights will be looked at."""
    for stepper in steppers:
        change = getattr(stepper, "train" if on else "eval", None)
        if change is not None:
            change()


@contextmanager
def looked_at(steppers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Inside, weights are those to use."""
    training(steppers, False)
    try:
        yield
    finally:
        training(steppers)
