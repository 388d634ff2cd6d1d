"""Optimizers by kohya's names, each from the package that keeps it, and what the learning rate does over the steps."""

import math
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import nn

from fromnoise.errors import UserError
from fromnoise.registry import Registry

Arguments = Mapping[str, Any]
ParameterGroups = Iterable[nn.Parameter] | Iterable[dict[str, Any]]


@dataclass(frozen=True)
class OptimizerKind:
    """Where an optimizer comes from, and what is special about it."""

    name: str
    path: str  # "module:Class"
    package: str | None = None  # to install; None: it comes with PyTorch
    defaults: Arguments = ()  # type: ignore[assignment]
    learning_rate: float | None = None  # that suits it; 1 for those that find their own
    schedule_free: bool = False  # has train() and eval(), and wants no schedule
    good_for: str = ""
    good_for_zh: str = ""

    def load(self) -> type[torch.optim.Optimizer]:
        """The class; UserError says what to install."""
        module, name = self.path.split(":")
        try:
            found: type[torch.optim.Optimizer] = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"the optimizer {self.name} needs the package {self.package}: pip install {self.package} ({error})"
            ) from error
        return found


OPTIMIZERS: Registry[OptimizerKind] = Registry("optimizer", entry_points="fromnoise.optimizers")


def add(name: str, path: str, package: str | None = None, aliases: tuple[str, ...] = (), **more: Any) -> None:
    OPTIMIZERS.add(name, OptimizerKind(name, path, package, **more), aliases)


ADAM = {"betas": (0.9, 0.999), "weight_decay": 0.01}
add("AdamW", "torch.optim:AdamW", aliases=("adam_w",), defaults=ADAM, learning_rate=1e-4,
    good_for="Nearly everything.", good_for_zh="几乎所有情况。")  # fmt: skip
add("AdamW8bit", "bitsandbytes.optim:AdamW8bit", "bitsandbytes", defaults=ADAM, learning_rate=1e-4,
    good_for="The same with state of a quarter the size.", good_for_zh="同上，状态约占四分之一。")  # fmt: skip
add("PagedAdamW8bit", "bitsandbytes.optim:PagedAdamW8bit", "bitsandbytes", defaults=ADAM, learning_rate=1e-4,
    good_for="As AdamW8bit, with room in main memory where the GPU's ends.",
    good_for_zh="同 AdamW8bit，显存不足时借用内存。")  # fmt: skip
add("PagedAdamW", "bitsandbytes.optim:PagedAdamW", "bitsandbytes", defaults=ADAM, learning_rate=1e-4,
    good_for="AdamW with room in main memory.", good_for_zh="借用内存的 AdamW。")  # fmt: skip
add("PagedAdamW32bit", "bitsandbytes.optim:PagedAdamW32bit", "bitsandbytes", defaults=ADAM, learning_rate=1e-4,
    good_for="AdamW with room in main memory.", good_for_zh="借用内存的 AdamW。")  # fmt: skip
add("Lion", "lion_pytorch:Lion", "lion-pytorch", defaults={"weight_decay": 0.1}, learning_rate=3e-5,
    good_for="Half the memory; rates a third of AdamW's.", good_for_zh="内存减半，学习率取三分之一。")  # fmt: skip
add("Lion8bit", "bitsandbytes.optim:Lion8bit", "bitsandbytes", learning_rate=3e-5,
    good_for="The least memory with sign steps.", good_for_zh="符号更新，内存最少。")  # fmt: skip
add("PagedLion8bit", "bitsandbytes.optim:PagedLion8bit", "bitsandbytes", learning_rate=3e-5,
    good_for="As Lion8bit, with room in main memory.", good_for_zh="同 Lion8bit，可借用内存。")  # fmt: skip
add("SGDNesterov", "torch.optim:SGD", defaults={"momentum": 0.9, "nesterov": True}, learning_rate=1e-2,
    good_for="Simple, and slow to learn.", good_for_zh="简单，学得慢。")  # fmt: skip
