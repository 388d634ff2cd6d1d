"""Training as a job: followed, stopped with what it has learnt, and going on where it was killed."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.engine.memory import place
from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, Result, Work
from fromnoise.jobs.worker.tasks import Desk, Moment, Skipped, Task
from fromnoise.jobs.worker.teaching import Child, train
from fromnoise.settings import Settings
from tests import tiny

BODY: dict[str, Any] = {
    "method": "lora", "dataset": "cats", "name": "mycat", "model": "tiny",
    "settings": {"steps": 6, "rank": 2, "resolution": 64, "save_every_n_steps": 1, "log_every": 1, "seed": 3,
                 "sample_every_n_steps": 1000},
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Desk:
    (tmp_path / "datasets/cats").mkdir(parents=True)
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"datasets/cats/{colour}.png")
    (tmp_path / "models/checkpoints").mkdir(parents=True)
    tiny.checkpoint(tmp_path / "models/checkpoints/tiny.safetensors", "sd1")
    settings = Settings(models=(tmp_path / "models",), any_path=False, datasets=tmp_path / "datasets")
    job = Job("0" * 20 + "12345678", Work("train", BODY), "running")
    return Desk(job, place("cpu", "float32"), settings, tmp_path / "outputs", tmp_path / "kept", database)


def learnt(desk: Desk) -> dict[str, Any]:
    return dict(read(desk.settings.models[0] / "loras/mycat.safetensors"))


def ended(task: Task) -> list[Result]:
    """What it makes in the end."""
    try:
        while True:
            next(task)
    except StopIteration as stop:
        return list(stop.value)


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Child] = []
    begin = Child.__init__

    def watched(self: Child, *given: Any) -> None:
        begin(self, *given)
        children.append(self)

    monkeypatch.setattr(Child, "__init__", watched)
    moments, task = [], train(BODY, desk)
    try:
        while True:
            told = next(task)
            assert isinstance(told, Moment)
            moments.append(told)
            if told.kept and len(children) == 1:
                os.kill(children[0].process.pid, signal.SIGKILL)
    except StopIteration as stop:
        file, *pictures = stop.value
    assert len(children) == 2
    assert (moments[-1].step, moments[-1].steps) == (6, 6)
    assert any("loss" in moment.figures for moment in moments)
    assert (file.data["shelf"], file.data["file"]) == ("loras", "mycat.safetensors")
    assert pictures[0].data["of"] == "loss"
    interrupted = learnt(desk)

    once = subprocess.run(
        [*children[1].process.args[:-6], "--model", str(desk.settings.models[0] / "checkpoints/tiny.safetensors"),
         "--out", str(desk.outputs / "alone.safetensors"), "--folder", str(desk.outputs / "alone")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert once.returncode == 0, once.stderr
    alone = read(desk.outputs / "alone.safetensors")
    assert all((alone[name] == tensor).all() for name, tensor in interrupted.items())


def test_one_that_is_skipped_writes_what_it_has_learnt(desk: Desk) -> None:
    task = train({**BODY, "settings": {**BODY["settings"], "steps": 5000}}, desk)
    while not (isinstance(told := next(task), Moment) and told.kept):
        pass
    task.throw(Skipped())
    assert ended(task)[0].data["name"] == "mycat"
    assert 1 <= int(read(desk.settings.models[0] / "loras/mycat.safetensors").metadata["ss_steps"]) < 5000


def test_a_name_that_is_there_is_not_overwritten(desk: Desk) -> None:
    place = desk.settings.models[0] / "loras/mycat.safetensors"
    place.parent.mkdir()
    place.write_bytes(b"old")
    with pytest.raises(UserError, match="there already"):
        next(train(BODY, desk))
    assert place.read_bytes() == b"old"
