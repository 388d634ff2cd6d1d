"""Tiled guidance: where tiles lie, how their answers are averaged, and what they bring along."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fromnoise.sampling.areas import Area, cut
from fromnoise.sampling.guidance import Cond, Guidance, NetworkCall, classifier_free
from fromnoise.sampling.guidance_parts import asking, contrasted, linear
from fromnoise.sampling.guidance_regions import Region, regional
from fromnoise.sampling.guidance_tiles import Tiles, bell, tiled
from fromnoise.sampling.samplers import Evaluate

A, B = (Cond(torch.full((1, 2, 3), value)) for value in (1.0, 2.0))
X = torch.randn(1, 4, 20, 30, generator=torch.Generator().manual_seed(0))
SIGMA = torch.tensor(2.0)


def answered(guide: Guidance, x: Tensor = X, split: bool = False) -> tuple[Tensor, list[NetworkCall]]:
    """What `guide` makes of a network that shifts each place by its prompt and blurs with its neighbours."""
    asked: list[NetworkCall] = []
    guiding = guide(Evaluate(x, SIGMA, split))
    try:
        calls = next(guiding)
        while True:
            asked += calls
            calls = guiding.send([network(call) for call in calls])
    except StopIteration as stop:
        return stop.value, asked


def network(call: NetworkCall) -> Tensor:
    blurred = torch.nn.functional.avg_pool2d(call.x, 3, stride=1, padding=1)
    return blurred * call.sigma + call.cond.context.mean()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 128), st.integers(8, 128), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_tiles_are_equally_large_and_cover_everything(
    height: int, width: int, tile_height: int, tile_width: int, overlap: int
) -> None:
    tiles = Tiles(tile_height, tile_width, overlap)
    areas = tiles.areas(height, width)
    assert {(area.height, area.width) for area in areas} == {(min(tile_height, height), min(tile_width, width))}
    covered = torch.zeros(height, width, dtype=torch.bool)
    for area in areas:
        assert 0 <= area.top <= height - area.height
        assert 0 <= area.left <= width - area.width
        area.of(covered).fill_(True)
    assert covered.all()
    least = max(0, min(overlap, min(areas[0].height, areas[0].width) - 4))
    for one, other in pairwise(sorted({area.left for area in areas})):
        assert one + areas[0].width - other >= least


def test_tiles_lie_where_automatic1111s_extension_puts_them() -> None:
    """96 x 96 with 48 shared over 128 x 200: rows and columns are (n - 48) / 48, rounded up, spread evenly."""
    areas = Tiles().areas(128, 200)
    assert sorted({area.top for area in areas}) == [0, 32]
    assert sorted({area.left for area in areas}) == [0, 34, 69, 104]


@pytest.mark.parametrize("weights", ["even", "gaussian"])
def test_answers_are_averaged_by_their_definition(weights: str) -> None:
    tiles = Tiles(12, 14, 5, weights)  # type: ignore[arg-type]
    made, asked = answered(tiled(asking(A), tiles))
    areas = tiles.areas(20, 30)
    assert len(asked) == len(areas) == 3 * 3
    total, weight = torch.zeros(1, 4, 20, 30, dtype=torch.float64), torch.zeros(20, 30, dtype=torch.float64)
    for area in areas:
        answer = network(NetworkCall(area.of(X), SIGMA, A)).double()
        for row in range(12):
            for column in range(14):
                share = 1.0
                if weights == "gaussian":
                    distances = ((row - 5.5) / 12) ** 2, ((column - 6.5) / 14) ** 2
                    share = math.exp(-sum(distances) / 0.02)
                total[..., area.top + row, area.left + column] += answer[..., row, column] * share
                weight[area.top + row, area.left + column] += share
    torch.testing.assert_close(made, (total / weight).float(), atol=1e-5, rtol=1e-5)


def test_a_network_that_looks_nowhere_is_not_changed_by_tiles() -> None:
    def local(guide: Guidance) -> Tensor:
        guiding = guide(Evaluate(X, SIGMA))
        calls = next(guiding)
        try:
            guiding.send([call.x * 3 + call.cond.context.mean() for call in calls])
        except StopIteration as stop:
            return stop.value
        raise AssertionError

    guide = classifier_free(A, B, 5.0)
    for weights in ("even", "gaussian"):
        made = local(tiled(guide, Tiles(8, 9, 3, weights)))  # type: ignore[arg-type]
        torch.testing.assert_close(made, local(guide), atol=1e-4, rtol=1e-4)


def test_what_fits_is_asked_whole() -> None:
    whole, calls = answered(classifier_free(A, B, 5.0))
    made, asked = answered(tiled(classifier_free(A, B, 5.0), Tiles(20, 30, 4)))
    assert torch.equal(made, whole)
    assert [id(call.x) for call in asked] == [id(call.x) for call in calls]


def test_regions_larger_than_a_tile_are_cut_too() -> None:
    guide = contrasted([(regional([Region(A), Region(B, Area(2, 3, 10, 8))]), 1.0)], asking(B), linear(3.0))
    made, asked = answered(tiled(guide, Tiles(12, 12, 4)))
    assert {tuple(call.x.shape[-2:]) for call in asked} == {(12, 12), (10, 8)}
    whole, _ = answered(guide)
    assert made.shape == whole.shape
    assert float((made - whole).abs().mean()) < 0.2 * float(whole.std())


def test_both_answers_are_handed_on() -> None:
    made, _ = answered(tiled(classifier_free(A, B, 5.0), Tiles(12, 12, 4)), split=True)
    assert made.shape == (2, 1, 4, 20, 30)


@dataclass(frozen=True, eq=False)
class Hint:
    """An attachment that knows its place."""

    tensor: Tensor
    key: str = "hint"

    def applied(self, network: torch.nn.Module, batch: Sequence["Hint"]) -> nullcontext[None]:
        return nullcontext()

    def within(self, area: Area, of: tuple[int, int]) -> "Hint":
        return Hint(cut(self.tensor, area, of))


def test_what_belongs_to_places_is_cut_and_the_rest_comes_along() -> None:
    class Everywhere:
        key = "everywhere"

        def applied(self, network: torch.nn.Module, batch: Sequence["Everywhere"]) -> nullcontext[None]:
            return nullcontext()

    places = torch.arange(20 * 30.0).view(1, 1, 20, 30)
    fine = places.repeat_interleave(8, 2).repeat_interleave(8, 3)
    rest = Everywhere()
    cond = Cond(A.context, concat=places, attached=(Hint(fine), rest))
    _, asked = answered(tiled(asking(cond), Tiles(12, 14, 5)))
    for call, area in zip(asked, Tiles(12, 14, 5).areas(20, 30), strict=True):
        hint, same = call.cond.attached
        assert isinstance(hint, Hint)
        assert torch.equal(hint.tensor[..., ::8, ::8], area.of(places))
        assert hint.tensor.shape[-2:] == (96, 112)
        assert torch.equal(call.cond.concat, area.of(places))  # type: ignore[arg-type]
        assert same is rest
    _, asked = answered(regional([Region(cond, Area(4, 6, 8, 9))]))
    assert torch.equal(asked[0].cond.attached[0].tensor[..., ::8, ::8], Area(4, 6, 8, 9).of(places))  # type: ignore[attr-defined]


@given(st.integers(0, 200), st.integers(1, 100), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_cutting_keeps_sizes_equal(start: int, length: int, shrink: int) -> None:
    whole = start + length + 7
    small = torch.zeros(1, 1, -(-whole // shrink), 3)
    made = cut(small, Area(start, 0, length, 3), (whole, 3))
    assert made.shape[-2] == min(small.shape[-2], -(-length * small.shape[-2] // whole))


def test_the_bell_is_even_and_a_tenth_wide() -> None:
    weights = bell(100, X)
    assert torch.allclose(weights, weights.flip(0))
    assert float(weights[60] / weights[50]) == pytest.approx(math.exp(-(0.105**2 - 0.005**2) / 0.02), rel=1e-4)
