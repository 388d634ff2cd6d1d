"""No answer, no picture and no event tells where anything lies on the server's machine."""

import base64
import binascii
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from fromnoise.errors import without_folders
from fromnoise.jobs.scan import scan
from fromnoise.server.app import with_routes

from .conftest import HOST, Served, png
from .listening import waited

SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 7}
NATIVE = {**SMALL, "model": "tiny"}
THEIRS = {**SMALL, "override_settings": {"sd_model_checkpoint": "tiny"}}
LONG = re.compile(rb"[A-Za-z0-9+/]{200,}={0,2}")


def told_in(data: bytes) -> Iterator[bytes]:
    """The bytes, and those of pictures in base64 and of texts in pictures, compressed ones too."""
    yield data
    for text in LONG.findall(data):
        try:
            yield from written_in(base64.b64decode(text, validate=True))
        except binascii.Error:
            continue
    yield from written_in(data)


def written_in(data: bytes) -> Iterator[bytes]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            for value in image.info.values():
                yield value if isinstance(value, bytes) else str(value).encode()
            yield str(dict(image.getexif())).encode()
    except OSError:  # no picture
        return


def leaks(data: bytes, served: Served) -> bool:
    secret = str(served.context.outputs.parent).encode()
    escaped = secret.replace(b"/", b"\\/")
    return any(one in part for part in told_in(data) for one in (secret, escaped, str(Path.home()).encode() + b"/"))


@contextmanager
def watched(served: Served) -> Iterator[list[str]]:
    """Look into every answer while this lasts; the addresses of those that leak."""
    found: list[str] = []

    def look(response: httpx.Response) -> None:
        response.read()
        headers = b"\n".join(value for _, value in response.headers.raw)
        if leaks(response.content, served) or leaks(headers, served):
            found.append(f"{response.request.method} {response.request.url.path} {response.text[:3000]}")

    served.client.event_hooks = {"response": [look]}
    try:
        yield found
    finally:
        served.client.event_hooks = {"response": []}


def ended(served: Served, job: str) -> dict[str, Any]:
    def end() -> dict[str, Any] | None:
        found: dict[str, Any] = served.client.get(f"/api/v1/jobs/{job}").json()
        return found if found["state"] in ("done", "failed") else None

    found = waited(end)
    assert found is not None
    return found


def ask(served: Served, **fields: Any) -> dict[str, Any]:
    response = served.client.post("/api/v1/jobs", json={"recipes": [{**NATIVE, **fields}]})
    assert response.status_code == 202, response.text
    return ended(served, response.json()[0]["id"])


def sent(served: Served, size: tuple[int, int] = (64, 64)) -> dict[str, str]:
    """A picture, as recipes name it."""
    return {"path": "x.png", "sha256": served.client.post("/api/v1/images", content=png(size)).json()["sha256"]}


def look_at_all(served: Served, job: str) -> None:
    """Every result of a job and what the gallery tells of it."""
    for one in served.client.get(f"/api/v1/jobs/{job}/results").json():
        for address in filter(None, (one["url"], one["thumb"], one["picture"] and f"/api/v1/gallery/{one['picture']}")):
            assert served.client.get(address).status_code == 200
    served.client.get(f"/api/v1/jobs/{job}/preview")


def test_pictures_that_start_from_others(real: Served) -> None:
    with watched(real) as found:
        first, start = ask(real), sent(real)
        made = real.client.get(f"/api/v1/jobs/{first['id']}/results").json()[0]["sha256"]
        control = {"model": "control_tiny_canny", "image": start, "preprocessor": "canny"}
        jobs = [
            first,
            ask(real, init=start, strength=0.6),
            ask(real, init={"path": "/x", "sha256": made}, mask=start, strength=0.6),
            ask(real, controls=[control]),
        ]
        assert [job["state"] for job in jobs] == ["done"] * 4, jobs
        for job in jobs:
            look_at_all(real, job["id"])
        result = real.client.get(f"/api/v1/jobs/{jobs[1]['id']}/results").json()[0]
        assert result["data"]["recipe"]["init"] == {"path": f"{start['sha256']}.png", "sha256": start["sha256"]}
        again = real.client.post(f"/api/v1/gallery/{result['picture']}/again", json={"seed": 8})
        assert ended(real, again.json()["id"])["state"] == "done"
    assert found == []


def test_what_was_made_from_pictures_can_still_be_verified(real: Served) -> None:
    """The server knows where they lie, though the picture doesn't say."""
    first = ask(real, seed=31)
    made = real.client.get(f"/api/v1/jobs/{first['id']}/results").json()[0]["sha256"]
    second = ask(real, init={"path": "", "sha256": made}, mask=sent(real), strength=0.6, seed=32)
    digest = real.client.get(f"/api/v1/jobs/{second['id']}/results").json()[0]["sha256"]
    with watched(real) as found:
        errand = real.client.post("/api/v1/errands", json={"work": {"kind": "verify", "picture": digest}}).json()
        assert ended(real, errand["id"])["state"] == "done"
        (result,) = real.client.get(f"/api/v1/jobs/{errand['id']}/results").json()
    assert result["data"]["verdict"] == "identical", result
    assert found == []


