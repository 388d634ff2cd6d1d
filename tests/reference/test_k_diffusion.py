"""Samplers and schedules against the k-diffusion package, with the same noise."""

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fromnoise.sampling.brownian import BrownianNoise
from fromnoise.sampling.noise import SequentialNoise, TorchStream
from fromnoise.sampling.parametrization import eps_scalings, to_denoised, v_scalings
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from fromnoise.sampling.spacing import exponential_sigmas, karras_sigmas, polyexponential_sigmas, vp_sigmas
from tests.sampling.exact import run, wavy

SHAPE = (2, 4, 8, 8)
TABLE = NoiseTable.ldm()


def model(x: Tensor, sigma: Tensor) -> Tensor:
    return wavy(x, sigma.view(-1, 1, 1, 1))


def start(name: str, steps: int = 8) -> tuple[Tensor, Tensor]:
    sigmas = sigmas_for("karras", TABLE, steps, drop_penultimate=SAMPLERS[name].drop_penultimate).double()
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigmas[0], sigmas


def assert_equal(ours: Tensor, theirs: Tensor, tolerance: float = 1e-6) -> None:
    assert float((ours - theirs).abs().max() / theirs.std()) < tolerance


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2", "dpmpp_2m"])
def test_deterministic_sampler(name: str, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start(name)
    theirs = getattr(k_diffusion.sampling, f"sample_{name}")(model, x, sigmas, disable=True)
    assert_equal(run(SAMPLERS[name].start(x, sigmas), wavy), theirs)


@pytest.mark.parametrize("order", [1, 3, 4])
def test_lms(order: int, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start("lms")
    theirs = k_diffusion.sampling.sample_lms(model, x, sigmas, disable=True, order=order)
    assert_equal(
        run(SAMPLERS["lms"].start(x, sigmas, options={"order": order, "extrapolate_last": True}), wavy), theirs
    )


@pytest.mark.parametrize("steps", [1, 2, 6, 7, 8])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_dpm_fast(steps: int, eta: float, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start("dpm_fast", steps)
    streams = [SequentialNoise(SHAPE, TorchStream(5), dtype=torch.float64) for _ in range(2)]
    ends = float(sigmas[-2]), float(sigmas[0])
    if steps == 1:
        sigmas = sigmas.new_tensor([ends[1], 0.5])
        ends = 0.5, ends[1]
    theirs = k_diffusion.sampling.sample_dpm_fast(
        model, x, *ends, steps, disable=True, eta=eta, noise_sampler=lambda s, s_next: streams[0](0, s, s_next)
    )
    assert_equal(run(SAMPLERS["dpm_fast"].start(x, sigmas, streams[1], {"eta": eta}), wavy), theirs, 1e-5)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_dpm_adaptive(order: int, eta: float, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start("dpm_adaptive")
    options = {"order": order, "eta": eta, "pcoeff": 0.3, "dcoeff": 0.1, "rtol": 0.02}
    streams = [SequentialNoise(SHAPE, TorchStream(5), dtype=torch.float64) for _ in range(2)]
    theirs = k_diffusion.sampling.sample_dpm_adaptive(
        model,
        x,
        float(sigmas[-2]),
        float(sigmas[0]),
        disable=True,
        noise_sampler=lambda s, s_next: streams[0](0, s, s_next),
        **options,
    )
    assert_equal(run(SAMPLERS["dpm_adaptive"].start(x, sigmas, streams[1], options), wavy), theirs, 1e-4)


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn(name: str, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start(name)
    sample = getattr(k_diffusion.sampling, f"sample_{name}")
    torch.manual_seed(4)
    theirs = sample(model, x, sigmas, disable=True, s_churn=3.0, s_noise=1.1)
    torch.manual_seed(4)
    options = {"s_churn": 3.0, "s_noise": 1.1}
    assert_equal(run(SAMPLERS[name].start(x, sigmas, lambda *key: torch.randn_like(x), options), wavy), theirs)


ANCESTRAL = ["euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral"]
SDE = ["dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"]


@pytest.mark.parametrize("name", ANCESTRAL + SDE)
@pytest.mark.parametrize("eta", [1.0, 0.4])
def test_stochastic_sampler(name: str, eta: float, k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start(name)
    sample = getattr(k_diffusion.sampling, f"sample_{name}")
    streams = [SequentialNoise(SHAPE, TorchStream(5), dtype=torch.float64) for _ in range(2)]
    theirs = sample(
        model, x, sigmas, disable=True, eta=eta, s_noise=0.9, noise_sampler=lambda s, s_next: streams[0](0, s, s_next)
    )
    assert_equal(run(SAMPLERS[name].start(x, sigmas, streams[1], {"eta": eta, "s_noise": 0.9}), wavy), theirs)


def test_solver_type_heun(k_diffusion: types.SimpleNamespace) -> None:
    x, sigmas = start("dpmpp_2m_sde")
    noise: Callable[[], Any] = lambda: SequentialNoise(SHAPE, TorchStream(5), dtype=torch.float64)  # noqa: E731
    first = noise()
    theirs = k_diffusion.sampling.sample_dpmpp_2m_sde(
        model, x, sigmas, disable=True, solver_type="heun", noise_sampler=lambda s, s_next: first(0, s, s_next)
    )
    assert_equal(run(SAMPLERS["dpmpp_2m_sde_heun"].start(x, sigmas, noise()), wavy), theirs)


@pytest.mark.filterwarnings("ignore:Should have t")
def test_brownian_noise(k_diffusion: types.SimpleNamespace) -> None:
    sigmas = sigmas_for("karras", TABLE, 12)
    x = torch.zeros(1, 4, 8, 8)
    theirs = k_diffusion.sampling.BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=77)
    ours = BrownianNoise((1, 4, 8, 8), sigmas, 77)
    for step in (3, 0, 1, 2, 7, 10):
        expected = theirs(sigmas[step], sigmas[step + 1])
        torch.testing.assert_close(ours(step, sigmas[step], sigmas[step + 1]), expected, rtol=0, atol=1e-5)


def test_schedules(k_diffusion: types.SimpleNamespace) -> None:
    low, high, theirs = TABLE.sigma_min, TABLE.sigma_max, k_diffusion.sampling
    assert torch.equal(karras_sigmas(9, low, high), theirs.get_sigmas_karras(9, low, high)[:-1])
    assert torch.equal(exponential_sigmas(9, low, high), theirs.get_sigmas_exponential(9, low, high)[:-1])
    poly = theirs.get_sigmas_polyexponential(9, low, high, 1.7)[:-1]
    torch.testing.assert_close(polyexponential_sigmas(9, low, high, 1.7), poly)
    torch.testing.assert_close(vp_sigmas(9), theirs.get_sigmas_vp(9)[:-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_denoiser_and_timesteps(kind: str, k_diffusion: types.SimpleNamespace) -> None:
    """The whole way from a network's output to `denoised`, and the interpolated timestep."""
    shown: list[tuple[Tensor, Tensor]] = []

    def network(x: Tensor, timestep: Tensor) -> Tensor:
        shown.append((x, timestep))
        return x.sin()

    wrapper = k_diffusion.external.DiscreteEpsDDPMDenoiser
    if kind == "v":
        wrapper = k_diffusion.external.DiscreteVDDPMDenoiser
    theirs = wrapper(_Module(network), TABLE.alphas_cumprod, quantize=False)
    x = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0)) * 5
    sigma = torch.tensor([0.05, 1.7, 14.0])
    scalings = (eps_scalings if kind == "eps" else v_scalings)(sigma)
    expected = theirs(x, sigma)
    (x_shown, timestep), *_ = shown
    torch.testing.assert_close(to_denoised(x_shown.sin(), x, scalings), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x * scalings.input.view(-1, 1, 1, 1), x_shown, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(TABLE.timestep(sigma, "interpolate"), timestep, rtol=0, atol=2e-3)


class _Module(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        return self.function(x, timestep)
