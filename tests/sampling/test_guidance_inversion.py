"""Inversion by the formulas of AUTOMATIC1111's script, and back to the picture."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.sampling.guidance import drive
from fromnoise.sampling.guidance_inversion import inversion, start_noise
from fromnoise.sampling.guidance_parts import asking
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from tests.sampling.answers import cond
from tests.sampling.exact import gaussian, run, wavy

Numbers = np.ndarray


def levels(steps: int) -> Tensor:
    """Rising from 0."""
    return sigmas_for("normal", NoiseTable.ldm(), steps).flip(0).double()


LATENTS = 0.7 * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def d(x: Numbers, sigma: float) -> Numbers:
    return x / (1 + sigma**2) + 0.25 * np.sin(x) * sigma / (1 + sigma)


def plain(x: Numbers, sigmas: Numbers) -> Numbers:
    for i in range(1, len(sigmas)):
        x = x + (x - d(x, sigmas[i])) / sigmas[i] * (sigmas[i] - sigmas[i - 1])
    return x / x.std(ddof=1)


def adjusted(x: Numbers, sigmas: Numbers) -> Numbers:
    """Its first step reads the network with a factor of the noise level, which is 0: it changes nothing."""
    for i in range(1, len(sigmas)):
        at = sigmas[i - 1]
        denoised = d(x, at) if at > 0 else x
        x = x + (x - denoised) / (at if at > 0 else 2 * sigmas[i]) * (sigmas[i] - sigmas[i - 1])
    return x / sigmas[-1]


@pytest.mark.parametrize(("by_sigma", "definition"), [(False, plain), (True, adjusted)])
def test_inversion_by_its_formula(by_sigma: bool, definition: Callable[[Numbers, Numbers], Numbers]) -> None:
    sigmas = levels(12)
    got = run(inversion(LATENTS, sigmas, by_sigma), wavy)
    np.testing.assert_allclose(got.numpy(), definition(LATENTS.numpy(), sigmas.numpy()), rtol=1e-12)


@pytest.mark.parametrize("by_sigma", [False, True])
def test_it_is_a_picture_with_guidance(by_sigma: bool) -> None:
    sigmas, evaluations = levels(6), 0
    picture = drive(inversion(LATENTS, sigmas, by_sigma), asking(cond(1)))
    calls = next(picture)
    found = None
    while found is None:
        evaluations += 1
        try:
            calls = picture.send([wavy(call.x, call.sigma) for call in calls])
        except StopIteration as stop:
            found = stop.value
    assert torch.equal(found, run(inversion(LATENTS, sigmas, by_sigma), wavy))
    assert evaluations == (5 if by_sigma else 6)


def returned(steps: int, by_sigma: bool) -> float:
    """Largest distance of the picture drawn from the found noise, to the picture."""
    sigmas = levels(steps)
    found = run(inversion(LATENTS, sigmas, by_sigma), gaussian)
    down = sigmas.flip(0)
    back = run(SAMPLERS["euler"].start(found * down[0], down), gaussian)
    return float((back - LATENTS).abs().max())


def test_the_adjusted_noise_leads_back_to_the_picture() -> None:
    distances = [returned(steps, True) for steps in (25, 50, 100)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.25 * LATENTS.abs().max()


def test_the_plain_noise_has_unit_deviation() -> None:
    assert abs(float(run(inversion(LATENTS, levels(20)), wavy).std()) - 1) < 1e-12


@pytest.mark.parametrize("randomness", [0.0, 0.3, 1.0])
def test_the_start_is_noise_alone(randomness: float) -> None:
    found, fresh = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sigma = torch.tensor(14.6, dtype=torch.float64)
    start = LATENTS + start_noise(found, fresh, LATENTS, sigma, randomness) * sigma
    mixed = ((1 - randomness) * found + randomness * fresh) / (randomness**2 + (1 - randomness) ** 2) ** 0.5
    torch.testing.assert_close(start, mixed * sigma)
    assert abs(float(mixed.std()) - 1) < 0.15
