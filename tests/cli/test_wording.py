"""Styles and choices on the command line: recipes hold the prompts as they came to be."""

import shlex
from pathlib import Path

import pytest

from fromnoise.engine.metadata import own

from .conftest import Run


def in_files(folder: Path) -> None:
    (folder / "wildcards").mkdir()
    (folder / "wildcards" / "colour.txt").write_text("red\ngreen\nblue\n")
    (folder / "styles.csv").write_text(
        'name,prompt,negative_prompt\nfilm,"photo of {prompt}, grain",blurry\nink,ink drawing,\n', "utf-8-sig"
    )


def test_each_picture_of_a_batch_chooses_by_its_seed_and_records_it(draw: Run, folder: Path) -> None:
    in_files(folder)
    paths = draw("a __colour__ {cat|dog}", "--batch", 6, "--steps", 1).paths
    prompts = [own.recipe_in(path).prompt for path in paths]
    assert len(set(prompts)) > 1
    assert {prompt.split()[1] for prompt in prompts} <= {"red", "green", "blue"}
    [again] = draw("a __colour__ {cat|dog}", "--seed", 9, "--steps", 1).paths
    assert own.recipe_in(again).prompt == prompts[2]


def test_styles_are_merged_as_automatic1111_merges_them(draw: Run, run: Run, folder: Path) -> None:
    in_files(folder)
    ran = draw("a cat", "--negative", "dog", "--style", "film", "--style", "ink", "--steps", 1)
    recipe = own.recipe_in(ran.paths[0])
    assert (recipe.prompt, recipe.negative) == ("photo of a cat, grain, ink drawing", "dog, blurry")
    (folder / "mine.csv").write_text("name,text\nx,shiny\n")
    ran = draw("a cat", "--style", "x", "--styles", "mine.csv", "--steps", 1)
    assert own.recipe_in(ran.paths[0]).prompt == "a cat, shiny"
    assert "unknown style 'filn'; did you mean 'film'" in draw("a cat", "--style", "filn").err


def test_what_can_not_be_chosen_is_told_and_stays(draw: Run, folder: Path) -> None:
    ran = draw("a __fog__ {cat", "--steps", 1)
    assert "note: no wildcard is called 'fog': read as text" in ran.err
    assert own.recipe_in(ran.paths[0]).prompt == "a __fog__ {cat"


def test_prompts_can_be_taken_as_they_are_written(draw: Run, run: Run, folder: Path) -> None:
    in_files(folder)
    [path] = draw("{a|b} __colour__", "--as-written", "--steps", 1).paths
    assert own.recipe_in(path).prompt == "{a|b} __colour__"
    command = run("info", path).out.rstrip("\n").split("to make it again:\n")[1]
    [again] = run(*shlex.split(command)[1:]).paths
    assert own.recipe_in(again) == own.recipe_in(path)


def test_again_chooses_only_in_a_new_prompt(draw: Run, run: Run, folder: Path) -> None:
    [path] = draw("{a|b}", "--as-written", "--steps", 1).paths
    assert own.recipe_in(run("again", path).paths[0]).prompt == "{a|b}"
    assert own.recipe_in(run("again", path, "--prompt", "{c|c}").paths[0]).prompt == "c"


def test_sheets_choose_too(run: Run, checkpoint: Path, folder: Path) -> None:
    in_files(folder)
    ran = run(
        "grid", "a __colour__ cat", "--x", "seed=1-3", "--model", checkpoint, "--size", 64, "--steps", 1, "--each"
    )
    assert {own.recipe_in(path).prompt for path in ran.paths[:-1]} <= {f"a {c} cat" for c in ("red", "green", "blue")}


def test_what_is_odd_in_a_prompt_is_told_with_its_place(
    draw: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = draw("a (red apple", "--negative", "blurry]", "--steps", 1, "--batch", 2)
    assert len(ran.paths) == 2
    lines = [line for line in ran.err.splitlines() if line.startswith("note: ")]
    assert lines == [
        "note: prompt, character 3, 'a (red apple': '(' is not closed: it acts to the end of the prompt",
        "note: negative, character 7, 'blurry]': ']' closes nothing: read as text",
    ]
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    assert "prompt 第 3 个字符 'a (red apple'：'(' 没有配对，作用到提示词末尾" in draw("a (red apple", "--steps", 1).err
