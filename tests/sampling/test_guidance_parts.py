"""Guides put together from parts ask what they need once, and combine it as their sources say."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fromnoise.sampling.guidance import Cond, NetworkCall, classifier_free, composed, drive
from fromnoise.sampling.guidance_parts import (
    asking,
    contrasted,
    either,
    gather,
    identity,
    linear,
    negative_minimum_sigma,
    perp_neg,
    perpendicular,
    skip_early,
    varied,
)
from fromnoise.sampling.samplers import SAMPLERS, Evaluate
from tests.sampling.answers import answered, asked, cond, pretend, question, value

A, B, C, D = cond(1), cond(2), cond(3), cond(4)


@dataclass(frozen=True)
class Named:
    name: str

    def applied(self, network: nn.Module) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("scale", [0.0, 2.5, 7.0])
def test_contrast_of_two_is_classifier_free(scale: float, split: bool) -> None:
    guide = contrasted([(asking(A), 1.0)], asking(B), linear(scale))
    ask = question(split=split)
    assert torch.equal(answered(guide, ask), answered(classifier_free(A, B, scale), ask))


def test_contrast_of_many_is_composition() -> None:
    guide = contrasted([(asking(A), 0.7), (asking(C), -0.4)], asking(B), linear(5.0))
    expected = answered(composed([(A, 0.7), (C, -0.4)], B, 5.0), question())
    torch.testing.assert_close(answered(guide, question()), expected)


def test_no_condition_is_the_unconditional_answer() -> None:
    assert torch.equal(answered(contrasted([], asking(B), linear(5.0)), question()), answered(asking(B), question()))


@pytest.mark.parametrize("split", [False, True])
def test_all_is_asked_in_one_round(split: bool) -> None:
    guide = contrasted([(asking(A), 1.0), (asking(C), 0.5)], asking(B), linear(5.0))
    answer, rounds = asked(guide, question(split=split))
    assert [[value(call) for call in calls] for calls in rounds] == [[1, 3, 2]]
    assert answer.shape == ((2,) if split else ()) + (1, 4, 6, 6)


def test_gather_asks_for_the_same_once() -> None:
    ask = question()

    def both() -> object:
        return (yield from gather(asking(A)(ask), asking(B)(ask), asking(A)(ask), asking(A, Named("other"))(ask)))

    results, rounds = asked(lambda _: both(), ask)  # type: ignore[arg-type, return-value]
    assert [[(value(call), call.variants) for call in calls] for calls in rounds] == [
        [(1, ()), (2, ()), (1, (Named("other"),))]
    ]
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], pretend(NetworkCall(ask.x, ask.sigma, B)))


def test_calls_of_the_same_memory_are_the_same() -> None:
    x, sigma = question().x, torch.tensor(1.0)
    call = NetworkCall(x, sigma, Cond(A.context, concat=x))
    same = [NetworkCall(x, sigma, Cond(A.context, concat=x)), call._replace(x=x[...])]
    assert {identity(call)} == {identity(other) for other in same}
    others = [
        call._replace(x=x.clone()),
        call._replace(x=x[..., :3]),
        call._replace(x=x.transpose(2, 3)),
        call._replace(sigma=sigma + 1),
        call._replace(variants=(Named("a"),)),
        *(call._replace(cond=replace(call.cond, **change)) for change in ({"refiner": True}, {"concat": None})),  # type: ignore[arg-type]
    ]
    assert len({identity(call), *map(identity, others)}) == 1 + len(others)


def test_gather_runs_rounds_of_different_number() -> None:
    def twice(ask: Evaluate):  # type: ignore[no-untyped-def]
        first = yield from asking(A)(ask)
        return (yield from asking(B)(ask._replace(x=first)))

    def none(ask: Evaluate):  # type: ignore[no-untyped-def]
        return ask.x
        yield

    def guide(ask: Evaluate):  # type: ignore[no-untyped-def]
        return (yield from gather(none(ask), asking(A)(ask), twice(ask)))

    ask = question()
    (nothing, once, double), rounds = asked(guide, ask)  # type: ignore[arg-type, misc]
    assert [len(calls) for calls in rounds] == [1, 1]
    assert torch.equal(nothing, ask.x)
    assert torch.equal(double, pretend(NetworkCall(once, ask.sigma, B)))


def test_gather_of_nothing_asks_nothing() -> None:
    assert list(gather()) == []


def test_varied_reaches_every_call() -> None:
    guide = varied(varied(contrasted([(asking(A), 1.0)], asking(B), linear(3.0)), Named("inner")), Named("outer"))
    answer, rounds = asked(guide, question())
    assert [call.variants for call in rounds[0]] == [(Named("outer"), Named("inner"))] * 2
    assert torch.equal(answer, answered(classifier_free(A, B, 3.0), question()))


def test_variants_keep_calls_apart() -> None:
    ask = question()
    plain = NetworkCall(ask.x, ask.sigma, A)
    keys = {plain._replace(variants=v).key for v in ((), (Named("a"),), (Named("b"),), (Named("a"), Named("b")))}
    assert len(keys) == 4
    assert plain._replace(variants=(Named("a"),)).key in keys


# --- leaving the unconditional answer out ---------------------------------------------------------------------------


def test_a_skipped_unconditional_answer_is_not_asked_for() -> None:
    guide = contrasted([(asking(A), 1.0)], asking(B), linear(7.0), skip=lambda ask: True)
    answer, rounds = asked(guide, question())
    assert [[value(call) for call in calls] for calls in rounds] == [[1]]
    assert torch.equal(answer, answered(asking(A), question()))


def test_skipping_takes_the_first_condition_for_the_base() -> None:
    guide = contrasted([(asking(A), 0.5), (asking(C), 2.0)], asking(B), linear(7.0), skip=lambda ask: True)
    a, c = (answered(asking(x), question()) for x in (A, C))
    torch.testing.assert_close(answered(guide, question()), a + 2.0 * (c - a))


def test_samplers_that_need_both_get_both() -> None:
    guide = contrasted([(asking(A), 1.0)], asking(B), linear(7.0), skip=lambda ask: True)
    expected = answered(classifier_free(A, B, 7.0), question(split=True))
    assert torch.equal(answered(guide, question(split=True)), expected)


@pytest.mark.parametrize(
    ("minimum", "every", "sigma", "number", "skipped"),
    [
        (0.0, True, 0.0, 1, False),
        (2.0, False, 1.0, 1, True),
        (2.0, False, 1.0, 2, False),
        (2.0, True, 1.0, 2, True),
        (2.0, False, 2.0, 1, False),
        (2.0, True, 3.0, 1, False),
    ],
)
def test_negative_minimum_sigma(minimum: float, every: bool, sigma: float, number: int, skipped: bool) -> None:
    assert negative_minimum_sigma(minimum, every)(question(sigma, number=number)) is skipped


def test_skip_early() -> None:
    def numbers(share: float) -> list[int]:
        return [n for n in range(20) if skip_early(share, 20)(question(number=n))]

    assert numbers(0) == []
    assert numbers(0.04) == [0]
    assert numbers(0.1) == [0, 1, 2]
    assert numbers(1) == list(range(20))
    both = either(skip_early(0.1, 20), negative_minimum_sigma(1.0))
    assert [both(question(s, number=n)) for s, n in ((5, 1), (5, 3), (0.5, 3))] == [True, False, True]


@pytest.mark.parametrize("name", ["euler", "heun"])
def test_drive_numbers_the_evaluations(name: str) -> None:
    seen: list[int] = []

    def guide(ask: Evaluate):  # type: ignore[no-untyped-def]
        seen.append(ask.number)
        return (yield from asking(A)(ask))

    picture = drive(SAMPLERS[name].start(question().x, torch.tensor([4.0, 2.0, 1.0, 0.0])), guide, first=3)
    calls: Sequence[NetworkCall] | None = next(picture)
    while calls is not None:
        try:
            calls = picture.send([pretend(call) for call in calls])
        except StopIteration:
            calls = None
    assert seen == list(range(3, 3 + len(seen)))
    assert len(seen) == {"euler": 3, "heun": 5}[name]


# --- perpendicular negative prompts --------------------------------------------------------------------------------


def numbers(guide: object, ask: Evaluate) -> np.ndarray:
    return answered(guide, ask).numpy()  # type: ignore[arg-type]


def test_perp_neg_by_its_formula() -> None:
    guide = perp_neg(asking(A), [(asking(C), 1.5), (asking(D), -0.25)], asking(B), 6.0)
    p, n, m, e = (numbers(asking(x), question()) for x in (A, C, D, B))
    along, one, two = p - e, n - e, m - e

    def across(vector: np.ndarray) -> np.ndarray:
        return vector - (vector * along).sum() / (along * along).sum() * along

    expected = e + 6.0 * (along - 1.5 * across(one) + 0.25 * across(two))
    np.testing.assert_allclose(numbers(guide, question()), expected, rtol=1e-12)
    assert abs((across(one) * along).sum()) < 1e-9


@pytest.mark.parametrize("split", [False, True])
def test_perp_neg_without_negatives_is_classifier_free(split: bool) -> None:
    for negatives in ([], [(asking(C), 0.0)]):
        guide, ask = perp_neg(asking(A), negatives, asking(B), 6.0), question(split=split)
        assert torch.equal(answered(guide, ask), answered(classifier_free(A, B, 6.0), ask))


def test_a_negative_along_the_positive_takes_nothing_away() -> None:
    def network(call: NetworkCall) -> Tensor:
        return call.x * value(call)  # from 2 on, all lie along x

    guide = perp_neg(asking(A), [(asking(C), 3.0)], asking(B), 6.0)
    torch.testing.assert_close(
        answered(guide, question(), network), answered(classifier_free(A, B, 6.0), question(), network)
    )


def test_nothing_has_no_direction() -> None:
    vector = question().x
    assert torch.equal(perpendicular(vector, torch.zeros_like(vector)), vector)
