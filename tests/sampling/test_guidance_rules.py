"""Rules of guidance by their papers' formulas in numpy float64, and their limits exactly."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.errors import UnknownName
from fromnoise.sampling.guidance_parts import Rule, asking, contrasted, linear
from fromnoise.sampling.guidance_rules import Momentum, projected, rescaled, zero_init, zero_star
from fromnoise.sampling.guidance_threshold import MODES, Threshold, by_number, by_timestep, scheduled, thresholded
from fromnoise.sampling.parametrization import Scalings, eps_scalings, sample_scalings, v_scalings
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable
from tests.sampling.answers import SHAPE, answered, asked, cond, question

Numbers = np.ndarray


def pair(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Answers with and without the prompt: alike, as a network's are."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    return base + 0.4 * torch.randn(SHAPE, generator=generator, dtype=torch.float64) + 0.1, base


def ruled(rule: Rule, ask: Evaluate | None = None) -> Numbers:
    return rule(ask or question(), *pair()).numpy()


CFG = ruled(linear(7.0))
COND, UNCOND = (t.numpy() for t in pair())


# --- rescale --------------------------------------------------------------------------------------------------------


OUTPUTS: dict[Callable[[Tensor], Scalings], Callable[[Numbers, Numbers, float], Numbers]] = {
    eps_scalings: lambda d, x, s: (x - d) / s,
    v_scalings: lambda d, x, s: (x / (s**2 + 1) - d) * (s**2 + 1) ** 0.5 / s,
    sample_scalings: lambda d, x, s: d,
}
BACK: dict[Callable[[Tensor], Scalings], Callable[[Numbers, Numbers, float], Numbers]] = {
    eps_scalings: lambda out, x, s: x - s * out,
    v_scalings: lambda out, x, s: x / (s**2 + 1) - s / (s**2 + 1) ** 0.5 * out,
    sample_scalings: lambda out, x, s: out,
}


@pytest.mark.parametrize("scalings", OUTPUTS)
@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_rescale_by_its_formula(scalings: Callable[[Tensor], Scalings], share: float) -> None:
    ask, sigma = question(3.0), 3.0
    x = ask.x.numpy()
    text, guided = (OUTPUTS[scalings](d, x, sigma) for d in (COND, CFG))
    scaled = guided * (text.std(ddof=1) / guided.std(ddof=1))
    expected = BACK[scalings](share * scaled + (1 - share) * guided, x, sigma)
    np.testing.assert_allclose(ruled(rescaled(linear(7.0), share, scalings), ask), expected, rtol=1e-11)


def test_rescale_of_share_zero_is_plain() -> None:
    assert np.array_equal(ruled(rescaled(linear(7.0), 0)), CFG)


def test_rescale_at_scale_one_keeps_the_conditional_answer() -> None:
    np.testing.assert_allclose(ruled(rescaled(linear(1.0), 0.7)), COND, rtol=1e-11)


# --- adaptive projected guidance ------------------------------------------------------------------------------------


def test_apg_without_its_changes_is_classifier_free() -> None:
    np.testing.assert_allclose(ruled(projected(7.0, eta=1.0)), CFG, rtol=1e-12)
    np.testing.assert_allclose(ruled(projected(7.0, 1.0, 1e9, Momentum(0.0))), CFG, rtol=1e-12)
    assert np.array_equal(ruled(projected(1.0, eta=0.3)), COND)


def test_apg_by_algorithm_1() -> None:
    momentum, running = Momentum(-0.5), np.zeros(SHAPE)
    rule = projected(6.0, eta=0.2, threshold=3.0, momentum=momentum)
    for sigma, seed in ((5.0, 1), (3.0, 2), (1.0, 3)):
        c, u = (t.numpy() for t in pair(seed))
        running = -0.5 * running + (c - u)
        delta = running * min(1, 3.0 / np.linalg.norm(running))
        axis = c / np.linalg.norm(c)
        parallel = (delta * axis).sum() * axis
        expected = c + (6.0 - 1) * ((delta - parallel) + 0.2 * parallel)
        got = rule(question(sigma), *pair(seed)).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-11)
    again = rule(question(9.0), *pair(4))  # a new picture: the noise level has risen
    fresh = projected(6.0, eta=0.2, threshold=3.0, momentum=Momentum(-0.5))(question(9.0), *pair(4))
    assert torch.equal(again, fresh)


def test_the_norm_of_guidance_is_bounded() -> None:
    rule = projected(2.0, eta=1.0, threshold=0.5)
    assert abs(np.linalg.norm(ruled(rule) - COND) - 0.5) < 1e-12


# --- CFG-Zero* ------------------------------------------------------------------------------------------------------


def test_zero_star_by_its_formula() -> None:
    ask = question()
    x = ask.x.numpy()
    v, u = (x - COND) / 2.0, (x - UNCOND) / 2.0
    s = (v * u).sum() / (u * u).sum()
    slope = (1 - 7.0) * s * u + 7.0 * v
    np.testing.assert_allclose(ruled(zero_star(7.0), ask), x - 2.0 * slope, rtol=1e-9)
    mixed = CFG + UNCOND * (s - 1) + 7.0 * UNCOND * (1 - s)
    np.testing.assert_allclose(ruled(zero_star(7.0, of="denoised"), ask), mixed, rtol=1e-9)


def test_zero_star_at_scale_one_is_the_conditional_answer() -> None:
    for of in ("slope", "denoised"):
        np.testing.assert_allclose(ruled(zero_star(1.0, of)), COND, rtol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", [False, True])
def test_zero_init_waits_and_asks_nothing(split: bool) -> None:
    guide = zero_init(contrasted([(asking(cond(1)), 1.0)], asking(cond(2)), linear(3.0)), 2)
    for number in (0, 1):
        ask = question(number=number, split=split)
        answer, rounds = asked(guide, ask)
        assert rounds == []
        assert all(torch.equal(part, ask.x) for part in (answer if split else [answer]))
    _, rounds = asked(guide, question(number=2, split=split))
    assert len(rounds) == 1
    plain = contrasted([(asking(cond(1)), 1.0)], asking(cond(2)), linear(3.0))
    assert torch.equal(answered(zero_init(plain, 0), question()), answered(plain, question()))


# --- dynamic thresholding -------------------------------------------------------------------------------------------


def confined(target: Numbers, mimic: Numbers, settings: Threshold) -> Numbers:
    """The extension's rule, channel by channel or over all."""
    t, m = target[0], mimic[0]
    means, mimic_means = t.mean(axis=(1, 2), keepdims=True), m.mean(axis=(1, 2), keepdims=True)
    groups = [[c] for c in range(len(t))] if settings.per_channel else [list(range(len(t)))]
    out = np.empty_like(t)
    for group in groups:
        high, low = (t - means)[group], (m - mimic_means)[group]
        if settings.variability == "deviation":
            wide, narrow = high.std(ddof=1), low.std(ddof=1)
        else:
            wide, narrow = np.quantile(np.abs(high), settings.percentile), np.abs(low).max()
        if settings.around == "zero":
            out[group] = t[group] * narrow / wide
        elif settings.variability == "deviation":
            out[group] = high / wide * narrow + means[group]
        else:
            limit = max(wide, narrow)
            out[group] = np.clip(high, -limit, limit) / limit * narrow + means[group]
    return out[None]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("around", ["mean", "zero"])
