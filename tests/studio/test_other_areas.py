"""Models, extras, settings and the machine, each from end to end."""

import re
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from studio.waiting import expect, settled, width
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

INERT = "<img src=x onerror=\"document.title='broken'\">"


@LANGUAGES
def test_the_built_in_model_is_there_with_its_hashes(visit, language: str) -> None:
    page = visit("models", language=language)
    page.get_by_role("searchbox").fill("builtin")
    page.locator(".card", has_text="64 MB").first.click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_text("64 MB")).to_be_visible()
    expect(sheet.locator("dd").last).not_to_be_empty()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("nothing of this kind")
    page.get_by_text(Words("models", language)("empty.found"), exact=True).wait_for()


@LANGUAGES
def test_what_is_written_in_a_picture_is_shown_and_inert_and_it_is_enlarged(
    visit, tmp_path: Path, language: str
) -> None:
    say = Words("extras", language)
    note = PngImagePlugin.PngInfo()
    note.add_text("parameters", f"a cup {INERT}\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 64x64")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cup.png", pnginfo=note)
    page = visit("extras", language=language)
    page.locator("input[type=file]").set_input_files(tmp_path / "cup.png")
    page.get_by_text(f"a cup {INERT}").wait_for()
    expect(page.locator("main img[src=x]")).to_have_count(0)
    settled(page)
    assert page.title() != "broken"
    page.get_by_label(say("upscaler"), exact=True).select_option("Lanczos")
    page.get_by_role("button", name=say("go"), exact=True).click()
    result = page.locator(".result img")
    result.wait_for()
    assert width(result) == 128


@LANGUAGES
def test_a_file_that_is_no_picture_is_refused_in_words(visit, tmp_path: Path, language: str) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page = visit("extras", language=language)
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.png")
    expect(page.get_by_role("alert")).to_contain_text({"en": "picture", "zh": "图片"}[language])


@LANGUAGES
def test_a_setting_is_found_changed_and_kept(visit, language: str) -> None:
    say = Words("settings", language)
    page = visit("settings", language=language)
    number = page.locator("input[type=number]").first
    number.wait_for()
    before = number.input_value()
    changed = str(int(float(before)) + 1)
    number.fill(changed)
    shell = Words("shell", language)
    page.locator("nav a[href='#/queue']").first.click()
    page.get_by_role("dialog", name=shell("leaving")).get_by_role("button", name=shell("sheet.stay")).click()
    expect(page).to_have_url(re.compile("#/settings$"))
    expect(number).to_have_value(changed)
    save = page.get_by_role("button", name=say("save"), exact=True)
    save.click()
    page.get_by_text(say("saved"), exact=True).wait_for()
    page.reload()
    expect(page.locator("input[type=number]").first).to_have_value(changed)
    page.locator("input[type=number]").first.fill(before)
    save.click()
    page.get_by_text(say("saved"), exact=True).wait_for()
    page.get_by_role("searchbox").fill("nothing of this kind")
    page.get_by_text(say("none"), exact=True).wait_for()
