"""Calls by other names, from other pages, and too large ones are refused before anything else sees them."""

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from fromnoise.errors import FileError, UserError
from fromnoise.server import errors
from fromnoise.server.errors import ApiError, without_folders
from fromnoise.server.guard import Guard, Policy

app = FastAPI()
errors.add_to(app)


@app.get("/read")
def read() -> str:
    return "read"


@app.post("/write")
async def write(request: Request) -> int:
    return len(await request.body())


@app.get("/fail/{how}")
def fail(how: str) -> None:
    raise {
        "user": UserError("steps: 0 is too few"),
        "file": FileError("/srv/models/secret/place/model.safetensors: no such file"),
        "busy": ApiError(429, "rate", "too many", retry_after=2.4),
        "bug": RuntimeError("/srv/secret is broken"),
    }[how]


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")


def client(host: str = "127.0.0.1:7860", **policy: object) -> TestClient:
    guarded = Guard(app, Policy.of(**policy))  # type: ignore[arg-type]
    return TestClient(guarded, base_url=f"http://{host}", raise_server_exceptions=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST:1"])
def test_loopback_names_are_answered(host: str) -> None:
    assert client(host).get("/read").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.", "", "[::1"]
)
def test_other_names_are_refused(host: str) -> None:
    response = client().get("/read", headers={"host": host})
    assert response.status_code == 403
    assert response.json()["error"] == "host"


def test_a_name_of_ones_own_can_be_allowed() -> None:
    assert client("studio.lan:7860", hosts=["Studio.lan"]).get("/read").status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://127.0.0.1:7860", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:9999", 403),
        ("null", 403),
        ("https://friend.example", 200),
    ],
)
def test_what_changes_something_comes_from_our_own_pages(origin: str | None, status: int) -> None:
    ours = client(origins=["https://friend.example/"])
    headers = {"origin": origin} if origin else {}
    assert ours.post("/write", content=b"x", headers=headers).status_code == status
    assert ours.get("/read", headers=headers).status_code == 200


def test_a_call_from_another_site_without_an_origin_is_refused() -> None:
    assert client().post("/write", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client().post("/write", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_sockets_are_refused_by_the_same_rules() -> None:
    with client().websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        assert socket.receive_text() == "hello"
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            client().websocket_connect("ws://127.0.0.1:7860/ws", headers=headers),
        ):
            pass
        assert refused.value.code == 1008


def test_bodies_end_at_their_limit_whatever_they_say_of_themselves() -> None:
    small = client(body_limit=1000)
    assert small.post("/write", content=b"x" * 1000).json() == 1000
    assert small.post("/write", content=b"x" * 1001).status_code == 413

    def endless() -> object:
        for _ in range(100):
            yield b"x" * 100

    response = small.post("/write", content=endless())
    assert response.status_code == 413
    assert response.json()["error"] == "size"
    assert small.post("/write", headers={"content-length": "many"}).status_code == 400


def test_every_answer_says_how_browsers_should_treat_it() -> None:
    for response in (client().get("/read"), client().get("/none"), client().get("/read", headers={"host": "evil"})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_errors_are_typed_and_tell_nothing_of_the_machine() -> None:
    ours = client()
    assert ours.get("/fail/user").json() == {"error": "request", "message": "steps: 0 is too few"}
    assert ours.get("/fail/file").json() == {"error": "file", "message": "model.safetensors: no such file"}
    busy = ours.get("/fail/busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
    bug = ours.get("/fail/bug")
    assert bug.status_code == 500
    assert "secret" not in bug.text
    assert ours.get("/none").json()["error"] == "not-found"
    assert ours.delete("/read").json()["error"] == "method"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/a/b/c.png: no such picture", "c.png: no such picture"),
        (r"D:\data\me\c.png: no such picture", "c.png: no such picture"),
        ("1/2 of 512x768 and/or 3/4", "1/2 of 512x768 and/or 3/4"),
        ("look in models/loras, or in '/srv/x/loras'", "look in models/loras, or in 'loras'"),
    ],
)
def test_folders_are_taken_out_of_messages(message: str, shown: str) -> None:
    assert without_folders(message) == shown
