"""Guidance: one question of a sampler becomes the network calls that answer it.

A guide is a generator function too. It is given an `Evaluate`, yields the network calls that it needs all at once (so
that they can share a batch), is sent their answers, and returns `denoised`. Guides wrap guides.
"""

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from fromnoise.sampling.areas import Place
from fromnoise.sampling.samplers import Evaluate, Sampler
from fromnoise.sampling.schedules import TimestepRule


class Attachment(Protocol):
    """What a call brings along besides the prompt: a ControlNet with its picture, a picture as a prompt, boxes.

    Frozen, and equal in `key` where calls may share a batch: the same networks, and tensors of the same shapes.
    """

    @property
    def key(self) -> Hashable: ...

    def applied(self, network: nn.Module, batch: Sequence[Self]) -> AbstractContextManager[None]:
        """`network` heeds the attachments of a batch, one for each of its calls, inside the block alone.

        The batch is in the order of the calls, and this attachment is its first.
        """
        ...


@dataclass(frozen=True)
class Cond:
    """What steers the network: the prompt's states, a pooled vector for SDXL, channels for inpainting models."""

    context: Tensor  # (1 n d)
    y: Tensor | None = None  # (1 v)
    concat: Tensor | None = None  # (1 c h w)
    timestep: TimestepRule = "nearest"  # which one the network is told for a noise level
    refiner: bool = False  # asks the executor's second model
    negative: bool = False  # what guidance leads away from; the network does not care
    guidance: float | None = None  # the scale that a distilled network is told (LCM)
    attached: tuple[Attachment, ...] = ()  # applied in this order; the last one is nearest to the network


class NetworkVariant(Protocol):
    """A change of the network for some calls only (`nn.hooks`): a frozen dataclass, equal where the change is equal."""

    def applied(self, network: nn.Module) -> AbstractContextManager[None]:
        """`network` is changed inside the block and as it was before after it."""
        ...

    def __hash__(self) -> int: ...


class NetworkCall(NamedTuple):
    """What guidance asks of the network, and is answered with the network's guess of the clean latents (1 c h w).

    A variant may make the network tell more: channels after the first c are its readings, handed on as they are.
    """

    x: Tensor  # (1 c h w)
    sigma: Tensor  # ()
    cond: Cond
    variants: tuple[NetworkVariant, ...] = ()  # in this order; the last one is nearest to the network
    place: Place | None = None  # the part of the picture that x is; None: all of it

    @property
    def key(self) -> tuple[object, ...]:
        """Calls of the same key may share a batch."""
        cond = self.cond
        shapes = (None if t is None else tuple(t.shape) for t in (self.x, cond.context, cond.y, cond.concat))
        return (*shapes, cond.refiner, self.variants, tuple(attachment.key for attachment in cond.attached))


Guiding: TypeAlias = Generator[Sequence[NetworkCall], Sequence[Tensor], Tensor]
Guidance: TypeAlias = Callable[[Evaluate], Guiding]
Picture: TypeAlias = Generator[Sequence[NetworkCall], Sequence[Tensor], Tensor]  # returns the final latents
Watch: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], None]  # (evaluation, x, sigma, denoised)


def drive(sampler: Sampler, guide: Guidance, watch: Watch | None = None, first: int = 0) -> Picture:
    """A sampler and its guidance as one coroutine of network calls.

    `watch` is told of each evaluation once it is answered: its number, `x`, `sigma` and the guided `denoised`.
    `first` is the number of the first evaluation: for a resumed sampler, that of the answers it was sent before.
    """
    try:
        ask = next(sampler)
        evaluation = first
        while True:
            answer = yield from guide(ask._replace(number=evaluation))
            if watch is not None:
                watch(evaluation, ask.x, ask.sigma, answer[0] if ask.split else answer)
            evaluation += 1
            ask = sampler.send(answer)
    except StopIteration as stop:
        latents: Tensor = stop.value
        return latents


def classifier_free(cond: Cond, uncond: Cond, scale: float) -> Guidance:
    """uncond + scale * (cond - uncond): Ho and Salimans (2022). Scale 1 asks for no unconditional answer."""
    return composed([(cond, 1.0)], uncond, scale)


def composed(conds: Sequence[tuple[Cond, float]], uncond: Cond, scale: float) -> Guidance:
    """uncond + scale * sum of weight * (cond - uncond): Liu et al. (2022), "Compositional Visual Generation"."""

    def guide(ask: Evaluate) -> Guiding:
        if scale == 1 and not ask.split and [weight for _, weight in conds] == [1]:
            (denoised,) = yield [NetworkCall(ask.x, ask.sigma, conds[0][0])]
            return denoised
        *answers, base = yield [NetworkCall(ask.x, ask.sigma, c) for c in (*(c for c, _ in conds), uncond)]
        denoised = base
        for answer, (_, weight) in zip(answers, conds, strict=True):
            denoised = denoised + (answer - base) * (scale * weight)
        return torch.stack((denoised, base)) if ask.split else denoised

    return guide


def instruct_pix2pix(cond: Cond, image_cond: Cond, uncond: Cond, scale: float, image_scale: float) -> Guidance:
    """Text and picture guided apart: Brooks et al. (2023), equation 3.

    `cond` has the text and the picture, `image_cond` the picture alone, `uncond` neither.
    """

    def guide(ask: Evaluate) -> Guiding:
        full, image, base = yield [NetworkCall(ask.x, ask.sigma, c) for c in (cond, image_cond, uncond)]
        denoised = base + image_scale * (image - base) + scale * (full - image)
        return torch.stack((denoised, base)) if ask.split else denoised

    return guide


def keep(guide: Guidance, latents: Tensor, mask: Tensor, noise: Tensor | None) -> Guidance:
    """Inpainting: where `mask` is 0 the answer is always `latents`, where it is 1 the guide's own.

    latents: (1 c h w), clean. mask: (1 1 h w) in [0, 1]. noise: unit noise like `latents`; with it the model also sees
    the kept part exactly at each noise level (ComfyUI), without it whatever the sampler made of it (AUTOMATIC1111).
    """

    def kept(ask: Evaluate) -> Guiding:
        x = ask.x if noise is None else torch.lerp(latents + noise * ask.sigma, ask.x, mask)
        answer = yield from guide(ask._replace(x=x))
        return torch.lerp(latents.expand_as(answer), answer, mask.expand_as(answer))

    return kept
