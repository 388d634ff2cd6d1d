"""Noise that depends on what it is for, not on when it is drawn.

Native noise is a pure function of (seed, purpose, step, draw): the same on every platform and device, alone or in a
batch, in one go or after an interruption. The generator is Philox-4x32-10 (Salmon et al. 2011, "Parallel Random
Numbers: As Easy as 1, 2, 3") with the Box-Muller transform in float64, rounded to float32 at the end.

`NvStream` and `TorchStream` are the sequential streams that other tools draw from.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fromnoise.errors import FromnoiseError

Words = NDArray[np.uint64]  # 32-bit words, held in 64 bits so that products fit

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10


class NoiseSource(Protocol):
    """Where the noise of a sampler's stochastic steps comes from."""

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        """Unit noise shaped like x for one draw of one step, which leads from `sigma` to `sigma_next`."""
        ...


def no_noise(step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
    """The noise source of a sampler that was started without one."""
    raise FromnoiseError("this sampler draws noise, but was started without a noise source")


class Purpose(IntEnum):
    """What noise is for. The numbers are part of the key: never change one, only add."""

    INITIAL_LATENTS = 0
    STEP = 1  # inside a sampler
    IMAGE_ENCODING = 2  # the autoencoder's posterior
    INPAINT = 3  # on the part of a picture that is kept
    VARIATION = 4  # mixed into the initial latents by a variation seed
    SECOND_PASS = 5  # on enlarged latents
    CONDITIONING = 6  # noise augmentation of a condition (unCLIP, upscaler models)
    REFERENCE = 7  # that a reference picture is seen through


def philox4x32(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox-4x32-10: four random 32-bit words for each counter; `key` is two 32-bit words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, high1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (high1 >> _SHIFT) ^ c1 ^ np.uint64(k0), high1 & _MASK
        c2, c3 = (high0 >> _SHIFT) ^ c3 ^ np.uint64(k1), high0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def box_muller(a: Words, b: Words) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two independent standard normals from two 32-bit words, in the order of cuRAND (sine, cosine)."""
    radius = np.sqrt(-2 * np.log((a + 0.5) * 2.0**-32))
    angle = (b + 0.5) * (2.0**-32 * 2 * math.pi)
    return radius * np.sin(angle), radius * np.cos(angle)


def philox_normal(shape: tuple[int, ...], seed: int, purpose: Purpose, step: int = 0, draw: int = 0) -> Tensor:
    """Standard normal noise, float32 on the CPU, a pure function of the arguments.

    `seed` counts modulo 2**64; `step` and `draw` (the draw within a step) are in [0, 2**32).
    """
    count = math.prod(shape)
    block = np.arange((count + 3) // 4, dtype=np.uint64)  # each gives four numbers
    counter = (block, np.full_like(block, step), np.full_like(block, draw), np.full_like(block, int(purpose)))
    words = philox4x32(counter, _key(seed))
    normals = np.stack((*box_muller(words[0], words[1]), *box_muller(words[2], words[3])), axis=1)
    return torch.from_numpy(normals.astype(np.float32).reshape(-1)[:count]).reshape(shape)


def _key(seed: int) -> tuple[int, int]:
    return seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF


@dataclass(frozen=True)
class NativeNoise:
    """The native noise source for one picture: keyed by seed, step and draw; the sigmas do not matter."""

    shape: tuple[int, ...]
    seed: int
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        """Unit noise of `shape` for one draw of one step."""
        return philox_normal(self.shape, self.seed, Purpose.STEP, step, draw).to(self.device, self.dtype)


class Stream(Protocol):
    """A stream of normal noise in which each draw depends on how many came before."""

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """The next float32 noise on the CPU."""
        ...


class TorchStream:
    """PyTorch's CPU generator: the noise of ComfyUI and of AUTOMATIC1111's RNG "CPU"."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """The next float32 noise on the CPU."""
        return torch.randn(shape, generator=self._generator)


class NvStream:
    """PyTorch's CUDA generator, computed on the CPU: AUTOMATIC1111's RNG "NV", and "GPU" for usual latent sizes.

    Draw number n of element i is the first normal of Philox counter (n, 0, i, 0) under the key `seed`. CUDA itself
    departs from this for tensors larger than the number of threads that it launches.
    """

    def __init__(self, seed: int) -> None:
        self._key = _key(seed)
        self._draws = 0

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """The next float32 noise on the CPU."""
        element = np.arange(math.prod(shape), dtype=np.uint64)
        zero = np.zeros_like(element)
        words = philox4x32((np.full_like(element, self._draws), zero, element, zero), self._key)
        self._draws += 1
        return torch.from_numpy(box_muller(words[0], words[1])[0].astype(np.float32)).reshape(shape)


@dataclass(frozen=True)
class SequentialNoise:
    """Step noise as other tools draw it: the next of a stream, whatever the step."""

    shape: tuple[int, ...]
    stream: Stream
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        """The stream's next unit noise of `shape`."""
        return self.stream.randn(self.shape).to(self.device, self.dtype)
