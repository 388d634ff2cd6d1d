"""Pictures of every area of the studio, in both languages, wide and phone-narrow, light and dark, to be looked at.

    python -m tools.screenshots                 into screenshots/AREA-LANGUAGE-WIDTH-THEME.png
    python -m tools.screenshots create queue    these areas alone

An area that needs something to show makes it with the functions in SCENES, each of which is a picture of its own.
Needs the page built and chromium with CJK fonts (Debian: chromium,
fonts-noto-cjk).
"""

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from tools.browser import Studio, browser, studio

WIDE, PHONE = (1440, 900), (390, 844)
PROMPTS = ("a red apple", "一只橘猫", "a blue whale", "a slice of pizza", "一朵红色的玫瑰", "a rocket")
LOOKS = [
    (language, size, theme)
    for language in ("en", "zh", "both")
    for size in (WIDE, PHONE)
    for theme in ("light", "dark")
    if language != "both" or theme == "light"
]


def order(server: Studio, prompts: tuple[str, ...] = PROMPTS) -> None:
    """Ask for a few pictures and wait for them."""
    recipes = [{"prompt": text, "width": 128, "height": 128, "steps": 12, "guidance_scale": 2, "seed": i}
               for i, text in enumerate(prompts)]  # fmt: skip
    send(server, "POST", "/api/v1/jobs", {"recipes": recipes})
    for _ in range(2000):
        jobs = send(server, "GET", "/api/v1/jobs?limit=50")["jobs"]
        if all(job["state"] in ("done", "failed") for job in jobs):
            return
        time.sleep(0.3)
    raise RuntimeError("the pictures were not made in time")


def send(server: Studio, method: str, path: str, body: object = None) -> dict[str, list[dict[str, str]]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, list[dict[str, str]]] = {"jobs": json.load(answer)} if method == "POST" else json.load(answer)
        return found


def areas(page: Page) -> list[str]:
    """The names of all areas, from the navigation."""
    links = page.locator("nav a.link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    return [str(link).rpartition("/")[2] for link in links]


def take(started: Browser, server: Studio, wanted: list[str], folder: Path) -> list[Path]:
    """All pictures; returns their paths."""
    made = []
    for language, (width, height), theme in LOOKS:
        context = started.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", has_touch=width < 500
        )
        preferences = json.dumps({"language": language, "theme": theme})
        context.add_init_script(f"localStorage.setItem('fromnoise.preferences', {preferences!r})")
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("nav .link")
        for area in wanted or areas(page):
            page.goto(f"{server.address}/#/{area}")
            page.locator(f"nav a.link.router-link-active[href$='/{area}']").wait_for(state="attached")
            page.locator("main h1, main h2").first.wait_for()
            look = f"{language}-{'wide' if width > 500 else 'phone'}-{theme}"
            for name, scene in SCENES.get(area, {area: nothing}).items():
                scene(page)
                settled(page)
                path = folder / f"{name}-{look}.png"
                page.screenshot(path=path, full_page=width < 500 and page.get_by_role("dialog").count() == 0)
                made.append(path)
        context.close()
    return made


def settled(page: Page) -> None:
    """Wait until the pictures in sight have come, as far as they come at all."""
    page.wait_for_timeout(400)
    for _ in range(20):
        if page.evaluate("[...document.images].every(one => one.complete || one.loading === 'lazy')"):
            return
        page.wait_for_timeout(100)


def nothing(page: Page) -> None:
    """An area as it is."""


def create(page: Page) -> None:
    """With a prompt of every colour."""
    page.locator("textarea").first.fill("a (red:1.2) apple, [fog|mist], <lora:ink:0.8>, backlighting")


def lists(page: Page) -> None:
    """A control, an image prompt and a region in Create's lists."""
    sections = page.locator("form.draft details.section")
    for i in range(sections.count() - 1):
        sections.nth(i).locator("summary").first.click()
        if i:
            sections.nth(i).locator(".body > .stack > .row > button").last.click()


def mask(page: Page) -> None:
    """A mask that is painted on a start picture."""
    page.get_by_role("button", name=re.compile("Sketch|涂鸦")).first.click()
    page.locator("canvas.sketch").wait_for()


def steps(page: Page) -> None:
    """A picture with its steps."""
    page.locator("textarea").first.fill("a red apple")
    page.locator("textarea").first.press("Control+Enter")
    page.locator(".time").wait_for(timeout=120_000)
    page.locator("nav .count").wait_for(state="detached", timeout=120_000)  # nothing is under way any more


def more(page: Page) -> None:
    """What a phone has behind its bar."""
    button = page.locator("nav .more")
    if button.is_visible():
        button.click()


def queue(page: Page) -> None:
    """A line that is held, so that there is something in it."""
    page.evaluate(
        """async () => {
            const headers = { 'Content-Type': 'application/json' }
            const call = (method, path, body) => fetch(path, { method, headers, body: JSON.stringify(body) })
            await call('DELETE', '/api/v1/line')
            await call('PUT', '/api/v1/queue', { held: true })
            const prompts = ['a lighthouse in the storm', '水墨山水', 'a very long prompt, '.repeat(12)]
            await call('POST', '/api/v1/jobs', { recipes: prompts.map(prompt => ({ prompt })) })
        }"""
    )
    page.wait_for_timeout(1200)


def grids(page: Page) -> None:
    """A plot that is made, small and soon."""
    page.get_by_role("combobox").first.wait_for()
    page.evaluate(
        """async () => {
            const headers = { 'Content-Type': 'application/json' }
            const axes = [{ name: 'steps', values: '2, 6, 12' }, { name: 'sampler', values: 'Euler a, LCM' }]
            const recipe = { prompt: 'a red apple', width: 64, height: 64, seed: 3, guidance_scale: 2 }
            const body = JSON.stringify({ recipe, script: { kind: 'xyz', axes }, key: 'a plot' })
            await fetch('/api/v1/queue', { method: 'PUT', headers, body: '{"held": false}' })
            await fetch('/api/v1/grids', { method: 'POST', headers, body })
        }"""
    )
    page.reload()
    page.locator("figure img").wait_for(timeout=120_000)
    page.wait_for_timeout(400)


# What is done in an area before a picture of it is taken, one after the other: dialogs to open, texts to type, ...
SCENES: dict[str, dict[str, Callable[[Page], None]]] = {
    "create": {"create": create, "create-lists": lists, "create-sketch": mask},
    "how": {"how": steps},
    "queue": {"queue": queue},
    "grids": {"grids": grids},
    "accounts": {"accounts": nothing, "more": more},
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description="Pictures of the studio.")
    parser.add_argument("areas", nargs="*", help="Names of areas; all by default.")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="A folder.")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as server, browser() as started:
        order(server)
        made = take(started, server, given.areas, given.out)
    print(*made, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
