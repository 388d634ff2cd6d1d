"""Traces in files: written step by step, read back, forgotten; a worker keeps them for jobs that ask."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.traces import TracedStep, Traces
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.worker import Worker
from fromnoise.settings import Settings


def test_steps_are_read_as_they_were_written(tmp_path: Path) -> None:
    traces = Traces(tmp_path)
    greys = [Image.new("L", (4, 2), 50 * number) for number in range(3)]
    step = TracedStep(7, 1.5, 4, 2, 3, ("red", "apple"), 4, 2)
    traces.write("job", step, {"channels": greys, "attention": greys[:2], "noise": [Image.new("RGB", (4, 2))]})
    traces.write("job", TracedStep(2, 9.0, 4, 2, 0), {})
    assert traces.steps("job") == [TracedStep(2, 9.0, 4, 2, 0), step]
    media, data = traces.image("job", 7, "channels", 2)
    (tmp_path / "x.png").write_bytes(data)
    assert (media, Image.open(tmp_path / "x.png").getpixel((0, 0))) == ("image/png", 100)
    with pytest.raises(FileError):
        traces.image("job", 7, "attention", 2)
    with pytest.raises(FileError):
        traces.image("job", 7, "predicted")
    traces.tidy(1)
    assert len(traces.steps("job")) == 2
    traces.forget("job")
    assert traces.steps("job") == []


def test_a_worker_keeps_them_for_jobs_that_ask(database: Database, tmp_path: Path) -> None:
    station = Station(database.engine.url.render_as_string(hide_password=False), tmp_path / "out", tmp_path / "kept")
    leases, queue, traces = Leases(database), Queue(database), Traces(tmp_path / "traces")
    leases.enlist("w", "cpu")
    easel = Easel(place("cpu", "float32"), Settings(), Kept(station.kept), max_batch=1, traces=traces)
    worker = Worker("w", leases, station, easel)
    recipe = Recipe(prompt="a cat", width=64, height=64, steps=2, guidance_scale=4)
    asked, plain = queue.submit([Work.picture(recipe, trace=True), Work.picture(recipe)])
    while queue.counts()["done"] < 2:
        worker.turn()
    assert [step.words for step in traces.steps(asked.id)] == [("a", "cat")] * 2
    assert traces.steps(plain.id) == []
    files = [(station.outputs / str(queue.results(job.id)[0].path)) for job in (asked, plain)]
    assert Image.open(files[0]).tobytes() == Image.open(files[1]).tobytes()
