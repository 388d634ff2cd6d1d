"""Panels of packages outside: a form asks for work and shows what comes of it, a page of theirs stays in its frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from studio.waiting import expect
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio

MODULE = """
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.extensions import PANELS, Input, Panel
from fromnoise.jobs.worker.routes import ROUTES, Reply
from fromnoise.jobs.worker.tasks import task

PAGE = '''<p id=said>a page of its own</p>
<script>try { parent.document.title = "broken" } catch { said.textContent += ", shut in" }</script>'''
ROUTES.add("shouting/page", lambda call: Reply(PAGE, media="text/html"))
PANELS.add("shout", Panel(
    title="Shout", title_zh="大喊", work="shout", page="shouting/page",
    inputs=(Input(name="words", label="Words", label_zh="文字"),
            Input(name="times", label="Times", label_zh="次数", kind="number", default=2),
            Input(name="mark", label="Mark", label_zh="标点", kind="choice", choices=("!", "?")),
            Input(name="twice", label="Twice", label_zh="两遍", kind="switch")),
))

@task("shout")
def shout(body, desk):
    yield 1, 2
    said = body["words"].upper() + body["mark"] * int(body["times"])
    return [Result(media="application/json", data={"said": said * (1 + body["twice"])})]
"""
POINTS = "".join(f"[fromnoise.{group}]\nshouting = shouting\n" for group in ("tasks", "routes", "panels"))
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
WORDS = {"en": ("Shout", "Words", "Mark", "Twice", "Go"), "zh": ("大喊", "文字", "标点", "两遍", "开始")}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Studio]":
    """A server beside which a package is installed."""
    from tools.browser import Studio

    package: Path = tmp_path_factory.mktemp("package")
    (package / "shouting.py").write_text(MODULE, "utf-8")
    info = package / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    server = Studio(tmp_path_factory.mktemp("extended"), packages=(package,))
    server.start()
    yield server
    server.stop()


@LANGUAGES
def test_a_panel_asks_for_work_and_shows_what_comes_of_it(visit, axe, extended: "Studio", language: str) -> None:
    title, words, mark, twice, go = WORDS[language]
    page = visit("extensions", language=language, at=extended.address)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.frame_locator("iframe").locator("#said")).to_have_text("a page of its own, shut in")
    page.get_by_label(words, exact=True).fill("hello")
    page.get_by_label(mark, exact=True).select_option("?")
    page.get_by_label(twice, exact=True).check()
    page.get_by_role("button", name=go, exact=True).click()
    expect(page.locator("dd")).to_have_text("HELLO??HELLO??")
    assert axe(page) == []


@LANGUAGES
def test_without_extensions_the_area_says_how_they_come(visit, language: str) -> None:
    page = visit("extensions", language=language)
    expect(page.get_by_text(Words("extensions", language)("empty.about"), exact=True)).to_be_visible()
