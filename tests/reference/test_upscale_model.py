"""The Stable Diffusion x4 upscaler: both layouts of its files, and whole pictures as diffusers' pipeline makes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, StableDiffusionUpscalePipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.names import diffusers_unet, vae_to_diffusers
from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.fitting import size_of
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model, assemble
from fromnoise.engine.memory import Placement
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from tests import tiny
from tests.reference import peers

CPU = Placement(torch.device("cpu"), torch.float32)
VAE = replace(tiny.VAE, channel_mult=(1, 1, 1), scale_factor=0.08333)
NOISE = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
LEADING = {**NOISE, "steps_offset": 1, "timestep_spacing": "leading", "prediction_type": "v_prediction"}
SCHEDULERS = {"euler": EulerDiscreteScheduler(**LEADING), "ddim": DDIMScheduler(**LEADING, clip_sample=False)}


@pytest.fixture(scope="module")
def model() -> Model:
    checkpoint = tiny.model("sd2", task="upscale", prediction="v", vae=VAE)
    return assemble("tiny", checkpoint, "0" * 64, CPU)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upscale") / "small.png"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def recipe(small: Path, **changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "negative": "blue", "width": 96, "height": 64, "steps": 5, "guidance_scale": 5}
    enlarge = {"image": ImageRef.of(small).model_dump(), **changes.pop("enlarge", {})}
    return Recipe.make(**{**base, "seed": 3, "enlarge": enlarge, "sampler": "euler", **changes})


def latents(model: Model, *wanted: Recipe) -> list[Tensor]:
    executor = Executor[int](model)
    for i, one in enumerate(wanted):
        executor.add(i, Job(model, one).picture(None, None))
    made = dict(executor.run())
    return [made[i] for i in range(len(wanted))]


def pipeline(model: Model, scheduler: Any) -> StableDiffusionUpscalePipeline:
    unet, vae = peers.unet(model.unet.config), peers.vae(model.vae.config)
    rename, levels = diffusers_unet(model.unet.config), len(model.vae.config.channel_mult)
    unet.load_state_dict({rename(name): weight for name, weight in model.unet.state_dict().items()})
    vae.load_state_dict(vae_to_diffusers(model.vae.state_dict(), levels, model.vae.config.res_blocks))
    made = StableDiffusionUpscalePipeline(
        vae=vae, unet=unet, text_encoder=None, tokenizer=None, low_res_scheduler=DDPMScheduler(**NOISE),
        scheduler=scheduler, max_noise_level=350,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("noise_level", [0, 20, 350])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_pictures_are_those_of_diffusers(model: Model, small: Path, sampler: str, noise_level: int) -> None:
    wanted = recipe(small, profile="diffusers", sampler=sampler, enlarge={"noise_level": noise_level})
    prompts = encode_prompts(model, wanted)
    expected = pipeline(model, SCHEDULERS[sampler])(
        prompt_embeds=prompts.cond.context,
        negative_prompt_embeds=prompts.uncond.context,
        image=Image.open(small),
        num_inference_steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        noise_level=noise_level,
        generator=torch.Generator().manual_seed(wanted.seed),
        output_type="latent",
    ).images
    (made,) = latents(model, wanted)
    assert float((made - expected).abs().max() / expected.std()) < 1e-4


def test_a_checkpoint_in_the_original_layout_is_known(model: Model, tmp_path: Path) -> None:
    path = tiny.checkpoint(tmp_path / "x4-upscaler-ema.safetensors", "sd2", task="upscale", vae=VAE, prediction="v")
    weights = load_file(path)
    save_file({**weights, "low_scale_model.betas": torch.zeros(3), "betas": torch.zeros(3)}, path)  # as the real one
    found = load_checkpoint(path)
    assert (found.facts.task, found.facts.family, found.facts.prediction) == ("upscale", "sd2", "v")
    assert found.facts.unet == model.unet.config
    assert found.vae is not None
    assert (found.vae.config.scale_factor, found.vae.config.downscale) == (0.08333, 4)
    for name, weight in model.unet.state_dict().items():
        assert torch.equal(found.unet.state_dict()[name], weight)
    signal = float(DDPMScheduler(**NOISE).alphas_cumprod[-1])
    assert assemble("x", found, "0" * 64, CPU).table.sigma_max == pytest.approx(
        ((1 - signal) / signal) ** 0.5, rel=1e-4
    )


def test_a_folder_of_diffusers_is_known(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "stable-diffusion-x4-upscaler"
    pipe = pipeline(model, SCHEDULERS["ddim"])
    pipe.save_pretrained(folder)
    found = load_checkpoint(folder)
    assert (found.facts.task, found.facts.family, found.facts.prediction) == ("upscale", "sd2", "v")
    assert found.facts.unet == replace(model.unet.config, head_dim=found.facts.unet.head_dim)
    assert found.vae is not None
    assert found.vae.config == model.vae.config
    mismatching = [
        name
        for name, weight in model.unet.state_dict().items()
        if not torch.equal(found.unet.state_dict()[name], weight)
    ]
    assert not mismatching
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.0001", "0.00085"))
    with pytest.raises(FileError, match=r"the beta_start of its upscaling scheduler is 0.00085"):
        load_checkpoint(folder)


@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui"])
def test_other_profiles_draw_and_share_batches(model: Model, small: Path, profile: str) -> None:
    wanted = [
        recipe(small, profile=profile, enlarge={"noise_level": level}, steps=2, seed=seed)
        for level, seed in ((20, 3), (300, 3), (20, 4))
    ]
    together = latents(model, *wanted)
    for one, made in zip(wanted, together, strict=True):
        (alone,) = latents(model, one)
        assert float((alone - made).abs().max()) <= 5e-5 * float(alone.std())
    assert not torch.allclose(together[0], together[1], atol=1e-2)
    (picture,) = generate(model, wanted[:1])
    assert picture.image.size == (96, 64)


def test_what_is_missing_is_said_and_sizes_follow_the_picture(model: Model, small: Path) -> None:
    with pytest.raises(UserError, match="is an upscaling model: give it a picture with --enlarge"):
        Job(model, recipe(small).but(enlarge=None)).picture(None, None)
    wanted = recipe(small, profile="a1111")
    assert size_of(wanted, 512) == (96, 64)
    with pytest.raises(UserError, match="noise_level"):
        recipe(small, enlarge={"noise_level": 351})
    found = read_infotext(parameters(wanted))
    assert found.recipe.enlarge == wanted.enlarge
