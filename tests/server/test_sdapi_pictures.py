"""Pictures through AUTOMATIC1111's interface, made by a real worker: scripts, control networks, settings, extras."""

import base64
import io
import json
import logging
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.metadata.infotext_parse import parse
from fromnoise.nn.unet import UNet
from fromnoise.server.sdapi.scripts import AXES

from .conftest import Served, png
from .listening import waited

SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 7, "sampler_name": "Euler",
         "override_settings": {"sd_model_checkpoint": "tiny"}}  # fmt: skip


def b64(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def noise(size: tuple[int, int] = (64, 64), seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def post(served: Served, path: str, **fields: Any) -> dict[str, Any]:
    response = served.client.post(f"/sdapi/v1/{path}", json={**SMALL, **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refused(served: Served, path: str, **fields: Any) -> str:
    response = served.client.post(f"/sdapi/v1/{path}", json={**SMALL, **fields})
    assert 400 <= response.status_code < 500, response.text
    return str(response.json()["detail"])


def images(found: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found["images"]]


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def test_info_is_about_the_pictures(real: Served) -> None:
    found = post(real, "txt2img", batch_size=2, subseed=5, subseed_strength=0.25)
    told = json.loads(found["info"])
    assert (told["all_seeds"], told["all_subseeds"], told["subseed_strength"]) == ([7, 7], [5, 6], 0.25)
    assert (told["sampler_name"], told["sd_model_name"], len(told["sd_model_hash"])) == ("Euler", "tiny", 10)
    assert told["infotexts"] == [image.info["parameters"] for image in images(found)]
    assert len(told["job_timestamp"]) == 14
    first, second = map(pixels, images(found))
    assert first != second


def test_nothing_is_sent_where_nothing_is_wanted(real: Served) -> None:
    found = post(real, "txt2img", send_images=False)
    assert found["images"] == []
    assert json.loads(found["info"])["seed"] == 7


def test_what_was_remarked_is_among_the_comments(real: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "comments" not in json.loads(post(real, "txt2img")["info"])
    forward, log = UNet.forward, logging.getLogger("fromnoise.test")

    def talkative(*given: Any, **named: Any) -> Any:
        log.warning("it goes slowly")
        return forward(*given, **named)

    monkeypatch.setattr(UNet, "forward", talkative)
    assert json.loads(post(real, "txt2img", batch_size=2)["info"])["comments"] == "it goes slowly\n"
    (newest, *_) = real.client.get("/api/v1/jobs?kind=picture&limit=1").json()["jobs"]
    assert newest["remarks"] == ["it goes slowly"]


def test_saving_several_brings_a_grid(real: Served) -> None:
    found = post(real, "txt2img", n_iter=2, save_images=True)
    told = json.loads(found["info"])
    assert [image.size for image in images(found)] == [(128, 64), (64, 64), (64, 64)]
    assert (told["index_of_first_image"], len(told["infotexts"])) == (1, 3)


def test_settings_of_one_call_are_gone_with_it(real: Served) -> None:
    before = real.client.get("/sdapi/v1/options").json()
    tiny = {"sd_model_checkpoint": "tiny"}
    found = post(real, "txt2img", override_settings={**tiny, "CLIP_stop_at_last_layers": 2})
    assert json.loads(found["info"])["clip_skip"] == 2
    assert real.client.get("/sdapi/v1/options").json() == before
    assert "none-such" in refused(real, "txt2img", override_settings={"sd_model_checkpoint": "none-such"})
    assert "other" in refused(real, "txt2img", override_settings={**tiny, "sd_vae": "other.safetensors"})
    same = post(real, "txt2img", override_settings={**tiny, "sd_vae": "tiny-vae.safetensors [0123456789]"})
    assert pixels(images(same)[0]) == pixels(images(post(real, "txt2img"))[0])
    assert "tiny-vae" in json.loads(same["info"])["infotexts"][0]


def test_styles_join_the_prompts(real: Served) -> None:
    told = json.loads(post(real, "txt2img", styles=["ink", "soft"])["info"])
    assert told["prompt"] == "ink drawing of a cat, black, soft light"
    assert told["negative_prompt"] == "colour"
    listed = real.client.get("/sdapi/v1/prompt-styles").json()
    assert [style["name"] for style in listed] == ["ink", "soft"]


def test_an_infotext_fills_what_was_not_sent(real: Served) -> None:
    text = "a dog\nNegative prompt: grey\nSteps: 3, Sampler: Heun, CFG scale: 4.5, Seed: 99, Size: 72x64, Clip skip: 2"
    sent = {"infotext": text, "override_settings": SMALL["override_settings"], "seed": 8}
    response = real.client.post("/sdapi/v1/txt2img", json=sent)
    told = json.loads(response.json()["info"])
    assert (told["prompt"], told["negative_prompt"], told["steps"], told["seed"]) == ("a dog", "grey", 3, 8)
    assert (told["sampler_name"], told["cfg_scale"], told["width"], told["clip_skip"]) == ("Heun", 4.5, 72, 2)
    assert "infotext" in refused(real, "txt2img", infotext="nothing of the kind")


def test_hires_fix(real: Served) -> None:
    found = post(real, "txt2img", enable_hr=True, hr_scale=2, hr_upscaler="Latent (nearest)", hr_second_pass_steps=2,
                 hr_prompt="finer", denoising_strength=0.6, hr_sampler_name="Heun", hr_scheduler="Karras")  # fmt: skip
    (image,) = images(found)
    assert image.size == (128, 128)
    extra = json.loads(found["info"])["extra_generation_params"]
    assert (extra["Hires upscaler"], extra["Hires prompt"], extra["Hires sampler"]) == (
        "Latent (nearest)", "finer", "Heun")  # fmt: skip
    old = post(real, "txt2img", enable_hr=True, width=128, height=96, firstphase_width=64, firstphase_height=48,
               denoising_strength=0.6)  # fmt: skip
    assert images(old)[0].size == (128, 96)


def test_another_model_makes_the_second_pass(real: Served) -> None:
    body = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6}
    found = post(real, "txt2img", hr_checkpoint_name="second.safetensors [0123456789]", **body)
    told = json.loads(found["info"])
    assert told["extra_generation_params"]["Hires checkpoint"].startswith("second")
    plain = post(real, "txt2img", hr_checkpoint_name="Use same checkpoint", **body)
    assert pixels(images(found)[0]) != pixels(images(plain)[0])
    again = post(real, "txt2img", infotext=told["infotexts"][0])
    assert pixels(images(again)[0]) == pixels(images(found)[0])
    assert "none-such" in refused(real, "txt2img", hr_checkpoint_name="none-such", **body)


def test_refiner_and_soft_inpainting(real: Served) -> None:
    found = post(real, "txt2img", refiner_checkpoint="tiny", refiner_switch_at=0.5)
    assert "Refiner" in json.loads(found["info"])["extra_generation_params"]
    scripts = {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    mask = Image.linear_gradient("L").resize((64, 64))
    body = {"init_images": [b64(noise())], "mask": b64(mask), "inpainting_fill": 1, "inpaint_full_res": False}
    soft = post(real, "img2img", alwayson_scripts=scripts, **body)
    hard = post(real, "img2img", **body)
    assert pixels(images(soft)[0]) != pixels(images(hard)[0])
    assert "Soft inpainting schedule bias" in json.loads(soft["info"])["extra_generation_params"]
    assert "mask" in refused(real, "txt2img", alwayson_scripts=scripts)


def control(**fields: Any) -> dict[str, Any]:
    unit = {"image": b64(noise()), "module": "canny", "model": "control_tiny_canny [12345678]", "weight": 1}
    return {"alwayson_scripts": {"ControlNet": {"args": [{**unit, **fields}]}}}


def test_a_control_network_steers_and_its_hint_is_shown(real: Served) -> None:
    plain = images(post(real, "txt2img"))
    found = post(real, "txt2img", **control(processor_res=64, threshold_a=50, threshold_b=120))
    steered, hint = images(found)
    assert pixels(steered) != pixels(plain[0])
    assert hint.size == (64, 64)
    assert set(np.unique(np.asarray(hint))) == {0, 255}
    assert len(images(post(real, "txt2img", **control(save_detected_map=False)))) == 1
    again = images(post(real, "txt2img", **control(enabled=False)))
    assert pixels(again[0]) == pixels(plain[0])


def test_units_say_when_how_and_where_they_act(real: Served) -> None:
    half = Image.new("L", (64, 64))
    half.paste(255, (0, 0, 32, 64))
    seen = {pixels(images(post(real, "txt2img"))[0])}
    for fields in (
        {"weight": 0.5}, {"guidance_end": 0.5}, {"control_mode": "ControlNet is more important"},
        {"control_mode": 1}, {"resize_mode": "Just Resize", "image": b64(noise((90, 40)))},
        {"resize_mode": 2, "image": b64(noise((90, 40)))}, {"effective_region_mask": b64(half)}, {"module": "invert"},
        {"image": {"image": b64(noise(seed=3)), "mask": None}},
    ):  # fmt: skip
        seen.add(pixels(images(post(real, "txt2img", **control(**fields)))[0]))
    assert len(seen) == 10
    started = post(real, "img2img", init_images=[b64(noise())], **control(image=None))
    assert len(started["images"]) == 1  # the hint is made of the start picture, and not shown
    reference = images(post(real, "txt2img", **control(module="reference_only", model="None", threshold_a=0.5)))
    assert len(reference) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"module": "none such"}, "none such"),
        ({"control_mode": "louder"}, "control_mode"),
        ({"resize_mode": 7}, "resize_mode"),
        ({"hr_option": "always"}, "hr_option"),
        ({"weight": "much"}, "weight"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "before it starts"),
        ({"image": None}, "picture"),
        ({"model": "None"}, "needs a model"),
        ({"model": "none-such"}, "none-such"),
        ({"image": "http://127.0.0.1/"}, "not fetched"),
    ],
)
def test_wrong_units_are_refused(fields: dict[str, Any], words: str, real: Served) -> None:
    assert words in refused(real, "txt2img", **control(**fields))


def test_controls_are_listed(real: Served) -> None:
    (none, name) = real.client.get("/controlnet/model_list").json()["model_list"]
    assert (none, name.partition(" ")[0]) == ("None", "control_tiny_canny")
    types = real.client.get("/controlnet/control_types").json()["control_types"]
    assert types["Canny"]["default_option"] == "canny"
    assert types["Canny"]["default_model"] == name
    detail = real.client.get("/controlnet/module_list").json()["module_detail"]["canny"]
    assert [slider["name"] for slider in detail["sliders"]] == ["Preprocessor Resolution", "low", "high"]


def test_hints_can_be_looked_at(real: Served) -> None:
    body = {"controlnet_module": "canny", "controlnet_input_images": [b64(noise())], "controlnet_processor_res": 64,
            "controlnet_threshold_a": 10, "controlnet_threshold_b": 20}  # fmt: skip
    found = real.client.post("/controlnet/detect", json=body).json()
    assert found["info"] == "Success"
    assert set(np.unique(np.asarray(images(found)[0]))) == {0, 255}


def test_an_x_y_z_plot_is_a_sheet_of_pictures(real: Served) -> None:
    args = [1, "7,8", [], 4, "1-2", [], 0, "", [], True, True, False, False, False, False, False, 4, False]
    found = post(real, "txt2img", script_name="X/Y/Z plot", script_args=args)
    sheet, *cells = images(found)
    assert [image.size for image in cells] == [(64, 64)] * 4
    assert sheet.size[0] > 128
    told = json.loads(found["info"])
    assert (told["all_seeds"], told["index_of_first_image"]) == ([7, 8, 7, 8], 1)
    parsed = parse(sheet.info["parameters"])
    assert parsed is not None
    assert (parsed.fields["X Type"], parsed.fields["Y Values"]) == ("Seed", "1-2")
    args[10] = False
    alone = post(real, "txt2img", script_name="x/y/z plot", script_args=args)
    assert [image.size for image in images(alone)] == [sheet.size]
    by_name = {"x_type": "CFG Scale", "x_values": "3, 7", "draw_legend": False}
    bare = images(post(real, "txt2img", script_name="x/y/z plot", script_args=by_name))
    assert bare[0].size == (128, 64)
    plain = images(post(real, "txt2img"))[0]
    assert pixels(bare[0].crop((64, 0, 128, 64))) == pixels(plain)  # CFG 7 is what it does anyway


def test_axes_of_second_passes_and_noise(real: Served) -> None:
    args = ["Hires steps", "1, 2", [], "RNG source", "CPU, NV", [], 0, "", [], True, True]
    found = post(real, "txt2img", script_name="X/Y/Z plot", script_args=args, enable_hr=True, hr_scale=1.5)
    _, *cells = images(found)
    assert len({pixels(cell) for cell in cells}) == 4
    assert "no second pass" in refused(real, "txt2img", script_name="X/Y/Z plot", script_args=args)


def test_axes_of_schedules_and_styles(real: Served) -> None:
    args = ["Schedule rho", "0, 3", [], "Styles", 'None, "ink, soft"', [], "SGM noise multiplier", "False, True", [],
            False, True]  # fmt: skip
    plot = {"script_name": "X/Y/Z plot", "script_args": args, "scheduler": "Karras", "steps": 3}  # of 2 rho moves none
    found = post(real, "txt2img", **plot)
    _, *cells = images(found)
    assert len({pixels(cell) for cell in cells}) == 8
    assert pixels(cells[0]) == pixels(images(post(real, "txt2img", scheduler="Karras", steps=3))[0])
    assert json.loads(found["info"])["all_prompts"][2] == "ink drawing of a cat, black, soft light"
    asked = {**SMALL["override_settings"], "rho": 3, "sgm_noise_multiplier": True}
    same = post(real, "txt2img", scheduler="Karras", steps=3, override_settings=asked, styles=["ink", "soft"])
    assert pixels(images(same)[0]) == pixels(cells[7])
    extra = json.loads(same["info"])["extra_generation_params"]
    assert (extra["Schedule rho"], extra["SGM noise multiplier"]) == ("3", "True")
    prompt = json.loads(same["info"])["prompt"]
    again = post(real, "txt2img", infotext=json.loads(same["info"])["infotexts"][0], prompt=prompt,
                 negative_prompt="colour", steps=3)  # fmt: skip
    assert pixels(images(again)[0]) == pixels(images(same)[0])
    ends = ["Schedule min sigma", "0.1, 0.2", [], "Schedule max sigma", "5, 10", [], "Beta schedule alpha", "0.5, 0.7"]
    plot_of_ends = {"script_name": "X/Y/Z plot", "script_args": [*ends, [], False, True]}
    some = post(real, "txt2img", scheduler="Beta", steps=3, **plot_of_ends)  # two steps end where alpha says nothing
    assert len({pixels(cell) for cell in images(some)[1:]}) == 8
    args[4] = "none such"
    assert "none such" in refused(real, "txt2img", **plot)
    fp8 = {"script_name": "X/Y/Z plot", "script_args": ["FP8 mode", "Disable, Enable"]}
    assert "--dtype fp8" in refused(real, "txt2img", **fp8)


def test_every_axis_of_the_list_is_known(real: Served) -> None:
    known = {one["label"] for one in real.client.get("/api/v1/catalogue").json()["axes"]}
    assert {label for label, _ in AXES} <= known


def test_the_last_level_but_one_can_be_left_out(real: Served) -> None:
    plot = {"script_name": "X/Y/Z plot", "sampler_name": "Euler", "scheduler": "Karras", "steps": 3}
    args = ["Always discard next-to-last sigma", "", ["False", "True"], 0, "", [], 0, "", [], False, True]
    _, plain, without = images(post(real, "txt2img", script_args=args, **plot))
    assert pixels(plain) != pixels(without)
    settings = {**SMALL["override_settings"], "always_discard_next_to_last_sigma": True}
    by_setting = post(real, "txt2img", **{**plot, "script_name": None}, override_settings=settings)
    assert pixels(images(by_setting)[0]) == pixels(without)
    assert json.loads(by_setting["info"])["extra_generation_params"]["Discard penultimate sigma"] == "True"
    text = json.loads(by_setting["info"])["infotexts"][0]
    again = post(real, "txt2img", infotext=text, **{**plot, "script_name": None})
    assert pixels(images(again)[0]) == pixels(without)


def labels_of(real: Served, args: Any, axis: str, **more: Any) -> list[str]:
    """What the pictures of a plot say of an axis."""
    found = json.loads(post(real, "txt2img", script_name="X/Y/Z plot", script_args=args, **more)["info"])
    return [parsed.fields[axis] for text in found["infotexts"][1:] if (parsed := parse(text))]


def test_typed_values_of_listed_axes_count_in_csv_mode(real: Served) -> None:
    args = ["Sampler", "Euler, LCM", ["Heun", "DDIM"], 0, "", [], 0, "", [], False, True, False, False, False, False,
            False, 0, False]  # fmt: skip
    assert labels_of(real, args, "Sampler") == ["Heun", "DDIM"]
    args[17] = True
    assert labels_of(real, args, "Sampler") == ["Euler", "LCM"]
    args[17], args[2] = False, []
    assert labels_of(real, args, "Sampler") == ["Euler", "LCM"]
    of_text = ["Steps", "1, 2", ["3"], *args[3:]]  # which has no list
    assert labels_of(real, of_text, "Steps") == ["1", "2"]


def test_seeds_of_plots(real: Served) -> None:
    args: list[Any] = ["Steps", "1, 2", [], "CFG Scale", "2, 3", [], 0, "", [], False, True, False, False, True, True]
    assert labels_of(real, args, "Seed") == ["7", "8", "9", "10"]  # vary_seeds_x and vary_seeds_y
    assert labels_of(real, [*args[:13], False, True], "Seed") == ["7", "7", "8", "8"]
    assert labels_of(real, args[:13], "Seed") == ["7"] * 4
    assert len(set(labels_of(real, args[:13], "Seed", seed=-1))) == 1
    args[12] = True  # no_fixed_seeds
    assert len(set(labels_of(real, args[:13], "Seed", seed=-1))) == 4
    assert labels_of(real, args[:13], "Seed") == ["7"] * 4
    found = post(real, "txt2img", script_name="X/Y/Z plot", script_args=["Seed", "-1, 5, -1"])
    sheet = parse(images(found)[0].info["parameters"])
    assert sheet is not None
    fixed = [int(seed) for seed in sheet.fields["Fixed X Values"].split(",")]
    assert (sheet.fields["X Values"], fixed) == ("-1, 5, -1", json.loads(found["info"])["all_seeds"])
    assert (fixed[1], len(set(fixed)), min(fixed) >= 0) == (5, 3, True)


def test_lists_of_before_seeds_varied(real: Served) -> None:
    """margin_size stood at their place, csv_mode after it; switches were words."""
    old = [1, "7,8", "", 0, "", "", 0, "", "", "False", "False", "False", "False"]
    widths = [images(post(real, "txt2img", script_name="X/Y/Z plot", script_args=[*old, *more]))[0].size[0]
              for more in ([0], [10], [10, True])]  # fmt: skip
    assert widths == [128, 138, 138]


def test_a_batch_has_one_picture_of_each_start(real: Served) -> None:
    starts = [b64(noise(seed=1)), b64(noise(seed=2))]
    both = post(real, "img2img", init_images=starts, batch_size=2, denoising_strength=0.5)
    second = post(real, "img2img", init_images=starts[1:], seed=8, denoising_strength=0.5)
    assert len(both["images"]) == 2
    assert json.loads(both["info"])["all_seeds"] == [7, 8]
    assert json.loads(second["info"])["all_seeds"] == [8]
    apart = np.asarray(images(both)[1], float) - np.asarray(images(second)[0], float)
    assert abs(apart).max() <= 1
    assert "bad number of images" in refused(real, "img2img", init_images=starts)


def test_faces_need_the_file_of_a_restorer(real: Served) -> None:
    assert real.client.get("/sdapi/v1/face-restorers").json() == []
    response = real.client.post("/sdapi/v1/txt2img", json={**SMALL, "restore_faces": True})
    assert response.status_code == 422
    assert "CodeFormer is the file codeformer" in response.json()["detail"]


def test_choices_of_an_axis(real: Served) -> None:
    by_name = {"x_type": "Sampler", "x_values": "", "x_values_dropdown": ["Euler", "Heun"], "include_lone_images": True}
    found = post(real, "txt2img", script_name="x/y/z plot", script_args=by_name)
    told = json.loads(found["info"])
    assert [parse(text).fields["Sampler"] for text in told["infotexts"][1:]] == ["Euler", "Heun"]  # type: ignore[union-attr]
    depth = {"z_type": "Seed", "z_values": "1,2", "x_type": "Steps", "x_values": "1,2", "include_sub_grids": True}
    assert len(post(real, "txt2img", script_name="x/y/z plot", script_args=depth)["images"]) == 3


@pytest.mark.parametrize(
    ("script", "args", "words"),
    [
        ("x/y/z plot", [99, "1"], "99"),
        ("x/y/z plot", ["None such", "1"], "None such"),
        ("x/y/z plot", ["Seed", ""], "no values"),
        ("x/y/z plot", ["Steps", "0"], "steps"),
        ("x/y/z plot", [1, "1-100", [], 4, "1-100"], "too many"),
        ("x/y/z plot", ["Seed", "many"], "many"),
        ("prompt matrix", [False, False, "sideways"], "prompt_type"),
        ("prompt matrix", [], "no parts"),
        ("prompts from file or textbox", [False, False, "start", ""], "no prompts"),
        ("prompts from file or textbox", [False, False, "start", "--outdir /tmp"], "--outdir"),
        ("custom code", ["import os"], "not found"),
    ],
)
def test_wrong_scripts_are_refused(script: str, args: Any, words: str, real: Served) -> None:
    assert words in refused(real, "txt2img", script_name=script, script_args=args)


def test_prompt_matrix_and_lines(real: Served) -> None:
    found = post(real, "txt2img", prompt="a cat|red|large", script_name="prompt matrix", script_args=[True])
    told = json.loads(found["info"])
    assert told["all_prompts"] == ["a cat", "red, a cat", "large, a cat", "red, large, a cat"]
    assert len(found["images"]) == 5
    lines = 'a dog\n--prompt "a fish" --steps 1 --seed 3'
    found = post(real, "txt2img", script_name="prompts from file or textbox", script_args=[True, False, "end", lines])
    told = json.loads(found["info"])
    assert told["all_prompts"] == ["a cat a dog", "a cat a fish"]
    assert told["all_seeds"] == [7, 3]


def test_loopback_starts_each_picture_from_the_one_before(real: Served) -> None:
    start = b64(noise())
    found = post(real, "img2img", init_images=[start], denoising_strength=0.5, script_name="Loopback",
                 script_args=[3, 0.9, "Linear", "None"])  # fmt: skip
    first, second, third = images(found)
    assert json.loads(found["info"])["all_seeds"] == [7, 8, 9]
    again = post(real, "img2img", init_images=[b64(first)], denoising_strength=0.7, seed=8)
    assert pixels(images(again)[0]) == pixels(second)
    assert pixels(third) != pixels(second)


def test_scripts_that_change_how_a_picture_is_made(real: Served) -> None:
    start = b64(noise())
    (wide,) = images(post(real, "img2img", init_images=[start], script_name="Poor man's outpainting",
                          script_args=[32, 4, "fill", ["left", "up"]]))  # fmt: skip
    assert wide.size == (96, 96)
    (mk2,) = images(post(real, "img2img", init_images=[start], script_name="Outpainting mk2",
                         script_args=["", 32, 4, ["down"]]))  # fmt: skip
    assert mk2.size == (64, 96)
    found = post(real, "img2img", init_images=[start], script_name="img2img alternative test",
                 script_args=["", True, True, "a cat", "", True, 3, True, 1.0, 0.0, False])  # fmt: skip
    assert len(found["images"]) == 1


def test_sd_upscale_paints_a_large_picture_in_tiles(real: Served) -> None:
    start = {"init_images": [b64(noise())], "denoising_strength": 0.3}
    found = post(real, "img2img", script_name="SD upscale", script_args=["", 16, "Lanczos", 1.5], **start)
    (image,) = images(found)
    assert image.size == (96, 96)
    assert "SD upscale overlap" in image.info["parameters"]
    by_number = post(real, "img2img", script_name="sd upscale", script_args={"upscaler_index": 1, "scale_factor": 1.5,
                     "overlap": 16}, **start)  # fmt: skip
    assert pixels(images(by_number)[0]) == pixels(image)
    ultimate = ["", 64, 0, 4, 8, 16, 0.35, 8, "Lanczos", False, 1, False, 4, 1, 2, 0, 0, 2]
    found = post(real, "img2img", script_name="Ultimate SD upscale", script_args=ultimate, **start)
    assert images(found)[0].size == (128, 128)
    assert "99" in refused(real, "img2img", script_name="sd upscale", script_args=["", 16, 99, 2], **start)


def test_extras(real: Served) -> None:
    post_to = real.client.post
    body = {"image": b64(noise((40, 30))), "upscaler_1": "Lanczos", "upscaling_resize": 2}
    found = post_to("/sdapi/v1/extra-single-image", json=body).json()
    with Image.open(io.BytesIO(base64.b64decode(found["image"]))) as image:
        assert image.size == (80, 60)
        assert "Postprocess upscaler: Lanczos" in image.info["postprocessing"]
    assert "Lanczos" in found["html_info"]
    sized = {"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 64, "upscaler_2": "Nearest",
             "extras_upscaler_2_visibility": 0.5, "upscaler_1": "Lanczos",
             "imageList": [{"data": b64(noise((40, 30))), "name": "a.png"}] * 2}  # fmt: skip
    many = post_to("/sdapi/v1/extra-batch-images", json=sized).json()
    assert [image.size for image in images(many)] == [(64, 64)] * 2
    unknown = post_to("/sdapi/v1/extra-single-image", json={**body, "upscaler_1": "none such"})
    assert (unknown.status_code, "none such" in unknown.json()["detail"]) == (422, True)


def test_what_is_written_in_a_picture_is_taken_apart(real: Served) -> None:
    made = post(real, "txt2img", negative_prompt="a dog")["images"][0]
    found = real.client.post("/sdapi/v1/png-info", json={"image": f"data:image/png;base64,{made}"}).json()
    parameters = found["parameters"]
    assert found["info"] == found["items"]["parameters"]
    assert (parameters["Prompt"], parameters["Negative prompt"], parameters["Seed"]) == ("a cat", "a dog", "7")
    assert (parameters["Size-1"], parameters["Mask mode"], parameters["Steps"]) == ("64", "Inpaint masked", "2")


def test_describing_needs_the_files_of_a_captioner(real: Served) -> None:
    found = real.client.post("/sdapi/v1/interrogate", json={"image": b64(noise()), "model": "clip"})
    assert found.status_code == 422
    assert "captioner 'blip'" in found.json()["detail"]


def test_interrupting_brings_what_is_there(real: Served) -> None:
    answers: list[dict[str, Any]] = []
    long = {"steps": 1000, "width": 256, "height": 256, "n_iter": 3, "force_task_id": "task(long)"}
    thread = threading.Thread(target=lambda: answers.append(post(real, "txt2img", **long)))
    thread.start()
    get = real.client.get
    waited(lambda: get("/sdapi/v1/progress").json()["state"]["sampling_step"] > 1)
    progress = get("/sdapi/v1/progress").json()
    assert (progress["state"]["job"], progress["state"]["job_count"]) == ("task(long)", 3)
    assert 0 < progress["progress"] < 1
    assert progress["eta_relative"] > 0
    seen = waited(lambda: get("/sdapi/v1/progress").json()["current_image"])
    assert base64.b64decode(seen)[:2] == b"\xff\xd8"
    body = {"id_task": "task(long)", "id_live_preview": -1}
    task = waited(lambda: (t := real.client.post("/internal/progress", json=body).json())["live_preview"] and t)
    assert (task["active"], task["queued"], task["completed"]) == (True, False, False)
    assert task["live_preview"].startswith("data:image/jpeg;base64,")
    assert real.client.post("/sdapi/v1/interrupt").json() == {}
    thread.join()
    assert 1 <= len(answers[0]["images"]) <= 3
    assert len(answers[0]["images"]) == len(json.loads(answers[0]["info"])["infotexts"])
    done = real.client.post("/internal/progress", json=body).json()
    assert (done["active"], done["completed"]) == (False, True)


def test_pictures_that_are_no_pictures(real: Served) -> None:
    assert "PNG" in refused(real, "img2img", init_images=[base64.b64encode(b"text").decode()])
    wrong = base64.b64encode(png((8, 8))[:40]).decode()
    assert "PNG" in refused(real, "img2img", init_images=[wrong])
