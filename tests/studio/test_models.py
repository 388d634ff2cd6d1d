"""Model files in the studio: checked, described, shown by a picture, put into the bin; fetched, merged, pruned."""

import json
import shutil
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from studio.waiting import expect, until

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio

PATIENCE = 120_000  # milliseconds
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
    with urllib.request.urlopen(request, timeout=60) as answer:
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
    end = time.monotonic() + 120
    while call(server, "GET", f"/api/v1/jobs/{job['id']}")["state"] != "done":
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_model_is_checked_described_shown_and_removed(visit, server: "Studio", files: None, language: str) -> None:
    say, name = SAY[language], f"copy-{language}"
    page = visit("models", language=language)
    page.get_by_role("searchbox").fill(name)
    expect(page.locator(".card")).to_have_count(1, timeout=PATIENCE)
    page.locator(".card").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name=say["check"]).click()
    sheet.get_by_text(say["whole"]).wait_for(timeout=PATIENCE)

    sheet.get_by_role("button", name=say["edit"]).click()
    sheet.get_by_label(say["triggers"], exact=True).fill(f"emoji {language}")
    sheet.get_by_role("button", name=say["save"]).click()
    sheet.get_by_role("button", name=f"emoji {language}").wait_for()
    notes = json.loads((server.models / "checkpoints" / f"{name}.json").read_text("utf-8"))
    assert notes["activation text"] == f"emoji {language}"

    sheet.get_by_role("button", name=say["preview"]).click()
    sheet.get_by_role("button", name="a picture for a preview").first.click()
    expect(sheet.locator(".detail > img")).to_have_count(1)
    until(page, (server.models / "checkpoints" / f"{name}.preview.webp").is_file)

    sheet.get_by_role("button", name=say["bin"]).click()
    sheet.get_by_role("button", name=say["move"]).click()
    page.get_by_text(say["nothing"]).wait_for()
    gone: list[Path] = list((server.models / "checkpoints" / ".bin").rglob(f"{name}*"))
    assert len(gone) == 3


def test_a_name_that_is_none_is_told_where_it_is_typed(visit) -> None:
    page = visit("models")
    page.get_by_role("button", name="Download").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Name or address", exact=True).fill("nonsense")
    sheet.get_by_role("button", name="Download").click()
    expect(sheet.get_by_role("alert")).to_contain_text("OWNER/NAME")
