"""Create's lists: controls, image prompts, regions on a board, networks as cards; and all other fields."""

import json
import os
import shutil
import urllib.request

import pytest
from studio.test_create import png, shown, start
from studio.waiting import PATIENCE, equals, expect, place, until, width
from studio.words import Words, field

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

WORDS = {
    "en": {"add": "Add a control", "preview": "Preview of the hint", "preprocessor": "Preprocessor",
           "regions": "Regions",
           "board": "The picture; drag to draw a region", "region": "What is in region 1", "prompt": "Prompt",
           "more": "Everything else", "search": "Search the settings", "seamless": "Seamless (tiling)"},
    "zh": {"add": "添加一个控制", "preview": "预览提示图", "preprocessor": "预处理器", "regions": "分区提示词",
           "board": "画面；拖动可画出区域", "region": "区域 1 里有什么", "prompt": "提示词",
           "more": "其他全部参数", "search": "搜索参数", "seamless": "无缝平铺"},
}  # fmt: skip


def asked(page, prompt: str) -> dict:
    """The recipe of the newest order with a prompt."""
    origin = page.evaluate("location.origin")
    bodies = [job["body"] for job in json.load(urllib.request.urlopen(f"{origin}/api/v1/jobs?limit=50"))["jobs"]]
    return next(body for body in bodies if body.get("prompt") == prompt)


def unfold(page, name: str) -> None:
    page.locator("summary", has_text=name).first.click()


def file_of(data: bytes) -> dict:
    return {"name": "a.png", "mimeType": "image/png", "buffer": data}


@LANGUAGES
def test_a_control_has_its_picture_and_a_preview_of_the_hint(visit, language: str) -> None:
    words = WORDS[language]
    page = visit("create", language=language)
    unfold(page, "ControlNet")
    page.get_by_role("button", name=words["add"], exact=True).click()
    entry = page.locator(".entry")
    entry.locator("input[type=file]").first.set_input_files(file_of(png()))
    entry.locator(".place img").wait_for()
    entry.get_by_label(words["preprocessor"], exact=True).select_option("canny")
    entry.get_by_role("button", name=words["preview"], exact=True).click()
    entry.locator("img.hint").wait_for()
    assert width(entry.locator("img.hint")) >= 128
    entry.get_by_label(words["preprocessor"], exact=True).select_option("reference_only")
    start(page, f"a red disc {language}", language=language, steps=4)
    shown(page, f"a red disc {language}")
    (control,) = asked(page, f"a red disc {language}")["controls"]
    assert control["preprocessor"] == "reference_only"
    assert len(control["image"]["sha256"]) == 64


@LANGUAGES
def test_entries_are_put_aside_copied_moved_and_removed(visit, language: str) -> None:
    say, told = Words("create", language), Words("forms", language)
    prompt = f"nothing is asked of them {language}"
    page = visit("create", language=language)
    entries = page.locator(".entry")

    def weight(i: int):
        return entries.nth(i).get_by_role("spinbutton", name=field("image_prompts[].weight", language), exact=True)

    def do(i: int, deed: str) -> None:
        entries.nth(i).get_by_role("button", name=say("entry.more", name="").strip()).click()
        page.get_by_role("menuitem", name=deed, exact=True).click()

    unfold(page, field("image_prompts", language))
    page.get_by_role("button", name=say("image-prompts.add"), exact=True).click()
    entries.locator("input[type=file]").first.set_input_files(file_of(png()))
    entries.locator(".place img").wait_for()
    do(0, say("entry.copy"))
    expect(entries.locator(".place img")).to_have_count(2)
    weight(0).fill("0.4")
    weight(0).press("Tab")
    do(0, told("later"))
    for i, value in enumerate(("1", "0.4")):
        expect(weight(i)).to_have_value(value)
    for i in (0, 1):
        entries.nth(i).get_by_role("checkbox").first.uncheck()
    start(page, prompt, steps=2, language=language)
    shown(page, prompt)
    assert not asked(page, prompt).get("image_prompts")
    page.reload()
    unfold(page, field("image_prompts", language))
    expect(entries).to_have_count(2)  # they are still there
    for left in (1, 0):
        do(0, say("entry.remove"))
        expect(entries).to_have_count(left)


@LANGUAGES
def test_a_region_is_drawn_on_the_board(visit, language: str) -> None:
    words = WORDS[language]
    page = visit("create", language=language)
    unfold(page, words["regions"])
    board = page.get_by_role("group", name=words["board"])
    box = place(page, board)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.75, steps=4)
    page.mouse.up()
    page.get_by_label(words["region"], exact=True).fill("a moon")
    rect = page.locator(".board .rect").first
    rect.focus()
    rect.press("ArrowLeft")
    page.get_by_label(words["prompt"], exact=True).fill(f"the sky at night {language}")
    start(page, f"the sky at night {language}", language=language, steps=4)
    shown(page, f"the sky at night {language}")
    (region,) = asked(page, f"the sky at night {language}")["regional"]["regions"]
    assert region["prompt"] == "a moon"
    assert [region[name] for name in ("left", "top", "width", "height")] == pytest.approx(
        [0.48, 0.25, 0.4, 0.5], abs=0.02
    )


