"""MultiDiffusion against diffusers' panorama, which averages after DDIM's steps what is averaged here before."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPanoramaPipeline
from torch import Tensor

from fromnoise.engine.executor import Executor
from fromnoise.nn.unet import UNetConfig
from fromnoise.sampling.guidance import Cond, classifier_free, drive
from fromnoise.sampling.guidance_tiles import Tiles, tiled
from fromnoise.sampling.samplers import SAMPLERS
from tests.engine.models import tiny_model
from tests.reference import peers
from tests.reference.test_networks import pair

VIEW, STRIDE = 64, 8  # latents, fixed in the pipeline
STEPS, SCALE = 3, 6.0


@pytest.fixture(scope="module")
def states() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, VIEW, VIEW + STRIDE, generator=generator)
    cond, uncond = (torch.randn(1, 77, 32, generator=generator) for _ in range(2))
    return noise, cond, uncond


def panorama(unet: Any, noise: Tensor, cond: Tensor, uncond: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of the pipeline, and the timesteps that it took."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        timestep_spacing="leading", steps_offset=1,
    )  # fmt: skip
    pipeline = StableDiffusionPanoramaPipeline(
        vae=peers.vae(tiny_model().vae.config), text_encoder=None, tokenizer=None, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    height, width = (side * 8 for side in noise.shape[-2:])
    made = pipeline(
        prompt_embeds=cond, negative_prompt_embeds=uncond, height=height, width=width, num_inference_steps=STEPS,
        guidance_scale=SCALE, latents=noise, output_type="latent",
    ).images  # fmt: skip
    return made, scheduler.timesteps


def test_multidiffusion(states: tuple[Tensor, Tensor, Tensor]) -> None:
    noise, cond, uncond = states
    config = UNetConfig.uniform(
        model_channels=32, channel_mult=(1, 1, 1), level_depths=(0, 0, 1), res_blocks=1, context_dim=32, heads=4
    )
    ours, unet = pair(config)
    model = replace(tiny_model(), unet=ours)
    made, timesteps = panorama(unet, noise, cond, uncond)
    sigmas = torch.tensor([float(model.table.sigmas[t]) for t in timesteps] + [float(model.table.sigmas[0])])
    x = noise * (1 + sigmas[0] ** 2).sqrt()
    guide = tiled(classifier_free(Cond(cond), Cond(uncond), SCALE), Tiles(VIEW, VIEW, VIEW - STRIDE))
    executor = Executor[int](model)
    executor.add(0, drive(SAMPLERS["euler"].start(x, sigmas), guide))
    ((_, latents),) = executor.run()
    latents = latents / (1 + sigmas[-1] ** 2).sqrt()
    torch.testing.assert_close(latents, made, atol=2e-4, rtol=2e-4)
