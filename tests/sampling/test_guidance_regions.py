"""Regions are composed as ComfyUI composes areas and masks, by loops over its definition."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Cond, NetworkCall
from fromnoise.sampling.guidance_parts import asking, contrasted, linear
from fromnoise.sampling.guidance_regions import Region, opposed, regional
from tests.sampling.answers import answered, asked, cond, pretend, value
from tests.sampling.answers import question as small_question

HEIGHT, WIDTH = 24, 40
A, B, C = cond(1), cond(2), cond(3)


def question(sigma: float = 2.0, split: bool = False):  # type: ignore[no-untyped-def]
    x = torch.randn(1, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return small_question(sigma, split)._replace(x=x)


def fade(length: int, before: bool, after: bool) -> np.ndarray:
    """Weights along one side of an area, with picture before and after it or not."""
    weights, reach = np.ones(length), min(8, length // 4)
    for t in range(reach):
        if before:
            weights[t] *= (t + 1) / reach
        if after:
            weights[length - 1 - t] *= (t + 1) / reach
    return weights


def composed(regions: list[Region], x: Tensor) -> np.ndarray:
    """The weighted mean, region by region."""
    total, count = np.zeros(x.shape), np.full(x.shape, 1e-37)
    for region in regions:
        a = region.area or Area(0, 0, HEIGHT, WIDTH)
        height, width = min(a.height, HEIGHT - a.top), min(a.width, WIDTH - a.left)
        place = np.s_[:, :, a.top : a.top + height, a.left : a.left + width]
        if region.mask is not None:
            weight = region.mask.numpy()[place]
        elif region.area is not None:
            weight = np.outer(
                fade(height, a.top > 0, a.top + height < HEIGHT), fade(width, a.left > 0, a.left + width < WIDTH)
            )
        else:
            weight = np.ones((height, width))
        part = torch.from_numpy(x.numpy()[place].copy())
        answer = pretend(NetworkCall(part, torch.tensor(2.0, dtype=torch.float64), region.cond)).numpy()
        total[place] += answer * weight * region.strength
        count[place] += np.broadcast_to(weight * region.strength, answer.shape)
    return total / count


MASK = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
LAYOUTS: dict[str, list[Region]] = {
    "an area over all": [Region(A), Region(B, Area(4, 8, 16, 20), strength=1.5)],
    "areas that overlap": [Region(A, Area(0, 0, 24, 24)), Region(B, Area(0, 16, 24, 24), strength=0.7)],
    "an area in a corner, and nothing elsewhere": [Region(A, Area(12, 30, 12, 10))],
    "an area over the edge": [Region(A), Region(B, Area(20, 35, 16, 16))],
    "too small to fade": [Region(A), Region(B, Area(3, 3, 3, 3))],
    "a mask": [Region(A), Region(B, mask=MASK, strength=2.0)],
    "a mask with an area": [Region(A), Region(B, Area(4, 8, 16, 20), mask=MASK)],
    "two masks": [Region(A, mask=1 - MASK), Region(B, mask=MASK)],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_regions_by_their_definition(name: str) -> None:
    ask = question()
    answer, rounds = asked(regional(LAYOUTS[name]), ask)
    np.testing.assert_allclose(answer.numpy(), composed(LAYOUTS[name], ask.x), rtol=1e-12)
    assert [value(call) for call in rounds[0]] == [value(NetworkCall(ask.x, ask.sigma, r.cond)) for r in LAYOUTS[name]]


def test_the_whole_picture_is_the_plain_answer() -> None:
    assert torch.equal(answered(regional([Region(A)]), question()), answered(asking(A), question()))


def test_a_region_alone_gives_its_own_answer_whatever_its_weight() -> None:
    everywhere = regional([Region(A, mask=torch.full_like(MASK, 0.3), strength=5)])
    torch.testing.assert_close(answered(everywhere, question()), answered(asking(A), question()))


def test_places_without_a_region_are_zero() -> None:
    answer = answered(regional([Region(A, Area(0, 0, 24, 20))]), question())
    assert not answer[..., 20:].any()
    assert answer[..., :20].all()


def test_only_the_area_is_asked_about() -> None:
    concat = torch.randn(1, 5, HEIGHT, WIDTH)
    area = Area(4, 8, 16, 20)
    region = Region(Cond(torch.zeros(1, 3, 2), concat=concat), area)
    _, ((call,),) = asked(regional([region]), question())
    assert torch.equal(call.x, question().x[..., 4:20, 8:28])
    assert call.cond.concat is not None
    assert torch.equal(call.cond.concat, concat[..., 4:20, 8:28])


def test_regions_count_between_their_noise_levels() -> None:
    regions = [Region(A, last=1.0), Region(B, first=1.0), Region(C, first=5.0, last=0.5)]
    guide = regional(regions)
    for sigma, expected in ((9.0, [1]), (4.0, [1, 3]), (1.0, [1, 2, 3]), (0.1, [2])):
        _, rounds = asked(guide, question(sigma))
        assert [value(call) for call in rounds[0]] == expected


@pytest.mark.parametrize("split", [False, True])
def test_regions_are_a_side_of_guidance(split: bool) -> None:
    regions = LAYOUTS["areas that overlap"]
    guide = contrasted([(regional(regions), 1.0)], asking(C), linear(5.0))
    answer, rounds = asked(guide, question(split=split))
    assert [[value(call) for call in calls] for calls in rounds] == [[1, 2, 3]]
    side, base = composed(regions, question().x), answered(asking(C), question()).numpy()
    np.testing.assert_allclose((answer[0] if split else answer).numpy(), base + 5 * (side - base), rtol=1e-10)
    if split:
        np.testing.assert_array_equal(answer[1].numpy(), base)


def test_what_two_guides_ask_of_the_same_area_is_asked_once() -> None:
    side = regional(LAYOUTS["areas that overlap"])
    _, rounds = asked(contrasted([(side, 1.0), (side, 0.5)], asking(C), linear(5.0)), question())
    assert len(rounds[0]) == 3


def test_areas_from_shares_and_masks() -> None:
    assert Area.shares(0.25, 0.1, 0.5, 0.001, of=(HEIGHT, WIDTH)) == Area(6, 4, 12, 1)
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    assert Area.around(mask) == Area(0, 0, 8, 8)
    mask[..., 5:20, 10:14] = 0.2
    assert Area.around(mask) == Area(5, 10, 15, 8)


def test_each_area_gets_a_counterpart() -> None:
    left, right, part = Area(0, 0, 24, 20), Area(0, 20, 24, 20), Area(2, 2, 8, 8)
    conds = [Region(A, left, strength=0.5), Region(B, part), Region(C)]
    other, wide = cond(7), cond(8)
    unconds = [Region(other), Region(wide, Area(0, 0, 24, 30)), Region(C, right)]
    positive, negative = opposed(conds, unconds)
    assert positive[:3] == conds
    assert negative[:3] == unconds
    added = [(r.cond, r.area, r.strength) for r in negative[3:]]
    assert added == [(wide, left, 0.5), (wide, part, 1.0)]  # from the smallest area that holds each
    gained = [(r.cond, r.area) for r in positive[3:]]
    assert gained == [(C, Area(0, 0, 24, 30)), (C, right)]


def test_no_counterpart_where_one_is_there_or_none_fits() -> None:
    area = Area(0, 0, 8, 8)
    positive, negative = opposed([Region(A, area)], [Region(B, area)])
    assert (len(positive), len(negative)) == (1, 1)
    positive, negative = opposed([Region(A, area)], [Region(B, Area(9, 9, 8, 8))])
    assert (len(positive), len(negative)) == (1, 1)
    positive, negative = opposed([Region(A)], [Region(B)])
    assert (len(positive), len(negative)) == (1, 1)
