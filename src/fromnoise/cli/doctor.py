"""`fromnoise doctor`: what this machine is, and how long a picture takes on it."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fromnoise import __version__, settings
from fromnoise.cli.messages import Language, say, spoken, translated
from fromnoise.cli.probes import CALLS, COSTS, STEPS, Cost, Speeds, measure
from fromnoise.cli.progress import note
from fromnoise.engine import library
from fromnoise.engine.fitting import fitted
from fromnoise.engine.footprint import demand
from fromnoise.engine.generate import generate
from fromnoise.engine.memory import Placement, Plan, available_devices, place, total
from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.nn import kernels

GIGA = 1e9
WARM_UP_STEPS = 2
BUSY = 0.7  # programs that want to run, as a part of the cores


def examine(device: str | None, *, as_json: bool = False) -> None:
    """Print the findings, what is measured as soon as it is known; as JSON each line in both languages."""
    tell = told_in_both if as_json else told
    placement = place(device)
    kernels.keep_in(settings.read().kernels)
    tell(lambda: facts(placement))
    note(say("measuring ..."))
    if library.find(BUILTIN).is_file():
        seconds = builtin_seconds(placement)
        tell(lambda: [say("Built-in model, measured: {time} per picture.", time=human(seconds))])
    speeds, memory = measure(placement), total(placement.device)
    tell(
        lambda: [
            say("Other models, estimated for one picture of {steps} steps from timing parts of them:", steps=STEPS),
            *(verdict(cost, speeds, placement, memory) for cost in COSTS),
        ]
    )


Lines = Callable[[], list[str]]  # in the language of the moment


def told(lines: Lines) -> None:
    for line in lines():
        print(line, flush=True)


def told_in_both(lines: Lines) -> None:
    """`{"en": "Devices here: cpu", "zh": "..."}` for each."""
    for en, zh in zip(said(lines, "en"), said(lines, "zh"), strict=False):
        print(json.dumps({"en": en, "zh": zh}, ensure_ascii=False), flush=True)


def said(lines: Lines, language: Language) -> list[str]:
    with spoken(language):
        return lines()


def facts(placement: Placement) -> list[str]:
    """What there is to compute with."""
    device, memory = placement.device, total(placement.device)
    name = processor() if device.type == "cpu" else accelerator(device)
    lines = [
        f"fromnoise {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}, "
        + platform.platform(terse=True),
        say("Computes on: {device} ({name}) in {dtype}", device=device, name=name, dtype=placement.dtype_name),
        say("Devices here: {devices}", devices=", ".join(available_devices())),
        say("Processor: {name}; cores: {cores}, threads in use: {threads}", name=processor(), cores=cores(),
            threads=torch.get_num_threads()),
        say("It multiplies fast with: {features}", features=", ".join(cpu_features())),
    ]  # fmt: skip
    if device.type == "cpu" and placement.dtype == torch.bfloat16:
        lines.append(say("Attention by a kernel built here: {answer}", answer=translated(kernels.told())))
    if memory is not None:
        lines.append(say("Memory for pictures: {size:.1f} GB", size=memory / GIGA))
    if device.type == "cpu" and busy():
        lines.append(say("The processor is busy with other programs: without them the times below would be shorter."))
    return lines


def verdict(cost: Cost, speeds: Speeds, placement: Placement, memory: int | None) -> str:
    """A line on one model family."""
    needed = demand(cost.facts, placement, cost.size, cost.size)
    wanted, least = needed.height(Plan(CALLS)), needed.least
    line = say(
        "  {model}, {size}x{size}: about {time}; takes {wanted:.1f} GB of memory, or {least:.1f} GB and more time",
        model=cost.label, size=cost.size, time=human(speeds.seconds(cost)), wanted=wanted / GIGA, least=least / GIGA,
    )  # fmt: skip
    return line + say(": too much here") if memory is not None and least > memory else line


def builtin_seconds(placement: Placement) -> float:
    """One picture with the built-in model, decoding included; loading and what happens only once are not."""
    model = library.load(BUILTIN, placement)
    recipe = fitted(Recipe.make(prompt="a red apple"), model.defaults)
    list(generate(model, [recipe.but(steps=WARM_UP_STEPS)]))
    began = time.perf_counter()
    list(generate(model, [recipe]))
    return time.perf_counter() - began


def human(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return say("{seconds:.1f} seconds", seconds=seconds)
    if seconds < 100:
        return say("{seconds:.0f} seconds", seconds=seconds)
    return say("{minutes:.0f} minutes", minutes=seconds / 60)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def busy() -> bool:
    """Whether other programs kept the processor from this one in the last minute (not known on Windows)."""
    return sys.platform != "win32" and os.getloadavg()[0] > cores() * BUSY


def processor() -> str:
    """Its name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """What PyTorch's kernels use here, and whether bfloat16 is fast."""
    features = [torch.backends.cpu.get_cpu_capability()]
    if torch.cpu._is_avx512_bf16_supported():
        features.append("AVX512-BF16")
    if torch.cpu._is_amx_tile_supported():
        features.append("AMX")
    return features


def accelerator(device: torch.device) -> str:
    """The name of a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.xpu.get_device_name(device)) if device.type == "xpu" else "Apple GPU"
