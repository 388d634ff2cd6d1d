"""What the networks promise beyond the numbers of one call: dtypes, batches, patches, control, odd sizes."""

import math
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch
from torch import Tensor

from fromnoise.nn import ops
from fromnoise.nn import unet as unets
from fromnoise.nn.ops import (
    Conv2d,
    GroupNorm,
    LayerNorm,
    Linear,
    attention,
    fused_attention,
    image_from,
    is_summed,
    merged,
    of_doubled,
    patching,
    replacing,
    tokens_from,
)
from fromnoise.nn.unet import UNet, timestep_embedding
from tests import tiny


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def unet() -> UNet:
    return tiny.model("sd1").unet


def call(unet: UNet, **changes: object) -> Tensor:
    torch.manual_seed(0)
    inputs = {"x": torch.randn(2, 4, 8, 6), "timesteps": torch.tensor([7.0, 801.0]), "context": torch.randn(2, 5, 32)}
    out: Tensor = unet(**{**inputs, **changes})
    return out


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(6, 4), (2, 6)),
        (Linear(6, 4, bias=False), (2, 6)),
        (Conv2d(4, 6, 3, padding=1), (2, 4, 5, 5)),
        (GroupNorm(2, 4), (2, 4, 5, 5)),
        (LayerNorm(6), (2, 6)),
    ],
    ids=["linear", "without bias", "conv", "group norm", "layer norm"],
)
def test_weights_follow_the_input(layer: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Stored in half precision, used in the input's dtype: the answer is that of the rounded weights, in full."""
    tiny.filled(layer, torch.Generator().manual_seed(0))
    layer.half()
    x = torch.randn(shape)
    expected = type(layer).__mro__[2].forward(layer.float(), x)  # torch's own layer
    out = layer.half()(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected)
    assert layer(x.bfloat16()).dtype == torch.bfloat16


def test_patches_act_in_order_and_leave_no_trace() -> None:
    layer = tiny.filled(Linear(3, 3), torch.Generator().manual_seed(0))
    x, before = torch.randn(2, 3), layer.weight.clone()
    plain = layer(x)
    with patching(layer, {"weight": (lambda weight: weight + 1,), "bias": (lambda bias: bias * 3,)}):
        torch.testing.assert_close(layer(x), x @ (before + 1).T + layer.bias * 3)
        with patching(layer, {"weight": (lambda weight: weight * 2,)}):
            torch.testing.assert_close(layer(x), x @ ((before + 1) * 2).T + layer.bias * 3)
    assert layer(x).equal(plain)
    assert layer.weight.equal(before)


def test_a_patch_is_computed_in_full_and_rounded_once() -> None:
    layer = tiny.filled(Linear(3, 3), torch.Generator().manual_seed(0)).bfloat16()
    third = 1 / 3
    wanted = layer.weight.float() * third + third
    patches = (lambda weight: weight * third, lambda weight: weight + third)
    assert merged(layer.weight, patches).equal(wanted.bfloat16())
    x = torch.randn(2, 3)
    with patching(layer, {"weight": patches}):
        torch.testing.assert_close(layer(x), x @ wanted.T + layer.bias.float(), atol=1e-6, rtol=1e-6)


def test_replaced_tensors_are_used_and_patched_and_dropped() -> None:
    layer = tiny.filled(Linear(3, 3), torch.Generator().manual_seed(0))
    x, other = torch.randn(2, 3), torch.randn(3, 3)
    plain = layer(x)
    with replacing(layer, {"weight": other}):
        torch.testing.assert_close(layer(x), x @ other.T + layer.bias)
        with patching(layer, {"weight": (lambda weight: weight + 1,)}):
            torch.testing.assert_close(layer(x), x @ (other + 1).T + layer.bias)
    with suppress(ZeroDivisionError), replacing(layer, {"weight": other}):
        _ = 1 / 0
    assert layer(x).equal(plain)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_that_trains_is_the_same(causal: bool) -> None:
    with torch.inference_mode(False), torch.enable_grad():
        states = [torch.randn(2, 7, 24, requires_grad=True) for _ in range(3)]
        plain = attention(*states, heads=3, causal=causal)
        split = [t.view(2, 7, 3, 8).transpose(1, 2) for t in states]
        fused = fused_attention(*split, causal).transpose(1, 2).flatten(2)
        torch.testing.assert_close(plain, fused)
        torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), states) for out in (plain, fused)))


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool) -> None:
    q, k, v = (torch.randn(2, 5, 12, dtype=torch.float64) for _ in range(3))
    expected = torch.zeros_like(q)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(4)
        if causal:
            scores = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -math.inf)
        expected[..., part] = scores.softmax(dim=-1) @ v[..., part]
    torch.testing.assert_close(attention(q, k, v, heads=3, causal=causal), expected)


