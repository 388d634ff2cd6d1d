"""Create's lists: controls, image prompts, regions on a board, networks as cards; and all other fields."""

import json
import urllib.request

import pytest
from studio.test_create import png, shown, start
from studio.waiting import PATIENCE, expect, place, until, width

pytestmark = pytest.mark.studio

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


@pytest.mark.parametrize("language", ["en", "zh"])
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


def test_entries_are_put_aside_copied_moved_and_removed(visit) -> None:
    page = visit("create")
    unfold(page, "Image prompts")
    for _ in range(2):
        page.get_by_role("button", name="Add an image prompt").click()
    expect(page.locator(".entry")).to_have_count(2)
    page.locator(".entry").nth(0).get_by_role("spinbutton", name="Weight", exact=True).fill("0.4")
    page.locator(".entry").nth(0).get_by_role("spinbutton", name="Weight", exact=True).press("Tab")
    page.locator(".entry").nth(0).get_by_role("button", name="More for").click()
    page.get_by_role("menuitem", name="One place down").click()
    weights = [page.locator(".entry").nth(i).get_by_role("spinbutton", name="Weight", exact=True) for i in (0, 1)]
    for one, value in zip(weights, ("1", "0.4"), strict=True):
        expect(one).to_have_value(value)
    for i in (0, 1):
        page.locator(".entry").nth(i).get_by_role("checkbox").first.uncheck()
    start(page, "nothing is asked of them", steps=2)
    shown(page, "nothing is asked of them")
    assert not asked(page, "nothing is asked of them").get("image_prompts")
    page.reload()
    unfold(page, "Image prompts")
    expect(page.locator(".entry")).to_have_count(2)  # they are still there
    for _ in range(2):
        page.locator(".entry").first.get_by_role("button", name="More for").click()
        page.get_by_role("menuitem", name="Remove it").click()
    expect(page.locator(".entry")).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "zh"])
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


def test_a_card_puts_a_network_into_the_prompt_with_a_slider(visit, server) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder = server.models / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{which}.weight": np.zeros(shape, np.float32)
               for which, shape in (("down", (2, 8)), ("up", (8, 2)))}  # fmt: skip
    save_file(tensors, str(folder / "brushwork.safetensors"))
    request = urllib.request.Request(server.address + "/api/v1/models/refresh", b"", method="POST")
    urllib.request.urlopen(request, timeout=PATIENCE).read()
    page = visit("create")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a crane")
    unfold(page, "LoRA, embeddings")
    page.get_by_role("button", name="Choose from cards").click()
    page.get_by_role("dialog").get_by_role("button", name="brushwork").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="brushwork")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(prompt).to_have_value("a crane, <lora:brushwork:1>")
    strength = page.get_by_role("spinbutton", name="brushwork", exact=True)
    strength.fill("0.65")
    strength.press("Tab")
    expect(prompt).to_have_value("a crane, <lora:brushwork:0.65>")
    page.get_by_role("button", name="More settings for brushwork").click()
    expect(prompt).to_have_value("a crane")
    expect(page.get_by_role("spinbutton", name="Strength", exact=True)).to_have_value("0.65")
    page.get_by_role("button", name="More for").click()
    page.get_by_role("menuitem", name="Remove it").click()
    (folder / "brushwork.safetensors").unlink()


@pytest.mark.parametrize("language", ["en", "zh"])
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


def test_a_recipe_is_pasted_as_text_and_taken_back(visit) -> None:
    page = visit("create")
    prompt = page.get_by_label("Prompt", exact=True)
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
    page.get_by_text("The recipe was taken over").wait_for()
    expect(prompt).to_have_value("a castle")
    expect(page.get_by_role("spinbutton", name="Steps", exact=True)).to_have_value("7")
    page.get_by_role("button", name="Back to what was here before").click()
    expect(prompt).to_have_value("what was there")
    prompt.fill(text)
    page.get_by_role("button", name="Take the recipe of the prompt box").click()
    page.get_by_label("Negative prompt", exact=True).and_(page.locator("textarea")).wait_for()
    expect(prompt).to_have_value("a castle")


def test_generating_goes_on_until_it_is_stopped_and_prompts_are_remembered(visit) -> None:
    page = visit("create")
    page.get_by_label("Prompt", exact=True).fill("one after the other")
    page.get_by_role("spinbutton", name="Steps", exact=True).fill("1")
    page.get_by_role("button", name="Generate forever").click()
    made = page.locator(".strip button[aria-label*='one after the other']")
    made.nth(2).wait_for()
    page.get_by_role("button", name="Generate forever").click()
    expect(page.get_by_role("button", name="Generate forever")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".stage")).to_have_attribute("aria-busy", "false")
    page.get_by_label("Prompt", exact=True).fill("something else")
    page.get_by_role("button", name="Prompts of before", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="one after the other", exact=True).click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("one after the other")


def test_a_result_is_sent_on(visit) -> None:
    page = visit("create")
    start(page, "a result", steps=2, seed="3")
    shown(page, "a result")
    page.get_by_role("button", name="Send it to").click()
    page.get_by_role("menuitem", name="ControlNet").click()
    unfold(page, "ControlNet")
    page.locator(".entry .place img").wait_for()
    page.get_by_role("button", name="Send it to").click()
    page.get_by_role("menuitem", name="Second pass").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("3")
    expect(page.get_by_role("switch", name="Second pass (hires. fix)")).to_be_checked()
    page.get_by_role("button", name="Send it to").click()
    page.get_by_role("menuitem", name="Extras").click()
    page.locator(".extras figure img").wait_for()


def test_a_dropped_picture_of_a_field_is_not_read_for_its_recipe(visit) -> None:
    page = visit("create")
    unfold(page, "Image prompts")
    page.get_by_role("button", name="Add an image prompt").click()
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


@pytest.mark.parametrize("language", ["en", "zh"])
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
            const draft = JSON.parse(localStorage.getItem('fromnoise.draft'))
            draft.recipe.boxes = [{ x: 0, y: 0, width: 32, height: 32, text: 'a moon' }]
            draft.recipe.gligen = { model: 'some', start: 0, end: 1 }
            localStorage.setItem('fromnoise.draft', JSON.stringify(draft))
        }"""
    )
    page.reload()
    unfold(page, words[0])
    board = page.get_by_role("group", name=words[2])
    expect(page.get_by_label(words[3], exact=True)).to_have_value("a moon")
    rect = board.locator(".rect")
    rect.focus()
    rect.press("Shift+ArrowRight")
    until(page, lambda: page.evaluate("JSON.parse(localStorage.getItem('fromnoise.draft')).recipe.boxes[0].width") > 32)
