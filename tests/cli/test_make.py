"""Pictures from the command line: what they are called, what is printed, what is in them."""

import re
import threading
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.cli import make
from fromnoise.cli.drafting import IMG2IMG_STRENGTH, sides
from fromnoise.cli.make import Observer
from fromnoise.engine import library
from fromnoise.engine.fitting import native_size, size_of
from fromnoise.engine.generate import generate
from fromnoise.engine.memory import place
from fromnoise.engine.metadata import own
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.recipe_guidance import Outpaint
from fromnoise.errors import FileError, UserError

from .conftest import Run, everything

TODAY = re.compile(r"\d{4}-\d\d-\d\d")


def pixels(path: Path) -> bytes:
    return Image.open(path).tobytes()


def test_a_prompt_makes_a_picture_and_prints_its_path_alone_on_stdout(draw: Run, folder: Path) -> None:
    ran = draw("a Red apple, (shiny:1.2)!")
    [path] = ran.paths
    assert ran.status == 0
    assert TODAY.sub("DATE", str(path)) == "outputs/DATE-7-a-red-apple-shiny-1-2.png"
    assert path.name.startswith(date.today().isoformat()[:4])
    assert Image.open(path).size == (64, 64)
    assert everything(folder / "outputs") == [folder / path]


def test_the_picture_is_what_the_engine_makes_of_the_recipe_in_it(draw: Run, checkpoint: Path) -> None:
    [path] = draw("a cat", "--negative", "dog", "--guidance", 3, "--sampler", "Euler a", "--schedule", "Karras").paths
    recipe = own.recipe_in(path)
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.steps) == ("a cat", "dog", 7, 2)
    assert (recipe.guidance_scale, recipe.sampler, recipe.schedule) == (3, "euler_ancestral", "karras")
    [again] = generate(library.load(str(checkpoint), place("cpu")), [recipe])
    assert again.image.tobytes() == pixels(path)


def test_every_option_reaches_the_recipe(draw: Run, folder: Path) -> None:
    Image.new("RGB", (64, 64), "red").save("start.png")
    Image.new("L", (64, 64), "white").save("mask.png")
    ran = draw("x", "--clip-skip", 2, "--init", "start.png", "--mask", "mask.png", "--strength", 0.5, "--size", "72x64",
               "--dtype", "bfloat16", "--device", "cpu")  # fmt: skip
    recipe = own.recipe_in(ran.paths[0])
    assert (recipe.clip_skip, recipe.strength, recipe.width, recipe.height) == (2, 0.5, 72, 64)
    assert recipe.init is not None
    assert recipe.mask is not None
    assert (recipe.init.path, recipe.mask.path, recipe.dtype) == ("start.png", "mask.png", "bfloat16")


def test_a_start_picture_gives_the_shape_and_a_common_strength(draw: Run, folder: Path, checkpoint: Path) -> None:
    Image.new("RGB", (300, 150), "red").save("start.png")
    ran = draw("x", "--init", "start.png", "--size", "64")
    assert own.recipe_in(ran.paths[0]).strength == IMG2IMG_STRENGTH
    assert native_size((300, 150), 512) == (728, 360)


@pytest.mark.parametrize(("shape", "side"), [((300, 150), 512), ((3, 4000), 128), ((512, 512), 512), ((99, 101), 1024)])
def test_native_size_keeps_area_and_proportions(shape: tuple[int, int], side: int) -> None:
    width, height = native_size(shape, side)
    assert width % 8 == height % 8 == 0
    if min(width, height) > 64:
        assert width * height == pytest.approx(side * side, rel=0.05)
        assert width / height == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_without_a_size_or_guidance_the_models_own_are_taken(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Recipe] = []

    def fake(model: library.Model, recipes: list[Recipe], refiner: None, watch: Observer) -> list[object]:
        seen.extend(recipes)
        return []

    monkeypatch.setattr(make, "generate", fake)
    assert run("x", "--model", checkpoint).status == 0
    [recipe] = seen
    defaults = library.load(str(checkpoint), place("cpu")).defaults
    assert (recipe.width, recipe.height, recipe.guidance_scale) == (defaults.size, defaults.size, 7.0) == (512, 512, 7)


def test_outpainting_makes_the_canvas_as_large_as_it_grows(draw: Run, folder: Path) -> None:
    Image.effect_noise((40, 51), 90).convert("RGB").save("start.png")
    [path] = draw("x", "--init", "start.png", "--size", "64x56").paths
    assert Image.open(path).size == (64, 56)
    options = ("--init", "start.png", "--outpaint", "left=8, right=16, feather=8")
    recipe = Recipe.make(init=ImageRef.of(Path("start.png")).model_dump(), outpaint={"left": 8, "right": 16})
    assert size_of(recipe, 512) == (64, 48)
    [path] = draw("x", *options, "--size", "64x48").paths
    assert own.recipe_in(path).outpaint == Outpaint(left=8, right=16, feather=8)


def test_nothing_is_overwritten(draw: Run) -> None:
    paths = [draw("a cat").paths[0] for _ in range(3)]
    assert [TODAY.sub("DATE", path.name) for path in paths] == [
        "DATE-7-a-cat.png",
        "DATE-7-a-cat-2.png",
        "DATE-7-a-cat-3.png",
    ]
    assert len({pixels(path) for path in paths}) == 1


