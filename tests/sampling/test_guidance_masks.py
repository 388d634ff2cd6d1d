"""Masks that depend on the noise level, and AUTOMATIC1111's soft inpainting, by loops over their definitions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.sampling.guidance import Picture, drive, keep
from fromnoise.sampling.guidance_masks import (
    Softness,
    blended,
    changed,
    differential,
    keep_by_level,
    keep_softly,
    ranked_mean,
    smootherstep,
)
from fromnoise.sampling.guidance_parts import asking
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from tests.sampling.answers import SHAPE, answered, cond, question

TABLE = NoiseTable.ldm()
GUIDE = asking(cond(1))


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LATENTS, NOISE = drawn(5), drawn(6)
MASK = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
MASK[0, 0, 0], MASK[0, 0, 1] = 0, 1


# --- differential diffusion -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("start", [0, 4])
def test_places_join_by_their_grey(strength: float, start: int) -> None:
    sigmas = sigmas_for("karras", TABLE, 10)[start:]
    table = TABLE.sigmas.numpy()

    def timestep(sigma: float) -> int:
        return int(np.abs(np.log(table) - np.log(sigma)).argmin())

    mask_at = differential(MASK, sigmas, TABLE, strength)
    for sigma in sigmas[:-1]:
        left = timestep(float(sigma)) / timestep(float(sigmas[0]))  # the last level above 0 is the lowest there is
        expected = (MASK.numpy() >= left).astype(float)
        if 0 < strength < 1:
            expected = strength * expected + (1 - strength) * MASK.numpy()
        np.testing.assert_allclose(mask_at(sigma).numpy(), expected, atol=1e-12)


def test_a_run_that_stops_early_counts_the_way_to_there() -> None:
    sigmas = sigmas_for("normal", TABLE, 10)[:6]
    assert differential(MASK, sigmas, TABLE)(sigmas[-1]).all()  # all of the way is done
    assert int(differential(MASK, sigmas, TABLE)(sigmas[0]).sum()) == 6  # none: only the white row


def test_a_black_and_white_mask_is_kept_as_ever() -> None:
    sigmas, mask = sigmas_for("normal", TABLE, 6), MASK.round()
    guide = keep_by_level(GUIDE, LATENTS, differential(mask, sigmas, TABLE), NOISE)
    for sigma in sigmas[:-2]:  # at the very end black joins too: 0 >= 0
        ask = question(float(sigma))
        assert torch.equal(answered(guide, ask), answered(keep(GUIDE, LATENTS, mask, NOISE), ask))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("noise", [NOISE, None])
def test_keep_by_level_is_keep_at_that_level(noise: Tensor | None, split: bool) -> None:
    guide = keep_by_level(GUIDE, LATENTS, lambda sigma: MASK / sigma, noise)
    ask = question(3.0, split)
    assert torch.equal(answered(guide, ask), answered(keep(GUIDE, LATENTS, MASK / 3.0, noise), ask))


def ended(picture: Picture) -> Tensor:
    """The latents of a picture whose network knows that everything is around 3."""
    calls = next(picture)
    while True:
        try:
            calls = picture.send([(call.x + call.sigma**2 * 3) / (1 + call.sigma**2) for call in calls])
        except StopIteration as stop:
            return stop.value


def test_greys_decide_how_much_a_place_moves() -> None:
    mask = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    latents, noise, sigmas = drawn(1, (1, 4, 4, 4)), drawn(2, (1, 4, 4, 4)), sigmas_for("normal", TABLE, 20).double()
    guide = keep_by_level(GUIDE, latents, differential(mask, sigmas, TABLE), noise)
    done = ended(drive(SAMPLERS["euler"].start(latents + noise * sigmas[0], sigmas), guide))
    moved = (done - latents).abs().mean(dim=(0, 1, 2)).tolist()
    assert moved == sorted(moved)
    assert 0 < moved[0] < 2 * TABLE.sigma_min  # even black joins for the last evaluation, at the lowest noise level
    assert moved[1] > 0.1
    free = drive(SAMPLERS["euler"].start(latents + noise * sigmas[0], sigmas), GUIDE)
    assert torch.equal(done[..., 3], ended(free)[..., 3])


# --- soft inpainting ------------------------------------------------------------------------------------------------


def blend(a: np.ndarray, b: np.ndarray, share: float, contrast: float) -> np.ndarray:
    """One place's vectors."""
    mixed = (1 - share) * a + share * b
    wanted = ((1 - share) * np.linalg.norm(a) ** contrast + share * np.linalg.norm(b) ** contrast) ** (1 / contrast)
    return mixed * wanted / (np.linalg.norm(mixed) + 0.00001)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("bias", "preservation", "contrast"), [(1.0, 0.5, 4.0), (0.0, 2.0, 1.0), (2.5, 0.1, 32.0)])
