"""Recipes survive the journey through pictures, and through the texts of other tools what those can carry."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fromnoise.engine.metadata import infotext, infotext_parse, own
from fromnoise.engine.metadata.carrier import read_texts, save_picture
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.infotext_read import PLAIN, read_infotext
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.recipe_guidance import (
    FreeU,
    GuidanceOptions,
    Inversion,
    Outpaint,
    Regional,
    Seamless,
    StepReuse,
    TokenMerging,
)
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, Sizes, SoftInpaint, Variation
from fromnoise.errors import FileError
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES
from tests.engine.recipes import NAMED, RECIPES, mixed, parts, values

WORDS = st.sampled_from(
    ["a cat", "(red:1.2)", "[a:b:0.5]", "<lora:x:0.8>", "BREAK", "\n", ", ", '"', "\\", "Template: x",
     "Steps: 20, Sampler: Euler, Seed: 5",
     "Negative prompts: no", "图片，猫", "😀", "\t", "{a|b}", "CFG scale: 7", "  "]
)  # fmt: skip
CHARACTERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
TEXT = st.lists(WORDS | CHARACTERS, max_size=6).map("".join)
CARRIED_TEXT = TEXT.filter(
    lambda text: not any(line.lstrip().startswith("Negative prompt:") for line in text.split("\n"))
)
IMAGES = st.builds(lambda digest: ImageRef(path="a b/图.png", sha256=f"{digest:064x}"), st.integers(0, 2**256 - 1))
HASHES = st.none() | st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")


@st.composite
def options(draw: st.DrawFn, sampler: str) -> dict[str, float | int | str | bool]:
    """Some of the sampler's own options, of the right types."""
    chosen: dict[str, float | int | str | bool] = {}
    for name, default in SAMPLERS[sampler].options.items():
        if not draw(st.booleans()):
            continue
        if isinstance(default, bool):
            chosen[name] = draw(st.booleans())
        elif isinstance(default, int):
            chosen[name] = draw(st.integers(0, 10))
        elif isinstance(default, float):
            chosen[name] = draw(st.floats(0, 100))
        else:
            chosen[name] = default
    return chosen


UNIT, SIDES, STEPS = st.floats(0, 1), st.integers(1, 300).map(lambda n: 8 * n), st.integers(1, 10_000)
VARIATIONS = st.builds(Variation, seed=st.integers(0, MAX_SEED), strength=UNIT)
NOISES = st.builds(
    Noise,
    source=st.sampled_from([None, "cpu", "nv", "philox"]),
    from_size=st.none() | st.tuples(SIDES, SIDES),
    seed_delta=st.integers(0, 2**32),
    multiplier=st.floats(0, 10),
    extra=st.floats(0, 10),
)
INPAINTS = st.builds(
    Inpaint,
    content=st.sampled_from(["original", "fill", "noise", "nothing"]),
    blur=st.floats(0, 256),
    invert=st.booleans(),
    only_masked=st.booleans(),
    padding=st.integers(0, 1024),
    gradual=st.booleans(),
    soft=st.none() | st.builds(SoftInpaint, bias=st.floats(0, 8), preservation=st.floats(0, 8)),
    masked_image_weight=UNIT,
)
NETWORKS = st.lists(
    st.builds(
        NetworkUse,
        name=st.sampled_from(["ink", "wash 2", "图"]),
        strength=st.sampled_from([1, 0.5, -0.25]),
        text_strength=st.sampled_from([None, 0.8]),
        blocks=st.sampled_from([None, "OUTALL"]),
    ),
    max_size=3,
).map(tuple)
REFINERS = st.builds(
    Refiner, model=st.sampled_from(["refiner", "x: y, z"]), model_hash=HASHES, switch_at=UNIT.filter(lambda x: x != 1)
)


@st.composite
def second_passes(draw: st.DrawFn, text: st.SearchStrategy[str]) -> Hires:
    """Any second pass."""
    return Hires(
        scale=draw(st.floats(1, 8)),
        width=draw(st.none() | SIDES),
        height=draw(st.none() | SIDES),
        upscaler=draw(st.sampled_from(["latent", "4x-UltraSharp", "Latent (nearest-exact)"])),
        strength=draw(UNIT),
        steps=draw(st.none() | STEPS),
        guidance_scale=draw(st.none() | st.floats(0, 100)),
        sampler=draw(st.none() | st.sampled_from(list(SAMPLERS))),
        schedule=draw(st.none() | st.sampled_from(list(SCHEDULES))),
        prompt=draw(st.none() | text),
        negative=draw(st.none() | text),
    )


def field(name: str) -> st.SearchStrategy[Any]:
    """Values of a field of recipes."""
    return values(Recipe.model_fields[name].annotation, tuple(Recipe.model_fields[name].metadata), name)


