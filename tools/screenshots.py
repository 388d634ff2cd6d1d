"""Pictures of every area of the studio, in both languages, wide and phone-narrow, light and dark, to be looked at.

    python -m tools.screenshots                 into screenshots/AREA-LANGUAGE-WIDTH-THEME.png
    python -m tools.screenshots create queue    these areas alone

On a phone a picture shows its page screen after screen, side by side, as one sees it while scrolling.

It tells each picture as it is made. One that cannot be made within PATIENCE seconds is told too, the others are made
all the same, and the command then ends with 1.

What there is to show is made once, in `furnish`; SCENES has the areas of which there is more to see than one picture.
Needs the page built and chromium with CJK fonts (Debian: chromium, fonts-noto-cjk).
"""

import argparse
import io
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page
from playwright.sync_api import Error as PlaywrightError

from tools.browser import Studio, browser, studio

Look: TypeAlias = tuple[str, tuple[int, int], str]  # language, width and height, theme

WIDE, PHONE, NARROW = (1440, 900), (390, 844), 500
BETWEEN, GREY = 12, (128, 128, 128)  # pixels between the screens of a phone's page
PATIENCE, LONGEST = 20, 300  # seconds for a picture, and for what is made to be shown
GUARDED = "accounts"  # the area of which there is more to see on a server with accounts
PROMPTS = ("a red apple", "一只橘猫", "a blue whale", "a slice of pizza", "一朵红色的玫瑰", "a rocket")
LOOKS: list[Look] = [
    (language, size, theme)
    for language in ("en", "zh", "both")
    for size in (WIDE, PHONE)
    for theme in ("light", "dark")
    if language != "both" or theme == "light"
]


def furnish(server: Studio) -> dict[str, str]:
    """Pictures, some of them with their steps, and a grid; returns what a browser remembers of them."""
    small = {"width": 128, "height": 128, "steps": 12, "guidance_scale": 2}
    axes = [{"name": "steps", "values": "2, 6, 12"}, {"name": "sampler", "values": "Euler a, LCM"}]
    recipe = {"prompt": "a red apple", "width": 64, "height": 64, "seed": 3, "guidance_scale": 2}
    send(server, "POST", "/api/v1/grids", {"recipe": recipe, "script": {"kind": "xyz", "axes": axes}})
    recipes = [{"prompt": text, "seed": i, **small} for i, text in enumerate(PROMPTS)]
    apple, *_ = send(server, "POST", "/api/v1/jobs", {"recipes": recipes})
    traced = send(server, "POST", "/api/v1/jobs", {"recipes": [recipes[0]], "trace": True})
    samplers = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde")
    several = send(
        server, "POST", "/api/v1/jobs", {"recipes": [{**recipes[0], "sampler": one} for one in samplers], "trace": True}
    )
    await_all(server)
    (first,) = send(server, "GET", f"/api/v1/jobs/{apple['id']}/results")
    with urllib.request.urlopen(server.address + first["url"]) as answer:
        sent = urllib.request.urlopen(f"{server.address}/api/v1/images", answer.read())
    init = {"path": "", "sha256": json.load(sent)["sha256"]}
    sent.close()
    child = {**recipes[0], "prompt": "a green apple", "init": init, "strength": 0.6}
    send(server, "POST", "/api/v1/jobs", {"recipes": [child, {**child, "prompt": "a yellow pear"}]})
    await_all(server)
    shown = {"how.runs": zip(traced, ("",), strict=True), "how.several": zip(several, samplers, strict=True)}
    words = [{"prompt": text, "negative": "blurred" if i % 2 else ""} for i, text in enumerate(PROMPTS)]
    presets: list[dict[str, Any]] = [
        {"name": name, "recipe": {"steps": 30}, "count": 1, "styles": []} for name in ("Portraits", "水彩")
    ]
    return {"prompts": json.dumps({"all": words}), "presets": json.dumps({"all": presets})} | {
        name: json.dumps({"runs": [{"job": job["id"], "label": label, "prompt": PROMPTS[0]} for job, label in runs]})
        for name, runs in shown.items()
    }


