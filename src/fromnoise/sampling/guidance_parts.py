"""What guides are put together from: ask of one condition, ask several guides at once, contrast what they answer.

    guide = contrasted([(asking(cond), 1.0)], asking(uncond), linear(7.0))

is `classifier_free(cond, uncond, 7.0)`; each of the three may be something else: regions instead of `asking`, another
rule (`guidance_rules`) instead of `linear`. A wrapper takes any guide: `varied` has it ask another network.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from fromnoise.sampling.guidance import Cond, Guidance, Guiding, NetworkCall, NetworkVariant
from fromnoise.sampling.samplers import Evaluate

Rule: TypeAlias = Callable[[Evaluate, Tensor, Tensor], Tensor]  # (ask, cond, uncond), answers (1 c h w) -> guided
Skip: TypeAlias = Callable[[Evaluate], bool]

Result = TypeVar("Result")
Asking: TypeAlias = Generator[Sequence[NetworkCall], Sequence[Tensor], Result]


def linear(scale: float) -> Rule:
    """uncond + scale * (cond - uncond): Ho and Salimans (2022), equation 6 on denoised latents."""
    return lambda ask, cond, uncond: uncond + (cond - uncond) * scale


def asking(cond: Cond, *variants: NetworkVariant) -> Guidance:
    """The network's own answer, unguided."""

    def guide(ask: Evaluate) -> Guiding:
        (answer,) = yield [NetworkCall(ask.x, ask.sigma, cond, variants)]
        return torch.stack((answer, answer)) if ask.split else answer

    return guide


def gather(*askings: Asking[Result]) -> Asking[tuple[Result, ...]]:
    """Run generators of network calls side by side; their results. What several ask alike is asked once."""
    waiting: dict[int, Sequence[NetworkCall]] = {}
    results: dict[int, Result] = {}
    replies: dict[int, Sequence[Tensor] | None] = dict.fromkeys(range(len(askings)))
    while replies:
        for index, reply in replies.items():
            try:
                waiting[index] = next(askings[index]) if reply is None else askings[index].send(reply)
            except StopIteration as stop:
                waiting.pop(index, None)
                results[index] = stop.value
        distinct = {identity(call): call for calls in waiting.values() for call in calls}
        answers = dict(zip(distinct, (yield list(distinct.values())) if distinct else (), strict=True))
        replies = {index: [answers[identity(call)] for call in calls] for index, calls in waiting.items()}
    return tuple(results[index] for index in range(len(askings)))


def identity(call: NetworkCall) -> tuple[object, ...]:
    """Equal for calls that ask the same of the same tensors in memory."""
    parts = (call.x, call.sigma, *vars(call.cond).values())
    places = ((p.data_ptr(), p.shape, p.stride()) if isinstance(p, Tensor) else p for p in parts)
    return (*places, call.variants)


def composition(answers: Sequence[Tensor], weights: Sequence[float], base: Tensor) -> Tensor:
    """base + sum of weight * (answer - base): Liu et al. (2022), equation 11. One answer of weight 1 is left exact."""
    if list(weights) == [1]:
        return answers[0]
    total = base
    for answer, weight in zip(answers, weights, strict=True):
        total = total + (answer - base) * weight
    return total


def contrasted(
    conds: Sequence[tuple[Guidance, float]], uncond: Guidance, rule: Rule, skip: Skip | None = None
) -> Guidance:
    """`rule` on the composition of what `conds` answer with their weights, and on what `uncond` answers.

    Where `skip` holds and the sampler does not need both, the unconditional answer is not asked for: the first
    condition's takes its place and the rule is left out (AUTOMATIC1111), as for scale 1.
    """
    weights = [weight for _, weight in conds]

    def guide(ask: Evaluate) -> Guiding:
        question = ask._replace(split=False)
        asked = [cond(question) for cond, _ in conds]
        if skip is not None and not ask.split and skip(ask):
            alone = yield from gather(*asked)
            return composition(alone, weights, alone[0])
        *answers, base = yield from gather(*asked, uncond(question))
        denoised = rule(ask, composition(answers, weights, base), base)
        return torch.stack((denoised, base)) if ask.split else denoised

    return guide


def negative_minimum_sigma(minimum: float, every_step: bool = False) -> Skip:
    """AUTOMATIC1111's NGMS: below noise level `minimum`, on every other evaluation or on all; 0 is never."""
    return lambda ask: bool(ask.sigma < minimum) and (every_step or ask.number % 2 == 1)


def skip_early(share: float, evaluations: int) -> Skip:
    """AUTOMATIC1111's "Skip Early CFG": the evaluations up to `share` of all there will be; 0 is never."""
    return lambda ask: share > 0 and ask.number / evaluations <= share


def either(*skips: Skip) -> Skip:
    """Where any of `skips` holds."""
    return lambda ask: any(skip(ask) for skip in skips)


def perp_neg(cond: Guidance, negatives: Sequence[tuple[Guidance, float]], empty: Guidance, scale: float) -> Guidance:
    """Armandpour et al. (2023), "Re-imagine the Negative Prompt Algorithm": of each negative prompt only what is
    perpendicular to the positive one is taken away, times its weight. All are seen from the empty prompt:
    empty + scale * (p - sum of weight * (n - (n . p) / (p . p) * p)), with p and n differences from `empty`.
    """

    def guide(ask: Evaluate) -> Guiding:
        question = ask._replace(split=False)
        sides = [cond, *(negative for negative, _ in negatives), empty]
        positive, *others, base = yield from gather(*(side(question) for side in sides))
        along = positive - base
        direction = along
        for other, (_, weight) in zip(others, negatives, strict=True):
            direction = direction - perpendicular(other - base, along) * weight
        denoised = base + direction * scale
        return torch.stack((denoised, base)) if ask.split else denoised

    return guide


def perpendicular(vector: Tensor, to: Tensor) -> Tensor:
    """`vector` without its part along `to`, of any one shape; all of it when `to` is 0."""
    return vector - to * ((vector * to).sum() / (to * to).sum().clamp_min(torch.finfo(to.dtype).tiny))


def varied(guide: Guidance, *variants: NetworkVariant) -> Guidance:
    """`guide`, asking a network changed by `variants` whatever it asks."""
    return lambda ask: translated(guide(ask), lambda call: call._replace(variants=(*variants, *call.variants)))


def translated(
    guiding: Guiding,
    forth: Callable[[NetworkCall], NetworkCall],
    back: Callable[[NetworkCall, Tensor], Tensor] = lambda call, answer: answer,
) -> Guiding:
    """`guiding` with each call changed by `forth`, and answered with `back` of its own call and the answer."""
    try:
        calls = next(guiding)
        while True:
            answers = yield [forth(call) for call in calls]
            calls = guiding.send([back(call, answer) for call, answer in zip(calls, answers, strict=True)])
    except StopIteration as stop:
        denoised: Tensor = stop.value
        return denoised


def shifted(answer: Tensor, by: Tensor, ask: Evaluate) -> Tensor:
    """A guide's answer to `ask` with its guided part moved; an unconditional one, where asked for, stays."""
    return torch.stack((answer[0] + by, answer[1])) if ask.split else answer + by