@st.composite
def recipes(draw: st.DrawFn, text: st.SearchStrategy[str] = TEXT) -> Recipe:
    """Any recipe."""
    sampler = draw(st.sampled_from(list(SAMPLERS)))
    init = draw(st.none() | IMAGES)
    controls, guidance = draw(NAMED["controls"]), draw(st.none() | parts(GuidanceOptions))
    reusable = not controls and not (guidance and guidance.self_attention)
    return Recipe(
        prompt=draw(text),
        negative=draw(text),
        model=draw(st.sampled_from(["builtin", "dream, big", "models/a: b.safetensors", "图", 'x "y"'])),
        model_hash=draw(HASHES),
        seed=draw(st.integers(0, MAX_SEED)),
        width=8 * draw(st.integers(1, 300)),
        height=8 * draw(st.integers(1, 300)),
        steps=draw(st.integers(1, 10_000)),
        guidance_scale=draw(st.floats(0, 100)),
        sampler=sampler,
        schedule=draw(st.none() | st.sampled_from(list(SCHEDULES))),
        sampler_options=draw(options(sampler)),
        clip_skip=draw(st.none() | st.integers(1, 12)),
        init=init,
        strength=draw(st.floats(0, 1)),
        mask=draw(st.none() | IMAGES) if init else None,
        image_guidance_scale=draw(st.floats(0, 100)),
        dtype=draw(st.sampled_from(["float32", "bfloat16", "float16"])),
        profile=draw(st.sampled_from(list(PROFILES))),
        emphasis=draw(st.sampled_from([None, "native", "comfyui", "no norm", "ignore"])),
        old_prompt_timing=draw(st.booleans()),
        variation=draw(st.none() | VARIATIONS),
        noise=draw(st.none() | NOISES),
        inpaint=draw(st.none() | INPAINTS),
        hires=None if init else draw(st.none() | second_passes(text)),
        refiner=draw(st.none() | REFINERS),
        guidance=guidance,
        regional=draw(st.none() | parts(Regional)),
        free_u=draw(st.none() | parts(FreeU)),
        token_merging=draw(st.none() | parts(TokenMerging)),
        step_reuse=draw(st.none() | parts(StepReuse)) if reusable else None,
        seamless=draw(st.none() | parts(Seamless)),
        outpaint=draw(st.none() | parts(Outpaint)),
        inversion=draw(st.none() | parts(Inversion)),
        exact_steps=draw(st.booleans()),
        networks=draw(NETWORKS),
        controls=controls,
        image_prompts=draw(field("image_prompts")),
        gligen=(gligen := draw(field("gligen"))),
        boxes=draw(field("boxes")) if gligen else (),
        depth=draw(field("depth")),
        tiles=draw(field("tiles")),
        sizes=draw(st.none() | st.builds(Sizes, crop=st.tuples(st.integers(0, 99), st.integers(0, 99)))),
    )


def carried(recipe: Recipe) -> Recipe:
    """What of `recipe` AUTOMATIC1111's text has a place for."""
    last = recipe.model.split("/")[-1].removesuffix(".safetensors")
    noise, inpaint, hires, refiner = recipe.noise, recipe.inpaint if recipe.mask else None, recipe.hires, recipe.refiner
    return recipe.but(
        init=None,
        mask=None,
        dtype="float32",
        exact_steps=False,
        sizes=None,
        model=last,
        model_hash=recipe.model_hash and recipe.model_hash[:10],
        strength=recipe.strength if recipe.init else 1.0,
        image_guidance_scale=recipe.image_guidance_scale if recipe.init else 1.5,
        noise=None if noise == Noise() else noise,
        inpaint=inpaint and inpaint.model_copy(update={"gradual": False, "gradual_strength": 1.0}),
        hires=hires and hires.model_copy(update={"scale": 2.0} if hires.width or hires.height else {}),
        refiner=refiner and refiner.model_copy(update={"model_hash": refiner.model_hash and refiner.model_hash[:10]}),
        regional=recipe.regional and without_masks(recipe.regional),
    )


def without_masks(part: Regional) -> Regional:
    return part.model_copy(update={"regions": tuple(r.model_copy(update={"mask": None}) for r in part.regions)})


def check_infotext(recipe: Recipe) -> None:
    """The recipe comes back through AUTOMATIC1111's text."""
    read = read_infotext(infotext.parameters(recipe))
    assert read.recipe == carried(recipe)
    assert read.source == "fromnoise"
    assert not read.not_understood


@given(recipes(CARRIED_TEXT))
@settings(max_examples=40, deadline=None)
def test_infotext_keeps_all_that_it_has_a_place_for(recipe: Recipe) -> None:
    check_infotext(recipe)


COUNTS = pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])


@COUNTS
def test_infotext_keeps_thousands_of_recipes(count: int) -> None:
    used: set[str] = set()
    for recipe in mixed(recipes(CARRIED_TEXT), count, pool=min(count, 400)):
        check_infotext(recipe)
        used |= {name for name in Recipe.model_fields if getattr(recipe, name)}
    assert used > {
        "controls",
        "image_prompts",
        "boxes",
        "depth",
        "networks",
        "guidance",
        "regional",
        "tiles",
        "refiner",
    }


