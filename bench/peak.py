"""The matrix peak of this machine: what its fastest matrix product reaches, to compare all else with."""

import time

import torch
from torch.nn import functional as F

from bench.devices import Device

PASSES = 8
ROWS = 8192
SHAPES = ((320, 2560), (1280, 1280), (2048, 2048))  # inner and outer, as diffusion models have them
LARGE = (*SHAPES, (4096, 4096), (8192, 8192))  # a GPU is not filled by less
TOGETHER = 20  # products that a GPU is timed over


@torch.inference_mode()
def matrix_peak(dtype: torch.dtype, device: Device | None = None) -> float:
    """Floating-point operations a second, the best of some shapes."""
    device = device or Device()
    shapes, together = (SHAPES, 1) if device.own is None else (LARGE, TOGETHER)
    return max(linear(ROWS, inner, outer, dtype, device, together) for inner, outer in shapes)


def linear(rows: int, inner: int, outer: int, dtype: torch.dtype, device: Device, together: int) -> float:
    x, weight = torch.randn(rows, inner).to(device.where, dtype), torch.randn(outer, inner).to(device.where, dtype)
    best = float("inf")
    for _ in range(PASSES):
        device.synchronise()
        began = time.perf_counter()
        for _ in range(together):
            F.linear(x, weight)
        device.synchronise()
        best = min(best, (time.perf_counter() - began) / together)
    return 2 * rows * inner * outer / best
