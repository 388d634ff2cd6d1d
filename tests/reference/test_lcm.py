"""Networks that are told the guidance scale draw as diffusers' pipelines do, without classifier-free guidance."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline, LCMScheduler, StableDiffusionPipeline

from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model, assemble
from fromnoise.engine.memory import Placement
from tests import tiny
from tests.reference.test_pictures import UNCHECKED, distance, ours, parts, recipe, theirs


@pytest.fixture(scope="module")
def model() -> Model:
    made = tiny.model("sd1", unet=replace(tiny.unet_config("sd1"), guidance_dim=16))
    return assemble("tiny", made, "0" * 64, Placement(torch.device("cpu"), torch.float32))


def pipeline(kind: Any, model: Model, **changes: Any) -> Any:
    return kind(**{**parts(model), "feature_extractor": None, "image_encoder": None, **UNCHECKED, **changes})


@pytest.mark.parametrize("scale", [1.0, 4.5, 8.5])
def test_several_steps(model: Model, scale: float) -> None:
    wanted = recipe(guidance_scale=scale)
    expected = theirs(model, wanted, pipeline(StableDiffusionPipeline, model), width=64, height=64)
    assert distance(ours(model, wanted), expected) < 1e-4


@pytest.mark.parametrize("scale", [2.0, 8.5])
def test_one_step_of_the_latent_consistency_pipeline(model: Model, scale: float) -> None:
    """From pure noise; its boundary condition differs from the plain guess by a billionth there."""
    wanted = recipe(guidance_scale=scale, steps=1, schedule="sgm_uniform")
    made = pipeline(LatentConsistencyModelPipeline, model, scheduler=LCMScheduler())
    made.set_progress_bar_config(disable=True)
    expected = made(
        prompt_embeds=encode_prompts(model, wanted).cond.context, num_inference_steps=1, guidance_scale=scale,
        generator=torch.Generator().manual_seed(wanted.seed), output_type="latent", width=64, height=64,
    ).images  # fmt: skip
    assert distance(ours(model, wanted), expected) < 1e-4


def test_the_scale_acts_and_one_call_a_step_is_enough(model: Model) -> None:
    assert distance(ours(model, recipe(guidance_scale=2)), ours(model, recipe(guidance_scale=8))) > 1e-3
    executor = Executor[int](model, max_batch=1)
    executor.add(0, Job(model, recipe(guidance_scale=8)).picture(None, None))
    dict(executor.run())
    assert executor.batches == recipe().steps


def test_pictures_of_different_scales_share_a_batch(model: Model) -> None:
    executor = Executor[int](model)
    for number, scale in enumerate((2.0, 8.0)):
        executor.add(number, Job(model, recipe(guidance_scale=scale)).picture(None, None))
    together = dict(executor.run())
    assert executor.batches == recipe().steps
    for number, scale in enumerate((2.0, 8.0)):
        assert distance(together[number], ours(model, recipe(guidance_scale=scale))) < 1e-5
