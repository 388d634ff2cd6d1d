"""The gallery: pictures are found, marked, put away and taken back, compared, and made again from their recipes."""

import json
import re
import time
import urllib.request
from typing import Any

import pytest
from studio.waiting import PATIENCE, expect, settled
from studio.words import Words

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

RUN = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> javascript:alert(1)"
INERT = f"a gallery of {RUN}"
PROMPTS = [
    "a gallery of red apples",
    "a gallery of red roses",
    "a gallery of blue whales",
    INERT,
]  # no other test's words


def call(server: Any, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


@pytest.fixture(scope="module", autouse=True)
def pictures(server: Any) -> None:
    recipes = [{"prompt": prompt, "width": 64, "height": 64, "steps": 2, "seed": i} for i, prompt in enumerate(PROMPTS)]
    jobs = [job["id"] for job in call(server, "/api/v1/jobs", {"recipes": recipes})]
    end = time.monotonic() + 2 * PATIENCE
    while any(call(server, f"/api/v1/jobs/{job}")["state"] != "done" for job in jobs):
        assert time.monotonic() < end
        time.sleep(0.2)


def found(page: Any, words: str, count: int) -> Any:
    """The pictures that words find, once there are `count`."""
    page.get_by_role("searchbox").fill(words)
    looked(page)
    expect(page.locator(".picture")).to_have_count(count)
    return page.locator(".picture")


def looked(page: Any) -> None:
    """Wait until what is shown is what was asked for last."""
    expect(page.locator(".gallery")).to_have_attribute("aria-busy", "false")


def nth(page: Any, i: int, what: str = ".picture") -> Any:
    """The i-th picture, or what else is in its cell: elements are used anew, and lie in any order for a moment."""
    return page.locator(f"li:has(.picture[data-index='{i}']) {what}")


def turn(page: Any, name: str) -> None:
    """Press one of the gallery's filters, and wait for what it finds."""
    page.locator(".gallery header").get_by_role("button", name=name, exact=True).click()
    looked(page)


@LANGUAGES
def test_words_and_filters_find(visit, language: str) -> None:
    say = Words("gallery", language)
    page = visit("gallery", language=language)
    page.locator(".picture").first.wait_for()
    found(page, "gallery red -roses", 1)
    page.get_by_role("searchbox", name=say("search"), exact=True).fill("nothing of this kind")
    page.get_by_text(say("empty.found"), exact=True).wait_for()
    page.get_by_role("button", name=say("filters.clear"), exact=True).first.click()
    page.get_by_role("button", name=say("filters"), exact=True).click()
    models = page.get_by_label(say("model"), exact=True)
    models.select_option(models.locator("option", has_text="builtin").first.get_attribute("value"))
    found(page, "gallery whales", 1)


@pytest.mark.parametrize(
    ("language", "names"),
    [
        (
            "en",
            ("Open a gallery of blue whales", "Favourite", "Favourites", "Add a tag", "Into the bin", "Bin", "Restore"),
        ),
        ("zh", ("打开 a gallery of red roses", "收藏", "收藏", "添加标签", "移到回收站", "回收站", "恢复")),
    ],
)
def test_a_picture_is_marked_and_put_away_and_taken_back(visit, language: str, names: tuple[str, ...]) -> None:
    opened, favourite, favourites, tag, into, bin_, restore = names
    page = visit("gallery", language=language)
    words = opened.partition(" ")[2]

    def back() -> None:
        page.goto(re.sub(r"#.*", "#/gallery", page.url))

    found(page, words, 1).click()
    page.locator(".viewer").get_by_role("button", name=favourite, exact=True).click()
    page.get_by_label(tag, exact=True).fill(f"sea {language}")
    page.get_by_label(tag, exact=True).press("Enter")
    page.locator(".tags", has_text=f"sea {language}").wait_for()
    back()
    turn(page, favourites)
    expect(page.locator("li:has(.picture):has(.star[hidden])")).to_have_count(0)
    page.get_by_role("button", name=opened, exact=True).click()
    address = page.url
    page.get_by_role("button", name=into, exact=True).click()
    expect(page).not_to_have_url(address)  # it shows the next one, or all
    back()
    turn(page, favourites)
    expect(page.get_by_role("button", name=opened, exact=True)).to_have_count(0)
    turn(page, bin_)
    page.get_by_role("button", name=opened, exact=True).click()
    address = page.url
    page.locator(".viewer").get_by_role("button", name=restore, exact=True).click()
    expect(page).not_to_have_url(address)
    back()
    turn(page, bin_)
    page.get_by_role("button", name=opened, exact=True).wait_for()


@LANGUAGES
def test_a_range_is_selected_compared_and_saved(visit, language: str) -> None:
    say = Words("gallery", language)
    page = visit("gallery", language=language)
    found(page, "gallery red", 2)
    nth(page, 0, ".tick").click()
    nth(page, 1).click(modifiers=["Shift"])
    page.get_by_text(say("selected", n=2), exact=True).first.wait_for()
    with page.expect_download() as saved:
        page.get_by_role("link", name=say("download"), exact=True).click()
    assert saved.value.suggested_filename == "pictures.zip"
    page.get_by_role("button", name=say("compare"), exact=True).click()
    border = page.get_by_label(say("compare.share"), exact=True)
    border.fill("20")
    expect(page.locator(".both .left")).to_have_css("clip-path", "inset(0px 80% 0px 0px)")


@LANGUAGES
def test_arrows_go_from_picture_to_picture(visit, language: str) -> None:
    page = visit("gallery", language=language)
    found(page, "gallery", len(PROMPTS))
    nth(page, 0).focus()
    page.keyboard.press("ArrowRight")
    expect(nth(page, 1)).to_be_focused()
    page.keyboard.press("Enter")
    page.locator(".viewer").wait_for()
    address = page.url
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(address)


@LANGUAGES
def test_text_from_strangers_is_inert(visit, language: str) -> None:
    page = visit("gallery", language=language)
    found(page, "gallery onerror", 1).click()
    expect(page.locator("h1.prompt")).to_have_text(INERT)
    expect(page.locator("main img[src=x], main script")).to_have_count(0)
    settled(page)
    assert page.title() != "broken"
