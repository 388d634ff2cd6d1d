"""JPEG and WebP pictures verified in Extras: what they lost is told, and they are compared all the same."""

import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from studio.test_gallery import call
from studio.waiting import expect, until, width
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio
PROMPT = "to be compressed"


@pytest.fixture(scope="module")
def made(server: "Studio", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that the server made, as its PNG."""
    call(server, "/api/v1/jobs", {"recipes": [{"prompt": PROMPT, "width": 64, "height": 64, "steps": 2, "seed": 1}]})
    words = urllib.parse.quote(f'"{PROMPT}"')
    end = time.monotonic() + 180
    while not (found := call(server, f"/api/v1/gallery?words={words}")["pictures"]):
        assert time.monotonic() < end
        time.sleep(0.2)
    path = tmp_path_factory.mktemp("lossy") / "made.png"
    with urllib.request.urlopen(server.address + found[0]["url"]) as answer:
        path.write_bytes(answer.read())
    return path


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["JPEG", "WebP"])
def test_a_lossy_picture_is_compared_after_the_same_losses(
    visit: "Callable[..., Page]", made: Path, tmp_path: Path, kind: str, language: str
) -> None:
    from fromnoise.engine.metadata.carrier import exif, read_texts

    say, told = Words("extras", language), Words("forms", language)
    path = tmp_path / f"made.{kind.lower()}"
    tags = exif(read_texts(made), own=True, graph=False)
    Image.open(made).convert("RGB").save(path, kind.upper(), quality=80, exif=tags)
    page = visit("extras", language=language)
    page.locator("input[type=file]").set_input_files(path)
    assert width(page.locator(".extras figure img").first) == 64
    page.get_by_text(say("verify"), exact=True).click()
    page.get_by_role("button", name=say("go"), exact=True).click()
    expect(page.get_by_text(told("verdict.identical"), exact=True)).to_be_visible()
    expect(page.get_by_text(told("verdict.lossy", kind=kind), exact=True)).to_be_visible()
    ratio = page.locator("dt", has_text=told("verdict.psnr")).locator("xpath=following-sibling::dd[1]")
    expect(ratio).to_contain_text(" dB")
    until(page, lambda: 15 < float(ratio.inner_text().split(" dB")[0]) < 60)