add("SGDNesterov8bit", "bitsandbytes.optim:SGD8bit", "bitsandbytes", defaults={"momentum": 0.9, "nesterov": True},
    learning_rate=1e-2, good_for="The same with less memory.", good_for_zh="同上，内存更少。")  # fmt: skip
add("Prodigy", "prodigyopt:Prodigy", "prodigyopt", learning_rate=1.0,
    defaults={"weight_decay": 0.01, "decouple": True, "use_bias_correction": True, "safeguard_warmup": True},
    good_for="Finds its own learning rate: leave it at 1.", good_for_zh="自动找学习率，保持 1 即可。")  # fmt: skip
for kind in ("Adam", "AdaGrad", "Adan", "AdanIP", "Lion", "SGD", "AdamPreprint"):
    place = {"AdanIP": "dadaptation.experimental:DAdaptAdanIP",
             "AdamPreprint": "dadaptation.experimental:DAdaptAdamPreprint"}  # fmt: skip
    add(f"DAdapt{kind}", place.get(kind, f"dadaptation:DAdapt{kind}"), "dadaptation", learning_rate=1.0,
        aliases=("DAdaptation",) if kind == "AdamPreprint" else (),
        good_for="Finds its own learning rate: leave it at 1.", good_for_zh="自动找学习率，保持 1 即可。")  # fmt: skip
add("AdaFactor", "transformers.optimization:Adafactor", "transformers", learning_rate=1e-4,
    defaults={"scale_parameter": False, "relative_step": False, "warmup_init": False},
    good_for="Little memory for whole models; can step while it goes backward.",
    good_for_zh="整模型训练省内存，可边反传边更新。")  # fmt: skip
for kind in ("AdamW", "SGD", "RAdam"):
    add(f"{kind}ScheduleFree", f"schedulefree:{kind}ScheduleFree", "schedulefree", schedule_free=True,
        learning_rate=1e-2 if kind == "SGD" else 2.5e-3, good_for="Needs no schedule and no end.",
        good_for_zh="不需要学习率调度，也不需要预定终点。")  # fmt: skip


def make_optimizer(
    name: str, groups: ParameterGroups, learning_rate: float | None = None, arguments: Arguments | None = None
) -> torch.optim.Optimizer:
    """The optimizer of that name, or of a class named as "module.Class". UserError for what it does not take."""
    kind = OPTIMIZERS[name] if name in OPTIMIZERS or "." not in name else by_path(name)
    rate = kind.learning_rate if learning_rate is None else learning_rate
    given = {**dict(kind.defaults or {}), **(arguments or {})}
    if rate is not None and not given.get("relative_step"):  # with which AdaFactor finds its own
        given["lr"] = rate
    try:
        return kind.load()(groups, **given)
    except (TypeError, ValueError) as error:
        raise UserError(f"the optimizer {kind.name} refuses its arguments: {error}") from error


def by_path(path: str) -> OptimizerKind:
    module, _, name = path.rpartition(".")
    return OptimizerKind(path, f"{module}:{name}", module.split(".")[0])


