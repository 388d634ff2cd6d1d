"""A picture that is stopped anywhere and continued is the picture that was never stopped."""

import pytest
import torch
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.sampling.noise import NativeNoise, NoiseSource, SequentialNoise, TorchStream
from fromnoise.sampling.resume import Recording, resumable
from fromnoise.sampling.samplers import SAMPLERS, Sampler, SamplerSpec
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from tests.sampling.exact import run, wavy

SHAPE = (1, 4, 4, 4)


def fresh(spec: SamplerSpec, noise: NoiseSource, steps: int = 5) -> Sampler:
    sigmas = sigmas_for("karras", NoiseTable.ldm(), steps, drop_penultimate=spec.drop_penultimate)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) * sigmas[0]
    return spec.start(x, sigmas, noise)


def answers_until(sampler: Sampler, stop: int) -> None:
    """Answer `stop` questions, then abandon the sampler."""
    ask = next(sampler)
    for _ in range(stop):
        answer = wavy(ask.x, ask.sigma)
        ask = sampler.send(torch.stack((answer, 0.9 * answer)) if ask.split else answer)


@pytest.mark.parametrize("spec", SAMPLERS.values(), ids=lambda spec: spec.name)
def test_continues_bit_for_bit_after_any_evaluation(spec: SamplerSpec) -> None:
    asked = 0

    def counting(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        return wavy(x, sigma)

    def less(x: Tensor, sigma: Tensor) -> Tensor:
        return 0.9 * wavy(x, sigma)

    whole = run(fresh(spec, NativeNoise(SHAPE, 5)), counting, less)
    evaluations = asked
    for stop in range(evaluations):
        recording = Recording()
        answers_until(resumable(fresh(spec, NativeNoise(SHAPE, 5)), recording), stop)
        saved = Recording.from_tensors(recording.tensors())
        asked = 0
        continued = run(resumable(fresh(spec, NativeNoise(SHAPE, 5)), saved), counting, less)
        assert torch.equal(continued, whole)
        assert asked == evaluations - stop
        assert len(saved.answers) == evaluations


def test_sequential_noise_is_drawn_again_in_the_same_order() -> None:
    spec = SAMPLERS["euler_ancestral"]
    whole = run(fresh(spec, SequentialNoise(SHAPE, TorchStream(5))), wavy)
    recording = Recording()
    answers_until(resumable(fresh(spec, SequentialNoise(SHAPE, TorchStream(5))), recording), 3)
    continued = run(resumable(fresh(spec, SequentialNoise(SHAPE, TorchStream(5))), recording), wavy)
    assert torch.equal(continued, whole)


def test_refuses_a_recording_of_other_settings() -> None:
    recording = Recording()
    answers_until(resumable(fresh(SAMPLERS["euler"], NativeNoise(SHAPE, 5)), recording), 3)
    with pytest.raises(UserError, match="other settings"):
        run(resumable(fresh(SAMPLERS["euler"], NativeNoise(SHAPE, 5), steps=6), recording), wavy)
    with pytest.raises(UserError, match="not a recording"):
        Recording.from_tensors({"answer_00000": torch.zeros(1)})
