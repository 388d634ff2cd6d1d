"""What can be done with a picture of the gallery, in both languages: sent on, verified, its family, albums, the bin."""

import io
import json
import re
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio.test_gallery import call, found, looked, nth, turn
from studio.waiting import PATIENCE, equals, expect, until, width
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


@pytest.fixture
def made(server: "Studio", language: str, request: pytest.FixtureRequest) -> Callable[..., str]:
    """made(count): the words that find so many new pictures, which no other test has."""
    mark = re.sub(r"[^a-z]", "", request.node.name.split("[")[0].removeprefix("test_")) + language

    def made(count: int = 1) -> str:
        recipes = [
            {"prompt": f"a {mark} picture {n}", "width": 64, "height": 64, "steps": 2, "seed": n} for n in range(count)
        ]
        jobs = [job["id"] for job in call(server, "/api/v1/jobs", {"recipes": recipes})]
        end = time.monotonic() + 2 * PATIENCE
        while any(call(server, f"/api/v1/jobs/{job}")["state"] != "done" for job in jobs):
            assert time.monotonic() < end
            time.sleep(0.2)
        return mark

    return made


@LANGUAGES
def test_a_picture_is_sent_to_every_area(visit, made: Callable[..., str], language: str) -> None:
    say, mark = Words("gallery", language), made()
    send_words = Words("forms", language)
    prompt = f"a {mark} picture 0"
    label = {"en": "Prompt", "zh": "提示词"}[language]
    page = visit("gallery", language=language)

    def look() -> None:
        page.goto(re.sub(r"#.*", "#/gallery", page.url))
        found(page, mark, 1).click()

    def send(key: str) -> None:
        look()
        page.get_by_role("button", name=say("send.to"), exact=True).click()
        page.get_by_role("menuitem", name=(send_words if key == "send.start" else say)(key), exact=True).click()

    look()
    page.get_by_role("button", name=say("send.to"), exact=True).click()
    page.keyboard.press("Escape")  # the menu's
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(page.locator("h1.prompt")).to_have_text(prompt)
    page.get_by_role("button", name=say("send"), exact=True).click()
    expect(page.get_by_label(label, exact=True)).to_have_value(prompt)
    send("send.start")
    assert width(page.locator(".start .thumb img").first) == 64
    send("send.grids")
    expect(page.get_by_role("textbox", name=label, exact=True)).to_have_value(prompt)
    send("send.extras")
    assert width(page.locator(".extras figure img").first) == 64
    expect(page.get_by_text(prompt).first).to_be_visible()
    send("how")
    expect(page.get_by_text(Words("how", language)("step", step=2, steps=2)).first).to_be_visible()


