"""Pictures are looked at pixel by pixel, and closer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, PngImagePlugin
from studio.test_gallery import call
from studio.waiting import equals, expect, until, width
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio

SIZE = (2400, 1800)  # larger than the window


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_is_seen_pixel_by_pixel_and_dragged(
    visit: "Callable[..., Page]",
    axe: "Callable[[Page], list[str]]",
    server: "Studio",
    tmp_path: Path,
    language: str,
) -> None:
    say, mark = Words("forms", language), f"looked{language}"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", f"{mark}\nSteps: 3, Sampler: Euler a, CFG scale: 5, Seed: 9, Size: 2400x1800")
    Image.radial_gradient("L").resize(SIZE).save(tmp_path / "large.png", pnginfo=texts, compress_level=1)
    call(server, "/api/v1/gallery/import", {"folder": str(tmp_path)})
    page = visit("gallery", language=language)
    until(page, lambda: call(server, f"/api/v1/gallery?words={mark}")["pictures"])
    (found,) = call(server, f"/api/v1/gallery?words={mark}")["pictures"]
    page.goto(f"{server.address}/#/gallery/{found['id']}")
    picture, percent, frame = page.locator(".lens img"), page.locator(".lens .percent"), page.locator(".lens .frame")
    assert width(picture) == SIZE[0]

    picture.dblclick()
    expect(percent).to_have_text("100 %")
    assert picture.evaluate("one => [one.offsetWidth, one.offsetHeight]") == [*SIZE]

    def corner() -> tuple[float, float]:
        box = picture.bounding_box()
        assert box
        return box["x"], box["y"]

    x, y = corner()
    room = frame.bounding_box()
    assert room
    middle = (room["x"] + room["width"] / 2, room["y"] + room["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 150, middle[1] - 90)
    page.mouse.up()
    equals(page, corner, pytest.approx((x - 150, y - 90), abs=1))
    assert axe(page) == []

    page.get_by_role("button", name=say("view.whole"), exact=True).click()
    expect(percent).not_to_have_text("100 %")
    whole = percent.inner_text()
    page.mouse.move(*middle)
    page.mouse.wheel(0, -100)
    expect(percent).not_to_have_text(whole)
    page.keyboard.press("1")
    expect(percent).to_have_text("100 %")
