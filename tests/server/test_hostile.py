"""What strangers may send: each is refused, logged, and harmless."""

import base64
import hashlib
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fromnoise.server import page, patience, strict
from fromnoise.server.app import create_app, with_routes
from fromnoise.server.patience import configured

from .conftest import Served, png
from .listening import PATIENCE, listening, waited

PICTURE = base64.b64encode(png()).decode()
RECIPE = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
PATHS = ["../../etc/passwd", "/etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%252f..%252fetc%252fpasswd", "..\\..\\x",
         "C:\\Windows\\x", "\\\\host\\share", "x\0.png", "CON", "x.", "x:stream", "a" * 5000, "．．/x", "-rf", "file:///x",
         "x.png [output]", "%date%/x", "a\r\nSet-Cookie: x=1", '"; rm -rf /']  # fmt: skip
JSON = {
    "NaN": b'{"cfg_scale": NaN}', "Infinity": b'{"cfg_scale": -Infinity}', "1e999": b'{"cfg_scale": 1e999}',
    "digits": b'{"seed": ' + b"9" * 5000 + b"}", "twice": b'{"steps": 1, "steps": 2}',
    "half a pair": b'{"prompt": "\\ud800"}',
    "depth": b'{"override_settings": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "deep enough": b'{"override_settings": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "many": b'{"script_args": [' + b"[]," * 200_000 + b"1]}", "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"steps": 1}'.encode("utf-16"),
    "latin": b'{"prompt": "\xff"}', "half": b'{"steps": ', "a list": b"[1, 2]", "a text": b'"x"', "nothing": b"",
}  # fmt: skip
NUMBERS: list[dict[str, Any]] = [
    {"width": 2**31}, {"width": 0}, {"width": -8}, {"width": 7}, {"height": 1e300}, {"steps": 0}, {"steps": 10**9},
    {"batch_size": 10**6}, {"n_iter": -1}, {"cfg_scale": 1e308}, {"denoising_strength": -1, "enable_hr": True},
    {"seed": -2}, {"seed": 2**64}, {"seed": "many"}, {"seed": 1.5}, {"subseed_strength": 2}, {"hr_scale": 1000},
    {"sampler_name": "none such"}, {"scheduler": "none such"}, {"alwayson_scripts": [1]}, {"script_args": "import os"},
    {"script_name": "custom code", "script_args": ["import os"]}, {"override_settings": {"emphasis": "x"}},
    {"override_settings": {"CLIP_stop_at_last_layers": "x"}}, {"override_settings": {"sd_model_checkpoint": "../../x"}},
    {"override_settings": {"sd_model_checkpoint": "/etc/passwd"}},
    {"refiner_checkpoint": "/etc/passwd"}, {"styles": ["../../x"]}, {"prompt": "x" * 200_000},
]  # fmt: skip


def harmless(text: str, served: Served) -> bool:
    """Whether an answer tells nothing of the machine."""
    return "Traceback" not in text and str(served.context.outputs.parent) not in text and "root:" not in text


@pytest.mark.parametrize("name", JSON)
def test_json_that_two_readers_would_read_differently(name: str, shared: Served) -> None:
    for path in ("/sdapi/v1/txt2img", "/v1/images/generations", "/api/v1/jobs"):
        response = shared.client.post(path, content=JSON[name], headers={"content-type": "application/json"})
        assert response.status_code in (400, 422), (path, response.status_code)
        assert harmless(response.text, shared)


def test_sound_json_is_read() -> None:
    text = {"a": [1, -2.5, True, None, "\U0001f600 [{", {"b": {}}], "c": '\\ " é'}
    assert strict.parsed(json.dumps(text).encode()) == text
    assert strict.parsed(json.dumps(text, ensure_ascii=False).encode()) == text
    deep: Any = 1
    for _ in range(strict.DEEPEST - 1):
        deep = [deep]
    assert strict.parsed(json.dumps(deep).encode()) == deep


@pytest.mark.parametrize("fields", NUMBERS, ids=lambda fields: "-".join(fields))
def test_values_that_make_no_sense(fields: dict[str, Any], shared: Served) -> None:
    response = shared.client.post("/sdapi/v1/txt2img", json={**RECIPE, **fields})
    assert 400 <= response.status_code < 500, response.text[:200]
    assert harmless(response.text, shared)


@pytest.mark.parametrize("path", PATHS)
def test_names_that_lead_elsewhere(path: str, shared: Served) -> None:
    call, written = shared.client, quote(path, safe="/%\\.:")
    answers = [
        call.get(f"/api/v1/images/{written}"),
        call.get(f"/api/v1/jobs/{written}"),
        call.get(f"/api/v1/jobs/{written}/results/0"),
        call.post("/api/v1/jobs", json={"recipes": [{**RECIPE, "model": path}], "folder": "../x"}),
        call.post("/api/v1/jobs", json={"recipes": [{**RECIPE, "init": {"path": path, "sha256": "0" * 64}}]}),
        call.post("/sdapi/v1/img2img", json={**RECIPE, "init_images": [path]}),
        call.post("/sdapi/v1/png-info", json={"image": path}),
        call.post("/sdapi/v1/extra-single-image", json={"image": path}),
        call.post("/sdapi/v1/txt2img", json={**RECIPE, "override_settings": {"sd_model_checkpoint": path}}),
        call.post("/sdapi/v1/txt2img", json={**RECIPE, "refiner_checkpoint": path}),
        call.post("/v1/images/generations", json={"prompt": "x", "model": path}),
    ]  # fmt: skip
    for response in answers:
        assert 400 <= response.status_code < 500, (str(response.request.url)[:200], response.status_code)
        assert harmless(response.text, shared)
        assert "set-cookie" not in response.headers
    there = call.get(f"/{written}")  # where the page is built it is at every address that nothing else has
    assert 400 <= there.status_code < 500 or (page.is_built() and there.text == call.get("/").text)
    assert harmless(there.text, shared)
    assert "set-cookie" not in there.headers


def with_names() -> list[tuple[str, str]]:
    """Method and address of every operation that has a name in its address."""
    paths = with_routes().openapi()["paths"]
    return [(method, path) for path, item in paths.items() if "{" in path for method in item if method != "parameters"]


@pytest.mark.parametrize("name", PATHS)
def test_names_in_addresses_of_every_operation(name: str, shared: Served) -> None:
    """What a name says is looked for, never followed: nothing is found, nothing is made, nothing breaks."""
    before = {path for path in shared.context.outputs.parent.rglob("*") if path.suffix not in (".db", ".db-wal")}
    front = shared.client.get("/").text if page.is_built() else None  # at every address that nothing else has
    once = quote(name, safe="")
    for form in dict.fromkeys((once, quote(name, safe="/%\\.:"), quote(once, safe=""))):
        for method, path in with_names():
            path = path.replace("/models/{kind}/", "/models/checkpoints/")
            address = re.sub(r"\{(\w+)(:path)?\}", lambda found, form=form: KNOWN.get(found[1], form), path)
            response = shared.client.request(method, address, json={})
            seen = method, address, response.status_code, response.text[:200]
            assert 400 <= response.status_code < 500 or response.text == front, seen
            assert harmless(response.text, shared)
            assert "set-cookie" not in response.headers
    after = {path for path in shared.context.outputs.parent.rglob("*") if path.suffix not in (".db", ".db-wal")}
    assert {path.name for path in after - before} <= {"jobs.db-shm", "jobs.db-journal"}


KNOWN = {"index": "1", "number": "0", "action": "cancel"}  # parts of addresses that are no names


@pytest.mark.parametrize("wanted", ["bytes=0-0", "bytes=-5", "bytes=5-2", "bytes=0-", "bytes=9999999-", "bytes=a-b",
                                    "x=1-2", "bytes=" + ",".join(f"{n}-{n + 1}" for n in range(0, 20_000, 2)),
                                    "bytes=" + "0-1," * 5000, "bytes=" + "9" * 5000 + "-"])  # fmt: skip
def test_parts_of_files(wanted: str, shared: Served) -> None:
    kept = shared.client.post("/api/v1/images", content=png((64, 64))).json()["sha256"]
    whole = shared.client.get(f"/api/v1/images/{kept}").content
    began = time.monotonic()
    part = shared.client.get(f"/api/v1/images/{kept}", headers={"range": wanted})
    assert part.status_code in (200, 206, 400, 416)
    assert len(part.content) < 100 * len(whole) + 1_000_000
    assert time.monotonic() - began < 20
    assert harmless(part.text, shared)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("x.html", b"<html><script>alert(1)</script></html>"), ("x.gif", b"GIF89a" + bytes(100)),
        ("x.zip", b"PK\x03\x04" + bytes(100)), ("x.png", b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"),
        ("x.tiff", b"II*\0" + bytes(100)), ("x.bmp", b"BM" + bytes(100)), ("x", b""),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_never_kept_or_served(name: str, content: bytes, shared: Served) -> None:
    digest = hashlib.sha256(content).hexdigest()
    text = base64.b64encode(content).decode()
    answers = [
        shared.client.post("/api/v1/images", content=content, headers={"content-type": "image/svg+xml"}),
        shared.client.post("/api/v1/read", content=content),
        shared.client.post("/v1/images/variations", files={"image": (name, content, "image/png")}),
        shared.client.post("/sdapi/v1/img2img", json={**RECIPE, "init_images": [text]}),
        shared.client.post("/sdapi/v1/img2img", json={**RECIPE, "init_images": [f"data:text/html;base64,{text}"]}),
        shared.client.post("/sdapi/v1/png-info", json={"image": text}),
    ]
    for response in answers:
        assert response.status_code in (400, 413, 422), response.text[:200]
        assert "<script" not in response.text
    assert shared.client.get(f"/api/v1/images/{digest}").status_code == 404


def test_what_is_answered_runs_nowhere(shared: Served) -> None:
    """Whatever is kept is a PNG, and no browser takes an answer for another kind than it says."""
    polyglot = png() + b"<html><script>alert(1)</script></html>"
    kept = shared.client.post("/api/v1/images", content=polyglot).json()["sha256"]
    for path in (f"/api/v1/images/{kept}", "/api/v1/about", "/none", "/", "/openapi.json"):
        response = shared.client.get(path)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "script" not in response.headers["content-security-policy"].replace("'self'", "")
        assert "'unsafe-inline'" not in response.headers["content-security-policy"].partition("style-src")[0]
    assert b"<script" not in shared.client.get(f"/api/v1/images/{kept}").content


@pytest.mark.parametrize("seed", [-1, -(2**70), 2**64, 2**200, 1e400, "1e9", [1], {"a": 1}])
def test_seeds_of_every_kind(seed: Any, shared: Served) -> None:
    body = json.dumps({"recipes": [{**RECIPE, "seed": seed}]}).replace("Infinity", "1e999")
    response = shared.client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422, response.text[:200]


@pytest.mark.parametrize(
    "fields",
    [{"width": 2**31}, {"width": 0}, {"width": -8}, {"height": 10**30}, {"steps": 0}, {"steps": 10**9},
     {"guidance_scale": 1e309}, {"strength": 2, "init": {"path": "", "sha256": "f" * 64}}, {"sampler": "none such"},
     {"controls": [{"image": {"path": "http://169.254.169.254", "sha256": "f" * 64}}]}, {"unknown": 1},
     {"prompt": ["x"]},
     {"init": {"path": "/etc/passwd", "sha256": "f" * 64}}, {"init": {"path": "/etc/passwd", "sha256": "../../x"}}],
    ids=lambda fields: "-".join(fields),
)  # fmt: skip
def test_recipes_that_make_no_sense(fields: dict[str, Any], shared: Served) -> None:
    body = json.dumps({"recipes": [{**RECIPE, **fields}]}).replace("Infinity", "1e999")
    response = shared.client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (404, 422), response.text[:200]
    assert harmless(response.text, shared)


@pytest.mark.parametrize(
    "folder", ["..", "../x", "a/../../x", "/etc", "a/./../..", "C:/x", ".hidden", "a\0b", "x/..\\.."]
)
def test_folders_that_lead_out_of_the_outputs(folder: str, shared: Served) -> None:
    response = shared.client.post("/api/v1/jobs", json={"recipes": [RECIPE], "folder": folder})
    inside = response.status_code == 202
    assert response.status_code in (202, 422)
    if inside:  # leading slashes mean the folder of outputs
        shared.client.post(f"/api/v1/jobs/{response.json()[0]['id']}/cancel")
    assert inside == (folder == "/etc")


def test_a_link_out_of_the_outputs_is_not_followed(served: Served) -> None:
    secret = served.context.outputs.parent / "secret.png"
    secret.write_bytes(png())
    job = served.client.post("/api/v1/jobs", json={"recipes": [RECIPE]}).json()[0]["id"]
    served.work()
    file = served.context.outputs / f"{job}.png"
    file.unlink()
    file.symlink_to(secret)
    assert served.client.get(f"/api/v1/jobs/{job}/results/0").status_code == 404


def test_the_same_key_with_another_body(served: Served) -> None:
    order = {"recipes": [RECIPE], "key": "k"}
    assert served.client.post("/api/v1/jobs", json=order).status_code == 202
    assert served.client.post("/api/v1/jobs", json=order).status_code == 202
    other = served.client.post("/api/v1/jobs", json={**order, "recipes": [{**RECIPE, "steps": 2}]})
    assert other.status_code in (409, 422)
    assert "another job" in other.text


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1", "http://localhost/x.png", "http://0.0.0.0", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
     "http://169.254.169.254/latest", "http://2130706433/", "http://0177.0.0.1/", "https://example.org/x.png",
     "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/x", "HTTP://127.0.0.1"],
)  # fmt: skip
def test_addresses_are_never_fetched(address: str, shared: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    for path, body in (
        ("/sdapi/v1/img2img", {**RECIPE, "init_images": [address]}),
        ("/sdapi/v1/img2img", {**RECIPE, "init_images": [PICTURE], "mask": address}),
        ("/sdapi/v1/png-info", {"image": address}),
        ("/sdapi/v1/interrogate", {"image": address}),
        ("/controlnet/detect", {"controlnet_input_images": [address]}),
    ):
        response = shared.client.post(path, json=body)
        assert response.status_code == 422, path
        assert "fetched" in response.text or "base64" in response.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403), ({"host": "127.0.0.1.evil.example"}, 403), ({"host": ""}, 403),
        ({"origin": "null"}, 403), ({"origin": "http://evil.example"}, 403), ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403), ({"content-length": "-5"}, 400), ({"content-length": "9e9"}, 400),
        ({"content-type": "text/plain"}, 422), ({"content-type": "application/x-www-form-urlencoded"}, 422),
        ({"content-encoding": "gzip"}, 202), ({"x-http-method-override": "DELETE"}, 202),
    ],
)  # fmt: skip
def test_requests_from_elsewhere(headers: dict[str, str], status: int, shared: Served) -> None:
    response = shared.client.post("/api/v1/jobs", content=json.dumps({"recipes": [RECIPE]}), headers={
        "content-type": "application/json", **headers})  # fmt: skip
    assert response.status_code == status


