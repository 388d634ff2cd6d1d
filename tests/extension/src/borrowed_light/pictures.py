"""A sampler, an upscaler and a preprocessor."""

import itertools

import numpy as np
from PIL import Image
from torch import Tensor

from fromnoise.preprocessors.registry import Picture, preprocessor
from fromnoise.sampling.samplers import Evaluate, NoiseSource, Sampler, no_noise, sampler
from fromnoise.upscalers.registry import upscaler
from fromnoise.upscalers.work import Work


@sampler("half_euler", label="Half Euler", order=1, good_for="Nothing.", good_for_zh="没有用处。")
def half_euler(x: Tensor, sigmas: Tensor, noise: NoiseSource = no_noise) -> Sampler:
    for sigma, following in itertools.pairwise(sigmas):
        denoised = yield Evaluate(x, sigma)
        x = denoised + (x - denoised) * following / sigma
    return x / 2


@upscaler("Blue", good_for="Everything becomes blue.", good_for_zh="全部变蓝。")
class Blue:
    scale = 2

    def __call__(self, image: Image.Image, width: int, height: int, work: Work) -> Image.Image:
        return Image.new("RGB", (width, height), "blue")


@preprocessor("redder", good_for="The red of a picture.", good_for_zh="图片的红色。")
def redder(image: Picture) -> Picture:
    return np.ascontiguousarray(image * np.array([1, 0, 0], np.uint8))
