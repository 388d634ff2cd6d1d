"""`fromnoise studio`: the page must be there, and the browser is opened once the server answers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fromnoise.cli import opening
from fromnoise.server import page

from .conftest import Run


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    return seen


def test_the_browser_opens_when_the_server_answers(address: str, shown: list[str]) -> None:
    opening.show_when_ready(address).join(180)
    assert shown == [address]


def test_the_browser_stays_closed_where_nothing_answers(shown: list[str]) -> None:
    opening.show_when_ready("http://127.0.0.1:1", patience=0.3).join(180)
    assert shown == []


def test_a_studio_that_runs_already_is_opened(
    run: Run, address: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "is_built", lambda: True)
    ran = run("studio", "--port", address.rpartition(":")[2])
    assert (ran.status, shown) == (0, [address])
    assert "open already" in ran.err


def test_a_page_that_is_not_built_is_said_to_be(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    monkeypatch.setattr(page, "is_built", lambda: False)
    ran = run()
    assert ran.status == 2
    assert "python launch.py builds it" in ran.last
    assert shown == []
