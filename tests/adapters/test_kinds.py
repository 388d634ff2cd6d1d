"""Every kind of LoRA makes of a weight what LyCORIS makes of it."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.adapters.weight_adapter import WeightAdapter, read_slots

LINEAR, CONV = (24, 16), (24, 16, 3, 3)
STRENGTH = 0.7
GOLDEN: dict[str, tuple[tuple[int, ...], dict[str, tuple[int, ...]], float]] = {  # weight, factors, alpha
    "lora_lin": (LINEAR, {"lora_up.weight": (24, 4), "lora_down.weight": (4, 16)}, 2),
    "lora_conv": (CONV, {"lora_up.weight": (24, 4, 1, 1), "lora_down.weight": (4, 16, 3, 3)}, 4),
    "locon_mid": (
        CONV,
        {"lora_up.weight": (24, 4, 1, 1), "lora_down.weight": (4, 16, 1, 1), "lora_mid.weight": (4, 4, 3, 3)},
        4,
    ),
    "loha": (LINEAR, {"hada_w1_a": (24, 4), "hada_w1_b": (4, 16), "hada_w2_a": (24, 4), "hada_w2_b": (4, 16)}, 2),
    "lokr_full": (LINEAR, {"lokr_w1": (4, 4), "lokr_w2": (6, 4)}, 2),
    "dora_out": (LINEAR, {"lora_up.weight": (24, 4), "lora_down.weight": (4, 16), "dora_scale": (24, 1)}, 2),
    "oft": (LINEAR, {"oft_blocks": (6, 4, 4)}, 0),
}


def number(key: str, shape: tuple[int, ...]) -> Tensor:
    """The golden files' tensors are functions of their names."""
    n = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(n / np.float32(np.sqrt(np.prod(shape[1:]))))


def golden_adapter(name: str) -> tuple[WeightAdapter, Tensor]:
    shape, factors, alpha = GOLDEN[name]
    slots = {key.removesuffix(".weight"): number(f"{name}/k.{key}", size) for key, size in factors.items()}
    (adapter,), left = read_slots({**slots, "alpha": torch.tensor(float(alpha))})
    assert left == []
    return adapter, number(f"base/{shape}", shape)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(golden: Callable[[str], Path], name: str) -> None:
    numbers = np.load(golden("adapters/lycoris.npz"))
    adapter, weight = golden_adapter(name)
    torch.testing.assert_close(adapter.merged(weight, STRENGTH), torch.from_numpy(numbers[name]), atol=1e-6, rtol=1e-5)


def test_dora_at_full_strength_has_the_lengths_it_learned(golden: Callable[[str], Path]) -> None:
    adapter, weight = golden_adapter("dora_out")
    wanted = torch.from_numpy(np.load(golden("adapters/lycoris.npz"))["dora_out/strength1"])
    torch.testing.assert_close(adapter.merged(weight), wanted, atol=1e-6, rtol=1e-5)
