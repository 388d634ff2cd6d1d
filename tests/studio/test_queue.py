"""The queue: what waits is seen, moved, paused and cancelled; and nothing is lost when the server dies."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio.waiting import PATIENCE, expect, place, width
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def call(server: "Studio", method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


@pytest.fixture(autouse=True)
def empty(server: "Studio") -> Iterator[None]:
    """Nothing of another test waits or runs, and the queue goes on after each, whatever became of it."""
    call(server, "DELETE", "/api/v1/line")
    end = time.monotonic() + PATIENCE
    while any(job["state"] in ("queued", "running") for job in call(server, "GET", "/api/v1/jobs?limit=100")["jobs"]):
        assert time.monotonic() < end
        time.sleep(0.2)
    yield
    call(server, "PUT", "/api/v1/queue", {"held": False})


def ask(page, prompts: list[str], steps: int = 4) -> None:
    """Ask for pictures by the page's own session, without its forms."""
    recipes = [{"prompt": text, "width": 64, "height": 64, "steps": steps, "guidance_scale": 2} for text in prompts]
    page.evaluate(
        """async recipes => {
            const headers = { 'Content-Type': 'application/json' }
            const sent = await fetch('/api/v1/jobs', { method: 'POST', headers, body: JSON.stringify({ recipes }) })
            if (!sent.ok) throw new Error(await sent.text())
        }""",
        recipes,
    )


def told(page, title: str, prompts: list[str]) -> None:
    """Wait until these are the prompts below a heading."""
    expect(section(page, title).locator(".words")).to_have_text(prompts)


def section(page, title: str):
    return page.locator("section", has=page.get_by_role("heading", name=title))


@pytest.mark.parametrize(
    ("language", "names"),
    [
        (
            "en",
            ("Hold the queue", "Waiting", "What to do with it", "Earlier", "Pause", "Paused", "Go on", "Let it go on"),
        ),
        ("zh", ("暂停队列", "等待中", "更多操作", "提前", "暂停", "已暂停", "继续", "继续")),
    ],
)
def test_what_waits_is_moved_paused_and_goes_on(visit, language: str, names: tuple[str, ...]) -> None:
    hold, waiting, more, earlier, pause, paused, resume, go = names
    page = visit("queue", language=language)
    page.get_by_role("button", name=hold, exact=True).click()
    page.locator(".held").wait_for()
    ask(page, [f"{language} one", f"{language} two", f"{language} three"])
    section(page, waiting).get_by_text(f"{language} three").wait_for()
    told(page, waiting, [f"{language} one", f"{language} two", f"{language} three"])

    row = section(page, waiting).locator("li", has_text=f"{language} three")
    row.get_by_role("button", name=more, exact=True).click()
    page.get_by_role("menuitem", name=earlier, exact=True).click()
    section(page, waiting).locator("li").nth(1).get_by_text(f"{language} three").wait_for()
    told(page, waiting, [f"{language} one", f"{language} three", f"{language} two"])

    section(page, waiting).locator("li", has_text=f"{language} one").get_by_role(
        "button", name=more, exact=True
    ).click()
    page.get_by_role("menuitem", name=pause, exact=True).click()
    section(page, paused).get_by_text(f"{language} one").wait_for()
    section(page, paused).get_by_role("button", name=resume, exact=True).click()
    expect(section(page, paused)).to_have_count(0)
    page.locator(".held").get_by_role("button", name=go, exact=True).click()
    for name in ("one", "two", "three"):
        job = page.locator("li", has_text=f"{language} {name}")
        job.locator("img").wait_for()


