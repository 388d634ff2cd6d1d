"""Products of 8-bit integers: near the exact ones, the same in any company, gone afterwards."""

import pytest
import torch
from torch import Tensor, nn

from fromnoise.nn import int8
from fromnoise.nn.int8 import Int8
from fromnoise.nn.ops import Conv2d, Linear, replacing
from fromnoise.nn.unet import UNet
from tests.tiny import filled, unet_config

pytestmark = pytest.mark.skipif(not int8.is_there(), reason="no 8-bit products here")


@pytest.fixture(autouse=True)
def _all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a layer is."""
    monkeypatch.setattr(int8, "FEW", 0)
    monkeypatch.setattr(int8, "NARROW", 1)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def levels(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The nearest of 255 levels."""
    scale = x.abs().amax(dim=dims, keepdim=True) / 127
    return (x.double() / scale).add(0.5).floor() * scale


def rounded(weight: Tensor) -> Tensor:
    scale = weight.flatten(1).abs().amax(dim=1).view(-1, *[1] * (weight.ndim - 1)) / 127
    return (weight / scale).round().double() * scale


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_linear_layer_by_its_definition(bias: bool) -> None:
    layer = filled(Linear(48, 80, bias=bias), torch.Generator().manual_seed(0))
    x = random(2, 9, 48) * torch.logspace(-3, 3, 9)[:, None]  # tokens of all sizes
    with Int8().applied(nn.Sequential(layer)):
        made = layer(x)
    wanted = levels(x, (-1,)) @ rounded(layer.weight).T + (layer.bias.double() if bias else 0)
    assert float((made - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())
    assert float((made - layer(x)).norm() / layer(x).norm()) < 0.02


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0)])
@torch.inference_mode()
def test_a_convolution_by_its_definition(kernel: int, stride: int, padding: int) -> None:
    layer = filled(Conv2d(32, 48, kernel, stride=stride, padding=padding), torch.Generator().manual_seed(0))
    x = random(2, 32, 10, 12) * torch.tensor([1.0, 100.0]).view(2, 1, 1, 1)
    for shown in (x, x.contiguous(memory_format=torch.channels_last)):
        with Int8().applied(nn.Sequential(layer)):
            made = layer(shown)
        wanted = torch.nn.functional.conv2d(
            levels(x, (1, 2, 3)), rounded(layer.weight), layer.bias.double(), stride=stride, padding=padding
        )
        assert float((made - wanted).abs().max()) <= 1e-6 * float(wanted.abs().max())


def asked(unet: UNet, rows: slice) -> tuple[Tensor, ...]:
    config = unet.config
    return (
        random(3, config.in_channels, 8, 8)[rows],
        torch.tensor([500, 20, 900])[rows],
        random(3, 7, config.context_dim)[rows],
    )


@torch.inference_mode()
def test_a_network_is_near_itself_and_as_before_afterwards() -> None:
    unet = filled(UNet(unet_config("sd1")), torch.Generator().manual_seed(0))
    exact = unet(*asked(unet, slice(None)))
    with Int8().applied(unet):
        near = unet(*asked(unet, slice(None)))
        alone = unet(*asked(unet, slice(1, 2)))
    assert 1e-4 < float((near - exact).norm() / exact.norm()) < 0.1
    assert float((alone - near[1:2]).norm() / near[1:2].norm()) < 5e-3  # float32's last bits can move a level
    assert torch.equal(unet(*asked(unet, slice(None))), exact)


@torch.inference_mode()
def test_other_weights_are_rounded_anew() -> None:
    network = nn.Sequential(filled(Linear(64, 64), torch.Generator().manual_seed(0)))
    x, other = random(5, 64), random(64, 64, seed=5)
    with Int8().applied(network):
        before = network(x)
        with replacing(network, {"0.weight": other}):
            changed = network(x)
        assert torch.equal(network(x), before)
    with replacing(network, {"0.weight": other}):
        assert float((changed - network(x)).norm() / network(x).norm()) < 0.02


@torch.inference_mode()
def test_integers_go_with_their_weights() -> None:
    network, before = nn.Sequential(filled(Linear(64, 64), torch.Generator().manual_seed(0))), len(int8.ROUNDED.kept)
    x, other = random(5, 64), random(64, 64, seed=5)
    with Int8().applied(network):
        wanted = network(x)
        with replacing(network, {"0.weight": other}):
            network(x)
        assert len(int8.ROUNDED.kept) == before + 2
        del other
        assert len(int8.ROUNDED.kept) == before + 1
        network[0].waits = True
        network[0].weight = nn.Parameter(network[0].weight.clone(), requires_grad=False)
        assert torch.equal(network(x), wanted)
    assert len(int8.ROUNDED.kept) == before, "nothing is kept of weights that wait"


@torch.inference_mode()
def test_integers_are_kept_once() -> None:
    layer = filled(Linear(64, 96), torch.Generator().manual_seed(0))
    with Int8().applied(nn.Sequential(layer)):
        layer(random(5, 64))
    there = int8.ROUNDED(layer.weight)
    held = [value for value in vars(there).values() if isinstance(value, Tensor)]
    assert [len(there.packed), sum(tensor.numel() for tensor in held)] == [1, 96]


@torch.inference_mode()
@pytest.mark.parametrize("count", [64, 65])
def test_whether_a_product_is_rounded_does_not_depend_on_company(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Near the bound, for tokens of a linear layer and places of a convolution."""
    generator = torch.Generator().manual_seed(0)
    tokens, places = random(3, count, 64), random(3, 64, 8, 8)
    network, image = filled(Linear(64, 64), generator), filled(Conv2d(64, 64, 3, padding=1), generator)
    for layer, x, each in ((network, tokens, 64 * 64 * 65), (image, places, 64 * 64 * 9 * 64 * count // 64)):
        monkeypatch.setattr(int8, "FEW", each)
        with Int8().applied(nn.Sequential(layer)):
            together, alone = layer(x), torch.cat([layer(one) for one in x.split(1)])
        off = [float((made - layer(x)).abs().max()) > 1e-3 for made in (together, alone)]
        assert off == [(count == 65) == (layer is network)] * 2


@torch.inference_mode()
def test_small_products_and_narrow_layers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = filled(Linear(64, 64), torch.Generator().manual_seed(0)), random(5, 64)
    exact = layer(x)
    for name, value in (("FEW", 1 << 20), ("NARROW", 65)):
        with monkeypatch.context() as patch:
            patch.setattr(int8, name, value)
            with Int8().applied(nn.Sequential(layer)):
                assert torch.equal(layer(x), exact)