def test_a_named_file_is_overwritten_and_a_folder_is_filled(draw: Run, folder: Path) -> None:
    (folder / "cat.png").write_text("old")
    assert draw("a cat", "--out", "cat.png").paths == [Path("cat.png")]
    assert Image.open("cat.png").size == (64, 64)
    assert draw("a cat", "--out", "new/deep/cat").paths == [Path("new/deep/cat.png")]
    [path] = draw("a cat", "--out", "shelf/").paths
    assert path.parent == Path("shelf")
    [path] = draw("a cat", "--out", "shelf").paths
    assert path.parent == Path("shelf")


def test_a_batch_counts_seeds_up_and_equals_single_pictures(draw: Run) -> None:
    batch = draw("a cat", "--batch", 5, "--seed", MAX_SEED - 1).paths
    assert [own.recipe_in(path).seed for path in batch] == [MAX_SEED - 1, MAX_SEED, 0, 1, 2]
    [alone] = draw("a cat", "--seed", 1, "--out", "alone.png").paths
    [together, single] = (Image.open(path) for path in (batch[3], alone))
    assert max(abs(a - b) for a, b in zip(together.tobytes(), single.tobytes(), strict=True)) <= 1


def test_a_batch_numbers_a_named_file(draw: Run) -> None:
    assert draw("a cat", "--batch", 2, "--out", "cat.png").paths == [Path("cat-1.png"), Path("cat-2.png")]


def test_random_seeds_differ_and_are_printed(draw: Run) -> None:
    first, second = draw("a cat", "--seed", -1), draw("a cat", "--seed", -1)
    seeds = [own.recipe_in(ran.paths[0]).seed for ran in (first, second)]
    assert seeds[0] != seeds[1]
    assert f"seed {seeds[0]}," in first.err


def test_progress_is_a_few_lines_where_there_is_no_terminal(draw: Run) -> None:
    lines = draw("a cat", "--steps", 40).err.splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split(",")[0] for line in steps] == ["step 10/40", "step 20/40", "step 30/40", "step 40/40"]
    assert len(lines) == 7


def test_quiet_prints_the_path_and_nothing_else(draw: Run) -> None:
    ran = draw("a cat", "--quiet")
    assert (ran.err, len(ran.paths)) == ("", 1)


def test_pictures_are_written_while_others_are_drawn_and_what_fails_is_told(
    draw: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, threads = make.save_png, []

    def failing(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            raise FileError(f"{path}: can't be written (No space left on device); choose another place with --out")
        save(image, path, texts)

    monkeypatch.setattr(make, "save_png", failing)
    ran = draw("a cat", "--batch", 3)
    assert ran.status != 0
    assert "No space left on device" in ran.last
    assert len(threads) == 3
    assert threading.main_thread() not in threads
    assert [path.name.split("-")[3] for path in ran.paths] == ["7", "9"], "the third was finished, too"
    assert everything(folder / "outputs") == sorted(folder / path for path in ran.paths)


def test_watch_writes_a_contact_sheet_beside_the_picture(draw: Run) -> None:
    [path] = draw("a cat", "--watch", "--steps", 5, "--out", "cat.png").paths
    sheet = Image.open("cat-watch.png")
    assert sheet.width > 2 * 64
    assert path == Path("cat.png")
    assert own.recipe_in(Path("cat-watch.png")).prompt == "a cat"
    last_tile = sheet.crop((192, sheet.height - 192, 384, sheet.height))  # of 5 in a 3 x 2 grid
    whole = Image.open(path).resize((192, 192), Image.Resampling.LANCZOS)
    difference = sum(abs(a - b) for a, b in zip(last_tile.tobytes(), whole.tobytes(), strict=True)) / (192 * 192 * 3)
    assert difference < 2  # the last prediction is the picture


def test_a_contact_sheet_overwrites_no_picture(draw: Run) -> None:
    [watch] = draw("a watch").paths
    before = watch.read_bytes()
    [a] = draw("a", "--watch").paths
    assert watch.name == f"{a.stem}-watch.png"
    assert watch.read_bytes() == before
    assert a.with_name(f"{a.stem}-watch-2.png").is_file()


@pytest.mark.parametrize("prompt", ["", "-1", "--seed", "info", "一只猫", "../../etc", "a\nb", "x" * 300])
def test_any_prompt_can_be_made(draw: Run, run: Run, checkpoint: Path, folder: Path, prompt: str) -> None:
    ran = run("make", "--model", checkpoint, "--size", 64, "--steps", 1, "--", prompt)
    assert ran.status == 0
    [path] = ran.paths
    assert path.parent == Path("outputs")
    assert own.recipe_in(path).prompt == prompt


@pytest.mark.parametrize(
    ("text", "size"), [("512x768", (512, 768)), ("64", (64, 64)), (" 8 X 16 ", (8, 16)), ("8×16", (8, 16))]
)
def test_sizes_are_understood(text: str, size: tuple[int, int]) -> None:
    assert sides(text) == size


@pytest.mark.parametrize("text", ["", "x", "512x", "x512", "-8x8", "8x8x8", "8.5x8", "big", "1234567"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="512x768"):
        sides(text)
