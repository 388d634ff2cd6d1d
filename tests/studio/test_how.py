"""How it works: the steps of a picture can be pulled to and fro, words light up, variants lie side by side."""

import re

import pytest
from studio.waiting import expect, place, width

pytestmark = pytest.mark.studio


def ask(page, prompt: str, steps: int = 6) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("spinbutton", name="Steps", exact=True).fill(str(steps))
    page.get_by_role("button", name="Show me", exact=True).click()


def test_steps_words_channels_and_the_curve_can_be_seen(visit) -> None:
    page = visit("how")
    ask(page, "a red apple")
    expect(page.get_by_text("Step 6 of 6").first).to_be_visible()
    shown = page.locator(".pictures .mat > img")
    assert width(shown) == 128
    last = shown.get_attribute("src")
    page.get_by_role("button", name="To the noise", exact=True).click()
    expect(page.get_by_text("Step 1 of 6").first).to_be_visible()
    expect(shown).not_to_have_attribute("src", last)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_text("Step 6 of 6").first).to_be_visible()
    page.get_by_role("button", name="apple", exact=True).click()
    assert width(page.locator(".attention img").first) > 0
    expect(page.get_by_role("img", name="Latent channel")).to_have_count(4)
    curve = page.get_by_role("img", name="The noise level falls")
    box = place(page, curve)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(page.get_by_text("Step 1 of 6").first).not_to_be_visible()
    page.get_by_text("What it takes for noise", exact=True).click()
    expect(shown).to_have_attribute("src", re.compile("/noise"))
    page.reload()
    expect(page.get_by_text("Step 6 of 6").first).to_be_visible()


def test_variants_lie_side_by_side(visit) -> None:
    page = visit("how")
    page.get_by_label("Side by side", exact=True).select_option("guidance_scale")
    ask(page, "a blue whale", steps=3)
    expect(page.locator(".pictures figure")).to_have_count(4)
    expect(page.locator(".pictures .mat > img")).to_have_count(4)
    expect(page.locator("figcaption b")).to_have_text([re.compile(rf"^\s*{scale}\b") for scale in (1, 2, 4, 8)])


def test_in_chinese(visit) -> None:
    page = visit("how", language="zh")
    page.get_by_label("提示词", exact=True).fill("一个红苹果")
    page.get_by_role("spinbutton", name="步数", exact=True).fill("2")
    page.get_by_role("button", name="演示", exact=True).click()
    expect(page.get_by_text("第 2 步，共 2 步").first).to_be_visible()
