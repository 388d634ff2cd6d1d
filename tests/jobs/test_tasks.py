"""Work other than pictures: larger ones, hints, checks, captions; with progress, stopped when asked."""

import hashlib
import io
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption
from fromnoise.engine.images import save_png
from fromnoise.engine.memory import place
from fromnoise.engine.metadata.carrier import read_texts
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.gallery import Gallery
from fromnoise.jobs.job import Job, Result, Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.picture import Search
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.sheets import with_pictures
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Moment
from fromnoise.jobs.worker.worker import Worker
from fromnoise.settings import Settings


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Worker:
    url = database.engine.url.render_as_string(hide_password=False)
    captions = tmp_path / "models" / "captioners" / "said"
    captions.mkdir(parents=True)
    (captions / "config.json").write_text("{}")
    settings = Settings(models=(tmp_path / "models",), any_path=False)
    station = Station(url, tmp_path / "outputs", tmp_path / "kept", thumbs=tmp_path / "thumbs", settings=settings)
    leases = Leases(database)
    leases.enlist("w", "cpu")
    return Worker("w", leases, station, Easel(place("cpu", "float32"), settings, Kept(station.kept)))


@pytest.fixture
def picture(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "apple.png"
    image = Image.radial_gradient("L").resize((40, 24)).convert("RGB")
    save_png(image, path, texts(Recipe(prompt="a red apple", width=40, height=24), "cpu"))
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def done(worker: Worker, kind: str, body: Mapping[str, Any]) -> tuple[Job, list[Result]]:
    queue = Queue(worker.leases.database)
    (job,) = queue.submit([Work(kind, body)])
    for _ in range(2000):
        worker.turn()
        if (found := queue.get(job.id)).is_finished:
            return found, queue.results(job.id)
    raise AssertionError("it does not end")


def test_a_larger_picture_carries_its_recipe_and_knows_its_parent(worker: Worker, picture: dict[str, str]) -> None:
    gallery = Gallery(worker.leases.database, worker.station.outputs)
    job, (result,) = done(worker, "upscale", {"picture": picture, "settings": {"upscaler": "Lanczos", "scale": 2}})
    assert (job.state, result.data["width"], result.data["height"]) == ("done", 80, 48)
    (found,) = gallery.search(Search(words="apple"))
    assert (found.width, found.job, found.path) == (80, job.id, result.path)
    again, _ = done(worker, "upscale", {"picture": {"path": str(worker.station.outputs / str(result.path)),
                                                    "sha256": result.sha256},
                                        "settings": {"upscaler": "Lanczos", "scale": 2}})  # fmt: skip
    assert gallery.of_job(again.id)[0].parent == found.id


def test_a_hint_is_a_file_and_no_picture_of_the_gallery(worker: Worker, picture: dict[str, str]) -> None:
    body = {"picture": picture, "preprocessor": "invert (from white bg & black line)"}
    job, (result,) = done(worker, "preprocess", body)
    assert job.state == "done", job.error
    assert (worker.station.outputs / str(result.path)).is_file()
    assert Gallery(worker.leases.database, worker.station.outputs).count(Search()) == 0
    assert Queue(worker.leases.database).made(str(result.sha256)) is not None


@pytest.fixture
def said() -> Iterator[None]:
    class Said:
        label, label_zh = "Said", "说"

        def load(self, folder: Path) -> Any:
            return lambda pictures: [Caption(f"{image.width} wide", {"wide": 0.9}) for image in pictures]

    CAPTIONERS.add("said", Said())
    yield
    del CAPTIONERS._items["said"]
    del CAPTIONERS._aliases["said"]


@pytest.mark.usefixtures("said")
def test_a_picture_in_words(worker: Worker, picture: dict[str, str]) -> None:
    _, (result,) = done(worker, "caption", {"picture": picture, "by": "said"})
    assert result.data == {"text": "40 wide", "tags": {"wide": 0.9}, "rating": None}


def test_a_check_tells_its_verdict(worker: Worker, picture: dict[str, str]) -> None:
    job, (result,) = done(worker, "verify", {"picture": picture})
    assert (job.state, result.data["source"]) == ("done", "fromnoise")
    assert result.data["verdict"] in ("different", "not checked")


def test_a_check_takes_the_texts_of_a_file_whose_pixels_were_kept(
    worker: Worker, picture: dict[str, str], tmp_path: Path
) -> None:
    told = read_texts(Path(picture["path"]))
    Image.open(picture["path"]).convert("RGB").save(tmp_path / "bare.png")
    bare = {
        "path": str(tmp_path / "bare.png"),
        "sha256": hashlib.sha256((tmp_path / "bare.png").read_bytes()).hexdigest(),
    }
    job, _ = done(worker, "verify", {"picture": bare})
    assert "carries no recipe" in str(job.error)
    job, (result,) = done(worker, "verify", {"picture": bare, "texts": {**told, "x" * 100: "no keyword"}})
    _, (usual,) = done(worker, "verify", {"picture": picture})
    assert (job.state, result.data) == ("done", usual.data)


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("upscale", {}, "names no picture"),
        ("upscale", {"picture": {"path": "gone.png", "sha256": "0" * 64}}, "not there any more"),
        ("upscale", {"settings": {"upscaler": "Lancos"}}, "did you mean 'Lanczos'"),
        ("upscale", {"settings": {"scale": 99}}, "scale"),
        ("preprocess", {"preprocessor": "cany"}, "did you mean 'canny'"),
        ("caption", {"by": "nobody"}, "captioner 'nobody'"),
    ],
)
def test_what_cannot_be_done_says_why(
    worker: Worker, picture: dict[str, str], kind: str, body: dict[str, Any], message: str
) -> None:
    whole = body if body in ({},) or "picture" in body else {"picture": picture, **body}
    job, _ = done(worker, kind, whole)
    assert job.state == "failed"
    assert message in str(job.error)


