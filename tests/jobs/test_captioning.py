"""Describing pictures as jobs, with a tagger that looks at colours: files, network and thresholds are real ones."""

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fromnoise.engine.memory import place
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, Result, Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.worker import Worker
from fromnoise.settings import Settings
from tests.captioners.colours import write_tagger

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIDE = 32
TAGS = "tag_id,name,category,count\n1,general,9,10\n2,red_theme,0,10\n3,blue_theme,0,10\n"
WEIGHTS = np.array([[0, 0, 0], [0, 0, 0.1], [0.1, 0, 0]], np.float32)  # of the mean blue, green and red
BIAS = np.array([1, -12, -12], np.float32)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A shelf with the tagger, and a data set of a red and a blue picture."""
    folder = tmp_path / "models" / "captioners" / "colours"
    folder.mkdir(parents=True)
    write_tagger(folder, SIDE, WEIGHTS, BIAS, TAGS)
    data = tmp_path / "datasets" / "themes"
    data.mkdir(parents=True)
    for colour in ("red", "blue"):
        Image.new("RGB", (SIDE, SIDE), colour).save(data / f"{colour}.png")
    return Settings(models=(tmp_path / "models",), any_path=False, datasets=tmp_path / "datasets")


def done(settings: Settings, database: Database, kind: str, body: Mapping[str, Any]) -> tuple[Job, list[Result]]:
    station = Station("", settings.datasets.parent / "outputs", settings.datasets.parent / "kept", settings=settings)
    leases, queue = Leases(database), Queue(database)
    leases.enlist("w", "cpu")
    worker = Worker("w", leases, station, Easel(place("cpu", "float32"), settings, Kept(station.kept)))
    (job,) = queue.submit([Work(kind, body)])
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        while not queue.get(job.id).is_finished:
            thread.join(0.02)
    finally:
        worker.stop()
        thread.join()
    return queue.get(job.id), queue.results(job.id)


def test_a_picture_is_described(settings: Settings, database: Database) -> None:
    path = settings.datasets / "themes" / "red.png"
    reference = {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    job, results = done(settings, database, "caption", {"picture": reference, "by": "wd14", "model": "colours"})
    assert job.error is None
    (result,) = results
    assert (job.state, result.data["text"], result.data["rating"]) == ("done", "red theme", "general")


def test_a_data_set_is_described(settings: Settings, database: Database) -> None:
    body = {"dataset": "themes", "by": "wd14", "model": "colours", "first": "mystyle"}
    job, (result,) = done(settings, database, "caption-set", body)
    assert (job.state, result.data) == ("done", {"written": 2, "left_out": []})
    assert (job.step, job.steps) == (2, 2)
    said = {path.stem: path.read_text().strip() for path in (settings.datasets / "themes").glob("*.txt")}
    assert said == {"red": "mystyle, red theme", "blue": "mystyle, blue theme"}


def test_a_captioner_that_is_not_there_is_named(settings: Settings, database: Database) -> None:
    job, _ = done(settings, database, "caption-set", {"dataset": "themes", "by": "blip"})
    assert job.state == "failed"
    assert "blip" in str(job.error)


def test_a_data_set_is_cut_into_another(settings: Settings, database: Database) -> None:
    (settings.datasets / "themes" / "red.txt").write_text("red theme\n")
    body = {
        "dataset": "themes",
        "out": "small",
        "settings": {"width": 16, "height": 16, "focal": True, "flips": ["both"]},
    }
    job, (result,) = done(settings, database, "cut-set", body)
    assert (job.state, result.data) == ("done", {"dataset": "small", "written": 4, "left_out": []})
    there = {path.name for path in (settings.datasets / "small").iterdir()}
    assert there == {"red.png", "red.txt", "red-both.png", "red-both.txt", "blue.png", "blue-both.png"}
    with Image.open(settings.datasets / "small" / "blue-both.png") as image:
        assert image.size == (16, 16)


def test_a_picture_is_cut_and_its_parts_carry_what_it_carries(settings: Settings, database: Database) -> None:
    path = settings.datasets / "themes" / "long.png"
    info = PngInfo()
    info.add_text("parameters", "a tower\nSteps: 4, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 32x96")
    Image.new("RGB", (32, 96), "red").save(path, pnginfo=info)
    reference = {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    wanted = {"width": 32, "height": 32, "split": True, "overlap": 0, "flips": ["vertical"]}
    job, results = done(settings, database, "cut", {"picture": reference, "settings": wanted})
    assert (job.state, len(results)) == ("done", 6)
    assert {(one.data["width"], one.data["height"], one.data["parent"]) for one in results} == {
        (32, 32, reference["sha256"])
    }
    assert {one.data["recipe"]["prompt"] for one in results} == {"a tower"}
