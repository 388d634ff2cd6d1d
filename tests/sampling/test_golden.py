"""Final latents and noise levels recorded from ComfyUI 0.3.64 (float32, CPU)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.sampling.brownian import BrownianNoise
from fromnoise.sampling.noise import NoiseSource, SequentialNoise, TorchStream
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable, sigmas_for
from tests.sampling.exact import run, wavy

GOLDEN = Path(__file__).parents[1] / "golden" / "sampling"
LATENTS = dict(np.load(GOLDEN / "samplers.npz"))
SIGMAS = json.loads((GOLDEN / "sigmas.json").read_text())
START = torch.from_numpy(LATENTS.pop("noise_seed42"))
SEED = 7


def less_certain(x: Tensor, sigma: Tensor) -> Tensor:
    """The unconditional answer that the samplers with CFG++ were told."""
    return 0.9 * wavy(x, sigma)


def test_the_start_noise_is_the_torch_stream() -> None:
    assert torch.equal(TorchStream(42).randn((1, 4, 8, 8)), START)


def test_every_recorded_sampler_and_schedule_is_there() -> None:
    assert {key.split("/")[0] for key in LATENTS} <= set(SAMPLERS) | {f"{name}_gpu" for name in SAMPLERS}
    assert {key.split("/")[0] for key in SIGMAS["eps"] if "/" in key} <= set(SCHEDULES)


@pytest.mark.parametrize("key", list(LATENTS))
def test_sampler(key: str) -> None:
    name, schedule, steps = key.split("/")
    spec = SAMPLERS[name]
    sigmas = sigmas_for(schedule, NoiseTable.ldm(), int(steps), drop_penultimate=spec.drop_penultimate)
    if spec.brownian:  # which shows the last bit of the sigmas
        sigmas = torch.tensor(SIGMAS["eps"][f"{schedule}/{steps}"])
    x = START * (1 + sigmas[0] ** 2).sqrt()
    shape = tuple(START.shape)
    noise: NoiseSource = SequentialNoise(shape, TorchStream(SEED))
    if spec.brownian:
        noise = BrownianNoise(shape, sigmas, SEED)
    out = run(spec.start(x, sigmas, noise), wavy, less_certain)
    want = torch.from_numpy(LATENTS[key])
    assert float((out - want).abs().max() / want.std()) < 1e-4


@pytest.mark.parametrize("key", [f"{kind}/{key}" for kind, keys in SIGMAS.items() for key in keys if "/" in key])
def test_schedule(key: str) -> None:
    kind, name, steps = key.split("/")
    want = torch.tensor(SIGMAS[kind][f"{name}/{steps}"])
    sigmas = SCHEDULES[name](NoiseTable.ldm(zero_snr=kind == "zsnr"), int(steps))
    assert sigmas.dtype == torch.float32
    if key.endswith("kl_optimal/1"):  # theirs divides by zero; ours is one step from the highest level
        assert torch.isnan(want[0])
        want = torch.tensor([SIGMAS[kind]["simple/1"][0], 0.0])
    torch.testing.assert_close(sigmas, want, rtol=3e-7, atol=0)  # but for the last bit, which differs by CPU


@pytest.mark.parametrize("kind", ["eps", "zsnr"])
def test_table(kind: str) -> None:
    table = NoiseTable.ldm(zero_snr=kind == "zsnr")
    want = torch.tensor(SIGMAS[kind]["sigmas_1000_head_tail"])
    torch.testing.assert_close(table.sigmas[[0, 1, 499, 998, 999]], want, rtol=1e-6, atol=0)