def test_tokens_and_images() -> None:
    image = torch.randn(2, 3, 4, 5)
    tokens = tokens_from(image)
    assert tokens[1, 5 * 2 + 3].equal(image[1, :, 2, 3])
    assert image_from(tokens, 4, 5).equal(image)
    last = image.to(memory_format=torch.channels_last)
    assert tokens_from(last).data_ptr() == last.data_ptr()


def test_timestep_embedding() -> None:
    t = torch.tensor([0.0, 3.5, 999.0])
    out = timestep_embedding(t, 6)
    for row, step in zip(out.tolist(), t.tolist(), strict=True):
        angles = [step * 10_000 ** (-i / 3) for i in range(3)]
        assert row == pytest.approx([*map(math.cos, angles), *map(math.sin, angles)], abs=1e-4)


def test_a_picture_is_the_same_alone_and_in_a_batch(unet: UNet) -> None:
    together = call(unet)
    torch.manual_seed(0)
    x, context = torch.randn(2, 4, 8, 6), torch.randn(2, 5, 32)
    for i, t in enumerate((7.0, 801.0)):
        alone = unet(x[i : i + 1], torch.tensor([t]), context[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-5, atol=1e-5)


def test_channels_last_changes_nothing(unet: UNet) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 6)
    out = call(unet, x=x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(out, call(unet), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 1), (5, 16)])
def test_any_size(unet: UNet, size: tuple[int, int]) -> None:
    assert call(unet, x=torch.randn(2, 4, *size)).shape == (2, 4, *size)


def test_control(unet: UNet) -> None:
    """One residual for each skip connection, in the order of the input blocks, and one for the middle."""
    sizes: list[torch.Size] = []
    hooks = [block.register_forward_hook(lambda *args: sizes.append(args[2].shape)) for block in unet.input_blocks]
    hooks.append(unet.middle_block.register_forward_hook(lambda *args: sizes.append(args[2].shape)))
    plain = call(unet)
    for hook in hooks:
        hook.remove()
    zeros = [torch.zeros(size) for size in sizes]
    assert call(unet, control=zeros).equal(plain)
    for i in range(len(zeros)):
        control = [*zeros[:i], torch.randn(sizes[i]), *zeros[i + 1 :]]
        assert not torch.allclose(call(unet, control=control), plain, atol=1e-3)
    with pytest.raises(ValueError, match="shorter"):
        call(unet, control=[*zeros[:-2], zeros[-1]])


def test_features(unet: UNet) -> None:
    """They are added to what blocks put out, so that the following blocks see them, too; the middle comes last."""
    places = [*unet.input_blocks, unet.middle_block]
    feature = torch.randn(1)
    for index, block in enumerate(places):
        hook = block.register_forward_hook(lambda module, args, output: output + feature)
        expected = call(unet)
        hook.remove()
        torch.testing.assert_close(call(unet, features={index: feature}), expected)
        assert not torch.allclose(expected, call(unet), atol=1e-3)


def test_text_is_causal_and_pooled_at_its_end() -> None:
    clip = tiny.model("sdxl").text[1]
    tokens = torch.tensor([[49406, 320, 1125, 49407, 0, 0], [49406, 320, 1125, 49407, 49407, 49407]])
    out = clip(tokens)
    assert out.last[0, :4].equal(out.last[1, :4])
    assert out.pooled[0].equal(out.pooled[1])
    assert not torch.allclose(out.last[0, 4], out.last[1, 4])
    torch.testing.assert_close(out.pooled[0], clip.text_projection(out.last[0, 3]), rtol=1e-5, atol=1e-5)


def test_the_autoencoder_draws_around_its_mean() -> None:
    vae = tiny.model("sd1").vae
    assert vae is not None
    assert vae.config.downscale == 8
    image = torch.rand(1, 3, 16, 24) * 2 - 1
    mean, logvar = vae.moments(image)
    assert mean.shape == (1, 4, 2, 3)
    noise = torch.randn_like(mean)
    scale = vae.config.scale_factor
    torch.testing.assert_close(vae.encode(image), mean * scale)
    torch.testing.assert_close(vae.encode(image, noise), (mean + (logvar / 2).exp() * noise) * scale)
    assert vae.decode(mean).shape == image.shape


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-6), (torch.bfloat16, 5e-3), (torch.float64, 1e-14), (torch.float16, 1e-3)],
)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_convolution_after_doubling_is_the_same_on_summed_weights(
    dtype: torch.dtype, tolerance: float, layout: torch.memory_format
) -> None:
    layer = Conv2d(16, 24, 3, padding=1).to(dtype)
    for parameter in layer.parameters():
        parameter.copy_(torch.randn(parameter.shape))
    x = torch.randn(2, 16, 5, 7).to(dtype).contiguous(memory_format=layout)
    fast = dtype in (torch.float32, torch.bfloat16) and layout == torch.channels_last
    assert is_summed(x, layer.weight) == (fast and torch.backends.mkldnn.is_available())
    twice = x.double().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    with patching(layer_in := torch.nn.ModuleDict({"conv": layer}), {"conv.weight": [lambda weight: 3 * weight]}):
        out = layer_in["conv"].doubled(x)  # type: ignore[operator]
    expected = torch.nn.functional.conv2d(twice, 3 * layer.weight.double(), layer.bias.double(), padding=1)
    assert out.dtype == dtype
    assert (out.double() - expected).norm() < tolerance * expected.norm()
    part = layer_in["conv"].doubling(x, margin=1)(x)  # type: ignore[operator]
    assert torch.allclose(part, layer.doubled(x)[..., 2:-2, :], rtol=0, atol=tolerance)
    if fast:
        assert torch.equal(torch.cat([layer.doubled(one) for one in x.split(1)]), layer.doubled(x))