@LANGUAGES
def test_a_card_puts_a_network_into_the_prompt_with_a_slider(visit, server, language: str) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder = server.models / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{which}.weight": np.zeros(shape, np.float32)
               for which, shape in (("down", (2, 8)), ("up", (8, 2)))}  # fmt: skip
    say, shell, name = Words("create", language), Words("shell", language), f"brushwork-{language}"
    below, older = f"ink-{language}", f"ink-{language}/wash-{language}"
    save_file(tensors, str(folder / f"{name}.safetensors"))
    (folder / below).mkdir(exist_ok=True)
    save_file(tensors, str(folder / f"{older}.safetensors"))
    os.utime(folder / f"{older}.safetensors", (1, 1))
    request = urllib.request.Request(server.address + "/api/v1/models/refresh", b"", method="POST")
    urllib.request.urlopen(request, timeout=PATIENCE).read()
    page = visit("create", language=language)
    prompt = page.get_by_label(say("prompt"), exact=True)
    prompt.fill("a crane")
    unfold(page, say("networks"))
    page.get_by_role("button", name=say("networks.add"), exact=True).click()
    sheet = page.get_by_role("dialog")

    def order() -> list[str]:
        return [text for text in sheet.locator(".cards b").all_inner_texts() if text in (name, older)]

    equals(page, order, [name, older])
    sheet.get_by_label(shell("shelf.sort"), exact=True).select_option("changed")
    equals(page, order, [older, name])
    sheet.get_by_role("button", name=shell("shelf.down"), exact=True).click()
    equals(page, order, [name, older])
    sheet.get_by_role("group", name=shell("shelf.folders"), exact=True).get_by_role("button", name=below).click()
    expect(sheet.locator(".cards b")).to_have_text([older])
    sheet.get_by_role("searchbox").fill(name)
    expect(sheet.get_by_text(say("networks.unfound"), exact=True)).to_be_visible()
    sheet.get_by_role("button", name=shell("shelf.all"), exact=True).click()
    expect(sheet.locator(".cards b")).to_have_text([name])
    card = sheet.get_by_role("button", name=name)
    card.click()
    expect(card).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(prompt).to_have_value(f"a crane, <lora:{name}:1>")
    strength = page.get_by_role("spinbutton", name=name, exact=True)
    strength.fill("0.65")
    strength.press("Tab")
    expect(prompt).to_have_value(f"a crane, <lora:{name}:0.65>")
    page.get_by_role("button", name=say("networks.refine", name=name), exact=True).click()
    expect(prompt).to_have_value("a crane")
    strength = page.get_by_role("spinbutton", name=field("networks[].strength", language), exact=True)
    expect(strength).to_have_value("0.65")
    page.get_by_role("button", name=say("entry.more", name=f"1 {name}"), exact=True).click()
    page.get_by_role("menuitem", name=say("entry.remove"), exact=True).click()
    expect(strength).to_have_count(0)
    prompt.fill(f"a crane, <lora:wash-{language}:1>")
    expect(page.get_by_role("spinbutton", name=f"wash-{language}", exact=True)).to_be_visible()
    expect(page.get_by_text(say("networks.missing"), exact=True)).to_have_count(0)
    (folder / f"{name}.safetensors").unlink()
    shutil.rmtree(folder / below)


@LANGUAGES
def test_all_other_fields_are_found_by_their_names(visit, axe, language: str) -> None:
    words = WORDS[language]
    page = visit("create", language=language)
    unfold(page, words["more"])
    for search in ("tiling", "平铺"):
        page.get_by_role("searchbox", name=words["search"]).fill(search)
        page.get_by_role("switch", name=words["seamless"]).wait_for()
    page.get_by_role("searchbox", name=words["search"]).fill("")
    assert axe(page) == []
    fields = page.locator("details[open] .field > .head label, details[open] .switch label")
    expect(fields.nth(19)).to_be_attached()
    if language == "zh":
        names = [
            name for name in fields.all_inner_texts() if not any("\u4e00" <= letter <= "\u9fff" for letter in name)
        ]
        assert [name for name in names if name not in ("FreeU", "ControlNet")] == []


