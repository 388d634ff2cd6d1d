"""Which noise is added in training, and how much: keyed by seed and step, so that a stopped training goes on alike.

The names and formulas are kohya sd-scripts'.
"""

from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from fromnoise.train.emoji import philox
from fromnoise.train.objective import STEPS


class Noising(BaseModel):
    """How latents are noised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_offset: float = Field(
        default=0.0,
        ge=0,
        description="More noise that is the same all over a channel: for very dark and very bright pictures.",
    )
    noise_offset_random_strength: bool = Field(default=False, description="A random share of it each time.")
    adaptive_noise_scale: float = Field(default=0.0, description="Added to it for each unit of the latents' mean.")
    multires_noise_iterations: int = Field(
        default=0, ge=0, le=16, description="Octaves of coarser noise that are added."
    )
    multires_noise_discount: float = Field(
        default=0.3, ge=0, le=1, description="How much each octave counts of the one before."
    )
    ip_noise_gamma: float = Field(
        default=0.0,
        ge=0,
        description="Disturb the input by so much noise that the target does not know (Ning et al., 2023).",
    )
    ip_noise_gamma_random_strength: bool = Field(default=False, description="A random share of it each time.")
    min_timestep: int = Field(default=0, ge=0, lt=STEPS, description="The least noise to train on.")
    max_timestep: int = Field(default=STEPS, gt=0, le=STEPS, description="Above the most noise to train on.")

    @model_validator(mode="after")
    def _fit(self) -> "Noising":
        if self.min_timestep >= self.max_timestep:
            raise ValueError(f"min_timestep {self.min_timestep} is not below max_timestep {self.max_timestep}")
        if self.noise_offset and self.multires_noise_iterations:
            raise ValueError("noise_offset and multires_noise_iterations both add coarse noise: choose one")
        return self

    def draw(self, latents: Tensor, seed: int, *key: int) -> "Drawn":
        """Timesteps and noise for clean latents (b c h w); equal keys draw the same."""
        rng = philox(seed, 20, *key)
        timesteps = rng.integers(self.min_timestep, self.max_timestep, len(latents))
        noise = self._shaped(normal(rng, latents.shape), latents.float().cpu(), rng)
        disturbing = noise
        if self.ip_noise_gamma:
            strength = self.ip_noise_gamma * (rng.random() if self.ip_noise_gamma_random_strength else 1.0)
            disturbing = noise + strength * normal(rng, latents.shape)
        return Drawn(torch.from_numpy(timesteps), noise, disturbing).like(latents)

    def _shaped(self, noise: Tensor, latents: Tensor, rng: np.random.Generator) -> Tensor:
        if self.noise_offset:
            offset = torch.tensor(self.noise_offset * (rng.random() if self.noise_offset_random_strength else 1.0))
            if self.adaptive_noise_scale:
                means = latents.mean(dim=(2, 3), keepdim=True).abs()
                offset = (offset + self.adaptive_noise_scale * means).clamp(min=0)
            return noise + offset * normal(rng, (*noise.shape[:2], 1, 1))
        return pyramid(noise, self.multires_noise_iterations, self.multires_noise_discount, rng)


class Drawn(NamedTuple):
    """What is added to latents at a step."""

    timesteps: Tensor  # (b) int64
    noise: Tensor  # (b c h w), what the network should find
    disturbing: Tensor  # (b c h w), what is really added

    def like(self, latents: Tensor) -> "Drawn":
        device = latents.device
        return Drawn(self.timesteps.to(device), self.noise.to(latents), self.disturbing.to(latents))


def pyramid(noise: Tensor, octaves: int, discount: float, rng: np.random.Generator) -> Tensor:
    """Noise with coarser noise added, octave by octave, of unit variance in all: "multi-resolution noise"."""
    if not octaves:
        return noise
    height, width = noise.shape[-2:]
    for octave in range(octaves):
        ratio = 2 + 2 * rng.random()
        down, across = max(1, int(height / ratio**octave)), max(1, int(width / ratio**octave))
        coarse = normal(rng, (*noise.shape[:2], down, across))
        noise = noise + F.interpolate(coarse, size=(height, width), mode="bilinear") * discount**octave
        if down == 1 or across == 1:
            break
    return noise / noise.std()


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
