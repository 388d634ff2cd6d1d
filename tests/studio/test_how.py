"""How it works: the steps of a picture can be pulled to and fro, words light up, variants lie side by side."""

import re

import pytest
from studio.waiting import expect, place, width
from studio.words import Words

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


@pytest.mark.parametrize(
    ("axis", "language", "labels"),
    [
        ("seed", "zh", ["7", "8", "9", "10"]),
        ("sampler", "en", ["Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE"]),
    ],
)
def test_seeds_and_samplers_lie_side_by_side(visit, axis: str, language: str, labels: list[str]) -> None:
    say = Words("how", language)
    page = visit("how", language=language)
    page.get_by_label(say("axis"), exact=True).select_option(axis)
    page.get_by_label(say("prompt"), exact=True).fill("a green frog")
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("2")
    page.get_by_role("spinbutton", name=say("seed"), exact=True).fill("7")
    page.get_by_role("button", name=say("show"), exact=True).click()
    expect(page.locator("figcaption b")).to_have_text(labels)
    pictures = page.locator(".pictures .mat > img")
    expect(pictures).to_have_count(4)
    expect(page.get_by_text(say("step", step=2, steps=2)).first).to_be_visible()
    assert len({pictures.nth(i).get_attribute("src") for i in range(4)}) == 4


def test_in_chinese(visit) -> None:
    say = Words("how", "zh")
    page = visit("how", language="zh")
    page.get_by_label("提示词", exact=True).fill("a red apple")
    page.get_by_role("spinbutton", name="步数", exact=True).fill("2")
    page.get_by_role("button", name="演示", exact=True).click()
    expect(page.get_by_text("第 2 步，共 2 步").first).to_be_visible()
    page.get_by_role("button", name="apple", exact=True).click()
    assert width(page.locator(".attention img").first) > 0
    expect(page.get_by_role("img", name=say("channel", n=1), exact=True)).to_be_visible()
    page.get_by_role("button", name=say("first"), exact=True).click()
    expect(page.get_by_text("第 1 步，共 2 步").first).to_be_visible()