@LANGUAGES
def test_a_recipe_is_pasted_as_text_and_taken_back(visit, language: str) -> None:
    say = Words("create", language)
    page = visit("create", language=language)
    prompt = page.get_by_label(say("prompt"), exact=True)
    prompt.fill("what was there")
    text = "a castle\nNegative prompt: people\nSteps: 7, Sampler: Euler a, CFG scale: 5, Seed: 11, Size: 128x128"
    page.evaluate(
        """text => {
            const clipboardData = new DataTransfer()
            clipboardData.setData('text/plain', text)
            const pasted = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })
            document.activeElement.dispatchEvent(pasted)
        }""",
        text,
    )
    page.get_by_text(say("paste.taken")).wait_for()
    expect(prompt).to_have_value("a castle")
    expect(page.get_by_role("spinbutton", name=say("steps"), exact=True)).to_have_value("7")
    page.get_by_role("button", name=say("restore"), exact=True).click()
    expect(prompt).to_have_value("what was there")
    prompt.fill(text)
    page.get_by_role("button", name=say("paste"), exact=True).click()
    expect(page.get_by_label(say("negative"), exact=True)).to_have_value("people")
    expect(prompt).to_have_value("a castle")


@LANGUAGES
def test_generating_goes_on_until_it_is_stopped_and_prompts_are_remembered(visit, language: str) -> None:
    say, words = Words("create", language), f"one after the other {language}"
    page = visit("create", language=language)
    prompt = page.get_by_label(say("prompt"), exact=True)
    prompt.fill(words)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("1")
    forever = page.get_by_role("button", name=say("forever"), exact=True)
    forever.click()
    made = page.locator(f".strip button[aria-label*='{words}']")
    made.nth(2).wait_for()
    forever.click()
    expect(forever).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".stage")).to_have_attribute("aria-busy", "false")
    prompt.fill("something else")
    page.get_by_role("button", name=say("history"), exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=words, exact=True).click()
    expect(prompt).to_have_value(words)


@LANGUAGES
def test_a_result_is_sent_on(visit, language: str) -> None:
    say = Words("create", language)
    page = visit("create", language=language)
    start(page, f"a result {language}", steps=2, seed="3", language=language)
    shown(page, f"a result {language}")

    def send(to: str) -> None:
        page.get_by_role("button", name=say("deed.send"), exact=True).click()
        page.get_by_role("menuitem", name=to, exact=True).click()

    send(field("controls", language))
    unfold(page, field("controls", language))
    page.locator(".entry .place img").wait_for()
    send(say("deed.hires"))
    expect(page.get_by_label(say("seed"), exact=True)).to_have_value("3")
    expect(page.get_by_role("switch", name=say("hires"), exact=True)).to_be_checked()
    send(say("deed.extras"))
    page.locator(".extras figure img").wait_for()


@LANGUAGES
def test_a_dropped_picture_of_a_field_is_not_read_for_its_recipe(visit, language: str) -> None:
    page = visit("create", language=language)
    unfold(page, field("image_prompts", language))
    page.get_by_role("button", name=Words("create", language)("image-prompts.add"), exact=True).click()
    data = list(png())
    page.locator(".entry .place").first.evaluate(
        """(place, bytes) => {
            const dataTransfer = new DataTransfer()
            dataTransfer.items.add(new File([new Uint8Array(bytes)], 'a.png', { type: 'image/png' }))
            place.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
        }""",
        data,
    )
    page.locator(".entry .place img").wait_for()
    expect(page.get_by_role("dialog")).to_have_count(0)


@LANGUAGES
def test_boxes_are_drawn_where_there_is_a_gligen_model(visit, server, language: str) -> None:
    """Without one the page says where it belongs; what is drawn is sent in pixels."""
    words = {
        "en": ("Boxes (GLIGEN)", "No GLIGEN model yet", "The picture; drag to draw a box", "What is in box 1"),
        "zh": ("方框（GLIGEN）", "还没有 GLIGEN 模型", "画面；拖动可画出方框", "方框 1 里有什么"),
    }[language]
    page = visit("create", language=language)
    unfold(page, words[0])
    page.get_by_text(words[1]).wait_for()
    page.locator("textarea").first.fill("night")  # from now on there is a draft
    page.evaluate(
        """() => {
            const draft = JSON.parse(sessionStorage.getItem('fromnoise.draft'))
            draft.recipe.boxes = [{ x: 0, y: 0, width: 32, height: 32, text: 'a moon' }]
            draft.recipe.gligen = { model: 'some', start: 0, end: 1 }
            sessionStorage.setItem('fromnoise.draft', JSON.stringify(draft))
        }"""
    )
    page.reload()
    unfold(page, words[0])
    board = page.get_by_role("group", name=words[2])
    expect(page.get_by_label(words[3], exact=True)).to_have_value("a moon")
    rect = board.locator(".rect")
    rect.focus()
    rect.press("Shift+ArrowRight")
    kept = "JSON.parse(sessionStorage.getItem('fromnoise.draft')).recipe.boxes[0]"
    until(page, lambda: page.evaluate(f"{kept}.width") > 32)
