"""Guidance away from what the network would draw with spoilt attention: no prompt needed, more structure.

The spoiling itself is a variant of the network, given by the caller: `nn.hooks.PerturbedAttention`, `AttentionMap`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fromnoise.sampling.guidance import Cond, Guidance, Guiding, NetworkCall, NetworkVariant
from fromnoise.sampling.guidance_parts import gather, identity, shifted, translated, varied
from fromnoise.sampling.samplers import Evaluate

SMALLEST = 5  # latents, along each side, that blurring leaves something of
KERNEL = 9  # places of the blur's kernel, along each side


def perturbed(guide: Guidance, cond: Guidance, perturbation: NetworkVariant, scale: float) -> Guidance:
    """Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", on top of any guide:
    + scale * (cond - perturbed cond). They take scale 3.

    `cond` is the conditional side of `guide`: what both ask is asked once.
    """
    if scale == 0:
        return guide

    def guided(ask: Evaluate) -> Guiding:
        question = ask._replace(split=False)
        answer, plain, spoilt = yield from gather(guide(ask), cond(question), varied(cond, perturbation)(question))
        return shifted(answer, (plain - spoilt) * scale, ask)

    return guided


def self_attention(
    guide: Guidance,
    uncond: Cond,
    attention_map: NetworkVariant,
    scale: float,
    blur: float = 2.0,
    threshold: float = 1.0,
) -> Guidance:
    """Hong et al. (2023), "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance", on top of any
    guide, as ComfyUI does it: blur the unconditional answer where it is looked at most, give it the noise that was
    there, ask again, and go away from that answer: + scale * (blurred - its answer). Scale 0.5 to 1.

    `attention_map` makes the network tell one more channel, 1 on average; what is above `threshold` is blurred, with a
    standard deviation of `blur` latents. Costs a second round of calls. Latents of less than 5 a side stay unguided.
    """
    if scale == 0:
        return guide

    def guided(ask: Evaluate) -> Guiding:
        if min(ask.x.shape[-2:]) < SMALLEST:
            return (yield from guide(ask))
        asked = NetworkCall(ask.x, ask.sigma, uncond)
        told = asked._replace(variants=(attention_map,))
        answer, reading = yield from gather(telling(guide(ask), asked, told), one(told))
        plain, received = reading.tensor_split((ask.x.shape[1],), dim=1)
        degraded = torch.where(received > threshold, blurred(plain, blur), plain)
        worse = yield from one(NetworkCall(degraded + (ask.x - plain), ask.sigma, uncond))
        return shifted(answer, (degraded - worse) * scale, ask)

    return guided


def telling(guiding: Guiding, asked: NetworkCall, told: NetworkCall) -> Guiding:
    """`guiding` that makes the call `told`, whose answer has more channels, wherever it would make `asked`."""
    same = identity(asked)
    return translated(
        guiding,
        lambda call: told if identity(call) == same else call,
        lambda call, answer: answer[:, : call.x.shape[1]] if identity(call) == same else answer,
    )


def one(call: NetworkCall) -> Guiding:
    """The answer to a single call."""
    (answer,) = yield [call]
    return answer


def blurred(x: Tensor, deviation: float) -> Tensor:
    """x (b c h w), sides of at least 5, under a 9 x 9 Gaussian of that standard deviation; edges are mirrored."""
    offsets = torch.arange(KERNEL, device=x.device, dtype=x.dtype) - KERNEL // 2
    weights = (-0.5 * (offsets / deviation) ** 2).exp()
    weights = weights / weights.sum()
    padded = F.pad(x, (KERNEL // 2,) * 4, mode="reflect")
    kernel = (weights[:, None] * weights).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(padded, kernel, groups=x.shape[1])
