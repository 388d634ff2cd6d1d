"""Many recipes from one, in AUTOMATIC1111's syntax, and the sheet of their pictures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from fromnoise.engine.axis_values import integers, numbers, words
from fromnoise.engine.recipe import MAX_SEED, ImageRef, Recipe
from fromnoise.engine.sheets import fonts
from fromnoise.engine.sheets.axes import AXES, points_of
from fromnoise.engine.sheets.drawing import draw_grid, draw_sheet, missing_characters, wrapped
from fromnoise.engine.sheets.grids import matrix, split_bars, xyz
from fromnoise.engine.sheets.lists import following, from_lines, loopback
from fromnoise.errors import UnknownName, UserError

BASE = Recipe(prompt="a red cat on a mat", negative="bad red", seed=5, width=64, height=64)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1, 5,9", [1, 5, 9]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-5 (+2)", [1, 3, 5]),
        ("10-5 (-3)", [10, 7]),
        ("5-1", [5, 4, 3, 2, 1]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("-2--1, 7", [-2, -1, 7]),
        ("3", [3]),
        ("18446744073709551615", [MAX_SEED]),
    ],
)
def test_whole_numbers(text: str, expected: list[int]) -> None:
    assert integers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-1 (+0.25)", [0, 0.25, 0.5, 0.75, 1]),
        ("0-1 [5]", [0, 0.25, 0.5, 0.75, 1]),
        ("0.1-0.3 (+0.1)", [0.1, 0.2, 0.3]),
        (".5, 1e1", [0.5, 10]),
        ("1-0 (-.5)", [1, 0.5, 0]),
    ],
)
def test_numbers(text: str, expected: list[float]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1-5 (-1)", "a step of -1 does not lead from 1 to 5"),
        ("1-5 (+0)", "a step of 0"),
        ("1-99999", "99999 values; at most 1000"),
        ("1-2 [5000]", "a range has 1 to 1000 values"),
        ("two", "'two' is neither a number nor a range"),
        ("nan", "'nan' is neither"),
        ("1.5", "1.5 is not a whole number"),
        (",".join(["1"] * 1001), "1001 values"),
    ],
)
def test_bad_values_say_why(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        integers(text)
    assert message in str(caught.value)


@given(st.text(alphabet="0123456789-+.()[] ,e", max_size=20))
def test_any_values_end_in_numbers_or_a_message(text: str) -> None:
    try:
        assert len(numbers(text)) <= 1000
    except UserError:
        return


def test_quotes_keep_commas() -> None:
    assert words('a cat, "a dog, sitting", b') == ["a cat", "a dog, sitting", "b"]


def test_a_plot_has_every_combination_in_order() -> None:
    grid = xyz(BASE, ("steps", "10-20 (+10)"), ("Sampler", "Euler a, DPM++ 2M Karras"), ("CFG Scale", "1.5, 7, 9"))
    assert grid.columns == ("Steps: 10", "Steps: 20")
    assert grid.rows == ("Sampler: Euler a", "Sampler: DPM++ 2M Karras")
    assert grid.layers == ("CFG Scale: 1.5", "CFG Scale: 7", "CFG Scale: 9")
    cell = grid.cells[grid.index(2, 1, 0)]
    assert (cell.steps, cell.sampler, cell.schedule, cell.guidance_scale, cell.seed) == (10, "dpmpp_2m", "karras", 9, 5)
    assert len({(c.steps, c.sampler, c.guidance_scale) for c in grid.cells}) == 12


@pytest.mark.parametrize(
    ("axis", "values", "field", "expected"),
    [
        ("Seed", "1-3", "seed", [1, 2, 3]),
        ("Checkpoint name", "a, b", "model", ["a", "b"]),
        ("Schedule type", "Karras, Automatic, beta", "schedule", ["karras", None, "beta"]),
        ("Clip skip", "1-2", "clip_skip", [1, 2]),
        ("Denoising", "0-1 [3]", "strength", [0, 0.5, 1]),
        ("Size", "64x128, 128×64", "width", [64, 128]),
        ("Eta", "0, 1", "sampler_options", [{"eta": 0.0}, {"eta": 1.0}]),
        ("Prompt S/R", "red, blue", "prompt", ["a red cat on a mat", "a blue cat on a mat"]),
        ("prompt_sr", "red, x", "negative", ["bad red", "bad x"]),
        ("Prompt order", "cat, mat", "prompt", ["a red cat on a mat", "a red mat on a cat"]),
        ("nothing", "", "seed", [5]),
        ("height", "64-80 (+8)", "height", [64, 72, 80]),
    ],
)  # fmt: skip
def test_axes(axis: str, values: str, field: str, expected: list[object]) -> None:
    assert [getattr(cell, field) for cell in xyz(BASE, (axis, values)).cells] == expected


def test_every_plain_field_of_a_recipe_is_an_axis() -> None:
    plain = {
        "seed",
        "width",
        "height",
        "steps",
        "guidance_scale",
        "clip_skip",
        "strength",
        "image_guidance_scale",
        "model",
    }
    assert plain <= set(AXES)


@pytest.mark.parametrize(
    ("axis", "values", "message"),
    [
        ("Prompt S/R", "dog, cat", "'dog' is neither in the prompt nor in the negative prompt"),
        ("Prompt order", "cat, dog", "'dog' is not in the prompt"),
        ("Prompt order", "a cat, cat", "'a cat' is not in the prompt"),
        ("Prompt order", "red cat, cat", "the words overlap"),
        ("Prompt order", "a,b,c,d,e,f,g", "too many orders"),
        ("Steps", "0", "steps: input should be greater than or equal to 1"),
        ("Steps", "", "axis Steps has no values"),
        ("Size", "big", "'big' is no size"),
        ("Sampler", "eulr", "did you mean 'euler'"),
        ("Seed", "-2", "seed: input should be greater"),
    ],
)
def test_bad_axes_say_why(axis: str, values: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        xyz(BASE, (axis, values))
    assert message in str(caught.value)


def test_unknown_axes_are_named() -> None:
    with pytest.raises(UnknownName, match="unknown axis 'stepz'; did you mean 'steps'"):
        points_of("stepz", "1")


def test_too_many_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="1000000 pictures"):
        xyz(BASE, ("seed", "1-1000"), ("steps", "1-1000"))


def test_models_are_loaded_one_after_the_other() -> None:
    grid = xyz(BASE, ("model", "a, b"), ("seed", "1-3"))
    order = [grid.cells[i].model for i in grid.by_model()]
    assert order == ["a"] * 3 + ["b"] * 3
    assert sorted(grid.by_model()) == list(range(6))


def test_a_matrix_has_every_choice() -> None:
    grid = matrix(BASE.but(prompt="a city|night |in rain|[blue|green]"))
    assert grid.columns == ("-", "night", "in rain", "night + in rain")
    assert grid.rows == ("-", "[blue|green]")
    assert [cell.prompt for cell in grid.cells] == [
        "a city", "a city, night", "a city, in rain", "a city, night, in rain", "a city, [blue|green]",
        "a city, night, [blue|green]", "a city, in rain, [blue|green]", "a city, night, in rain, [blue|green]",
    ]  # fmt: skip
    assert {cell.seed for cell in grid.cells} == {5}


def test_a_matrix_of_the_negative_prompt_at_the_start_with_seeds() -> None:
    grid = matrix(BASE.but(negative="x|y"), side="negative", at_start=True, delimiter=" ", different_seeds=True)
    assert [(cell.negative, cell.seed) for cell in grid.cells] == [("x", 5), ("y x", 6)]
    with pytest.raises(UserError, match="the prompt has no parts"):
        matrix(BASE)
    with pytest.raises(UserError, match="11 parts make 2048 pictures"):
        matrix(BASE.but(prompt="|x" * 11))


def test_bars_in_brackets_belong_to_the_prompt() -> None:
    assert split_bars(r"a|[b|c]|{d|e} \| f|(g|h) ]|i") == ["a", "[b|c]", r"{d|e} \| f", "(g|h) ]", "i"]


def test_prompts_from_a_file() -> None:
    text = """a dog

    --prompt "a bird, -- flying" --negative_prompt ugly words --steps 7 --cfg_scale 3.5 --sampler_name "DPM++ 2M Karras"
    --prompt fish --seed 100 --n_iter 2 --batch_size 2 --width 128 --outpath_samples x --do_not_save_grid
    """
    first, bird, *fish = from_lines(BASE, text)
    assert first == BASE.but(prompt="a dog")
    assert bird == BASE.but(prompt="a bird, -- flying", negative="ugly words", steps=7, guidance_scale=3.5,
                            sampler="dpmpp_2m", schedule="karras")  # fmt: skip
    assert [(f.prompt, f.seed, f.width) for f in fish] == [("fish", 100 + i, 128) for i in range(4)]


def test_lines_go_where_they_are_told_to() -> None:
    assert [r.prompt for r in from_lines(BASE.but(prompt="x"), "a\nb", position="start")] == ["a x", "b x"]
    assert [r.prompt for r in from_lines(BASE.but(prompt="x"), "a\nb", position="end")] == ["x a", "x b"]
    assert [r.seed for r in from_lines(BASE, "a\nb\nc", count_seeds=True)] == [5, 6, 7]
    assert from_lines(BASE, "--prompt a --seed -1")[0].seed == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n--promt b", "line 2: unknown option --promt"),
        ('--prompt "b', "line 1: a quote is not closed"),
        ("--steps", "line 1: --steps needs a value"),
        ("--steps many", "line 1: steps: input should be a valid integer"),
        ("--n_iter 0", "line 1: --n_iter 0: give a number from 1"),
        ("--sampler_name eulr", "line 1: unknown sampler 'eulr'"),
        ("--n_iter 1000 --batch_size 2", "line 1: 2000 pictures of one line"),
        (" \n", "there are no prompts"),
    ],
)
def test_bad_lines_are_numbered(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        from_lines(BASE, text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("curve", "middle"), [("aggressive", 0.5 + 0.5 * 2**-0.5), ("linear", 0.75), ("lazy", 1 - 0.5 * 2**-0.5)]
)
def test_loopback_strengths(curve: str, middle: float) -> None:
    turns = loopback(BASE.but(strength=0.5, seed=MAX_SEED), 3, 1.0, curve)  # type: ignore[arg-type]
    assert [turn.seed for turn in turns] == [MAX_SEED, 0, 1]
    assert [turn.strength for turn in turns] == pytest.approx([0.5, middle, 1.0])


def test_loopback_goes_on_from_the_picture_before(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert following(BASE, tmp_path / "a.png").init == ImageRef.of(tmp_path / "a.png")
    with pytest.raises(UserError, match="0 loops"):
        loopback(BASE, 0)


def colours(count: int, size: tuple[int, int] = (96, 64)) -> list[Image.Image]:
    return [Image.new("RGB", size, (10 * i + 5, 200, 255 - 10 * i)) for i in range(count)]


def test_every_picture_is_whole_on_the_sheet() -> None:
    images = colours(6)
    sheet = np.asarray(draw_sheet(images, ("a", "b", "c"), ("x", "y"), title="all", margin=3))
    places = [tuple(np.argwhere((sheet == image.getpixel((0, 0))).all(axis=2))[[0, -1]].ravel()) for image in images]
    for top, left, bottom, right in places:
        assert (bottom - top + 1, right - left + 1) == (64, 96)
    assert len({place[0] for place in places}) == 2
    assert [place[1] - places[0][1] for place in places[:3]] == [0, 99, 198]


def test_labels_leave_ink() -> None:
    sheet = np.asarray(draw_sheet(colours(2), ("Steps: 10", "Steps: 20"), ("Euler",)).convert("L"))
    head, side = sheet[: sheet.shape[0] - 64], sheet[-64:, :60]
    assert (head < 100).sum() > 30
    assert (side < 100).sum() > 10
    bare = draw_sheet(colours(2), ("", ""))
    assert bare.size == (192, 64)


def test_small_pictures_stand_in_the_middle() -> None:
    small, large = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (60, 50), "blue")
    sheet = np.asarray(draw_sheet([small, large], ("", "")))
    (top, left), (bottom, right) = np.argwhere((sheet == (255, 0, 0)).all(axis=2))[[0, -1]]
    assert (top, left, bottom, right) == (20, 20, 29, 39)


def test_layers_stand_side_by_side() -> None:
    grid = xyz(BASE, ("seed", "1-2"), None, ("steps", "1-3"))
    wide, one = draw_grid(grid, colours(6)), draw_grid(xyz(BASE, ("seed", "1-2")), colours(2))
    assert wide.width > 3 * one.width - 1
    assert wide.height > one.height


def test_seeds_of_cells() -> None:
    varied = xyz(BASE, ("steps", "1-2"), None, ("CFG Scale", "1-2"), vary_seeds="xz")
    assert [cell.seed - BASE.seed for cell in varied.cells] == [0, 1, 2, 3]
    assert len({cell.seed for cell in xyz(BASE, ("steps", "1-4"), any_seeds=True).cells}) == 4
    assert [cell.seed for cell in xyz(BASE, ("Seed", "5, 6"), any_seeds=True).cells] == [5, 6]
    first, second = xyz(BASE, ("Seed", "-1, -1")).cells
    assert min(first.seed, second.seed) >= 0
    assert first.seed != second.seed


def test_a_sheet_that_is_too_large_is_refused() -> None:
    with pytest.raises(UserError, match="too large"):
        draw_sheet(colours(2000, (1024, 1024)), ("",) * 2000)


def test_long_labels_are_broken_and_cut() -> None:
    font = ImageFont.load_default(12)
    lines = wrapped("a very long label of many words " * 20, font, 100)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 120 for line in lines)
    assert len(wrapped("一只红色的猫坐在垫子上看着窗外的雨", font, 60)) > 1


def test_characters_without_a_font_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    assert missing_characters(["Steps: 10", "- + …"]) == ""
    assert missing_characters(["一只猫 cat"]) == "一只猫"
    assert draw_sheet(colours(1), ("一只猫",)).height > 64


def test_chinese_is_drawn_with_a_font_of_the_system() -> None:
    if missing_characters(["一只猫"]):
        pytest.skip("this system has no font with Chinese characters")
    sheets = [np.asarray(draw_sheet(colours(1), (text,))) for text in ("一只猫", "两条狗")]
    assert (sheets[0] != sheets[1]).any()


def test_a_font_of_the_system_fills_in_for_letters_that_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    assert missing_characters(["é Ж"]) != ""
    monkeypatch.undo()
    if not any("DejaVuSans." in path.name for path in fonts.system_fonts()):
        pytest.skip("this system has no DejaVu Sans")
    assert missing_characters(["é Ж"]) == ""


def test_fonts_are_chosen_by_preference(tmp_path: Path) -> None:
    for name in ("SimSun.TTC", "other.ttf", "noto/NotoSansCJK-Regular.ttc", "wqy-zenhei.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.name for path in fonts.candidates([tmp_path, tmp_path / "nowhere"])]
    assert found == ["NotoSansCJK-Regular.ttc", "SimSun.TTC"]
    assert Path("C:/Windows/Fonts") in fonts.folders({}, "win32")
    assert Path("/usr/share/fonts") in fonts.folders({}, "linux")
    assert Path("/System/Library/Fonts") in fonts.folders({}, "darwin")


def test_the_given_font_is_used(tmp_path: Path) -> None:
    default = ImageFont.load_default(12)
    assert isinstance(default, ImageFont.FreeTypeFont)
    default.path.seek(0)  # type: ignore[union-attr]
    (tmp_path / "own.ttf").write_bytes(default.path.read())  # type: ignore[union-attr]
    font = fonts.font_for("一只猫", 12, tmp_path / "own.ttf")
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getname() == default.getname()
    assert missing_characters(["一只猫"], tmp_path / "own.ttf") == "一只猫"
