"""A recipe survives every journey, and says what is wrong with it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fromnoise.engine.images import save_png
from fromnoise.engine.metadata import infotext, own
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, Sizes, SoftInpaint, Variation
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
IMAGES = st.builds(lambda digest: ImageRef(path="a b/图.png", sha256=f"{digest:064x}"), st.integers(0, 2**256 - 1))
SIDES = st.integers(1, 64).map(lambda n: 8 * n)
SHARES = st.floats(0, 1)
OPTIONAL_SIZES = st.none() | st.tuples(SIDES, SIDES)
SIZES = st.builds(Sizes, original=OPTIONAL_SIZES, crop=st.tuples(st.integers(0, 99), st.integers(0, 99)))
NOISE = st.builds(
    Noise,
    source=st.sampled_from([None, "philox", "cpu", "nv"]),
    from_size=OPTIONAL_SIZES,
    seed_delta=st.integers(0, 2**32),
    index=st.integers(0, 3),
    batch=st.integers(4, 8),
)
INPAINT = st.builds(
    Inpaint,
    content=st.sampled_from(["original", "fill", "noise", "nothing"]),
    blur=st.floats(0, 64),
    invert=st.booleans(),
    only_masked=st.booleans(),
    gradual=st.booleans(),
    soft=st.none() | st.builds(SoftInpaint, bias=st.floats(0, 8)),
)
HIRES = st.builds(
    Hires, scale=st.floats(1, 4), width=st.none() | SIDES, prompt=st.none() | TEXT, steps=st.none() | st.integers(1, 99)
)
RECIPES = st.builds(
    Recipe,
    prompt=TEXT,
    negative=TEXT,
    seed=st.integers(0, MAX_SEED),
    width=SIDES,
    height=SIDES,
    steps=st.integers(1, 200),
    guidance_scale=st.floats(0, 30),
    sampler=st.sampled_from(list(SAMPLERS)),
    schedule=st.none() | st.sampled_from(list(SCHEDULES)),
    sampler_options=st.dictionaries(st.sampled_from(["eta", "s_noise"]), st.floats(0, 2)),
    clip_skip=st.none() | st.integers(1, 12),
    strength=st.floats(0, 1),
    init=IMAGES,
    mask=st.none() | IMAGES,
    profile=st.sampled_from(list(PROFILES)),
    emphasis=st.sampled_from([None, "native", "comfyui", "no norm", "ignore"]),
    variation=st.none() | st.builds(Variation, seed=st.integers(0, MAX_SEED), strength=SHARES),
    noise=st.none() | NOISE,
    sizes=st.none() | SIZES,
    inpaint=st.none() | INPAINT,
    resize=st.sampled_from(["crop", "stretch", "fill", "latent"]),
    refiner=st.none() | st.builds(Refiner, model=TEXT, switch_at=SHARES),
)
WITH_SECOND_PASS = st.builds(lambda recipe, hires: recipe.but(init=None, mask=None, hires=hires), RECIPES, HIRES)


@given(RECIPES | WITH_SECOND_PASS)
@settings(max_examples=150, deadline=None)
def test_recipe_to_png_and_back(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    path = tmp_path_factory.getbasetemp() / "round.png"
    save_png(Image.new("RGB", (8, 8)), path, own.texts(recipe))
    assert own.recipe_in(path) == recipe
    assert Image.open(path).info["parameters"].startswith(recipe.prompt)


def test_parameters_text_is_laid_out_as_people_know_it() -> None:
    recipe = Recipe(
        prompt="a red apple", negative="blurry", seed=7, model="models/dream, big.safetensors", schedule="karras"
    )
    lines = infotext.parameters(recipe).split("\n")
    assert lines[:2] == ["a red apple", "Negative prompt: blurry"]
    assert lines[2].startswith("Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 512")
    assert 'Model: "dream, big"' in lines[2]


def test_a_picture_without_a_recipe_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(FileError, match=r"plain\.png: carries no fromnoise recipe"):
        own.recipe_in(tmp_path / "plain.png")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 100}, "width: 100 is not a multiple of 8; the nearest sizes are 96 and 104"),
        ({"height": 0}, "height: input should be greater than or equal to 8"),
        ({"width": 99999}, "width: input should be less than or equal to 16384"),
        ({"steps": 0}, "steps: input should be greater than or equal to 1"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0"),
        ({"strength": 1.5}, "strength: input should be less than or equal to 1"),
        ({"colour": "red"}, "colour: extra inputs are not permitted"),
        (
            {"profile": "comfy"},
            "profile: unknown profile 'comfy'; did you mean 'comfyui'? Known: a1111, comfyui, diffusers, native",
        ),
        ({"hires": {"scale": 0.5}}, "hires.scale: input should be greater than or equal to 1"),
        ({"hires": {"width": 100}}, "hires.width: 100 is not a multiple of 8; the nearest sizes are 96 and 104"),
        ({"noise": {"index": 3, "batch": 2}}, "recipe: noise: picture 3 is not in a batch of 2"),
        ({"inpaint": {"content": "fog"}}, "inpaint.content: input should be 'original', 'fill', 'noise' or 'nothing'"),
        (
            {"hires": {}, "init": {"path": "i", "sha256": "0" * 64}},
            "recipe: a second pass follows pictures made from noise: leave out the start picture or hires",
        ),
        ({"mask": {"path": "m", "sha256": "0" * 64}}, "recipe: a mask needs a start picture: give one with --init"),
    ],
)
def test_bad_fields_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.make(**fields)
    assert str(caught.value) == message


def test_every_field_is_documented() -> None:
    parts = (Recipe, Variation, Noise, Sizes, Inpaint, SoftInpaint, Hires, Refiner)
    undocumented = [
        f"{part.__name__}.{name}"
        for part in parts
        for name, field in part.model_fields.items()
        if not field.description
    ]
    assert not undocumented


def test_profiles_are_known_by_any_spelling() -> None:
    assert Recipe.make(profile="ComfyUI").profile == "comfyui"


def test_recipes_do_not_change() -> None:
    recipe = Recipe(prompt="a")
    with pytest.raises(ValueError, match="frozen"):
        recipe.prompt = "b"  # type: ignore[misc]
    assert recipe.but(prompt="b").prompt == "b"
    assert recipe.prompt == "a"


def test_files_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(FileError, match="No space left"):
        save_png(Image.new("RGB", (8, 8)), tmp_path / "a.png", {})
    assert list(tmp_path.iterdir()) == []
