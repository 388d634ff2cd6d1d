"""ComfyUI's graphs with pictures: as prompts, as styles, as hints, to start from, and as masks."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.comfyui import read_graph
from fromnoise.engine.metadata.comfyui_graph import Graph
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_pictures import ImagePrompt

Nodes = dict[str, Any]


def node(kind: str, **inputs: object) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """ComfyUI's, with results in `output` and what is loaded in `input`."""
    for name in ("output/day", "input/clipspace"):
        (tmp_path / name).mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.png", "c.png", "clipspace/mask.png")):
        Image.new("RGB", (96 + 8 * index, 64)).save(tmp_path / "input" / name)
    return tmp_path


def ref(folder: Path, name: str) -> ImageRef:
    return ImageRef.of(folder / "input" / name)


def read(folder: Path, nodes: Nodes) -> Imported:
    return read_graph(Graph(nodes), Album.around(folder / "output" / "day" / "made.png"))


def base(**fields: object) -> Nodes:
    return graph(Recipe.make(**{"profile": "comfyui", "prompt": "a cat", "schedule": "normal", "model": "m", **fields}))


def test_pictures_are_found_where_comfyui_keeps_them_and_nowhere_else(folder: Path) -> None:
    album = Album.around(folder / "output" / "day" / "made.png")
    (folder / "secret.png").write_bytes(b"x")
    (folder / "input" / "link.png").symlink_to(folder / "secret.png")
    (folder / "input" / "notes.txt").write_text("x")
    assert album.find("a.png") == ref(folder, "a.png")
    assert album.find("clipspace/mask.png [input]") == ref(folder, "clipspace/mask.png")
    assert album.find("elsewhere/a.png") == ref(folder, "a.png")
    for name in (
        "../secret.png",
        "/etc/passwd.png",
        "C:\\a.png",
        "link.png",
        "notes.txt",
        "",
        None,
        3,
        "a.png\0",
        "x" * 999,
    ):
        assert album.find(name) is None, name
    assert Album().find("a.png") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 0.6, "start": 0.1, "end": 0.9, "weight_type": "ease in", "combine": "average", "scaling": "K+V"},
        {"more": ["b.png", "c.png"], "negative": "c.png", "mask": "c.png", "vision": "eyes"},
        {"composition": "b.png", "weight_type": "strong style and composition", "second_weight": 0.5},
        {"weight_type": "style transfer precise", "second_weight": 0.25},
        {"weight_type": "composition precise", "second_weight": 2.0},
        {"structure": 1.5, "model": "ip-adapter-faceid-plusv2_sd15"},
        {"model": None, "weight": 0.5, "noise_level": 0.25, "crop": False},
        {"model": None, "vision": "clip_vision_g"},
    ],
)
def test_image_prompts_come_back(folder: Path, fields: dict[str, Any]) -> None:
    pictures = {key: ref(folder, fields[key]) for key in ("negative", "mask", "composition") if key in fields}
    more = {"more": [ref(folder, name) for name in fields["more"]]} if "more" in fields else {}
    prompt = ImagePrompt.model_validate(
        {"model": "ip-adapter_sd15", **fields, **pictures, **more, "image": ref(folder, "a.png")}
    )
    recipe = Recipe.make(
        profile="comfyui", prompt="a cat", schedule="normal", model="m", image_prompts=[prompt],
        networks=[{"name": "ink"}], free_u={},
    )  # fmt: skip
    found = read(folder, graph(recipe))
    assert found.recipe == recipe
    assert (dict(found.not_understood), found.warnings) == ({}, ())


def test_several_image_prompts_keep_their_order(folder: Path) -> None:
    prompts = [
        {"image": ref(folder, name), "model": "ip", "weight": 0.5 + i} for i, name in enumerate(("b.png", "a.png"))
    ]
    recipe = Recipe.make(profile="comfyui", prompt="x", schedule="normal", model="m", image_prompts=prompts)
    assert read(folder, graph(recipe)).recipe == recipe


