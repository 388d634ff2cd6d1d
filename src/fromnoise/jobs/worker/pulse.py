"""What a worker tells of itself, now and then: its device, the memory there, the models that it holds."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from fromnoise.engine.memory import Placement
from fromnoise.jobs.worker import extensions
from fromnoise.jobs.worker.easel import Easel


def told(placement: Placement, easel: Easel | None = None) -> dict[str, Any]:
    """A table for `workers.info`."""
    models = easel.affinity.split("\n") if easel is not None and easel.affinity else []
    return {
        "dtype": placement.dtype_name, "name": name(placement.device), "torch": torch.__version__,
        "threads": torch.get_num_threads() if placement.device.type == "cpu" else None,
        "extensions": extensions.told() if easel is not None else None,
        "models": [Path(model).name for model in models if model], **memory(placement.device),
    }  # fmt: skip


def name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    return "Apple GPU" if device.type == "mps" else platform.processor() or platform.machine()


def memory(device: torch.device) -> dict[str, int | None]:
    """Bytes: of the device, free there, and those of this process."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return {"memory": total, "free": free, "used": torch.cuda.memory_reserved(device)}
    try:
        pages = Path("/proc/self/statm").read_text().split()
        page = os.sysconf("SC_PAGE_SIZE")
        return {"memory": os.sysconf("SC_PHYS_PAGES") * page, "free": None, "used": int(pages[1]) * page}
    except (OSError, ValueError, AttributeError, IndexError):
        return {"memory": None, "free": None, "used": None}
