"""Workers are started, watched, started again, and do what was accepted whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.supervisor import Post, Supervisor, alive, ended

from .crash import Crash, pictures, undergo

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")


@pytest.fixture
def station(tmp_path: Path) -> Station:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    return Station(url, tmp_path / "outputs", tmp_path / "kept", device="cpu", dtype="float32", lease=5)


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Workers that only do what `code` says."""
    popen = subprocess.Popen

    def start(command: list[str], **more: object) -> "subprocess.Popen[str]":
        return popen([sys.executable, "-c", code, command[-1]], **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("subprocess.Popen", start)


def wait(until: Callable[[], object], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_dies_is_buried_and_started_again(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import sys; sys.exit(3)")
    supervisor = Supervisor([station])
    queue, (post,) = Queue(supervisor.leases.database), supervisor.posts
    supervisor.look_after(post)
    first = post.worker
    supervisor.leases.enlist(first, "cpu")
    (job,) = queue.submit([Work("test", {})])
    supervisor.leases.claim(first, 1)
    assert post.process is not None
    post.process.wait()
    supervisor.look_after(post)
    assert queue.get(job.id).state == "queued"
    assert queue.events(job=job.id)[-1].data == {"why": "the worker ended with status 3"}
    assert post.worker != first, "at once"
    for _ in range(3):
        assert post.process is not None
        post.process.wait()
        supervisor.look_after(post)
        if post.process is not None:
            continue
        assert 0 < post.again - time.monotonic() <= 0.25 * 2**post.quick, "and then later and later"
        post.again = 0
        supervisor.look_after(post)
    assert post.quick == 3


def test_a_worker_is_told_its_station_and_the_end(
    station: Station, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    lines = "[sys.stdin.readline(), sys.stdin.readline(), str('FROMNOISE_TOKEN' in os.environ)]"
    monkeypatch.setenv("FROMNOISE_TOKEN", "a secret of sixteen")
    stand_in(monkeypatch, f"import os, sys; open({str(told)!r}, 'w').writelines({lines})")
    with Supervisor([station]) as supervisor:
        wait(lambda: supervisor.posts[0].process)
    assert supervisor.posts[0].process is not None
    assert supervisor.posts[0].process.returncode == 0
    station_line, last, knows_secrets = told.read_text().splitlines()
    assert json.loads(station_line) == json.loads(station.to_json())
    assert (last, knows_secrets) == ("drain", "False")


@needs_signals
def test_a_worker_that_does_not_answer_is_killed(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "import sys, time; sys.stdin.readline(); time.sleep(1000)")
    supervisor = Supervisor([station])
    (post,) = supervisor.posts
    supervisor.look_after(post)
    Leases(supervisor.leases.database, lease=-1).enlist(post.worker, "cpu")
    supervisor.sweep()
    assert post.process is not None
    assert post.process.wait(180) == -signal.SIGKILL


@needs_signals
def test_what_an_earlier_life_left_is_put_back(station: Station) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    database = Database.open(station.database)
    leases, queue = Leases(database, lease=1000), Queue(database)
    leases.enlist("old", "cpu")
    (job,) = queue.submit([Work("test", {})])
    leases.claim("old", 1)
    station.kept.mkdir()
    for name in (job.id, "of-nobody"):
        (station.kept / f"{name}.safetensors").touch()
    supervisor = Supervisor([station])
    supervisor.bury_orphans()
    assert queue.get(job.id).state == "running", "its process is this one, which lives"
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE workers SET pid={gone.pid}")
    supervisor.bury_orphans()
    supervisor.forget_kept()
    assert queue.get(job.id).state == "queued"
    assert [path.stem for path in station.kept.iterdir()] == [job.id]


def test_ends_are_told_in_words() -> None:
    assert ended(1) == "the worker ended with status 1"
    assert ended(-9) in ("the worker was ended by SIGKILL", "the worker was ended by signal 9")
    assert alive(os.getpid())


@needs_signals
def test_a_worker_dies_with_whoever_started_it(station: Station, tmp_path: Path) -> None:
    code = (
        "import sys, time; from fromnoise.jobs.supervisor import *;"
        "s = Supervisor([Station.from_json(sys.argv[1])]); s.hire(s.posts[0]);"
        "print(s.posts[0].process.pid, flush=True); time.sleep(1000)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, station.to_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert alive(pid)
        starter.kill()
    wait(lambda: not alive(pid))


@needs_signals
def test_nothing_is_lost_when_workers_and_their_supervisor_are_killed(tmp_path: Path) -> None:
    model = tiny.checkpoint(tmp_path / "tiny.safetensors", "sd1")
    recipes = [
        Recipe.make(model=str(model), seed=seed, width=64, height=64, steps=100, sampler="euler_ancestral")
        for seed in range(8)
    ]
    crash = Crash(
        f"sqlite:///{tmp_path / 'jobs.db'}", tmp_path, recipes, clients=3, worker_kills=1, server_kills=1, pause=0.3
    )
    assert undergo(crash, patience=300)["equal_bit_for_bit"] == 8


@needs_signals
@pytest.mark.slow
def test_two_hundred_pictures_while_all_is_killed(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        crash = Crash(url, tmp_path, pictures(200), clients=8, worker_kills=20, server_kills=5, say=print)
        verdict = undergo(crash, patience=900)
    assert verdict["resumed"] > 0


def test_posts_begin_empty(station: Station) -> None:
    assert Supervisor([station]).posts == [Post(station)]
