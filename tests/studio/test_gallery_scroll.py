"""Scrolling through 20,000 pictures: the page's own work for each frame, by a trace of the browser.

What counts is the processor time of the page's main thread (script, style, layout, paint) from one frame to the next:
it is the page's alone, and does not depend on what else the machine does, as the times between frames would.
"""

import hashlib
import io
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from PIL import Image
from studio.waiting import expect

from fromnoise.jobs import thumbnails
from fromnoise.jobs.database import Database
from fromnoise.jobs.picture import New
from fromnoise.jobs.queue import Queue

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytestmark = pytest.mark.studio

ROWS = 20_000
KINDS = 40  # of pictures that differ
FRAME = 16.7  # milliseconds at 60 frames a second
MAY_BE_LATE = 0.01  # of the frames: when the browser tidies its memory
FAR = 36_000  # pixels that are scrolled, through about 400 rows ...
SPEED = 6_000  # ... at so many a second
TASKS = ("RunTask", "ThreadControllerImpl::RunTask")
FRAMES = "disabled-by-default-devtools.timeline.frame"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with 20,000 pictures in its gallery; it needs no worker."""
    from fromnoise.server.access import Access
    from fromnoise.server.accounts import Users
    from fromnoise.server.app import create_app
    from fromnoise.server.context import Context
    from tools.ports import free_port

    folder = tmp_path_factory.mktemp("full")
    database = Database.open(f"sqlite:///{folder / 'fromnoise.db'}")
    context = Context(Queue(database), Access.to(Users(database, {})), folder / "outputs", folder / "uploads")
    context.outputs.mkdir()
    hashes = [kept(context.outputs, context.thumbs, i) for i in range(KINDS)]
    for start in range(0, ROWS, 2000):
        context.gallery.add([row(number, hashes) for number in range(start, start + 2000)])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(context), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join()
    database.close()


def kept(outputs: Path, thumbs: Path, number: int) -> str:
    """A picture's file and its small one; its hash."""
    image = Image.effect_noise((320, 320), 40 + number).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    (outputs / f"kind-{number}.png").write_bytes(buffer.getvalue())
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    thumbnails.keep(thumbs, sha256, image)
    return sha256


def row(number: int, hashes: Sequence[str]) -> New:
    recipe = {"prompt": f"picture number {number}", "sampler": "euler", "model": "builtin", "seed": number}
    return New(f"row-{number}.png", hashes[number % KINDS], 1000, 0, 320, 320, created=1e9 + number, recipe=recipe)


def scroll(session: "CDPSession", distance: int) -> None:
    """As a wheel does, smoothly; below 0 towards the end."""
    gesture = {"x": 700, "y": 500, "yDistance": distance, "speed": SPEED, "gestureSourceType": "mouse"}
    session.send("Input.synthesizeScrollGesture", gesture)


def frames(events: Sequence[dict[str, Any]]) -> list[float]:
    """Milliseconds of processor time of the page's main thread, for each of its frames.

    A frame goes from the task that begins one to the next such task: work between frames counts, too.
    """
    mains = {
        (e["pid"], e["tid"]) for e in events if e.get("name") == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    begins = [e for e in events if e["name"] == "BeginMainThreadFrame" and (e["pid"], e["tid"]) in mains]
    thread = max(mains, key=lambda one: sum((e["pid"], e["tid"]) == one for e in begins))  # that of the page
    starts = sorted(e["ts"] for e in begins if (e["pid"], e["tid"]) == thread)
    work = outermost([e for e in events if (e["pid"], e["tid"]) == thread and e["name"] in TASKS and "tdur" in e])
    spent = [0.0] * len(starts)
    at = -1
    for task in work:
        while at + 1 < len(starts) and starts[at + 1] <= task["ts"] + 1:
            at += 1
        if at >= 0:
            spent[at] += task["tdur"] / 1000
    return spent


def outermost(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those inside of others: the browser tells a task by several names."""
    found: list[dict[str, Any]] = []
    for task in sorted(tasks, key=lambda e: (e["ts"], -e["dur"])):
        if not found or task["ts"] >= found[-1]["ts"] + found[-1]["dur"]:
            found.append(task)
    return found


def traced(page: "Page", session: "CDPSession", distance: int) -> list[float]:
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(
        page=page, categories=["toplevel", "devtools.timeline", FRAMES, "disabled-by-default-devtools.timeline"]
    )
    scroll(session, distance)
    return frames(json.loads(browser.stop_tracing())["traceEvents"])


@pytest.mark.alone
def test_scrolling_leaves_time_for_sixty_frames_a_second(visit, full: str) -> None:
    page = visit("gallery", at=full, size=(1440, 900))
    page.locator(".picture").nth(20).wait_for()
    expect(page.get_by_text("20000 pictures")).to_be_visible()
    session = page.context.new_cdp_session(page)
    scroll(session, -3000)  # what is compiled once is compiled

    down = traced(page, session, -FAR)  # more is loaded on the way
    assert page.locator(".wall").evaluate("wall => wall.scrollTop") > 0.9 * FAR
    up = traced(page, session, FAR)
    assert page.locator("li:has(.picture)").count() < 150  # only what is on the screen is there
    for way, spent in (("down", down), ("up", up)):
        worst = sorted(spent)[-5:]
        late = sum(one > FRAME for one in spent)
        print(
            f"{way}: {len(spent)} frames, mean {sum(spent) / len(spent):.1f} ms, worst {worst}, over {FRAME} ms: {late}"
        )
        assert len(spent) > 60
        assert late <= MAY_BE_LATE * len(spent), f"{way}: {late} of {len(spent)} frames took more: {worst}"


@pytest.mark.slow
def test_the_last_of_them_is_reached(visit, full: str) -> None:
    page = visit("gallery", at=full, size=(1440, 900))
    page.locator(".picture").nth(20).wait_for()
    page.evaluate(
        """async () => {
            const wall = document.querySelector('.wall')
            const end = performance.now() + 150000
            while (!document.querySelector('[data-index="19999"]') && performance.now() < end) {
                wall.scrollTop = wall.scrollHeight
                await new Promise(go => setTimeout(go, 60))
            }
        }"""
    )
    expect(page.locator("[data-index='19999']")).to_be_visible()
    expect(page.locator("[data-index='19999']")).to_have_attribute("title", "picture number 0")
