"""The worker's loop: take jobs, advance them, say how far they are, store what they made."""

import hashlib
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from fromnoise.engine.behind import Behind
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.named_files import with_names_alone
from fromnoise.engine.prompt_warnings import oddities
from fromnoise.errors import FromnoiseError, is_out_of_memory, without_folders
from fromnoise.jobs import thumbnails
from fromnoise.jobs.gallery import Gallery
from fromnoise.jobs.job import PICTURE, Buried, Job, Result, State, Wish
from fromnoise.jobs.leases import Leases, Update
from fromnoise.jobs.logs import log
from fromnoise.jobs.naming import Named, free_name, name
from fromnoise.jobs.picture import New
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker import commands as commands
from fromnoise.jobs.worker import examining as examining
from fromnoise.jobs.worker import finishing as finishing  # registers its tasks
from fromnoise.jobs.worker import importing as importing
from fromnoise.jobs.worker import rewriting as rewriting
from fromnoise.jobs.worker import sheets as sheets
from fromnoise.jobs.worker import shelf as shelf
from fromnoise.jobs.worker import studying as studying
from fromnoise.jobs.worker import teaching as teaching
from fromnoise.jobs.worker.easel import Drawing, Easel
from fromnoise.jobs.worker.extensions import examine
from fromnoise.jobs.worker.marking import Marks
from fromnoise.jobs.worker.remarks import Remarks
from fromnoise.jobs.worker.tasks import TASKS, Desk, Moment, Skipped, Task

IDLE = 0.1  # seconds between looks at an empty queue
UNWRITTEN = 4  # finished pictures, at most, while others are drawn

Painted = tuple[Image.Image, list[str]]  # a picture that is given out, and why it is another one than was made


@dataclass
class Errand:
    """A task under way."""

    job: Job
    task: Task
    told: Moment | None = None  # the last that was said of it


