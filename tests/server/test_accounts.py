"""Accounts in the database: logging in and out, roles, tokens, quotas; and from the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from fromnoise.cli.app import app
from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.queue import Queue
from fromnoise.server.access import COOKIE, Access, Identity, digest
from fromnoise.server.accounts import OverQuota, Users
from fromnoise.server.app import create_app
from fromnoise.server.context import Context
from fromnoise.server.limits import Rate

from .conftest import HOST, Served, png
from .test_native import RECIPE

PASSWORD = "correct horse"


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    database = Database.open(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield Users(database)
    database.close()


@pytest.fixture
def client(users: Users, tmp_path: Path) -> TestClient:
    (tmp_path / "outputs").mkdir()
    context = Context(Queue(users.database), Access.to(users), tmp_path / "outputs", tmp_path / "uploads")
    return TestClient(create_app(context), base_url=HOST, client=("127.0.0.1", 5), raise_server_exceptions=False)


def log_in(client: TestClient, name: str, password: str = PASSWORD) -> int:
    return client.post("/api/v1/login", json={"name": name, "password": password}).status_code


def test_whoever_sits_here_is_local_until_there_is_an_account(client: TestClient, users: Users) -> None:
    assert client.get("/api/v1/session").json() == {"name": "local", "role": "admin", "accounts": False}
    first = {"name": "ann", "password": PASSWORD}
    assert client.post("/api/v1/users", json=first).status_code == 422  # nobody could add others
    assert client.post("/api/v1/users", json={**first, "role": "admin"}).status_code == 201
    assert client.get("/api/v1/session").status_code == 401
    assert log_in(client, "ann", "wrong") == 401
    assert log_in(client, "ann") == 200
    assert client.get("/api/v1/session").json() == {"name": "ann", "role": "admin", "accounts": True}
    assert [user["name"] for user in client.get("/api/v1/users").json()] == ["ann"]
    assert PASSWORD not in client.get("/api/v1/users").text
    token = client.cookies[COOKIE]
    assert client.post("/api/v1/logout").status_code == 204
    client.cookies.set(COOKIE, token)
    assert client.get("/api/v1/session").status_code == 401  # what was stolen is worth nothing


def test_a_token_opens_a_session(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    token = users.issue("ann", "a link")
    assert client.post("/api/v1/session", json={"token": "another"}).status_code == 401
    answer = client.post("/api/v1/session", json={"token": token})
    assert answer.json() == {"name": "ann", "role": "admin", "accounts": True}
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert client.get("/api/v1/session").json()["name"] == "ann"
    for _ in range(10):
        client.post("/api/v1/session", json={"token": "another"})
    assert client.post("/api/v1/session", json={"token": token}).status_code == 429


def test_the_cookie_is_not_for_scripts_or_other_sites(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    cookie = client.post("/api/v1/login", json={"name": "ann", "password": PASSWORD}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    evil = {"origin": "https://evil.example"}
    assert client.post("/api/v1/jobs", json={"recipes": [RECIPE]}, headers=evil).status_code == 403
    assert client.post("/api/v1/logout", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_users_may_less_than_administrators(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    users.add("bob", PASSWORD)
    assert log_in(client, "bob") == 200
    for call in (
        client.get("/api/v1/users"), client.get("/api/v1/settings"), client.get("/api/v1/machine"),
        client.delete("/api/v1/users/ann"), client.put("/api/v1/queue", json={"held": True}),
    ):  # fmt: skip
        assert call.status_code == 403
    (job,) = client.post("/api/v1/jobs", json={"recipes": [RECIPE]}).json()
    assert Queue(users.database).get(job["id"]).work.folder == "bob"
    assert log_in(client, "ann") == 200
    change = {"role": "user"}
    assert client.put("/api/v1/users/ann", json=change).status_code == 422  # nobody would be left
    assert client.put("/api/v1/users/bob", json={"role": "admin"}).json()["role"] == "admin"
    assert client.delete("/api/v1/users/bob").status_code == 204


def test_tokens_of_programs_are_shown_once_and_can_be_taken_back(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    log_in(client, "ann")
    token = client.post("/api/v1/api-tokens", json={"label": "script"}).json()["token"]
    (known,) = client.get("/api/v1/api-tokens").json()
    assert (known["label"], token in str(known)) == ("script", False)
    client.cookies.clear()
    bearer = {"authorization": f"Bearer {token}"}
    assert client.get("/api/v1/session", headers=bearer).json()["name"] == "ann"
    assert client.delete(f"/api/v1/api-tokens/{known['id']}", headers=bearer).status_code == 204
    assert client.get("/api/v1/session", headers=bearer).status_code == 401


def test_a_new_password_logs_browsers_out(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    program = users.issue("ann", "script")
    log_in(client, "ann")
    wrong = {"old": "x", "new": "another horse"}
    assert client.put("/api/v1/password", json=wrong).status_code == 401
    assert client.put("/api/v1/password", json={**wrong, "old": PASSWORD}).status_code == 204
    assert client.get("/api/v1/session").status_code == 401
    assert users.by_token(digest(program)) == Identity("ann", "admin")
    assert log_in(client, "ann", "another horse") == 200


def test_tokens_run_out(users: Users) -> None:
    now = [1000.0]
    later = Users(users.database, clock=lambda: now[0])
    later.add("ann", PASSWORD, "admin")
    token = later.issue("ann", "week", days=7)
    assert later.by_token(digest(token)) is not None
    now[0] += 8 * 86_400
    assert later.by_token(digest(token)) is None


def test_quotas_bound_a_day_and_the_room(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    users.add("bob", PASSWORD, pictures_a_day=2)
    log_in(client, "bob")
    assert client.post("/api/v1/jobs", json={"recipes": [RECIPE] * 2}).status_code == 202
    over = client.post("/api/v1/jobs", json={"recipes": [RECIPE]})
    assert (over.status_code, over.json()["error"]) == (429, "quota")
    users.set_limits("bob", role="user", pictures_a_day=None, size=0)
    with pytest.raises(OverQuota, match="room"):
        users.check_quota("bob", 1)


@pytest.mark.parametrize("name", ["", "Ann", "../x", "a/b", "local", "token-1", ".a", "a" * 40, "a b", "é", "con"])
def test_names_that_are_none(users: Users, name: str) -> None:
    with pytest.raises(UserError):
        users.add(name, PASSWORD)


def test_guessing_is_slowed_down(client: TestClient, users: Users) -> None:
    users.add("ann", PASSWORD, "admin")
    answers = [log_in(client, "ann", "wrong") for _ in range(12)]
    assert answers.count(401) == 10
    assert answers[-1] == 429
    assert log_in(client, "ann") == 429


def test_accounts_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_DATA", str(tmp_path))
    run = CliRunner()
    assert "--admin" in str(run.invoke(app, ["users", "add", "ann"], input=f"{PASSWORD}\n").exception)
    assert run.invoke(app, ["users", "add", "ann", "--admin"], input=f"{PASSWORD}\n").exit_code == 0
    assert run.invoke(app, ["users", "add", "bob", "--pictures-a-day", "5"], input=f"{PASSWORD}\n").exit_code == 0
    assert run.invoke(app, ["users", "list"]).output == "ann\tadmin\nbob\tuser\t5 pictures a day\n"
    assert run.invoke(app, ["users", "passwd", "bob"], input="another horse\n").exit_code == 0
    assert run.invoke(app, ["users", "remove", "bob"]).exit_code == 0
    assert isinstance(run.invoke(app, ["users", "remove", "bob"]).exception, UserError)


def test_a_server_of_tokens_alone_keeps_no_accounts(served: Served) -> None:
    assert served.client.post("/api/v1/login", json={"name": "a", "password": "b"}).status_code == 409


def test_quotas_hold_at_every_door(client: TestClient, users: Users) -> None:
    users.add("bob", PASSWORD, pictures_a_day=0)
    assert log_in(client, "bob") == 200
    small = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
    for path, body in (
        ("/api/v1/jobs", {"recipes": [RECIPE]}),
        ("/sdapi/v1/txt2img", small),
        ("/v1/images/generations", {"prompt": "x", "size": "64x64"}),
    ):
        assert client.post(path, json=body).status_code == 429, path


def test_a_full_disk_takes_nothing_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fromnoise.server.context.LEAST_FREE", 1 << 62)
    for path, body in (("/api/v1/jobs", {"recipes": [RECIPE]}), ("/sdapi/v1/txt2img", {"prompt": "x"})):
        response = served.client.post(path, json=body)
        assert (response.status_code, response.headers["retry-after"]) == (503, "600")
    assert served.client.post("/api/v1/images", content=b"").status_code == 503


def test_pictures_are_not_sent_without_end(served: Served) -> None:
    served.context.sendings.rate = Rate(2, 60.0)
    sent = [served.client.post("/api/v1/images", content=png()).status_code for _ in range(3)]
    assert sent == [201, 201, 429]
