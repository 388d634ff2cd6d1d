"""Whole pictures under ControlNets and T2I-Adapters equal diffusers' pipelines under the `diffusers` profile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    MultiControlNetModel,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetPipeline,
    T2IAdapter,
)
from PIL import Image

from fromnoise.checkpoints.control_names import diffusers_controlnet
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef
from fromnoise.nn.controlnet import ControlNet
from tests import tiny_control
from tests.engine.models import tiny_model
from tests.reference import peers
from tests.reference.test_diffusers import SCHEDULERS, distance, ours, parts, recipe, theirs
from tests.tiny_control import written

assert parts  # a fixture


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def picture(path: Path, seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))
    image.save(path)
    return image


def peer(network: ControlNet) -> Any:
    """diffusers' ControlNet with the same weights."""
    made = peers.controlnet(network.config)
    rename = diffusers_controlnet(made.state_dict()).inverse
    made.load_state_dict({name: network.state_dict()[rename(name)] for name in made.state_dict()})
    return made.eval()


def control(folder: Path, network: ControlNet, seed: int, name: str = "control", **given: Any) -> dict[str, Any]:
    path = written(folder / f"{name}{seed}.safetensors", network)
    return {"image": ImageRef.of(folder / f"{seed}.png").model_dump(), "model": str(path), **given}


@pytest.mark.parametrize(
    ("ours_given", "theirs_given"),
    [
        ({}, {}),
        ({"weight": 0.7}, {"controlnet_conditioning_scale": 0.7}),
        ({"start": 0.2, "end": 0.7}, {"control_guidance_start": 0.2, "control_guidance_end": 0.7}),
        ({"mode": "guess"}, {"guess_mode": True}),
    ],
)
def test_a_controlnet(model: Model, parts: dict[str, Any], tmp_path: Path, ours_given: Any, theirs_given: Any) -> None:
    network = tiny_control.controlnet(model.unet)
    image = picture(tmp_path / "1.png", 1, (48, 80))  # another size: it is distorted
    wanted = recipe(sampler="euler", controls=[control(tmp_path, network, 1, **ours_given)])
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=peer(network), scheduler=SCHEDULERS["euler"])
    expected = theirs(model, wanted, pipeline, image=image, width=64, height=64, **theirs_given)
    assert distance(ours(model, wanted), expected) < 1e-4
    assert distance(ours(model, recipe(sampler="euler")), expected) > 1e-2


def test_a_shuffle_controlnet(model: Model, parts: dict[str, Any], tmp_path: Path) -> None:
    """Its residuals are means, and the negative prompt goes without."""
    network = tiny_control.controlnet(model.unet, seed=2, pooled=True)
    image = picture(tmp_path / "1.png", 1)
    wanted = recipe(sampler="euler", controls=[control(tmp_path, network, 1, "shuffle")])
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=peer(network), scheduler=SCHEDULERS["euler"])
    assert distance(ours(model, wanted), theirs(model, wanted, pipeline, image=image, width=64, height=64)) < 1e-4


def test_several_controlnets(model: Model, parts: dict[str, Any], tmp_path: Path) -> None:
    networks = [tiny_control.controlnet(model.unet, seed=seed) for seed in (1, 2)]
    images = [picture(tmp_path / f"{seed}.png", seed) for seed in (1, 2)]
    scales, starts, ends = (0.6, 1.2), (0.0, 0.3), (0.8, 1.0)
    wanted = recipe(
        sampler="ddim",
        controls=[
            control(tmp_path, network, i + 1, weight=scales[i], start=starts[i], end=ends[i])
            for i, network in enumerate(networks)
        ],
    )
    pipeline = StableDiffusionControlNetPipeline(
        **parts, controlnet=MultiControlNetModel([peer(one) for one in networks]), scheduler=SCHEDULERS["ddim"]
    )
    expected = theirs(
        model, wanted, pipeline, image=images, width=64, height=64, controlnet_conditioning_scale=list(scales),
        control_guidance_start=list(starts), control_guidance_end=list(ends),
    )  # fmt: skip
    assert distance(ours(model, wanted), expected) < 1e-4


@pytest.mark.parametrize("end", [1.0, 0.5])
def test_a_controlnet_on_a_start_picture(model: Model, parts: dict[str, Any], tmp_path: Path, end: float) -> None:
    network = tiny_control.controlnet(model.unet)
    image, start = picture(tmp_path / "1.png", 1), picture(tmp_path / "2.png", 2)
    wanted = recipe(
        sampler="euler",
        init=ImageRef.of(tmp_path / "2.png").model_dump(),
        strength=0.7,
        controls=[control(tmp_path, network, 1, end=end)],
    )
    pipeline = StableDiffusionControlNetImg2ImgPipeline(
        **parts, controlnet=peer(network), scheduler=SCHEDULERS["euler"]
    )
    expected = theirs(
        model, wanted, pipeline, image=start, control_image=image, strength=0.7, width=64, height=64,
        controlnet_conditioning_scale=1.0, control_guidance_end=end,
    )  # fmt: skip
    assert distance(ours(model, wanted), expected) < 1e-4


def test_a_t2i_adapter(model: Model, parts: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = T2IAdapter(channels=[32, 64], num_res_blocks=2, downscale_factor=8, adapter_type="full_adapter").eval()
    path = written(tmp_path / "t2iadapter.safetensors", network)
    image = picture(tmp_path / "1.png", 1)
    given = {"image": ImageRef.of(tmp_path / "1.png").model_dump(), "model": str(path), "weight": 0.8}
    wanted = recipe(sampler="euler", controls=[given])
    known = {name: part for name, part in parts.items() if name != "image_encoder"}
    pipeline = StableDiffusionAdapterPipeline(**known, adapter=network, scheduler=SCHEDULERS["euler"])
    expected = theirs(model, wanted, pipeline, image=image, width=64, height=64, adapter_conditioning_scale=0.8)
    assert distance(ours(model, wanted), expected) < 1e-4
    assert distance(ours(model, recipe(sampler="euler")), expected) > 1e-3
