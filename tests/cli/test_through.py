"""Commands that a running server's worker carries out: the same files, the same lines, the same failures."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.metadata.carrier import read_texts
from fromnoise.jobs.job import Work
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.signing import key_in, signature
from fromnoise.server.native.events import as_told
from fromnoise.server.native.views import JobView

from .conftest import Run

GRID = ("grid", "a red apple", "--model", "tiny", "--steps", 1, "--size", "64", "--seed", 7, "--x", "seed=7,8",
        "--y", "steps=1,2")  # fmt: skip


def same(first: Path, second: Path) -> bool:
    return np.array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(second)))


def test_a_merge_is_carried_out_there(run: Run, queue: Queue, folder: Path) -> None:
    asked = ("merge", "tiny", "tiny", "--weight", 0.3, "--out")
    there = run(*asked, "there.safetensors")
    assert there.status == 0, there.err
    assert "a server is running" in there.err
    assert "MB became" in there.err
    here = run(*asked, "here.safetensors", "--local")
    assert "a server is running" not in here.err
    assert [*there.paths, *here.paths] == [Path("there.safetensors"), Path("here.safetensors")]
    assert Path("there.safetensors").read_bytes() == Path("here.safetensors").read_bytes()
    [job] = queue.jobs()
    assert (job.work.kind, job.state) == ("command", "done")
    assert job.steps > 0
    shown = [JobView.of(job).model_dump(), *map(as_told, queue.events())]  # over HTTP nothing of it is told
    assert not any("there.safetensors" in str(one) or str(folder) in str(one) for one in shown)


def test_how_it_fails_is_told(run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    there = run("upscale", "none.png")
    assert (there.status, there.out) == (2, "")
    assert "fromnoise: none.png：没有这个文件" in there.err
    assert there.last == run("upscale", "none.png", "--local").last
    assert [job.state for job in queue.jobs()] == ["failed"]


def test_pictures_are_enlarged_where_it_was_typed(run: Run, queue: Queue, folder: Path) -> None:
    Image.radial_gradient("L").convert("RGB").resize((32, 32)).save(folder / "small.png")
    asked = ("upscale", "small.png", "--upscaler", "Lanczos", "--scale", 2, "--quiet", "--out")
    assert run(*asked, "there.png").err == ""
    assert run(*asked, "here.png", "--local").status == 0
    assert same(Path("there.png"), Path("here.png"))


def test_what_nobody_here_has_typed_is_refused(queue: Queue, folder: Path) -> None:
    order = {"words": ["merge", "tiny", "--out", "x.safetensors"], "folder": str(folder), "language": "en"}
    [forged] = queue.submit([Work("command", {**order, "signature": "0" * 64})])
    signed = {**order, "signature": signature(order, key_in(folder / "data"))}
    [changed] = queue.submit([Work("command", {**signed, "words": ["merge", "other"]})])
    for _ in range(1800):
        if all(queue.get(job.id).is_finished for job in (forged, changed)):
            break
        threading.Event().wait(0.1)
    assert [queue.get(job.id).state for job in (forged, changed)] == ["failed", "failed"]
    assert "not typed on the machine" in str(queue.get(changed.id).error)
    assert (folder / "data" / "command.key").stat().st_mode & 0o077 == 0


def test_a_sheet_has_the_same_pictures(run: Run, queue: Queue) -> None:
    there = run(*GRID, "--each", "--out", "there/")
    assert there.status == 0, there.err
    assert "a server is running" in there.err
    here = run(*GRID, "--each", "--out", "here/", "--local")
    assert len(there.paths) == len(here.paths) == 5
    for one, other in zip(there.paths, here.paths, strict=True):
        assert same(one, other)
    assert read_texts(there.paths[-1]) == read_texts(here.paths[-1])
    assert [job.work.kind for job in queue.jobs()] == ["picture"] * 4


def test_loopback_goes_from_one_to_the_next(run: Run, queue: Queue) -> None:
    asked = ("loopback", "a cat", "--model", "tiny", "--steps", 2, "--size", "64", "--seed", 7, "--loops", 2, "--out")
    there, here = run(*asked, "there/"), run(*asked, "here/", "--local")
    assert there.status == 0, there.err
    assert same(there.paths[-1], here.paths[-1])
    assert len(there.paths) == 3
