"""Models, extras, settings and the machine, each from end to end."""

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from studio.waiting import expect, settled, width

pytestmark = pytest.mark.studio

INERT = "<img src=x onerror=\"document.title='broken'\">"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_built_in_model_is_there_with_its_hashes(visit, language: str) -> None:
    page = visit("models", language=language)
    page.get_by_role("searchbox").fill("builtin")
    page.locator(".card", has_text="64 MB").first.click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_text("64 MB")).to_be_visible()
    expect(sheet.locator("dd").last).not_to_be_empty()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("nothing of this kind")
    page.get_by_text("Nothing matches" if language == "en" else "没有符合的模型").wait_for()


def test_what_is_written_in_a_picture_is_shown_and_inert(visit, tmp_path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("parameters", f"a cup {INERT}\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 64x64")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cup.png", pnginfo=note)
    page = visit("extras")
    page.locator("input[type=file]").set_input_files(tmp_path / "cup.png")
    page.get_by_text(f"a cup {INERT}").wait_for()
    expect(page.locator("main img[src=x]")).to_have_count(0)
    settled(page)
    assert page.title() != "broken"


def test_a_picture_is_enlarged(visit, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    page = visit("extras")
    page.locator("input[type=file]").set_input_files(tmp_path / "red.png")
    page.get_by_label("Upscaler", exact=True).select_option("Lanczos")
    page.get_by_role("button", name="Go", exact=True).click()
    result = page.locator("img.result")
    result.wait_for()
    assert width(result) == 80


def test_a_file_that_is_no_picture_is_refused_in_words(visit, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page = visit("extras")
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.png")
    expect(page.get_by_role("alert")).to_contain_text("picture")


def test_a_setting_is_found_changed_and_kept(visit) -> None:
    page = visit("settings")
    number = page.locator("input[type=number]").first
    number.wait_for()
    before = number.input_value()
    changed = str(int(float(before)) + 1)
    number.fill(changed)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved.").wait_for()
    page.reload()
    expect(page.locator("input[type=number]").first).to_have_value(changed)
    page.locator("input[type=number]").first.fill(before)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("searchbox").fill("nothing of this kind")
    page.get_by_text("No setting is called that").wait_for()


def test_the_machine_and_its_worker_are_told(visit) -> None:
    page = visit("machine")
    page.get_by_role("heading", name="Worker on cpu").wait_for()
    expect(page.get_by_text("sqlite").first).to_be_visible()
