"""What a recipe leaves to its model."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.fitting import fitted
from fromnoise.engine.library import Defaults
from fromnoise.engine.recipe import OPEN, ImageRef, Recipe
from fromnoise.errors import UserError

QUICK = Defaults(1024, 1.0, 4, "lcm")
PLAIN = Defaults(768)


def test_only_what_was_not_said_is_filled_in() -> None:
    assert fitted(Recipe.make(prompt="a"), QUICK) == Recipe.make(
        prompt="a", width=1024, height=1024, guidance_scale=1.0, steps=4, sampler="lcm"
    )
    said = Recipe.make(prompt="a", width=64, height=72, guidance_scale=7.0, steps=20, sampler="dpmpp_2m")
    assert fitted(said, QUICK) == said
    assert not said.unsaid
    assert fitted(Recipe.make(steps=3, width=64), QUICK) == Recipe.make(
        steps=3, width=64, height=1024, guidance_scale=1.0, sampler="lcm"
    )
    options = {"eta": 0.5}
    assert fitted(Recipe.make(sampler_options=options), QUICK).sampler == "dpmpp_2m"


def test_a_model_without_wishes_leaves_what_the_door_had_in_mind() -> None:
    door = Recipe.make(steps=50, sampler="euler", width=64, height=64).leaving(("steps", "sampler"))
    assert fitted(door, PLAIN) == Recipe.make(steps=50, sampler="euler", width=64, height=64)
    assert (fitted(door, QUICK).steps, fitted(door, QUICK).width) == (4, 64)
    assert not fitted(door, PLAIN).unsaid


def test_what_is_left_open_survives_changes_and_json() -> None:
    door = Recipe.make(steps=50).leaving(OPEN)
    assert door.but(prompt="x").unsaid == frozenset(OPEN)
    assert door.but(steps=50).unsaid == frozenset(OPEN) - {"steps"}
    again = Recipe.from_table(door.to_table())
    assert (again, again.unsaid, again.steps) == (door, door.unsaid, 50)
    whole = fitted(door, PLAIN)
    assert Recipe.from_table(whole.to_table()).unsaid == frozenset()
    with pytest.raises(UserError, match="steps"):
        Recipe.from_table({"steps": 0})


def test_a_start_picture_gives_the_proportions(tmp_path: Path) -> None:
    Image.new("RGB", (300, 150)).save(tmp_path / "start.png")
    start = ImageRef.of(tmp_path / "start.png").model_dump()
    recipe = fitted(Recipe.make(init=start), Defaults(512))
    assert (recipe.width, recipe.height) == (728, 360)