def test_sums_are_kept_as_long_as_the_weights_they_were_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor] = []
    monkeypatch.setattr(ops.SUMMED, "make", lambda weight: made.append(weight) or of_doubled(weight))
    layer = tiny.filled(Conv2d(4, 4, 3, padding=1), torch.Generator().manual_seed(0))
    layer.to(memory_format=torch.channels_last)
    x = torch.randn(1, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    other = torch.randn(4, 4, 3, 3).contiguous(memory_format=torch.channels_last)

    def right() -> bool:
        return torch.allclose(layer.doubled(x), layer(twice(x)), rtol=1e-5, atol=1e-5)

    def twice(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    for _ in range(3):
        assert right()
        with replacing(layer, {"weight": other}):
            assert right()
    assert len(made) == (2 if torch.backends.mkldnn.is_available() else 0)
    with patching(layer, {"weight": [lambda weight: 3 * weight]}):
        assert right()
    layer.half()  # made ready at each use
    assert torch.allclose(layer.doubled(x), layer(twice(x)), rtol=1e-5, atol=1e-5)
    layer.float().weight.requires_grad_(True)
    assert right()
    assert len(made) == (2 if torch.backends.mkldnn.is_available() else 0)
    kept = len(ops.SUMMED.kept)
    del other
    made.clear()
    assert len(ops.SUMMED.kept) == kept - bool(torch.backends.mkldnn.is_available())


def test_what_is_made_of_a_weight_is_made_anew_when_it_changes_in_place() -> None:
    sums = ops.Made(lambda weight: float(weight.sum()))
    with torch.inference_mode(False), torch.no_grad():
        weight = torch.ones(3)
        assert [sums(weight), sums(weight)] == [3, 3]
        weight.mul_(2)
    assert sums(weight) == 6
    assert sums(torch.ones(2)) == 2  # of inference, which has no count of changes


def test_a_network_up_samples_by_sums_and_to_odd_sizes_as_it_is_written(
    unet: UNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[torch.Size] = []
    monkeypatch.setattr(ops.SUMMED, "make", lambda weight: shapes.append(weight.shape) or of_doubled(weight))
    monkeypatch.setattr(unets, "MANY", 0)
    last = tiny.model("sd1").unet.to(memory_format=torch.channels_last)
    for height, sums in ((8, torch.backends.mkldnn.is_available()), (7, False)):
        x = torch.randn(2, 4, height, 6)
        shapes.clear()
        made = call(last, x=x.contiguous(memory_format=torch.channels_last))
        assert bool(shapes) == sums
        torch.testing.assert_close(made, call(unet, x=x), rtol=1e-5, atol=1e-5)


def test_a_convolution_that_learns_or_is_watched_sees_the_doubled_picture() -> None:
    layer, seen = Conv2d(4, 4, 3, padding=1), []
    for parameter in layer.parameters():
        parameter.copy_(torch.randn(parameter.shape))
    x = torch.randn(1, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    plain = layer.doubled(x)
    hook = layer.register_forward_hook(lambda module, given, out: seen.append(given[0].shape))
    watched = layer.doubled(x)
    hook.remove()
    assert seen == [(1, 4, 6, 6)]
    torch.testing.assert_close(watched, plain)
    with torch.inference_mode(False), torch.enable_grad():
        learning = torch.nn.Parameter(torch.randn(4, 4, 3, 3))
        assert not is_summed(x, learning)


def test_group_norms_keep_the_layout_whatever_the_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's answers with the channels outermost."""
    layer, x = tiny.filled(GroupNorm(2, 4), torch.Generator().manual_seed(0)), torch.randn(2, 4, 5, 6)
    kernel = torch.nn.functional.group_norm
    monkeypatch.setattr(torch.nn.functional, "group_norm", lambda *given: kernel(*given).contiguous())
    last = layer(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert layer(x).is_contiguous()
    torch.testing.assert_close(last, layer(x))
