"""Noise: known answers, keys, independence, the streams of other tools."""

import math
import timeit

import numpy as np
import pytest
import torch

from fromnoise.sampling.brownian import BrownianNoise, BrownianPath
from fromnoise.sampling.noise import (
    NativeNoise,
    NvStream,
    Purpose,
    SequentialNoise,
    TorchStream,
    philox4x32,
    philox_normal,
)

ZERO = torch.zeros(())


def words(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value], dtype=np.uint64) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers_of_random123(counter: tuple[int, ...], key: tuple[int, int], expected: str) -> None:
    assert " ".join(f"{int(word[0]):08x}" for word in philox4x32(words(*counter), key)) == expected


def test_native_noise_never_changes() -> None:
    """A change here changes every picture: these numbers were computed once, by hand, from the words above."""
    first = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    uniform = [(word + 0.5) / 2**32 for word in first]
    expected = []
    for a, b in (uniform[:2], uniform[2:]):
        radius = math.sqrt(-2 * math.log(a))
        expected += [radius * math.sin(2 * math.pi * b), radius * math.cos(2 * math.pi * b)]
    assert philox_normal((4,), 0, Purpose.INITIAL_LATENTS).tolist() == pytest.approx(expected, abs=1e-7)
    assert [p.value for p in Purpose] == list(range(8))


def test_every_part_of_the_key_matters_and_nothing_else() -> None:
    draws = {
        (seed, purpose, step, draw): philox_normal((3, 5), seed, purpose, step, draw)
        for seed in (0, 1, 2**32, 2**63)
        for purpose in (Purpose.INITIAL_LATENTS, Purpose.STEP)
        for step in (0, 1)
        for draw in (0, 1)
    }
    assert len({tuple(noise.flatten().tolist()) for noise in draws.values()}) == len(draws)
    for key, noise in draws.items():
        assert torch.equal(philox_normal((3, 5), *key), noise)
    assert torch.equal(philox_normal((2,), 2**64 + 1, Purpose.STEP), philox_normal((2,), 1, Purpose.STEP))


def test_native_noise_is_standard_normal_and_uncorrelated() -> None:
    a, b = (philox_normal((4, 128, 128), 12, Purpose.STEP, step).double().flatten() for step in (3, 4))
    n = a.numel()
    assert abs(float(a.mean())) < 4 / n**0.5
    assert abs(float(a.var()) - 1) < 4 * (2 / n) ** 0.5
    assert abs(float((a**4).mean()) - 3) < 4 * (96 / n) ** 0.5
    assert abs(float((a * b).mean())) < 4 / n**0.5
    assert abs(float((a[1:] * a[:-1]).mean())) < 4 / n**0.5
    inside = float((a.abs() < 1).double().mean())
    assert abs(inside - 0.682689) < 4 * (0.6827 * 0.3173 / n) ** 0.5


@pytest.mark.parametrize(("shape", "limit"), [((4, 64, 64), 0.02), ((4, 128, 128), 0.06)])
def test_native_noise_is_fast(shape: tuple[int, ...], limit: float) -> None:
    """0.9 and 2.9 ms on one core of a server CPU; the limits leave room for a busy machine."""
    assert min(timeit.repeat(lambda: philox_normal(shape, 1, Purpose.STEP), number=1, repeat=5)) < limit


def test_native_source_depends_on_step_and_draw_only() -> None:
    source = NativeNoise((1, 4, 3, 3), 9)
    late = source(5, ZERO, ZERO, 1)
    source(0, ZERO, ZERO)
    assert torch.equal(source(5, ZERO + 1, ZERO + 2, 1), late)
    assert not torch.equal(source(5, ZERO, ZERO, 0), late)
    assert NativeNoise((2,), 9, dtype=torch.float16)(0, ZERO, ZERO).dtype == torch.float16


def test_nv_stream_is_the_documented_one() -> None:
    """Values published with AUTOMATIC1111's RNG "NV" for seed 0: they are CUDA's."""
    stream = NvStream(0)
    first = [
        [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
        [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
        [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
    ]
    torch.testing.assert_close(stream.randn((3, 4)), torch.tensor(first), rtol=0, atol=2e-6)
    second = torch.tensor([[0.18082589, -0.5522627], [0.9238134, -0.73497033]])
    torch.testing.assert_close(stream.randn((2, 2)), second, rtol=0, atol=2e-6)


def test_torch_stream_goes_on_where_it_was() -> None:
    generator = torch.Generator().manual_seed(11)
    source = SequentialNoise((1, 4, 8, 8), TorchStream(11))
    for _ in range(3):
        assert torch.equal(source(0, ZERO, ZERO), torch.randn((1, 4, 8, 8), generator=generator))


def test_brownian_noise_is_of_one_path() -> None:
    sigmas = torch.tensor([10.0, 4.0, 1.0, 0.3, 0.0])
    noise = BrownianNoise((2000,), sigmas, seed=3)

    def step(a: float, b: float) -> torch.Tensor:
        return noise(0, torch.tensor(a), torch.tensor(b)) * (a - b) ** 0.5

    torch.testing.assert_close(step(10, 4) + step(4, 1), step(10, 1), rtol=0, atol=1e-5)
    assert torch.equal(step(4, 1), BrownianNoise((2000,), sigmas, 3)(7, sigmas[1], sigmas[2], 2) * 3**0.5)
    unit = noise(0, sigmas[1], sigmas[2])
    assert float(unit.std()) == pytest.approx(1, abs=0.06)
    assert abs(float((unit * noise(0, sigmas[0], sigmas[1])).mean())) < 0.09


def test_brownian_path_takes_another_generator() -> None:
    path = BrownianPath(0.0, 4.0, (3,), seed=1, unit_noise=lambda shape, seed: torch.ones(shape))
    assert path(4.0).tolist() == [2, 2, 2]  # sqrt(4) * 1
    assert path(2.0).tolist() == [2, 2, 2]  # half of it, and sqrt(4 / 4) * 1
    assert path(0.0).tolist() == [0, 0, 0]