@COUNTS
def test_pngs_keep_thousands_of_recipes(tmp_path: Path, count: int) -> None:
    """Whatever fields there are."""
    path, picture = tmp_path / "a.png", Image.new("RGB", (8, 8))
    used: set[str] = set()
    for recipe in mixed(RECIPES, count, pool=min(count, 400)):
        save_picture(picture, path, own.texts(recipe))
        read = read_any(path)
        assert (read.recipe, dict(read.not_understood), read.warnings) == (recipe, {}, ())
        used |= {name for name in Recipe.model_fields if getattr(recipe, name)}
    assert len(used) >= (1.0 if count > 1000 else 0.9) * len(Recipe.model_fields)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@given(recipe=recipes())
@settings(max_examples=60, deadline=None)
def test_pictures_keep_everything(tmp_path_factory: pytest.TempPathFactory, suffix: str, recipe: Recipe) -> None:
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    save_picture(Image.new("RGB", (8, 8)), path, own.texts(recipe))
    read = read_any(path)
    assert (read.recipe, read.source, dict(read.not_understood), read.warnings) == (recipe, "fromnoise", {}, ())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_longest_prompts_survive_in_every_format(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(prompt="画" * 100_000, negative="a" * 100_000)
    save_picture(Image.new("RGB", (8, 8)), tmp_path / f"long{suffix}", own.texts(recipe))
    assert read_any(tmp_path / f"long{suffix}").recipe == recipe
    assert Image.open(tmp_path / f"long{suffix}").size == (8, 8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_other_tools_find_their_text(tmp_path: Path, suffix: str) -> None:
    path, recipe = tmp_path / f"picture{suffix}", Recipe(prompt="一只猫", negative="blurry", seed=5)
    save_picture(Image.new("RGB", (8, 8)), path, own.texts(recipe))
    if suffix == ".png":
        text = Image.open(path).info["parameters"]
    else:
        comment = Image.open(path).getexif().get_ifd(0x8769)[0x9286]
        assert comment[:8] == b"UNICODE\0"
        text = comment[8:].decode("utf-16-be")
    assert text == infotext.parameters(recipe)
    if suffix == ".png":
        assert json.loads(Image.open(path).info["prompt"]) == graph(recipe)
    if suffix == ".webp":
        assert json.loads(Image.open(path).getexif()[0x0110].removeprefix("prompt:")) == graph(recipe)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_pixels_are_kept_where_the_format_can(tmp_path: Path, suffix: str) -> None:
    image = Image.effect_noise((32, 24), 90).convert("RGB")
    save_picture(image, tmp_path / f"noise{suffix}", own.texts(Recipe()))
    assert Image.open(tmp_path / f"noise{suffix}").convert("RGB").tobytes() == image.tobytes()


def test_infotext_is_what_automatic1111_writes() -> None:
    recipe = Recipe(
        prompt="a red apple\non a table", negative="blurry", seed=7, model="sd/v1-5.safetensors",
        model_hash="6ce0161689" + "0" * 54,
        sampler="euler_ancestral", guidance_scale=7.5, sampler_options={"eta": 0.5}, clip_skip=2, strength=0.75,
        init=ImageRef(path="x.png", sha256="0" * 64), profile="a1111",
    )  # fmt: skip
    text = infotext.parameters(recipe)
    assert text.rpartition(", Version: ")[0] == (
        "a red apple\non a table\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, "
        "CFG scale: 7.5, Seed: 7, Size: 512x512, Model hash: 6ce0161689, Model: v1-5, Denoising strength: 0.75, "
        "Clip skip: 2, Eta: 0.5"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [("plain", "plain"), ("a, b", '"a, b"'), ('say "x": y', '"say \\"x\\": y"'), ("图:像", '"图:像"')],
)
def test_values_are_quoted_as_automatic1111_does(value: str, written: str) -> None:
    assert infotext.quoted(value) == written
    assert dict(infotext_parse.read_fields(f"A: {written}, B: 1")) == {"A": value, "B": "1"}


def test_every_mapped_field_exists() -> None:
    assert set(PLAIN.values()) <= set(Recipe.model_fields)


def test_a_newer_recipe_is_read_with_a_warning(tmp_path: Path) -> None:
    recipe = Recipe(prompt="a cat", seed=3)
    text = json.dumps({**json.loads(recipe.to_json()), "from_the_future": [1, 2]})
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "new.png", {"fromnoise": text})
    read = read_any(tmp_path / "new.png")
    assert read.recipe == recipe
    assert read.not_understood == {"from_the_future": "[1, 2]"}
    assert "newer" in read.warnings[0]


def test_a_picture_without_a_recipe_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.webp")
    with pytest.raises(FileError, match=r"plain\.webp: carries no recipe"):
        read_any(tmp_path / "plain.webp")


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"written as \.png, \.jpg"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.tiff", {})


def test_texts_name_what_made_the_picture() -> None:
    assert own.texts(Recipe())["Software"].startswith("fromnoise ")
    assert "PyTorch" in own.texts(Recipe())["Software"]


def test_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", {"parameters": "x" * 1000, "short": "y"})
    monkeypatch.setattr("fromnoise.engine.metadata.carrier.MAX_TEXT", 999)
    assert read_texts(tmp_path / "a.png") == {"short": "y"}
