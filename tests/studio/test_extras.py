"""Extras, settings and the machine, each in both languages."""

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, PngImagePlugin
from studio.test_gallery import call
from studio.waiting import PATIENCE, equals, expect, until, width
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def given(page, path: Path, before: str = "") -> str:
    """Give it a picture, wait until it is seen in place of the one before, and return what it is seen by."""
    page.locator("input[type=file]").set_input_files(path)
    picture = page.locator(".extras figure img")
    expect(picture).not_to_have_attribute("src", before)
    assert width(picture) > 0
    return str(picture.get_attribute("src"))


@LANGUAGES
def test_a_picture_is_enlarged_to_a_size_by_two_upscalers(visit, axe, tmp_path: Path, language: str) -> None:
    say = Words("extras", language)
    Image.linear_gradient("L").resize((40, 40)).convert("RGB").save(tmp_path / "grey.png")
    page = visit("extras", language=language)
    given(page, tmp_path / "grey.png")
    page.get_by_text(say("resize.to"), exact=True).click()
    for side, pixels in (("width", "96"), ("height", "64")):
        page.get_by_role("spinbutton", name=say(side), exact=True).fill(pixels)
    page.get_by_label(say("upscaler"), exact=True).select_option("Lanczos")
    page.get_by_label(say("second"), exact=True).select_option("Nearest")
    page.get_by_role("spinbutton", name=say("second.visibility"), exact=True).fill("0.25")
    page.keyboard.press("Control+Enter")
    assert width(page.locator(".result img")) == 96
    assert axe(page) == []


@LANGUAGES
def test_faces_are_asked_for_and_what_is_missing_is_told(visit, tmp_path: Path, language: str) -> None:
    """Without the network's file: its name, and what to do."""
    say = Words("extras", language)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    page = visit("extras", language=language)
    given(page, tmp_path / "red.png")
    page.get_by_label(say("upscaler"), exact=True).select_option("Lanczos")
    page.get_by_text(say("faces"), exact=True).click()
    page.get_by_role("spinbutton", name=say("faces.codeformer"), exact=True).fill("0.8")
    page.get_by_role("spinbutton", name=say("faces.codeformer"), exact=True).press("Tab")
    expect(page.get_by_role("spinbutton", name=say("faces.weight"), exact=True)).to_be_visible()
    page.get_by_role("button", name=say("go"), exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("codeformer")


@LANGUAGES
def test_a_picture_is_verified_and_made_into_a_hint(visit, server: "Studio", tmp_path: Path, language: str) -> None:
    say = Words("extras", language)
    body = {"recipes": [{"prompt": f"to be verified {language}", "width": 64, "height": 64, "steps": 2, "seed": 1}]}
    page = visit("extras", language=language)
    words = urllib.parse.quote(f'"to be verified {language}"')
    call(server, "/api/v1/jobs", body)
    until(page, lambda: call(server, f"/api/v1/gallery?words={words}")["pictures"])
    url = call(server, f"/api/v1/gallery?words={words}")["pictures"][0]["url"]
    (tmp_path / "made.png").write_bytes(urllib.request.urlopen(server.address + url).read())
    before = given(page, tmp_path / "made.png")
    expect(page.get_by_text(f"to be verified {language}").first).to_be_visible()
    page.get_by_text(say("verify"), exact=True).click()
    page.get_by_role("button", name=say("go"), exact=True).click()
    identical = page.get_by_text(Words("forms", language)("verdict.identical"))
    expect(identical).to_be_visible()
    again = Image.open(tmp_path / "made.png")  # another file of the same pixels and texts, which the gallery has not
    info = PngImagePlugin.PngInfo()
    for key, text in again.text.items():
        info.add_itxt(key, text)
    again.save(tmp_path / "again.png", pnginfo=info, compress_level=1)
    given(page, tmp_path / "again.png", before)
    expect(identical).to_have_count(0)
    page.get_by_role("button", name=say("go"), exact=True).click()
    expect(identical).to_be_visible()
    page.get_by_text(say("hint"), exact=True).click()
    page.get_by_label(say("preprocessor"), exact=True).select_option("canny")
    page.get_by_role("button", name=say("go"), exact=True).click()
    assert width(page.locator(".result img")) > 0


@LANGUAGES
def test_settings_have_names_and_are_found_in_both_languages(visit, language: str) -> None:
    say = Words("settings", language)
    page = visit("settings", language=language)
    for words, name in (
        ("watermark", {"en": "Invisible watermark", "zh": "隐形水印"}),
        ("水印", {"en": "Invisible watermark", "zh": "隐形水印"}),
        ("最大批次", {"en": "Largest batch", "zh": "最大批次"}),
    ):
        page.get_by_role("searchbox").fill(words)
        expect(page.locator(".settings .sheet")).to_have_count(1)
        expect(page.get_by_label(name[language], exact=True)).to_be_visible()
    page.get_by_role("searchbox").fill("nothing of this kind")
    page.get_by_text(say("none"), exact=True).wait_for()


def terms(server: "Studio") -> tuple[object, object]:
    """Whether terms have to be accepted, and which."""
    answer = urllib.request.urlopen(f"{server.address}/api/v1/settings", timeout=PATIENCE)
    kept = {one["name"]: one["value"] for one in json.load(answer)["settings"]}
    return kept["accept_terms"], kept["terms"]


@LANGUAGES
def test_yes_or_no_and_long_texts_are_settings_too(visit, server: "Studio", language: str) -> None:
    say = Words("settings", language)
    names = {"en": ("Terms have to be accepted", "Terms of use"), "zh": ("必须接受条款", "使用条款")}[language]
    page = visit("settings", language=language)
    page.get_by_role("switch", name=names[0], exact=True).check()
    page.get_by_label(names[1], exact=True).fill("Be kind.\nBe brief.")
    page.get_by_role("button", name=say("save"), exact=True).click()
    try:
        equals(page, lambda: terms(server), (1, "Be kind.\nBe brief."))
        page.get_by_text(say("saved")).wait_for()
        page.get_by_role("switch", name=names[0], exact=True).uncheck()
        page.get_by_label(names[1], exact=True).fill("")
        page.get_by_role("button", name=say("save"), exact=True).click()
        equals(page, lambda: terms(server), (0, ""))
        expect(page.get_by_role("button", name=say("save"), exact=True)).to_be_disabled()
    finally:  # no other test is to be asked to accept them
        body = json.dumps({"values": {"accept_terms": 0, "terms": ""}}).encode()
        header = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.address}/api/v1/settings", body, header, method="PUT")
        urllib.request.urlopen(request, timeout=PATIENCE).close()
