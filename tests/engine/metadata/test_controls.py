"""Controls and image prompts in AUTOMATIC1111's text, as three generations of its extension write units."""

from fromnoise.engine.metadata.comfyui import read_graph
from fromnoise.engine.metadata.comfyui_graph import Graph
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_control import Control

LINE = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "
HINT = ImageRef(path="hints/图, b.png", sha256="a" * 64)
NEW = (
    'ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, Resize Mode: Crop and '
    "Resize, Processor Res: 512, Threshold A: 50.0, Threshold B: 200.0, Guidance Start: 0.1, Guidance End: 0.9, "
    'Pixel Perfect: True, Control Mode: ControlNet is more important, Hr Option: Both"'
)
OLD = (
    'ControlNet 0: "preprocessor: canny, model: control_v11p_sd15_canny [d14c016b], weight: 0.8, starting/ending: '
    "(0.1, 0.9), resize mode: Crop and Resize, pixel perfect: True, control mode: ControlNet is more important, "
    'preprocessor params: (512, 50, 200)"'
)
OLDEST = (
    "ControlNet Enabled: True, ControlNet Module: canny, ControlNet Model: control_v11p_sd15_canny [d14c016b], "
    "ControlNet Weight: 0.8, ControlNet Guidance Start: 0.1, ControlNet Guidance End: 0.9"
)


def said(field: str) -> tuple[Control, dict[str, str], tuple[str, ...]]:
    found = read_infotext(f"{LINE}{field}, Version: v1.10.1")
    (control,) = found.recipe.controls
    return control, dict(found.not_understood), found.warnings


def test_three_generations_say_the_same() -> None:
    wanted = Control(
        model="control_v11p_sd15_canny", model_hash="d14c016b", preprocessor="canny", parameters={"low": 50},
        resolution=512, pixel_perfect=True, weight=0.8, start=0.1, end=0.9, mode="control", resize="crop",
    )  # fmt: skip
    told = "ControlNet 0: its picture is not in the file; give it with --control, or a start picture"
    assert said(NEW) == (wanted.model_copy(update={"passes": "both"}), {}, (told,))
    assert said(OLD) == (wanted, {}, (told,))
    plain = {"parameters": {}, "resolution": None, "pixel_perfect": False, "mode": "balanced", "resize": None}
    assert said(OLDEST) == (wanted.model_copy(update=plain), {}, (told,))


def test_what_is_not_understood_is_told() -> None:
    control, other, warnings = said('ControlNet 1: "Module: dream, Model: x, Weight: 1, Colour: red, Low Vram: False"')
    assert (control.preprocessor, control.model) == ("none", "x")
    assert other == {"ControlNet 1 Module": "dream", "ControlNet 1 colour": "red"}
    assert "unknown preprocessor 'dream'" in warnings[0]
    found = read_infotext(f'{LINE}ControlNet 0: "Module: ip-adapter_clip_sd15, Model: ip-adapter_sd15 [6a3f6166]"')
    assert (found.recipe.image_prompts, list(found.not_understood)) == ((), ["ControlNet 0"])
    told = "made with a picture as a prompt, which is not in the file: give it with --image-prompt "
    assert found.warnings == (f'{told}"PICTURE, model=ip-adapter_sd15, model_hash=6a3f6166"',)
    forge = (
        'ControlNet 0: "Module: InsightFace+CLIP-H (IPAdapter), Model: ip-adapter-faceid-plusv2_sd15 [6e14fc1a], '
        'Weight: 0.7, Processor Res: 512, Guidance Start: 0.1, Guidance End: 0.8, Control Mode: Balanced"'
    )
    found = read_infotext(f"{LINE}{forge}, Version: f2.0.1v1.10.1")
    face = "PICTURE, model=ip-adapter-faceid-plusv2_sd15, weight=0.7, start=0.1, end=0.8, model_hash=6e14fc1a"
    assert (found.recipe.image_prompts, found.warnings) == ((), (f'{told}"{face}"',))
    revision = read_infotext(f'{LINE}ControlNet 0: "Module: revision_clipvision, Model: None, Weight: 0.5"')
    assert revision.warnings == (f'{told}"PICTURE, weight=0.5"',)
    off = read_infotext(f"{LINE}ControlNet Enabled: False, ControlNet Module: canny")
    assert (off.recipe.controls, dict(off.not_understood)) == ((), {})
    broken = read_infotext(f'{LINE}ControlNet 0: "Module: canny, Model: x, Weight: heavy"')
    assert (broken.recipe.controls, list(broken.not_understood)) == ((), ["ControlNet 0"])


