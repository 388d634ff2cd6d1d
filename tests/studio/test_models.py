"""Model files in the studio: checked, described, shown by a picture, put into the bin; fetched, merged, pruned."""

import json
import os
import re
import shutil
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio.waiting import PATIENCE, equals, expect, until
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

SAY = {
    "en": {"check": "Check the file", "whole": "Whole:", "edit": "Edit notes", "triggers": "Trigger words",
           "save": "Save", "preview": "Preview picture", "bin": "Into the bin", "move": "Move it",
           "nothing": "Nothing matches"},
    "zh": {"check": "检查文件", "whole": "完整：", "edit": "编辑备注", "triggers": "触发词", "save": "保存",
           "preview": "预览图", "bin": "移到回收站", "move": "移走", "nothing": "没有符合的模型"},
}  # fmt: skip


def call(server: "Studio", method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def files(server: "Studio") -> None:
    """The built-in model twice more on its shelf, and a picture in the gallery."""
    from fromnoise.engine.shelves import builtin

    folder = server.models / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("copy-en", "copy-zh"):
        shutil.copy(builtin(), folder / f"{name}.safetensors")
    call(server, "POST", "/api/v1/models/refresh")
    recipe = {"prompt": "a picture for a preview", "width": 64, "height": 64, "steps": 2}
    (job,) = call(server, "POST", "/api/v1/jobs", {"recipes": [recipe]})
    end = time.monotonic() + 2 * PATIENCE
    while call(server, "GET", f"/api/v1/jobs/{job['id']}")["state"] != "done":
        assert time.monotonic() < end
        time.sleep(0.3)


@LANGUAGES
def test_a_model_is_checked_described_shown_and_removed(visit, server: "Studio", files: None, language: str) -> None:
    say, name = SAY[language], f"copy-{language}"
    page = visit("models", language=language)
    page.get_by_role("searchbox").fill(name)
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".card", has_text=name).click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name=say["check"], exact=True).click()
    sheet.get_by_text(say["whole"]).wait_for()

    sheet.get_by_role("button", name=say["edit"], exact=True).click()
    sheet.get_by_label(say["triggers"], exact=True).fill(f"emoji {language}")
    sheet.get_by_role("button", name=say["save"], exact=True).click()
    sheet.get_by_role("button", name=f"emoji {language}", exact=True).wait_for()
    notes = json.loads((server.models / "checkpoints" / f"{name}.json").read_text("utf-8"))
    assert notes["activation text"] == f"emoji {language}"

    sheet.get_by_role("button", name=say["preview"], exact=True).click()
    sheet.get_by_role("button", name="a picture for a preview").first.click()
    expect(sheet.locator(".detail > img")).to_have_count(1)
    until(page, (server.models / "checkpoints" / f"{name}.preview.webp").is_file)

    sheet.get_by_role("button", name=say["bin"], exact=True).click()
    sheet.get_by_role("button", name=say["move"], exact=True).click()
    page.get_by_text(say["nothing"], exact=True).wait_for()
    gone: list[Path] = list((server.models / "checkpoints" / ".bin").rglob(f"{name}*"))
    assert len(gone) == 3


@LANGUAGES
def test_a_name_that_is_none_is_told_where_it_is_typed(visit, language: str) -> None:
    say = Words("models", language)
    page = visit("models", language=language)
    page.get_by_role("button", name=say("get"), exact=True).click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label(say("get.name"), exact=True).fill("nonsense")
    sheet.get_by_role("button", name=say("get.go"), exact=True).click()
    expect(sheet.get_by_role("alert")).to_contain_text({"en": "give OWNER/NAME", "zh": "请写成 作者/仓库"}[language])


