"""Variants of a network do what their definitions say, and leave it bit for bit as it was."""

import cmath
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fromnoise.nn.hooks import (
    AttentionMap,
    FreeU,
    PerturbedAttention,
    Seamless,
    received_attention,
    scaled_low_frequencies,
    transformer_blocks,
)
from fromnoise.nn.token_merging import TokenMerging
from fromnoise.nn.unet import SD1, SDXL, UNet, UNetConfig, skip_widths, timestep_embedding
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from tests.tiny import filled

CONFIG = UNetConfig.uniform(
    model_channels=32, channel_mult=(1, 2, 4), level_depths=(1, 1, 2), res_blocks=2, context_dim=24, heads=4
)
Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def unet() -> UNet:
    return filled(UNet(CONFIG), torch.Generator().manual_seed(0))


def inputs(height: int = 8, width: int = 12, batch: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 4, height, width, generator=generator)
    return x, torch.linspace(10, 900, batch), torch.randn(batch, 7, CONFIG.context_dim, generator=generator)


VARIANTS = [
    Seamless(),
    Seamless(y=False),
    FreeU(),
    FreeU(version=1, stages="level"),
    PerturbedAttention(),
    PerturbedAttention(("input_blocks.4", "output_blocks")),
    AttentionMap(),
    TokenMerging(0.5),
    TokenMerging(0.3, max_downsample=2, seed=5),
]


def hooks(network: nn.Module) -> list[Any]:
    return [
        (name, module.__dict__.keys(), len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in network.named_modules()
    ]


def settings(network: nn.Module) -> list[Any]:
    return [(m.padding, m.padding_mode) for m in network.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_changes_the_answer_and_leaves_no_trace(unet: UNet, variant: Any) -> None:
    plain, before = unet(*inputs()), (hooks(unet), settings(unet))
    with variant.applied(unet):
        changed = unet(*inputs())
    assert changed.shape != plain.shape or not torch.allclose(changed, plain, atol=1e-3)
    assert (hooks(unet), settings(unet)) == before
    assert torch.equal(unet(*inputs()), plain)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_no_trace_after_a_failure(unet: UNet, variant: Any) -> None:
    plain, before = unet(*inputs()), (hooks(unet), settings(unet))
    x, t, context = inputs()
    with pytest.raises(RuntimeError), variant.applied(unet):
        unet(x, t, context[..., :-1])  # fails halfway through the network
    assert (hooks(unet), settings(unet)) == before
    assert torch.equal(unet(*inputs()), plain)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_variants_are_keys_of_batches(variant: Any) -> None:
    assert variant == type(variant)(**vars(variant))
    assert len({variant, type(variant)(**vars(variant))}) == 1
    assert len(set(VARIANTS)) == len(VARIANTS)


def test_variants_nest(unet: UNet) -> None:
    plain = unet(*inputs())
    with Seamless().applied(unet), FreeU().applied(unet), TokenMerging(0.4).applied(unet), AttentionMap().applied(unet):
        assert unet(*inputs()).shape == (2, 5, 8, 12)
    assert torch.equal(unet(*inputs()), plain)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if not isinstance(v, AttentionMap)], ids=str)
