"""Grids: what changes is chosen, counted, made through the queue in its places, and drawn on one sheet."""

import re
from pathlib import Path

import pytest
from studio.waiting import expect, settled, width
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

INERT = "<img src=x onerror=\"document.title='broken'\">"
WORDS = {
    "en": {"prompt": "Prompt", "width": "Width", "height": "Height", "x": "X: along the columns",
           "y": "Y: down the rows", "values": "Values", "tick": "Tick from the list", "go": "Make the grid",
           "sheet": "The sheet",
           "count": "4 pictures", "matrix": "Prompt matrix", "close": "Close", "loop": "Loopback", "loops": "Loops",
           "steps": "Steps: ", "sampler": "Sampler: "},
    "zh": {"prompt": "提示词", "width": "宽度", "height": "高度", "x": "X 轴：各列", "y": "Y 轴：各行",
           "values": "取值", "tick": "从列表中勾选", "go": "生成图表", "sheet": "大图",
           "count": "共 4 张图", "matrix": "提示词矩阵", "close": "关闭", "loop": "回送", "loops": "循环次数",
           "steps": "步数：", "sampler": "采样器："},
}  # fmt: skip


def small(page, say: dict[str, str], prompt: str) -> None:
    """A recipe that is soon made."""
    page.get_by_role("textbox", name=say["prompt"], exact=True).fill(prompt)
    for side in ("width", "height"):
        page.get_by_role("spinbutton", name=say[side], exact=True).fill("64")
    page.get_by_role("spinbutton", name=say[side], exact=True).press("Tab")


@LANGUAGES
def test_an_x_y_z_plot_fills_and_ends_in_a_sheet(visit, language: str) -> None:
    say = WORDS[language]
    page = visit("grids", language=language)
    small(page, say, f"a plotted apple {language}")
    x = page.get_by_role("group", name=say["x"], exact=True)
    x.get_by_role("combobox").select_option("steps")
    x.get_by_label(say["values"], exact=True).fill("2-4 (+2)")
    y = page.get_by_role("group", name=say["y"], exact=True)
    y.get_by_role("combobox").select_option("sampler")
    y.get_by_text(say["tick"]).click()
    y.get_by_label("Euler a", exact=True).check()
    y.get_by_label("LCM", exact=True).check()
    expect(y.get_by_label(say["values"], exact=True)).to_have_value("Euler a, LCM")
    told = Words("grids", language)
    page.locator("summary", has_text=told("seeds")).first.click()
    page.get_by_role("switch", name=told("vary.y"), exact=True).check()
    page.get_by_text(re.compile(say["count"])).first.wait_for()
    with page.expect_response("**/api/v1/grids") as answer:
        page.get_by_role("button", name=say["go"], exact=True).click()
    assert [cell["body"]["seed"] for cell in answer.value.json()["cells"]] == [1, 1, 2, 2]
    page.reload()  # in the middle of it
    expect(page.locator("button.cell")).to_have_count(4)
    expect(page.locator("thead th")).to_have_text([f"{say['steps']}2", f"{say['steps']}4"])
    expect(page.locator("tbody th")).to_have_text([f"{say['sampler']}Euler a", f"{say['sampler']}LCM"])
    sheet = page.locator("figure img")
    sheet.wait_for()
    assert width(sheet) > 2 * 64
    page.locator("button.cell").nth(3).click()
    expect(page.get_by_role("dialog").get_by_text("lcm")).to_be_visible()
    page.keyboard.press("Escape")
    page.reload()  # the server keeps it all
    expect(page.locator("button.cell")).to_have_count(4)
    sheet.wait_for()


@LANGUAGES
def test_mistakes_are_told_while_they_are_typed(visit, language: str) -> None:
    say = WORDS[language]
    page = visit("grids", language=language)
    x = page.get_by_role("group", name=say["x"], exact=True)
    x.get_by_role("combobox").select_option("steps")
    x.get_by_label(say["values"], exact=True).fill("many")
    told = {"en": "'many' is neither a number nor a range", "zh": "'many' 既不是数字，也不是"}[language]
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.get_by_role("button", name=say["go"], exact=True)).to_be_disabled()
    page.get_by_role("button", name="X / Y", exact=True).click()
    y = page.get_by_role("group", name=say["y"], exact=True)
    expect(y.get_by_label(say["values"], exact=True)).to_have_value("many")
    expect(page.get_by_role("alert")).to_contain_text(told)


@LANGUAGES
def test_a_prompt_matrix_is_made(visit, language: str) -> None:
    say = WORDS[language]
    page = visit("grids", language=language)
    page.get_by_text(say["matrix"], exact=True).click()
    small(page, say, "a city|at night|in rain")
    page.get_by_role("spinbutton", name={"en": "Steps", "zh": "步数"}[language], exact=True).fill("2")
    page.get_by_text(re.compile(say["count"])).first.wait_for()
    page.keyboard.press("Control+Enter")
    page.locator("thead th", has_text="at night").wait_for()
    expect(page.locator("button.cell")).to_have_count(4)
    page.get_by_role("spinbutton", name=Words("grids", language)("steps"), exact=True).fill("5000")
    page.keyboard.press("Control+Enter")
    page.locator(".cell .bar").first.wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".cell.cancelled")).to_have_count(4)


@LANGUAGES
def test_prompts_are_read_from_a_file_and_are_inert(visit, tmp_path: Path, language: str) -> None:
    told = Words("grids", language)
    (tmp_path / "prompts.txt").write_text(f'a first line {INERT}\n--prompt "a second line" --steps 3\n', "utf-8")
    page = visit("grids", language=language)
    page.get_by_text(told("kind.lines"), exact=True).click()
    small(page, WORDS[language], "")
    page.get_by_role("spinbutton", name=told("steps"), exact=True).fill("3")
    page.locator("input[accept^='.txt']").set_input_files(tmp_path / "prompts.txt")
    page.get_by_text(re.compile(told("plan", n=2))).first.wait_for()
    page.get_by_role("button", name=told("go"), exact=True).click()
    page.locator("thead th", has_text="a second line").wait_for()
    expect(page.locator("main img[src=x]")).to_have_count(0)
    expect(page.locator("button.cell")).to_have_count(2)
    settled(page)
    assert page.title() != "broken"


@LANGUAGES
def test_loopback_is_one_job_whose_pictures_follow_each_other(visit, language: str) -> None:
    page = visit("grids", language=language, size=(390, 844))
    say, told = WORDS[language], Words("grids", language)
    page.get_by_text(say["loop"], exact=True).click()
    small(page, say, "a looped leaf")
    page.get_by_role("spinbutton", name=told("steps"), exact=True).fill("3")
    page.get_by_role("spinbutton", name=say["loops"], exact=True).fill("2")
    page.get_by_role("spinbutton", name=say["loops"], exact=True).press("Tab")
    page.get_by_text(re.compile(told("plan", n=2))).first.wait_for()
    page.get_by_role("button", name=say["go"], exact=True).click()
    expect(page.locator("button.cell")).to_have_count(2)
    page.locator("figure img").wait_for()
