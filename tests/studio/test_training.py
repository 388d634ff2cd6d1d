"""Training in the studio, from pictures to a LoRA in the prompt: a data set made, described, cleaned, learnt from."""

import uuid
from pathlib import Path

import pytest
from PIL import Image
from studio.waiting import PATIENCE, expect
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

INERT = "<img src=x onerror=\"document.title='broken'\">"
SAY = {
    "en": {
        "new": "A new data set", "make": "Make it", "count": "3 pictures", "caption": "Caption of red.png",
        "this": "This tag", "becomes": "becomes (empty: goes)", "change": "Change all",
        "changed": "2 captions changed", "examine": "Examine", "twice": "1 more than once",
        "small": "Too small below, in pixels",
        "aside": "Set aside", "two": "2 pictures", "learn": "Learn from it", "name": "Name", "steps": "Steps",
        "resolution": "Resolution", "rank": "Rank", "start": "Start training", "use": "Use it",
        "prompt": "Prompt", "loss": "Loss",
    },
    "zh": {
        "new": "新建数据集", "make": "创建", "count": "3 张图", "caption": "red.png 的标注", "this": "把标签",
        "becomes": "改为（留空则删除）", "change": "全部修改", "changed": "修改了 2 条标注", "examine": "检查",
        "twice": "重复 1 张",
        "small": "小于多少像素算太小", "aside": "移出", "two": "2 张图", "learn": "用它训练", "name": "名称",
        "steps": "步数", "resolution": "分辨率", "rank": "秩 (rank)", "start": "开始训练", "use": "立即使用",
        "prompt": "提示词", "loss": "损失",
    },
}  # fmt: skip


def made(visit, tmp_path: Path, language: str, name: str):
    """A page with a new data set of three pictures, two of them alike."""
    say = SAY[language]
    for stem, colour in (("red", "red"), ("blue", "blue"), ("red again", "red")):
        look = Image.radial_gradient("L") if colour == "red" else Image.linear_gradient("L")  # not alike in the least
        look.resize((64, 64)).convert("RGB").save(tmp_path / f"{stem}.png")
        (tmp_path / f"{stem}.txt").write_text(f"dot, {colour}", "utf-8")
    page = visit("training", language=language)
    page.get_by_label(say["new"]).fill(name)
    page.get_by_role("button", name=say["make"]).click()
    page.locator("input[type=file]").set_input_files(sorted(tmp_path.iterdir()))
    expect(page.locator(".pictures li")).to_have_count(3)
    return page


@LANGUAGES
def test_pictures_are_described_and_cleaned(visit, axe, tmp_path: Path, language: str) -> None:
    say, name = SAY[language], f"dots {language} {uuid.uuid4().hex[:4]}"
    page = made(visit, tmp_path, language, name)
    assert axe(page) == []
    caption = page.get_by_label(say["caption"])
    expect(caption).to_have_value("dot, red")
    caption.fill(f"dot, red, {INERT}")
    caption.press("Tab")
    page.locator(".tags button", has_text="onerror").wait_for()
    expect(page.locator("main img[src=x]")).to_have_count(0)

    page.get_by_label(say["this"], exact=True).fill("red")
    page.get_by_label(say["becomes"], exact=True).fill("crimson")
    page.get_by_role("button", name=say["change"]).click()
    page.get_by_text(say["changed"]).wait_for()
    expect(caption).to_have_value(f"dot, crimson, {INERT}")
    page.get_by_role("spinbutton", name=say["small"], exact=True).fill("32")  # what is small is not compared
    page.get_by_role("button", name=say["examine"], exact=True).click()
    page.get_by_text(say["twice"]).wait_for()
    page.get_by_role("button", name=say["aside"], exact=True).last.click()
    expect(page.locator(".pictures li")).to_have_count(2)
    page.get_by_role("button", name=say["learn"]).click()
    called = page.get_by_label(say["name"], exact=True)
    expect(called).to_have_value(name)  # as the data set is, until another is given
    called.fill("")
    expect(page.get_by_role("button", name=say["start"])).to_be_disabled()
    called.fill(name)
    expect(page.get_by_role("button", name=say["start"])).to_be_enabled()
    assert page.title() != "broken"


def test_what_was_learnt_is_in_the_prompt(visit, tmp_path: Path) -> None:
    """As little as can be learnt; in one language, for every step of it takes long."""
    say, name = SAY["en"], f"dots {uuid.uuid4().hex[:4]}"
    page = made(visit, tmp_path, "en", name)
    page.get_by_role("button", name=say["learn"]).click()
    page.get_by_label(say["name"], exact=True).fill(name)
    for field, value in (("steps", "1"), ("resolution", "64"), ("rank", "1")):
        page.get_by_role("spinbutton", name=say[field], exact=True).fill(value)
        page.get_by_role("spinbutton", name=say[field], exact=True).press("Tab")
    with page.expect_response("**/api/v1/errands"):
        page.get_by_label(say["name"], exact=True).press("Enter")
    page.reload()  # in the middle of it
    page.get_by_text(Words("training", "en")("view.runs"), exact=True).first.click()
    page.get_by_role("button", name=say["use"]).click(timeout=2000 * PATIENCE)
    prompt = page.get_by_role("textbox", name=say["prompt"], exact=True)
    expect(prompt).to_have_value(f"<lora:{name}:1>")


@LANGUAGES
def test_every_setting_is_there_with_its_sentence_and_found_by_kohyas_name(visit, language: str) -> None:
    say = Words("training", language)
    page = visit("training", language=language)
    page.get_by_text(say("view.new"), exact=True).click()
    page.get_by_text(say("everything"), exact=True).click()
    page.get_by_role("searchbox", name=say("everything.search"), exact=True).fill("reg_data_dir")
    sentence = {
        "en": "Pictures of the class in general, to keep them.",
        "zh": "同类的一般图片（正则化图片），用来保住模型原有的认识。",
    }[language]
    page.get_by_text(sentence).wait_for()
    expect(page.locator("details details .field, details details .switch")).to_have_count(1)
