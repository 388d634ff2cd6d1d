"""A picture that is being made: how long it still takes, finished now or cancelled; and strengths by their use."""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from studio.waiting import equals, expect
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio

LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])
STEPS = 600


@LANGUAGES
@pytest.mark.parametrize(("deed", "state", "pictures"), [("skip", "done", 1), ("cancel", "cancelled", 0)])
def test_it_tells_how_long_it_takes_and_is_ended(
    visit: "Callable[..., Page]", server: "Studio", deed: str, state: str, pictures: int, language: str
) -> None:
    say = Words("create", language)
    page = visit("create", language=language)
    prompt = f"a walk of {STEPS} steps, {deed} {language}"
    box = page.get_by_role("textbox", name=say("prompt"), exact=True)
    box.fill(prompt)
    page.get_by_role("spinbutton", name=say("steps"), exact=True).fill(str(STEPS))
    box.press("Control+Enter")
    stage = page.locator(".stage")
    left = re.escape(say("stage.left", seconds="N")).replace("N", r"\d+")
    expect(stage.locator(".left")).to_have_text(re.compile(f"^{left}$"))
    expect(stage.locator("img.early")).to_be_visible()  # what it would be by now
    stage.get_by_role("button", name=say(deed), exact=True).click()
    expect(stage.locator(".progress")).to_have_count(0)
    jobs = page.request.get(f"{server.address}/api/v1/jobs?limit=20").json()["jobs"]
    (job,) = [job for job in jobs if job["body"].get("prompt") == prompt]
    url = f"{server.address}/api/v1/jobs/{job['id']}"
    equals(page, lambda: page.request.get(url).json()["state"], state)
    assert len(page.request.get(f"{url}/results").json()) == pictures


@LANGUAGES
def test_a_strength_is_chosen_by_its_use(visit: "Callable[..., Page]", language: str) -> None:
    say = Words("create", language)
    page = visit("create", language=language)
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "#406080").save(picture, "PNG")
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("combobox", name=say("preset"), exact=True).select_option(label=say("preset.photo"))
    strength = page.get_by_role("spinbutton", name=say("strength"), exact=True)
    expect(strength).to_have_value("0.7")
    page.reload()
    expect(strength).to_have_value("0.7")
