"""Clients that nobody here wrote, against a server that listens."""

from collections.abc import Iterator

import pytest
import uvicorn
from PIL import Image

from fromnoise.server.app import create_app

from .conftest import Served
from .listening import listening

webuiapi = pytest.importorskip("webuiapi")


@pytest.fixture
def port(working: Served) -> Iterator[int]:
    """Of the server on loopback."""
    with listening(uvicorn.Config(create_app(working.context), log_level="error")) as number:
        yield number


def test_webuiapi(port: int) -> None:
    api = webuiapi.WebUIApi(host="127.0.0.1", port=port, sampler="Euler a", steps=2)
    made = api.txt2img(prompt="a cat", negative_prompt="dog", seed=5, width=64, height=64, batch_size=2, cfg_scale=5)
    assert len(made.images) == 2
    assert made.info["all_seeds"] == [5, 6]
    assert made.parameters["sampler_name"] == "Euler a"
    picture = Image.new("RGB", (64, 64), "red")
    assert len(api.img2img(images=[picture], prompt="a dog", width=64, height=64, denoising_strength=0.5).images) == 1
    mask = Image.new("L", (64, 64), 255)
    api.img2img(images=[picture], mask_image=mask, inpainting_fill=1, prompt="a dog", width=64, height=64)
    hires = api.txt2img(prompt="x", enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent, width=64,
                        height=64)  # fmt: skip
    assert len(hires.images) == 1
    assert api.png_info(picture).info == ""
    assert "sd_model_checkpoint" in api.get_options()
    assert api.set_options({"CLIP_stop_at_last_layers": 2}) is None
    assert api.get_progress()["progress"] == 0.0
    assert "Euler a" in {one["name"] for one in api.get_samplers()}
    assert api.util_get_model_names() == ["builtin"]
    assert api.interrupt() == {}
    with pytest.raises(RuntimeError):
        api.txt2img(prompt="x", sampler_name="Nonesuch")
