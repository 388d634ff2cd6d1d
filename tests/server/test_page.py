"""The studio's files: served with the right caching, and nothing outside of them."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fromnoise.server import page
from fromnoise.server.guard import CONTENT_POLICY

from .conftest import Served


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<p>studio</p>")
    (static / "assets" / "index-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    app = FastAPI()
    page.add_to(app, static)
    return TestClient(app)


def test_the_page_is_at_every_address_that_nothing_else_has(client: TestClient) -> None:
    for path in ("/", "/gallery", "/models/loras/ink"):
        answer = client.get(path)
        assert (answer.text, answer.headers["cache-control"]) == ("<p>studio</p>", "no-cache")
    assert client.get("/api/v1/nothing").status_code == 404
    assert client.get("/assets/gone.js").status_code == 404
    assert client.post("/gallery").status_code == 404


def test_files_with_a_hash_in_their_name_are_kept_for_ever(client: TestClient) -> None:
    answer = client.get("/assets/index-1a2b.js")
    assert (answer.text, answer.headers["content-type"]) == ("1", "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["/../secret.txt", "/assets/..%2f..%2fsecret.txt", "/%2e%2e/secret.txt", "/%00"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert "secret" not in client.get(path).text


def test_the_policy_lets_only_our_own_content_in(served: Served) -> None:
    answer = served.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == CONTENT_POLICY
    assert served.client.get("/api/v1/submit").status_code == 404
    assert served.client.get("/api/v1/tokens").status_code == 405