@pytest.mark.parametrize(
    ("preset", "size", "file"),
    [
        ("STANDARD (medium strength)", 512, "ip-adapter_sd15"),
        ("PLUS (high strength)", 1024, "ip-adapter-plus_sdxl_vit-h"),
        ("PLUS FACE (portraits)", 512, "ip-adapter-plus-face_sd15"),
        ("VIT-G (medium strength)", 1024, "ip-adapter_sdxl"),
        ("FACEID PLUS V2", 512, "ip-adapter-faceid-plusv2_sd15"),
    ],
)
@pytest.mark.parametrize("kind", [("prompt is more important", "ease out"), ("standard", "linear")])
def test_presets_and_the_simple_node(
    folder: Path, preset: str, size: int, file: str, kind: tuple[str, str]
) -> None:  # fmt: skip
    nodes = base(width=size, height=size)
    nodes["50"] = node("IPAdapterUnifiedLoader", model=["4", 0], preset=preset)
    nodes["51"] = node("LoadImage", image="a.png")
    nodes["52"] = node(
        "PrepImageForClipVision", image=["51", 0], interpolation="LANCZOS", crop_position="top", sharpening=0.0
    )
    nodes["53"] = node(
        "IPAdapter", model=["50", 0], ipadapter=["50", 1], image=["52", 0], weight=0.8, start_at=0.0, end_at=0.5,
        weight_type=kind[0],
    )  # fmt: skip
    nodes["3"]["inputs"]["model"] = ["53", 0]
    found = read(folder, nodes)
    wanted = ImagePrompt(image=ref(folder, "a.png"), model=file, weight=0.8, end=0.5, weight_type=kind[1])  # type: ignore[arg-type]
    assert found.recipe.image_prompts == (wanted,)
    assert (found.recipe.model, dict(found.not_understood)) == ("m", {})
    assert found.warnings == (
        f"the preset {preset.upper()} is taken for {file}, by the model's name and the picture's size",
    )


def test_an_image_prompt_that_is_not_there_is_told_with_its_settings(folder: Path) -> None:
    prompt = {"image": ref(folder, "a.png"), "model": "ip-adapter_sd15", "weight": 0.6}
    nodes = base(image_prompts=[prompt])
    found = read_graph(Graph(nodes))
    assert found.recipe.image_prompts == ()
    assert found.warnings == (
        "made with a picture as a prompt, which is not in the file: give it with --image-prompt "
        '"a.png, model=ip-adapter_sd15, weight=0.6"',
    )
    assert {key.split()[0] for key in found.not_understood} == {"LoadImage", "IPAdapterAdvanced"}


def test_a_style_is_a_control(folder: Path) -> None:
    recipe = Recipe.make(
        profile="comfyui", prompt="a cat", schedule="normal", model="m",
        controls=[{"model": "t2iadapter_style_sd14v1", "image": ref(folder, "a.png"), "weight": 0.7}],
    )  # fmt: skip
    nodes = graph(recipe)
    assert "StyleModelApply" in {one["class_type"] for one in nodes.values()}
    found = read(folder, nodes)
    assert (found.recipe, dict(found.not_understood), found.warnings) == (recipe, {}, ())


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (
            node("Canny", low_threshold=0.2, high_threshold=0.8),
            {"preprocessor": "canny", "parameters": {"low": 51, "high": 204}},
        ),
        (
            node("CannyEdgePreprocessor", low_threshold=50, high_threshold=150, resolution=768),
            {"preprocessor": "canny", "parameters": {"low": 50, "high": 150}, "resolution": 768},
        ),
        (node("LineArtPreprocessor", coarse="enable"), {"preprocessor": "lineart_coarse"}),
        (node("DWPreprocessor", detect_hand="disable", detect_face="enable"), {"preprocessor": "openpose_face"}),
        (node("AIO_Preprocessor", preprocessor="DepthAnythingV2Preprocessor", resolution=512),
         {"preprocessor": "depth_anything_v2", "resolution": 512}),
        (node("HEDPreprocessor", safe="enable"), {"preprocessor": "softedge_hedsafe"}),
        (node("PiDiNetPreprocessor", safe="enable"), {"preprocessor": "softedge_pidisafe"}),
    ],
)  # fmt: skip
def test_hints_and_what_makes_them(folder: Path, hint: dict[str, Any], said: dict[str, object]) -> None:
    recipe = Recipe.make(
        profile="comfyui", prompt="a cat", schedule="normal", model="m",
        controls=[{"model": "net", "image": ref(folder, "a.png"), "weight": 0.5}],
    )  # fmt: skip
    nodes = graph(recipe)
    apply = next(one["inputs"] for one in nodes.values() if one["class_type"] == "ControlNetApplyAdvanced")
    hint["inputs"]["image"] = apply["image"]
    nodes["90"], apply["image"] = hint, ["90", 0]
    found = read(folder, nodes)
    control = recipe.controls[0].model_dump()
    assert found.recipe == recipe.but(controls=[{**control, **said}])
    assert (dict(found.not_understood), found.warnings) == ({}, ())


