"""Whole pictures equal ComfyUI's, from the API workflow to latents and pixels, under the `comfyui` profile.

The checkpoint is made from rules in `tests/golden/whole/keys_tinyw.json`; it is 1 GB, so these tests are slow ones.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.recipe_parts import Noise

CASES = [
    "euler-normal",
    "dpmpp_2m-karras",
    "euler_ancestral-normal",
    "img2img-06",
    "batch3",
    "prompt-weights",
    "inpaint-mask",
    "lora-08-05",
]
CHECKPOINT, LORA, LATENT = "checkpoints/tinyw.safetensors", "loras/tinyw_lora.safetensors", "input/tinyw_start.latent"
TOLERANCE = 1e-4  # of the standard deviation; ComfyUI differs from itself by up to 1.6e-5 with another attention kernel

Workflow = Mapping[str, Mapping[str, Any]]


def normal(key: str, shape: list[int]) -> NDArray[np.float32]:
    stream = np.random.RandomState(zlib.crc32(key.encode()))
    return np.asarray(stream.standard_normal(tuple(shape)), dtype=np.float32).reshape(shape)


def weight(key: str, shape: list[int], dtype: str) -> NDArray[Any]:
    """A pure function of the key and the shape."""
    if dtype.startswith("I"):
        return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    n = normal(key, shape)
    if len(shape) > 1:
        return n / np.float32(np.sqrt(np.prod(shape[1:])))
    if len(shape) == 1:
        return np.float32(key.endswith("weight")) + np.float32(0.1) * n
    return n


@pytest.fixture(scope="module")
def folder(golden: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tiny checkpoint, its LoRA and the start latents; removed afterwards."""
    keys = json.loads(golden("whole/keys_tinyw.json").read_text())
    made = tmp_path_factory.mktemp("tinyw")
    for file in (CHECKPOINT, LORA):
        save_file({key: weight(key, *of) for key, of in keys[file].items()}, made / Path(file).name)
    start = {
        key: 5 * normal(f"tinyw_start.latent/{key}", shape) if shape[0] else np.zeros(shape, np.float32)
        for key, (shape, _) in keys[LATENT].items()
    }
    save_file(start, made / "tinyw_start.latent")
    yield made
    for file in made.iterdir():
        file.unlink()


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(str(folder / "tinyw.safetensors"), Placement(torch.device("cpu"), torch.float32))


def recipes(workflow: Workflow, model: Model, folder: Path) -> list[Recipe]:
    """The recipes of a workflow's KSampler, one for each picture of its batch."""

    def source(link: list[Any]) -> tuple[str, Mapping[str, Any]]:
        node = workflow[link[0]]
        return node["class_type"], node["inputs"]

    (sampling,) = (node["inputs"] for node in workflow.values() if node["class_type"] == "KSampler")
    kind, latents = source(sampling["latent_image"])
    start: dict[str, Any] = {}
    if kind == "SetLatentNoiseMask":
        start["mask"] = mask(source, latents["mask"], folder / "mask.png")
        kind, latents = source(latents["samples"])
    if kind == "LoadLatent":
        start |= {"init": ImageRef.of(folder / latents["latent"]), "strength": sampling["denoise"]}
    networks = []
    kind_of_model, loader = source(sampling["model"])
    while kind_of_model == "LoraLoader":
        path = str(folder / loader["lora_name"])
        networks.append(NetworkUse(name=path, strength=loader["strength_model"], text_strength=loader["strength_clip"]))
        kind_of_model, loader = source(loader["model"])
    size = latents if kind == "EmptyLatentImage" else {"width": 64, "height": 64}
    count = size.get("batch_size", 1)
    base = Recipe(
        profile="comfyui",
        model=model.name,
        prompt=source(sampling["positive"])[1]["text"],
        negative=source(sampling["negative"])[1]["text"],
        seed=sampling["seed"],
        steps=sampling["steps"],
        guidance_scale=sampling["cfg"],
        sampler=sampling["sampler_name"],
        schedule=sampling["scheduler"],
        width=size["width"],
        height=size["height"],
        networks=networks[::-1],
        **start,
    )
    return [base.but(noise=Noise(index=i, batch=count)) for i in range(count)]


def mask(source: Callable[[list[Any]], tuple[str, Mapping[str, Any]]], link: list[Any], path: Path) -> ImageRef:
    """The picture of a mask put together from rectangles."""
    _, composite = source(link)
    below, above = (source(composite[name])[1] for name in ("destination", "source"))
    pixels = np.full((below["height"], below["width"]), below["value"])
    x, y = composite["x"], composite["y"]
    pixels[y : y + above["height"], x : x + above["width"]] += above["value"]
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    return ImageRef.of(path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_whole_picture(case: str, golden: Callable[[str], Path], folder: Path, model: Model) -> None:
    cases, numbers = json.loads(golden("whole/whole.json").read_text())["cases"], np.load(golden("whole/whole.npz"))
    wanted, pixels = numbers[case], numbers[f"{case}/image"].astype(int)
    jobs = [Job(model, recipe) for recipe in recipes(cases[case]["workflow"], model, folder)]
    executor = Executor[int](model, max_batch=2)
    for index, job in enumerate(jobs):
        executor.add(index, job.picture(None, None))
    done = dict(executor.run())
    latents = torch.cat([done[i] for i in range(len(jobs))])
    image = np.stack([np.asarray(job.finish(done[i])) for i, job in enumerate(jobs)]).astype(int)
    error = np.abs(latents.numpy() / model.vae.config.scale_factor - wanted).max() / wanted.std()
    print(f"{case}: latents {error:.1e} of their deviation, pixels {np.abs(image - pixels).max()} levels")
    assert error < TOLERANCE
    assert np.abs(image - pixels).max() <= 1
