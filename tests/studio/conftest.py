"""A server with the built-in model and a browser, for the tests that are marked `studio`.

With FROMNOISE_TEST_DELAY=MILLISECONDS pages have a slow network: every call of theirs waits up to so long before it is
sent and again before its answer is there, so that answers overtake each other, and all else that they load comes later.
FROMNOISE_TEST_SEED=NUMBER draws other delays. What fails then has a race, in the test or in the page.
"""

import json
import os
import random
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

    from tools.browser import Studio

QUIET = (
    "Failed to load resource",  # the browser's own words for an answer that is an error, which the page tells
    "The Cross-Origin-Opener-Policy header has been ignored",  # over http from another machine it means nothing
)

PASSING = "/preview"  # of a job, gone by the time that it is asked for


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Studio]":
    """One for all tests; those that stop it start one of their own."""
    from tools.browser import studio

    with studio(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture(scope="session")
def furnished(server: "Studio") -> None:
    """Two pictures in the gallery, and the jobs that made them, so that lists have their entries and buttons."""
    from studio.waiting import PATIENCE

    body = json.dumps({"recipes": [{"prompt": "a small thing", "width": 64, "height": 64, "steps": 1}] * 2}).encode()
    url, form = server.address + "/api/v1/jobs", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, form), timeout=PATIENCE) as answer:
        wanted = {job["id"] for job in json.load(answer)}
    end = time.monotonic() + 2 * PATIENCE
    while wanted - {job["id"] for job in json.load(urllib.request.urlopen(url + "?state=done&limit=100"))["jobs"]}:
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    from tools.browser import browser

    with browser() as started:
        yield started


TOKEN = "a-token-that-nobody-guesses-0123456789"


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Studio]":
    """A server with a token, an administrator, ann, and a user, bob; it has another name, too."""
    from tools.browser import ELSEWHERE, Studio

    server = Studio(tmp_path_factory.mktemp("guarded"), options=("--token", TOKEN, "--host-name", ELSEWHERE))
    server.add_user("ann", "correct horse", "--admin")
    server.add_user("bob", "battery staple")
    server.start()
    yield server
    server.stop()


Open = Callable[..., "Page"]


def is_lost(answer: "Response", missing: str) -> bool:
    """Whether it is a 404 of what the page shows; answers to its calls are for the page to tell."""
    if answer.status != 404 or answer.request.resource_type in ("fetch", "xhr"):
        return False
    return PASSING not in answer.url and not (missing and missing in answer.url)


DELAY = int(os.environ.get("FROMNOISE_TEST_DELAY", "0"))  # milliseconds at most
SEED = os.environ.get("FROMNOISE_TEST_SEED", "0")
SLOW_CALLS = """
    const real = window.fetch
    let state = SEED
    const chance = () => (state = (state * 48271) % 2147483647) / 2147483647
    const wait = () => new Promise(go => setTimeout(go, DELAY * chance()))
    window.fetch = async (...asked) => {
        await wait()
        const answer = await real(...asked)
        await wait()
        return answer
    }
"""


def slow_down(page: "Page", seed: str) -> None:
    """Give it the slow network that FROMNOISE_TEST_DELAY asks for."""
    dice = random.Random(f"{SEED} {seed}")
    script = SLOW_CALLS.replace("SEED", str(dice.randrange(1, 2**31 - 1))).replace("DELAY", str(DELAY))
    page.add_init_script(f"(() => {{ {script} }})()")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": dice.uniform(0, DELAY / 2), "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", slow)


@pytest.fixture
def visit(request: pytest.FixtureRequest, chromium: "Browser") -> Iterator[Open]:
    """visit("create", language="zh"): a page of that area for a new visitor; errors in its console fail the test.

    `at` is the address of another server than the one for all tests, which is not started then; with `touch` it is a
    screen that fingers touch. `script` is run before the page's own. An answer that the server failed (5xx) fails the
    test, too, and so does a picture or another part of the page that is not there (404), unless `missing` is a part of
    its address, or the server is `mortal`: killed and begun again while it answers.
    """
    from studio.waiting import PATIENCE

    contexts = []
    errors: list[str] = []

    def visit(
        area: str = "",
        *,
        language: str = "en",
        theme: str = "light",
        size: tuple[int, int] = (1280, 800),
        touch: bool = False,
        at: str = "",
        script: str = "",
        missing: str = "",
        mortal: bool = False,
    ) -> "Page":
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
            locale="en-US",
            has_touch=touch,
            is_mobile=touch,
        )
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        preferences = json.dumps({"language": language, "theme": theme})
        context.add_init_script(
            "self === top && (localStorage.getItem('fromnoise.preferences') || "
            f"localStorage.setItem('fromnoise.preferences', {preferences!r}))"
        )
        if script:
            context.add_init_script(script)
        context.on(
            "response",
            lambda answer: (
                errors.append(f"{answer.status} {answer.request.method} {answer.url}")
                if not mortal and (answer.status >= 500 or is_lost(answer, missing))
                else None
            ),
        )
        page = context.new_page()
        if DELAY:
            slow_down(page, f"{request.node.name} {len(contexts)}")
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{at or request.getfixturevalue('server').address}/#/{area}")
        page.wait_for_selector("nav .link")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [error for error in errors if not error.startswith(QUIET)] == []


@pytest.fixture(scope="session")
def axe(root: Path) -> "Callable[[Page], list[str]]":
    """axe(page): its serious problems of accessibility, each in a line."""
    script = (root / "studio/node_modules/axe-core/axe.min.js").read_text("utf-8")

    def axe(page: "Page") -> list[str]:
        page.evaluate(script)
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['target'] for node in one['nodes']][:4]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    return axe
