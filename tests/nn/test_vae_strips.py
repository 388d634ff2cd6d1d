"""The autoencoder strip by strip: the same pixels as at once, and small pieces on the way."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fromnoise.engine.footprint import peak
from fromnoise.nn import vae_strips
from fromnoise.nn.hooks import Seamless
from fromnoise.nn.ops import GroupNorm
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.nn.vae_strips import Statistics, cut
from tests.engine.models import stir, tiny_model

CONFIGS = {
    "widths of SD": VAEConfig(channels=16, channel_mult=(1, 2, 4, 4), res_blocks=1, groups=8),
    "one width": VAEConfig(channels=32, channel_mult=(1, 1, 1), res_blocks=2, groups=8),
    "two levels": VAEConfig(channels=16, channel_mult=(1, 2), res_blocks=1, groups=4, latent_channels=8),
}


def network(config: VAEConfig) -> AutoencoderKL:
    """Random, of a size that keeps pictures in sight, with norms that matter."""
    vae = AutoencoderKL(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in vae.parameters():
        parameter.requires_grad_(False).normal_(generator=generator)
        parameter.mul_(parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3)
    stir(vae, 1)
    return vae


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("strip", [1, 200, 1 << 20])
@pytest.mark.parametrize("name", CONFIGS)
def test_strips_are_the_whole(name: str, strip: int, layout: torch.memory_format) -> None:
    vae = network(CONFIGS[name]).to(memory_format=layout)
    latents = torch.randn(2, vae.config.latent_channels, 7, 5, generator=torch.Generator().manual_seed(1))
    latents = latents.contiguous(memory_format=layout)
    with torch.inference_mode():
        image = vae.decode(latents)
        torch.testing.assert_close(vae_strips.decode(vae, latents, strip), image, atol=2e-5, rtol=2e-5)
        image = image.clamp(-1, 1)
        for made, wanted in zip(vae_strips.moments(vae, image, strip), vae.moments(image), strict=True):
            torch.testing.assert_close(made, wanted, atol=2e-5, rtol=2e-5)
        noise = torch.randn_like(latents)
        wanted = vae.encode(image, noise)
        torch.testing.assert_close(vae_strips.encode(vae, image, noise, strip), wanted, atol=2e-5, rtol=2e-5)


def test_a_picture_with_a_bright_corner_has_no_seams() -> None:
    """Norms over strips by themselves would be far off here."""
    vae = network(CONFIGS["widths of SD"])
    latents = torch.zeros(1, 4, 16, 8)
    latents[..., :3, :3] = 30
    with torch.inference_mode():
        whole, strips = vae.decode(latents), vae_strips.decode(vae, latents, 100)
    assert float((whole - strips).abs().max()) < 2e-5 * float(whole.abs().max())


def test_statistics_of_strips_are_those_of_the_whole() -> None:
    norm = GroupNorm(4, 12, eps=1e-6)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    x = torch.randn(1, 12, 30, 5) * 3 + 100 + torch.arange(30)[:, None] * 10
    statistics = Statistics(norm, x)
    for rows in x.split([1, 4, 20, 5], dim=2):
        statistics.add(rows.contiguous())
    found = statistics.norm(activated=False)
    torch.testing.assert_close(found(x), norm(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.written_out(x), norm(x), atol=1e-4, rtol=1e-4)


class Largest(TorchDispatchMode):
    """Notes the most elements that a result has which is none of those that are as they should be."""

    def __init__(self, right: set[int]) -> None:
        super().__init__()
        self.right, self.most = right, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf._base is None and leaf.numel() not in self.right:
                self.most = max(self.most, leaf.numel())
        return out


def test_there_are_only_strips() -> None:
    vae = network(CONFIGS["widths of SD"])
    latents = torch.randn(1, 4, 8, 8)
    right = {3 * 64 * 64, *(parameter.numel() for parameter in vae.parameters())}
    with torch.inference_mode(), Largest(right) as seen:
        vae_strips.decode(vae, latents, 1)
    assert 0 < seen.most <= 32 * 36 * 64  # half of the most channels, 16 rows and those around, doubled, all columns


@torch.inference_mode()
def test_a_block_writes_into_what_it_was_given() -> None:
    block = network(CONFIGS["one width"]).decoder.mid.block_1
    given = torch.randn(1, 32, 40, 8).contiguous(memory_format=torch.channels_last)
    x, wanted = cut(given, 1), block(given)
    assert [one.shape[2] for one in x] == [12, 14, 14]
    assert torch.cat(vae_strips.residual(block, x), dim=2).equal(given)
    assert not x
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_block_that_halves_the_channels_needs_no_other_room(layout: torch.memory_format) -> None:
    with torch.device("meta"):
        block = AutoencoderKL(CONFIGS["widths of SD"]).decoder.up[0].block[0]
        x = [torch.empty(1, 32, 16, 64).contiguous(memory_format=layout) for _ in range(20)]
    given, strip = sum(one.numel() for one in x), x[0].numel()

    def work() -> None:
        vae_strips.residual(block, [x.pop(0).clone() for _ in range(20)])

    assert given < peak(work) < given + 4 * strip


def test_models_take_strips_for_large_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = tiny_model(), []
    monkeypatch.setattr(vae_strips, "MOST_AT_ONCE", 64 * 64)
    real = vae_strips.residual
    monkeypatch.setattr(vae_strips, "residual", lambda *arguments: calls.append(1) or real(*arguments))
    latents = torch.randn(1, 4, 8, 16)
    with torch.inference_mode():
        model.decode(latents[..., :8])
        assert not calls
        large = model.decode(latents)
        assert calls
        torch.testing.assert_close(large, model.vae.decode(latents), atol=1e-5, rtol=1e-5)
        mean = model.encode(large.clamp(-1, 1))
        torch.testing.assert_close(mean, model.vae.encode(large.clamp(-1, 1)), atol=1e-5, rtol=1e-5)


def test_a_changed_autoencoder_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    monkeypatch.setattr(vae_strips, "MOST_AT_ONCE", 0)
    latents = torch.randn(1, 4, 8, 8)
    with torch.inference_mode(), Seamless().applied(model.vae):
        assert not vae_strips.may_be_cut(model.vae)
        torch.testing.assert_close(model.decode(latents), model.vae.decode(latents), atol=1e-5, rtol=1e-5)
    assert vae_strips.may_be_cut(model.vae)
