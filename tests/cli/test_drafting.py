"""Recipes become options and options recipes; parts of a recipe are typed in one option."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from PIL import Image
from typer.main import get_command

from fromnoise.cli import drafting, options
from fromnoise.cli.app import whole
from fromnoise.cli.compact import read_part, read_table, written
from fromnoise.cli.drafting import changed, drafted, said, typed
from fromnoise.cli.options import Order
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_files import WeightFile
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, Sizes, SoftInpaint, Variation
from fromnoise.errors import UserError
from tests.engine.recipes import RECIPES

OF_START_PICTURES = {
    "redraw": None,
    "strength": 1.0,
    "outpaint": None,
    "inversion": None,
}  # without one they are not typed


def ordered(words: list[str], **given: Any) -> Order:
    """What typer makes of the options of `make`."""
    command = get_command(whole()).commands["make"]
    found = command.make_context("make", [*words, "--", "x"]).params
    names = {field.name for field in options.fields(Order)} - {"prompt"}
    return Order(**{name: value for name, value in found.items() if name in names}, **given)


@given(RECIPES)
@settings(max_examples=200, deadline=None)
def test_what_is_typed_for_a_recipe_makes_it(recipe: Recipe) -> None:
    unsaid = {} if recipe.init else OF_START_PICTURES
    networks = [use.model_copy(update={"hash": None}) for use in recipe.networks if not use.in_prompt]
    files = {name: unnoted(getattr(recipe, name)) for name in ("unet", "vae", "text_encoders")}
    wanted = recipe.but(model_hash=None, dtype="float32", networks=networks, **files, **unsaid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafting, "reference", unhashed)
        order = ordered(typed(wanted), prompt=wanted.prompt)
        made = drafted(order)
    assert made == with_references(wanted)


def unnoted(file: WeightFile | tuple[WeightFile, ...] | None) -> Any:
    """Files without the hashes that are filled in when a picture is made."""
    if isinstance(file, tuple):
        return [unnoted(one) for one in file]
    return file and {"name": file.name}


def unhashed(path: Path) -> ImageRef:
    """A reference to a file that is not there; its hash is not typed."""
    return ImageRef(path=str(path), sha256="0" * 64)


def with_references(recipe: Recipe) -> Recipe:
    """The recipe with references as `unhashed` makes them."""

    def blank(value: Any) -> Any:
        if isinstance(value, dict):
            inner = {name: blank(one) for name, one in value.items()}
            return {**inner, "sha256": "0" * 64} if "sha256" in inner else inner
        return [blank(one) for one in value] if isinstance(value, (list, tuple)) else value

    return Recipe.make(**blank(recipe.model_dump()))


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        (Hires, "on", Hires()),
        (Hires, "1.5", Hires(scale=1.5)),
        (Hires, "1.5, strength=0.4,steps=9", Hires(scale=1.5, strength=0.4, steps=9)),
        (Hires, r'prompt="a, \"b\"", scale=3', Hires(prompt='a, "b"', scale=3)),
        (Hires, "prompt=two words", Hires(prompt="two words")),
        (Variation, "5, 0.25", Variation(seed=5, strength=0.25)),
        (Refiner, "xl refiner, 0.7", Refiner(model="xl refiner", switch_at=0.7)),
        (Noise, "nv, from_size=512x768", Noise(source="nv", from_size=(512, 768))),
        (Inpaint, "fill, only_masked=on, invert=true", Inpaint(content="fill", only_masked=True, invert=True)),
        (Sizes, "crop=8x16", Sizes(crop=(8, 16))),
    ],
)
def test_parts_are_typed_in_one_option(part: type[Any], text: str, expected: object) -> None:
    found = read_part("--part", text, part)
    assert found is not None
    assert part(**found) == expected
    assert part(**read_part("--part", written(found), part)) == expected


def test_a_part_can_be_taken_away() -> None:
    assert read_part("--hires", "Off", Hires) is None


def test_tables_hold_numbers_and_words() -> None:
    table = {"eta": 0.5, "order": 2, "variant": "bh2", "lower": True}
    assert read_table("--sampler-options", "eta=0.5, order=2, variant=bh2, lower=true") == table
    assert read_table("--sampler-options", written(table)) == table


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hires", "scal=2"], "unknown setting of --hires 'scal'; did you mean 'scale'"),
        (["--hires", "scale=9"], "hires.scale: input should be less than or equal to 8"),
        (["--variation", "1, 0.5, 3"], "--variation: too many values; it has seed, strength"),
        (["--variation", '1, "2" 3'], '--variation: "2" 3 is not understood; write NAME=VALUE'),
        (["--hires", 'prompt="a'], '--hires: prompt="a is not understood'),
        (["--sampler-options", "0.5"], "--sampler-options: write NAME=VALUE, NAME=VALUE"),
        (["--profile", "comfy"], "profile: unknown profile 'comfy'; did you mean 'comfyui'"),
        (["--resize", "shrink"], "resize: input should be 'crop', 'stretch', 'fill' or 'latent'"),
        (["--soft", "bias=9"], "inpaint.soft.bias: input should be less than or equal to 8"),
    ],
)
def test_mistyped_parts_are_named(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        drafted(ordered(words))
    assert str(caught.value).startswith(message)


def test_two_options_of_one_part_go_together() -> None:
    given = said(ordered(["--inpaint", "blur=4", "--soft", "bias=2"]))
    assert given["inpaint"] == {"blur": "4", "soft": {"bias": "2"}}
    recipe = Recipe.make(**given)
    assert recipe.inpaint == Inpaint(blur=4, soft=SoftInpaint(bias=2))
    only_soft = Recipe.make(**said(ordered(["--soft", "on"])))
    assert only_soft.inpaint == Inpaint(soft=SoftInpaint())


def test_a_recipe_is_changed_by_what_is_said_alone(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "new.png")
    old = Recipe.make(
        prompt="a", steps=30, model="one", model_hash="ab" * 32, inpaint={"blur": 4, "soft": {"bias": 2}},
        init={"path": "old.png", "sha256": "0" * 64}, refiner={"model": "two", "model_hash": "cd" * 32},
    )  # fmt: skip
    new = changed(old, ordered(["--inpaint", "content=fill", "--soft", "contrast=2", "--steps", "5"]))
    assert new == old.but(
        steps=5, inpaint=Inpaint(blur=4, content="fill", soft=SoftInpaint(bias=2, contrast=2)).model_dump()
    )
    other = changed(old, ordered(["--model", "three", "--refiner", "four", "--init", str(tmp_path / "new.png")]))
    assert (other.model, other.model_hash) == ("three", None)
    assert other.refiner == Refiner(model="four")
    assert other.init == ImageRef.of(tmp_path / "new.png")
    assert changed(old, ordered(["--refiner", "off", "--inpaint", "off"])) == old.but(refiner=None, inpaint=None)
