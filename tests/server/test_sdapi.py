"""AUTOMATIC1111's interface: bodies become recipes by its rules, and its routes answer in its words."""

import base64
import json
from typing import Any

import pytest

from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.recipe import ImageRef
from fromnoise.engine.recipe_upscale import FaceRestoration, Postprocess
from fromnoise.errors import UserError
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.bodies import ImageToImage, TextToImage
from fromnoise.server.sdapi.routes.extras import Extras
from fromnoise.server.sdapi.translate import Translator, by_any_name, face_restoration

from .conftest import Served, png

REF = ImageRef(path="x.png", sha256="0" * 64)
T = Translator(Catalogue.shipped(), picture=lambda text: REF)


def text(**fields: Any) -> list[Any]:
    return T.text_to_image(TextToImage.model_validate({"width": 64, "height": 64, **fields})).recipes


def image(mask: bool = False, **fields: Any) -> Any:
    given = {"init_images": ["x"], "mask": "x" if mask else None, "width": 64, "height": 64}
    return T.image_to_image(ImageToImage.model_validate({**given, **fields})).recipes[0]


def test_defaults_are_those_of_the_interface() -> None:
    (recipe,) = text()
    assert (recipe.profile, recipe.steps, recipe.sampler, recipe.guidance_scale) == ("a1111", 50, "euler", 7.0)


def test_seeds_count_up_and_with_a_variation_the_variations() -> None:
    assert [r.seed for r in text(seed=5, n_iter=2, batch_size=2)] == [5, 6, 7, 8]
    varied = text(seed=5, subseed=9, subseed_strength=0.5, batch_size=3)
    assert [(r.seed, r.variation.seed) for r in varied] == [(5, 9), (5, 10), (5, 11)]
    first, second = text(batch_size=2)
    assert second.seed == first.seed + 1


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"sampler_name": "DPM++ 2M Karras"}, ("dpmpp_2m", "karras")),
        ({"sampler_name": "Euler a", "scheduler": "Exponential"}, ("euler_ancestral", "exponential")),
        ({"sampler_name": "Euler a", "scheduler": "Automatic"}, ("euler_ancestral", None)),
        ({"sampler_index": "Heun"}, ("heun", None)),
    ],
)
def test_samplers_and_schedulers(fields: dict[str, Any], wanted: tuple[str, str | None]) -> None:
    (recipe,) = text(**fields)
    assert (recipe.sampler, recipe.schedule) == wanted


def test_an_unknown_sampler_or_script_is_said() -> None:
    with pytest.raises(ApiError, match="Sampler not found"):
        text(sampler_name="Nonesuch")
    with pytest.raises(ApiError, match="Script 'x' not found"):
        text(script_name="x")


def test_hires_fix() -> None:
    (recipe,) = text(enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", denoising_strength=0.4, hr_second_pass_steps=7,
                     hr_prompt="finer", hr_sampler_name="Euler a")  # fmt: skip
    hires = recipe.hires
    assert (hires.scale, hires.strength, hires.steps, hires.prompt, hires.sampler) == (
        1.5,
        0.4,
        7,
        "finer",
        "euler_ancestral",
    )
    (recipe,) = text(enable_hr=True, hr_resize_x=1000, hr_resize_y=500)
    assert (recipe.hires.width, recipe.hires.height) == (1000, 496)


def test_settings_of_one_call() -> None:
    settings = {"CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "randn_source": "NV",
                "sd_model_checkpoint": "model.safetensors [6ce0161689]"}  # fmt: skip
    (recipe,) = text(override_settings=settings, tiling=True, s_min_uncond=3, eta=0.5, sampler_name="Euler a")
    assert (recipe.clip_skip, recipe.noise.seed_delta, recipe.noise.source) == (2, 31337, "nv")
    assert (recipe.model, recipe.guidance.skip.below) == ("model.safetensors", 3)
    assert recipe.seamless is not None
    assert recipe.sampler_options == {"eta": 0.5}
    assert by_any_name(None) == "builtin"