@pytest.fixture(scope="module")
def weights(server: "Studio", files: None) -> None:
    """Two models of other numbers, a VAE of another family, and a LoRA with what its author says of it."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from fromnoise.engine.shelves import builtin

    checkpoints = server.models / "checkpoints"
    tensors = load_file(str(builtin()))
    for name, factor in (("bright", 1.01), ("dark", 0.99)):
        save_file({key: (value * factor).astype(value.dtype) for key, value in tensors.items()},
                  str(checkpoints / f"{name}.safetensors"))  # fmt: skip
    (server.models / "loras").mkdir(exist_ok=True)
    lora = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{which}.weight": np.zeros(shape, np.float32)
            for which, shape in (("down", (2, 8)), ("up", (8, 2)))}  # fmt: skip
    about = {"modelspec.title": "Ink & wash", "modelspec.license": "CreativeML Open RAIL-M", "modelspec.author": "ann",
             "modelspec.trigger_phrase": "ink wash style"}  # fmt: skip
    save_file(lora, str(server.models / "loras" / "inkwash.safetensors"), metadata=about)
    (server.models / "loras" / "pens").mkdir()
    save_file(lora, str(server.models / "loras" / "pens" / "biro.safetensors"))
    os.utime(server.models / "loras" / "pens" / "biro.safetensors", (1, 1))
    call(server, "POST", "/api/v1/models/refresh")
    end = time.monotonic() + 2 * PATIENCE

    def read() -> set[str]:
        cards = call(server, "GET", "/api/v1/models")["models"]
        return {card["name"] for card in cards if card["was_read"] and (card["sha256"] or card["name"] != "inkwash")}

    while not read() >= {"bright", "dark", "inkwash", "pens/biro"}:
        assert time.monotonic() < end
        time.sleep(0.3)


@LANGUAGES
def test_a_file_is_found_by_all_that_is_known_of_it(visit, server: "Studio", weights: None, language: str) -> None:
    say = Words("models", language)
    (card,) = [one for one in call(server, "GET", "/api/v1/models")["models"] if one["name"] == "inkwash"]
    page = visit("models", language=language)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for words in ("inkwash", "Ink & wash", "ink wash style"):
        page.get_by_role("searchbox").fill(words)
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".card")).to_contain_text("Ink & wash")
    page.get_by_role("searchbox").fill("")
    page.get_by_label(say("kind"), exact=True).select_option("loras")
    page.locator(".card", has_text="Ink & wash").click()
    sheet = page.get_by_role("dialog")
    for told in ("CreativeML Open RAIL-M", "ann", card["sha256"], card["tensors_hash"]):
        expect(sheet.get_by_text(told).first).to_be_visible()
    sheet.get_by_role("button", name="ink wash style").click()
    page.get_by_text(say("copied", what="ink wash style")).wait_for()
    equals(page, lambda: page.evaluate("navigator.clipboard.readText()"), "ink wash style")
    sheet.get_by_role("button", name="<lora:inkwash:1>").click()
    page.get_by_text(say("copied", what="<lora:inkwash:1>")).wait_for()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)

    def order() -> list[str]:
        return [text for text in page.locator(".card b").all_inner_texts() if text in ("Ink & wash", "pens/biro")]

    equals(page, order, ["Ink & wash", "pens/biro"])
    shell = Words("shell", language)
    page.get_by_label(shell("shelf.sort"), exact=True).select_option("changed")
    equals(page, order, ["pens/biro", "Ink & wash"])
    page.get_by_role("button", name=shell("shelf.down"), exact=True).click()
    equals(page, order, ["Ink & wash", "pens/biro"])
    page.reload()
    equals(page, order, ["Ink & wash", "pens/biro"])
    expect(page.get_by_label(shell("shelf.sort"), exact=True)).to_have_value("changed")
    page.get_by_role("group", name=shell("shelf.folders"), exact=True).get_by_role("button", name="pens").click()
    expect(page.locator(".card b")).to_have_text(["pens/biro"])
    page.get_by_role("searchbox").fill("inkwash")
    page.get_by_text(say("empty.found"), exact=True).wait_for()


@LANGUAGES
def test_models_are_merged_pruned_and_converted(visit, server: "Studio", weights: None, language: str) -> None:
    say = Words("models", language)
    page = visit("models", language=language)

    def written(sheet: Any, go: str, name: str) -> None:
        sheet.get_by_label(say("write.as"), exact=True).fill(name)
        sheet.get_by_role("button", name=say(go), exact=True).click()
        done = say("write.done", file=f"{name}.safetensors").partition("{")[0]
        expect(sheet.get_by_text(re.compile(re.escape(done)))).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    page.get_by_role("button", name=say("merge"), exact=True).click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("button", name=say("merge.go"), exact=True)).to_be_disabled()
    sheet.get_by_label(say("merge.model", which="A"), exact=True).select_option("bright")
    sheet.get_by_label(say("merge.model", which="B"), exact=True).select_option("dark")
    sheet.get_by_role("spinbutton", name=say("merge.weight"), exact=True).fill("0.25")
    written(sheet, "merge.go", f"merged-{language}")
    assert (server.models / "checkpoints" / f"merged-{language}.safetensors").is_file()

    page.get_by_role("button", name=say("rewrite"), exact=True).click()
    sheet.get_by_label(say("rewrite.model"), exact=True).select_option("bright")
    written(sheet, "write.go", f"pruned-{language}")
    page.get_by_role("button", name=say("rewrite"), exact=True).click()
    sheet.get_by_text(say("convert"), exact=True).click()
    sheet.get_by_label(say("rewrite.model"), exact=True).select_option(f"merged-{language}")
    sheet.get_by_label(say("convert.to"), exact=True).select_option("vae")
    written(sheet, "write.go", f"vae-{language}")

    def vaes() -> list[str]:
        return [card["name"] for card in call(server, "GET", "/api/v1/models")["models"] if card["kind"] == "vae"]

    until(page, lambda: f"vae-{language}" in vaes())


@LANGUAGES
def test_a_merge_that_cannot_be_is_told_with_its_reason(visit, server: "Studio", weights: None, language: str) -> None:
    say = Words("models", language)
    page = visit("models", language=language)
    page.get_by_role("button", name=say("merge"), exact=True).click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label(say("merge.model", which="A"), exact=True).select_option("bright")
    sheet.get_by_label(say("merge.model", which="B"), exact=True).select_option("dark")
    sheet.get_by_label(say("write.as"), exact=True).fill("dark")
    sheet.get_by_role("button", name=say("merge.go"), exact=True).click()
    expect(sheet.get_by_role("alert")).to_contain_text("dark")
    assert (server.models / "checkpoints" / "dark.safetensors").stat().st_size > 1000
