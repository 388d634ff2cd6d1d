"""Random choices in prompts are made by the seed and recorded."""

from pathlib import Path

from fromnoise.engine.choices import with_choices_made
from fromnoise.engine.recipe import Recipe


def test_choices_follow_the_seed_and_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "colour.txt").write_text("red\ngreen\nblue\n")
    base = Recipe(prompt="a __colour__ {cat|dog}", negative="{fog|rain}")
    made = [with_choices_made(base.but(seed=seed), tmp_path)[0] for seed in range(40)]
    assert made == [with_choices_made(base.but(seed=seed), tmp_path)[0] for seed in range(40)]
    assert {one.prompt for one in made} == {f"a {c} {a}" for c in ("red", "green", "blue") for a in ("cat", "dog")}
    assert {one.negative for one in made} == {"fog", "rain"}
    assert all(with_choices_made(one, tmp_path) == (one, ()) for one in made)  # nothing is left to choose


def test_a_second_pass_chooses_as_the_first() -> None:
    recipe = Recipe.make(prompt="{a|b|c}", seed=5, hires={"prompt": "{a|b|c}", "strength": 0.5})
    made, _ = with_choices_made(recipe)
    assert made.hires is not None
    assert (made.hires.prompt, made.hires.negative, made.hires.strength) == (made.prompt, None, 0.5)
    assert made.prompt in ("a", "b", "c")


def test_unknown_wildcards_stay_and_are_told(tmp_path: Path) -> None:
    made, warnings = with_choices_made(Recipe(prompt="a __colour__ cat"), tmp_path)
    assert made.prompt == "a __colour__ cat"
    assert [warning.position for warning in warnings] == [2]
