"""Where a model computes, in what numbers, and what of it stays in memory.

demand = footprint.demand(facts, placement, width, height)    # bytes, known before anything is loaded
plan = planned(demand, 2 << 30)                               # the loosest that fits into 2 GiB
"""

import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

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
    control: int = 0  # weights of control networks, which wait in their files where some of the U-Net's do

    def drawing(self, plan: Plan) -> int:
        """The most while the U-Net works."""
        return self._staying(plan) + round(plan.unet * self.unet) + 3 * self.largest + plan.calls * self.call

    def decoding(self, plan: Plan) -> int:
        """The most while the autoencoder works."""
        unet = 0 if plan.alone else round(plan.unet * self.unet)
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
        return math.ceil(self.height(TIGHTEST) / (1 - SLACK))


def usable(budget: int) -> int:
    """What of a budget can be planned with."""
    return round((1 - SLACK) * budget)


def planned(demand: Demand, budget: int, calls: int) -> Plan:
    """The loosest plan of at most `budget` bytes for `calls` network calls side by side; UserError if none is."""
    room = usable(budget)
    for plan in plans(calls):
        if demand.height(plan) <= room:
            return plan
        tight = replace(plan, unet=0.0)
        if plan.alone and demand.height(tight) <= room:
            return replace(tight, unet=(room - demand.drawing(tight)) / demand.unet)
    raise UserError(
        f"this picture needs {demand.least / 1e9:.1f} GB of memory at least, and there are {budget / 1e9:.1f} GB: "
        "choose a smaller --size"
    )


def plans(calls: int) -> Iterator[Plan]:
    """From the loosest on, with the whole U-Net; from the first that decodes without it on, parts of it may wait."""
    plan = Plan(calls)
    yield plan
    yield (plan := replace(plan, text=False))
    yield (plan := replace(plan, vae=False))
    yield (plan := replace(plan, alone=True))
    yield (plan := replace(plan, strips=True))  # which alone may change a last digit
    while plan.calls > 1:
        yield (plan := replace(plan, calls=plan.calls // 2))


def tighter(plan: Plan) -> Plan | None:
    """What to try after `plan` took too much memory; None where nothing is left to try."""
    if plan.calls > 1:
        return replace(plan, calls=plan.calls // 2)
    if not plan.strips:
        return replace(plan, text=False, vae=False, alone=True, strips=True)
    return replace(plan, unet=0.0) if plan.unet else None


def free(device: torch.device) -> int | None:
    """Bytes that could be taken on a device now; None where the system does not tell."""
    if device.type in ("cuda", "xpu"):
        return int(torch.get_device_module(device).mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    limits = [size for size in (system_free(), group_free()) if size is not None]
    return min(limits, default=None)


def system_free() -> int | None:
    """Linux tells."""
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) * 1024 if found else None
    return None


def group_free(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a control group (version 2) leaves, if it does not allow all; files in its cache can be dropped."""
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # none, or "max"
        return None
    return max(0, limit - used + (int(cached[1]) if cached else 0))


OPTIONS = (-4, -3, -1)  # glibc's M_MMAP_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
KEEPING = (  # what says so in the environment, and what is so otherwise
    ("MALLOC_MMAP_MAX_", "65536"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
)
RETURNED = 1 << 22  # bytes: pieces of this size go back to the system, smaller ones are used again


def tell_glibc(options: Sequence[tuple[int, int]], trim: bool = False) -> None:
    """Set options of its allocator; nothing with another library."""
    import ctypes

    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option, value in options:
            libc.mallopt(option, value)
        if trim:
            libc.malloc_trim(0)


def give_back() -> None:
    """Let glibc return freed memory to the system at once, whatever the environment asked; no other library can.

    What is kept for reuse, as `launch.py` asks, leaves gaps that come to a tenth and more of a small budget.
    """
    if sys.platform == "linux":
        tell_glibc(list(zip(OPTIONS, (1 << 16, RETURNED, RETURNED), strict=True)), trim=True)


def keep_again() -> None:
    """Let glibc keep freed memory as before `give_back`: as the environment asked, or as it does by itself."""
    if sys.platform == "linux":
        asked = (os.environ.get(name, default) for name, default in KEEPING)
        tell_glibc([(option, int(value)) for option, value in zip(OPTIONS, asked, strict=True)])


def release(device: torch.device) -> None:
    """Give what is free in torch's own pools back to the device."""
    if device.type == "cpu":
        give_back()
    else:
        torch.get_device_module(device).empty_cache()
