"""Pictures by a server that runs on the same folder of data: the same picture, the same place, and what goes wrong."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.cli import elsewhere
from fromnoise.jobs.job import Event
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import SERVING

from .conftest import Run

ASKED = ("a red apple", "--model", "tiny", "--steps", 2, "--size", "64", "--seed", 7, "--out")


def same(first: Path, second: Path) -> bool:
    return np.array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(second)))


def test_the_server_makes_the_same_picture_and_it_lands_in_the_same_place(run: Run, queue: Queue, folder: Path) -> None:
    there = run(*ASKED, "there.png")
    assert there.status == 0, there.err
    assert "a server is running" in there.err
    assert "step 2/2" in there.err
    here = run(*ASKED, "here.png", "--local")
    assert "a server is running" not in here.err
    assert [*there.paths, *here.paths] == [Path("there.png"), Path("here.png")]
    assert same(folder / "there.png", folder / "here.png")
    assert [job.state for job in queue.jobs()] == ["done"]


def test_start_pictures_are_found_from_elsewhere(run: Run, queue: Queue, folder: Path) -> None:
    Image.radial_gradient("L").convert("RGB").resize((64, 64)).save(folder / "start.png")
    asked = (*ASKED[:-1], "--init", "start.png", "--out")
    assert run(*asked, "there.png").status == 0
    assert run(*asked, "here.png", "--local").status == 0
    assert same(Path("there.png"), Path("here.png"))
    assert queue.jobs()[0].work.body["init"]["path"] == str(folder / "start.png")


def test_a_batch_is_named_as_ever(run: Run, queue: Queue) -> None:
    several = run(*ASKED, "many/", "--batch", 3, "--quiet")
    assert several.status == 0, several.err
    assert sorted(path.name[11:] for path in several.paths) == [f"{seed}-a-red-apple.png" for seed in (7, 8, 9)]
    assert several.err == ""
    assert {job.work.group for job in queue.jobs()} == {queue.jobs()[0].work.group}


def test_a_copy_that_is_broken_off_leaves_nothing(
    run: Run, queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(elsewhere.shutil, "copyfile", half)
    assert run(*ASKED, "new/", "--quiet").status == 130
    assert list((folder / "new").iterdir()) == []


def test_what_is_asked_of_this_process_is_made_here(run: Run, queue: Queue, checkpoint: Path) -> None:
    for more in (["--device", "cpu"], ["--memory", "2GB"], ["--watch"], ["--model", str(checkpoint)]):
        assert run(*ASKED, "one.png", *more, "--quiet").status == 0
    assert queue.jobs() == []


def test_without_a_server_nothing_is_asked_of_one(run: Run, queue: Queue, folder: Path) -> None:
    (folder / "data" / SERVING).write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))
    assert run(*ASKED, "one.png").status == 0
    assert queue.jobs() == []


def test_what_is_remarked_there_is_told_here(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    events = [
        Event(1, "a", "local", 0.0, "remarked", {"remarks": ["it goes slowly"]}),
        Event(2, "a", "local", 0.0, "done", {}),
    ]
    monkeypatch.setattr(elsewhere, "happenings", lambda *_: iter(events))
    assert list(elsewhere.ended(None, {"a"}, 0, lambda steps: None)) == ["a"]  # type: ignore[arg-type]
    assert caplog.messages == ["it goes slowly"]


def test_why_a_job_failed_is_told(run: Run, queue: Queue) -> None:
    (Path("models/checkpoints") / "broken.safetensors").write_bytes(b"nothing")
    failed = run("a red apple", "--model", "broken", "--out", "one.png")
    assert failed.status == 2
    assert "broken" in failed.last
    assert not Path("one.png").exists()
