"""Products of 8-bit floats: near the exact ones, the same in any company, gone afterwards."""

import pytest
import torch
from torch import Tensor, nn

from fromnoise.nn import fp8
from fromnoise.nn.fp8 import Fp8
from fromnoise.nn.ops import Linear, replacing
from fromnoise.nn.unet import UNet
from tests.nn.test_int8 import asked, random
from tests.tiny import filled, unet_config


@pytest.fixture(autouse=True)
def _all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a layer is."""
    monkeypatch.setattr(fp8, "FEW", 0)
    monkeypatch.setattr(fp8, "NARROW", 16)


def rounded(rows: Tensor) -> Tensor:
    """To three bits of mantissa, by hand, with the largest number of each row at 448; numbers below 2^-6 are even."""
    scales = rows.abs().amax(dim=-1, keepdim=True).double() / 448
    numbers = (rows.float() / scales.float()).double()
    exponents = numbers.abs().clamp_min(2.0**-6).log2().floor()
    steps = 2.0 ** (exponents - 3)
    return (numbers / steps).round() * steps * scales


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_linear_layer_by_its_definition(bias: bool) -> None:
    layer = filled(Linear(48, 80, bias=bias), torch.Generator().manual_seed(0))
    x = random(2, 9, 48) * torch.logspace(-3, 3, 9)[:, None]  # tokens of all sizes
    with Fp8().applied(nn.Sequential(layer)):
        made = layer(x)
        torch.testing.assert_close(layer(x[1:]), made[1:], rtol=1e-6, atol=0)  # whatever the company
    wanted = rounded(x) @ rounded(layer.weight).T + (layer.bias.double() if bias else 0)
    assert made.shape == (2, 9, 80)
    assert float((made - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())
    assert float((made - layer(x)).norm() / layer(x).norm()) < 0.05


@torch.inference_mode()
def test_in_bfloat16_it_is_as_near() -> None:
    layer = filled(Linear(64, 96), torch.Generator().manual_seed(0)).bfloat16()
    x = random(7, 64).bfloat16()
    with Fp8().applied(nn.Sequential(layer)):
        made = layer(x)
    wanted = rounded(x.float()) @ rounded(layer.weight.float()).T + layer.bias.double()
    assert made.dtype == torch.bfloat16
    assert float((made - wanted).norm() / wanted.norm()) < 5e-3


@torch.inference_mode()
def test_a_network_is_near_itself_and_as_before_afterwards() -> None:
    unet = filled(UNet(unet_config("sd1")), torch.Generator().manual_seed(0))
    exact = unet(*asked(unet, slice(None)))
    with Fp8().applied(unet):
        near = unet(*asked(unet, slice(None)))
    assert 1e-4 < float((near - exact).norm() / exact.norm()) < 0.1
    assert torch.equal(unet(*asked(unet, slice(None))), exact)


@torch.inference_mode()
def test_other_weights_are_rounded_anew() -> None:
    network = nn.Sequential(filled(Linear(64, 64), torch.Generator().manual_seed(0)))
    x, other = random(5, 64), random(64, 64, seed=5)
    with Fp8().applied(network):
        before = network(x)
        with replacing(network, {"0.weight": other}):
            changed = network(x)
        assert torch.equal(network(x), before)
    with replacing(network, {"0.weight": other}):
        assert float((changed - network(x)).norm() / network(x).norm()) < 0.05


@torch.inference_mode()
def test_numbers_go_with_their_weights() -> None:
    network, before = nn.Sequential(filled(Linear(64, 64), torch.Generator().manual_seed(0))), len(fp8.ROUNDED.kept)
    x = random(5, 64)
    with Fp8().applied(network):
        wanted = network(x)
        assert len(fp8.ROUNDED.kept) == before + 1
        network[0].waits = True
        network[0].weight = nn.Parameter(network[0].weight.clone(), requires_grad=False)
        assert torch.equal(network(x), wanted)
    assert len(fp8.ROUNDED.kept) == before, "nothing is kept of weights that wait"


def test_rows_lie_one_after_the_other() -> None:
    """As GPUs' kernels want them: group norms there leave tokens whose channels lie apart."""
    image = random(1, 16, 4, 8)
    levels, scales = fp8.in_float8(image.permute(0, 2, 3, 1).flatten(1, 2).flatten(0, -2))
    assert levels.is_contiguous()
    torch.testing.assert_close(levels.float() * scales, image[0].flatten(1).T, rtol=0.07, atol=1e-3)


@torch.inference_mode()
def test_few_tokens_and_narrow_layers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for sides, name, value in (((64, 64), "FEW", 6), ((64, 64), "NARROW", 65), ((64, 72), "MULTIPLE", 16)):
        layer, x = filled(Linear(*sides), torch.Generator().manual_seed(0)), random(5, 64)
        plain = layer(x)
        with monkeypatch.context() as patch:
            patch.setattr(fp8, name, value)
            with Fp8().applied(nn.Sequential(layer)):
                assert torch.equal(layer(x), plain)


def test_processors_have_none_that_is_faster() -> None:
    assert not fp8.is_there(torch.device("cpu"))
