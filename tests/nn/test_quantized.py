"""Packed weights behave like weights: layers unpack them at use, everything else when it computes with them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fromnoise.nn import ops
from fromnoise.nn.quantized import SCALED_FLOAT8, Quantized, Scheme

PAIRS = Scheme("pairs", lambda blocks: torch.stack((blocks & 15, blocks >> 4), -1).float() - 8, block=2)


def packed(*shape: int, dtype: torch.dtype = torch.float16) -> tuple[Quantized, Tensor]:
    """A weight of two numbers to a byte, and what it unpacks to, float32."""
    size = torch.Size(shape).numel()
    blocks = torch.randint(0, 256, (size // 2, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    plain = torch.stack((blocks & 15, blocks >> 4), -1).float().sub(8).reshape(shape)
    return Quantized(PAIRS, (blocks,), shape, dtype), plain


def test_it_looks_like_a_weight() -> None:
    weight, plain = packed(6, 4)
    assert (weight.shape, weight.dtype, weight.ndim, weight.numel()) == (plain.shape, torch.float16, 2, 24)
    assert weight.is_floating_point()
    assert weight.unpacked(dtype=torch.float32).equal(plain)
    assert repr(weight) == "Quantized(pairs, (6, 4), torch.float16, cpu)"


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    ("layer", "shape", "x"),
    [
        (ops.Linear(4, 6), (6, 4), torch.randn(3, 4)),
        (ops.Conv2d(4, 6, 3), (6, 4, 3, 3), torch.randn(2, 4, 5, 5)),
        (ops.Embedding(6, 4), (6, 4), torch.tensor([[0, 5], [2, 2]])),
        (ops.Embedding(6, 3), (6, 3), torch.tensor([[0, 5], [2, 2]])),
    ],
)
def test_layers(layer: nn.Module, shape: tuple[int, ...], x: Tensor, inference: bool) -> None:
    """They answer as with the unpacked weight, and the weight stays packed."""
    weight, plain = packed(*shape, dtype=torch.float32)
    state: dict[str, Tensor] = dict(layer.state_dict()) | {"bias": torch.ones(shape[0])}
    state = {name: state[name] for name in layer.state_dict()}
    layer.requires_grad_(False)
    layer.load_state_dict({**state, "weight": plain}, assign=True)
    expected = layer(x)
    layer.load_state_dict({**state, "weight": weight}, assign=True)
    with torch.inference_mode(inference):
        assert layer(x).equal(expected)
    assert isinstance(layer.weight, Quantized)
    assert isinstance(layer.weight, nn.Parameter)
    assert isinstance(layer.state_dict()["weight"], Quantized)


def test_patches_see_numbers() -> None:
    weight, plain = packed(6, 4)
    layer = ops.Linear(4, 6, bias=False).requires_grad_(False)
    layer.load_state_dict({"weight": weight}, assign=True)
    x = torch.randn(2, 4)
    with ops.patching(layer_in := nn.Sequential(layer), {"0.weight": [lambda w: w + 1]}):
        torch.testing.assert_close(layer_in(x), x @ (plain + 1).T)
    torch.testing.assert_close(layer_in(x), x @ plain.T)


def test_moving_and_converting() -> None:
    weight, plain = packed(6, 4)
    assert isinstance(weight.to("cpu"), Quantized)
    assert isinstance(weight.detach(), Quantized)
    assert weight.packed(dtype=torch.bfloat16).dtype == torch.bfloat16
    meta = weight.to("meta")
    assert isinstance(meta, Quantized)
    assert meta.stored[0].is_meta
    converted: Any = weight.to(torch.float64)
    assert type(converted) is Tensor
    assert converted.equal(plain.double())


def test_whatever_computes_with_it_unpacks_it() -> None:
    weight, plain = packed(6, 4, dtype=torch.float32)
    for ours, theirs in (
        (weight + 1, plain + 1),
        (1 - weight, 1 - plain),
        (weight.chunk(3)[1], plain.chunk(3)[1]),
        (weight.T, plain.T),
        (torch.cat((weight, plain)), torch.cat((plain, plain))),
        (weight[:, 1:3], plain[:, 1:3]),
        (weight.flatten(), plain.flatten()),
    ):
        assert type(ours) is Tensor
        assert ours.equal(theirs)


@pytest.mark.parametrize("scale", [torch.tensor(0.5), torch.tensor([0.5]), torch.tensor([[1.0], [2.0], [0.5]])])
def test_scaled_float8(scale: Tensor) -> None:
    numbers = torch.randn(3, 4).to(torch.float8_e4m3fn)
    weight = Quantized(SCALED_FLOAT8, (numbers, scale), (3, 4), torch.bfloat16)
    assert weight.unpacked(dtype=torch.float32).equal(numbers.float() * scale)
    assert weight.unpacked().dtype == torch.bfloat16
    assert weight.rows(torch.tensor([2, 0])).equal(weight.unpacked()[[2, 0]])
