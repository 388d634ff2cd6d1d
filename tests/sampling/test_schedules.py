"""The noise table and what every schedule promises; recorded numbers are in test_golden.py."""

import pytest
import torch

from fromnoise.errors import UnknownName, UserError
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable, sigmas_for
from fromnoise.sampling.spacing import laplace_sigmas

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
    if name == "turbo" and steps > 10:
        with pytest.raises(UserError, match="at most 10"):
            SCHEDULES[name](table, steps)
        return
    sigmas = SCHEDULES[name](table, steps)
    assert sigmas.dtype == torch.float32
    assert (sigmas.diff() < 0).all()
    assert float(sigmas[-1]) == (pytest.approx(table.sigma_min) if name == "kl_optimal_open" else 0)
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
    for label in (
        "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "SGMUniform", "KL Optimal",
        "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
    ):  # fmt: skip
        assert label in SCHEDULES


# Ten steps as AUTOMATIC1111 1.10.1 plans them for Stable Diffusion 1, rounded to four places.
AUTOMATIC1111 = {
    "uniform": "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292 0",
    "karras": "14.6146 9.1029 5.4784 3.1686 1.7494 0.9141 0.4469 0.2014 0.0819 0.0292 0",
    "exponential": "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292 0",
    "polyexponential": "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292 0",
    "sgm_uniform": "14.6146 8.3072 5.0924 3.3251 2.2797 1.6156 1.1629 0.8319 0.5712 0.3437 0",
    "simple": "14.6146 8.3028 5.0878 3.3211 2.2765 1.6129 1.1606 0.8299 0.5693 0.3417 0",
    "DDIM": "8.3907 5.1344 3.3478 2.2929 1.6237 1.1682 0.8357 0.5741 0.3462 0.0413 0",
    "kl_optimal_open": "14.6147 4.5650 2.6329 1.7864 1.2948 0.9616 0.7116 0.5094 0.3356 0.1783 0.0292",
}


@pytest.mark.parametrize("name", list(AUTOMATIC1111))
def test_equals_automatic1111(name: str) -> None:
    want = torch.tensor([float(number) for number in AUTOMATIC1111[name].split()])
    torch.testing.assert_close(SCHEDULES[name](TABLE, 10), want, rtol=0, atol=1.1e-4)


def test_align_your_steps_is_the_published_list_at_eleven_levels() -> None:
    """As printed on the paper's page, to three places; ten steps interpolate it."""
    sd = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029, 0]
    sdxl = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029, 0]
    for name, levels in (("align_your_steps", sd), ("align_your_steps_sdxl", sdxl)):
        torch.testing.assert_close(SCHEDULES[name](TABLE, 11), torch.tensor(levels), rtol=0, atol=4e-3)
        assert len(SCHEDULES[name](TABLE, 10)) == 11


def test_gits_is_the_published_list() -> None:
    four = torch.tensor([14.61464119, 2.36326075, 0.92192322, 0.36617002, 0.0])
    torch.testing.assert_close(SCHEDULES["gits"](TABLE, 4), four, rtol=1e-4, atol=0)
    ten = [14.61464119, 5.85520077, 2.84484982, 1.67050016, 1.08895338, 0.74807048, 0.50118381, 0.32104823, 0.19894916]
    torch.testing.assert_close(SCHEDULES["gits"](TABLE, 10)[:9], torch.tensor(ten), rtol=1e-4, atol=0)


def test_turbo_takes_every_hundredth_timestep() -> None:
    timesteps = TABLE.timestep(SCHEDULES["turbo"](TABLE, 4)[:-1])
    assert timesteps.tolist() == [999, 899, 799, 699]


def test_laplace_has_its_median_in_the_middle() -> None:
    sigmas = laplace_sigmas(21, 0.03, 14.6, mu=0.5, beta=0.7)
    assert float(sigmas[10]) == pytest.approx(2.718281828**0.5, rel=1e-3)
    assert (sigmas.diff() <= 0).all()
    assert (float(sigmas[0]), float(sigmas[-1])) == (pytest.approx(14.6), pytest.approx(0.03))
