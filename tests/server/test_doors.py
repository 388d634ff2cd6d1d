"""The same recipe is the same picture through every door: our own interface, theirs, and the command line."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Served
from .listening import waited


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def native(served: Served, recipe: dict[str, object]) -> bytes:
    job = served.client.post("/api/v1/jobs", json={"recipes": [recipe]}).json()[0]["id"]
    waited(lambda: served.client.get(f"/api/v1/jobs/{job}").json()["state"] in ("done", "failed"))
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


@pytest.fixture
def quick(real: Served) -> str:
    """A model whose name says that it needs eight steps and no guidance."""
    shelf = real.context.settings.models[0] / "checkpoints"
    if not (shelf / "tiny_lightning.safetensors").exists():
        (shelf / "tiny_lightning.safetensors").hardlink_to(shelf / "tiny.safetensors")
    return "tiny_lightning"


def test_what_a_client_leaves_out_is_the_models_own_at_every_door(
    quick: str, real: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"prompt": "a cat", "seed": 11}
    sides, chosen = {"width": 64, "height": 64}, {"override_settings": {"sd_model_checkpoint": quick}}
    plain = {"steps": 8, "guidance_scale": 1.0, "sampler": "euler"}
    whole = pixels(native(real, {**wanted, **sides, **plain, "model": quick}))
    assert pixels(native(real, {**wanted, **sides, "model": quick})) == whole
    assert pixels(openai(real, {**wanted, "size": "64x64", "model": quick, "quality": "high"})) == whole
    monkeypatch.setenv("FROMNOISE_MODELS", str(real.context.settings.models[0]))
    out = tmp_path / "typed.png"
    words = ["a cat", "--model", quick, "--size", "64", "--seed", "11", "--device", "cpu", "--dtype", "float32",
             "--quiet", "--out", str(out)]  # fmt: skip
    assert subprocess.run([sys.executable, "-m", "fromnoise", *words], check=False).returncode == 0
    assert pixels(out.read_bytes()) == whole
    theirs = pixels(native(real, {**wanted, **sides, **plain, "model": quick, "profile": "a1111"}))
    assert pixels(sdapi(real, {**wanted, **sides, **chosen})) == theirs
    said = sdapi(real, {**wanted, **sides, **chosen, "steps": 3, "cfg_scale": 4, "sampler_name": "Heun"})
    same = {"steps": 3, "guidance_scale": 4.0, "sampler": "heun", "profile": "a1111", "model": quick}
    assert pixels(said) == pixels(native(real, {**wanted, **sides, **same}))


def test_automatic1111s_defaults_count_for_other_models(real: Served) -> None:
    wanted = {"prompt": "a cat", "seed": 11, "width": 64, "height": 64}
    same = {"steps": 50, "guidance_scale": 7.0, "sampler": "euler", "profile": "a1111", "model": "tiny"}
    assert pixels(sdapi(real, wanted)) == pixels(native(real, {**wanted, **same}))


def test_jobs_show_what_was_asked_for(quick: str, real: Served) -> None:
    body = {"recipes": [{"prompt": "x", "model": quick, "width": 64, "height": 64}]}
    shown = real.client.post("/api/v1/jobs", json=body).json()[0]["body"]
    assert not shown.keys() & {"steps", "sampler", "guidance_scale", "unsaid"}
    assert real.client.post("/api/v1/jobs", json={"recipes": [shown]}).json()[0]["body"] == shown
