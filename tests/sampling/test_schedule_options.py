"""Options of schedules, against the formulas of AUTOMATIC1111 (k-diffusion's) in float64."""

import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise.engine.plan import make_plan
from fromnoise.engine.profiles import PROFILES
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable

TABLE = NoiseTable.ldm()
LOW, HIGH, COUNT = 0.1, 9.0, 7


def told(name: str, **options: float) -> np.ndarray:
    return SCHEDULES[name](TABLE, COUNT, {"sigma_min": LOW, "sigma_max": HIGH, **options}).double().numpy()


def between(first: float, last: float, count: int) -> np.ndarray:
    """Noise levels at even timesteps from one level to another, linear in log sigma between those of the table."""
    logs = TABLE.log_sigmas.double().numpy()
    start, end = (np.interp(np.log(level), logs, np.arange(len(logs))) for level in (first, last))
    return np.exp(np.interp(np.linspace(start, end, count), np.arange(len(logs)), logs))


ramp = np.linspace(0, 1, COUNT)
EXPECTED = {
    "karras": ({"rho": 5.0}, (HIGH ** (1 / 5) + ramp * (LOW ** (1 / 5) - HIGH ** (1 / 5))) ** 5),
    "exponential": ({}, np.exp(np.linspace(np.log(HIGH), np.log(LOW), COUNT))),
    "polyexponential": (
        {"rho": 2.0}, np.exp(np.linspace(1, 0, COUNT) ** 2 * (np.log(HIGH) - np.log(LOW)) + np.log(LOW))
    ),
    "kl_optimal": (
        {}, np.tan(ramp * np.arctan(LOW) + (1 - ramp) * np.arctan(HIGH))
    ),
    "beta_sigma": (
        {"alpha": 0.5, "beta": 0.8}, LOW + stats.beta.ppf(1 - np.linspace(0, 1, COUNT), 0.5, 0.8) * (HIGH - LOW)
    ),
    "normal": ({}, between(HIGH, LOW, COUNT)),
    "sgm_uniform": ({}, between(HIGH, LOW, COUNT + 1)[:-1]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_levels_lie_where_options_put_them(name: str) -> None:
    options, expected = EXPECTED[name]
    found = told(name, **options)
    assert found[-1] == 0
    np.testing.assert_allclose(found[:-1], expected, rtol=2e-4, atol=1e-4)


def test_without_options_nothing_changes() -> None:
    for schedule in SCHEDULES.values():
        steps = 8
        assert torch.equal(schedule(TABLE, steps), schedule(TABLE, steps, {"unheard": 3.0}))


def test_noise_may_begin_with_the_whole_variance() -> None:
    profile, euler = PROFILES["a1111"], SAMPLERS["euler"]
    plain, whole = (make_plan(profile, TABLE, euler, "karras", 5, whole_variance=way) for way in (False, True))
    assert plain.scale == pytest.approx(float(plain.sigmas[0]))
    assert whole.scale == pytest.approx(float((1 + whole.sigmas[0] ** 2).sqrt()))
