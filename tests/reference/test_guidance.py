"""Guidance and variants of the U-Net give what diffusers gives, on tiny random networks of every family."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.guiders.classifier_free_zero_star_guidance import ClassifierFreeZeroStarGuidance
from diffusers.guiders.guider_utils import rescale_noise_cfg
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.pipelines.deprecated.stable_diffusion_sag.pipeline_stable_diffusion_sag import (
    CrossAttnStoreProcessor,
    StableDiffusionSAGPipeline,
)
from diffusers.pipelines.pag.pag_utils import PAGMixin
from torch import Tensor

from fromnoise.nn.hooks import AttentionMap, FreeU, PerturbedAttention
from fromnoise.nn.unet import UNet, timestep_embedding
from fromnoise.sampling.guidance import Cond, NetworkCall, classifier_free
from fromnoise.sampling.guidance_attention import perturbed, self_attention
from fromnoise.sampling.guidance_parts import asking, linear
from fromnoise.sampling.guidance_rules import Momentum, projected, rescaled, zero_star
from fromnoise.sampling.parametrization import eps_scalings, network_input, to_denoised, v_scalings
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable
from tests.reference import peers
from tests.reference.test_networks import FAMILIES, TOLERANCE, both, pair, relative
from tests.sampling.answers import answered

TABLE = NoiseTable.ldm()
SIGMA = TABLE.sigmas[600]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("family", "height", "width"), [("sd1", 8, 8), ("sdxl", 9, 11)])
def test_free_u(family: str, height: int, width: int) -> None:
    ours, theirs = pair(FAMILIES[family])
    plain, _ = both(ours, theirs, height, width)
    theirs.enable_freeu(s1=0.6, s2=0.3, b1=1.4, b2=1.2)
    torch.manual_seed(0)
    with FreeU(1.4, 1.2, 0.6, 0.3, version=1, stages="level").applied(ours):
        mine, other = both(ours, theirs, height, width)
    assert relative(mine, other) < TOLERANCE
    assert relative(mine, plain) > 100 * TOLERANCE


LAYERS = {("mid",): ("middle_block",), ("down_blocks.1",): ("input_blocks.4", "input_blocks.5")}


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("layers", LAYERS)
def test_perturbed_self_attention(family: str, layers: tuple[str, ...]) -> None:
    ours, theirs = pair(FAMILIES[family])
    processors = {
        name: PAGIdentitySelfAttnProcessor2_0() if "attn1" in name and name.startswith(layers) else processor
        for name, processor in theirs.attn_processors.items()
    }
    theirs.set_attn_processor(processors)
    context = torch.randn(1, 5, ours.config.context_dim)
    x, t = torch.randn(1, ours.config.in_channels, 16, 24), torch.tensor([600.0])
    y, added = conditions(ours)
    with PerturbedAttention(LAYERS[layers]).applied(ours):
        mine = ours(x, t, context, y)
    # their processor takes a batch of half plain, half perturbed pictures
    twice = {name: torch.cat((value, value)) for name, value in added.items()}
    other = theirs(torch.cat((x, x)), t, torch.cat((context, context)), added_cond_kwargs=twice).sample
    assert relative(mine, other[1:]) < TOLERANCE
    assert relative(ours(x, t, context, y), other[:1]) < TOLERANCE
    assert relative(mine, other[:1]) > 100 * TOLERANCE


def conditions(unet: UNet) -> tuple[Tensor | None, dict[str, Tensor]]:
    """SDXL's vector and what diffusers makes it of."""
    if not unet.config.vector_dim:
        return None, {}
    pooled, sizes = (
        torch.randn(1, 24),
        torch.randint(0, 1024, (1, (unet.config.vector_dim - 24) // peers.SIZES)).float(),
    )
    y = torch.cat((pooled, timestep_embedding(sizes.flatten(), peers.SIZES).reshape(1, -1)), dim=1)
    return y, {"text_embeds": pooled, "time_ids": sizes}


def through(unet: UNet, scalings: Any) -> Any:
    """The network as guides know it, variants and all."""

    def answer(call: NetworkCall) -> Tensor:
        sigma = call.sigma[None]
        x, t = network_input(call.x, scalings(sigma)), TABLE.timestep(sigma)
        if not call.variants:
            out = unet(x, t, call.cond.context)
        else:
            (variant,) = call.variants
            with variant.applied(unet):
                out = unet(x, t, call.cond.context)
        return torch.cat((to_denoised(out[:, :4], call.x, scalings(sigma)), out[:, 4:]), dim=1)

    return answer


def eps_of(denoised: Tensor, ask: Evaluate) -> Tensor:
    return (ask.x - denoised) / ask.sigma


def asked_of(unet: UNet) -> tuple[Evaluate, Cond, Cond]:
    x = torch.randn(1, 4, 16, 24) * (1 + SIGMA**2).sqrt()
    return Evaluate(x, SIGMA), *(Cond(torch.randn(1, 5, unet.config.context_dim)) for _ in range(2))


def test_perturbed_attention_guidance() -> None:
    ours, theirs = pair(FAMILIES["sd1"])
    ask, cond, uncond = asked_of(ours)
    guide = perturbed(classifier_free(cond, uncond, 5.0), asking(cond), PerturbedAttention(), 3.0)
    mine = eps_of(answered(guide, ask, through(ours, eps_scalings)), ask)
    x, t = ask.x * (1 + SIGMA**2).rsqrt(), TABLE.timestep(SIGMA)
    text, base = (theirs(x, t, c.context).sample for c in (cond, uncond))
    processor = PAGIdentitySelfAttnProcessor2_0()
    theirs.set_attn_processor(
        {n: processor if "attn1" in n and n.startswith("mid") else p for n, p in theirs.attn_processors.items()}
    )
    spoilt = theirs(torch.cat((x, x)), t, torch.cat((cond.context, cond.context))).sample[1:]
    mixin = SimpleNamespace(_get_pag_scale=lambda t: 3.0)
    expected = PAGMixin._apply_perturbed_attention_guidance(mixin, torch.cat((base, text, spoilt)), True, 5.0, t)
    assert relative(mine, expected) < TOLERANCE


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_self_attention_guidance(scale: float) -> None:
    """One step of diffusers' pipeline. It counts pixels that get attention above 1, so where the map is at 1 within
    rounding the two could differ: none is here."""
    ours, theirs = pair(FAMILIES["sd1"])
    ask, cond, uncond = asked_of(ours)
    guide = self_attention(classifier_free(cond, uncond, scale), uncond, AttentionMap(), 0.75, blur=1.0)
    mine = eps_of(answered(guide, ask, through(ours, eps_scalings)), ask)

    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    t = TABLE.timestep(SIGMA).long()
    x = ask.x * (1 + SIGMA**2).rsqrt()
    store = CrossAttnStoreProcessor()
    theirs.mid_block.attentions[0].transformer_blocks[0].attn1.processor = store
    text, base = (theirs(x, t, c.context).sample for c in (cond, uncond))
    received = store.attention_probs  # of the last one, the unconditional
    distance = (received.view(1, 8, *received.shape[1:]).mean(1).sum(1) - 1).abs()
    assert float(distance.min()) > 1e-5
    pipeline = SimpleNamespace(unet=theirs, scheduler=scheduler)
    clean = StableDiffusionSAGPipeline.pred_x0(pipeline, x, base, t)
    noise = StableDiffusionSAGPipeline.pred_epsilon(pipeline, x, base, t)
    degraded = StableDiffusionSAGPipeline.sag_masking(pipeline, clean, received, (2, 3), t, noise)
    worse = theirs(degraded, t, uncond.context).sample
    expected = base + scale * (text - base) + 0.75 * (base - worse)
    assert relative(mine, expected) < 3 * TOLERANCE
    assert relative(base + scale * (text - base), expected) > 100 * TOLERANCE


# --- rules: on outputs of the network, as diffusers has them --------------------------------------------------------


def outputs() -> tuple[Evaluate, Tensor, Tensor]:
    base = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    ask = Evaluate(torch.randn(1, 4, 8, 8, dtype=torch.float64) * 3, torch.tensor(3.0, dtype=torch.float64))
    return ask, base + 0.3 * torch.randn_like(base), base


@pytest.mark.parametrize("scalings", [eps_scalings, v_scalings])
def test_rescale(scalings: Any) -> None:
    ask, text, base = outputs()
    scale = scalings(ask.sigma)
    mine = rescaled(linear(7.5), 0.7, scalings)(ask, *(to_denoised(out, ask.x, scale) for out in (text, base)))
    theirs = rescale_noise_cfg(base + 7.5 * (text - base), text, 0.7)
    torch.testing.assert_close(mine, to_denoised(theirs, ask.x, scale), rtol=1e-10, atol=1e-10)


def test_adaptive_projected_guidance() -> None:
    momentum, buffer = Momentum(-0.6), MomentumBuffer(-0.6)
    for _ in range(3):
        ask, text, base = outputs()
        mine = projected(8.0, 0.1, 4.0, momentum)(ask, text, base)
        theirs = normalized_guidance(text, base, 7.0, buffer, 0.1, 4.0, use_original_formulation=True)
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_zero_star() -> None:
    ask, text, base = outputs()
    guider = ClassifierFreeZeroStarGuidance(guidance_scale=6.0, zero_init_steps=0)
    guider._step, guider._num_inference_steps = 5, 10
    theirs = guider.forward(text, base).pred
    mine = zero_star(6.0)(ask, *(to_denoised(out, ask.x, eps_scalings(ask.sigma)) for out in (text, base)))
    torch.testing.assert_close(eps_of(mine, ask), theirs, rtol=1e-6, atol=1e-6)  # they compute the factor in float32
