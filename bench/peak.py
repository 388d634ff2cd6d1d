"""The matrix peak of this machine: what its fastest matrix product reaches, to compare all else with."""

import time

import torch
from torch.nn import functional as F

PASSES = 8


@torch.inference_mode()
def matrix_peak(dtype: torch.dtype) -> float:
    """Floating-point operations a second, the best of some shapes that diffusion models have."""
    rows, shapes = 8192, ((320, 2560), (1280, 1280), (2048, 2048))
    return max(linear(rows, inner, outer, dtype) for inner, outer in shapes)


def linear(rows: int, inner: int, outer: int, dtype: torch.dtype) -> float:
    x, weight = torch.randn(rows, inner).to(dtype), torch.randn(outer, inner).to(dtype)
    best = float("inf")
    for _ in range(PASSES):
        began = time.perf_counter()
        F.linear(x, weight)
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * outer / best
