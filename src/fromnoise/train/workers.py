"""Training on several processes of one machine: each computes the gradient of its own batch, and they are averaged.

On CPUs shared with other work this is faster than as many threads, which wait for one another in every operation;
processes wait twice a step. Weights lie in memory that all of them see, so little is sent but the step's number.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from mmap import mmap
from multiprocessing.connection import Connection
from typing import cast

import torch
from torch import Tensor, nn

from fromnoise.errors import UserError
from fromnoise.train.muon import Muon

Loss = tuple[float, Mapping[str, float]]
Gradient = Callable[[int], Loss]  # leaves the gradient of the batch of this number in the parameters


class Alone:
    """This process does all the work."""

    def __init__(self, gradient: Gradient, steppers: Sequence[torch.optim.Optimizer]) -> None:
        self.gradient, self.steppers = gradient, steppers

    def compute(self, step: int) -> Loss:
        """The loss of a step; its gradient is in the parameters then."""
        return self.gradient(step)

    def advance(self) -> None:
        """Step the parameters along their gradients."""
        for stepper in self.steppers:
            stepper.step()

    def close(self) -> None:
        """Nothing waits for the end."""


class Team(Alone):
    """This process and helpers, each with one thread: of step s they compute the batches from s * processes on.

    Muon's matrices are shared out among them. Between `compute` and `advance`, gradients are this process's to change.
    """

    def __init__(
        self, module: nn.Module, gradient: Gradient, steppers: Sequence[torch.optim.Optimizer], processes: int
    ) -> None:
        super().__init__(gradient, steppers)
        self.parameters = list(module.parameters())
        share(self.parameters)
        muons = [stepper for stepper in steppers if isinstance(stepper, Muon)]
        self.muon = muons[0] if muons else None
        matrices = self.muon.weights() if self.muon else []
        if self.muon:
            share([self.muon.momentum(weight) for weight in matrices])
        self.matrices = set(matrices)
        parts = fair_parts(matrices, processes)
        self.mine, *theirs = parts
        self.average = shared_like(self.parameters)
        self.helpers = [Helper(self, part) for part in theirs]

    def compute(self, step: int) -> Loss:
        processes = len(self.helpers) + 1
        for i, helper in enumerate(self.helpers, 1):
            helper.send(step * processes + i)
        losses = [self.gradient(step * processes), *(cast(Loss, helper.receive()) for helper in self.helpers)]
        with torch.no_grad():
            for i, (parameter, mean) in enumerate(zip(self.parameters, self.average, strict=True)):
                mean.zero_() if parameter.grad is None else mean.copy_(parameter.grad)
                for helper in self.helpers:
                    mean += helper.gradients[i]
                parameter.grad = mean.div_(processes)
        figures = {name: sum(f[name] for _, f in losses) / processes for name in losses[0][1]}
        return sum(loss for loss, _ in losses) / processes, figures

    def advance(self) -> None:
        rates = [group["lr"] for group in self.muon.param_groups] if self.muon else []
        for helper in self.helpers if rates else ():
            helper.send(rates)
        for parameter in self.matrices - self.mine:
            parameter.grad = None
        super().advance()
        for helper in self.helpers if rates else ():
            helper.receive()

    def close(self) -> None:
        for helper in self.helpers:
            helper.close()
        for parameter in self.parameters:
            parameter.data = parameter.detach().clone()


class Helper:
    """A forked process that works for this one."""

    def __init__(self, team: Team, part: set[Tensor]) -> None:
        self.gradients = shared_like(team.parameters)
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe()
        self.process = fork.Process(target=self.serve, args=(theirs, team, part), daemon=True)
        self.process.start()
        theirs.close()

    def serve(self, pipe: Connection, team: Team, part: set[Tensor]) -> None:
        """In the process itself: compute a gradient for a number, step for learning rates, end for nothing."""
        self.pipe.close()
        for s in (signal.SIGINT, signal.SIGTERM):  # stopping is for the asking side to decide
            signal.signal(s, signal.SIG_IGN)
        torch.set_num_threads(1)
        while (asked := next_message(pipe)) is not None:
            if isinstance(asked, int):
                answer: object = team.gradient(asked)
                for place, parameter in zip(self.gradients, team.parameters, strict=True):
                    place.zero_() if parameter.grad is None else place.copy_(parameter.grad)
            else:
                step_part(team, part, cast(list[float], asked))
                answer = None
            for parameter in team.parameters:
                parameter.grad = None
            pipe.send(answer)

    def send(self, message: int | list[float]) -> None:
        with suppress(OSError):  # found out when its answer is missed
            self.pipe.send(message)

    def receive(self) -> object:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError("a training process ended by itself; what it said is above") from None

    def close(self) -> None:
        with suppress(OSError):  # it may have ended by itself
            self.pipe.send(None)  # closing the pipe would not do: later helpers have inherited this end of it
        self.process.join()
        self.pipe.close()


def next_message(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        return None


def step_part(team: Team, part: set[Tensor], rates: list[float]) -> None:
    """Step the matrices that are this process's along the averaged gradient."""
    muon = cast(Muon, team.muon)
    for group, rate in zip(muon.param_groups, rates, strict=True):
        group["lr"] = rate
    for parameter, mean in zip(team.parameters, team.average, strict=True):
        parameter.grad = mean if parameter in part else None
    muon.step()


def fair_parts(matrices: Sequence[Tensor], count: int) -> list[set[Tensor]]:
    """The matrices in so many sets that take about as long to orthogonalise."""
    parts: list[set[Tensor]] = [set() for _ in range(count)]
    costs = [0.0] * count
    for matrix in sorted(matrices, key=cost, reverse=True):
        least = costs.index(min(costs))
        parts[least].add(matrix)
        costs[least] += cost(matrix)
    return parts


def cost(matrix: Tensor) -> float:
    a, b = sorted(matrix.flatten(1).shape)
    return float(a * a * (2 * b + a))


def shared_like(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Uninitialised float32 tensors of the same shapes and strides, in memory that forked processes share."""
    flat = torch.frombuffer(mmap(-1, 4 * max(1, sum(t.numel() for t in tensors))), dtype=torch.float32)
    parts, start = [], 0
    for t in tensors:
        parts.append(flat.as_strided(t.shape, t.stride(), start))
        start += t.numel()
    return parts


def share(tensors: Sequence[Tensor]) -> None:
    """Move the tensors to memory that forked processes share."""
    for tensor, place in zip(tensors, shared_like(tensors), strict=True):
        tensor.data = place.copy_(tensor.detach())


@contextmanager
def spread(
    module: nn.Module, gradient: Gradient, steppers: Sequence[torch.optim.Optimizer], processes: int
) -> Iterator[Alone]:
    """So many processes for the training of `module`; UserError where they could not share float32 weights."""
    if processes == 1:
        yield Alone(gradient, steppers)
        return
    on_cpu = all(p.device.type == "cpu" for p in module.parameters())
    if not on_cpu or "fork" not in multiprocessing.get_all_start_methods():
        raise UserError("processes share a step on CPUs of Linux and macOS only; set processes = 1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    team = Team(module, gradient, steppers, processes)
    try:
        yield team
    finally:
        team.close()
        torch.set_num_threads(threads)
