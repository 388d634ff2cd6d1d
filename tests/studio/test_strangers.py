"""All text from strangers is inert: in names of files and models, metadata, captions, tags, styles, PNG chunks."""

import csv
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, PngImagePlugin
from studio.test_create import drop
from studio.test_gallery import nth
from studio.waiting import PATIENCE, expect, settled
from studio.words import Words

if TYPE_CHECKING:
    from tools.browser import Studio

pytestmark = pytest.mark.studio
LANGUAGES = pytest.mark.parametrize("language", ["en", "zh"])

# None has a slash, so that each can be a file's name; all set the page's title if they are run in any way.
STRANGE = [
    "<img src=x onerror=\"document.title='broken'\">",
    '"><svg onload="document.title=\'broken\'">',
    "' onmouseover='document.title=1' autofocus onfocus='document.title=`broken`",
    "javascript:document.title='broken'",
    "{{constructor.constructor('document.title=1')()}}${document.title='broken'}",
]
ALL = " ".join(STRANGE)
RUN = "img[src='x'], [onerror], [onload], [onfocus], [onmouseover], a[href^='javascript:'], main script"


def call(server: "Studio", method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def strange_picture(path: Path, colour: str) -> None:
    """With each of the chunks that tools write, and some that none does."""
    notes = PngImagePlugin.PngInfo()
    settings = "Steps: 2, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 64x64, Model: "
    graph = {"1": {"class_type": ALL, "inputs": {"text": ALL}, "_meta": {"title": ALL}}}
    notes.add_itxt("parameters", f"{ALL}\nNegative prompt: {ALL}\n{settings}{STRANGE[0]}, Version: {STRANGE[1]}")
    for name, text in (("prompt", json.dumps(graph)), ("workflow", json.dumps({"nodes": [{"type": ALL}]})),
                       ("Comment", ALL), ("Description", ALL), ("Software", ALL), ("Title", ALL),
                       ("Source", ALL), ("sd-metadata", json.dumps({"image": {"prompt": ALL}})),
                       ("invokeai_metadata", json.dumps({"positive_prompt": ALL})), ("Dream", ALL)):  # fmt: skip
        notes.add_itxt(name, text)
    Image.new("RGB", (64, 64), colour).save(path, pnginfo=notes)


def strange_photo(path: Path) -> None:
    """A JPEG or WebP file with each of the texts that cameras and tools write."""
    exif = Image.Exif()
    for number in (
        0x010E,
        0x010F,
        0x0110,
        0x0131,
        0x013B,
        0x8298,
    ):  # what it shows, maker, model, program, artist, rights
        exif[number] = ALL
    settings = "Steps: 2, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 64x64"
    comment = f"{ALL}\nNegative prompt: {ALL}\n{settings}, Model: {STRANGE[0]}"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + comment.encode("utf-16-be")
    Image.new("RGB", (64, 64), "green").save(path, exif=exif)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Studio]":
    """A server of its own, with strange texts in everything that it shows."""
    import numpy as np
    from safetensors.numpy import save_file

    from tools.browser import studio

    folder = tmp_path_factory.mktemp("hostile")
    loras, embeddings = folder / "models" / "loras", folder / "models" / "embeddings"
    wildcards, dataset, pictures = folder / "models" / "wildcards", folder / "datasets" / "set", folder / "old"
    checkpoints = folder / "models" / "checkpoints"
    for one in (loras, embeddings, wildcards, dataset, pictures, checkpoints):
        one.mkdir(parents=True)
    save_file({"weight": np.zeros(1, np.float32)}, str(checkpoints / f"{STRANGE[0]}.safetensors"))  # no model
    lora = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{which}.weight": np.zeros(shape, np.float32)
            for which, shape in (("down", (2, 8)), ("up", (8, 2)))}  # fmt: skip
    about = {f"modelspec.{name}": ALL for name in ("title", "author", "license", "trigger_phrase", "description",
                                                   "architecture", "usage_hint")}  # fmt: skip
    about |= {"ss_output_name": ALL, "ss_sd_model_name": ALL, "ss_tag_frequency": json.dumps({"1": {ALL: 3}})}
    for text in STRANGE:
        save_file(lora, str(loras / f"{text}.safetensors"), metadata=about)
        notes = {"description": ALL, "activation text": ALL, "negative text": ALL, "notes": ALL,
                 "source": "javascript:document.title='broken'", "modelId": STRANGE[3]}  # fmt: skip
        (loras / f"{text}.json").write_text(json.dumps(notes), "utf-8")
        save_file({"emb_params": np.zeros((1, 768), np.float32)}, str(embeddings / f"{text}.safetensors"))
        (wildcards / f"{text}.txt").write_text(ALL, "utf-8")
        strange_picture(pictures / f"{text}.png", f"#{len(text):02x}2040")
        strange_picture(dataset / f"{text}.png", f"#40{len(text):02x}20")
        (dataset / f"{text}.txt").write_text(", ".join(STRANGE), "utf-8")
    (folder / "data" / "tags").mkdir(parents=True)
    with (folder / "data" / "tags" / f"{STRANGE[0]}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([text, 0, ALL, f"{text},zz{i}"] for i, text in enumerate(STRANGE))
    with studio(folder) as server:
        for text in STRANGE:
            call(server, "PUT", f"/api/v1/styles/{urllib.parse.quote(text, safe='')}",
                 {"name": text, "prompt": ALL, "negative": ALL})  # fmt: skip
        jobs = [call(server, "POST", "/api/v1/gallery/import", {"folder": str(pictures)})]
        recipe = {"prompt": ALL, "negative": ALL, "width": 64, "height": 64, "steps": 1}
        jobs += call(server, "POST", "/api/v1/jobs", {"recipes": [recipe, {**recipe, "model": STRANGE[0]}]})
        end = time.monotonic() + PATIENCE
        while any(call(server, "GET", f"/api/v1/jobs/{job['id']}")["state"] not in ("done", "failed") for job in jobs):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert STRANGE[0] in call(server, "GET", f"/api/v1/jobs/{jobs[-1]['id']}")["error"]
        cards = call(server, "GET", "/api/v1/gallery")["pictures"]
        assert len(cards) == len(STRANGE) + 1
        marks = {"pictures": [card["id"] for card in cards], "add_tags": STRANGE, "remove_tags": [], "album": ALL[:200]}
        call(server, "POST", "/api/v1/gallery/change", marks)
        yield server


def inert(page) -> None:
    settled(page)
    expect(page.locator(RUN)).to_have_count(0)
    assert "fromnoise" in page.title()
    assert "broken" not in page.title()


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_in_the_gallery(visit, hostile: "Studio", language: str) -> None:
    page = visit("gallery", at=hostile.address, language=language)
    expect(page.locator(".picture")).to_have_count(len(STRANGE) + 1)
    page.locator("header button", has_text=Words("gallery", "zh" if language == "zh" else "en")("filters")).click()
    inert(page)
    nth(page, 0, ".tick").click()
    nth(page, 1).hover()
    inert(page)
    cards = call(hostile, "GET", "/api/v1/gallery")["pictures"]
    for card in cards if language == "both" else cards[:: len(cards) - 1]:  # made here, and taken in
        page.goto(f"{hostile.address}/#/gallery/{card['id']}")
        expect(page.locator("h1.prompt")).to_have_text(ALL)
        expect(page.locator(".tags li")).to_have_count(len(STRANGE))
        inert(page)


@pytest.mark.parametrize(("language", "cards"), [("en", range(len(STRANGE))), ("zh", [0])])
def test_in_models(visit, hostile: "Studio", language: str, cards: Sequence[int]) -> None:
    page = visit("models", at=hostile.address, language=language)
    page.get_by_label(Words("models", language)("kind"), exact=True).select_option("loras")
    expect(page.locator(".card")).to_have_count(len(STRANGE))
    inert(page)
    for i in cards:
        page.locator(".card").nth(i).click()
        expect(page.get_by_role("dialog").get_by_text("<img src=x").first).to_be_visible()
        inert(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


@LANGUAGES
def test_in_create(visit, hostile: "Studio", tmp_path: Path, language: str) -> None:
    say = Words("create", language)
    page = visit("create", at=hostile.address, language=language)
    page.get_by_role("button", name=say("styles"), exact=True).click()
    boxes = page.get_by_role("dialog").get_by_role("checkbox")
    expect(boxes).to_have_count(len(STRANGE))
    for i in range(len(STRANGE)):
        boxes.nth(i).check()
    inert(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("summary", has_text=say("networks")).first.click()
    page.get_by_role("button", name=say("networks.add"), exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="<img src=x").first).to_be_visible()
    inert(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    prompt = page.get_by_label(say("prompt"), exact=True)
    prompt.fill("")
    for begun in ("<lora:", "__", "<img"):
        prompt.fill(begun[:-1])
        prompt.press_sequentially(begun[-1])
        inert(page)
    for i, text in enumerate(STRANGE):
        prompt.fill("zz")
        prompt.press_sequentially(str(i))
        offer = page.get_by_role("option", name=f"zz{i} → {text}")
        expect(offer).to_contain_text(ALL[:200])
        inert(page)
        offer.click()
        inert(page)
    page.get_by_role("button", name=say("library"), exact=True).click()
    page.get_by_role("dialog").get_by_text(say("tags"), exact=True).click()
    expect(page.get_by_label(say("tags.list"), exact=True).locator("option").first).to_contain_text("<img src=x")
    inert(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    prompt.fill(ALL)
    inert(page)
    page.locator(".strip button.failed").click()
    expect(page.get_by_role("alert")).to_contain_text(STRANGE[0])
    inert(page)
    strange_picture(tmp_path / "strange.png", "red")
    drop(page, page.locator(".stage"), (tmp_path / "strange.png").read_bytes())
    dialog = page.get_by_role("dialog")
    dialog.locator("summary").click()
    expect(dialog.locator("pre").first).to_contain_text("<img src=x")
    inert(page)
    dialog.get_by_role("button", name=say("read.use"), exact=True).click()
    expect(prompt).to_have_value(ALL)
    inert(page)


@LANGUAGES
def test_in_data_sets(visit, hostile: "Studio", language: str) -> None:
    page = visit("training", at=hostile.address, language=language)
    page.locator(".sets button").first.click()
    expect(page.locator(".pictures li")).to_have_count(len(STRANGE))
    expect(page.locator(".tags button", has_text="onerror").first).to_be_visible()
    inert(page)


@LANGUAGES
def test_in_what_is_written_in_a_picture(visit, hostile: "Studio", tmp_path: Path, language: str) -> None:
    paths = [tmp_path / f"{STRANGE[0]}.{ending}" for ending in ("png", "jpg", "webp")]
    strange_picture(paths[0], "red")
    for path in paths[1:]:
        strange_photo(path)
    page = visit("extras", at=hostile.address, language=language)
    page.locator("input[type=file]").set_input_files(paths)
    for i in range(len(paths)):
        page.locator(".pick").nth(i).click()
        expect(page.locator(".info").get_by_text("<img src=x").first).to_be_visible()
        inert(page)


@LANGUAGES
def test_elsewhere(visit, hostile: "Studio", language: str) -> None:
    page = visit("queue", at=hostile.address, language=language)
    expect(page.locator("li .error").first).to_contain_text(STRANGE[0])
    inert(page)
    for area in ("grids", "how", "machine", "settings"):
        page.goto(f"{hostile.address}/#/{area}")
        page.get_by_role("heading", name=Words(area, language)("title"), exact=True).wait_for()
        inert(page)
