"""A recipe survives every journey, and says what is wrong with it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from PIL import Image

from fromnoise.engine.images import save_png
from fromnoise.engine.metadata import infotext, own
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, Sizes, SoftInpaint, Variation
from fromnoise.errors import FileError, UserError
from tests.engine.recipes import RECIPES


@given(RECIPES)
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