def test_sockets_from_elsewhere(shared: Served) -> None:
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect),
            shared.client.websocket_connect("ws://127.0.0.1:7860/api/v1/ws", headers=headers),
        ):
            pass


def test_bodies_that_are_too_large_or_have_too_many_parts(shared: Served) -> None:
    large = {"image": "A" * (46 << 20)}
    assert shared.client.post("/sdapi/v1/png-info", json=large).status_code == 413
    parts = [("image", (f"{i}.png", b"x", "image/png")) for i in range(1500)]
    many = shared.client.post("/v1/images/edits", files=parts, data={"prompt": "x"})
    assert many.status_code == 400
    names = {"image": ('a"\r\nX-Evil: 1\r\n.png', png(), "image/png")}
    answer = shared.client.post("/v1/images/variations", files=names, data={"n": "x"})
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "prompt",
    [
        "(" * 10_000, "(" * 500 + "x" + ":1e308)" * 500, "(x:nan)", "(x:inf)", "(::::)", "[a:b:1e9]", "BREAK " * 2000,
        "AND ".join(["x"] * 200), "\u202e\u200d\U0001f468", "<lora:../../x:1>", "embedding:../../x", "__../x__",
        "{a|" * 500, "a\\" * 5000,
    ],
)  # fmt: skip
def test_prompts_of_every_kind_are_stored_or_refused(prompt: str, served: Served) -> None:
    response = served.client.post("/api/v1/jobs", json={"recipes": [{**RECIPE, "prompt": prompt}]})
    assert response.status_code in (202, 422)
    null = served.client.post("/api/v1/jobs", json={"recipes": [{**RECIPE, "prompt": "a\0b"}]})
    assert null.status_code == 422


