"""AUTOMATIC1111's keys: those of the prompt, and of what runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from studio.waiting import equals, expect, place, until
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def boxes(page: "Page", language: str) -> "Locator":
    return page.get_by_role("textbox", name=Words("create", language)("prompt"), exact=True)


@LANGUAGES
def test_keys_of_the_prompt(visit: "Callable[..., Page]", language: str) -> None:
    """Weights of a word by 0.1, of a network by 0.05, and parts that change places."""
    prompt = boxes(visit("create", language=language), language)
    prompt.fill("red fox, <lora:ink:0.8>")
    prompt.press("Home")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("(red:1.1) fox, <lora:ink:0.8>")
    prompt.press("Control+ArrowDown")
    expect(prompt).to_have_value("red fox, <lora:ink:0.8>")
    prompt.press("End")
    prompt.press("ArrowLeft")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("red fox, <lora:ink:0.85>")
    prompt.press("Control+ArrowDown")
    prompt.press("Control+ArrowDown")
    expect(prompt).to_have_value("red fox, <lora:ink:0.75>")
    prompt.press("Home")
    prompt.press("Alt+ArrowRight")
    expect(prompt).to_have_value("<lora:ink:0.75>, red fox")
    prompt.press("Alt+ArrowLeft")
    expect(prompt).to_have_value("red fox, <lora:ink:0.75>")


@LANGUAGES
def test_keys_of_what_runs(
    visit: "Callable[..., Page]", axe: "Callable[[Page], list[str]]", server: "Studio", language: str
) -> None:
    """Ctrl+Enter asks for a picture; Alt+Enter and Esc end it with what is there, but for an Esc that closes a menu."""
    say = Words("create", language)
    page = visit("create", language=language)
    prompt = boxes(page, language)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill("1000")
    skip = page.locator(".stage").get_by_role("button", name=say("skip"), exact=True)
    jobs: list[dict[str, Any]] = []
    for key in ("Alt+Enter", "Escape"):
        words = f"a long way to go, {key} {language}"

        def running(words: str = words) -> bool:
            jobs[:] = page.request.get(f"{server.address}/api/v1/jobs?limit=5").json()["jobs"]
            return bool(jobs) and jobs[0]["body"].get("prompt") == words and jobs[0]["state"] == "running"

        prompt.fill(words)
        prompt.press("Control+Enter")
        until(page, running)
        identity = jobs[0]["id"]
        expect(skip).to_be_visible()  # the page knows by now, too
        if key == "Escape":
            pictures, menu = page.locator(".strip button"), page.get_by_role("menu")
            pictures.nth(1).click()
            page.get_by_role("button", name=say("deed.send"), exact=True).click()
            expect(menu).to_be_visible()
            assert axe(page) == []
            page.keyboard.press("Escape")
            expect(menu).to_have_count(0)
            pictures.nth(0).click()
            expect(skip).to_be_visible()
        with page.expect_request(f"**/jobs/{identity}/skip"):
            prompt.press(key)
        equals(page, lambda: page.request.get(f"{server.address}/api/v1/jobs/{identity}").json()["state"], "done")  # noqa: B023
        assert len(page.request.get(f"{server.address}/api/v1/jobs/{identity}/results").json()) == 1
        expect(skip).to_have_count(0)


PAINTED = """one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data
    .filter((value, i) => i % 4 == 3 && value).length"""


@LANGUAGES
def test_keys_of_the_canvas(visit: "Callable[..., Page]", language: str) -> None:
    say, told = Words("create", language), Words("forms", language)
    page = visit("create", language=language)
    page.get_by_role("button", name=say("start.blank"), exact=True).click()
    sheet = page.get_by_role("dialog")
    canvas, frame, paper = sheet.locator("canvas"), sheet.locator(".frame"), sheet.locator(".paper")
    size = sheet.get_by_role("spinbutton", name=told("paint.size"), exact=True)
    box = place(page, canvas)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 20, middle[1])
    page.mouse.up()
    expect(canvas).to_be_focused()

    def painted() -> int:
        return int(canvas.evaluate(PAINTED))

    drawn = painted()
    assert drawn > 0
    page.keyboard.press("Control+z")
    equals(page, painted, 0)
    page.keyboard.press("Control+Shift+z")
    equals(page, painted, drawn)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    equals(page, painted, drawn)

    start = int(size.input_value())
    for larger, smaller in (("w", "q"), ("]", "[")):
        page.keyboard.press(larger)
        until(page, lambda: int(size.input_value()) > start)
        page.keyboard.press(smaller)
        equals(page, lambda: int(size.input_value()), start)
    canvas.dispatch_event("wheel", {"deltaY": -100, "ctrlKey": True, "bubbles": True})
    until(page, lambda: int(size.input_value()) > start)

    canvas.dispatch_event("wheel", {"deltaY": -100, "altKey": True, "bubbles": True})
    until(page, lambda: "scale(1.25)" in (paper.get_attribute("style") or ""))
    page.keyboard.down("f")
    expect(canvas).to_have_class("sketch pan")
    page.keyboard.up("f")
    expect(canvas).to_have_class("sketch brush")
    page.keyboard.press("r")
    until(page, lambda: "scale(1)" in (paper.get_attribute("style") or ""))
    for key, tool in (("e", "eraser"), ("l", "lasso"), ("b", "brush")):
        page.keyboard.press(key)
        expect(canvas).to_have_class(f"sketch {tool}")

    sheet.get_by_text(told("paint.lasso"), exact=True).click()
    page.keyboard.press("e")  # wherever one has pressed
    expect(canvas).to_have_class("sketch eraser")
    sheet.get_by_role("button", name=told("paint.clear"), exact=True).click()
    page.keyboard.press("b")
    expect(canvas).to_have_class("sketch brush")

    narrow = place(page, frame)["width"]
    page.keyboard.press("o")
    until(page, lambda: place(page, frame)["width"] > narrow)
    page.keyboard.press("o")
    until(page, lambda: place(page, frame)["width"] == narrow)
