"""Perturbed-attention and self-attention guidance: their formulas, their costs, and their limits."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Guidance, NetworkCall, NetworkVariant, classifier_free
from fromnoise.sampling.guidance_attention import blurred, perturbed, self_attention
from fromnoise.sampling.guidance_parts import asking, varied
from fromnoise.sampling.guidance_regions import Region, regional
from tests.sampling.answers import SHAPE, answered, asked, cond, pretend, question, value

A, B = cond(1), cond(2)


@dataclass(frozen=True)
class Spoilt:
    def applied(self, network: nn.Module) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True)
class Map:
    def applied(self, network: nn.Module) -> AbstractContextManager[None]:
        return nullcontext()


RECEIVED = 2 * torch.rand(1, 1, *SHAPE[2:], generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def network(call: NetworkCall) -> Tensor:
    """Spoilt answers are another network's; a map is one more channel."""
    answer = pretend(call)
    if Spoilt() in call.variants:
        answer = answer.flip(-2) * 0.9
    return torch.cat((answer, RECEIVED), dim=1) if Map() in call.variants else answer


def plain(call: NetworkCall) -> np.ndarray:
    return pretend(call).numpy()


# --- perturbed attention --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_perturbed_attention_by_its_formula(scale: float, split: bool) -> None:
    ask = question(split=split)
    answer, rounds = asked(perturbed(classifier_free(A, B, scale), asking(A), Spoilt(), 3.0), ask, network)
    c, u = (plain(NetworkCall(ask.x, ask.sigma, x)) for x in (A, B))
    expected = u + scale * (c - u) + 3.0 * (c - 0.9 * c[..., ::-1, :])
    np.testing.assert_allclose((answer[0] if split else answer).numpy(), expected, rtol=1e-12)
    if split:
        np.testing.assert_array_equal(answer[1].numpy(), u)
    (calls,) = rounds
    needed = [(1, ()), (1, (Spoilt(),))] if scale == 1 and not split else [(1, ()), (2, ()), (1, (Spoilt(),))]
    assert [(value(call), call.variants) for call in calls] == needed


def test_perturbed_regions_ask_each_region_twice() -> None:
    side = regional([Region(A, Area(0, 0, 6, 3)), Region(B, Area(0, 3, 6, 3))])
    answer, (calls,) = asked(perturbed(side, side, Spoilt(), 2.0), question(), network)
    assert [(value(call), call.variants) for call in calls] == [(1, ()), (2, ()), (1, (Spoilt(),)), (2, (Spoilt(),))]
    own, spoilt = (answered(guide, question(), network) for guide in (side, varied(side, Spoilt())))
    torch.testing.assert_close(answer, own + 2.0 * (own - spoilt))


# --- self-attention -------------------------------------------------------------------------------------------------


def blur(image: np.ndarray, deviation: float) -> np.ndarray:
    """One channel, pixel by pixel, mirrored without its edge."""
    padded = np.pad(image, 4, mode="reflect")
    offsets = np.arange(-4, 5)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * deviation**2))
    weights /= weights.sum()
    return np.array(
        [[(padded[y : y + 9, x : x + 9] * weights).sum() for x in range(image.shape[1])] for y in range(image.shape[0])]
    )


def test_blur_by_its_definition() -> None:
    x = torch.randn(2, 3, 6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    got = blurred(x, 1.5).numpy()
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(got[index], blur(x.numpy()[index], 1.5), rtol=1e-12)
    torch.testing.assert_close(blurred(torch.ones(1, 4, 5, 5), 2.0), torch.ones(1, 4, 5, 5))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_self_attention_by_its_formula(scale: float, split: bool) -> None:
    ask = question(split=split)
    guide = self_attention(classifier_free(A, B, scale), B, Map(), 0.75, blur=1.5, threshold=1.2)
    answer, rounds = asked(guide, ask, network)
    c, u = (plain(NetworkCall(ask.x, ask.sigma, x)) for x in (A, B))
    looked_at = RECEIVED.numpy() > 1.2
    degraded = np.where(looked_at, np.stack([blur(u[0, i], 1.5) for i in range(4)])[None], u)
    noised = torch.from_numpy(degraded + (ask.x.numpy() - u))
    worse = plain(NetworkCall(noised, ask.sigma, B))
    expected = u + scale * (c - u) + 0.75 * (degraded - worse)
    np.testing.assert_allclose((answer[0] if split else answer).numpy(), expected, rtol=1e-10)
    assert 0 < looked_at.mean() < 1
    if split:
        np.testing.assert_array_equal(answer[1].numpy(), u)
    first, second = ([(value(call), call.variants) for call in calls] for calls in rounds)
    assert first == [(1, ()), (2, (Map(),))]  # the map comes with the unconditional answer, not beside it
    assert second == [(2, ())]


def test_both_on_top_of_each_other() -> None:
    inner = perturbed(classifier_free(A, B, 5.0), asking(A), Spoilt(), 3.0)
    both, rounds = asked(self_attention(inner, B, Map(), 0.5), question(), network)
    assert [len(calls) for calls in rounds] == [3, 1]
    alone = answered(self_attention(classifier_free(A, B, 5.0), B, Map(), 0.5), question(), network)
    with_one = answered(inner, question(), network)
    without = answered(classifier_free(A, B, 5.0), question(), network)
    torch.testing.assert_close(both - with_one, alone - without)


def test_the_other_way_round() -> None:
    guide = perturbed(self_attention(classifier_free(A, B, 5.0), B, Map(), 0.5), asking(A), Spoilt(), 3.0)
    answer, rounds = asked(guide, question(), network)
    assert [len(calls) for calls in rounds] == [3, 1]
    other = self_attention(perturbed(classifier_free(A, B, 5.0), asking(A), Spoilt(), 3.0), B, Map(), 0.5)
    torch.testing.assert_close(answer, answered(other, question(), network))


def test_scale_zero_is_the_guide_itself() -> None:
    inner = classifier_free(A, B, 5.0)
    guides: list[Guidance] = [perturbed(inner, asking(A), Spoilt(), 0), self_attention(inner, B, Map(), 0)]
    assert guides == [inner, inner]


def test_tiny_latents_are_left_alone() -> None:
    ask = question()._replace(x=question().x[..., :4])
    guide = self_attention(classifier_free(A, B, 5.0), B, Map(), 0.5)
    assert torch.equal(answered(guide, ask), answered(classifier_free(A, B, 5.0), ask))


def test_variants_satisfy_the_protocol() -> None:
    variants: list[NetworkVariant] = [Spoilt(), Map()]
    assert len(set(variants)) == 2