@LANGUAGES
def test_what_was_made_from_a_picture_is_its_family_and_is_verified(
    visit, made: Callable[..., str], server: "Studio", language: str
) -> None:
    say, mark = Words("gallery", language), made()
    (first,) = call(server, f"/api/v1/gallery?words={mark}")["pictures"]
    data = urllib.request.urlopen(server.address + first["url"]).read()
    sent = urllib.request.urlopen(urllib.request.Request(f"{server.address}/api/v1/images", data, method="POST"))
    init = {"path": "first.png", "sha256": json.load(sent)["sha256"]}
    child = {"prompt": f"a {mark} child", "init": init, "strength": 0.5, "width": 64,
             "height": 64, "steps": 2, "seed": 5}  # fmt: skip
    call(server, "/api/v1/jobs", {"recipes": [child]})
    page = visit("gallery", language=language)
    until(page, lambda: len(call(server, f"/api/v1/gallery?words={mark}")["pictures"]) == 2)
    found(page, mark, 2)
    found(page, f"{mark} child", 1).click()
    family = page.get_by_role("list", name=say("family"))
    expect(family.get_by_role("listitem")).to_have_count(2)
    expect(family.get_by_role("listitem").nth(1).get_by_role("link")).to_have_attribute("aria-current", "true")
    family.get_by_role("button", name=say("compare"), exact=True).click()
    page.get_by_role("dialog").get_by_label(say("compare.share"), exact=True).fill("80")
    expect(page.locator(".both .left")).to_have_css("clip-path", "inset(0px 20% 0px 0px)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name=say("verify"), exact=True).click()
    expect(page.get_by_text(Words("forms", language)("verdict.identical"))).to_be_visible()
    family.get_by_role("link").first.click()
    expect(page.locator("h1.prompt")).to_have_text(f"a {mark} picture 0")
    expect(page).to_have_url(re.compile(first["id"]))
    expect(family.get_by_role("listitem")).to_have_count(2)


@LANGUAGES
def test_many_are_tagged_put_into_an_album_saved_compared_and_deleted_for_good(
    visit, axe, made: Callable[..., str], server: "Studio", language: str
) -> None:
    say, mark = Words("gallery", language), made(3)
    page = visit("gallery", language=language)
    found(page, mark, 3)
    nth(page, 0, ".tick").click()
    nth(page, 2).click(modifiers=["Shift"])
    bar = page.get_by_role("toolbar")
    expect(bar.get_by_text(say("selected", n=3))).to_be_visible()
    assert axe(page) == []
    for button, field, text in (("tag.add", "tag", f"tag {mark}"), ("album.put", "album.name", f"album {mark}")):
        bar.get_by_role("button", name=say(button), exact=True).click()
        page.get_by_role("dialog").get_by_label(say(field), exact=True).fill(text)
        page.get_by_role("dialog").get_by_role("button", name=say("put"), exact=True).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    with page.expect_download() as saved:
        bar.get_by_role("link", name=say("download"), exact=True).click()
    names = zipfile.ZipFile(io.BytesIO(Path(saved.value.path()).read_bytes())).namelist()
    assert len([name for name in names if name.endswith(".png")]) == 3
    nth(page, 2).click(modifiers=["Control"])
    bar.get_by_role("button", name=say("compare"), exact=True).click()
    expect(page.get_by_role("dialog").locator("img")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    bar.get_by_role("button", name=say("select.none"), exact=True).click()

    page.reload()
    page.get_by_role("button", name=say("filters"), exact=True).click()
    for name in ("album", "tag"):
        page.get_by_label(say(name), exact=True).select_option(f"{name} {mark}")
        looked(page)
        expect(page.locator(".picture")).to_have_count(3)

    nth(page, 0, ".tick").click()
    nth(page, 1).click(modifiers=["Shift"])
    page.get_by_role("toolbar").get_by_role("button", name=say("delete"), exact=True).click()
    expect(page.locator(".picture")).to_have_count(1)
    turn(page, say("bin"))
    expect(page.locator(".picture")).to_have_count(2)
    page.locator(".gallery header").get_by_role("button", name=say("bin.empty"), exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=say("bin.empty"), exact=True).click()
    until(page, lambda: len(call(server, f"/api/v1/gallery?words={mark}&deleted=true")["pictures"]) == 0)
    equals(page, lambda: len(call(server, f"/api/v1/gallery?words={mark}")["pictures"]), 1)


@LANGUAGES
def test_a_picture_is_made_again_from_its_recipe(
    visit, made: Callable[..., str], server: "Studio", language: str
) -> None:
    say, mark = Words("gallery", language), made()
    page = visit("gallery", language=language)
    found(page, mark, 1).click()
    page.get_by_role("button", name=say("again"), exact=True).click()
    page.get_by_text(say("again.begun")).wait_for()
    until(page, lambda: len(call(server, f"/api/v1/gallery?words={mark}")["pictures"]) == 2)
    newest, oldest = call(server, f"/api/v1/gallery?words={mark}")["pictures"]
    assert newest["seed"] == oldest["seed"]
    page.keyboard.press("Escape")
    expect(page.locator(".picture")).to_have_count(2)  # it came by itself


@LANGUAGES
def test_a_folder_of_pictures_is_taken_in_where_it_is(
    visit, made: Callable[..., str], server: "Studio", tmp_path: Path, language: str
) -> None:
    say, mark = Words("gallery", language), made()
    (first,) = call(server, f"/api/v1/gallery?words={mark}")["pictures"]
    data = urllib.request.urlopen(server.address + first["url"]).read()
    (tmp_path / f"taken-in-{language}.png").write_bytes(data + language.encode())  # another file
    page = visit("gallery", language=language)
    page.get_by_role("button", name=say("import"), exact=True).click()
    page.get_by_label(say("import.folder"), exact=True).fill(str(tmp_path / "none"))
    page.get_by_role("dialog").get_by_role("button", name=say("import.go"), exact=True).click()
    refused = {"en": "there is no such folder", "zh": "没有这个文件夹"}[language]
    expect(page.get_by_text(refused).first).to_be_visible()
    page.get_by_label(say("import.folder"), exact=True).fill(str(tmp_path))
    page.get_by_role("dialog").get_by_role("button", name=say("import.go"), exact=True).click()
    page.get_by_text(say("import.begun")).wait_for()

    def names() -> list[Any]:
        return [one["name"] for one in call(server, "/api/v1/gallery?limit=50")["pictures"]]

    until(page, lambda: any(name.endswith(f"taken-in-{language}.png") for name in names()))
