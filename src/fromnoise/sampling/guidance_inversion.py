"""The noise that a picture would come from: sampling run backwards, for AUTOMATIC1111's "img2img alternative test".

sigmas = sigmas_for("normal", table, steps).flip(0)  # rising from 0
picture = drive(inversion(latents, sigmas), guide)   # ends in the noise
noise = start_noise(found, fresh, latents, sigmas[-1], randomness)
x = latents + noise * sigmas_of_the_run[0]
"""

from itertools import pairwise

from torch import Tensor

from fromnoise.sampling.samplers import Evaluate, Sampler


def inversion(latents: Tensor, sigmas: Tensor, adjusted: bool = False) -> Sampler:
    """Euler steps up `sigmas`, which rise from 0, from clean `latents` (1 c h w) to unit noise of the same shape: DDIM
    inversion, Song et al. (2021), section 4.3, in these variables.

    Plain, the slope is asked at the level a step leads to, and the result is divided by its own standard deviation.
    `adjusted` ("Sigma adjustment") asks at the level a step begins at, and divides by the last sigma; its first step,
    from no noise at all, goes nowhere.
    """
    x = latents
    for sigma, sigma_next in pairwise(sigmas):
        if adjusted and sigma == 0:
            continue
        at = sigma if adjusted else sigma_next
        denoised = yield Evaluate(x, at)
        x = x + (x - denoised) / at * (sigma_next - sigma)
    return x / (sigmas[-1] if adjusted else x.std())


def start_noise(found: Tensor, fresh: Tensor, latents: Tensor, sigma: Tensor, randomness: float = 0.0) -> Tensor:
    """The noise (1 c h w) to add to `latents` at the highest level `sigma` so that only noise is there: `found` by
    `inversion`, mixed with `fresh` noise as far as `randomness` (0 to 1) and brought back to unit size."""
    size: float = (randomness**2 + (1 - randomness) ** 2) ** 0.5
    return (found * (1 - randomness) + fresh * randomness) / size - latents / sigma
