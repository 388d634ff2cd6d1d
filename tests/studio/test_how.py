"""How it works: the steps of a picture can be pulled to and fro, words light up, variants lie side by side."""

import re

import pytest
from studio.waiting import expect, place, width
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def ask(page, say: Words, prompt: str, steps: int) -> None:
    page.get_by_label(say("prompt"), exact=True).fill(prompt)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill(str(steps))
    page.get_by_role("button", name=say("show"), exact=True).click()


@LANGUAGES
def test_steps_words_channels_and_the_curve_can_be_seen(visit, axe, language: str) -> None:
    say, steps = Words("how", language), 5
    page = visit("how", language=language)

    def at(step: int):
        return page.get_by_text(say("step", step=step, steps=steps), exact=True).first

    ask(page, say, "a red apple", steps)
    expect(at(steps)).to_be_visible()
    shown = page.locator(".pictures .mat > img")
    assert width(shown) == 128
    assert axe(page) == []
    last = shown.get_attribute("src")
    page.get_by_role("button", name=say("first"), exact=True).click()
    expect(at(1)).to_be_visible()
    expect(shown).not_to_have_attribute("src", last)
    page.get_by_role("button", name=say("play"), exact=True).click()
    expect(at(steps)).to_be_visible()
    page.get_by_role("button", name="apple", exact=True).click()
    assert width(page.locator(".attention img").first) > 0
    for channel in range(1, 5):
        expect(page.get_by_role("img", name=say("channel", n=channel), exact=True)).to_be_visible()
    page.get_by_role("button", name=say("first"), exact=True).click()
    expect(at(1)).to_be_visible()
    curve = page.get_by_role("img", name=say("curve.alt").partition("{")[0].rstrip())
    box = place(page, curve)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(at(1)).not_to_be_visible()
    page.get_by_text(say("noise"), exact=True).click()
    expect(shown).to_have_attribute("src", re.compile("/noise"))
    page.reload()
    expect(at(steps)).to_be_visible()
    ask(page, say, "a long way", 200)
    cancel = page.get_by_role("button", name=say("cancel"), exact=True)
    expect(cancel).to_be_visible()
    shown.wait_for()
    page.reload()  # in the middle of it
    shown.wait_for()
    cancel.click()
    expect(cancel).to_have_count(0)
    expect(shown).to_be_visible()  # what there is stays


@LANGUAGES
def test_variants_lie_side_by_side(visit, language: str) -> None:
    """Guidance scales, seeds and samplers, one after the other."""
    say = Words("how", language)
    page = visit("how", language=language)
    page.get_by_role("spinbutton", name=say("seed"), exact=True).fill("7")
    pictures = page.locator(".pictures .mat > img")
    for axis, labels in {
        "guidance_scale": ["1", "2", "4", "8"],
        "seed": ["7", "8", "9", "10"],
        "sampler": ["Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE"],
    }.items():
        page.get_by_label(say("axis"), exact=True).select_option(axis)
        ask(page, say, "a green frog", 2)
        expect(page.locator("figcaption b")).to_have_text(labels)
        expect(pictures).to_have_count(4)
        expect(page.get_by_text(say("step", step=2, steps=2)).first).to_be_visible()
        assert len({pictures.nth(i).get_attribute("src") for i in range(4)}) == 4