def await_all(server: Studio) -> None:
    """Until nothing waits or runs."""
    end = time.monotonic() + LONGEST
    while any(job["state"] in ("queued", "running") for job in send(server, "GET", "/api/v1/jobs?limit=50")["jobs"]):
        if time.monotonic() > end:
            raise RuntimeError("the pictures were not made in time")
        time.sleep(0.3)


def send(server: Studio, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = answer.read()
        return json.loads(told) if told else None


def areas(page: Page) -> list[str]:
    """The names of all areas, from the navigation."""
    links = page.locator("nav a.link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    return [str(link).rpartition("/")[2] for link in links]


@contextmanager
def visit(started: Browser, server: Studio, look: Look, kept: Mapping[str, str]) -> Iterator[Page]:
    """The page as a browser shows it that remembers `kept`."""
    language, (width, height), theme = look
    context = started.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce", has_touch=width < NARROW
    )
    context.set_default_timeout(PATIENCE * 1000)
    remembered = {**kept, "preferences": json.dumps({"language": language, "theme": theme})}
    for name, value in remembered.items():
        for storage in ("localStorage", "sessionStorage"):
            context.add_init_script(f"{storage}.setItem('fromnoise.{name}', {value!r})")
    page = context.new_page()
    page.goto(server.address)
    page.wait_for_selector("nav .link")
    try:
        yield page
    finally:
        context.close()


def take(started: Browser, server: Studio, wanted: list[str], folder: Path) -> list[str]:
    """All pictures; returns what could not be made, and why."""
    kept = furnish(server)
    failed, begun = [], time.monotonic()
    for number, look in enumerate(LOOKS, 1):
        language, (width, _), theme = look
        tail = f"{language}-{'wide' if width > NARROW else 'phone'}-{theme}"
        with visit(started, server, look, kept) as page:
            for area in wanted or areas(page):
                for name, scene in SCENES.get(area, {area: nothing}).items():
                    path = folder / f"{name}-{tail}.png"
                    try:
                        show(page, server, area)
                        with scene(page, server):
                            screens(page, width < NARROW and page.get_by_role("dialog").count() == 0).save(path)
                    except PlaywrightError as error:
                        failed.append(f"{path.name}: {str(error).splitlines()[0]}")
                    told = failed[-1] if failed and failed[-1].startswith(path.name) else path.name
                    print(f"{number}/{len(LOOKS)} {time.monotonic() - begun:.0f} s {told}", flush=True)
    if not wanted or GUARDED in wanted:
        failed += guarded(started, folder)
    return failed


def guarded(started: Browser, folder: Path) -> list[str]:
    """A server with accounts: its form to sign in, and the people it knows; returns what could not be made, and why."""
    failed = []
    with tempfile.TemporaryDirectory() as place:
        server = Studio(Path(place))
        server.add_user("ann", "correct horse", "--admin")
        server.add_user("bob", "battery staple")
        server.start()
        try:
            for look in LOOKS:
                language, (width, _), theme = look
                tail = f"{language}-{'wide' if width > NARROW else 'phone'}-{theme}"
                try:
                    with visit(started, server, look, {}) as page:
                        page.locator(".sign-in").wait_for()
                        screens(page, scroll=False).save(folder / f"sign-in-{tail}.png")
                        page.locator(".sign-in input[autocomplete=username]").fill("ann")
                        page.locator(".sign-in input[type=password]").fill("correct horse")
                        page.locator(".sign-in input[type=password]").press("Enter")
                        page.locator(".sign-in").wait_for(state="detached")
                        show(page, server, GUARDED)
                        page.get_by_text("bob", exact=True).first.wait_for()
                        screens(page, width < NARROW).save(folder / f"{GUARDED}-users-{tail}.png")
                except PlaywrightError as error:
                    failed.append(f"{GUARDED}-users-{tail}: {str(error).splitlines()[0]}")
                print(failed[-1] if failed and tail in failed[-1] else f"{GUARDED}-users-{tail}", flush=True)
        finally:
            server.stop()
    return failed


def show(page: Page, server: Studio, area: str) -> None:
    """An area anew, with nothing opened."""
    page.goto(f"{server.address}/#/{area}")
    page.reload()
    page.locator(f"nav a.link.router-link-active[href$='/{area}']").wait_for(state="attached")
    page.locator("main h1, main h2").first.wait_for()
    page.wait_for_timeout(300)


def settled(page: Page) -> None:
    """Wait until the pictures in sight have come, as far as they come at all."""
    page.wait_for_timeout(400)
    for _ in range(20):
        if page.evaluate("[...document.images].every(one => one.complete || one.loading === 'lazy')"):
            return
        page.wait_for_timeout(100)


def screens(page: Page, scroll: bool) -> Image.Image:
    """What is seen; with `scroll` all of the page, a screen beside the other."""
    shown: list[Image.Image] = []
    bar = page.locator("nav").bounding_box()
    top, step = 0.0, page.evaluate("innerHeight") - 1.5 * (bar or {"height": 0})["height"] if scroll else 0
    while True:
        if scroll:
            page.evaluate("top => scrollTo(0, top)", top)
        settled(page)
        shown.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        top += step
        if not scroll or page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 1"):
            break
    width, height = shown[0].size
    whole = Image.new("RGB", (len(shown) * (width + BETWEEN) - BETWEEN, height), GREY)
    for i, one in enumerate(shown):
        whole.paste(one, (i * (width + BETWEEN), 0))
    return whole


Scene = Callable[[Page, Studio], AbstractContextManager[None]]


@contextmanager
def nothing(page: Page, server: Studio) -> Iterator[None]:
    """An area as it is."""
    yield


def opened(*names: str) -> Scene:
    """After these buttons were pressed, each given by its names in both languages: A|B."""

    @contextmanager
    def scene(page: Page, server: Studio) -> Iterator[None]:
        for name in names:
            page.get_by_role("button", name=re.compile(f"^({name})")).first.click()
        page.get_by_role("dialog").wait_for()
        yield
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")

    return scene


def chosen(selector: str, word: str = "") -> Scene:
    """After the first such element was pressed, the area found by a word where it has a search."""

    @contextmanager
    def scene(page: Page, server: Studio) -> Iterator[None]:
        if word:
            page.get_by_role("searchbox").first.fill(word)
        page.locator(selector).first.click()
        yield

    return scene


@contextmanager
def closer(page: Page, server: Studio) -> Iterator[None]:
    """A picture of the gallery at eight times its size."""
    with chosen("main button.picture")(page, server):
        page.locator(".viewer .lens img").wait_for()
        for key in ("1", *"+" * 9):
            page.keyboard.press(key)
        yield


@contextmanager
def create(page: Page, server: Studio) -> Iterator[None]:
    """With a prompt of every colour."""
    page.locator("textarea").first.fill("a (red:1.2) apple, [fog|mist], <lora:ink:0.8>, backlighting")
    yield


@contextmanager
def lists(page: Page, server: Studio) -> Iterator[None]:
    """A control, an image prompt and a region in Create's lists, and what is said of the picture that is missing."""
    before = page.evaluate("sessionStorage.getItem('fromnoise.draft')")
    page.locator("form.draft option[value=euler_ancestral]").first.wait_for(state="attached")
    for name, adds in (
        ("LoRA", False),
        ("ControlNet", True),
        ("Image prompts|图像提示", True),
        ("Regions|分区", True),
        ("Boxes|方框", False),
    ):
        section = page.locator("form.draft details.section", has=page.locator("summary", has_text=re.compile(name)))
        section.locator("summary").first.click()
        section.locator(".body").wait_for()
        if adds:
            section.locator(".body > .stack > .row > button").last.click()
            section.locator(".entry").first.wait_for()
    page.locator("form.draft button.main").click()
    page.get_by_role("alert").first.wait_for()
    yield
    page.evaluate("draft => sessionStorage.setItem('fromnoise.draft', draft)", before)


@contextmanager
def start(page: Page, server: Studio) -> Iterator[None]:
    """With a picture to begin from."""
    page.get_by_role("button", name=re.compile("^(Sketch|涂鸦)")).first.click()
    page.get_by_role("dialog").locator("button.main").click()
    page.locator(".start .thumb img").first.wait_for()
    yield
    page.get_by_role("button", name=re.compile("^(Remove|移除)")).first.click()


@contextmanager
def batch(page: Page, server: Studio) -> Iterator[None]:
    """Four pictures to begin from, and masks, one of which has another name."""
    page.get_by_role("button", name=re.compile("^(Many pictures|批量处理)")).first.click()
    colours = {"apple": "#c0392b", "lake": "#2b6ea6", "meadow": "#3f8f4f", "night": "#1d1b38"}
    fields = page.locator(".start .many input[type=file][multiple]")
    fields.nth(0).set_input_files([square(f"{name}.png", colour) for name, colour in colours.items()])
    page.locator(".several img").nth(2).wait_for()
    fields.nth(1).set_input_files([square(f"{name}.png", "white") for name in ("apple", "lake", "meadow", "moon")])
    page.locator(".many .warning").nth(1).wait_for()
    page.locator(".several").scroll_into_view_if_needed()
    yield
    page.get_by_role("button", name=re.compile("^(Remove|移除)(?!.*(mask|蒙版))")).first.click()


def square(name: str, colour: str) -> FilePayload:
    """A file for a field of the page."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 96), colour).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


@contextmanager
def outpainted(page: Page, server: Studio) -> Iterator[None]:
    """The frame around a picture, pulled outwards."""
    with start(page, server):
        page.get_by_role("button", name=re.compile("^(Outpaint|扩图)")).first.click()
        page.get_by_role("dialog").get_by_text("+25%").click()
        yield
        page.keyboard.press("Escape")


@contextmanager
def masked(page: Page, server: Studio) -> Iterator[None]:
    """A mask that was painted, and the fields that belong to it."""
    with start(page, server):
        page.get_by_role("button", name=re.compile("^(Paint a mask|局部重绘)")).click()
        canvas = page.locator("canvas.mask")
        canvas.wait_for()
        page.wait_for_timeout(300)  # what is above it has come
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=6)
        page.mouse.up()
        page.get_by_role("dialog").locator("footer button.main").click()
        page.locator(".start .thumb img.mask").wait_for()
        page.locator(".start").scroll_into_view_if_needed()
        yield


@contextmanager
def mistaken(page: Page, server: Studio) -> Iterator[None]:
    """A mistake that is told, with its remedy."""
    width = page.get_by_role("spinbutton", name=re.compile("^(Width|宽度)")).first
    before = width.input_value()
    width.fill("100")
    page.locator("form.draft button.main").click()
    page.get_by_role("alert").first.wait_for()
    yield
    width.fill(before)
    width.press("Tab")


@contextmanager
def unlinked(page: Page, server: Studio) -> Iterator[None]:
    """A server that does not answer."""
    page.route("**/api/v1/events*", lambda route: route.abort())
    try:
        page.reload()
        page.get_by_text(re.compile("The server does not answer|服务器没有应答")).first.wait_for()
        yield
    finally:
        page.unroute("**/api/v1/events*")


@contextmanager
def menu(page: Page, server: Studio) -> Iterator[None]:
    """Where a picture can be sent."""
    page.get_by_role("button", name=re.compile("^(Send it to|发送到)")).first.click()
    page.get_by_role("menu").wait_for()
    yield
    page.keyboard.press("Escape")


def selected(*names: str) -> Scene:
    """Two pictures of the gallery, after these buttons of what can be done with them."""

    @contextmanager
    def scene(page: Page, server: Studio) -> Iterator[None]:
        for i in range(2):
            page.locator(f"li:has(.picture[data-index='{i}']) .tick").click()
        bar = page.get_by_role("toolbar")
        bar.wait_for()
        for name in names:
            bar.get_by_role("button", name=re.compile(f"^({name})")).first.click()
            page.get_by_role("dialog").wait_for()
        yield

    return scene


@contextmanager
def family(page: Page, server: Studio) -> Iterator[None]:
    """A picture that others were made from."""
    found = send(server, "GET", "/api/v1/gallery?words=%22a%20yellow%20pear%22")["pictures"]
    page.goto(f"{server.address}/#/gallery/{found[0]['id']}")
    page.get_by_role("list", name=re.compile("^(Family|来源关系)")).scroll_into_view_if_needed()
    yield


@contextmanager
def several(page: Page, server: Studio) -> Iterator[None]:
    """Samplers side by side."""
    name = "localStorage.getItem('fromnoise.how.several')"
    page.add_init_script(f"sessionStorage.setItem('fromnoise.how.runs', {name})")
    page.reload()
    page.locator(".pictures figure img").nth(3).wait_for()
    yield


@contextmanager
def more(page: Page, server: Studio) -> Iterator[None]:
    """What a phone has behind its bar."""
    button = page.locator("nav .more")
    if button.is_visible():
        button.click()
    yield


@contextmanager
def queue(page: Page, server: Studio) -> Iterator[None]:
    """A line that is held, so that there is something in it."""
    prompts = ("a lighthouse in the storm", "水墨山水", "a very long prompt, " * 12)
    send(server, "PUT", "/api/v1/queue", {"held": True})
    jobs = send(server, "POST", "/api/v1/jobs", {"recipes": [{"prompt": prompt} for prompt in prompts]})
    try:
        page.reload()
        page.get_by_text("水墨山水").first.wait_for()
        yield
    finally:
        send(server, "DELETE", "/api/v1/line")
        send(server, "PUT", "/api/v1/queue", {"held": False})
        for job in jobs:
            send(server, "DELETE", f"/api/v1/jobs/{job['id']}")


@contextmanager
def grids(page: Page, server: Studio) -> Iterator[None]:
    """The plot that was made."""
    page.locator("figure img").wait_for()
    yield


@contextmanager
def extras(page: Page, server: Studio) -> Iterator[None]:
    """A picture of the gallery, read."""
    picture = send(server, "GET", "/api/v1/gallery?limit=1")["pictures"][0]["id"]
    page.goto(f"{server.address}/#/extras?picture={picture}")
    page.reload()
    page.locator("figure img").wait_for()
    yield


@contextmanager
def training(page: Page, server: Studio) -> Iterator[None]:
    """A data set that is looked at."""
    if not send(server, "GET", "/api/v1/datasets"):
        send(server, "POST", "/api/v1/datasets", {"name": "apples"})
        page.reload()
    page.get_by_text("apples").first.click()
    yield


def said(*names: str) -> Scene:
    """After these texts were pressed, each given by its words in both languages: A|B."""

    @contextmanager
    def scene(page: Page, server: Studio) -> Iterator[None]:
        for name in names:
            page.get_by_text(re.compile(f"^({name})")).first.click()
        yield

    return scene


# An area's pictures: what is done before each of them, and undone after it.
SCENES: dict[str, dict[str, Scene]] = {
    "create": {
        "create": create, "create-lists": lists, "create-start": start, "create-batch": batch,
        "create-sketch": opened("Sketch|涂鸦"),
        "create-outpaint": outpainted, "create-mask": masked, "create-mistake": mistaken, "create-unlinked": unlinked,
        "create-menu": menu, "create-own": opened("Presets of your own|我的参数预设"),
        "create-history": opened("Prompts of before|用过的提示词"),
        "create-library": opened("Prompt library|提示词库"), "create-styles": opened("Styles|预设样式"),
        "create-large": opened("See it large|查看大图"),
    },
    "how": {"how": nothing, "how-several": several},
    "gallery": {
        "gallery": nothing, "gallery-picture": chosen("main button.picture"), "gallery-selection": selected(),
        "gallery-compare": selected("Compare|对比"), "gallery-family": family,
        "gallery-closer": closer,
    },
    "queue": {"queue": queue},
    "models": {
        "models": nothing, "models-card": chosen(".card"), "models-merge": opened("Merge|合并"),
        "models-download": opened("Download|下载"),
    },
    "grids": {"grids": grids, "grids-matrix": said("Prompt matrix|提示词矩阵")},
    "extras": {"extras": nothing, "extras-picture": extras},
    "training": {"training": nothing, "training-set": training, "training-new": said("New training|新建训练")},
    "accounts": {"accounts": nothing, "more": more},
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description="Pictures of the studio.")
    parser.add_argument("areas", nargs="*", help="Names of areas; all by default.")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="A folder.")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as server, browser() as started:
        failed = take(started, server, given.areas, given.out)
    print(*failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