def test_jobs_that_fail(real: Served) -> None:
    broken = real.context.settings.models[0] / "checkpoints" / "broken one.safetensors"
    broken.write_bytes(b"\xff" * 100)
    with watched(real) as found:
        jobs = [ask(real, model="broken one"), ask(real, model="none such"), ask(real, vae={"name": "none such"})]
        assert [job["state"] for job in jobs] == ["failed"] * 3
        assert "broken one" in jobs[0]["error"]
        real.client.post("/sdapi/v1/txt2img", json={**SMALL, "override_settings": {"sd_vae": "none such"}})
        real.client.post("/v1/images/generations", json={"prompt": "x", "model": "broken one", "size": "64x64"})
        real.client.post("/api/v1/gallery/import", json={"folder": str(real.context.outputs / "none")})
        real.client.post("/api/v1/tokens", json={"text": "x", "model": "broken one"})
    assert found == []
    broken.unlink()


def test_the_other_interfaces(real: Served) -> None:
    picture = base64.b64encode(png((64, 64))).decode()
    with watched(real) as found:
        for path, more in (
            ("txt2img", {"batch_size": 2}),
            ("img2img", {"init_images": [picture], "mask": picture, "include_init_images": False}),
            ("img2img", {"init_images": [picture], "script_name": "Loopback",
                         "script_args": [2, 0.5, "Linear", "None"]}),
            ("extra-single-image", {"image": picture, "upscaling_resize": 2, "upscaler_1": "Lanczos"}),
            ("png-info", {"image": picture}),
            ("txt2img", {"alwayson_scripts": {"controlnet": {"args": [
                {"image": picture, "module": "canny", "model": "control_tiny_canny"}]}}}),
        ):  # fmt: skip
            response = real.client.post(f"/sdapi/v1/{path}", json={**(THEIRS if "2img" in path else {}), **more})
            assert response.status_code == 200, response.text[:500]
            if info := response.json().get("images"):
                real.client.post("/sdapi/v1/png-info", json={"image": info[0]})
        asked = {"model": "tiny", "prompt": "x", "size": "64x64", "steps": 2}
        assert real.client.post("/v1/images/generations", json=asked).status_code == 200
        files = {"image": ("a.png", png((64, 64)), "image/png")}
        form = {name: str(value) for name, value in asked.items()}
        assert real.client.post("/v1/images/edits", files=files, data=form).status_code == 200
        real.client.post("/api/v1/read", content=png())
    assert found == []


def test_whatever_can_be_looked_at(real: Served) -> None:
    """Every address of the schema that needs no more than its name; and what has happened, by both doors."""
    ask(real, init=sent(real), strength=0.5)
    with watched(real) as found:
        paths = [path for path, verbs in with_routes().openapi()["paths"].items() if "get" in verbs and "{" not in path]
        assert len(paths) > 50
        for path in (*paths, "/metrics", "/healthz", "/readyz", "/openapi.json", "/none", "/api/v1/none"):
            if path != "/api/v1/events":
                assert real.client.get(path).status_code < 500, path
    assert found == []
    headers = {"origin": HOST, "host": "127.0.0.1:7860"}
    last = real.context.queue.last_event()
    with real.client.websocket_connect("/api/v1/ws?after=0", headers=headers) as socket:
        number = 0
        while number < last:
            told = socket.receive_json()
            number = told.get("number", number)
            assert not leaks(json.dumps(told).encode(), real)


def test_model_files_that_cannot_be_read(real: Served) -> None:
    broken = real.context.settings.models[0] / "checkpoints" / "broken one.safetensors"
    broken.write_bytes(b"\xff" * 100)
    with watched(real) as found:
        real.client.post("/api/v1/models/refresh")
        scan(real.context.index, real.context.settings)
        cards = real.client.get("/api/v1/models").json()["models"]
        assert [bool(card["fault"]) for card in cards if card["name"] == "broken one"] == [True]
        for card in cards:
            assert real.client.get(f"/api/v1/models/{card['kind']}/{card['file']}").status_code == 200
    assert found == []
    broken.unlink()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/srv/my models/loras/a b.safetensors: no such file", "loras/a b.safetensors: no such file"),
        ("looked in /srv/my models.", "looked in ."),
        ("/srv/my models-2/x.png", "my models-2/x.png"),
        ("C:\\Data (old)\\x.png is gone", "x.png is gone"),
    ],
)
def test_known_folders_are_taken_out_whatever_is_in_their_names(message: str, shown: str) -> None:
    assert without_folders(message, ["/srv/my models", "C:\\Data (old)", "/"]) == shown
