"""The one training loop: optimizer, moving average, checkpoints that resume exactly, a log and a loss curve.

A method gives a `Task`; the loop does everything that methods have in common.
"""

import gc
import logging
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.files import read
from fromnoise.engine.memory import best_dtype
from fromnoise.errors import UserError, is_out_of_memory
from fromnoise.train.average import Average
from fromnoise.train.curve import draw_curve
from fromnoise.train.log import Log, Silent
from fromnoise.train.optimizers import Span, rate
from fromnoise.train.ranks import Ranks, ranks
from fromnoise.train.rates import rates_of
from fromnoise.train.saving import Files
from fromnoise.train.state import State
from fromnoise.train.steppers import FusedBackward, looked_at, rest, steppers_of, training
from fromnoise.train.trainable import text_parameters
from fromnoise.train.watch import Diverged, Watch
from fromnoise.train.workers import Alone, spread

T = TypeVar("T")
STATE = "state.safetensors"
SMALLER = "train at a smaller --resolution, or another method, such as a LoRA of a lower --rank with --no-text"


class Task(Protocol):
    """What a training method must say."""

    module: nn.Module  # everything that trains, and only that

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of batch `step`, from 0, and figures for the log: of nothing but the step and the weights."""
        ...

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """Write sample sheets into `folder` and measure; `averaged` is `module` with its averaged weights."""
        ...


@runtime_checkable
class Thrifty(Protocol):
    """A task that can do with less memory."""

    def parts(self, step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
        """The loss of batch `step` in parts, whose sum it is: each is differentiated before the next is computed."""
        ...

    def tighten(self, whole: bool = False) -> str | None:
        """Take less memory from now on: what is done about it, or None where nothing is left to do.

        `whole`: a batch can't be taken in parts.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """A task that has something to measure on."""

    def held_out(self) -> Mapping[str, float]:
        """The loss on what is held out."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A task whose weights are kept within bounds."""

    def bound(self) -> Mapping[str, float]:
        """Bring weights that a step has led too far back; figures for the log."""
        ...


@runtime_checkable
class Filed(Protocol):
    """A task that writes files of what is learnt so far."""

    @property
    def files(self) -> Files | None: ...


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    optimizer: str = "AdamW"  # a name of `optimizers.OPTIMIZERS`, "muon", or a class as "module.Class"
    arguments: dict[str, Any] = field(default_factory=dict)  # of the optimizer
    learning_rate: float = 4e-4
    schedule: str = "warmup_stable_decay"  # of the learning rate: a name of `optimizers.RATE_SCHEDULES`
    warmup: int = 100  # steps of linear rise
    decay: int = 0  # steps of cosine fall at the end, where the schedule holds the rate before
    cycles: int = 1  # of a schedule with restarts
    power: float = 1.0  # of a polynomial schedule
    timescale: int = 0  # of inverse_sqrt, in steps
    scheduler: str = ""  # a class of PyTorch's kind in place of the schedule: see `rates.rates_of`
    scheduler_arguments: dict[str, Any] = field(default_factory=dict)
    floor: float = 0.01  # share of the rate that is left at the end
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    slower: dict[str, float] = field(default_factory=dict)  # factors of the rate by how parameters' names begin
    clip_norm: float = 1.0  # 0: gradients may be of any size
    average: float = 0.999  # decay of the moving average of the weights; 0: none
    accumulate: int = 1  # batches whose gradients make one step
    fused_backward: bool = False  # step each weight as soon as its gradient is known
    bfloat16: bool | None = None  # compute in it; None: where the hardware is fast at it
    processes: int = 1  # that share the work of a step, a batch each
    diverged: float = 10.0  # stop where the running loss is so many times its lowest; 0: never
    first: int = 0  # the step to begin with, as if those before were done
    stop_text: int | None = None  # the step from which on text encoders stay as they are
    log_every: int = 20
    save_every: int = 500
    report_every: int = 1000
    report_first: bool = False  # before the first step, too
    measure_every: int = 0  # steps between measures on what is held out, besides those of reports; 0: none
    board: bool = False  # write TensorBoard's events, too, where it is installed
    board_folder: Path | None = None  # where to; None: into the run's folder

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        steps, now = self.steps - self.first, step - self.first
        if self.scheduler:
            return rates_of(self.scheduler, self.scheduler_arguments, self.learning_rate, steps)[now]
        rules = str(self.scheduler_arguments.get("step_rules", ""))
        span = Span(steps, self.warmup, self.cycles, self.power, self.floor, self.decay, self.timescale, rules)
        return self.learning_rate * rate(self.schedule, span)(now)