def test_hints_by_unknown_nodes_are_told(folder: Path) -> None:
    nodes = base(controls=[{"model": "net", "image": ref(folder, "a.png")}])
    apply = next(one["inputs"] for one in nodes.values() if one["class_type"] == "ControlNetApplyAdvanced")
    nodes["90"] = node("ImageBlur", image=apply["image"], blur_radius=3, sigma=1.0)
    apply["image"] = ["90", 0]
    found = read(folder, nodes)
    assert found.recipe.controls[0].image == ref(folder, "a.png")
    assert set(found.not_understood) == {"ImageBlur 90"}


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 640, "height": 384, "strength": 0.4},
        {"mask": "c.png", "strength": 0.5},
        {"mask": "b.png", "inpaint": {"gradual": True}},
        {"outpaint": {"left": 16, "feather": 8}, "strength": 0.75},
    ],
)
def test_start_pictures_and_masks_come_back(folder: Path, fields: dict[str, Any]) -> None:
    found_mask = {"mask": ref(folder, fields["mask"])} if "mask" in fields else {}
    recipe = Recipe.make(
        profile="comfyui",
        prompt="a cat",
        schedule="normal",
        model="m",
        init=ref(folder, "a.png"),
        **{**fields, **found_mask},
    )
    found = read(folder, graph(recipe))
    assert found.recipe == recipe
    assert (dict(found.not_understood), found.warnings) == ({}, ())


def test_a_start_picture_gives_its_own_size_and_its_transparency_is_a_mask(folder: Path) -> None:
    nodes = base(init=ref(folder, "c.png"), strength=0.5)
    del nodes["12"]
    nodes["5"] = node("VAEEncode", pixels=["11", 0], vae=["4", 2])
    nodes["60"] = node("InvertMask", mask=["11", 1])
    nodes["61"] = node("SetLatentNoiseMask", samples=["5", 0], mask=["60", 0])
    nodes["3"]["inputs"]["latent_image"] = ["61", 0]
    found = read(folder, nodes).recipe
    assert (found.width, found.height, found.init, found.mask) == (112, 64, ref(folder, "c.png"), ref(folder, "c.png"))
    assert found.inpaint is not None
    assert found.inpaint.invert


def test_inpainting_models_are_shown_the_same(folder: Path) -> None:
    nodes = base(init=ref(folder, "a.png"))
    nodes["60"] = node(
        "InpaintModelConditioning", positive=["6", 0], negative=["7", 0], vae=["4", 2], pixels=["12", 0],
        mask=["11", 1], noise_mask=True,
    )  # fmt: skip
    nodes["3"]["inputs"] |= {"positive": ["60", 0], "negative": ["60", 1], "latent_image": ["60", 2]}
    found = read(folder, nodes)
    assert (found.recipe.prompt, found.recipe.init, found.recipe.mask) == (
        "a cat",
        ref(folder, "a.png"),
        ref(folder, "a.png"),
    )
    assert (dict(found.not_understood), found.warnings) == ({}, ())


