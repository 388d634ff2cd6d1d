"""A worker makes the pictures that are asked for, stops when told to, and goes on where it stopped."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import tiny
import torch
from PIL import Image

from fromnoise.engine import library
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import place
from fromnoise.engine.metadata.own import recipe_in
from fromnoise.engine.previews import Previewer
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Buried, Job, Result, Work, members
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker import easel as easels
from fromnoise.jobs.worker import worker as writing
from fromnoise.jobs.worker.easel import Drawing, Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.tasks import TASKS, Desk, Task, task
from fromnoise.jobs.worker.worker import Worker, explained, file_digest
from fromnoise.settings import Settings


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", "sd1")


@pytest.fixture
def station(database: Database, tmp_path: Path) -> Station:
    return Station(
        database.engine.url.render_as_string(hide_password=False),
        tmp_path / "outputs",
        tmp_path / "kept",
        device="cpu",
        dtype="float32",
        max_batch=1,
        keep_every=0,
        preview_every=0,
        pattern="[seed]",
        thumbs=tmp_path / "thumbs",
        settings=Settings(models=(tmp_path,)),
    )


def worker_at(station: Station, database: Database, name: str = "w", **more: float) -> Worker:
    leases = Leases(database)
    leases.enlist(name, "cpu")
    easel = Easel(place("cpu", "float32"), station.settings, Kept(station.kept), station.max_batch)
    easel.preview_every = more.get("preview_every", 0)
    return Worker(name, leases, station, easel)


@pytest.fixture
def worker(station: Station, database: Database) -> Worker:
    return worker_at(station, database)


@pytest.fixture
def queue(database: Database) -> Queue:  # with the real clock
    return Queue(database)


def recipe(checkpoint: Path, seed: int, **more: object) -> Recipe:
    fields = {"prompt": "a cat", "width": 64, "height": 64, "steps": 4, "sampler": "euler_ancestral"} | more
    return Recipe.make(model=str(checkpoint), seed=seed, **fields)


def asked(queue: Queue, checkpoint: Path, *seeds: int, **more: object) -> list[Job]:
    return queue.submit([Work.picture(recipe(checkpoint, seed, **more)) for seed in seeds])


def finish_all(worker: Worker, queue: Queue) -> None:
    while queue.counts()["queued"] + queue.counts()["running"]:
        worker.turn()


def twin(checkpoint: Path, seed: int, **more: object) -> Image.Image:
    model = load(str(checkpoint), place("cpu", "float32"))
    (made,) = generate(model, [recipe(checkpoint, seed, **more)], max_batch=1)
    return made.image


def same(path: Path, image: Image.Image) -> bool:
    with Image.open(path) as opened:
        return opened.tobytes() == image.tobytes()


def test_lines_for_operators_name_the_job(
    worker: Worker, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FROMNOISE_LOG", "json")
    (good, bad) = asked(queue, checkpoint, 1) + queue.submit([Work("no such kind", {})])
    finish_all(worker, queue)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    told = {(line["job"], line["event"]) for line in lines if line["part"] == "worker"}
    assert told == {(good.id, "start"), (good.id, "done"), (bad.id, "start"), (bad.id, "failed")}
    monkeypatch.setenv("FROMNOISE_LOG", "text")
    asked(queue, checkpoint, 2)
    finish_all(worker, queue)
    assert " worker done job=" in capsys.readouterr().err


def test_pictures_are_those_that_the_engine_makes(
    worker: Worker, queue: Queue, station: Station, checkpoint: Path
) -> None:
    jobs = asked(queue, checkpoint, 1, 2, 3)
    finish_all(worker, queue)
    for job, seed in zip(jobs, (1, 2, 3), strict=True):
        done = queue.get(job.id)
        assert (done.state, done.step, done.progress, done.file) == ("done", 4, 1.0, f"{seed}.png")
        (result,) = queue.results(job.id)
        assert result.path is not None
        path = station.outputs / result.path
        assert result.sha256 == file_digest(path)
        assert (result.data["width"], result.data["height"]) == (64, 64)
        assert same(path, twin(checkpoint, seed))
        assert recipe_in(path) == Recipe.make(**result.data["recipe"])
        steps = [event.data["step"] for event in queue.events(job=job.id) if event.kind == "step"]
        assert steps == [1, 2, 3, 4]
    assert not list(station.kept.glob("*"))


def test_what_is_odd_in_a_prompt_is_in_the_result(worker: Worker, queue: Queue, checkpoint: Path) -> None:
    (job,) = asked(queue, checkpoint, 1, prompt="a (cat", steps=1)
    finish_all(worker, queue)
    (told,) = queue.results(job.id)[0].data["warnings"]
    assert (told["field"], told["position"], told["excerpt"]) == ("prompt", 2, "a (cat")


def test_bad_recipes_fail_alone_and_say_why(worker: Worker, queue: Queue, checkpoint: Path) -> None:
    good = asked(queue, checkpoint, 1)[0]
    missing = queue.submit([Work.picture(recipe(Path("nowhere.safetensors"), 1))])[0]
    nonsense = queue.submit([Work("picture", {"seed": "x"}), Work("unheard-of", {})])
    finish_all(worker, queue)
    assert queue.get(good.id).state == "done"
    assert "no model 'nowhere.safetensors'" in str(queue.get(missing.id).error)
    assert "seed: input should be a valid integer" in str(queue.get(nonsense[0].id).error)
    assert "unknown kind of job 'unheard-of'" in str(queue.get(nonsense[1].id).error)


def test_an_interrupted_picture_goes_on_to_the_same_end(
    worker: Worker, queue: Queue, station: Station, database: Database, checkpoint: Path
) -> None:
    (job,) = asked(queue, checkpoint, 5, steps=6)
    for _ in range(3):
        worker.turn()
    assert queue.get(job.id).kept == 3
    worker.leases.bury("w")
    other = worker_at(station, database, "v")
    evaluations = 0

    def turn() -> None:
        nonlocal evaluations
        other.turn()
        evaluations += 1

    while queue.get(job.id).state != "done":
        turn()
    assert evaluations == 3, "it did not begin again"
    assert same(station.outputs / "5.png", twin(checkpoint, 5, steps=6))


def test_what_was_kept_and_cannot_be_used_is_left_out(
    worker: Worker, queue: Queue, station: Station, database: Database, checkpoint: Path
) -> None:
    first, second = asked(queue, checkpoint, 5, 6)
    worker.turn()
    worker.turn()
    worker.leases.bury("w")
    (station.kept / f"{first.id}.safetensors").write_bytes(b"half")
    (station.kept / f"{second.id}.safetensors").unlink()
    finish_all(worker_at(station, database, "v"), queue)
    assert same(station.outputs / "5.png", twin(checkpoint, 5))
    assert same(station.outputs / "6.png", twin(checkpoint, 6))


def test_pause_and_resume(worker: Worker, queue: Queue, station: Station, checkpoint: Path) -> None:
    (job,) = asked(queue, checkpoint, 7)
    worker.turn()
    queue.pause(job.id)
    worker.turn()
    paused = queue.get(job.id)
    assert (paused.state, paused.kept, paused.worker) == ("paused", 2, None)
    worker.turn()
    assert queue.get(job.id).state == "paused"
    queue.resume(job.id)
    finish_all(worker, queue)
    assert same(station.outputs / "7.png", twin(checkpoint, 7))


def test_cancel_and_skip(worker: Worker, queue: Queue, station: Station, checkpoint: Path) -> None:
    first, second, third = asked(queue, checkpoint, 1, 2, 3)
    worker.turn()
    queue.cancel(first.id)
    queue.skip(second.id)
    worker.turn()
    worker.settle(wait=True)
    assert queue.get(first.id).state == "cancelled"
    skipped = queue.get(second.id)
    assert (skipped.state, queue.results(second.id)[0].data["partial"]) == ("done", 2)
    assert Image.open(station.outputs / "2.png").size == (64, 64)
    finish_all(worker, queue)
    assert queue.get(third.id).state == "done"
    assert sorted(path.name for path in station.outputs.iterdir()) == ["2.png", "3.png"]
    assert not list(station.kept.glob("*"))


def test_a_worker_that_is_stopped_ends_what_it_can(
    worker: Worker, queue: Queue, station: Station, checkpoint: Path
) -> None:
    job, later = asked(queue, checkpoint, 1)[0], None
    worker.turn()
    worker.stop()
    later = asked(queue, checkpoint, 2)[0]
    worker.run()
    assert queue.get(job.id).state == "done"
    assert (queue.get(later.id).state, queue.get(later.id).attempts) == ("queued", 0)
    assert queue.workers() == []


def test_without_grace_the_rest_goes_on_later(
    worker: Worker, queue: Queue, station: Station, database: Database, checkpoint: Path
) -> None:
    (job,) = asked(queue, checkpoint, 1)
    worker.turn()
    object.__setattr__(worker.station, "grace", 0.0)
    worker.stop()
    worker.run()
    left = queue.get(job.id)
    assert (left.state, left.kept, left.deaths) == ("queued", 1, 0)
    finish_all(worker_at(station, database, "v"), queue)
    assert same(station.outputs / "1.png", twin(checkpoint, 1))


def finish_while_drawing(worker: Worker, queue: Queue, checkpoint: Path, drawn: threading.Event) -> None:
    """A picture is finished, which waits for `drawn`, while the next is drawn; it is done when it is written."""
    (short,) = queue.submit([Work.picture(recipe(checkpoint, 1, steps=1))])
    (long,) = asked(queue, checkpoint, 2)
    outputs = worker.station.outputs
    for _ in range(3):
        worker.turn()
    assert (queue.get(short.id).state, queue.get(long.id).step) == ("running", 3), "it is done when it is written"
    assert not list(outputs.glob("*.png"))
    drawn.set()
    finish_all(worker, queue)
    ends = [event.job for event in queue.events() if event.kind == "done"]
    assert ends == [short.id, long.id]
    assert same(outputs / "1.png", twin(checkpoint, 1, steps=1))
    assert same(outputs / "2.png", twin(checkpoint, 2))


def test_a_picture_is_written_while_the_next_is_drawn(
    worker: Worker, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, threads, save = threading.Event(), [], writing.save_png

    def slow(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
        threads.append(threading.current_thread())
        assert drawn.wait(60), "nothing was drawn meanwhile"
        save(image, path, texts)

    monkeypatch.setattr(writing, "save_png", slow)
    finish_while_drawing(worker, queue, checkpoint, drawn)
    assert threading.main_thread() not in threads


def aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are decoded as on a GPU."""
    monkeypatch.setattr(easels, "worthwhile", lambda model: True)


