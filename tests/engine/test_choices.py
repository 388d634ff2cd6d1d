"""Random choices in prompts are made by the seed and recorded."""

from pathlib import Path

from fromnoise.engine.choices import has_choices, with_choices_made
from fromnoise.engine.recipe import Recipe


def test_choices_follow_the_seed_and_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "colour.txt").write_text("red\ngreen\nblue\n")
    base = Recipe(prompt="a __colour__ {cat|dog}", negative="{fog|rain}")
    made = [with_choices_made(base.but(seed=seed), [tmp_path])[0] for seed in range(40)]
    assert made == [with_choices_made(base.but(seed=seed), [tmp_path])[0] for seed in range(40)]
    assert {one.prompt for one in made} == {f"a {c} {a}" for c in ("red", "green", "blue") for a in ("cat", "dog")}
    assert {one.negative for one in made} == {"fog", "rain"}
    assert all(with_choices_made(one, [tmp_path]) == (one, ()) for one in made)  # nothing is left to choose


def test_a_second_pass_chooses_as_the_first() -> None:
    recipe = Recipe.make(prompt="{a|b|c}", seed=5, hires={"prompt": "{a|b|c}", "strength": 0.5})
    made, _ = with_choices_made(recipe)
    assert made.hires is not None
    assert (made.hires.prompt, made.hires.negative, made.hires.strength) == (made.prompt, None, 0.5)
    assert made.prompt in ("a", "b", "c")


def test_unknown_wildcards_stay_and_are_told(tmp_path: Path) -> None:
    made, warnings = with_choices_made(Recipe(prompt="a __colour__ cat"), [tmp_path])
    assert made.prompt == "a __colour__ cat"
    assert [warning.position for warning in warnings] == [2]


def test_all_prompts_of_a_recipe_choose(tmp_path: Path) -> None:
    recipe = Recipe.make(
        prompt="{a|b}", inversion={"prompt": "{a|b}"}, regional={"regions": [{"prompt": "{a|b}"}, {"prompt": "x"}]}
    )
    assert has_choices(recipe)
    made, _ = with_choices_made(recipe)
    assert made.regional is not None
    assert made.inversion is not None
    told = {made.prompt, made.inversion.prompt, made.regional.regions[0].prompt}
    assert len(told) == 1
    assert told <= {"a", "b"}
    assert not has_choices(made)


def test_the_first_folder_that_has_a_list_is_taken(tmp_path: Path) -> None:
    for name, text in (("one", "red\n"), ("two", "blue\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "colour.txt").write_text(text)
    (tmp_path / "two" / "animal.txt").write_text("cat\n")
    recipe, folders = (
        Recipe(prompt="a __colour__ __animal__"),
        [tmp_path / "nowhere", tmp_path / "one", tmp_path / "two"],
    )
    assert with_choices_made(recipe, folders)[0].prompt == "a red cat"
