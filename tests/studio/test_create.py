"""Create, from the first picture of an empty install on."""

import time

import pytest

pytestmark = pytest.mark.studio

WORDS = {"en": ("Prompt", "Generate", "Steps"), "zh": ("提示词", "生成", "步数")}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_is_made_within_ten_seconds_of_the_click(visit, language: str) -> None:
    prompt, generate, steps = WORDS[language]
    page = visit("create", language=language)
    words = "a red apple" if language == "en" else "一个红苹果"
    page.get_by_label(prompt, exact=True).fill(words)
    page.get_by_role("spinbutton", name=steps, exact=True).fill("8")
    began = time.monotonic()
    page.get_by_role("button", name=generate, exact=True).click()
    picture = page.locator(f".stage img:not(.early)[alt*='{words}']")
    picture.wait_for(timeout=60_000)
    took = time.monotonic() - began
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") == 128
    assert took < 10


def test_what_was_typed_and_what_runs_survive_a_reload(visit) -> None:
    page = visit("create")
    page.get_by_label("Prompt", exact=True).fill("a blue whale")
    page.get_by_role("spinbutton", name="Steps", exact=True).fill("60")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.locator(".stage [role=progressbar]").wait_for()
    page.reload()
    assert page.get_by_label("Prompt", exact=True).input_value() == "a blue whale"
    page.locator(".stage img:not(.early)").wait_for(timeout=30_000)


def test_a_mistake_is_told_with_its_remedy(visit) -> None:
    page = visit("create")
    page.get_by_label("Prompt", exact=True).fill("a cup")
    page.get_by_role("spinbutton", name="Width", exact=True).fill("100")
    page.get_by_role("button", name="Generate", exact=True).click()
    assert "not a multiple of 8" in page.get_by_role("alert").inner_text()
