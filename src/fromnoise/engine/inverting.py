"""Before the first pass, if a recipe wants it: the noise that its start picture would come from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fromnoise.engine.passes import Progress, counted
from fromnoise.engine.recipe_guidance import Inversion
from fromnoise.sampling.guidance import Guidance
from fromnoise.sampling.guidance_inversion import inversion, start_noise
from fromnoise.sampling.samplers import Sampler


@dataclass(frozen=True)
class Inverting:
    """A run backwards, from a picture to noise."""

    options: Inversion
    sigmas: Tensor  # rising from 0
    highest: float  # what noise is multiplied by where nothing of the picture is left
    guide: Guidance

    @property
    def evaluations(self) -> int:
        return len(self.sigmas) - 1 - self.options.adjusted

    def sampler(self, latents: Tensor, fresh: Tensor, progress: Progress) -> Sampler:
        """Returns the noise to start from instead of `fresh`; `latents` (1 c h w) are the picture's."""
        progress.begin(self.guide)
        backwards = inversion(latents, self.sigmas, self.options.adjusted)
        found = yield from counted(backwards, progress)
        return start_noise(found, fresh, latents, torch.tensor(self.highest), self.options.randomness)