@LANGUAGES
def test_what_waits_is_dragged_and_moved_by_the_keyboard_and_cancelled_at_once(visit, axe, language: str) -> None:
    say = Words("queue", language)
    waiting = say("waiting")
    page = visit("queue", language=language)
    page.get_by_role("button", name=say("hold"), exact=True).click()
    page.locator(".held").wait_for()
    names = [f"{language} first", f"{language} second", f"{language} third"]
    ask(page, names)
    rows = section(page, waiting).locator("li")
    rows.filter(has_text=names[2]).wait_for()
    grip = rows.filter(has_text=names[2]).locator(".grip")
    told(page, waiting, names)
    assert axe(page) == []
    start, end = place(page, grip), place(page, rows.filter(has_text=names[0]))
    page.mouse.move(start["x"] + 5, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(start["x"] + 5, end["y"] + 30, steps=4)
    page.mouse.move(start["x"] + 5, end["y"] + 4, steps=2)
    page.mouse.up()
    rows.nth(0).get_by_text(names[2]).wait_for()
    told(page, waiting, [names[2], names[0], names[1]])
    rows.nth(0).locator(".grip").press("ArrowDown")
    rows.nth(1).get_by_text(names[2]).wait_for()
    told(page, waiting, [names[0], names[2], names[1]])
    expect(rows.nth(1).locator(".grip")).to_be_focused()
    page.get_by_role("button", name=say("clear"), exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=say("clear.go"), exact=True).click()
    page.get_by_text(say("cleared", n=3), exact=True).first.wait_for()
    expect(rows).to_have_count(0)
    page.locator(".held").get_by_role("button", name=say("go"), exact=True).click()
    page.locator("li", has_text=names[1]).get_by_text(say("state.cancelled"), exact=True).first.wait_for()


@pytest.fixture
def mortal(tmp_path: Path) -> "Iterator[Studio]":
    from tools.browser import studio

    with studio(tmp_path) as server:
        yield server


def test_a_server_that_is_killed_in_the_middle_of_a_job_loses_nothing(visit, mortal: "Studio") -> None:
    """Neither what runs nor what waits, a grid besides; two look on, each in another language, for a server is long in
    starting."""
    pages = {language: visit("create", at=mortal.address, language=language, mortal=True) for language in ("en", "zh")}
    for language, page in reversed(pages.items()):
        say = Words("create", language)
        page.get_by_label(say("prompt"), exact=True).fill(f"a tall tree {language}")
        page.get_by_role("spinbutton", name=say("steps"), exact=True).fill({"en": "100", "zh": "10"}[language])
    for language, page in pages.items():
        generate = page.get_by_role("button", name=Words("create", language)("generate"), exact=True)
        generate.click()
        expect(generate).to_be_enabled()  # the server has it
    pages["en"].locator(".stage img.early").wait_for()
    recipe = {"prompt": "a small tree", "width": 64, "height": 64, "seed": 1}
    script = {"kind": "xyz", "axes": [{"name": "steps", "values": "1, 2"}]}
    call(mortal, "POST", "/api/v1/grids", {"recipe": recipe, "script": script})
    mortal.stop(kill=True)
    for language, page in pages.items():
        page.get_by_text(Words("shell", language)("unlinked"), exact=True).wait_for()
    mortal.start()
    for language, page in pages.items():
        expect(page.get_by_text(Words("shell", language)("unlinked"), exact=True)).to_have_count(0)
        picture = page.locator(f".stage img:not(.early)[alt*='a tall tree {language}']")
        picture.wait_for()
        assert width(picture) == 128
    for language, page in pages.items():
        page.locator("nav a.link[href='#/grids']").click()
        expect(page.locator("button.cell")).to_have_count(2)
        assert width(page.get_by_role("img", name=Words("grids", language)("sheet.of", n=2), exact=True)) >= 2 * 64


@LANGUAGES
def test_whose_it_is_is_told_and_what_was_cancelled_or_failed_is_tried_again(
    visit, server: "Studio", language: str
) -> None:
    say = Words("queue", language)
    page = visit("queue", language=language)
    page.get_by_role("button", name=say("hold"), exact=True).click()
    page.locator(".held").wait_for()
    ask(page, [f"{language} again"])
    row = page.locator("li", has_text=f"{language} again")
    expect(row).to_contain_text(say("of", who="local"))
    row.get_by_role("button", name=say("cancel"), exact=True).click()
    expect(section(page, say("ended")).locator("li", has_text=f"{language} again")).to_contain_text(
        say("state.cancelled")
    )
    row.get_by_role("button", name=say("retry"), exact=True).click()
    expect(section(page, say("waiting")).locator("li", has_text=f"{language} again")).to_have_count(1)
    page.locator(".held").get_by_role("button", name=say("go")).click()
    row.locator("img").wait_for()
    row.get_by_role("button", name=say("forget"), exact=True).click()
    expect(row).to_have_count(0)