@pytest.mark.parametrize(
    "hires",
    [
        {"scale": 2.0, "strength": 0.5},
        {"width": 768, "height": 512, "upscaler": "Latent (nearest-exact)", "steps": 12, "guidance_scale": 3.0},
        {"upscaler": "Lanczos", "sampler": "heun", "schedule": "karras", "seed": 9},
        {"upscaler": "4x-UltraSharp", "prompt": "a large cat", "negative": "blurry", "strength": 0.35},
    ],
)
def test_second_passes_come_back(folder: Path, hires: dict[str, Any]) -> None:
    recipe = Recipe.make(
        profile="comfyui", prompt="a cat", schedule="normal", model="m", width=384, height=256, hires=hires
    )
    found = read(folder, graph(recipe))
    assert recipe.hires is not None
    width, height = recipe.hires.size(384, 256)
    assert found.recipe == recipe.but(
        hires={**recipe.hires.model_dump(), "scale": 2.0, "width": width, "height": height}
    )
    assert (dict(found.not_understood), found.warnings) == ({}, ())


def test_second_passes_by_a_factor_and_by_a_model(folder: Path) -> None:
    nodes = base(hires={"upscaler": "4x-UltraSharp", "strength": 0.4})
    scaling = next(key for key, one in nodes.items() if one["class_type"] == "ImageScale")
    nodes[scaling] = node("ImageScaleBy", image=nodes[scaling]["inputs"]["image"], upscale_method="area", scale_by=0.5)
    hires = read(folder, nodes).recipe.hires
    assert hires is not None
    assert (hires.upscaler, hires.scale, hires.width, hires.strength) == ("4x-UltraSharp", 2.0, None, 0.4)
    nodes = base(hires={"strength": 0.4})
    scaling = next(key for key, one in nodes.items() if one["class_type"] == "LatentUpscale")
    nodes[scaling] = node("LatentUpscaleBy", samples=["3", 0], upscale_method="bislerp", scale_by=1.5)
    found = read(folder, nodes)
    assert found.recipe.hires is not None
    assert (found.recipe.hires.upscaler, found.recipe.hires.scale) == ("latent", 1.5)
    assert list(found.not_understood) == [f"LatentUpscaleBy {scaling}"]


@pytest.mark.parametrize(("sampler", "warned"), [("euler", False), ("dpmpp_2m", True)])
def test_refiners_come_back(folder: Path, sampler: str, warned: bool) -> None:
    recipe = Recipe.make(
        profile="comfyui", prompt="a cat", negative="blurry", schedule="normal", sampler=sampler, steps=25,
        model="base", refiner={"model": "refiner", "switch_at": 0.8},
    )  # fmt: skip
    nodes = graph(recipe)
    assert nodes["3"]["inputs"]["end_at_step"] == 20  # type: ignore[index]
    found = read(folder, nodes)
    assert found.recipe.refiner is not None
    assert found.recipe.but(refiner=recipe.refiner) == recipe
    assert graph(found.recipe) == nodes
    assert (dict(found.not_understood), bool(found.warnings)) == ({}, warned)


def test_a_sampler_that_begins_late_is_a_strength(folder: Path) -> None:
    """As ComfyUI counts: 20 steps of which the first 7 are left out are 13 of int(13 / strength)."""
    nodes = base(init=ref(folder, "a.png"))
    kept = {key: nodes["3"]["inputs"][key] for key in ("model", "positive", "negative", "latent_image")}
    nodes["3"] = node(
        "KSamplerAdvanced", **kept, add_noise="enable", noise_seed=4, steps=20, cfg=8.0, sampler_name="euler",
        scheduler="normal", start_at_step=7, end_at_step=10000, return_with_leftover_noise="disable",
    )  # fmt: skip
    found = read(folder, nodes)
    assert (found.recipe.steps, int(13 / found.recipe.strength), found.recipe.seed) == (13, 20, 4)
    assert not found.not_understood


def test_more_passes_than_two_are_noted(folder: Path) -> None:
    nodes = base(hires={"strength": 0.4})
    again = next(key for key, one in nodes.items() if one["class_type"] == "KSampler" and key != "3")
    nodes["400"] = node("KSampler", **{**nodes[again]["inputs"], "latent_image": [again, 0]})
    nodes["8"]["inputs"]["samples"] = ["400", 0]
    found = read(folder, nodes)
    assert found.recipe.hires is None
    assert set(found.not_understood) == {f"KSampler {again}", "KSampler 400"}
    assert found.warnings == ("made in several passes: the recipe is the first of them",)
