"""Rules: how the answers with and without the prompt make one. Each is given (ask, cond, uncond), see `guidance_parts`.

`linear` is classifier-free guidance. The others keep it from burning colours and details at high scales.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fromnoise.sampling.guidance import Guidance, Guiding
from fromnoise.sampling.guidance_parts import Rule
from fromnoise.sampling.parametrization import Scalings, v_scalings
from fromnoise.sampling.samplers import Evaluate

WHOLE = (-3, -2, -1)  # norms and means over one picture


def rescaled(rule: Rule, share: float, scalings: Callable[[Tensor], Scalings] = v_scalings) -> Rule:
    """Lin et al. (2023), "Common Diffusion Noise Schedules and Sample Steps are Flawed", equations 14 to 16: the guided
    output gets the standard deviation of the conditional one, as far as `share` (0 to 1; they take 0.7).

    It is done on the network's output in the parametrization of `scalings`: v in the paper and in ComfyUI, the model's
    own in diffusers.
    """

    def guided(ask: Evaluate, cond: Tensor, uncond: Tensor) -> Tensor:
        denoised = rule(ask, cond, uncond)
        if share == 0:
            return denoised
        skip, out, _ = (scale.to(ask.x.dtype) for scale in scalings(ask.sigma))
        text, output = ((answer - skip * ask.x) / out for answer in (cond, denoised))
        ratio = text.std(dim=WHOLE, keepdim=True) / output.std(dim=WHOLE, keepdim=True)
        return skip * ask.x + out * output * (share * ratio + (1 - share))

    return guided


@dataclass
class Momentum:
    """The running sum of a picture's guidance. To stop and resume a picture, keep `total` with its recording."""

    share: float  # of the sum so far that is kept; the paper takes -0.5 to -0.75, 0 is none
    total: Tensor | None = None
    sigma: float = float("inf")

    def add(self, guidance: Tensor, sigma: float) -> Tensor:
        """The sum with `guidance`; begun anew where the noise level rises."""
        kept = self.total if sigma <= self.sigma else None
        self.total = guidance if kept is None else self.share * kept + guidance
        self.sigma = sigma
        return self.total


def projected(scale: float, eta: float = 0.0, threshold: float = 0.0, momentum: Momentum | None = None) -> Rule:
    """Adaptive projected guidance, Sadat et al. (2024), "Eliminating Oversaturation and Artifacts of High Guidance
    Scales", algorithm 1: cond + (scale - 1) * (the guidance, with only `eta` of its part along the conditional answer).

    `threshold`: largest norm of the guidance, about 5 to 15; 0 is none. `momentum`: one per picture.
    eta 1 and no more is classifier-free guidance. ComfyUI's node has its scale where this has scale - 1.
    """

    def guided(ask: Evaluate, cond: Tensor, uncond: Tensor) -> Tensor:
        guidance = cond - uncond
        if momentum is not None and momentum.share != 0:
            guidance = momentum.add(guidance, float(ask.sigma))
        if threshold > 0:
            guidance = guidance * (threshold / norm(guidance)).clamp_max(1)
        axis = cond / norm(cond).clamp_min(1e-12)
        parallel = (guidance * axis).sum(dim=WHOLE, keepdim=True) * axis
        return cond + (guidance - parallel * (1 - eta)) * (scale - 1)

    return guided


def norm(x: Tensor) -> Tensor:
    """Euclidean, of each picture (1 c h w): (1 1 1 1)."""
    length: Tensor = torch.linalg.vector_norm(x, dim=WHOLE, keepdim=True)
    return length


def zero_star(scale: float, of: Literal["slope", "denoised"] = "slope") -> Rule:
    """CFG-Zero*, Fan et al. (2025), "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models": before
    they are contrasted, the unconditional slope (x - denoised) / sigma is scaled by the s that brings it nearest to
    the conditional one, s = <cond, uncond> / <uncond, uncond>.

    of "denoised": s is found in the same way but scales the denoised latents, as ComfyUI's node does.
    """

    def guided(ask: Evaluate, cond: Tensor, uncond: Tensor) -> Tensor:
        v, base = ask.x - cond, ask.x - uncond
        s = (v * base).sum(dim=WHOLE, keepdim=True) / (base * base).sum(dim=WHOLE, keepdim=True).clamp_min(1e-8)
        if of == "denoised":
            return s * uncond + (cond - s * uncond) * scale
        return ask.x - (s * base + (v - s * base) * scale)

    return guided


def zero_init(guide: Guidance, evaluations: int) -> Guidance:
    """CFG-Zero*'s start: a slope of 0 for the first `evaluations`, which therefore cost nothing; for flow models."""

    def waiting(ask: Evaluate) -> Guiding:
        if ask.number < evaluations:
            return torch.stack((ask.x, ask.x)) if ask.split else ask.x
        return (yield from guide(ask))

    return waiting
