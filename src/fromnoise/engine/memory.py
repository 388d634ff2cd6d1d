"""Where a model computes, in what numbers, and what of it stays in memory.

demand = footprint.demand(facts, placement, width, height)    # bytes, known before anything is loaded
plan = planned(demand, 2 << 30)                               # the loosest that fits into 2 GiB
"""

import ctypes
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fromnoise.allocator import give_back
from fromnoise.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """A device and the dtype that networks compute in there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def channels_last(self) -> bool:
        """Convolutions are faster with the channels innermost nearly everywhere; Apple's backend gains nothing."""
        return self.device.type != "mps"

    def bring(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor to where networks compute; nothing waits for a GPU to take it."""
        return tensor.to(self.device, dtype, non_blocking=self.device.type == "cuda")

    def hold(self, tensor: Tensor) -> Tensor:
        """Latents, or what meets them, to where they stay from the first step to the last: with the networks, but that
        Apple's and Intel's GPUs lack float64 and other things that some guides and samplers use."""
        return tensor.cpu() if self.device.type in ("mps", "xpu") else self.bring(tensor)


def place(device: str | None = None, dtype: str | None = None) -> Placement:
    """The best device of this machine, or the given one; and its best dtype, or the given one."""
    where = named_device(device) if device else best_device()
    if dtype is None:
        return Placement(where, best_dtype(where))
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    return Placement(where, DTYPES[dtype])


def available_devices() -> list[str]:
    """The devices that this PyTorch can use, best first. CUDA is also ROCm's name."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.xpu.is_available():
        found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def best_device() -> torch.device:
    return torch.device(available_devices()[0])


def named_device(name: str) -> torch.device:
    """The device of that name; UserError where this machine has none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    known = available_devices()
    if device is None or not any(k == name or k.split(":")[0] == name for k in known):
        raise UserError(f"no device {name!r} here; this machine has {', '.join(known)}")
    return device


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it fast, float16 on older GPUs, float32 on other processors."""
    if device.type == "cpu":
        return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "xpu" else torch.float16


def cpu_multiplies_bfloat16() -> bool:
    """Whether this processor has AMX or AVX512-BF16; without them bfloat16 is slower than float32."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def vae_dtype(dtype: torch.dtype) -> torch.dtype:
    """What an autoencoder may have to work in: float16 overflows in SDXL's, which then takes float32."""
    return torch.float32 if dtype == torch.float16 else dtype


ANY = 1 << 16
SLACK = 0.05  # of a budget: what lies between pieces of memory in use
BELOW_ALL = 0.999  # of the U-Net: as much as stays where what goes with it waits in the files


@dataclass(frozen=True)
class Plan:
    """What stays in memory, ready to compute with.

    The rest waits in the files' memory maps and is made ready whenever it is used: the same numbers, more slowly.
    """

    calls: int = ANY  # of the network in one batch, at most
    unet: float = 1.0  # part of the U-Net's weights that stays
    text: bool = True  # the text encoders stay
    vae: bool = True  # the autoencoder stays
    alone: bool = False  # the autoencoder works without the U-Net's weights in memory
    strips: bool = False  # the autoencoder takes pictures of any size strip by strip
    away: bool = False  # the autoencoder works on the processor, in float32


WAITING = Plan(unet=0.0, text=False, vae=False)  # until it is known for what
TIGHTEST = Plan(1, 0.0, text=False, vae=False, alone=True, strips=True)


@dataclass(frozen=True)
class Demand:
    """Bytes that a model takes at work on pictures of one size."""

    unet: int  # weights, in the numbers that they compute in
    text: int
    vae: int
    largest: int  # of these weights, which is there three times while it is made ready: cast, laid out, and packed
    call: int  # one call of the U-Net
    whole: int  # the autoencoder on a whole picture: decoding takes more than encoding
    strips: int  # and strip by strip
    base: int  # the program itself
    two: bool = False  # memories: the processor has another than the device
    control: int = 0  # weights of control networks, which wait in their files where some of the U-Net's do

    def drawing(self, plan: Plan) -> int:
        """The most while the U-Net works."""
        return self._staying(plan) + round(plan.unet * self.unet) + 3 * self.largest + plan.calls * self.call

    def decoding(self, plan: Plan) -> int:
        """The most while the autoencoder works."""
        unet = 0 if plan.alone and not plan.away else round(plan.unet * self.unet)
        if plan.away:
            return self._staying(plan) + unet
        return self._staying(plan) + unet + (self.strips if plan.strips else self.whole)

    def _staying(self, plan: Plan) -> int:
        control = self.control if plan.unet == 1 else 0
        return self.base + control + plan.text * self.text + plan.vae * self.vae

    @property
    def weights(self) -> int:
        """Of all parts."""
        return self.unet + self.text + self.vae + self.control

    def height(self, plan: Plan) -> int:
        return max(self.drawing(plan), self.decoding(plan))

    @property
    def least(self) -> int:
        """The smallest budget that does."""
        return math.ceil(self.height(replace(TIGHTEST, away=self.two)) / (1 - SLACK))


def usable(budget: int) -> int:
    """What of a budget can be planned with."""
    return round((1 - SLACK) * budget)


def planned(demand: Demand, budget: int, calls: int) -> Plan:
    """The loosest plan of at most `budget` bytes for `calls` network calls side by side; UserError if none is."""
    room = usable(budget)
    for plan in plans(calls, demand.two):
        if demand.height(plan) <= room:
            return plan
        tight = replace(plan, unet=0.0)
        if plan.alone and demand.height(tight) <= room:
            return replace(tight, unet=min(BELOW_ALL, (room - demand.drawing(tight)) / demand.unet))
    raise UserError(
        f"this picture needs {demand.least / 1e9:.1f} GB of memory at least, and there are {budget / 1e9:.1f} GB: "
        "choose a smaller --size"
    )


def plans(calls: int, two: bool = False) -> Iterator[Plan]:
    """From the loosest on, with the whole U-Net; from the first that decodes without it on, parts of it may wait.

    `two`: the processor has memory of its own, and may do the autoencoder's work.
    """
    plan = Plan(calls)
    yield plan
    yield (plan := replace(plan, text=False))
    yield (plan := replace(plan, vae=False))
    yield (plan := replace(plan, alone=True))
    yield (plan := replace(plan, strips=True))  # which alone may change a last digit
    for away in (False, True) if two else (False,):
        plan = replace(plan, calls=calls, away=away)
        if away:
            yield plan
        while plan.calls > 1:
            yield (plan := replace(plan, calls=plan.calls // 2))


def tighter(plan: Plan, two: bool = False) -> Plan | None:
    """What to try after `plan` took too much memory; None where nothing is left to try."""
    if plan.calls > 1:
        return replace(plan, calls=plan.calls // 2)
    if not plan.strips:
        return replace(plan, text=False, vae=False, alone=True, strips=True)
    if plan.unet:
        return replace(plan, unet=0.0)
    return replace(plan, away=True) if two and not plan.away else None


def free(device: torch.device) -> int | None:
    """Bytes that can be taken on a device now, with what torch keeps for reuse; None where the system does not tell."""
    if device.type in ("cuda", "xpu"):
        module = torch.get_device_module(device)
        return int(module.mem_get_info(device)[0] + module.memory_reserved(device) - module.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    limits = [size for size in (system_free(), group_free()) if size is not None]
    return min(limits, default=None)


def total(device: torch.device) -> int | None:
    """Bytes that a device has in all; None where the system does not tell."""
    if device.type in ("cuda", "xpu"):
        return int(torch.get_device_module(device).get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return min((size for size in (system_total(), group_limit()) if size is not None), default=None)


def system_total() -> int | None:
    with suppress(OSError, ValueError, AttributeError):
        if sys.platform == "win32":
            status = windows_memory(ctypes.windll.kernel32)
            return None if status is None else int(status.total)
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def system_free() -> int | None:
    """What the system tells, with files in its cache, which can be dropped."""
    with suppress(OSError, subprocess.SubprocessError, AttributeError):
        if sys.platform == "win32":
            status = windows_memory(ctypes.windll.kernel32)  # what can be had without writing others' out
            return None if status is None else int(status.free)
        if sys.platform == "darwin":
            told = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=5, check=True)
            return free_pages(told.stdout)
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) * 1024 if found else None
    return None


class MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "total_paged", "free_paged")),
        *((name, ctypes.c_uint64) for name in ("total_virtual", "free_virtual", "free_extended")),
    )


def windows_memory(kernel: Any) -> MemoryStatus | None:
    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    return status if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def free_pages(told: str) -> int | None:
    """Bytes that macOS's `vm_stat` tells of: pages that are free, and those that can be had at once."""
    size = re.search(r"page size of (\d+) bytes", told)
    pages = re.findall(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)\.", told, re.MULTILINE)
    return int(size[1]) * sum(map(int, pages)) if size and pages else None


GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60  # bytes: as much and more is version 1's way of allowing all


def group_free(root: Path = GROUPS, own: Path = OWN_GROUP) -> int | None:
    """What control groups leave."""
    found = (left_by(group, names) for group, names in groups(root, own))
    return min((size for size in found if size is not None), default=None)


def group_limit(root: Path = GROUPS, own: Path = OWN_GROUP) -> int | None:
    """What control groups allow in all."""
    found = (allowed_by(group / names[0]) for group, names in groups(root, own))
    return min((size for size in found if size is not None), default=None)


def groups(root: Path, own: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Control groups: the program's own, as `own` names it, and those around it; and files of both versions."""
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    found = {root, root / "memory"}
    for _, kinds, name in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        top = root if not kinds else root / "memory"
        if not kinds or "memory" in kinds.split(","):
            found.update(top.joinpath(*Path(name).parts[1:depth]) for depth in range(1, len(Path(name).parts) + 1))
    yield from product(sorted(found), (VERSION_2, VERSION_1))


VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def allowed_by(limit: Path) -> int | None:
    """Bytes that a file of a control group names as its limit; None where it allows all."""
    try:
        size = int(limit.read_text())
    except (OSError, ValueError):  # none, or "max"
        return None
    return size if size < NO_LIMIT else None


def left_by(group: Path, names: tuple[str, str, str] = VERSION_2) -> int | None:
    """What one group leaves, if it does not allow all; files in its cache can be dropped."""
    limit = allowed_by(group / names[0])
    if limit is None:
        return None
    try:
        used = int((group / names[1]).read_text())
        cached = re.search(rf"^{names[2]} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return max(0, limit - used + (int(cached[1]) if cached else 0))


def wait(device: torch.device) -> None:
    """Until a GPU has done what this thread's stream was given."""
    if device.type in ("cuda", "xpu"):
        torch.get_device_module(device).current_stream(device).synchronize()


def release(device: torch.device) -> None:
    """Give what is free in torch's own pools back to the device."""
    if device.type == "cpu":
        give_back()
    else:
        torch.get_device_module(device).empty_cache()