def test_soft_keeping_by_its_formula(bias: float, preservation: float, contrast: float, split: bool) -> None:
    ask, own = question(3.0, split), answered(GUIDE, question(3.0)).numpy()
    got = answered(keep_softly(GUIDE, LATENTS, MASK, Softness(bias, preservation, contrast)), ask)
    expected = np.empty(SHAPE)
    for y, x in np.ndindex(6, 6):
        share = float(MASK[0, 0, y, x]) ** (3.0**bias * preservation)
        expected[0, :, y, x] = blend(LATENTS.numpy()[0, :, y, x], own[0, :, y, x], share, contrast)
    for part in got if split else [got]:
        np.testing.assert_allclose(part.numpy(), expected, rtol=1e-10)


def test_black_keeps_and_white_repaints() -> None:
    got = answered(keep_softly(GUIDE, LATENTS, MASK, Softness()), question(3.0))
    own = answered(GUIDE, question(3.0))
    torch.testing.assert_close(got[..., 0, :], LATENTS[..., 0, :], rtol=0, atol=1e-5)  # lengths lose 0.00001
    torch.testing.assert_close(got[..., 1, :], own[..., 1, :], rtol=0, atol=1e-5)


def test_no_preservation_repaints_everything() -> None:
    got = answered(keep_softly(GUIDE, LATENTS, MASK, Softness(preservation=0)), question(3.0))
    torch.testing.assert_close(got, answered(GUIDE, question(3.0)), rtol=1e-4, atol=0)


def test_blending_keeps_lengths() -> None:
    """Two vectors of one length at right angles: a mean would be shorter."""
    a, b = torch.zeros(1, 4, 1, 1, dtype=torch.float64), torch.zeros(1, 4, 1, 1, dtype=torch.float64)
    a[:, 0], b[:, 1] = 2, 2
    for contrast in (1.0, 4.0, 32.0):
        mixed = blended(a, b, torch.tensor(0.5), contrast)
        assert abs(float(mixed.norm()) - 2) < 1e-4
    assert float(blended(a * 0.1, b, torch.tensor(0.5, dtype=torch.float64), 32.0).norm()) > 1.9


def ranked(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """The weighted mean of a span of ranks of each place's surroundings, by a walk along the sorted weights."""
    out = np.empty_like(image)
    for y, x in np.ndindex(image.shape):
        entries = []
        for v in range(max(0, y - 2), min(image.shape[0], y + 3)):
            for u in range(max(0, x - 2), min(image.shape[1], x + 3)):
                weight = (np.exp(-((v - y) ** 2 + (u - x) ** 2) / 2.25) - np.exp(-4)) / (1 - np.exp(-4))
                entries.append((image[v, u], max(0.0, weight)))
        entries.sort()
        total = sum(weight for _, weight in entries)
        start, end = total * low, total * high
        if end - start < 1:
            middle = (start + end) / 2
            start, end = middle - 0.5, middle + 0.5
            if end > total:
                start, end = total - 1, total
            if start < 0:
                start, end = 0.0, 1.0
        at, value, weight_sum = 0.0, 0.0, 0.0
        for entry, weight in entries:
            share = max(0.0, min(end, at + weight) - max(start, at))
            value, weight_sum, at = value + entry * share, weight_sum + share, at + weight
        out[y, x] = value / weight_sum
    return out


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.25, 0.75), (0.0, 0.05), (0.0, 1.0), (0.5, 0.5)])
def test_ranked_mean_by_its_definition(low: float, high: float) -> None:
    image = drawn(3, (7, 9)).abs()
    got = ranked_mean(image[None, None], low, high)[0, 0].numpy()
    np.testing.assert_allclose(got, ranked(image.numpy(), low, high), rtol=1e-10)


@pytest.mark.parametrize("softness", [Softness(), Softness(1, 1.0, 4, 0.6, 2.0, 4.0)])
def test_what_has_changed_by_its_formula(softness: Softness) -> None:
    after = LATENTS + 0.5 * drawn(8) * (torch.arange(6) > 2)
    distance = np.linalg.norm((after - LATENTS).numpy()[0], axis=0)
    distance = ranked(ranked(distance, 0.9, 1.0), 0.25, 0.75)
    bias = 1 - MASK.numpy()[0, 0] ** (softness.preservation / 2)
    bias = 0.5 * (1 - softness.mask_influence) + bias * softness.mask_influence
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = distance / (softness.difference_threshold * bias / (1.00001 - bias))
    kept = 1 / (1 + np.where(distance == 0, 0, ratio) ** softness.difference_contrast)
    expected = 1 - kept**3 * (kept * (6 * kept - 15) + 10)
    got = changed(LATENTS, after, MASK, softness)[0, 0].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_nothing_changed_keeps_every_pixel_and_a_new_picture_none() -> None:
    assert not changed(LATENTS, LATENTS, MASK, Softness()).any()
    assert float(changed(LATENTS, LATENTS + 50, MASK, Softness()).min()) > 0.999
    assert float(changed(LATENTS, LATENTS + 50, MASK, Softness(difference_threshold=0)).min()) == 1


def test_smootherstep() -> None:
    assert smootherstep(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 0.5, 1]
