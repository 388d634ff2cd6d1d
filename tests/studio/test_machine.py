"""The machine's page in both languages: what it has, how busy it is now, and how long pictures take on it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from studio.waiting import expect
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio

LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
GIGABYTES = re.compile(r"\d+\.\d GB")
CHINESE = re.compile("[\u4e00-\u9fff]")
EXAMINED = 420_000  # milliseconds


def told(part: "Locator", name: str) -> "Locator":
    """What stands beside a name in a list of them."""
    return part.locator("dt", has_text=re.compile(f"^{re.escape(name)}$")).locator("xpath=following-sibling::dd[1]")


@LANGUAGES
def test_it_tells_what_there_is(visit: "Callable[..., Page]", language: str) -> None:
    say = Words("machine", language)
    page = visit("machine", language=language)
    whole = page.locator("section.sheet").first
    for name in ("memory", "disk"):
        expect(told(whole, say(name))).to_have_text(re.compile(rf"{GIGABYTES.pattern}.*{GIGABYTES.pattern}"))
        share = float(told(whole, say(name)).get_by_role("progressbar").get_attribute("aria-valuenow") or "nan")
        assert 0 < share < 100
    expect(told(whole, say("server"))).to_have_text(GIGABYTES)
    expect(told(whole, say("database"))).to_have_text("sqlite")
    expect(told(whole, say("load"))).to_have_text(re.compile(r"\d\.\d.*\d\.\d.*\d"))
    worker = page.locator("section.sheet", has=page.get_by_role("heading", name=say("worker", device="cpu")))
    expect(told(worker, say("dtype"))).to_have_text(re.compile("^b?float(16|32)$"))
    expect(told(worker, say("threads"))).to_have_text(re.compile(r"^\d+$"))


@LANGUAGES
def test_it_looks_again_by_itself_and_sees_what_runs(
    visit: "Callable[..., Page]", server: "Studio", language: str
) -> None:
    say = Words("machine", language)
    page = visit("machine", language=language)
    worker = page.locator("section.sheet", has=page.get_by_role("heading", name=say("worker", device="cpu")))
    expect(told(worker, say("jobs"))).to_have_text("0")
    recipe = {"prompt": "a long way", "width": 64, "height": 64, "steps": 5000}
    (job,) = page.request.post(f"{server.address}/api/v1/jobs", data={"recipes": [recipe]}).json()
    expect(told(worker, say("jobs"))).to_have_text("1")
    expect(told(worker, say("models"))).to_contain_text("builtin")
    page.request.post(f"{server.address}/api/v1/jobs/{job['id']}/cancel", data={})
    expect(told(worker, say("jobs"))).to_have_text("0")


@LANGUAGES
def test_an_examination_is_seen_and_cancelled(visit: "Callable[..., Page]", language: str) -> None:
    say, shell = Words("machine", language), Words("shell", language)
    page = visit("machine", language=language)
    page.get_by_role("button", name=say("doctor.go"), exact=True).click()
    expect(page.get_by_role("progressbar", name=say("doctor"), exact=True)).to_be_visible()
    page.get_by_role("button", name=shell("job.cancel"), exact=True).click()
    expect(page.get_by_text(shell("job.cancelled"), exact=True)).to_be_visible()


@pytest.mark.slow
@LANGUAGES
def test_it_is_examined_and_tells_how_long_pictures_take(visit: "Callable[..., Page]", language: str) -> None:
    say = Words("machine", language)
    page = visit("machine", language=language)
    page.get_by_role("button", name=say("doctor.go"), exact=True).click()
    lines = page.locator(".found")
    expect(lines).to_contain_text(re.compile(r"\d+(\.\d+)? ?(s|秒)"), timeout=EXAMINED)
    expect(lines).to_contain_text("SDXL", ignore_case=True)
    assert bool(CHINESE.search(lines.inner_text())) is (language == "zh")
