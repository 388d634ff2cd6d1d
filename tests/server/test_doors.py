"""The same recipe is the same picture through every door: our own interface, theirs, and the command line."""

import base64
import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Served


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def native(served: Served, recipe: dict[str, object]) -> bytes:
    job = served.client.post("/api/v1/jobs", json={"recipes": [recipe]}).json()[0]["id"]
    for _ in range(1500):
        if served.client.get(f"/api/v1/jobs/{job}").json()["state"] in ("done", "failed"):
            break
        time.sleep(0.02)
    return served.client.get(f"/api/v1/jobs/{job}/results/0").content


def sdapi(served: Served, body: dict[str, object]) -> bytes:
    sent = {"override_settings": {"sd_model_checkpoint": "tiny"}, **body}
    return base64.b64decode(served.client.post("/sdapi/v1/txt2img", json=sent).json()["images"][0])


def openai(served: Served, body: dict[str, object]) -> bytes:
    found = served.client.post("/v1/images/generations", json={"model": "tiny", **body})
    return base64.b64decode(found.json()["data"][0]["b64_json"])


def typed(served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> bytes:
    monkeypatch.setenv("FROMNOISE_MODELS", str(served.context.settings.models[0]))
    out = folder / "typed.png"
    words = ["a cat", "--model", "tiny", "--size", "64x64", "--steps", "3", "--seed", "11", "--device", "cpu",
             "--dtype", "float32", "--quiet", "--out", str(out), *options]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "fromnoise", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


RECIPE = {"prompt": "a cat", "model": "tiny", "width": 64, "height": 64, "steps": 3, "seed": 11}


def test_automatic1111s_door(real: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = sdapi(
        real, {"prompt": "a cat", "width": 64, "height": 64, "steps": 3, "seed": 11, "sampler_name": "Euler a"}
    )
    here = native(real, {**RECIPE, "profile": "a1111", "sampler": "euler_ancestral"})
    line = typed(real, tmp_path, monkeypatch, "--profile", "a1111", "--sampler", "euler_ancestral")
    assert pixels(there) == pixels(here) == pixels(line)


def test_openais_door(real: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = openai(real, {"prompt": "a cat", "size": "64x64", "steps": 3, "seed": 11, "sampler": "heun"})
    here = native(real, {**RECIPE, "sampler": "heun"})
    line = typed(real, tmp_path, monkeypatch, "--sampler", "heun")
    assert pixels(there) == pixels(here) == pixels(line)