def test_a_picture_is_the_same_alone_and_in_a_batch(unet: UNet, variant: Any) -> None:
    x, t, context = inputs(batch=3)
    with variant.applied(unet):
        together = unet(x, t, context)
        alone = torch.cat([unet(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=2e-5)


# --- Seamless -----------------------------------------------------------------------------------------------------


def moves_along(network: Callable[[Tensor], Tensor], x: Tensor, dim: int, by: int, scale: int = 1) -> float:
    """How far the answer to a rolled picture is from the rolled answer."""
    return float((network(x.roll(by, dim)) - network(x).roll(by * scale, dim)).abs().max())


@pytest.mark.parametrize(
    ("seamless", "across", "down"),
    [(Seamless(), True, True), (Seamless(y=False), True, False), (Seamless(x=False), False, True)],
)
def test_a_seamless_network_has_no_edges(unet: UNet, seamless: Seamless, across: bool, down: bool) -> None:
    x, t, context = inputs()

    def run(x: Tensor) -> Tensor:
        return unet(x, t, context)

    assert min(moves_along(run, x, dim, 4) for dim in (2, 3)) > 1e-2
    with seamless.applied(unet):
        assert (moves_along(run, x, 3, 4) < 1e-4) is across
        assert (moves_along(run, x, 2, 4) < 1e-4) is down


def test_a_seamless_decoder_has_no_edges() -> None:
    vae = filled(AutoencoderKL(VAEConfig(channels=32, channel_mult=(1, 1, 1, 1), res_blocks=1)), torch.Generator())
    z = torch.randn(1, 4, 4, 6, generator=torch.Generator().manual_seed(1))
    assert moves_along(vae.decode, z, 3, 1, 8) > 1e-2
    with Seamless().applied(vae):
        assert moves_along(vae.decode, z, 3, 1, 8) < 1e-4
        assert moves_along(vae.decode, z, 2, 3, 8) < 1e-4


def test_neither_edge_is_plain(unet: UNet) -> None:
    with Seamless(x=False, y=False).applied(unet):
        changed = unet(*inputs())
    assert torch.equal(changed, unet(*inputs()))


# --- FreeU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_free_u_with_factors_of_one_is_plain(unet: UNet, version: Any) -> None:
    with FreeU(1, 1, 1, 1, version).applied(unet):
        changed = unet(*inputs())
    assert torch.equal(changed, unet(*inputs()))


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7), (1, 3)])
def test_low_frequencies_by_their_definition(height: int, width: int) -> None:
    x = torch.randn(height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low = torch.zeros(height, width, dtype=torch.complex128)
    for u in {0, height - 1}:
        for v in {0, width - 1}:
            wave = torch.tensor(
                [
                    [cmath.exp(2j * cmath.pi * (u * i / height + v * j / width)) for j in range(width)]
                    for i in range(height)
                ]
            )
            low += wave * (x * wave.conj()).sum() / (height * width)
    expected = (x + (0.3 - 1) * low).real
    torch.testing.assert_close(scaled_low_frequencies(x[None, None].float(), 0.3)[0, 0], expected.float())


def walked(unet: UNet, x: Tensor, t: Tensor, context: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The U-Net's forward pass with `change(backbone, skip)` in place of joining them."""
    emb = unet.time_embed(timestep_embedding(t, CONFIG.model_channels))
    skips = []
    for block in unet.input_blocks:
        x = block(x, emb, context)
        skips.append(x)
    x = unet.middle_block(x, emb, context)
    for block in unet.output_blocks:
        skip = skips.pop()
        x = block(change(x, skip), emb, context, size=skips[-1].shape[-2:] if skips else skip.shape[-2:])
    return unet.out(x)


@pytest.mark.parametrize("version", [1, 2])
def test_free_u_by_its_definition(unet: UNet, version: Any) -> None:
    seen: list[int] = []

    def change(h: Tensor, skip: Tensor) -> Tensor:
        b, s = {128: (1.5, 0.6), 64: (1.2, 0.3)}.get(h.shape[1], (1.0, 1.0))
        seen.append(h.shape[1])
        mean = h.mean(1, keepdim=True)
        low = mean.flatten(1).min(1).values.view(-1, 1, 1, 1)
        high = mean.flatten(1).max(1).values.view(-1, 1, 1, 1)
        factor = b if version == 1 else (b - 1) * (mean - low) / (high - low) + 1
        h = h.clone()
        h[:, : h.shape[1] // 2] *= factor
        return torch.cat((h, scaled_low_frequencies(skip, s)), 1)

    expected = walked(unet, *inputs(), change)
    with FreeU(1.5, 1.2, 0.6, 0.3, version).applied(unet):
        torch.testing.assert_close(unet(*inputs()), expected)
    assert seen == [128] * 4 + [64] * 3 + [32] * 2


def test_free_u_survives_a_flat_backbone() -> None:
    assert FreeU()._strengthened(torch.ones(1, 8, 4, 4), 1.5).isfinite().all()


@pytest.mark.parametrize("config", [SD1, SDXL, CONFIG])
def test_skip_widths(config: UNetConfig) -> None:
    with torch.device("meta"):
        unet = UNet(config)
    widths = [block[0].in_layers[2].in_channels for block in unet.output_blocks]
    backbone = [c * config.model_channels for c in config.channel_mult]
    arriving = [backbone[-1], *(block[0].out_layers[3].out_channels for block in unet.output_blocks)]
    assert [w - a for w, a in zip(widths, arriving, strict=False)] == skip_widths(config)[::-1]


# --- attention ----------------------------------------------------------------------------------------------------


def swapped(unet: UNet, layers: tuple[str, ...]) -> list[nn.Module]:
    return [block.attn1 for block in transformer_blocks(unet, layers)]


def test_perturbed_attention_is_the_identity(unet: UNet) -> None:
    with PerturbedAttention().applied(unet):
        answer = unet(*inputs())
    attentions = swapped(unet, ("middle_block",))
    try:
        for module in attentions:
            module.forward = lambda x, context, m=module: m.to_out(m.to_v(context))  # type: ignore[method-assign]
        expected = unet(*inputs())
    finally:
        for module in attentions:
            del module.forward
    assert len(attentions) == 2
    assert torch.equal(answer, expected)


def test_layers_are_whole_names(unet: UNet) -> None:
    assert len(transformer_blocks(unet, ("input_blocks",))) == 8
    assert len(transformer_blocks(unet, ("input_blocks.1", "middle_block"))) == 3
    applied: AbstractContextManager[None] = PerturbedAttention(("middle",)).applied(unet)
    with pytest.raises(ValueError, match="no self-attention in middle"), applied:
        pass


def test_the_attention_map_tells_and_changes_nothing(unet: UNet) -> None:
    x, t, context = inputs()
    plain = unet(x, t, context)
    first = transformer_blocks(unet, ("middle_block",))[0].attn1
    seen: list[Tensor] = []
    handle = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with AttentionMap().applied(unet):
        told = unet(x, t, context)
    handle.remove()
    assert torch.equal(told[:, :4], plain)
    h = seen[0].double()
    q, k = (layer.weight.double() for layer in (first.to_q, first.to_k))
    expected = torch.zeros(2, 6, dtype=torch.float64)
    for picture in range(2):
        for head in range(4):
            part = slice(32 * head, 32 * head + 32)
            scores = (h[picture] @ q.T)[:, part] @ (h[picture] @ k.T)[:, part].T / 32**0.5
            expected[picture] += (scores.exp() / scores.exp().sum(1, keepdim=True)).sum(0) / 4
    map_small = told[:, 4].view(2, 2, 4, 3, 4)[:, :, 0, :, 0]  # each place was enlarged to 4 x 4
    torch.testing.assert_close(map_small.flatten(1).double(), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(told[:, 4].view(2, 2, 4, 3, 4), map_small[:, :, None, :, None].expand(2, 2, 4, 3, 4))
    torch.testing.assert_close(received_attention(first, seen[0], seen[0]).sum(1), torch.full((2,), 6.0))


def test_a_middle_without_attention_is_told() -> None:
    config = UNetConfig.uniform(model_channels=32, channel_mult=(1,), level_depths=(1,), middle_depth=-1, res_blocks=1)
    applied = AttentionMap().applied(UNet(config))
    with pytest.raises(ValueError, match="no self-attention in middle_block"), applied:
        pass
