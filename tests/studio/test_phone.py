"""On a phone: a bar with the main areas and More, and things that fingers hit."""

from pathlib import Path

import pytest
from studio.test_everywhere import areas
from studio.waiting import equals, expect, place, settled

pytestmark = pytest.mark.studio

PHONE = (390, 844)
LEAST = 44  # CSS pixels of what a finger is to hit
WORDS = {
    "en": {"more": "More", "grids": "Grids", "look": "Language and appearance", "dark": "Dark"},
    "zh": {"more": "更多", "grids": "图表", "look": "语言与外观", "dark": "深色"},
    "both": {"more": "More", "grids": "Grids", "look": "Language and appearance", "dark": "Dark"},
}
SMALL = """least => [...document.querySelectorAll('main button, main a, main select, main summary, nav a, nav button')]
    .filter(one => one.checkVisibility({ checkVisibilityCSS: true }) && one.className !== 'unseen')
    .map(one => ({ what: one.outerHTML.slice(0, 120), box: one.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 1 && (box.height < least - 0.5 || box.width < Math.min(least, 40) - 0.5))
    .map(({ what, box }) => `${Math.round(box.width)}x${Math.round(box.height)} ${what}`)
"""


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_the_bar_holds_the_main_areas_and_more_the_others(visit, axe, language: str) -> None:
    words = WORDS[language]
    page = visit("create", language=language, size=PHONE, touch=True)
    inside = page.locator("nav .link:visible")
    expect(inside).to_have_count(5)
    for box in [place(page, inside.nth(i)) for i in range(5)]:
        assert box["height"] >= LEAST
        assert box["width"] >= LEAST
        assert box["x"] + box["width"] <= PHONE[0]
    page.locator("nav").get_by_role("button", name=words["more"]).tap()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link", name=words["grids"])).to_be_visible()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog.get_by_role("link", name=words["grids"]).tap()
    expect(dialog).to_have_count(0)
    expect(page.locator("nav .more")).to_have_class("link main more router-link-active")
    page.locator("nav").get_by_role("button", name=words["more"]).tap()
    dialog.get_by_role("button", name=words["look"]).tap()
    dialog.locator(".segments label").filter(has_text=words["dark"]).tap()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("area", areas(Path(__file__).resolve().parents[2]))
def test_what_is_pressed_is_large_enough_for_a_finger(visit, furnished: None, area: str) -> None:
    page = visit(area, size=PHONE, touch=True)
    page.locator("main h1, main h2").first.wait_for()
    if area == "gallery":
        page.locator("button.tick").first.wait_for()
    settled(page)
    equals(page, lambda: page.evaluate(SMALL, LEAST), [])
