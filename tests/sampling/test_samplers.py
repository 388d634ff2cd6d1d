"""What every sampler promises: exactness at its declared order, purity, any float type, any device, names."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from fromnoise.errors import FromnoiseError, UnknownName, UserError
from fromnoise.sampling.samplers import SAMPLERS, SamplerSpec, resolve
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from fromnoise.sampling.singlestep import restart_steps
from tests.sampling.exact import (
    SPREAD,
    OneHotNoise,
    flow,
    gaussian,
    gaussian_around,
    log_sigmas,
    run,
    unit_noise,
    wavy,
)

SPECS = list(SAMPLERS.values())
DETERMINISTIC = [spec for spec in SPECS if not spec.stochastic and spec.evaluations]
STOCHASTIC = [spec for spec in SPECS if spec.stochastic and spec.order and spec.name != "lcm"]
SHAPE = (1, 4, 8, 8)


def by_name(spec: SamplerSpec) -> str:
    return spec.name


def start(spec: SamplerSpec, steps: int = 7, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    sigmas = sigmas_for("karras", NoiseTable.ldm(), steps, drop_penultimate=spec.drop_penultimate).to(dtype)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (x * (1 + sigmas[0] ** 2).sqrt()).to(dtype), sigmas


def assert_falls_with_order(errors: list[float], order: int) -> None:
    """The steps double from one error to the next.

    Multistep methods start with a step of low order, whose share shows only in the end: so the slope may be steeper.
    """
    slope = math.log2(errors[-2] / errors[-1])
    assert order - 0.2 < slope < order + 1.2, errors


@pytest.mark.parametrize("spec", DETERMINISTIC, ids=by_name)
def test_order_of_convergence_on_the_exact_gaussian_solution(spec: SamplerSpec) -> None:
    errors = []
    for steps in (81, 162, 324):
        sigmas = log_sigmas(steps)
        x = torch.linspace(-3, 3, 16, dtype=torch.float64).reshape(1, 1, 4, 4) * sigmas[0]
        out = run(spec.start(x, sigmas), gaussian)
        errors.append(float((out - flow(x, sigmas[0], sigmas[-1])).abs().max()))
    assert errors[-1] < 0.02
    assert_falls_with_order(errors, spec.order)


@pytest.mark.parametrize("spec", DETERMINISTIC, ids=by_name)
def test_a_first_step_from_pure_noise_does_not_overshoot(spec: SamplerSpec) -> None:
    """On a table that ends in pure noise, with the schedule that the sampler is given there."""
    table = NoiseTable.ldm(zero_snr=True)
    sigmas = sigmas_for(spec.even_schedule, table, 20, drop_penultimate=spec.drop_penultimate).double()
    x = torch.linspace(-3, 3, 16, dtype=torch.float64).reshape(1, 1, 4, 4) * sigmas[0]
    out = run(spec.start(x, sigmas), gaussian)
    assert float((out - flow(x, sigmas[0], sigmas[-1])).abs().max()) < 0.2 * 3 * SPREAD


@pytest.mark.parametrize("spec", STOCHASTIC, ids=by_name)
def test_mean_and_variance_converge_to_the_exact_marginal_at_the_declared_order(spec: SamplerSpec) -> None:
    errors = []
    for steps in (81, 162, 324):
        sigmas = log_sigmas(steps)
        noise = OneHotNoise(steps)
        out = run(spec.start(noise.start(sigmas[0], mean=2.0), sigmas, noise), gaussian_around(2.0)).flatten()
        draws = torch.cat((out[:1], out[2:]))
        assert float(out[1]) == pytest.approx(2.0, abs=1e-9)  # the mean
        errors.append(abs(float((draws**2).sum()) / float(SPREAD**2 + sigmas[-1] ** 2) - 1))
    assert errors[-1] < 0.05
    assert_falls_with_order(errors, spec.order)


def test_lcm_is_exact_for_a_consistency_function() -> None:
    """LCM is made for models that jump to the end of the flow; with the exact jump every step count is exact."""
    for steps in (1, 2, 5):
        sigmas = torch.cat((log_sigmas(steps)[:-1], torch.zeros(1, dtype=torch.float64)))
        noise = OneHotNoise(steps)
        x = noise.start(sigmas[0], mean=0.0)
        out = run(SAMPLERS["lcm"].start(x, sigmas, noise), lambda x, s: flow(x, s, torch.zeros_like(s)))
        assert float((out**2).sum().sqrt()) == pytest.approx(SPREAD, rel=1e-9)


@pytest.mark.parametrize("spec", SPECS, ids=by_name)
def test_is_pure_and_keeps_the_float_type(spec: SamplerSpec) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        x, sigmas = start(spec, dtype=dtype)
        x_before, sigmas_before = x.clone(), sigmas.clone()
        first, again = (run(spec.start(x, sigmas, unit_noise(SHAPE, dtype)), wavy) for _ in range(2))
        assert torch.equal(first, again)
        assert torch.equal(x, x_before)
        assert torch.equal(sigmas, sigmas_before)
        assert (first.dtype, first.shape) == (dtype, SHAPE)
        results.append(first.double())
    assert float((results[0] - results[1]).abs().max()) < 1e-4 * float(results[1].std())


@pytest.mark.parametrize("spec", [s for s in SPECS if s.name != "dpm_adaptive"], ids=by_name)
def test_never_looks_at_latents_on_an_accelerator(spec: SamplerSpec) -> None:
    """Tensors on "meta" have no values: reading one back, or mixing devices wrongly, raises."""
    x, sigmas = start(spec)
    noise = unit_noise(SHAPE)
    out = run(spec.start(x.to("meta"), sigmas, lambda *k: noise(*k).to("meta")), wavy)
    assert (out.device.type, out.shape) == ("meta", SHAPE)


@pytest.mark.parametrize("spec", SPECS, ids=by_name)
def test_counts_its_evaluations(spec: SamplerSpec) -> None:
    if spec.evaluations == 0:
        pytest.skip("chooses its own number of evaluations")
    asked: list[float] = []

    def counting(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(float(sigma))
        return wavy(x, sigma)

    x, sigmas = start(spec, steps=24)
    run(spec.start(x, sigmas, unit_noise(SHAPE)), counting, wavy)
    assert len(asked) == pytest.approx(spec.evaluations * (len(sigmas) - 1), abs=spec.evaluations)


@pytest.mark.parametrize("spec", SPECS, ids=by_name)
def test_one_step_and_no_step(spec: SamplerSpec) -> None:
    x, _ = start(spec)
    assert torch.equal(run(spec.start(x, torch.tensor([14.6]), unit_noise(SHAPE)), wavy), x)
    out = run(spec.start(x, torch.tensor([14.6, 0.0]), unit_noise(SHAPE)), wavy)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("spec", SPECS, ids=by_name)
def test_draws_noise_exactly_when_it_says_so(spec: SamplerSpec) -> None:
    drawn: list[int] = []

    def noise(step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        assert sigma != sigma_next
        drawn.append(step)
        return torch.zeros(SHAPE)

    x, sigmas = start(spec, steps=24)
    run(spec.start(x, sigmas, noise), wavy)
    assert bool(drawn) == spec.stochastic
    if spec.stochastic:
        with pytest.raises(FromnoiseError, match="without a noise source"):
            run(spec.start(x, sigmas), wavy)


@pytest.mark.parametrize("spec", SPECS, ids=by_name)
def test_describes_itself(spec: SamplerSpec) -> None:
    assert spec.make.__doc__
    assert spec.good_for.endswith(".")
    assert spec.good_for_zh.endswith("。")
    assert SAMPLERS[spec.label] is spec


@pytest.mark.parametrize("order", [2, 3])
def test_dpm_adaptive_is_as_exact_as_its_tolerance(order: int) -> None:
    sigmas = log_sigmas(1)
    x = torch.linspace(-3, 3, 16, dtype=torch.float64).reshape(1, 1, 4, 4) * sigmas[0]
    exact = flow(x, sigmas[0], sigmas[-1])
    asked: list[float] = []

    def counting(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(float(sigma))
        return gaussian(x, sigma)

    errors, counts = [], []
    for tolerance in (1e-2, 1e-3, 1e-4):
        asked.clear()
        options = {"order": order, "rtol": tolerance, "atol": tolerance / 10}
        out = run(SAMPLERS["dpm_adaptive"].start(x, sigmas, options=options), counting)
        errors.append(float((out - exact).abs().max() / exact.std()) / tolerance)
        counts.append(len(asked))
    assert max(errors) < 10, errors
    assert counts[0] < counts[1] < counts[2]


def test_dpm_adaptive_stops_on_answers_that_are_not_finite() -> None:
    x, sigmas = start(SAMPLERS["dpm_adaptive"])
    with pytest.raises(FromnoiseError, match="not finite"):
        run(SAMPLERS["dpm_adaptive"].start(x, sigmas), lambda x, sigma: x * float("nan"))


def test_restart_goes_back_and_repeats() -> None:
    sigmas = sigmas_for("karras", NoiseTable.ldm(), 40)
    pairs = restart_steps(sigmas)
    assert len(pairs) == 40
    jumps = [(float(before[1]), float(after[0])) for before, after in pairwise(pairs) if after[0] != before[1]]
    assert len(jumps) == 2
    assert all(low < 0.2 and 1.2 < high < 3 for low, high in jumps)
    assert float(pairs[-1][1]) == 0
    assert restart_steps(sigmas[:10]) == list(pairwise(sigmas[:10]))


@pytest.mark.parametrize(("name", "tolerance"), [("euler", 0.1), ("heun", 0.01), ("dpm_2", 0.01)])
def test_churn_keeps_the_marginal_variance(name: str, tolerance: float) -> None:
    sigmas = log_sigmas(200)
    noise = OneHotNoise(200)
    x = noise.start(sigmas[0], mean=0.0)
    calm = run(SAMPLERS[name].start(x, sigmas, noise), gaussian)
    churned = run(SAMPLERS[name].start(x, sigmas, noise, {"s_churn": 20, "s_tmax": 5.0}), gaussian)
    assert int((calm != 0).sum()) == 1
    assert int((churned != 0).sum()) > 100
    assert float((churned**2).sum()) == pytest.approx(float(SPREAD**2 + sigmas[-1] ** 2), rel=tolerance)


def test_eta_zero_needs_no_noise_and_follows_the_flow() -> None:
    sigmas = log_sigmas(100)
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64) * sigmas[0]
    exact = flow(x, sigmas[0], sigmas[-1])
    for spec in STOCHASTIC:
        if "eta" in spec.options:
            out = run(spec.start(x, sigmas, options={"eta": 0.0}), gaussian)
            assert float(out) == pytest.approx(float(exact), rel=0.03), spec.name


def test_options_are_checked_by_name_and_choice() -> None:
    x, sigmas = start(SAMPLERS["euler"])
    with pytest.raises(UnknownName, match="option of sampler Euler a 'etta'; did you mean 'eta'"):
        SAMPLERS["euler_ancestral"].start(x, sigmas, options={"etta": 1})
    with pytest.raises(UserError, match="choose one of midpoint, heun"):
        SAMPLERS["dpmpp_2m_sde"].start(x, sigmas, options={"solver_type": "middle"})


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("dpmpp_2m", ("dpmpp_2m", None)),
        ("DPM++ 2M", ("dpmpp_2m", None)),
        ("DPM++ 2M Karras", ("dpmpp_2m", "karras")),
        ("dpm++ 2m sde exponential", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE Heun", ("dpmpp_2m_sde_heun", None)),
        ("Euler a", ("euler_ancestral", None)),
        ("k_euler", ("euler", None)),
        ("Euler SGM Uniform", ("euler", "sgm_uniform")),
        ("DPM++ 3M SDE Karras", ("dpmpp_3m_sde", "karras")),
        ("DPM2 a Karras", ("dpm_2_ancestral", "karras")),
        ("LMS Karras", ("lms", "karras")),
        ("k_lms_ka", ("lms", "karras")),
        ("UniPC", ("uni_pc", None)),
        ("DDIM CFG++", ("euler_cfg_pp", None)),
        ("dpmpp_2m_sde_heun_gpu", ("dpmpp_2m_sde_heun", None)),
    ],
)
def test_names_of_both_families(name: str, resolved: tuple[str, str | None]) -> None:
    assert resolve(name) == resolved


def test_every_label_of_automatic1111_is_a_label_or_alias() -> None:
    labels = [
        "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
        "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
        "LCM",
    ]  # fmt: skip
    assert len(labels) == 20
    assert [label for label in labels if label not in SAMPLERS] == []


def test_an_unknown_name_gives_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'euler'"):
        resolve("eulerr")
