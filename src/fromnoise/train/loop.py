"""The one training loop: optimiser, moving average, checkpoints that resume exactly, a log and a loss curve.

A method gives a `Task`; the loop does everything that methods have in common.
"""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.memory import best_dtype
from fromnoise.errors import FileError
from fromnoise.train.curve import draw_curve
from fromnoise.train.muon import optimizers
from fromnoise.train.workers import spread


class Task(Protocol):
    """What a training method must say."""

    module: nn.Module  # everything that trains, and only that

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of step `step` (from 0) and figures for the log. Depends on nothing but the step and the weights."""
        ...

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """Write sample sheets into `folder` and measure; `averaged` is `module` with its averaged weights."""
        ...


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 4e-4
    warmup: int = 100  # steps of linear rise
    decay: int = 0  # steps of cosine fall at the end
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    slower: dict[str, float] = field(default_factory=dict)  # factors of the rate by how parameters' names begin
    clip_norm: float = 1.0
    average: float = 0.999  # decay of the moving average of the weights; 0: none
    bfloat16: bool | None = None  # compute in it; None: where the hardware is fast at it
    processes: int = 1  # that share the work of a step, a batch each
    log_every: int = 20
    save_every: int = 500
    report_every: int = 1000

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        left = self.steps - step
        fall = 0.5 - 0.5 * math.cos(math.pi * left / self.decay) if self.decay and left < self.decay else 1.0
        return self.learning_rate * rise * max(fall, 0.01)


class Average:
    """Exponential moving average of a module's parameters, with the warm-up of Karras et al. (2024), roughly."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        theirs = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), theirs, 1 - decay)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, `module` has the averaged weights."""
        kept = {name: p.detach().clone() for name, p in module.named_parameters()}
        with torch.no_grad():
            for name, p in module.named_parameters():
                p.copy_(self.weights[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, p in module.named_parameters():
                    p.copy_(kept[name])


class State:
    """What a run needs to go on exactly where it stopped, as one safetensors file."""

    def __init__(self, module: nn.Module, steppers: Sequence[torch.optim.Optimizer], average: Average | None) -> None:
        self.module, self.average = module, average
        self.stepper = {p: stepper for stepper in steppers for group in stepper.param_groups for p in group["params"]}

    def save(self, path: Path, step: int) -> None:
        tensors = {f"weights.{name}": p.detach() for name, p in self.module.named_parameters()}
        if self.average:
            tensors |= {f"average.{name}": w for name, w in self.average.weights.items()}
        for name, p in self.module.named_parameters():
            tensors |= {f"optimizer.{key}.{name}": value for key, value in self.stepper[p].state.get(p, {}).items()}
        save_checkpoint(path, tensors, dtype=None, metadata={"step": str(step)})

    def load(self, path: Path) -> int:
        """Take everything from `path`; the number of steps done."""
        tensors = read(path)
        own = dict(self.module.named_parameters())
        if own.keys() != {k.removeprefix("weights.") for k in tensors if k.startswith("weights.")}:
            raise FileError(f"{path}: from another training set-up; choose another folder or delete it to begin anew")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[f"weights.{name}"])
                if self.average:
                    self.average.weights[name].copy_(tensors[f"average.{name}"])
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, field, name = key.split(".", 2)
                self.stepper[own[name]].state[own[name]][field] = value.clone()
        return int(tensors.metadata["step"])


def train(task: Task, config: LoopConfig, folder: Path) -> nn.Module:
    """Train to `config.steps`, going on from `folder` if a run stopped there; the module has the averaged weights.

    SIGTERM and SIGINT save before they take effect.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steppers = optimizers(
        task.module,
        config.optimizer,
        betas=config.betas,
        weight_decay=config.weight_decay,
        slower=config.slower,
    )
    average = Average(task.module, config.average) if config.average else None
    state = State(task.module, steppers, average)
    path = folder / "state.safetensors"
    step = state.load(path) if path.exists() else 0
    log = Log(folder / "log.jsonl", step)
    device = next(task.module.parameters()).device
    half = best_dtype(device) == torch.bfloat16 if config.bfloat16 is None else config.bfloat16

    def gradient(batch: int) -> tuple[float, Mapping[str, float]]:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss, figures = task.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), figures

    with stop_requested() as stopping, spread(task.module, gradient, steppers, config.processes) as work:
        while step < config.steps:
            for group in (group for stepper in steppers for group in stepper.param_groups):
                group["lr"] = config.rate(step) * group["factor"]
            loss, figures = work.compute(step)
            norm = nn.utils.clip_grad_norm_(task.module.parameters(), config.clip_norm)
            if not math.isfinite(float(norm)):
                raise FloatingPointError(f"the gradient is not finite at step {step}; lower the learning rate")
            work.advance()
            for parameter in task.module.parameters():
                parameter.grad = None
            if average:
                average.update(task.module, step)
            step += 1
            log.add(step, {"loss": loss, "norm": float(norm), **figures})
            if step % config.log_every == 0:
                log.write(step)
            if step % config.save_every == 0 or step == config.steps or stopping():
                state.save(path, step)
            if stopping():
                raise KeyboardInterrupt
            if step % config.report_every == 0 or step == config.steps:
                log.note(step, report(task, average, step, folder))
                draw_curve(log.path, folder / "loss.png")
    if average:
        with torch.no_grad():
            for name, parameter in task.module.named_parameters():
                parameter.copy_(average.weights[name])
    return task.module


@torch.no_grad()
def restore(module: nn.Module, folder: Path) -> int:
    """Put the averaged weights of the run in `folder`, finished or not, into `module`; the number of steps done."""
    weights = read(folder / "state.safetensors")
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[f"average.{name}"])
    return int(weights.metadata["step"])


def report(task: Task, average: Average | None, step: int, folder: Path) -> Mapping[str, float]:
    with torch.no_grad():
        if average is None:
            return task.report(step, task.module, folder)
        with average.applied(task.module):
            return task.report(step, task.module, folder)


class Log:
    """Means over the last steps, one JSON line each; the steps a resumed run will repeat are cut off."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.sums: dict[str, float] = {}
        self.count, self.since = 0, time.monotonic()
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step))

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def write(self, step: int) -> None:
        seconds = time.monotonic() - self.since
        means = {name: value / self.count for name, value in self.sums.items()}
        self.note(step, {**means, "steps_per_second": self.count / seconds})
        self.sums, self.count, self.since = {}, 0, time.monotonic()

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        line = json.dumps({"step": step, **{name: round(value, 5) for name, value in figures.items()}})
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into a question that the loop asks after each step."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    previous = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)
