"""Ctrl-C as it really arrives: SIGINT to a process that draws, or that waits for a server that does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.jobs.queue import Queue

from .conftest import everything

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for another process")


def started(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "fromnoise", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a parent may ignore it
    )


def interrupted(process: "subprocess.Popen[str]", ready: Callable[[], bool]) -> tuple[int, str, str]:
    """Ctrl-C as soon as it is `ready`; exit status, stdout and stderr."""
    with process:
        while not ready():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    return process.returncode, out, err


def one_is_finished(folder: Path) -> bool:
    """A name is claimed by an empty file; when there is a second, the first is written and noted."""
    return len(list(folder.glob("[!.]*.png"))) > 1


def settled(queue: Queue) -> list[str]:
    """The states of all jobs when none is running any more."""
    while any(not job.is_finished for job in queue.jobs()):
        time.sleep(0.01)
    return sorted(job.state for job in queue.jobs())


def test_ctrl_c_ends_in_one_line_and_leaves_nothing(folder: Path, checkpoint: Path) -> None:
    with started("x", "--model", checkpoint, "--size", 64, "--steps", 10000) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while not process.stderr.readline().startswith("seed "):  # then it draws
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, printed = process.stderr.read(), process.stdout.read()
    assert process.returncode == 130
    assert said == "fromnoise: stopped; nothing was written\n"
    assert printed == ""
    assert everything(folder) == []


def test_ctrl_c_cancels_what_a_server_draws(queue: Queue, folder: Path) -> None:
    asked = ("x", "--model", "tiny", "--size", 64, "--steps", 10000, "--batch", 2, "--out", "new/", "--quiet")
    status, out, err = interrupted(started(*asked), lambda: any(job.step for job in queue.jobs()))
    assert (status, out, err) == (130, "", "fromnoise: stopped; nothing was written\n")
    assert settled(queue) == ["cancelled"] * 2
    assert not (folder / "new").exists()


def test_pictures_that_a_server_has_finished_stay(queue: Queue, folder: Path) -> None:
    queue_is_long = ("x", "--model", "tiny", "--size", 64, "--steps", 60, "--batch", 40, "--out", "new/", "--quiet")
    status, out, err = interrupted(started(*queue_is_long), lambda: one_is_finished(folder / "new"))
    printed = [Path(line) for line in out.splitlines()]
    assert (status, err) == (130, f"fromnoise: stopped; {len(printed)} of 40 pictures are finished\n")
    assert 1 <= len(printed) < 40
    assert {Image.open(path).size for path in printed} == {(64, 64)}
    assert sorted(path.name for path in (folder / "new").iterdir()) == sorted(path.name for path in printed)
    assert {"done", "cancelled"} == set(settled(queue))


def test_ctrl_c_reaches_a_command_that_a_server_carries_out(queue: Queue, folder: Path) -> None:
    Image.radial_gradient("L").convert("RGB").save(folder / "small.png")
    asked = ("upscale", *["small.png"] * 1000, "--upscaler", "Lanczos", "--scale", 4, "--out", "new/", "--quiet")
    status, out, err = interrupted(started(*asked), lambda: one_is_finished(folder / "new"))
    printed = [Path(line) for line in out.splitlines()]
    assert (status, err) == (130, f"fromnoise: stopped; {len(printed)} of 1000 pictures are finished\n")
    assert 1 <= len(printed) < 1000
    assert {path.name for path in (folder / "new").iterdir()} == {path.name for path in printed}
    assert settled(queue) == ["cancelled"]
