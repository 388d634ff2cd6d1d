"""Captions by a tiny random BLIP: jobs that are asked for over HTTP, and the command line, say what the model says."""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.captioners import CAPTIONERS
from fromnoise.cli import main
from tests.captioners.tiny_blip import WORDS, write_blip

from .conftest import Served
from .real import serving

pytest.importorskip("transformers")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("captions")
    with serving(folder) as served:
        blip = folder / "models" / "captioners" / "blip"
        blip.mkdir(parents=True)
        write_blip(blip)
        yield served


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def said(served: Served, image: Image.Image) -> str:
    """What a job answers."""
    sent = served.client.post("/api/v1/images", content=png(image))
    work = {"kind": "caption", "by": "blip", "model": "blip", "picture": sent.json()["sha256"]}
    asked = served.client.post("/api/v1/errands", json={"work": work})
    assert asked.status_code == 202, asked.text
    job = asked.json()["id"]
    deadline = time.monotonic() + 120
    while (state := served.client.get(f"/api/v1/jobs/{job}").json()["state"]) not in ("done", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert state == "done", served.client.get(f"/api/v1/jobs/{job}").text
    (result,) = served.client.get(f"/api/v1/jobs/{job}/results").json()
    return str(result["data"]["text"])


def test_both_doors_say_what_the_model_says(served: Served, tmp_path: Path) -> None:
    folder = served.context.settings.models[0] / "captioners" / "blip"
    load, pictures = CAPTIONERS["blip"].load(folder), [picture(1), picture(2)]
    wanted = [load([one])[0].text for one in pictures]
    assert [said(served, one) for one in pictures] == wanted
    assert all(set(text.split()) <= set(WORDS) for text in wanted)
    for number, one in enumerate(pictures):
        one.save(tmp_path / f"{number}.png")
    assert main(["caption", str(tmp_path), "--by", "blip", "--model", str(folder), "--local"]) == 0
    assert [(tmp_path / f"{number}.txt").read_text().strip() for number in range(2)] == wanted
    sent = {"model": "clip", "image": base64.b64encode(png(pictures[0])).decode()}
    assert served.client.post("/sdapi/v1/interrogate", json=sent).json()["caption"] == wanted[0]


def test_loopback_appends_what_is_seen_in_each_start_picture(served: Served) -> None:
    start = png(picture(3))
    sha256 = served.client.post("/api/v1/images", content=start).json()["sha256"]
    recipe = {"prompt": "a cup", "width": 64, "height": 64, "steps": 2, "seed": 1, "model": "tiny",
              "init": {"path": "", "sha256": sha256}}  # fmt: skip
    script = {"kind": "loopback", "loops": 2, "describe_by": "blip"}
    made = served.client.post("/api/v1/grids", json={"recipe": recipe, "script": script}).json()
    job = made["sheet"]["id"]
    deadline = time.monotonic() + 120
    while (state := served.client.get(f"/api/v1/jobs/{job}").json()["state"]) not in ("done", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert state == "done", served.client.get(f"/api/v1/jobs/{job}").text
    _, first, second = served.client.get(f"/api/v1/jobs/{job}/results").json()
    between = Image.open(io.BytesIO(served.client.get(first["url"]).content))
    wanted = [f"a cup, {said(served, one)}" for one in (picture(3), between)]
    assert [one["data"]["recipe"]["prompt"] for one in (first, second)] == wanted

    body = {"init_images": [base64.b64encode(start).decode()], "prompt": "a cup", "width": 64, "height": 64, "steps": 2,
            "override_settings": {"sd_model_checkpoint": "tiny"}, "script_name": "loopback",
            "script_args": [2, 0.5, "Linear", "CLIP"]}  # fmt: skip
    answer = served.client.post("/sdapi/v1/img2img", json=body)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.json()["info"])["infotexts"][0].splitlines()[0] == wanted[0]