def read_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Arguments as kohya has them on its command line: weight_decay=0.1 betas=0.9,0.99."""
    found = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name.isidentifier():
            raise UserError(f"{word!r} is no argument; write name=value, such as weight_decay=0.1")
        try:
            found[name] = literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


Rate = Callable[[int], float]  # step, from 0 -> factor of the learning rate


@dataclass(frozen=True)
class Span:
    """What a schedule is told: all steps, those of its rise, and its own numbers."""

    steps: int
    warmup: int = 0
    cycles: int = 1
    power: float = 1.0
    floor: float = 0.0  # factor that is left at the end
    decay: int = 0  # steps of the fall at the end, of those schedules that hold the rate before
    timescale: int = 0  # steps after which the inverse square root begins to fall; 0: as long as the rise
    rules: str = ""  # of a piecewise constant schedule: see there

    def done(self, step: int) -> float:
        """Share of the steps after the rise that are done, in [0, 1]."""
        return min(1.0, max(0.0, (step - self.warmup) / max(1, self.steps - self.warmup)))


RateSchedule = Callable[[Span, int], float]  # span, step after the rise -> factor
RATE_SCHEDULES: Registry[RateSchedule] = Registry("learning rate schedule", entry_points="fromnoise.rates")


@RATE_SCHEDULES.register("constant", aliases=("constant_with_warmup",))
def constant(span: Span, step: int) -> float:
    return 1.0


@RATE_SCHEDULES.register("linear")
def linear(span: Span, step: int) -> float:
    return 1 - span.done(step)


@RATE_SCHEDULES.register("cosine", aliases=("cosine_with_min_lr",))
def cosine(span: Span, step: int) -> float:
    """Loshchilov and Hutter (2017), equation 5, without restarts."""
    return span.floor + (1 - span.floor) * (0.5 + 0.5 * math.cos(math.pi * span.done(step)))


@RATE_SCHEDULES.register("cosine_with_restarts")
def cosine_with_restarts(span: Span, step: int) -> float:
    """The same, `cycles` times over."""
    done = span.done(step)
    return 0.0 if done >= 1 else 0.5 + 0.5 * math.cos(math.pi * (done * span.cycles % 1.0))


@RATE_SCHEDULES.register("polynomial")
def polynomial(span: Span, step: int) -> float:
    return span.floor + (1 - span.floor) * float((1 - span.done(step)) ** span.power)


@RATE_SCHEDULES.register("inverse_sqrt")
def inverse_sqrt(span: Span, step: int) -> float:
    """As transformers have it: 1 at the end of the rise, and 10,000 steps where there is neither rise nor scale."""
    scale = span.timescale or span.warmup or 10_000
    return math.sqrt(scale / (scale + max(0, step - span.warmup)))


@RATE_SCHEDULES.register("warmup_stable_decay")
def warmup_stable_decay(span: Span, step: int) -> float:
    """Held, then a cosine fall over the last `decay` steps: Hu et al. (2024), "MiniCPM"."""
    left = span.steps - step
    if not span.decay or left >= span.decay:
        return 1.0
    return span.floor + (1 - span.floor) * (0.5 - 0.5 * math.cos(math.pi * max(left, 0) / span.decay))


@RATE_SCHEDULES.register("piecewise_constant")
def piecewise_constant(span: Span, step: int) -> float:
    """Factors and the steps they end before, as diffusers writes them: 1:500,0.1:800,0.01; 1 without. UserError."""
    if not span.rules:
        return 1.0
    *pieces, last = stretches(span.rules)
    return next((factor for factor, end in pieces if end is not None and step < end), last[0])


@lru_cache(maxsize=8)
def stretches(rules: str) -> tuple[tuple[float, int | None], ...]:
    """Factors, each with the step before which it ends; the last has none. UserError."""
    try:
        *ended, last = rules.split(",")
        pairs = [(float(factor), int(end)) for factor, end in (one.split(":") for one in ended)]
        return (*sorted(pairs, key=lambda pair: pair[1]), (float(last), None))
    except ValueError:
        raise UserError(
            f"piecewise_constant: {rules!r} is no list such as 1:500,0.1:800,0.01; give it with --lr_scheduler_args "
            "step_rules="
        ) from None


@RATE_SCHEDULES.register("rex")
def rex(span: Span, step: int) -> float:
    """Chen et al. (2022), "REX: Revisiting Budgeted Training with an Improved Schedule", section 4."""
    left = 1 - span.done(step)
    return span.floor + (1 - span.floor) * left / (0.5 + 0.5 * left)


def rate(name: str, span: Span) -> Rate:
    """The factor of the learning rate at each step: a linear rise, then the schedule of that name."""
    schedule = RATE_SCHEDULES[name]

    def factor(step: int) -> float:
        return schedule(span, step) * min(1.0, (step + 1) / max(1, span.warmup))

    return factor