def test_what_is_refused_is_logged_without_secrets(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fromnoise.server"):
        served.client.get("/api/v1/about?token=secret-word", headers={"host": "evil.example\x7f"})
        served.client.post("/sdapi/v1/txt2img?x=secret-word", json={"steps": "secret-word"})
        served.client.get("/api/v1/none", headers={"authorization": "Bearer secret-word"})
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "fromnoise.server"]
    assert [line["status"] for line in lines] == [403, 422, 404]
    assert (lines[0]["kind"], lines[1]["path"]) == ("host", "/sdapi/v1/txt2img")
    assert "secret-word" not in caplog.text


@pytest.fixture
def address(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server that listens, with little patience."""
    from fromnoise.server import guard

    monkeypatch.setattr(patience, "HEAD", 1.5)
    monkeypatch.setattr(guard, "PATIENCE", 1.5)
    with listening(configured(create_app(served.context), "127.0.0.1", 0)) as port:
        yield "127.0.0.1", port


@pytest.mark.parametrize("begin", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_heads_that_do_not_come_are_not_waited_for(begin: bytes, address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE) as slow:
        slow.sendall(begin)
        assert slow.recv(1000) == b""  # closed, without an answer


def test_a_second_head_is_waited_for_no_longer(address: tuple[str, int]) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(address, timeout=PATIENCE) as slow:
        slow.sendall(whole)
        answer = b""
        while b'"ok"}' not in answer:
            more = slow.recv(100_000)
            assert more, "it was closed before the answer"
            answer += more
        slow.sendall(whole[:20])
        assert slow.recv(1000) == b""


def exchanged(address: tuple[str, int], *parts: bytes) -> bytes:
    """What comes back for bytes as they are."""
    answer = b""
    with socket.create_connection(address, timeout=PATIENCE) as raw:
        try:
            for part in parts:
                raw.sendall(part)
            while chunk := raw.recv(100_000):
                answer += chunk
                head, _, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                if length and len(body) >= int(length[1]):
                    break
        except (ConnectionError, TimeoutError):
            pass
    return answer


def goes_on(address: tuple[str, int]) -> bool:
    """Whether the server answers."""
    healthy = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    return waited(lambda: b'"ok"}' in exchanged(address, healthy))


POST = b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("parts", "refusals"),  # parsers of HTTP differ in some
    [
        ((POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",), (400,)),
        ((POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",), (400,)),
        ((POST + b"Transfer-Encoding: gzip\r\n\r\n", b"x"), (400,)),
        ((POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), (400,)),
        ((POST + b"Content-Length: 99999999999999999999\r\n\r\n",), (413, 400)),
        ((POST + b"X: " + b"a" * 200_000,), (400,)),
        ((POST + b"X: 1\r\n" * 50_000 + b"\r\n",), (400,)),
        ((b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",), (400,)),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n",), (400,)),
        ((b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",), (403,)),
        ((b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",), (400,)),
        ((b"GET /healthz HTTP/1.1\r\n\r\n",), (400, 403)),
        ((b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",), (404, 405, 400)),
        ((b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",), (404, 405)),
    ],
)  # fmt: skip
def test_requests_that_are_none(parts: tuple[bytes, ...], refusals: tuple[int, ...], address: tuple[str, int]) -> None:
    answer = exchanged(address, *parts)
    assert answer == b"" or int(answer[9:12]) in refusals, answer[:200]
    assert b"Traceback" not in answer
    assert goes_on(address)


def test_a_body_without_end_is_cut_off(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = exchanged(address, head, *[b"100000\r\n" + b"a" * (1 << 20) + b"\r\n"] * 70)
    assert answer == b"" or answer[9:12] == b"413"


def test_sockets_that_flood(address: tuple[str, int]) -> None:
    """What a client says there is not needed; what is too large ends it. The server goes on."""
    uri = f"ws://{address[0]}:{address[1]}/api/v1/ws"
    with connect(uri) as talking:
        assert json.loads(talking.recv(timeout=PATIENCE))["event"] == "here"
        for _ in range(2000):
            talking.send("x" * 100)
        with pytest.raises(ConnectionClosed):  # noqa: PT012
            talking.send("x" * (patience.MESSAGE + 1))
            while True:
                talking.recv(timeout=PATIENCE)
    crowd = [connect(uri) for _ in range(50)]
    assert goes_on(address)
    for one in crowd:
        one.close()


def test_sockets_outlast_the_time_for_heads(address: tuple[str, int]) -> None:
    with connect(f"ws://{address[0]}:{address[1]}/api/v1/ws") as talking:
        assert json.loads(talking.recv(timeout=PATIENCE))["event"] == "here"
        with pytest.raises(TimeoutError):  # it is silent, and stays open
            talking.recv(timeout=3 * patience.HEAD)


def test_bodies_that_do_not_come_are_not_waited_for(address: tuple[str, int]) -> None:
    lines = (
        "POST /sdapi/v1/txt2img HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Content-Length: 9",
    )
    head = "\r\n".join([*lines, "", "{"]).encode()
    with socket.create_connection(address, timeout=PATIENCE) as slow:
        slow.sendall(head)
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
