"""Denoisers whose exact solutions are known, and a driver that answers a sampler with them."""

from collections.abc import Callable

import torch
from torch import Tensor

from fromnoise.sampling.samplers import Sampler

Denoise = Callable[[Tensor, Tensor], Tensor]

SPREAD = 0.7  # standard deviation of the Gaussian "pictures"


def run(sampler: Sampler, denoise: Denoise, uncond: Denoise | None = None) -> Tensor:
    """The latents that `sampler` returns when `denoise` answers it."""
    try:
        ask = next(sampler)
        while True:
            answer = denoise(ask.x, ask.sigma)
            if ask.split:
                answer = torch.stack((answer, (uncond or denoise)(ask.x, ask.sigma)))
            ask = sampler.send(answer)
    except StopIteration as stop:
        return stop.value


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """The ideal denoiser of pictures from N(0, SPREAD^2)."""
    return x * (SPREAD**2 / (SPREAD**2 + sigma**2))


def flow(x: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """Where the probability flow of `gaussian` leads x, exactly."""
    return x * ((SPREAD**2 + sigma_next**2) / (SPREAD**2 + sigma**2)).sqrt()


def wavy(x: Tensor, sigma: Tensor) -> Tensor:
    """The non-linear denoiser of the golden numbers."""
    return x / (1 + sigma**2) + 0.25 * x.sin() * sigma / (1 + sigma)


def log_sigmas(steps: int, first: float = 10.0, last: float = 0.1) -> Tensor:
    """steps + 1 float64 levels at even distances in log sigma, without the final 0."""
    return torch.logspace(torch.tensor(first).log10(), torch.tensor(last).log10(), steps + 1, dtype=torch.float64)


class OneHotNoise:
    """Every draw is a random variable of its own, kept as a coordinate.

    With a linear denoiser the result's coordinates are its exact dependence on the start and on every draw, so that
    its variance is known without drawing a single sample. Coordinate 0 is the start, coordinate 1 the constant 1.
    """

    DRAWS = 3  # at most, in one step

    def __init__(self, steps: int) -> None:
        self.shape = (1, 1, 1, 2 + steps * self.DRAWS)

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        assert draw < self.DRAWS
        noise = torch.zeros(self.shape, dtype=torch.float64)
        noise[..., 2 + step * self.DRAWS + draw] = 1
        return noise

    def start(self, sigma: Tensor, mean: float) -> Tensor:
        x = torch.zeros(self.shape, dtype=torch.float64)
        x[..., 0], x[..., 1] = (SPREAD**2 + sigma**2).sqrt(), mean
        return x


def gaussian_around(mean: float) -> Denoise:
    """The ideal denoiser of N(mean, SPREAD^2), on coordinates of `OneHotNoise`."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        constant = torch.zeros_like(x)
        constant[..., 1] = mean
        return constant + gaussian(x - constant, sigma)

    return denoise


def unit_noise(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Callable[..., Tensor]:
    """A simple keyed noise source, independent of fromnoise's own."""

    def noise(step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * step + draw)
        return torch.randn(shape, generator=generator).to(dtype)

    return noise
