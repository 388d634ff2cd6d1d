"""Guides whose calls bring something along for a part of the run, or on one side of guidance alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from fromnoise.sampling.areas import Place
from fromnoise.sampling.guidance import Attachment, Guidance, Guiding, NetworkCall
from fromnoise.sampling.guidance_parts import translated
from fromnoise.sampling.guidance_regions import within
from fromnoise.sampling.samplers import Evaluate


class Companion(Protocol):
    """A control network with its hint, or whatever else goes along with calls."""

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        """What a call about the whole picture brings along at this question, on the negative prompt's side or not."""
        ...

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        """What becomes of the network's guess (1 c h w) of the picture, or of a part of it."""
        ...


def accompanied(guide: Guidance, companions: Sequence[Companion]) -> Guidance:
    """`guide` with `companions` at every call of the model, but not of a refiner; the first is farthest from it."""
    if not companions:
        return guide

    def guided(ask: Evaluate) -> Guiding:
        def forth(call: NetworkCall) -> NetworkCall:
            cond = call.cond
            if cond.refiner:
                return call
            brought = tuple(more for one in companions for more in one.attachments(ask, cond.negative))
            if call.place is not None:
                brought = tuple(within(one, call.place) for one in brought)
            return call._replace(cond=replace(cond, attached=(*brought, *cond.attached))) if brought else call

        def back(call: NetworkCall, answer: Tensor) -> Tensor:
            if call.cond.refiner:
                return answer
            channels = call.x.shape[1]
            denoised, readings = answer[:, :channels], answer[:, channels:]
            for one in companions:
                denoised = one.answered(ask, call.cond.negative, denoised, call.place)
            return denoised if not readings.shape[1] else torch.cat((denoised, readings), dim=1)

        return (yield from translated(guide(ask), forth, back))

    return guided
