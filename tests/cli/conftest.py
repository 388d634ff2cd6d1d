"""A place to work in, a tiny model there, and the command line run as a user would."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny

from fromnoise.cli import main
from fromnoise.engine.memory import place
from fromnoise.jobs.database import Database
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import SERVING, Station
from fromnoise.jobs.worker.__main__ import places
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.worker import Worker
from fromnoise.settings import Settings


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def paths(self) -> list[Path]:
        """What it printed on stdout, as a script would read it."""
        return [Path(line) for line in self.out.splitlines()]

    @property
    def last(self) -> str:
        """The line that a failure ends with."""
        return self.err.rstrip("\n").rsplit("\n", 1)[-1]


Run = Callable[..., Ran]
LANGUAGE_VARIABLES = ("FROMNOISE_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SD 1.x."""
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", "sd1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and English."""
    monkeypatch.chdir(tmp_path)
    for name in (*LANGUAGE_VARIABLES, "FROMNOISE_DEBUG", "FROMNOISE_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """run("a red apple", "--steps", 4): the command in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        return Ran(main([str(argument) for argument in arguments]), *capsys.readouterr())

    return run


@pytest.fixture
def draw(run: Run, checkpoint: Path) -> Run:
    """draw("a red apple"): a small quick picture with the tiny model, unless the arguments say otherwise."""

    def draw(prompt: str, *arguments: object) -> Ran:
        given = {"--model": checkpoint, "--size": "64", "--steps": 2, "--seed": 7}
        rest = [word for name, value in given.items() if name not in arguments for word in (name, value)]
        return run(prompt, *rest, *arguments)

    return draw


@pytest.fixture
def start(folder: Path) -> Callable[..., Ran]:
    """start("--help", FROMNOISE_LANG="zh"): the command in a process of its own."""

    def start(*arguments: object, **environment: str) -> Ran:
        command = [sys.executable, "-m", "fromnoise", *map(str, arguments)]
        wide = {**os.environ, "COLUMNS": "160", "PYTHONUTF8": "1", **environment}
        done = subprocess.run(command, env=wide, capture_output=True, encoding="utf-8", check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def queue(folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Of a server that is at work in the current folder."""
    (folder / "models/checkpoints").mkdir(parents=True)
    shutil.copy(checkpoint, folder / "models/checkpoints/tiny.safetensors")
    data = folder / "data"
    data.mkdir()
    monkeypatch.setenv("FROMNOISE_DATA", str(data))
    (data / SERVING).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    database = Database.open(f"sqlite:///{data / 'fromnoise.db'}")
    shelved = Settings(any_path=False, data=data)
    station = Station("", folder / "server/outputs", folder / "kept", settings=shelved)
    leases = Leases(database, lease=600)  # nothing renews it while the worker has nothing to do
    leases.enlist("w", "cpu", places(station))
    worker = Worker("w", leases, station, Easel(place("cpu", None), shelved, Kept(station.kept)))
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield Queue(database)
    worker.stop()
    thread.join()
    database.close()


def everything(folder: Path) -> list[Path]:
    """All that lies in `folder` and below."""
    return sorted(folder.rglob("*"))
