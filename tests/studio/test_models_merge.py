"""Models merged block by block, and autoencoders that belong to other models, in both languages."""

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from studio.waiting import PATIENCE, equals, expect
from studio.words import Words

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tools.browser import Studio

pytestmark = pytest.mark.studio

LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])


def call(server: "Studio", method: str, path: str) -> Any:
    request = urllib.request.Request(server.address + path, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def card(server: "Studio", name: str) -> dict[str, Any]:
    """As the server tells it once it has read the file."""
    end = time.monotonic() + 2 * PATIENCE
    while True:
        found = [one for one in call(server, "GET", "/api/v1/models")["models"] if one["name"] == name]
        if found and found[0]["was_read"]:
            return dict(found[0])
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture(scope="module")
def shelf(server: "Studio") -> None:
    """The built-in model, another with all its numbers three times as large, and autoencoders of SDXL and of SD."""
    from safetensors.numpy import load_file, save_file

    from fromnoise.checkpoints.save import write
    from fromnoise.engine.shelves import builtin
    from tests.engine.test_vae_family import like

    checkpoints = server.models / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    shutil.copy(builtin(), checkpoints / "one.safetensors")
    tensors = load_file(str(builtin()))
    save_file({key: (value * 3).astype(value.dtype) for key, value in tensors.items()},
              str(checkpoints / "three.safetensors"))  # fmt: skip
    (server.models / "vae").mkdir(exist_ok=True)
    for name, space in (("of-xl", "sdxl"), ("of-sd", "sd1")):
        write(server.models / "vae" / f"{name}.safetensors", like(space).state_dict(), None, {})  # type: ignore[arg-type]
    call(server, "POST", "/api/v1/models/refresh")
    assert [card(server, name)["blocks"] for name in ("builtin", "one", "three")] == [13, 13, 13]
    assert [card(server, name)["family"] for name in ("of-xl", "of-sd")] == ["sdxl", "sd1"]


def merging(page: "Page", say: Words) -> "Locator":
    page.get_by_role("button", name=say("merge"), exact=True).click()
    return page.get_by_role("dialog")


@LANGUAGES
def test_every_block_has_its_slider_and_its_weight(
    visit: "Callable[..., Page]", server: "Studio", shelf: None, language: str
) -> None:
    from safetensors.numpy import load_file

    say, name = Words("models", language), f"blocks-{language}"
    page = visit("models", language=language)
    sheet = merging(page, say)
    sheet.get_by_label(say("merge.model", which="A"), exact=True).select_option("one")
    sheet.get_by_label(say("merge.model", which="B"), exact=True).select_option("three")
    sheet.get_by_role("spinbutton", name=say("merge.weight"), exact=True).fill("0")
    sheet.get_by_text(say("merge.blocks"), exact=True).click()
    sliders = sheet.locator(".blocks input[type=range]")
    expect(sliders).to_have_count(13)
    expect(sheet.locator(".blocks label span")).to_have_text(
        [re.compile(f"^{one} ") for one in [*(f"IN0{i}" for i in range(6)), "MID", *(f"OUT0{i}" for i in range(6))]]
    )
    text = sheet.get_by_label(say("merge.numbers"), exact=True)
    text.fill(", ".join(["0"] * 6 + ["1"] + ["0"] * 6))
    text.press("Tab")
    equals(page, lambda: sliders.nth(6).input_value(), "1")
    sliders.nth(0).fill("0.5")
    expect(text).to_have_value(re.compile("^0.5, 0, "))
    sheet.get_by_label(say("write.as"), exact=True).fill(name)
    sheet.get_by_role("button", name=say("merge.go"), exact=True).click()
    done = say("write.done", file=f"checkpoints/{name}.safetensors").partition("{")[0]
    expect(sheet.get_by_text(done)).to_be_visible()

    files = [load_file(str(server.models / "checkpoints" / f"{one}.safetensors")) for one in ("one", name)]
    for part, factor in (("middle_block.", 3.0), ("input_blocks.0.", 2.0), ("output_blocks.3.", 1.0)):
        names = [key for key in files[0] if key.startswith(f"model.diffusion_model.{part}")]
        ratios = [float(abs(files[1][key].astype("f8")).sum() / abs(files[0][key].astype("f8")).sum())
                  for key in names if abs(files[0][key].astype("f8")).sum() > 0.1]  # fmt: skip
        assert ratios
        assert ratios == pytest.approx([factor] * len(ratios), rel=0.01), part


@LANGUAGES
def test_an_autoencoder_of_another_family_is_warned_of_where_models_are_merged_and_where_pictures_are_made(
    visit: "Callable[..., Page]", shelf: None, language: str
) -> None:
    say, told = Words("models", language), Words("create", language)
    page = visit("models", language=language)
    sheet = merging(page, say)
    sheet.get_by_label(say("merge.model", which="A"), exact=True).select_option("one")
    vae = sheet.get_by_label(say("merge.vae"), exact=True)
    warning = sheet.get_by_text(say("vae.pairs", family="SDXL"), exact=True)
    vae.select_option("of-xl")
    expect(warning).to_be_visible()
    vae.select_option("of-sd")
    expect(warning).to_have_count(0)
    page.keyboard.press("Escape")
    page.locator(".card", has_text="of-xl").click()
    expect(page.get_by_role("dialog").get_by_text(say("vae.pairs", family="SDXL"), exact=True)).to_be_visible()

    recipe = {"prompt": "", "negative": "", "model": "builtin", "width": 128, "height": 128, "steps": 20}
    draft = json.dumps({"recipe": {**recipe, "guidance_scale": 2, "vae": {"name": "of-xl"}}})
    page.evaluate(f"sessionStorage.setItem('fromnoise.draft', {draft!r})")
    page.evaluate("location.hash = '#/create'")
    page.reload()
    expect(page.get_by_text(told("vae.foreign", vae="of-xl", family="SDXL"), exact=True)).to_be_visible()