def test_a_picture_that_was_changed_is_not_taken_for_another(worker: Worker, picture: dict[str, str]) -> None:
    Path(picture["path"]).write_bytes(b"other")
    job, _ = done(worker, "verify", {"picture": picture})
    assert "has changed" in str(job.error)


def test_progress_is_told_and_whoever_is_not_wanted_stops() -> None:
    ended, go = threading.Event(), threading.Event()

    def run(tell: Progress) -> str:
        try:
            for step in range(1, 1000):
                tell(step, 1000)
                go.wait(0.01)
            return "all"
        finally:
            ended.set()

    task = in_steps(run)
    seen = [next(task) for _ in range(3)]
    assert seen[-1][1] == 1000
    assert seen[-1][0] > 0
    task.close()
    assert ended.is_set()


def test_the_last_that_is_told_is_not_passed_by() -> None:
    """Also where all of it is told before anybody looks."""
    told = threading.Event()

    def run(tell: Progress) -> None:
        tell(1, 2)
        tell(2, 2)
        told.set()

    task = in_steps(run)
    next(task)
    assert told.wait(60)
    time.sleep(0.05)  # and it returns
    assert list(task)[-1] == (2, 2)


def test_failures_and_results_come_through() -> None:
    def fails(tell: Progress) -> str:
        tell(1, 2)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(in_steps(fails))
    task = in_steps(lambda tell: "done")

    def outer() -> Generator[tuple[int, int], None, None]:
        result.append((yield from task))

    result: list[str] = []
    list(outer())
    assert result == ["done"]


def test_the_machine_is_examined_by_a_process_of_its_own(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "{\\"en\\": \\"$*\\", \\"zh\\": \\"第一行\\"}"\n')
    program.chmod(0o755)
    monkeypatch.setattr("fromnoise.jobs.worker.examining.sys.executable", str(program))
    job, (result,) = done(worker, "doctor", {})
    assert (job.state, job.error) == ("done", None)
    assert result.data == {"lines": ["-m fromnoise doctor --json --device cpu"], "lines_zh": ["第一行"]}
    program.write_text("#!/bin/sh\nexit 3\n")
    job, _ = done(worker, "doctor", {})
    assert (job.state, "fromnoise doctor on the command line" in str(job.error)) == ("failed", True)


def test_a_loopbacks_pictures_are_shown_as_they_come(tmp_path: Path) -> None:
    files = [tmp_path / "1.png", tmp_path / "2.png"]

    def steps() -> Generator[tuple[int, int], None, list[Result]]:
        yield 1, 4
        Image.new("RGB", (8, 6)).save(files[0])
        yield 2, 4
        yield 3, 4
        Image.new("RGB", (8, 6)).save(files[1])
        yield 4, 4
        return []

    told = list(with_pictures(steps(), files))
    assert [one.preview is not None if isinstance(one, Moment) else False for one in told] == [False, True, False, True]
    last = told[3]
    assert isinstance(last, Moment)
    assert last.preview is not None
    assert Image.open(io.BytesIO(last.preview)).size == (8, 6)
