"""Painting: brush, lasso, undo and redo, closer and back; and a frame pulled outwards keeps the old picture."""

import io

import pytest
from PIL import Image, ImageChops
from studio.test_create import pixels, png, shown, start
from studio.test_forms import file_of
from studio.waiting import equals, expect, place, until

pytestmark = pytest.mark.studio

COUNT = """() => {
    const canvas = document.querySelector('canvas.mask, canvas.sketch')
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let count = 0
    for (let i = 3; i < data.length; i += 4) if (data[i] > 127) count++
    return count / (canvas.width * canvas.height)
}"""


MIDDLE = """() => {
    const canvas = document.querySelector('canvas.mask')
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let [x, y, n] = [0, 0, 0]
    for (let i = 3; i < data.length; i += 4) {
        if (data[i] < 128) continue
        x += (i >> 2) % canvas.width
        y += Math.floor((i >> 2) / canvas.width)
        n++
    }
    return [x / n / canvas.width, y / n / canvas.height]
}"""


def painted(page, share: float, within: float = 0) -> None:
    """Wait until so much of the canvas is painted."""
    page.locator("canvas.mask, canvas.sketch").wait_for()
    equals(page, lambda: page.evaluate(COUNT), pytest.approx(share, abs=within))


def open_mask(page) -> None:
    page.locator("input[type=file]").first.set_input_files(file_of(png()))
    page.get_by_role("button", name="Paint a mask").click()
    page.locator("canvas.mask").wait_for()


def stroke(page, points: list[tuple[float, float]]) -> None:
    box = place(page, page.locator("canvas.mask, canvas.sketch"))
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=3)
    page.mouse.up()


def test_lasso_undo_redo_and_inversion(visit) -> None:
    page = visit("create")
    open_mask(page)
    page.get_by_text("Lasso", exact=True).click()
    stroke(page, [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    painted(page, 0.25, 0.03)
    page.get_by_role("button", name="Undo").click()
    painted(page, 0)
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Invert the mask").click()
    painted(page, 0.75, 0.03)
    page.locator("canvas.mask").focus()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    painted(page, 0)
    page.get_by_role("button", name="Paint everything").click()
    painted(page, 1)


def test_a_mask_is_taken_up_again_where_it_was_left(visit) -> None:
    page = visit("create")
    open_mask(page)
    stroke(page, [(0.5, 0.5), (0.6, 0.5)])
    until(page, lambda: page.evaluate(COUNT) > 0)
    before = page.evaluate(COUNT)
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("button", name="Change the mask").click()
    painted(page, before, 0.01)


def test_one_goes_closer_and_paints_where_the_pointer_is(visit) -> None:
    page = visit("create")
    open_mask(page)
    canvas = page.locator("canvas.mask")
    box = place(page, canvas)
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.keyboard.down("Alt")
    for _ in range(4):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Alt")
    until(page, lambda: canvas.bounding_box()["width"] > 2 * box["width"])
    place(page, canvas)
    page.mouse.down()
    page.mouse.up()
    equals(page, lambda: page.evaluate(MIDDLE), pytest.approx([0.25, 0.25], abs=0.03))
    page.get_by_role("button", name="All of it").click()
    equals(page, lambda: canvas.bounding_box()["width"], pytest.approx(box["width"], abs=1))


@pytest.mark.parametrize(
    ("language", "words"), [("en", ("Outpaint", "Right", "Use it")), ("zh", ("扩图", "右", "使用"))]
)
def test_a_frame_pulled_outwards_keeps_the_old_picture(visit, language: str, words: tuple[str, str, str]) -> None:
    page = visit("create", language=language)
    page.locator("input[type=file]").first.set_input_files(file_of(png()))
    page.get_by_role("button", name=words[0], exact=True).click()
    handle = page.locator(".frame .handle.e")
    box = place(page, handle)
    across = place(page, page.locator(".board img"))["width"]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + across / 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    expect(page.get_by_role("spinbutton", name=words[1], exact=True)).to_have_value("64")
    page.get_by_role("button", name=words[2], exact=True).click()
    start(page, f"a wide view {language}", language=language, seed="4")
    made = pixels(page, shown(page, f"a wide view {language}"))
    assert made.size == (192, 128)
    old = Image.open(io.BytesIO(png())).convert("RGB")
    kept = (0, 0, 96, 128)  # but for the seam
    assert ImageChops.difference(made.crop(kept), old.crop(kept)).getbbox() is None
    new = made.crop((128, 0, 192, 128))
    assert new.getcolors(2) is None  # it was painted
