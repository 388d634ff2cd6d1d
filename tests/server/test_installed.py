"""A package that pip has installed: its node, route, panel, sampler, upscaler and preprocessor act in a server."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

pytest.importorskip("setuptools")
PACKAGE = Path(__file__).parents[1] / "extension"
GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "4": {"class_type": "BorrowedSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0],
          "latent_image": ["3", 0], "luck": 42, "steps": 9, "cfg": 4.0, "sampler_name": "euler",
          "scheduler": "normal", "denoise": 1.0}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
}  # fmt: skip

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built and installed by pip, offline."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, folder / "sources")  # building writes beside them
    options = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"),
               str(folder / "sources")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def call(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """Calls a server that was started with it."""
    folder = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = {**os.environ, "FROMNOISE_DATA": str(folder / "data"), "FROMNOISE_CACHE": str(folder / "cache"),
                   "PYTHONPATH": os.pathsep.join([str(installed), *filter(None, sys.path)])}  # fmt: skip
    command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(port), "--outputs", str(folder / "out"),
               "--device", "cpu"]  # fmt: skip

    def call(path: str, body: Any = None) -> Any:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = answer.read()
            return json.loads(found) if answer.headers["Content-Type"].startswith("application/json") else found

    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            waited(lambda: brought(call), lambda: process.poll() is None)
            yield call
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def brought(call: Call) -> bool:
    """Whether the worker has told what it has."""
    try:
        return bool(call("/api/v1/extensions")["kinds"])
    except OSError:
        return False


def waited(ready: Callable[[], bool], there: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + 240
    while not ready():
        assert there()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def done(call: Call, job: str) -> tuple[dict[str, Any], bytes]:
    """The first result of a job, and its file."""
    waited(lambda: call(f"/api/v1/jobs/{job}")["state"] in ("done", "failed"))
    assert call(f"/api/v1/jobs/{job}")["state"] == "done", call(f"/api/v1/jobs/{job}")["error"]
    (result,) = call(f"/api/v1/jobs/{job}/results")
    return result, call(result["url"]) if result["url"] else b""


def png(**texts: str) -> bytes:
    told, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    for key, text in texts.items():
        told.add_text(key, text)
    Image.new("RGB", (64, 64), (200, 100, 50)).save(stream, "PNG", pnginfo=told)
    return stream.getvalue()


def colours(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0).tolist()


def test_it_is_all_there(call: Call) -> None:
    found = call("/api/v1/extensions")
    assert (found["kinds"], found["routes"], found["nodes"]) == (["brighten"], ["borrowed/light"], ["BorrowedSampler"])
    assert [(panel["title"], panel["work"], panel["inputs"][0]["kind"]) for panel in found["panels"]] == [
        ("Brighten", "brighten", "number")
    ]
    assert found["faults"] == []
    catalogue = call("/api/v1/catalogue")
    assert {"half_euler", "Blue", "redder"} <= {
        one["name"] for kind in ("samplers", "upscalers", "preprocessors") for one in catalogue[kind]
    }


def test_its_node_is_read(call: Call) -> None:
    found = call("/api/v1/read", png(prompt=json.dumps(GRAPH)))
    assert (found["recipe"]["seed"], found["recipe"]["steps"]) == (42, 9)
    assert not any("Borrowed" in name for name in found["not_understood"])


def test_its_route_answers(call: Call) -> None:
    answer = call("/api/v1/extensions/borrowed/light/far/away?what=sun")
    assert answer == {"asked": "GET", "for": "sun", "below": "far/away"}


def test_what_its_panel_asks_for_is_done(call: Call) -> None:
    result, _ = done(call, call("/api/v1/extensions/brighten", {"body": {"by": 1.5}})["id"])
    assert result["data"] == {"brighter": 3.0}


def test_its_sampler_makes_pictures(call: Call) -> None:
    recipe = {"prompt": "a red apple", "width": 128, "height": 128, "steps": 2, "seed": 3}
    jobs = call("/api/v1/jobs", {"recipes": [{**recipe, "sampler": name} for name in ("half_euler", "euler")]})
    (mine, pixels), (_, others) = (done(call, job["id"]) for job in jobs)
    assert mine["data"]["recipe"]["sampler"] == "half_euler"
    assert colours(pixels) != colours(others)


def test_its_upscaler_and_its_preprocessor_work(call: Call) -> None:
    picture = call("/api/v1/images", png())["sha256"]
    larger = {"kind": "upscale", "picture": picture, "settings": {"upscaler": "Blue", "scale": 2}}
    assert colours(done(call, call("/api/v1/errands", {"work": larger})["id"])[1]) == [[0, 0, 255]]
    hint = {"kind": "preprocess", "picture": picture, "preprocessor": "redder"}
    assert colours(done(call, call("/api/v1/errands", {"work": hint})["id"])[1]) == [[200, 0, 0]]