def test_a_picture_is_decoded_while_the_next_is_drawn(
    worker: Worker, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside(monkeypatch)
    drawn, threads, decode = threading.Event(), [], Model.decode

    def slow(self: Model, latents: torch.Tensor) -> torch.Tensor:
        threads.append(threading.current_thread())
        assert drawn.wait(60), "nothing was drawn meanwhile"
        return decode(self, latents)

    monkeypatch.setattr(Model, "decode", slow)
    finish_while_drawing(worker, queue, checkpoint, drawn)
    assert threading.main_thread() not in threads[:2]


def test_what_a_dead_worker_was_decoding_is_done_again(
    worker: Worker, queue: Queue, station: Station, database: Database, checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first worker dies while it decodes: its thread comes back to find its lease gone."""
    aside(monkeypatch)
    (job,) = asked(queue, checkpoint, 1)
    begun, released, decode = threading.Event(), threading.Event(), Model.decode

    def slow(self: Model, latents: torch.Tensor) -> torch.Tensor:
        if not begun.is_set():
            begun.set()
            assert released.wait(60)
        return decode(self, latents)

    monkeypatch.setattr(Model, "decode", slow)
    monkeypatch.setattr(worker, "settle", lambda *, wait: None)
    for _ in range(4):
        worker.turn()
    assert begun.wait(60)
    assert queue.get(job.id).state == "running"
    worker.leases.bury("w")
    assert (queue.get(job.id).state, queue.get(job.id).kept) == ("queued", 3), "nothing accepted is lost"
    finish_all(worker_at(station, database, "v"), queue)
    released.set()
    with pytest.raises(Buried):
        list(worker.files.rest())
    assert queue.get(job.id).state == "done"
    assert same(station.outputs / "1.png", twin(checkpoint, 1))
    assert [path.name for path in station.outputs.iterdir()] == ["1.png"]


def test_what_cannot_be_decoded_fails_alone_and_says_why(
    worker: Worker, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside(monkeypatch)
    bad, good = asked(queue, checkpoint, 1, 2)
    decode, calls = Model.decode, []

    def failing(self: Model, latents: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 1:
            raise FileError("its VAE is broken")
        return decode(self, latents)

    monkeypatch.setattr(Model, "decode", failing)
    finish_all(worker, queue)
    assert {queue.get(job.id).state for job in (bad, good)} == {"failed", "done"}
    assert "its VAE is broken" in [queue.get(job.id).error for job in (bad, good)]


def test_what_cannot_be_written_fails_alone_and_says_why(
    worker: Worker, queue: Queue, station: Station, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, good = asked(queue, checkpoint, 1, 2)
    save = writing.save_png

    def failing(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
        if path.name == "1.png":
            raise FileError(f"{path}: can't be written (No space left on device)")
        save(image, path, texts)

    monkeypatch.setattr(writing, "save_png", failing)
    finish_all(worker, queue)
    assert (queue.get(full.id).state, queue.get(good.id).state) == ("failed", "done")
    assert "No space left on device" in str(queue.get(full.id).error)
    assert not list(station.kept.glob("*"))


def test_a_worker_that_is_stopped_writes_what_is_finished(
    worker: Worker, queue: Queue, station: Station, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short,) = queue.submit([Work.picture(recipe(checkpoint, 1, steps=1))])
    (long,) = asked(queue, checkpoint, 2)
    save, released = writing.save_png, threading.Event()

    def slow(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
        assert released.wait(60)
        save(image, path, texts)

    monkeypatch.setattr(writing, "save_png", slow)
    worker.turn()
    assert queue.get(short.id).state == "running"
    object.__setattr__(worker.station, "grace", 0.0)
    worker.stop()
    threading.Timer(0.2, released.set).start()
    worker.run()
    assert (queue.get(short.id).state, queue.get(long.id).state) == ("done", "queued")
    assert same(station.outputs / "1.png", twin(checkpoint, 1, steps=1))


def test_what_checks_pictures_obeys_the_limit_and_has_the_memory_for_itself(
    station: Station, database: Database, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As does a loopback: no models of others lie beside theirs."""
    limited, asked_for = worker_at(replace(station, memory=1 << 30), database), []
    asked(queue, checkpoint, 1)
    finish_all(limited, queue)
    (made,) = station.outputs.iterdir()
    own = library.load

    def load(*given: Any, **named: Any) -> Model:
        asked_for.append((limited.easel.models, named["budget"]))
        return own(*given, **named)

    monkeypatch.setattr(library, "load", load)
    recipes = [recipe(checkpoint, seed, init=ImageRef.of(made).model_dump()).model_dump(mode="json") for seed in (1, 2)]
    works = Work("verify", {"picture": ImageRef.of(made).model_dump()}), Work("loopback", {"cells": recipes})
    for work in works:
        (job,) = queue.submit([work])
        finish_all(limited, queue)
        assert queue.get(job.id).error is None
    assert asked_for == [(None, 1 << 30)] * len(works)


def test_previews_are_pictures(station: Station, database: Database, queue: Queue, checkpoint: Path) -> None:
    worker = worker_at(station, database, preview_every=1e-9)
    (job,) = asked(queue, checkpoint, 1, width=128)
    worker.turn()
    preview = queue.preview(job.id)
    assert preview is not None
    assert preview[1].startswith(b"\xff\xd8")
    assert queue.events(job=job.id)[-2].data["preview"] is True


def test_a_step_that_fails_for_many_is_tried_for_each_alone(
    worker: Worker, queue: Queue, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = asked(queue, checkpoint, 1, 2)
    step = worker.easel.step

    def failing() -> dict[str, torch.Tensor]:
        if bad.id in worker.easel.drawings:
            raise RuntimeError("odd")
        return step()

    monkeypatch.setattr(worker.easel, "step", failing)
    finish_all(worker, queue)
    assert queue.get(good.id).state == "done"
    failed = queue.get(bad.id)
    assert (failed.state, failed.error) == ("failed", "unexpected failure (RuntimeError); the worker's log says more")
    assert failed.attempts == 2


def test_a_lack_of_memory_is_told_whatever_kind_of_error_it_is() -> None:
    for error in (MemoryError(), torch.OutOfMemoryError(), RuntimeError("MPS backend out of memory")):
        assert explained(error) == "out of memory: try a smaller picture"


def test_a_name_is_not_used_twice(worker: Worker, queue: Queue, station: Station, checkpoint: Path) -> None:
    station.outputs.mkdir()
    (station.outputs / "1.png").write_bytes(b"mine")
    asked(queue, checkpoint, 1, 1)
    finish_all(worker, queue)
    assert sorted(path.name for path in station.outputs.iterdir()) == ["1-2.png", "1-3.png", "1.png"]
    assert (station.outputs / "1.png").read_bytes() == b"mine"


@pytest.fixture
def counting() -> Iterator[None]:
    """A task that counts, and remembers how far it was."""

    def count(body: Mapping[str, Any], desk: Desk) -> Task:
        desk.kept.mkdir(parents=True, exist_ok=True)
        place = desk.kept / "count"
        for i in range(int(place.read_text()) if place.exists() else 0, int(body["to"])):
            if body.get("fail_at") == i:
                raise ValueError("odd")
            place.write_text(str(i + 1))
            yield i + 1, int(body["to"])
        return [Result(data={"counted": body["to"]}, media="application/json")]

    task("count")(count)
    yield
    TASKS._items.pop("count")
    TASKS._aliases.pop("count")


@pytest.mark.usefixtures("counting")
def test_other_work(worker: Worker, queue: Queue, station: Station) -> None:
    job, bad = queue.submit([Work("count", {"to": 3}), Work("count", {"to": 3, "fail_at": 1})])
    finish_all(worker, queue)
    assert queue.results(job.id)[0].data == {"counted": 3}
    assert queue.get(bad.id).error == "unexpected failure (ValueError); the worker's log says more"
    assert not (station.kept / job.id).exists()


@pytest.mark.usefixtures("counting")
def test_other_work_is_stopped_and_goes_on(worker: Worker, queue: Queue, station: Station, database: Database) -> None:
    job, second = queue.submit([Work("count", {"to": 5}), Work("count", {"to": 2})])
    worker.turn()
    queue.pause(job.id)
    worker.turn()
    assert queue.get(job.id).state == "paused"
    finish_all(worker, queue)
    queue.resume(job.id)
    worker.turn()
    assert queue.get(job.id).step == 3
    worker.stop()
    object.__setattr__(worker.station, "grace", 0.0)
    worker.run()
    assert queue.get(job.id).state == "queued"
    other = worker_at(station, database, "v")
    other.turn()
    assert queue.get(job.id).step == 4
    queue.cancel(job.id)
    other.turn()
    assert queue.get(job.id).state == "cancelled"
    assert queue.get(second.id).state == "done"
    assert not (station.kept / job.id).exists()


def test_a_station_is_told_in_json(station: Station) -> None:
    assert Station.from_json(station.to_json()) == station
    plain = Station("sqlite:///x", kinds=("picture",), settings=Settings(cache=Path("c"), any_path=False))
    assert Station.from_json(plain.to_json()) == plain


def test_the_clock_of_previews_is_kept(worker: Worker, queue: Queue, checkpoint: Path) -> None:
    worker.easel.preview_every = 3600
    worker.easel.clock = lambda: time.monotonic() + 7200
    (job,) = asked(queue, checkpoint, 1)
    worker.turn()
    worker.turn()
    shown = [event.data["preview"] for event in queue.events(job=job.id) if event.kind == "step"]
    assert shown == [True, False]


def test_files_are_named_by_their_place_among_others(
    station: Station, database: Database, queue: Queue, checkpoint: Path
) -> None:
    works = [
        Work.picture(recipe(checkpoint, seed, steps=1), member=member)
        for seed, member in zip((5, 6, 7, 8), members([5, 6, 7, 8], 2), strict=True)
    ]
    jobs = [*queue.submit(works), *asked(queue, checkpoint, 9, steps=1)]
    pattern = "[seed_first]-[seed_last]-[generation_number]-[batch_number]of[batch_size]"
    finish_all(worker_at(replace(station, pattern=pattern), database), queue)
    found = [queue.get(job.id).file for job in jobs]
    assert found == ["5-8-1-1of2.png", "5-8-2-2of2.png", "5-8-3-1of2.png", "5-8-4-2of2.png", "9of1.png"]


def test_previews_of_a_network_take_a_tenth_of_the_time(worker: Worker) -> None:
    now, made = [100.0], []

    class Slow:
        tiny: object | None = object()

        def jpeg(self, latents: torch.Tensor) -> bytes:
            now[0] += 2.0
            made.append(now[0])
            return b""

    easel = worker.easel
    easel.clock, easel.preview_every, easel.previewer = (lambda: now[0]), 0.5, cast(Previewer, Slow())
    drawing = cast(Drawing, SimpleNamespace(denoised=torch.zeros(1), previewed=0.0))
    for _ in range(60):
        easel._preview(drawing)
        now[0] += 1.0
    assert [later - earlier for earlier, later in pairwise(made)] == [20.0] * (len(made) - 1)
    assert len(made) == 4
    Slow.tiny = None
    made.clear()
    for _ in range(4):
        easel._preview(drawing)
        now[0] += 1.0
    assert len(made) == 4


def test_a_preview_for_which_memory_does_not_suffice_is_left_out(worker: Worker) -> None:
    made = 0

    class Large:
        tiny = None

        def jpeg(self, latents: torch.Tensor) -> bytes:
            nonlocal made
            made += 1
            raise torch.OutOfMemoryError("CUDA out of memory")

    easel = worker.easel
    easel.clock, easel.preview_every, easel.previewer = (lambda: 100.0), 0.5, cast(Previewer, Large())
    drawing = cast(Drawing, SimpleNamespace(denoised=torch.zeros(1), previewed=0.0))
    assert [easel._preview(drawing) for _ in range(2)] == [None, None]
    assert made == 1, "another one is not tried"
