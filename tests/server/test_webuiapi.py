"""webuiapi, through its own classes, against a server that listens and makes real pictures."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fromnoise.server.app import create_app
from fromnoise.server.patience import configured

from .conftest import Served
from .listening import listening, waited

webuiapi = pytest.importorskip("webuiapi")

SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 7,
         "override_settings": {"sd_model_checkpoint": "tiny"}}  # fmt: skip


@pytest.fixture(scope="module")
def api(real: Served) -> Iterator[Any]:
    """webuiapi, connected."""
    with listening(configured(create_app(real.context), "127.0.0.1", 0)) as port:
        yield webuiapi.WebUIApi(host="127.0.0.1", port=port, sampler="Euler", steps=2)


def picture(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_it_finds_the_extensions(api: Any) -> None:
    assert api.has_controlnet
    assert not api.has_adetailer


def test_text_to_image_and_image_to_image(api: Any) -> None:
    made = api.txt2img(**SMALL)
    assert (made.image.size, made.info["seed"], made.parameters["prompt"]) == ((64, 64), 7, "a cat")
    assert api.img2img(images=[made.image], denoising_strength=0.5, **SMALL).image.size == (64, 64)


def test_inpainting(api: Any) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    start = picture()
    painted = {"mask_image": mask, "inpainting_fill": 1, "inpaint_full_res": False, "mask_blur": 0}
    made = api.img2img(images=[start], **painted, **SMALL)
    assert np.array_equal(np.asarray(made.image)[:8], np.asarray(start)[:8])
    assert not np.array_equal(np.asarray(made.image), np.asarray(start))


def test_control_networks(api: Any) -> None:
    name = next(name for name in api.controlnet_model_list() if name.startswith("control_tiny"))
    unit = webuiapi.ControlNetUnit(image=picture(), module="canny", model=name, threshold_a=50, threshold_b=120)
    steered = api.txt2img(controlnet_units=[unit], **SMALL)
    assert len(steered.images) == 2  # the picture and its hint
    assert steered.image.tobytes() != api.txt2img(**SMALL).image.tobytes()
    assert "canny" in api.controlnet_module_list()
    assert api.controlnet_version() == 3
    found = api.controlnet_detect(images=[picture()], module="canny", processor_res=64)
    assert found.image.size == (64, 64)
    assert found.info == "Success"


def test_an_x_y_z_plot(api: Any) -> None:
    seeds, steps, nothing = 1, 4, 0  # numbers of axes, as clients send them
    args = [seeds, "7,8", "", steps, "1,2", "", nothing, "", "", True, False, False, False, 0]
    made = api.txt2img(script_name="X/Y/Z Plot", script_args=args, **SMALL)
    assert made.image.size[0] > 128
    assert [made.info["index_of_first_image"], len(made.images)] == [0, 1]


def test_extras_and_png_info(api: Any) -> None:
    larger = api.extra_single_image(image=picture(), upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2)
    assert larger.image.size == (128, 128)
    many = api.extra_batch_images(images=[picture(), picture((32, 32))], upscaler_1="Nearest", upscaling_resize=2)
    assert [image.size for image in many.images] == [(128, 128), (64, 64)]
    made = api.txt2img(**SMALL)
    told = api.png_info(made.image)
    assert told.info == "" or "a cat" in told.info  # webuiapi sends the text along where Pillow keeps it
    assert isinstance(told.parameters, dict)


def test_options_progress_and_lists(api: Any) -> None:
    options = api.get_options()
    assert api.set_options({"CLIP_stop_at_last_layers": 2}) is None
    assert api.get_options()["CLIP_stop_at_last_layers"] == 2
    assert api.set_options(options) is None
    assert api.get_progress()["state"]["job_count"] == 0
    assert api.interrupt() == {}
    assert api.skip() is None
    assert "tiny" in {model["model_name"] for model in api.get_sd_models()}
    title = next(name for name in api.util_get_model_names() if name.startswith("tiny"))
    api.util_set_model(title)
    assert api.util_get_current_model() == title
    api.util_set_model("builtin")
    for ask in (api.get_samplers, api.get_schedulers, api.get_sd_vae, api.get_upscalers, api.get_latent_upscale_modes,
                api.get_loras, api.get_hypernetworks, api.get_face_restorers, api.get_realesrgan_models,
                api.get_prompt_styles, api.get_embeddings, api.get_memory, api.get_cmd_flags, api.get_scripts,
                api.refresh_checkpoints):  # fmt: skip
        json.dumps(ask())
    with pytest.raises(RuntimeError, match="Sampler not found"):
        api.txt2img(sampler_name="None such", **SMALL)


def test_interrupting(api: Any) -> None:
    made: list[Any] = []
    long = {**SMALL, "steps": 1000, "width": 256, "height": 256}
    thread = threading.Thread(target=lambda: made.append(api.txt2img(**long)))
    thread.start()
    waited(lambda: api.get_progress()["state"]["sampling_step"] > 1)
    assert api.interrupt() == {}
    thread.join()
    assert made[0].image.size == (256, 256)
