"""Guides ask for the calls they need and combine the answers as their papers say; parametrizations are consistent."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fromnoise.sampling.guidance import (
    Cond,
    Guidance,
    NetworkCall,
    classifier_free,
    composed,
    drive,
    instruct_pix2pix,
    keep,
)
from fromnoise.sampling.parametrization import (
    Scalings,
    eps_scalings,
    network_input,
    sample_scalings,
    to_denoised,
    v_scalings,
)
from fromnoise.sampling.samplers import SAMPLERS, Evaluate
from tests.sampling.exact import log_sigmas, run, wavy

SHAPE = (1, 4, 2, 2)


def cond(value: float) -> Cond:
    return Cond(torch.full((1, 77, 8), value))


def network(call: NetworkCall) -> Tensor:
    """Answers the condition's value, so that the combination can be read off."""
    return torch.full_like(call.x, float(call.cond.context[0, 0, 0]))


def ask(guide: Guidance, question: Evaluate) -> tuple[Tensor, list[NetworkCall]]:
    guiding = guide(question)
    calls = list(next(guiding))
    try:
        guiding.send([network(call) for call in calls])
    except StopIteration as stop:
        return stop.value, calls
    raise AssertionError("asked twice")


QUESTION = Evaluate(torch.zeros(SHAPE), torch.tensor(2.0))
SPLIT = QUESTION._replace(split=True)


def test_classifier_free() -> None:
    answer, calls = ask(classifier_free(cond(3), cond(1), 7.5), QUESTION)
    assert answer.unique().tolist() == [1 + 7.5 * 2]
    assert [float(call.cond.context[0, 0, 0]) for call in calls] == [3, 1]


def test_scale_one_asks_once_unless_the_sampler_needs_both() -> None:
    answer, calls = ask(classifier_free(cond(3), cond(1), 1), QUESTION)
    assert (answer.unique().tolist(), len(calls)) == ([3], 1)
    both, calls = ask(classifier_free(cond(3), cond(1), 1), SPLIT)
    assert both.shape == (2, *SHAPE)
    assert ([part.unique().tolist() for part in both], len(calls)) == ([[3], [1]], 2)


def test_composition_adds_weighted_directions() -> None:
    answer, calls = ask(composed([(cond(3), 1.0), (cond(5), -0.5)], cond(1), 2.0), QUESTION)
    assert answer.unique().tolist() == [1 + 2 * (1 * 2 - 0.5 * 4)]
    assert len(calls) == 3
    doubled, _ = ask(composed([(cond(3), 2.0)], cond(1), 1.0), QUESTION)
    assert doubled.unique().tolist() == [5]


def test_instruct_pix2pix() -> None:
    answer, calls = ask(instruct_pix2pix(cond(9), cond(4), cond(1), 7.0, 1.5), QUESTION)
    assert answer.unique().tolist() == [1 + 1.5 * 3 + 7 * 5]
    assert len(calls) == 3
    both, _ = ask(instruct_pix2pix(cond(9), cond(4), cond(1), 7.0, 1.5), SPLIT)
    assert both[1].unique().tolist() == [1]


@pytest.mark.parametrize("question", [QUESTION, SPLIT], ids=["whole", "split"])
def test_keep_answers_the_picture_where_the_mask_is_zero(question: Evaluate) -> None:
    latents, noise = torch.full(SHAPE, 10.0), torch.full(SHAPE, 0.5)
    mask = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    answer, calls = ask(keep(classifier_free(cond(3), cond(1), 2), latents, mask, noise), question)
    assert answer[..., 0].unique().tolist() == [10]
    assert (answer[0] if question.split else answer)[..., 1].unique().tolist() == [5]
    assert calls[0].x[..., 0].unique().tolist() == [11]  # latents + noise * sigma
    assert calls[0].x[..., 1].unique().tolist() == [0]
    _, unseen = ask(keep(classifier_free(cond(3), cond(1), 2), latents, mask, None), question)
    assert unseen[0].x.unique().tolist() == [0]


def test_calls_share_a_batch_when_all_shapes_agree() -> None:
    def key(x: Tensor, c: Cond) -> tuple[object, ...]:
        return NetworkCall(x, torch.tensor(1.0), c).key

    x, context = torch.zeros(SHAPE), torch.zeros(1, 77, 8)
    plain = key(x, Cond(context))
    assert plain == key(x + 1, Cond(context + 1))
    others = [
        key(torch.zeros(1, 4, 2, 3), Cond(context)),
        key(x, Cond(torch.zeros(1, 154, 8))),
        key(x, Cond(context, y=torch.zeros(1, 9))),
        key(x, Cond(context, concat=torch.zeros(1, 5, 2, 2))),
    ]
    assert len({plain, *others}) == 5
    assert hash(plain) == hash(key(x, Cond(context)))


@pytest.mark.parametrize("name", ["euler", "heun"])
def test_drive_is_the_sampler_with_its_guide_and_shows_each_evaluation(name: str) -> None:
    sigmas = log_sigmas(4).float()
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[int, float, bool]] = []

    def watch(evaluation: int, x: Tensor, sigma: Tensor, denoised: Tensor) -> None:
        seen.append((evaluation, float(sigma), torch.equal(denoised, wavy(x, sigma))))

    picture = drive(SAMPLERS[name].start(x, sigmas), classifier_free(cond(0), cond(0), 1), watch)
    calls = next(picture)
    try:
        while True:
            calls = picture.send([wavy(call.x, call.sigma) for call in calls])
    except StopIteration as stop:
        out = stop.value
    assert torch.equal(out, run(SAMPLERS[name].start(x, sigmas), wavy))
    assert [number for number, _, _ in seen] == list(range(4 * SAMPLERS[name].evaluations))
    assert all(same for _, _, same in seen)


@pytest.mark.parametrize(
    ("scalings", "target"),
    [
        (eps_scalings, lambda x0, n, s: n),
        (v_scalings, lambda x0, n, s: (n - s * x0) / (s**2 + 1).sqrt()),
        (sample_scalings, lambda x0, n, s: x0),
    ],
)
def test_a_perfect_network_gives_the_clean_latents(
    scalings: Callable[[Tensor], Scalings], target: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    clean, noise = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.1, 2.0, 14.6], dtype=torch.float64)
    x = clean + noise * sigma.view(-1, 1, 1, 1)
    output = target(clean, noise, sigma.view(-1, 1, 1, 1))
    torch.testing.assert_close(to_denoised(output, x, scalings(sigma)), clean)
    shown = network_input(x, scalings(sigma))
    torch.testing.assert_close(shown[1], (clean[1] + 2 * noise[1]) / 5**0.5)
    torch.testing.assert_close(to_denoised(output[:1], x[:1], scalings(sigma[0])), clean[:1])
