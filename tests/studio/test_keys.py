"""AUTOMATIC1111's keys: those of the prompt, and of what runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from studio.waiting import equals, expect, until
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio


def boxes(page: "Page", language: str) -> "Locator":
    return page.get_by_role("textbox", name=Words("create", language)("prompt"), exact=True)


def test_keys_of_the_prompt(visit: "Callable[..., Page]") -> None:
    """Weights of a word by 0.1, of a network by 0.05, and parts that change places."""
    prompt = boxes(visit("create"), "en")
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


@pytest.mark.parametrize(("key", "language"), [("Alt+Enter", "en"), ("Escape", "zh")])
def test_keys_of_what_runs(visit: "Callable[..., Page]", server: "Studio", key: str, language: str) -> None:
    """Ctrl+Enter asks for a picture; the other ends it with what is there."""
    page = visit("create", language=language)
    prompt = boxes(page, language)
    prompt.fill("a long way to go")
    page.get_by_role("spinbutton", name={"en": "Steps", "zh": "步数"}[language], exact=True).fill("150")
    prompt.press("Control+Enter")
    jobs: list[dict[str, object]] = []

    def running() -> bool:
        jobs[:] = page.request.get(f"{server.address}/api/v1/jobs?limit=5").json()["jobs"]
        return bool(jobs) and jobs[0]["body"]["prompt"] == "a long way to go" and jobs[0]["state"] == "running"  # type: ignore[index]

    until(page, running)
    identity = jobs[0]["id"]
    expect(page.get_by_role("button", name=Words("create", language)("skip"), exact=True)).to_be_visible()  # it knows
    with page.expect_request(f"**/jobs/{identity}/skip"):
        prompt.press(key)
    equals(page, lambda: page.request.get(f"{server.address}/api/v1/jobs/{identity}").json()["state"], "done")
    assert len(page.request.get(f"{server.address}/api/v1/jobs/{identity}/results").json()) == 1
