"""Where the bench works: a processor or a GPU, which works on while the program goes on and has memory of its own.

device = Device("cuda")
with device.watched() as taken:
    work()
    device.synchronise()
taken.most      # bytes of the device's memory; 0 for a processor, whose memory is the process's
"""

import math
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

SPAN = 0.5  # seconds that a GPU works before the clock is looked at again: one step is over in milliseconds
MOST = 200  # works in that time
WARM_UPS = 3  # graphs are recorded at the second call, compilers and cuDNN choose at the first


@dataclass
class Taken:
    """Bytes of a device's memory at most."""

    most: int = 0


@dataclass(frozen=True)
class Device:
    """One that PyTorch knows by this name."""

    name: str = "cpu"

    @property
    def where(self) -> torch.device:
        return torch.device(self.name)

    @property
    def own(self) -> Any:
        """PyTorch's module for it; None for a processor."""
        kind = self.where.type
        return None if kind == "cpu" else torch.get_device_module(kind)

    @property
    def at(self) -> tuple[torch.device, ...]:
        """Which of several; Apple's module knows but one."""
        return () if self.where.type == "mps" else (self.where,)

    def synchronise(self) -> None:
        """Until all is done that it was given."""
        if self.own is not None:
            self.own.synchronize(*self.at)

    @contextmanager
    def watched(self) -> Iterator[Taken]:
        """How much of its memory is taken inside, by this process."""
        taken, counts = Taken(), hasattr(self.own, "max_memory_allocated")
        if counts:
            self.own.reset_peak_memory_stats(*self.at)
        yield taken
        if counts:
            taken.most = int(self.own.max_memory_allocated(*self.at))

    @property
    def warm_ups(self) -> int:
        """Works before the first that is timed, beside that of the round that does not count."""
        return 0 if self.own is None else WARM_UPS

    def repeats(self, seconds: float) -> int:
        """How many works of that length are timed together."""
        return 1 if self.own is None else max(1, min(MOST, math.ceil(SPAN / max(seconds, 1e-6))))

    @property
    def machine(self) -> str:
        """What figures depend on: processor, cores in use, the device with its driver, torch."""
        from fromnoise.cli.doctor import cpu_features, processor

        here = [processor(), f"{torch.get_num_threads()} threads", ", ".join(cpu_features())]
        if self.own is not None:
            here = [self.label, driver(), *here[:1]]
        return ", ".join([*here, platform.system(), f"torch {torch.__version__}"])

    @property
    def label(self) -> str:
        """What it calls itself."""
        name = getattr(self.own, "get_device_name", None)
        return str(name(self.where)) if name is not None else self.name


def driver() -> str:
    """Its version, as NVIDIA's and AMD's tools tell."""
    if torch.version.hip is not None:
        return f"ROCm {torch.version.hip}"
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return f"driver {told.stdout.split()[0]}, CUDA {torch.version.cuda}"
    return "driver unknown"
