"""Captions by a tiny random BLIP: jobs that are asked for over HTTP, and the command line, say what the model says."""

import base64
import io
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
