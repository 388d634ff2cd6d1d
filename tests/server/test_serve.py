"""The whole service, started as a person starts it: it makes a picture and stops cleanly."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.options import Options
from fromnoise.jobs.queue import Queue
from fromnoise.server.access import digest
from fromnoise.server.serve import Service, identities
from tools.ports import free_port

from .listening import PATIENCE


def call(port: int, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read() or b"null")


def test_a_picture_from_a_server(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "FROMNOISE_DATA": str(tmp_path / "data"), "FROMNOISE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(port), "--outputs", str(tmp_path / "out"),
               "--device", "cpu"]  # fmt: skip
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(port, process)
            (job,) = call(port, "/api/v1/jobs", {"recipes": [{"prompt": "a red apple", "width": 128, "height": 128,
                                                              "steps": 2, "guidance_scale": 4}]})  # type: ignore[misc]  # fmt: skip
            deadline = time.monotonic() + PATIENCE
            while (found := call(port, f"/api/v1/jobs/{job['id']}"))["state"] not in ("done", "failed"):  # type: ignore[index]
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert found["state"] == "done", found  # type: ignore[index]
            assert len(list((tmp_path / "out").rglob("*.png"))) == 1
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGTERM is the end")
def test_a_server_that_is_told_to_stop_lets_its_worker_end(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "FROMNOISE_DATA": str(tmp_path / "data"), "FROMNOISE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(port), "--outputs", str(tmp_path / "out"),
               "--device", "cpu"]  # fmt: skip
    database = Database.open(f"sqlite:///{tmp_path / 'data/fromnoise.db'}")
    Options.load(database).changed(grace=1.0).save(database)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=log, text=True)
    try:
        wait_for(port, process)
        recipe = {"prompt": "a red apple", "width": 128, "height": 128, "steps": 1000}
        (job,) = call(port, "/api/v1/jobs", {"recipes": [recipe]})  # type: ignore[misc]
        deadline = time.monotonic() + PATIENCE
        while call(port, f"/api/v1/jobs/{job['id']}")["step"] < 1:  # type: ignore[index]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (tmp_path / "data/serving.json").exists()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert not (tmp_path / "data/serving.json").exists()
    assert "is gone" not in (tmp_path / "log").read_text()
    left = Queue(database).get(job["id"])
    assert (left.state, left.kept > 0) == ("queued", True)  # to go on from its last step


def wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            call(port, "/healthz")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it did not start")


def test_strangers_need_a_token() -> None:
    with pytest.raises(UserError, match="--token"):
        Service(host="0.0.0.0").check()
    Service(host="0.0.0.0", tokens=("x" * 20,)).check()
    Service(host="0.0.0.0").check(accounts=True)
    Service(host="::1").check()
    with pytest.raises(UserError, match="is for others"):
        Service(host_names=("studio.lan",)).check()
    Service(host_names=("studio.lan",), tokens=("x" * 20,)).check()
    with pytest.raises(UserError, match="at least 16"):
        identities(["short"])
    found = identities(["a" * 20])
    assert found[digest("a" * 20)].is_admin
    assert digest("b" * 20) not in found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_idle_server_is_small_and_soon_there(tmp_path: Path) -> None:
    """The bounds are for a machine that does nothing else: 1.5 s and 150 MB."""
    port = free_port()
    environment = {**os.environ, "FROMNOISE_DATA": str(tmp_path / "data"), "FROMNOISE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(port), "--outputs", str(tmp_path / "out")]
    for first in (True, False):  # the first makes the database
        began = time.monotonic()
        with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for(port, process)
                seconds = time.monotonic() - began
                call(port, "/api/v1/about")
                time.sleep(3)
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                assert pages * os.sysconf("SC_PAGE_SIZE") < 150e6
                assert first or seconds < 1.5, f"{seconds:.1f} s"
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
