"""Every field of txt2img's and img2img's bodies, as AUTOMATIC1111 1.10 has them: its default, and what it does."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import UserError
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.bodies import ImageToImage, TextToImage
from fromnoise.server.sdapi.translate import Asked, Translator
from fromnoise.text.prompt_styles import Style

from .conftest import Served, png

KEPT = ImageRef(path="/kept/a.png", sha256="0" * 64)
MASK = {"mask": "bWFzaw=="}
HIRES = {"enable_hr": True}
VARIED = {"subseed_strength": 0.5}
CHURN = {"sampler_name": "Euler"}
ECHOED = "told again, and no more"  # it changes no pixel

Effect = Callable[[Recipe], Any] | str  # what of the recipe is to be true; a refusal's words; or ECHOED
Row = tuple[Any, Any, dict[str, Any], Effect]  # default, another value, what goes with it, its effect

SHARED: dict[str, Row] = {
    "prompt": ("", "a cat", {}, lambda r: r.prompt == "a cat"),
    "negative_prompt": ("", "grey", {}, lambda r: r.negative == "grey"),
    "styles": (None, ["ink"], {}, lambda r: r.prompt == "in ink"),
    "seed": (-1, 7, {}, lambda r: r.seed == 7),
    "subseed": (-1, 9, VARIED, lambda r: r.variation.seed == 9),
    "subseed_strength": (0, 0.25, {}, lambda r: r.variation.strength == 0.25),
    "seed_resize_from_h": (-1, 768, {"seed_resize_from_w": 512}, lambda r: r.noise.from_size == (512, 768)),
    "seed_resize_from_w": (-1, 512, {"seed_resize_from_h": 768}, lambda r: r.noise.from_size == (512, 768)),
    "sampler_name": (None, "Heun", {}, lambda r: r.sampler == "heun"),
    "sampler_index": ("Euler", "Euler a", {}, lambda r: r.sampler == "euler_ancestral"),
    "scheduler": (None, "Karras", {}, lambda r: r.schedule == "karras"),
    "batch_size": (1, 3, {}, lambda r: r is not None),
    "n_iter": (1, 3, {}, lambda r: r is not None),
    "steps": (50, 20, {}, lambda r: r.steps == 20),
    "cfg_scale": (7.0, 4.5, {}, lambda r: r.guidance_scale == 4.5),
    "width": (512, 640, {}, lambda r: r.width == 640),
    "height": (512, 640, {}, lambda r: r.height == 640),
    "restore_faces": (None, True, {}, lambda r: r.restore_faces.by == "codeformer"),
    "tiling": (None, True, {}, lambda r: r.seamless is not None),
    "do_not_save_samples": (False, True, {}, ECHOED),
    "do_not_save_grid": (False, True, {}, ECHOED),
    "eta": (None, 0.5, {"sampler_name": "Euler a"}, lambda r: r.sampler_options == {"eta": 0.5}),
    "s_min_uncond": (None, 3, {}, lambda r: r.guidance.skip.below == 3),
    "s_churn": (None, 2, CHURN, lambda r: r.sampler_options == {"s_churn": 2}),
    "s_tmax": (None, 9, CHURN, lambda r: r.sampler_options == {"s_tmax": 9}),
    "s_tmin": (None, 1, CHURN, lambda r: r.sampler_options == {"s_tmin": 1}),
    "s_noise": (None, 1.1, CHURN, lambda r: r.sampler_options == {"s_noise": 1.1}),
    "override_settings": (None, {"CLIP_stop_at_last_layers": 2}, {}, lambda r: r.clip_skip == 2),
    "override_settings_restore_afterwards": (True, False, {}, ECHOED),
    "refiner_checkpoint": (None, "other", {}, lambda r: (r.refiner.model, r.refiner.switch_at) == ("other", 0.8)),
    "refiner_switch_at": (None, 0.5, {"refiner_checkpoint": "other"}, lambda r: r.refiner.switch_at == 0.5),
    "disable_extra_networks": (False, True, {"prompt": "a <lora:x:1>cat"}, lambda r: r.prompt == "a cat"),
    "comments": (None, {"a": "b"}, {}, ECHOED),
    "script_name": (None, "none such", {}, "Script 'none such' not found"),
    "script_args": ([], [1], {}, ECHOED),
    "alwayson_scripts": ({}, {"none such": {}}, {}, "always on script none such not found"),
    "send_images": (True, False, {}, ECHOED),
    "save_images": (False, True, {}, ECHOED),
    "force_task_id": (None, "task(a)", {}, ECHOED),
    "infotext": (None, "a\nSteps: 3, Sampler: Heun, Seed: 5", {}, lambda r: (r.steps, r.seed) == (3, 5)),
}
TEXT: dict[str, Row] = {
    "enable_hr": (
        False,
        True,
        {},
        lambda r: (r.hires.scale, r.hires.strength, r.hires.upscaler) == (2, 0.75, "Latent"),
    ),
    "denoising_strength": (0.75, 0.4, HIRES, lambda r: r.hires.strength == 0.4),
    "firstphase_width": (0, 256, {**HIRES, "firstphase_height": 128}, lambda r: (r.width, r.hires.width) == (256, 512)),
    "firstphase_height": (
        0,
        128,
        {**HIRES, "firstphase_width": 256},
        lambda r: (r.height, r.hires.height) == (128, 512),
    ),
    "hr_scale": (2.0, 1.5, HIRES, lambda r: r.hires.scale == 1.5),
    "hr_upscaler": (None, "Lanczos", HIRES, lambda r: r.hires.upscaler == "Lanczos"),
    "hr_second_pass_steps": (0, 9, HIRES, lambda r: r.hires.steps == 9),
    "hr_resize_x": (0, 768, HIRES, lambda r: r.hires.width == 768),
    "hr_resize_y": (0, 768, HIRES, lambda r: r.hires.height == 768),
    "hr_checkpoint_name": (None, "other", HIRES, lambda r: r.hires.model == "other"),
    "hr_sampler_name": (None, "Heun", HIRES, lambda r: r.hires.sampler == "heun"),
    "hr_scheduler": (None, "Karras", HIRES, lambda r: r.hires.schedule == "karras"),
    "hr_prompt": ("", "finer", HIRES, lambda r: r.hires.prompt == "finer"),
    "hr_negative_prompt": ("", "coarse", HIRES, lambda r: r.hires.negative == "coarse"),
}
IMAGE: dict[str, Row] = {
    "init_images": (None, ["YQ=="], {}, lambda r: r.init == KEPT),
    "resize_mode": (0, 1, {}, lambda r: r.resize == "crop"),
    "denoising_strength": (0.75, 0.4, {}, lambda r: r.strength == 0.4),
    "image_cfg_scale": (None, 1.2, {}, lambda r: r.image_guidance_scale == 1.2),
    "mask": (None, "bWFzaw==", {}, lambda r: (r.mask, r.inpaint.content) == (KEPT, "fill")),
    "mask_blur_x": (4, 9, MASK, "blurred alike"),
    "mask_blur_y": (4, 9, MASK, "blurred alike"),
    "mask_blur": (None, 9, MASK, lambda r: r.inpaint.blur == 9),
    "mask_round": (True, False, MASK, "mask_round"),
    "inpainting_fill": (0, 2, MASK, lambda r: r.inpaint.content == "noise"),
    "inpaint_full_res": (True, False, MASK, lambda r: not r.inpaint.only_masked),
    "inpaint_full_res_padding": (0, 32, MASK, lambda r: r.inpaint.padding == 32),
    "inpainting_mask_invert": (0, 1, MASK, lambda r: r.inpaint.invert),
    "initial_noise_multiplier": (None, 1.1, {}, lambda r: r.noise.multiplier == 1.1),
    "latent_mask": (None, "bWFzaw==", {}, "latent_mask"),
    "include_init_images": (False, True, {}, ECHOED),
}
LATER = ("hr_cfg",)  # Forge's
ROWS = [
    (tab, name, *row) for tab, table in (("T", SHARED | TEXT), ("I", SHARED | IMAGE)) for name, row in table.items()
]


def asked(tab: str, fields: dict[str, Any]) -> Asked:
    translator = Translator(
        Catalogue.shipped(), styles=[Style("ink", "in ink", "")], picture=lambda text: KEPT
    )  # fmt: skip
    if tab == "T":
        return translator.text_to_image(TextToImage.model_validate(fields))
    return translator.image_to_image(ImageToImage.model_validate({"init_images": ["YQ=="], **fields}))


@pytest.mark.parametrize(("tab", "name", "default", "value", "more", "effect"), ROWS)
def test_a_field(tab: str, name: str, default: Any, value: Any, more: dict[str, Any], effect: Effect) -> None:
    body = (TextToImage if tab == "T" else ImageToImage)()
    assert getattr(body, name) in (default, [] if default is None else default)
    fixed = {} if name == "infotext" else {"seed": 1, "subseed": 2}
    fields = {**fixed, **more, name: value}
    if isinstance(effect, str) and effect != ECHOED:
        with pytest.raises((UserError, ApiError), match=effect):
            asked(tab, fields)
        return
    found = asked(tab, fields)
    plain = asked(tab, {**fixed, **more})
    if effect == ECHOED:
        assert found.recipes == plain.recipes
        return
    assert not isinstance(effect, str)
    assert effect(found.recipes[0])
    if name != "init_images":
        assert found.recipes != plain.recipes


def test_there_is_no_other_field() -> None:
    assert set(TextToImage.model_fields) - set(LATER) == set(SHARED | TEXT)
    assert set(ImageToImage.model_fields) == set(SHARED | IMAGE)


@pytest.mark.parametrize("path", ["txt2img", "img2img"])
def test_the_echo_has_every_field(path: str, shared: Served) -> None:
    sent = {"steps": 2, "width": 64, "height": 64, "prompt": "a cat", "unheard": 1}
    if path == "img2img":
        sent["init_images"] = [base64.b64encode(png((64, 64))).decode()]
    echo = shared.client.post(f"/sdapi/v1/{path}", json=sent).json()["parameters"]
    table = SHARED | (TEXT if path == "txt2img" else IMAGE)
    assert set(echo) - set(LATER) == set(table) - {"include_init_images"}
    assert (echo["prompt"], echo["steps"], echo["cfg_scale"]) == ("a cat", 2, 7.0)
    assert echo.get("init_images") is None


def test_settings_of_a_call_stay_where_that_is_asked_for(served: Served, working: Served) -> None:
    call = {"steps": 2, "width": 64, "height": 64, "override_settings": {"CLIP_stop_at_last_layers": 3}}
    post, told = working.client.post, lambda: working.client.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"]
    assert post("/sdapi/v1/txt2img", json=call).status_code == 200
    assert told() == 1
    stay = {**call, "override_settings_restore_afterwards": False}
    assert post("/sdapi/v1/txt2img", json=stay).status_code == 200
    assert told() == 3
    ann = working.token("ann")
    assert post("/sdapi/v1/txt2img", json=stay, headers=ann).status_code == 403
