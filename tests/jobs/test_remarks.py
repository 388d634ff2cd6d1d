"""What is remarked while a job is done stays with it: that memory ran out, what a training's process says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from fromnoise.cli.messages import in_chinese
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker import teaching
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.held import Line
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.tasks import TASKS, Desk, Moment, Task, task
from fromnoise.jobs.worker.worker import Worker
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import Decoder
from fromnoise.settings import Settings

TIGHTER = "out of memory: the picture goes on with less at once, more slowly"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", "sd1")


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Worker:
    station = Station(
        "", tmp_path / "outputs", tmp_path / "kept", device="cpu", dtype="float32", preview_every=0,
        settings=Settings(models=(tmp_path,)),
    )  # fmt: skip
    leases = Leases(database)
    leases.enlist("w", "cpu")
    return Worker("w", leases, station, Easel(place("cpu", "float32"), station.settings, Kept(station.kept)))


@pytest.fixture
def queue(database: Database) -> Queue:  # with the real clock
    return Queue(database)


def finish_all(worker: Worker, queue: Queue) -> None:
    with worker.remarks.heard():
        while queue.counts()["queued"] + queue.counts()["running"]:
            worker.turn()


def asked(queue: Queue, checkpoint: Path, *seeds: int) -> list[Job]:
    recipes = [
        Recipe.make(model=str(checkpoint), prompt="a cat", width=64, height=64, steps=2, sampler="euler", seed=seed)
        for seed in seeds
    ]
    return queue.submit([Work.picture(recipe) for recipe in recipes])


def short_of_memory_once(monkeypatch: pytest.MonkeyPatch, network: type) -> None:
    real, calls = network.forward, []  # type: ignore[attr-defined]

    def scarce(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return real(*arguments, **named)

    monkeypatch.setattr(network, "forward", scarce)


@pytest.mark.parametrize("network", [UNet, Decoder])
def test_that_memory_ran_out_is_told_with_the_picture_that_was_finished(
    worker: Worker, queue: Queue, checkpoint: Path, network: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory_once(monkeypatch, network)
    (job,) = asked(queue, checkpoint, 1)
    finish_all(worker, queue)
    done = queue.get(job.id)
    assert (done.state, done.remarks) == ("done", (TIGHTER,))
    kinds = [event.kind for event in queue.events(job=job.id)]
    assert kinds.index("remarked") < kinds.index("done")
    (told,) = [event.data["remarks"] for event in queue.events(job=job.id) if event.kind == "remarked"]
    assert told == [TIGHTER]
    assert in_chinese(TIGHTER) != TIGHTER
    (later,) = asked(queue, checkpoint, 2)
    finish_all(worker, queue)
    assert queue.get(later.id).remarks == ()


@pytest.fixture
def talkative() -> Iterator[str]:
    """A kind of job that remarks things, one of them twice, and fails where it is told to."""

    def talk(body: dict[str, bool], desk: Desk) -> Task:
        log = logging.getLogger("fromnoise.test")
        for i in range(2):
            log.warning("%s was seen", desk.outputs / "a.png")
            yield i + 1, 2
        log.warning("it nearly\n  went wrong")
        if body["fails"]:
            raise MemoryError
        return []

    task("talk")(talk)
    yield "talk"
    TASKS._items.pop("talk")
    TASKS._aliases.pop("talk")


@pytest.mark.parametrize("fails", [False, True])
def test_each_remark_is_kept_once_without_the_machines_folders(
    worker: Worker, queue: Queue, talkative: str, fails: bool
) -> None:
    (job,) = queue.submit([Work(talkative, {"fails": fails})])
    finish_all(worker, queue)
    told = queue.get(job.id)
    assert (told.state, told.remarks) == ("failed" if fails else "done", ("a.png was seen", "it nearly went wrong"))
    if fails:
        queue.retry(job.id)
        assert queue.get(job.id).remarks == ()


class Says:
    """A training's process that has ended."""

    def __init__(self, lines: list[str], status: int) -> None:
        self.said, self.status = lines, status

    def lines(self) -> Iterator[Line]:
        yield from (Line("said", line) for line in self.said)


@pytest.mark.parametrize(("status", "remarked"), [(0, ["first", "last"]), (2, ["first"])])
def test_what_a_training_remarks_is_remarked_but_not_why_it_ended(
    status: int, remarked: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order = teaching.Ordered(
        None,
        tmp_path,
        "n",
        "m",
        {},
        tmp_path / "out",
        tmp_path / "run",
        tmp_path / "shown",  # type: ignore[arg-type]
    )
    child = Says(["fromnoise: first", '{"step": 1}', "measured", "fromnoise: last"], status)
    moments = list(teaching.followed(child, order, Moment(0, 0)))  # type: ignore[arg-type]
    assert moments[-1].figures == {"note": "fromnoise: last"}
    assert caplog.messages == remarked
