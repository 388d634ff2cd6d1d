"""Training on several devices or machines: as many processes as torchrun or `accelerate launch` has started.

Each computes the gradient of a batch of its own, and they are averaged; so they end as one process would that
accumulates as many batches.
"""

import os
from collections.abc import Mapping, Sequence

import torch
from torch import distributed, nn

from fromnoise.train.workers import Alone, Gradient, Loss


class Ranks(Alone):
    """This process among all: of step s it computes batch s * count + rank."""

    def __init__(self, module: nn.Module, gradient: Gradient, steppers: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__(gradient, steppers)
        self.module = module
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()
        self.device = next(module.parameters()).device
        for parameter in module.parameters():
            distributed.broadcast(parameter.detach(), 0)

    def compute(self, step: int) -> Loss:
        loss, figures = self.gradient(step * self.count + self.rank)
        for parameter in (p for p in self.module.parameters() if p.requires_grad):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad.div_(self.count)
        told: list[tuple[float, Mapping[str, float]]] = [(loss, figures)] * self.count
        distributed.all_gather_object(told, (loss, figures))
        names = dict.fromkeys(name for _, f in told for name in f)
        means = {name: sum(v := [f[name] for _, f in told if name in f]) / len(v) for name in names}
        return sum(one for one, _ in told) / self.count, means

    def agreed(self, stop: bool) -> bool:
        """Whether any of them was asked to stop."""
        asked = torch.tensor(float(stop), device=self.device)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        return bool(asked > 0)


def started_together() -> bool:
    """Whether torchrun or the like has started this process among others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_device(best: torch.device) -> torch.device:
    """That of this process: the GPU of its number on this machine, where the best device is one."""
    if not started_together() or best.type == "cpu":
        return best
    device = torch.device(best.type, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where NCCL gathers what is no tensor
    return device


def is_first() -> bool:
    """Whether this process is the one that tells, samples and saves."""
    return int(os.environ.get("RANK", "0")) == 0


def ranks(module: nn.Module, gradient: Gradient, steppers: Sequence[torch.optim.Optimizer]) -> Ranks | None:
    """This process among those of torchrun; None where it is alone."""
    if not started_together():
        return None
    device = next(module.parameters()).device
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(module, gradient, steppers)