def test_styles_see_the_picture_as_it_is() -> None:
    control, other, _ = said('ControlNet 0: "Module: t2ia_style_clipvision, Model: t2iadapter_style_sd14v1 [202e85cc]"')
    assert (control.preprocessor, control.model, other) == ("none", "t2iadapter_style_sd14v1", {})


def test_units_are_written_as_the_extension_writes_them() -> None:
    recipe = Recipe.make(
        profile="a1111",
        controls=[{"model": "cn/canny.safetensors", "model_hash": "ab" * 32, "preprocessor": "canny", "image": HINT}],
        image_prompts=[{"image": HINT, "model": "ip-adapter_sd15", "weight": 0.6}],
    )
    text = parameters(recipe)
    assert (
        'ControlNet 0: "Module: canny, Model: canny [abababab], Weight: 1, Threshold A: 100, Threshold B: 200, '
        'Guidance Start: 0, Guidance End: 1, Pixel Perfect: False, Control Mode: Balanced, Hr Option: Both"'
    ) in text
    assert 'ControlNet 1: "Module: ip-adapter-auto, Model: ip-adapter_sd15, Weight: 0.6' in text
    assert read_infotext(text).recipe == recipe


def test_nothing_of_a_control_is_lost() -> None:
    recipe = Recipe.make(
        profile="a1111",
        controls=[
            {"model": "x: 1, y", "image": HINT, "mask": HINT, "region": HINT, "mode": "guess", "layers": [1, 0.5]},
            {"preprocessor": "reference_only", "image": HINT, "parameters": {"fidelity": 0.25}},
        ],
        gligen={"model": "gligen"},
        boxes=[{"x": 1, "y": 2, "width": 30, "height": 40, "text": 'a "cat", b: c'}],
        depth={"image": HINT},
    )
    found = read_infotext(parameters(recipe))
    assert (found.recipe, dict(found.not_understood), found.warnings) == (recipe, {}, ())


def test_comfyui_graphs_carry_controls_and_boxes() -> None:
    """Beside regions, whose conditionings go through the same nodes."""
    recipe = Recipe.make(
        profile="comfyui",
        prompt="a cat",
        schedule="normal",
        controls=[
            {"model": "canny", "image": HINT, "weight": 0.5, "start": 0.25, "end": 0.75},
            {"model": "union", "image": HINT, "type": "lineart"},
        ],
        gligen={"model": "gligen"},
        boxes=[{"x": 8, "y": 16, "width": 64, "height": 32, "text": "a hat"}],
        regional={"regions": [{"prompt": "a dog", "left": 0.5, "width": 0.5}]},
    )
    made = graph(recipe)
    assert [node["class_type"] for node in made.values()].count("ControlNetApplyAdvanced") == 2
    found = read_graph(Graph(made))
    unseen = [one.model_copy(update={"image": None}).model_dump() for one in recipe.controls]
    assert found.recipe == recipe.but(controls=unseen)
    assert list(found.not_understood.values()) == ['{"image": "图, b.png"}'] * 2
    assert found.warnings == (
        "made with a control, whose picture is not in the file: give it with --control, or a start picture",
    )


def test_comfyui_pictures_as_prompts_are_told() -> None:
    made = graph(Recipe(profile="comfyui", prompt="a cat"))
    made["90"] = {"class_type": "unCLIPConditioning", "inputs": {"conditioning": ["6", 0], "strength": 1.0}}
    made["3"]["inputs"]["positive"] = ["90", 0]  # type: ignore[index, call-overload]
    found = read_graph(Graph(made))
    assert (found.recipe.prompt, list(found.not_understood)) == ("a cat", ["unCLIPConditioning 90"])
    assert "give it with --image-prompt" in found.warnings[0]
