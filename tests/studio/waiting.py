"""How tests wait for the page: for what it shows, as long as a busy machine takes, and never for a while.

The page's own `wait_for_function` polls by means that the page's policy forbids; `until` asks from outside.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

PATIENCE = float(os.environ.get("FROMNOISE_TEST_PATIENCE", "180"))  # seconds; for a machine that is busy

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=PATIENCE * 1000)


def until(page: "Page", holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that `expect` has no words for."""
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "it never came to be so"
        page.wait_for_timeout(50)


def equals(page: "Page", read: Callable[[], object], wanted: object, seconds: float = PATIENCE) -> None:
    """Wait until what is read is what is wanted; pytest.approx will do. Tells what it was in the end."""
    last = time.monotonic() + seconds
    while (found := read()) != wanted and time.monotonic() < last:
        page.wait_for_timeout(50)
    assert found == wanted


def settled(page: "Page") -> None:
    """Wait until the page has got what it asked for: its content stays the same for a moment."""
    main = page.locator("main")
    before = [""]

    def same() -> bool:
        page.wait_for_timeout(250)
        before.append(main.inner_html())
        return before[-1] == before[-2]

    until(page, same)


def still(page: "Page", read: Callable[[], object]) -> object:
    """What is read, once it stays what it is; never None."""
    seen: list[object] = [None]

    def rests() -> bool:
        page.wait_for_timeout(50)
        seen.append(read())
        return seen[-1] is not None and seen[-1] == seen[-2]

    until(page, rests)
    return seen[-1]


def place(page: "Page", of: "Locator") -> "FloatRect":
    """Where it is, once it stays there: pictures that are loaded above move it."""
    of.scroll_into_view_if_needed()
    return cast("FloatRect", still(page, of.bounding_box))


def width(picture: "Locator") -> int:
    """Of a picture in its own pixels, once it is loaded; another may take its place until then."""
    found = [0]

    def loaded() -> int:
        found[0] = int(picture.evaluate("one => one.complete ? one.naturalWidth : 0"))
        return found[0]

    until(picture.page, loaded)
    return found[0]
