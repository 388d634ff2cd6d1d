"""New model files are noticed and read in the background; what is old is forgotten."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fromnoise.jobs.database import Database
from fromnoise.jobs.index import Index
from fromnoise.jobs.job import Work
from fromnoise.jobs.leases import Leases, Update
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.upkeep import DAY, Upkeep
from fromnoise.settings import Settings

from .conftest import Clock


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(models=(tmp_path / "models",), cache=tmp_path / "cache", data=tmp_path)


def test_what_is_new_is_read_by_one_process(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []
    popen = subprocess.Popen

    def start(command: list[str], env: dict[str, str], **_: object) -> "subprocess.Popen[bytes]":
        started.append(env)
        return popen([sys.executable, "-c", "import time; time.sleep(600)"])

    monkeypatch.setattr("subprocess.Popen", start)
    upkeep = Upkeep(database, settings)
    upkeep.look()
    assert started == [], "nothing is there"
    path = settings.models[0] / "loras" / "a.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    upkeep.look()
    upkeep.look()
    assert [env["FROMNOISE_MODELS"] for env in started] == [str(settings.models[0])]
    assert [entry.name for entry in Index(database).entries(settings)] == ["a.safetensors"]
    upkeep.stop()
    assert upkeep.reader is not None
    assert upkeep.reader.poll() is not None
    upkeep.look()
    assert len(started) == 2, "the first one has ended"
    upkeep.stop()


def test_old_steps_and_jobs_are_forgotten(database: Database, settings: Settings, clock: Clock) -> None:
    queue, leases = Queue(database, clock=clock), Leases(database, clock=clock)
    (job,) = queue.submit([Work("test", {})])
    leases.enlist("w", "cpu")
    leases.claim("w", 1)
    leases.report("w", [Update(job.id, 1, 1)])
    leases.finish("w", job.id, [])
    upkeep = Upkeep(database, settings, days=2, clock=clock)
    upkeep.tidy()
    assert "step" in [event.kind for event in queue.events()]
    clock.now += 3700
    upkeep.tidy()
    assert [event.kind for event in queue.events()] == ["queued", "started", "done"]
    clock.now += 2 * DAY
    upkeep.tidy()
    assert queue.jobs() == []


def test_what_others_have_is_tidied_up_with_it(database: Database, settings: Settings, clock: Clock) -> None:
    times: list[float] = []
    upkeep = Upkeep(database, settings, clock=clock, also=lambda: times.append(clock.now))
    for _ in range(2):
        upkeep.tidy()
    clock.now += 700
    upkeep.tidy()
    assert times == [clock.now - 700, clock.now]


def test_it_works_in_a_thread(database: Database, settings: Settings) -> None:
    with Upkeep(database, settings, clock=lambda: 5_000_000.0) as upkeep:
        end = time.monotonic() + 180
        while not upkeep.tidied and time.monotonic() < end:
            time.sleep(0.01)
    assert upkeep.tidied == 5_000_000.0
    assert upkeep.thread is not None
    assert not upkeep.thread.is_alive()
