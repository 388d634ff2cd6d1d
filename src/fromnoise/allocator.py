"""glibc's allocator: whether it keeps freed memory for reuse, or returns it. With other libraries nothing happens.

A U-Net's large temporaries, mapped anew at each call, cost 12% of a step and 36% of a decode on two cores.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

GLIBC_KEEPS_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(32 << 30)}  # as launch.py has it
OPTIONS = (-4, -3, -1)  # glibc's M_MMAP_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
KEEPING = (  # what says so in the environment, and what is so otherwise: where glibc's own adjustment ends
    ("MALLOC_MMAP_MAX_", 1 << 16),
    ("MALLOC_MMAP_THRESHOLD_", 1 << 25),
    ("MALLOC_TRIM_THRESHOLD_", 1 << 26),
)
LARGEST = (1 << 31) - 1  # that it can be told while it runs
NEVER = -1  # what more than that comes to, for a threshold
RETURNED = 1 << 22  # bytes: pieces of this size go back to the system, smaller ones are used again


def tell_glibc(options: Sequence[tuple[int, int]], trim: bool = False) -> None:
    """Set options of its allocator; nothing with another library."""
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
        asked = (os.environ.get(name, "") for name, _ in KEEPING)
        values = [int(said) if said.isdecimal() else usual for said, (_, usual) in zip(asked, KEEPING, strict=True)]
        tell_glibc(
            [(option, value if value <= LARGEST else NEVER) for option, value in zip(OPTIONS, values, strict=True)]
        )


def keep_freed() -> None:
    """Let glibc keep freed memory for reuse, as `launch.py` asks by the environment; what is set there stays."""
    for name, value in GLIBC_KEEPS_MEMORY.items():
        os.environ.setdefault(name, value)
    keep_again()


def trim() -> None:
    """Return what glibc keeps of freed memory to the system, once."""
    if sys.platform == "linux":
        tell_glibc((), trim=True)
