"""Sheets, lists of prompts and pictures made again, from the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.metadata import own
from fromnoise.engine.metadata.carrier import read_texts, save_picture

from .conftest import Run


@pytest.fixture
def quick(checkpoint: Path) -> list[object]:
    """Options for a small quick picture with the tiny model."""
    return ["--model", checkpoint, "--size", 64, "--steps", 2, "--seed", 7, "--dtype", "float32", "-q"]


def test_a_picture_is_verified(draw: Run, run: Run) -> None:
    [path] = draw("a cat", "--dtype", "float32").paths
    ran = run("verify", path)
    assert (ran.status, ran.out.splitlines()[0]) == (0, "identical: every pixel is what the recipe makes")
    image = Image.open(path)
    texts = own.texts(own.recipe_in(path))
    image.putpixel((3, 4), (1, 254, 1))
    save_picture(image, path, texts)
    ran = run("verify", path)
    assert ran.status == 1
    assert "edited" in ran.out
    assert "changed pixels: 1, between (3, 4) and (3, 4)" in ran.out


def test_a_picture_is_made_again(draw: Run, run: Run) -> None:
    [path] = draw("a cat", "--dtype", "float32").paths
    [again] = run("again", path, "--out", "again.png").paths
    assert Image.open(again).tobytes() == Image.open(path).tobytes()
    [other] = run("again", path, "--seed", 8, "--out", "other.png").paths
    assert own.recipe_in(other).seed == 8


def test_a_picture_of_another_tool_is_made_again(run: Run, folder: Path, checkpoint: Path) -> None:
    line = "Steps: 2, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64, Model hash: 1234567890, Model: gone, X: 1"
    save_picture(Image.new("RGB", (64, 64)), folder / "old.png", {"parameters": f"a cat\n{line}"})
    ran = run("again", "old.png")
    assert ran.status == 2
    assert "no model 'gone'" in ran.err
    ran = run("again", "old.png", "--model", checkpoint, "--out", "new.png")
    assert ran.status == 0
    assert "made by AUTOMATIC1111" in ran.err
    assert "not understood: X" in ran.err
    assert own.recipe_in(folder / "new.png").sampler == "euler_ancestral"


def test_a_grid(run: Run, folder: Path, quick: list[object]) -> None:
    ran = run("grid", "a cat", "--x", "steps=1-2", "--y", "Sampler=Euler, Heun", "--each", "--out", "g.png", *quick)
    assert [path.name for path in ran.paths] == ["g-1.png", "g-2.png", "g-3.png", "g-4.png", "g.png"]
    cells = [own.recipe_in(path) for path in ran.paths[:4]]
    assert [(cell.steps, cell.sampler) for cell in cells] == [(1, "euler"), (2, "euler"), (1, "heun"), (2, "heun")]
    sheet = np.asarray(Image.open(folder / "g.png"))
    for place, path in zip([(-128, -128), (-128, -64), (-64, -128), (-64, -64)], ran.paths[:4], strict=True):
        top, left = sheet.shape[0] + place[0], sheet.shape[1] + place[1]
        assert (sheet[top : top + 64, left : left + 64] == np.asarray(Image.open(path))).all()
    texts = read_texts(folder / "g.png")
    assert (
        'Script: X/Y/Z plot, X Type: Steps, X Values: 1-2, Y Type: Sampler, Y Values: "Euler, Heun"'
        in texts["parameters"]
    )
    assert "fromnoise" not in texts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an axis, such as --x"),
        (["--x", "steps"], "axis steps: write it as NAME=VALUES"),
        (["--x", "stepz=1"], "unknown axis 'stepz'; did you mean 'steps'"),
        (["--x", "steps=0-3"], "steps: input should be greater than or equal to 1"),
        (["--x", "prompt_sr=dog, fox"], "'dog' is neither in the prompt"),
    ],
)
def test_a_wrong_axis_fails_before_anything_is_loaded(
    run: Run, folder: Path, arguments: list[str], message: str
) -> None:
    ran = run("grid", "a cat", *arguments)
    assert ran.status == 2
    assert message in ran.err
    assert list(folder.iterdir()) == []


def test_a_matrix(run: Run, folder: Path, quick: list[object]) -> None:
    ran = run("matrix", "a cat|red|big", "--each", "--out", "m.png", *quick)
    prompts = [own.recipe_in(path).prompt for path in ran.paths[:-1]]
    assert prompts == ["a cat", "a cat, red", "a cat, big", "a cat, red, big"]


def test_prompts_from_a_file(run: Run, folder: Path, quick: list[object]) -> None:
    (folder / "prompts.txt").write_text('a cat\n--prompt "一只狗" --steps 1\n', "utf-8")
    ran = run("from-file", "prompts.txt", "--count-seeds", "--out", "p.png", *quick)
    recipes = [own.recipe_in(path) for path in ran.paths[:-1]]
    assert [(r.prompt, r.steps, r.seed) for r in recipes] == [("a cat", 2, 7), ("一只狗", 1, 8)]
    (folder / "prompts.txt").write_text("--stepz 5", "utf-8")
    assert "line 1: unknown option --stepz" in run("from-file", "prompts.txt", *quick).err
    assert run("from-file", "nowhere.txt", *quick).status == 2


def test_loopback(run: Run, folder: Path, quick: list[object]) -> None:
    Image.effect_noise((64, 64), 90).convert("RGB").save("start.png")
    ran = run("loopback", "a cat", "--init", "start.png", "--strength", 0.9, "--loops", 3, "--out", "l.png", *quick)
    turns = [own.recipe_in(path) for path in ran.paths[:-1]]
    assert [turn.init and turn.init.path for turn in turns] == ["start.png", "l-1.png", "l-2.png"]
    assert [turn.seed for turn in turns] == [7, 8, 9]
    assert [round(turn.strength, 3) for turn in turns] == [0.9, 0.617, 0.5]
    assert run("verify", "l-3.png").status == 0
