"""Painting: brush, lasso, undo and redo, closer and back; and a frame pulled outwards keeps the old picture."""

import io

import pytest
from PIL import Image, ImageChops
from studio.test_create import pixels, png, shown, start
from studio.test_forms import file_of
from studio.waiting import equals, expect, place, still, until
from studio.words import Words, field

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
GESTURES = pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.slow)])  # hardly any text

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


def open_mask(page, language: str) -> None:
    page.locator("input[type=file]").first.set_input_files(file_of(png()))
    page.get_by_role("button", name=Words("create", language)("start.mask.paint"), exact=True).click()
    page.locator("canvas.mask").wait_for()


def stroke(page, points: list[tuple[float, float]]) -> None:
    box = place(page, page.locator("canvas.mask, canvas.sketch"))
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=3)
    page.mouse.up()


@LANGUAGES
def test_lasso_undo_redo_and_inversion(visit, language: str) -> None:
    say = Words("forms", language)
    page = visit("create", language=language)
    open_mask(page, language)
    page.get_by_text(say("paint.lasso"), exact=True).click()
    stroke(page, [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    painted(page, 0.25, 0.03)
    page.get_by_role("button", name=say("paint.undo"), exact=True).click()
    painted(page, 0)
    page.get_by_role("button", name=say("paint.redo"), exact=True).click()
    page.get_by_role("button", name=say("paint.invert"), exact=True).click()
    painted(page, 0.75, 0.03)
    page.locator("canvas.mask").focus()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    painted(page, 0)
    page.get_by_role("button", name=say("paint.all"), exact=True).click()
    painted(page, 1)


@GESTURES
def test_a_mask_is_taken_up_again_where_it_was_left(visit, language: str) -> None:
    page = visit("create", language=language)
    open_mask(page, language)
    stroke(page, [(0.5, 0.5), (0.6, 0.5)])
    until(page, lambda: page.evaluate(COUNT) > 0)
    before = still(page, lambda: page.evaluate(COUNT))
    page.get_by_role("button", name=Words("forms", language)("paint.done"), exact=True).click()
    page.get_by_role("button", name=Words("create", language)("start.mask.change"), exact=True).click()
    painted(page, before, 0.01)


@GESTURES
def test_one_goes_closer_and_paints_where_the_pointer_is(visit, language: str) -> None:
    page = visit("create", language=language)
    open_mask(page, language)
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
    page.get_by_role("button", name=Words("forms", language)("paint.whole"), exact=True).click()
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


PEN = """([x0, y0, x1, y1, pressure, end]) => {
    const canvas = document.querySelector('canvas.mask')
    const box = canvas.getBoundingClientRect()
    canvas.setPointerCapture = () => undefined // a pointer that is made up can't be captured
    const send = (kind, x, y, buttons) => canvas.dispatchEvent(new PointerEvent(kind, {
        pointerId: 7, pointerType: 'pen', pressure: buttons ? pressure : 0,
        button: kind === 'pointermove' ? -1 : end ? 5 : 0, buttons, bubbles: true, cancelable: true,
        clientX: box.left + x * box.width, clientY: box.top + y * box.height,
    }))
    const down = end ? 32 : 1
    send('pointerdown', x0, y0, down)
    for (let i = 1; i <= 4; i++) send('pointermove', x0 + (x1 - x0) * i / 4, y0 + (y1 - y0) * i / 4, down)
    send('pointerup', x1, y1, 0)
}"""


@GESTURES
def test_a_pen_that_is_pressed_harder_paints_broader(visit, language: str) -> None:
    page = visit("create", language=language)
    open_mask(page, language)
    page.evaluate(PEN, [0.2, 0.3, 0.8, 0.3, 0.1])
    until(page, lambda: page.evaluate(COUNT) > 0)
    light = still(page, lambda: page.evaluate(COUNT))
    page.get_by_role("button", name=Words("forms", language)("paint.undo"), exact=True).click()
    painted(page, 0)
    page.evaluate(PEN, [0.2, 0.3, 0.8, 0.3, 1.0])
    until(page, lambda: page.evaluate(COUNT) > 2 * light)
    page.evaluate(PEN, [0.1, 0.3, 0.9, 0.3, 1.0, True])
    painted(page, 0)
    page.evaluate(PEN, [0.2, 0.3, 0.8, 0.3, 0.1])  # turned back it paints
    until(page, lambda: page.evaluate(COUNT) > 0)


def test_a_sketch_may_be_the_mask_too(visit) -> None:
    page = visit("create")
    page.locator("input[type=file]").first.set_input_files(file_of(png()))
    page.get_by_role("button", name="Paint on it").click()
    page.locator("canvas.sketch").wait_for()
    stroke(page, [(0.3, 0.5), (0.7, 0.5)])
    until(page, lambda: page.evaluate(COUNT) > 0)
    strokes = still(page, lambda: page.evaluate(COUNT))
    page.get_by_role("switch", name="Change only what I painted").check()
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("button", name="Change the mask").click()
    painted(page, strokes, 0.01)


class Fingers:
    """Fingers on the screen, as Chromium's own input has them."""

    def __init__(self, page) -> None:
        self.session = page.context.new_cdp_session(page)

    def send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


@GESTURES
def test_one_finger_paints_and_two_go_closer_and_move(visit, language: str) -> None:
    page = visit("create", language=language, size=(390, 844), touch=True)
    open_mask(page, language)
    canvas = page.locator("canvas.mask")
    box = place(page, canvas)
    at = lambda x, y: (box["x"] + box["width"] * x, box["y"] + box["height"] * y)  # noqa: E731
    fingers = Fingers(page)
    fingers.send("touchStart", at(0.3, 0.3))
    for i in range(1, 5):
        fingers.send("touchMove", at(0.3 + 0.1 * i, 0.3))
    fingers.send("touchEnd")
    until(page, lambda: page.evaluate(COUNT) > 0.02)
    painted = still(page, lambda: page.evaluate(COUNT))

    for hand in (True, False):  # one who moves the canvas wipes nothing either
        if hand:
            page.get_by_role("button", name=Words("forms", language)("paint.pan"), exact=True).tap()
        fingers.send("touchStart", at(0.4, 0.5))
        fingers.send("touchStart", at(0.4, 0.5), at(0.6, 0.5))
        if hand:
            fingers.send("touchEnd")
            page.get_by_role(
                "button", name=Words("forms", language)("paint.pan"), exact=True
            ).click()  # no tap: see below
            assert still(page, lambda: page.evaluate(COUNT)) == painted
    for i in range(1, 6):
        fingers.send("touchMove", at(0.4 - 0.04 * i, 0.5), at(0.6 + 0.04 * i, 0.5))
    until(page, lambda: canvas.bounding_box()["width"] > 2 * box["width"])
    closer = place(page, canvas)
    for i in range(1, 6):
        fingers.send("touchMove", at(0.2 - 0.02 * i, 0.5), at(0.8 - 0.02 * i, 0.5))
    until(page, lambda: canvas.bounding_box()["x"] < closer["x"] - 0.05 * box["width"])
    fingers.send("touchEnd")
    assert still(page, lambda: page.evaluate(COUNT)) == painted  # the first of two fingers has painted nothing
    whole = page.get_by_role("button", name=Words("forms", language)("paint.whole"), exact=True)
    whole.click()  # a tap so soon after two fingers is none to Chromium
    equals(page, lambda: canvas.bounding_box()["width"], pytest.approx(box["width"], abs=1))


@GESTURES
def test_a_finger_draws_a_region_and_pulls_its_corner(visit, language: str) -> None:
    page = visit("create", language=language, size=(390, 844), touch=True)
    page.locator("summary", has_text=field("regional", language)).tap()
    board = page.get_by_role("group", name=Words("create", language)("regions.board"), exact=True)
    box = place(page, board)
    fingers = Fingers(page)

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        fingers.send("touchStart", start)
        for i in range(1, 5):
            fingers.send("touchMove", tuple(a + (b - a) * i / 4 for a, b in zip(start, end, strict=True)))
        fingers.send("touchEnd")

    at = lambda x, y: (box["x"] + box["width"] * x, box["y"] + box["height"] * y)  # noqa: E731
    drag(at(0.2, 0.2), at(0.5, 0.5))
    rect = page.locator(".board .rect")
    expect(rect).to_have_count(1)
    before = place(page, rect)
    drag(at(0.5, 0.5), at(0.8, 0.7))
    until(page, lambda: rect.bounding_box()["width"] > before["width"] + 0.2 * box["width"])