def train(task: Task, config: LoopConfig, folder: Path) -> nn.Module:
    """Train to `config.steps`, going on from `folder` if a run stopped there; the module has the averaged weights.

    SIGTERM and SIGINT save before they take effect. Raises Diverged where it is of no use to go on: the module has the
    weights of the last good state then.
    """
    return Loop(task, config, folder).run()


class Loop:
    """A run under way."""

    def __init__(self, task: Task, config: LoopConfig, folder: Path) -> None:
        self.task, self.config, self.folder = task, config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / STATE
        rest(task.module, config.slower)
        self.fused = FusedBackward(task.module, config) if self._may_fuse() else None
        self.steppers: Sequence[torch.optim.Optimizer] = (
            self.fused.steppers if self.fused else steppers_of(task.module, config)
        )
        self.average = Average(task.module, config.average) if config.average else None
        self.watch = Watch(config.diverged)
        self.state = State(task.module, self.steppers, self.average, self.watch)
        self.device = next(task.module.parameters()).device
        self.half = best_dtype(self.device) == torch.bfloat16 if config.bfloat16 is None else config.bfloat16
        self.saved: int | None = None

    def _may_fuse(self) -> bool:
        config = self.config
        if config.fused_backward and (config.accumulate > 1 or config.processes > 1):
            raise UserError(
                "fused_backward_pass steps after every batch, so it goes with neither accumulation nor more processes; "
                "leave one of them out"
            )
        return config.fused_backward

    def run(self) -> nn.Module:
        config, module = self.config, self.task.module
        training(self.steppers)
        step = config.first
        if 0 < step >= config.steps:
            raise UserError(f"initial_step {step} is not below the number of steps, {config.steps}")
        if self.path.exists():
            step = self.saved = self.state.load(self.path)
        group = ranks(module, self.gradient, self.steppers)
        first = group is None or group.rank == 0
        board = (config.board_folder or self.folder / "tensorboard") if config.board else None
        self.log = Log(self.folder / "log.jsonl", step, board=board) if first else Silent()
        with stop_requested() as stopping, working(self, group) as work:
            if first and config.report_first and step == config.first:
                self.report(step)
            while step < config.steps:
                self.advance(step, work)
                step += 1
                if step % config.log_every == 0:
                    self.log.write(step, lr=config.rate(step - 1))
                stop = stopping() if group is None else group.agreed(stopping())
                if first and (stop or step == config.steps or (step % config.save_every == 0 and self.watch.good)):
                    self.state.save(self.path, step)
                    self.saved = step
                if stop:
                    raise KeyboardInterrupt
                files = self.task.files if isinstance(self.task, Filed) else None
                if first and files and step < config.steps and files.due(step):
                    with self.as_used():
                        files.at(step)
                if first and (step % config.report_every == 0 or step == config.steps):
                    self.report(step)
                elif first and config.measure_every and step % config.measure_every == 0:
                    self.measure(step)
        training(self.steppers, False)
        if self.average:
            self.average.put(module)
        self.log.close()
        return module

    def gradient(self, number: int) -> tuple[float, Mapping[str, float]]:
        """Leave the gradient of a step's batches in the parameters; their mean loss. UserError: not enough memory."""
        return self.enduring(number, lambda: self._gradient(number), lambda: bool(self.fused and self.fused.squares))

    def enduring(self, number: int, work: Callable[[], T], stepped: Callable[[], bool] = lambda: False) -> T:
        """`work`'s answer, taking less memory from then on where it runs out. UserError: not enough memory.

        `stepped`: whether weights have changed, so that it can't be done again.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or not isinstance(self.task, Thrifty):
                    raise
                if stepped():
                    raise UserError(
                        f"out of memory at step {number}, when some weights had stepped already: begin with "
                        "--gradient_checkpointing or without --fused_backward_pass; what was saved before goes on"
                    ) from None
                remark = self.task.tighten(whole=self.fused is not None)
                if remark is None:
                    raise UserError(f"out of memory at step {number}, and nothing is left to save: {SMALLER}") from None
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            logging.getLogger(__name__).warning(remark)

    def _gradient(self, number: int) -> tuple[float, Mapping[str, float]]:
        config, total, figures = self.config, 0.0, dict[str, float]()
        for parameter in self.task.module.parameters():  # of an attempt that memory ended
            parameter.grad = None
        for batch in range(config.accumulate):
            parts = self.parts(number * config.accumulate + batch)
            while True:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                    part = next(parts, None)
                if part is None:
                    break
                loss, told = part
                (loss / config.accumulate if config.accumulate > 1 else loss).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach()) / config.accumulate
                for name, value in told.items():
                    figures[name] = figures.get(name, 0.0) + value / config.accumulate
                del part, loss
        return total, figures

    def parts(self, step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
        """The loss of a batch: whole, or in parts where the task has it in parts and no weight steps in between."""
        if isinstance(self.task, Thrifty) and not self.fused:
            yield from self.task.parts(step)
        else:
            yield self.task.loss(step)

    def advance(self, step: int, work: Alone) -> None:
        """One step from `step` to the next. Diverged."""
        config, module = self.config, self.task.module
        if config.stop_text is not None and step >= config.stop_text:
            for parameter in text_parameters(module):
                parameter.requires_grad_(False)
        for group in self.state.groups:
            group["lr"] = config.rate(step) * group["factor"]
        loss, figures = work.compute(step)
        norm = self.fused.norm() if self.fused else norm_of(module, config.clip_norm)
        if not math.isfinite(loss):
            self.give_up("the loss is not finite", step)
        if not math.isfinite(norm):
            self.give_up("the gradient is not finite", step)
        self.watch.add(loss)
        if self.watch.diverged:
            self.give_up(f"the loss has grown {config.diverged:g} times above its lowest", step)
        if not self.fused:
            before = self.state.counted
            self.enduring(step, work.advance, lambda: self.state.counted != before)
            for parameter in module.parameters():
                parameter.grad = None
        bounded = self.task.bound() if isinstance(self.task, Bounded) else {}
        if self.average:
            self.average.update(module, step)
        self.log.add(step + 1, {"loss": loss, "norm": norm, **figures, **bounded})

    def give_up(self, what: str, step: int) -> None:
        """Diverged, with the weights of the last good state in the module."""
        for parameter in self.task.module.parameters():
            parameter.grad = None
        if self.saved is not None:
            self.state.load(self.path)
            training(self.steppers, False)
            if self.average:
                self.average.put(self.task.module)
        raise Diverged(what, step, self.saved)

    @contextmanager
    def as_used(self) -> Iterator[None]:
        """Inside, the weights are those that would be used."""
        averaged = self.average.applied(self.task.module) if self.average else nullcontext()
        with torch.no_grad(), looked_at(self.steppers), averaged:
            yield

    def measure(self, step: int) -> None:
        """The loss on what is held out."""
        if isinstance(self.task, Measured):
            self.log.note(step, self.enduring(step, self.held_out))

    def held_out(self) -> Mapping[str, float]:
        assert isinstance(self.task, Measured)
        with self.as_used():
            return self.task.held_out()

    def reported(self, step: int) -> Mapping[str, float]:
        with self.as_used():
            return self.task.report(step, self.task.module, self.folder)

    def report(self, step: int) -> None:
        """Samples, measures, the curve."""
        self.log.note(step, self.enduring(step, lambda: self.reported(step)))
        draw_curve(self.log.path, self.folder / "loss.png")
        sample = self.folder / f"sample-{step:06d}.png"
        if sample.exists():
            self.log.picture(step, "sample", sample)


@contextmanager
def working(loop: Loop, group: Ranks | None) -> Iterator[Alone]:
    """What computes and steps: this process, several of one machine, or several that torchrun has started."""
    try:
        if group is not None:
            if loop.config.processes > 1 or loop.fused:
                raise UserError("torchrun's processes share the work already; leave processes and fused_backward out")
            yield group
            return
        with spread(loop.task.module, loop.gradient, loop.steppers, loop.config.processes) as work:
            yield work
    finally:
        if loop.fused:
            loop.fused.close()


def norm_of(module: nn.Module, clip: float) -> float:
    """The gradient's norm before it is clipped to `clip`; 0 clips nothing."""
    return float(nn.utils.clip_grad_norm_(module.parameters(), clip or math.inf))


@torch.no_grad()
def restore(module: nn.Module, folder: Path) -> int:
    """Put the averaged weights of the run in `folder`, finished or not, into `module`; the number of steps done."""
    weights = read(folder / STATE)
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[f"average.{name}"])
    return int(weights.metadata["step"])


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