@pytest.mark.parametrize(("fill", "content"), list(enumerate(["fill", "original", "noise", "nothing"])))
def test_inpainting(fill: int, content: str) -> None:
    recipe = image(True, inpainting_fill=fill, mask_blur=8, inpaint_full_res_padding=16, inpainting_mask_invert=1)
    inpaint = recipe.inpaint
    assert (inpaint.content, inpaint.blur, inpaint.only_masked, inpaint.padding, inpaint.invert) == (
        content,
        8,
        True,
        16,
        True,
    )


@pytest.mark.parametrize(("mode", "resize"), list(enumerate(["stretch", "crop", "fill", "latent"])))
def test_resize_modes(mode: int, resize: str) -> None:
    recipe = image(resize_mode=mode, denoising_strength=0.3)
    assert (recipe.resize, recipe.strength) == (resize, 0.3)


def test_pictures_come_back_with_info(working: Served) -> None:
    body = {"prompt": "a cat", "steps": 2, "seed": 11, "batch_size": 2, "width": 64, "height": 64}
    answer = working.client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert len(found["images"]) == 2
    assert base64.b64decode(found["images"][0])[:4] == b"\x89PNG"
    assert found["parameters"]["prompt"] == "a cat"
    told = json.loads(found["info"])
    assert (told["all_seeds"], told["all_prompts"], told["index_of_first_image"]) == ([11, 12], ["a cat"] * 2, 0)
    assert working.client.post("/sdapi/v1/txt2img", json={**body, "send_images": False}).json()["images"] == []


def test_image_to_image(working: Served) -> None:
    picture = base64.b64encode(png((64, 64))).decode()
    body = {"init_images": [f"data:image/png;base64,{picture}"], "mask": picture, "steps": 2, "width": 64, "height": 64}
    found = working.client.post("/sdapi/v1/img2img", json=body).json()
    assert len(found["images"]) == 1
    assert found["parameters"]["init_images"] is None
    missing = working.client.post("/sdapi/v1/img2img", json={})
    assert (missing.status_code, missing.json()["detail"]) == (404, "Init image not found")
    address = working.client.post("/sdapi/v1/img2img", json={**body, "init_images": ["http://127.0.0.1/x.png"]})
    assert address.status_code == 422
    assert "not fetched" in address.json()["detail"]


def test_tasks_by_their_own_id(working: Served) -> None:
    body = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "force_task_id": "task(abc)"}
    working.client.post("/sdapi/v1/txt2img", json=body)
    told = working.client.post("/internal/progress", json={"id_task": "task(abc)"}).json()
    assert (told["active"], told["queued"], told["completed"], told["progress"]) == (False, False, True, 1.0)
    assert working.client.post("/internal/progress", json={"id_task": "none"}).json()["completed"] is False


def test_what_is_written_in_a_picture(served: Served) -> None:
    told = served.client.post("/sdapi/v1/png-info", json={"image": base64.b64encode(png()).decode()})
    assert told.json() == {"info": "", "items": {}, "parameters": {}}
    assert told.headers["x-process-time"]
    assert served.client.post("/sdapi/v1/png-info", json={"image": "bm90aGluZw=="}).status_code == 422


def test_faces_are_restored_as_asked() -> None:
    steps = Extras(gfpgan_visibility=0.4, codeformer_visibility=1, codeformer_weight=0.2).steps()
    assert Postprocess(**steps).faces == (
        FaceRestoration(by="gfpgan", visibility=0.4), FaceRestoration(by="codeformer", weight=0.2),
    )  # fmt: skip
    assert "faces" not in Extras().steps()
    assert face_restoration({}) == {"by": "codeformer"}
    told = face_restoration({"face_restoration_model": "GFPGAN", "code_former_weight": 0.7})
    assert FaceRestoration(**told) == FaceRestoration(by="gfpgan", weight=0.7)
    with pytest.raises(UserError, match="faces are restored by GFPGAN or CodeFormer"):
        face_restoration({"face_restoration_model": "other"})
