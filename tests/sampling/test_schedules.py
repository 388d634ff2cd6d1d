"""The noise table and what every schedule promises; recorded numbers are in test_golden.py."""

import pytest
import torch

from fromnoise.errors import UnknownName, UserError
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable, sigmas_for

TABLE = NoiseTable.ldm()


@pytest.mark.parametrize("rule", ["nearest", "interpolate"])
def test_timestep_undoes_sigma(rule: str) -> None:
    timesteps = torch.tensor([[0.0, 1.0, 500.0], [998.0, 999.0, 37.0]])
    torch.testing.assert_close(TABLE.timestep(TABLE.sigma(timesteps), rule), timesteps, rtol=0, atol=2e-3)


def test_timestep_rules_between_and_outside_of_the_table() -> None:
    between = TABLE.sigma(torch.tensor([10.25, 600.75]))
    assert TABLE.timestep(between).tolist() == [10, 601]
    torch.testing.assert_close(TABLE.timestep(between, "interpolate"), torch.tensor([10.25, 600.75]), rtol=0, atol=2e-3)
    outside = torch.tensor([0.0, 1e-4, 100.0])
    assert TABLE.timestep(outside).tolist() == [0, 0, 999]
    assert TABLE.timestep(outside, "interpolate").tolist() == [0, 0, 999]
    assert TABLE.timestep(torch.tensor(14.0)).shape == ()


def test_zero_terminal_snr_ends_in_almost_pure_noise() -> None:
    table = NoiseTable.ldm(zero_snr=True)
    assert float(table.alphas_cumprod[-1]) == pytest.approx(4.8973451890853435e-08)
    assert float(table.alphas_cumprod[0]) == pytest.approx(float(TABLE.alphas_cumprod[0]))
    assert (table.sigmas.diff() > 0).all()


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 33, 150])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_falls_from_noise_to_zero(name: str, steps: int, zero_snr: bool) -> None:
    table = NoiseTable.ldm(zero_snr=zero_snr)
    sigmas = SCHEDULES[name](table, steps)
    assert sigmas.dtype == torch.float32
    assert (sigmas.diff() < 0).all()
    assert float(sigmas[0]) <= table.sigma_max * (1 + 1e-6)
    assert abs(len(sigmas) - (steps + 1)) <= max(0.15 * steps, 1)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_describes_itself(name: str) -> None:
    schedule = SCHEDULES[name]
    assert SCHEDULES[schedule.label] is schedule
    assert schedule.good_for.endswith(".")
    assert schedule.good_for_zh.endswith("。")


def test_strength_takes_the_last_steps_of_a_longer_plan() -> None:
    full = sigmas_for("karras", TABLE, 26)
    assert torch.equal(sigmas_for("karras", TABLE, 20, 0.75), full[-21:])  # int(20 / 0.75) = 26
    assert torch.equal(sigmas_for("karras", TABLE, 20, 1.0), SCHEDULES["karras"](TABLE, 20))
    assert len(sigmas_for("karras", TABLE, 20, 0)) == 0


def test_drop_penultimate_leaves_out_the_last_level_above_zero() -> None:
    longer = SCHEDULES["normal"](TABLE, 11)
    sigmas = sigmas_for("normal", TABLE, 10, drop_penultimate=True)
    assert sigmas.tolist() == [*longer[:10].tolist(), 0]


def test_bad_numbers_and_names_say_what_to_do() -> None:
    with pytest.raises(UserError, match="at least 1"):
        sigmas_for("karras", TABLE, 0)
    with pytest.raises(UserError, match="from 0"):
        sigmas_for("karras", TABLE, 10, 1.5)
    with pytest.raises(UnknownName, match="did you mean 'karras'"):
        sigmas_for("karas", TABLE, 10)


def test_known_by_the_labels_of_automatic1111() -> None:
    for label in ("Uniform", "Karras", "Exponential", "SGM Uniform", "SGMUniform", "Simple", "Normal", "DDIM", "Beta"):
        assert label in SCHEDULES
