"""Whole pictures equal diffusers' pipelines under the `diffusers` profile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from PIL import Image
from torch import Tensor

from fromnoise.checkpoints.names import diffusers_unet, vae_to_diffusers
from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from tests.engine.models import tiny_model
from tests.reference import peers

NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
SCHEDULERS = {
    "euler": EulerDiscreteScheduler(**NOISE),
    "euler_ancestral": EulerAncestralDiscreteScheduler(**NOISE),
    "ddim": DDIMScheduler(**NOISE, clip_sample=False),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def parts(model: Model) -> dict[str, Any]:
    unet, vae = peers.unet(model.unet.config), peers.vae(model.vae.config)
    unet.register_to_config(sample_size=64)  # the pipelines want to compare it with a number
    rename, levels = diffusers_unet(model.unet.config), len(model.vae.config.channel_mult)
    unet.load_state_dict({rename(name): weight for name, weight in model.unet.state_dict().items()})
    vae.load_state_dict(vae_to_diffusers(model.vae.state_dict(), levels, model.vae.config.res_blocks))
    none = ("text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    return {"unet": unet, "vae": vae, "requires_safety_checker": False, **dict.fromkeys(none)}


def recipe(**changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": 6, "guidance_scale": 5}
    return Recipe.make(**base, profile="diffusers", seed=3, **changes)


def ours(model: Model, wanted: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, wanted).picture(None, None))
    ((_, latents),) = executor.run()
    return latents


def theirs(model: Model, wanted: Recipe, pipeline: Any, **start: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    prompts = encode_prompts(model, wanted)
    result = pipeline(
        prompt_embeds=prompts.cond.context,
        negative_prompt_embeds=prompts.uncond.context,
        num_inference_steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator().manual_seed(wanted.seed),
        output_type="latent",
        **start,
    )
    latents: Tensor = result.images
    return latents


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.std())


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("steps", [6, 7])
def test_from_noise(model: Model, parts: dict[str, Any], sampler: str, steps: int) -> None:
    wanted = recipe(sampler=sampler).but(steps=steps)
    pipeline = StableDiffusionPipeline(**parts, scheduler=SCHEDULERS[sampler])
    expected = theirs(model, wanted, pipeline, width=64, height=64)
    assert distance(ours(model, wanted), expected) < 1e-4


@pytest.mark.parametrize("strength", [0.4, 0.75, 1.0])
def test_from_a_picture(model: Model, parts: dict[str, Any], strength: float, tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    image.save(tmp_path / "start.png")
    wanted = recipe(sampler="euler_ancestral", init=ImageRef.of(tmp_path / "start.png"), strength=strength)
    pipeline = StableDiffusionImg2ImgPipeline(**parts, scheduler=SCHEDULERS["euler_ancestral"])
    expected = theirs(model, wanted, pipeline, image=image, strength=strength)
    assert distance(ours(model, wanted), expected) < 1e-4