@dataclass
class Worker:
    """Does jobs at a station until it is told to stop."""

    id: str
    leases: Leases
    station: Station
    easel: Easel
    errand: Errand | None = None
    stopping: float | None = None  # since when it is told to stop, by the monotonic clock
    wishes: dict[str, Wish] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        self.files = Behind[None](self.easel.placement.device)  # writes finished pictures, and decodes them on a GPU

    def run(self) -> None:
        """Work until `stop`; then end what can be ended in time, and leave the rest to others. Buried."""
        with self.remarks.heard():
            while self.stopping is None or (self.busy and time.monotonic() - self.stopping < self.station.grace):
                self.turn()
            for drawing in list(self.easel.drawings.values()):
                self.leave(drawing, "queued")
            if self.errand is not None:
                self.end_errand("queued")
            self.settle(wait=True)
        self.leases.retire(self.id)

    @property
    def busy(self) -> bool:
        return bool(self.easel.drawings) or self.errand is not None

    def stop(self) -> None:
        """Take nothing more, and end soon."""
        self.stopping = time.monotonic()

    def turn(self) -> None:
        """Take what there is room for, and advance what is under way by a step."""
        self.take()
        if self.errand is not None:
            self.advance_errand(self.errand)
        elif self.easel.drawings:
            self.advance_pictures()
        else:
            time.sleep(IDLE)
        if self.files.under_way and not self.busy:
            self.take()  # what can be drawn while these are written
        self.settle(wait=not self.busy)

    def take(self) -> None:
        if self.stopping is None and self.errand is None:
            room = self.station.together - len(self.easel.drawings)
            for job in self.leases.claim(self.id, room, self.station.kinds):
                self.begin(job)

    def settle(self, *, wait: bool) -> None:
        """See to what was written by now, or to all that is to be. Buried."""
        for _ in self.files.rest() if wait else self.files.ready(UNWRITTEN):
            pass

    def begin(self, job: Job) -> None:
        """Start a job, or say why it can't be done."""
        log("worker", "start", job=job.id, kind=job.work.kind, owner=job.work.owner, worker=self.id)
        with self.told_of(job):
            if job.work.kind == PICTURE:
                self.easel.start(job)
            else:
                self.errand = Errand(job, TASKS[job.work.kind](job.work.body, self.desk(job)))
            self.pass_on(job)

    def desk(self, job: Job) -> Desk:
        station, database = self.station, self.leases.database
        return Desk(
            job, self.easel.placement, station.settings, station.outputs, self.place_of(job), database, station.thumbs,
            self.marks, self.easel.let_go, station.memory,
        )  # fmt: skip

    @property
    def marks(self) -> Marks:
        """What the operator wants on pictures."""
        return Marks(self.station.watermark, self.station.certificate, self.station.key)

    def told_of(self, job: Job) -> "Told":
        return Told(partial(self.fail, job), self.station.folders)

    def pass_on(self, *jobs: Job) -> None:
        """Keep what was remarked since the last time with those that were under way. Buried."""
        if remarks := [without_folders(one, self.station.folders) for one in self.remarks.taken()]:
            for job in jobs:
                self.leases.remark(self.id, job.id, remarks)

    def fail(self, job: Job, why: str) -> None:
        self.pass_on(job)
        self.leases.fail(self.id, job.id, why)
        log("worker", "failed", job=job.id, owner=job.work.owner, worker=self.id, why=why)

    # pictures

    def advance_pictures(self) -> None:
        """One evaluation of every picture."""
        try:
            finished = self.easel.step()
        except Exception as error:
            self.give_up(error)
            return
        self.wishes |= self.leases.report(self.id, self.easel.updates())
        self.pass_on(*(drawing.job for drawing in self.easel.drawings.values()))
        for job, latents in finished.items():
            self.finish(job, latents)
        for job, wish in list(self.wishes.items()):
            if job in self.easel.drawings:
                self.grant(self.easel.drawings[job], wish)
        self.wishes.clear()
        for drawing in self.easel.drawings.values():
            if time.monotonic() - drawing.kept_at >= self.station.keep_every and drawing.step > drawing.kept:
                self.keep(drawing)

    def give_up(self, error: Exception) -> None:
        """A step failed: a picture alone has failed; several are done again, each alone."""
        dropped = self.easel.clear()
        if len(dropped) == 1:
            with self.told_of(dropped[0].job):
                raise error
            return
        traceback.print_exception(error)
        self.pass_on(*(drawing.job for drawing in dropped))
        for drawing in dropped:
            self.leases.set_aside(self.id, drawing.job.id, explained(error, self.station.folders))

    def keep(self, drawing: Drawing) -> None:
        """Write down what the picture could go on from; without room on the disk it does without."""
        if self.easel.sound:  # else the next step says what is wrong
            with suppress(OSError):
                self.leases.keep(self.id, drawing.job.id, self.easel.keep(drawing))

    def grant(self, drawing: Drawing, wish: Wish) -> None:
        """Do what is asked of a picture."""
        if wish == "skip" and drawing.denoised is not None:
            self.finish(drawing.job.id, drawing.denoised, partial_at=drawing.step)
        else:
            self.leave(drawing, "paused" if wish == "pause" else "cancelled")

    def leave(self, drawing: Drawing, state: State) -> None:
        """Put a picture away, to go on later unless it is cancelled."""
        if state != "cancelled" and drawing.step > drawing.kept:
            self.keep(drawing)
        self.easel.drop(drawing.job.id)
        self.pass_on(drawing.job)
        self.leases.stop(self.id, drawing.job.id, state)
        if state == "cancelled":
            self.easel.kept.forget(drawing.job.id)

    def finish(self, job: str, latents: Tensor, *, partial_at: int | None = None) -> None:
        """Decode, on a GPU while others are drawn; then write the file; only then say that the job is done."""
        more: dict[str, Any] = {"partial": partial_at} if partial_at is not None else {}
        with self.told_of(self.easel.drawings[job].job):
            drawing = self.easel.taken(job)
            paint = partial(self.painted, drawing, latents)
            write = partial(self.store, drawing, paint if drawing.aside else paint(), more)
            self.pass_on(drawing.job)
            self.files.add(write, aside=True)
            return
        self.easel.kept.forget(job)

    def painted(self, drawing: Drawing, latents: Tensor) -> Painted:
        return examine(drawing.finished(latents), with_names_alone(drawing.maker.recipe))

    def store(self, drawing: Drawing, picture: Painted | Callable[[], Painted], more: Mapping[str, Any]) -> None:
        """Write a picture and enter it, in a thread of its own: what fails is the job's failure. Buried."""
        job, recipe = drawing.job.id, with_names_alone(drawing.maker.recipe)
        with self.told_of(drawing.job):
            if callable(picture):
                picture = picture()
                self.pass_on(drawing.job)
            image, replaced = picture
            image = self.marks.on(image)
            work, digest = drawing.job.work, hashlib.sha256(image.tobytes()).hexdigest()
            named = Named(recipe, datetime.now(), work.owner, digest, work.member)
            pattern = "/".join(part for part in (work.folder, name(self.station.pattern, named)) if part)
            outputs = self.station.outputs
            file = self.leases.name_file(self.id, job, partial(free_name, outputs, pattern, ".png"))
            sweep(outputs / file)
            save_png(image, outputs / file, texts(recipe, self.easel.placement.device, drawing.company))
            self.marks.sign(outputs / file)
            odd = [asdict(one) for one in oddities(recipe)]
            data = {
                "width": image.width,
                "height": image.height,
                "recipe": recipe.model_dump(mode="json", exclude_none=True),
                **more,
                **({"replaced": replaced} if replaced else {}),
                **({"warnings": odd} if odd else {}),
            }
            result = Result(file, file_digest(outputs / file), "image/png", data)
            self.leases.finish(self.id, job, [result], [self.entry(drawing.job, result, outputs / file, image)])
            log("worker", "done", job=job, owner=drawing.job.work.owner, worker=self.id, steps=drawing.step)
        self.easel.kept.forget(job)

    def entry(self, job: Job, result: Result, path: Path, image: Image.Image) -> New:
        """What the gallery is told of a picture."""
        if self.station.thumbs is not None:
            with suppress(OSError):
                thumbnails.keep(self.station.thumbs, str(result.sha256), image)
        status = path.stat()
        return New(
            str(result.path),
            str(result.sha256),
            status.st_size,
            status.st_mtime_ns,
            image.width,
            image.height,
            owner=job.work.owner,
            job=job.id,
            recipe=result.data["recipe"],
        )

    # tasks

    def entries(self, job: Job, results: Sequence[Result]) -> list[New]:
        """What the gallery is told of the pictures that a task made; hints are none."""
        found = []
        for result in results:
            if result.path and result.media == "image/png" and "recipe" in result.data:
                path = self.station.outputs / result.path
                entry = self.entry(job, result, path, open_image(path))
                parent = Gallery(self.leases.database, self.station.outputs).with_content(
                    str(result.data.get("parent"))
                )
                found.append(replace(entry, parent=parent.id if parent else None))
        return found

    def advance_errand(self, errand: Errand, skipped: bool = False) -> None:
        """One step of a task; or, where it is skipped, its end."""
        job = errand.job.id
        try:
            told = errand.task.throw(Skipped()) if skipped else next(errand.task)
        except StopIteration as stop:
            self.finish_errand(errand, stop.value or [])
            return
        except Skipped:  # it can't end sooner
            self.errand = None
            self.leave_errand(errand, "cancelled")
            return
        except Exception as error:
            self.errand = None
            with self.told_of(errand.job):
                raise error
            return
        self.pass_on(errand.job)
        moment = told if isinstance(told, Moment) else Moment(*told)
        if moment.kept:
            self.leases.keep(self.id, job, moment.step)
        wish = self.told(job, moment).get(job)
        if wish == "skip" and not skipped:
            self.advance_errand(errand, skipped=True)
        elif wish in ("pause", "cancel"):
            self.end_errand("paused" if wish == "pause" else "cancelled")

    def told(self, job: str, moment: Moment) -> dict[str, Wish]:
        """Say how far a task is, where it is farther than before; what is asked of it."""
        assert self.errand is not None
        if moment == self.errand.told:
            return self.leases.beat(self.id)
        self.errand.told = moment
        return self.leases.report(self.id, [Update(job, moment.step, moment.steps, moment.preview, moment.figures)])

    def finish_errand(self, errand: Errand, results: Sequence[Result]) -> None:
        self.errand, job = None, errand.job
        self.pass_on(job)
        self.leases.finish(self.id, job.id, results, self.entries(job, results))
        log("worker", "done", job=job.id, owner=job.work.owner, worker=self.id)
        shutil.rmtree(self.place_of(job), ignore_errors=True)

    def end_errand(self, state: State) -> None:
        """Close a task at its `yield`."""
        assert self.errand is not None
        errand, self.errand = self.errand, None
        errand.task.close()
        self.leave_errand(errand, state)

    def leave_errand(self, errand: Errand, state: State) -> None:
        self.pass_on(errand.job)
        self.leases.stop(self.id, errand.job.id, state)
        if state == "cancelled":
            shutil.rmtree(self.place_of(errand.job), ignore_errors=True)

    def place_of(self, job: Job) -> Path:
        return self.station.kept / job.id


class Told:
    """In a `with`: a failure inside is told of, as the reason why a job failed, and goes no further."""

    def __init__(self, fail: Callable[[str], None], folders: Sequence[str]) -> None:
        self.fail, self.folders = fail, folders

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None or isinstance(error, Buried) or not isinstance(error, Exception):
            return False
        if not isinstance(error, FromnoiseError):
            traceback.print_exception(error)
        self.fail(explained(error, self.folders))
        return True


def explained(error: Exception, folders: Sequence[str] = ()) -> str:
    """A failure in one line, without the machine's paths."""
    if isinstance(error, FromnoiseError):
        return without_folders(str(error), folders)
    if is_out_of_memory(error):
        return "out of memory: try a smaller picture"
    return f"unexpected failure ({type(error).__name__}); the worker's log says more"


def sweep(path: Path) -> None:
    """Remove what earlier attempts at a file left behind, whose workers died while they wrote."""
    for part in path.parent.glob(f".{escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