@pytest.mark.parametrize("variability", ["range", "deviation"])
@pytest.mark.parametrize(("percentile", "share"), [(1.0, 1.0), (0.9, 0.6)])
def test_thresholding_by_its_formula(
    per_channel: bool, around: str, variability: str, percentile: float, share: float
) -> None:
    settings = Threshold(
        mimic_scale=5.0, percentile=percentile, per_channel=per_channel, share=share,
        around=around, variability=variability,  # type: ignore[arg-type]
    )  # fmt: skip
    target, mimic = UNCOND + 15 * (COND - UNCOND), UNCOND + 5 * (COND - UNCOND)
    expected = share * confined(target, mimic, settings) + (1 - share) * target
    got = ruled(thresholded(15.0, settings, by_number(20)))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_thresholding_at_the_mimicked_scale_is_plain() -> None:
    for variability in ("range", "deviation"):
        settings = Threshold(mimic_scale=7.0, variability=variability)  # type: ignore[arg-type]
        np.testing.assert_allclose(ruled(thresholded(7.0, settings, by_number(20))), CFG, atol=1e-12)
    assert np.array_equal(ruled(thresholded(7.0, Threshold(mimic_scale=3.0, share=0), by_number(20))), CFG)


def test_the_range_is_that_of_the_mimicked_scale() -> None:
    got = ruled(thresholded(20.0, Threshold(mimic_scale=6.0), by_number(20)))
    mimic = UNCOND + 6 * (COND - UNCOND)
    ranges = [np.abs(t - t.mean(axis=(2, 3), keepdims=True)).max(axis=(2, 3)) for t in (got, mimic)]
    np.testing.assert_allclose(*ranges, rtol=1e-12)


def test_modes_by_their_names() -> None:
    ends = {mode: [round(scheduled(9.0, mode, 1.0, 2.0, p), 3) for p in (0.0, 0.5, 1.0)] for mode in MODES}
    assert ends == {
        "constant": [9, 9, 9],
        "linear down": [9, 5, 1],
        "cosine down": [9, 6.657, 1.001],
        "half cosine down": [9, 8.021, 5.322],
        "linear up": [1, 5, 9],
        "cosine up": [1, 3.343, 8.999],
        "half cosine up": [1, 1.979, 4.678],
        "power up": [1, 3, 9],
        "power down": [9, 7, 1],
        "linear repeating": [9, 9, 9],
        "cosine repeating": [9, 9, 9],
        "sawtooth": [1, 1, 1],
    }
    assert scheduled(1.0, "linear repeating", 0.0, 2.0, 0.25) == 0
    assert scheduled(1.0, "cosine repeating", 0.0, 2.0, 0.25) < 1e-6
    assert scheduled(1.0, "sawtooth", 0.0, 2.0, 0.3) == 0.6


def test_modes_change_both_scales_as_the_picture_grows() -> None:
    settings = Threshold(mimic_scale=8.0, mimic_mode="linear down", scale_mode="power up", scale_minimum=2.0, power=3.0)
    ask = question(number=5)
    high, low = 2 + (12 - 2) * (5 / 19) ** 3, 8 * (1 - 5 / 19)
    target, mimic = (UNCOND + s * (COND - UNCOND) for s in (high, low))
    got = ruled(thresholded(12.0, settings, by_number(20)), ask)
    np.testing.assert_allclose(got, confined(target, mimic, settings), rtol=1e-9)


def test_progress() -> None:
    assert [by_number(5)(question(number=n)) for n in (0, 2, 4, 9)] == [0, 0.5, 1, 1]
    assert by_number(1)(question()) == 0
    table = NoiseTable.ldm()
    progress = by_timestep(table.timestep)
    assert [round(progress(question(float(table.sigmas[t]))), 6) for t in (999, 500)] == [0, round(499 / 998, 6)]


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(UnknownName, match="linear up"):
        Threshold(mimic_mode="linear upp")
