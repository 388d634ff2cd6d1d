"""Training as a job: `fromnoise train` in a process of its own, which is followed, stopped, and goes on where it was.

{"method": "lora", "dataset": "mycat", "name": "mycat", "model": "builtin", "settings": {"steps": 500}}

What is to be seen of it (log, curve, samples) is copied below the outputs as it comes; its state is kept among the
job's own files. Paused, interrupted or killed, it goes on from the last state, exactly; skipped, it writes the file
with what it has learnt so far.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.engine import shelves
from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import FromnoiseError, UserError
from fromnoise.jobs.job import Result
from fromnoise.jobs.thumbnails import small_jpeg
from fromnoise.jobs.worker.held import Child, environment, name_of
from fromnoise.jobs.worker.tasks import Desk, Moment, Skipped, Task, task
from fromnoise.train.data import sets
from fromnoise.train.schema import TrainingMethod, TrainingSchema, as_toml

LOG = logging.getLogger(__name__)
TRAINING = "training"  # the folder below the outputs
TRIES = 3  # processes that may be killed without a new state in between
SHOWN = ("loss.png", "log.jsonl")
REMARK = "fromnoise: "  # so begins what it remarks
UNTOLD = ("step", "steps_per_second")


@dataclass(frozen=True)
class Ordered:
    """What was asked for, with its places."""

    method: TrainingMethod
    data: Path
    name: str
    model: str
    settings: dict[str, Any]
    output: Path
    run: Path  # for what it goes on from
    shown: Path  # for what is to be seen

    @property
    def state(self) -> Path:
        return self.run / "state.safetensors"


@task("train")
def train(body: Mapping[str, Any], desk: Desk) -> Task:
    """A model learns from a data set; the result's data say on which shelf its file is, the others are its samples."""
    order = ordered(body, desk)
    desk.make_room()
    yield (yield from taught(order, desk))
    return results(order, desk)


def ordered(body: Mapping[str, Any], desk: Desk) -> Ordered:
    """UserError and FileError for what can't be done."""
    schema, here = TrainingSchema.shipped(), desk.settings
    method, name = schema.method(str(body["method"])), sets.checked_name(str(body["name"]), "training")
    given = schema.checked(method.name, body.get("settings") or {})
    for setting in schema.of(method.name):
        if setting.name in given and setting.kind == "dataset":
            given[setting.name] = str(sets.folder_of(given[setting.name], here))
        elif setting.name in given and setting.kind == "model":
            given[setting.name] = str(shelves.find(method.shelf, given[setting.name], here).absolute())
    model = str(body.get("model") or shelves.BUILTIN)
    if model != shelves.BUILTIN:
        shelves.find("checkpoints", model, here)
    output = shelves.home(method.shelf, here).absolute() / f"{name}{method.ending}"
    if output.exists() and not body.get("replace") and not (desk.kept / "run").exists():
        raise UserError(f"{output.name} is there already: choose another name, or ask to replace it")
    shown = desk.outputs / "/".join(part for part in (desk.job.work.folder, shown_at(name, desk.job.id)) if part)
    data = sets.folder_of(str(body["dataset"]), here)
    return Ordered(method, data, name, model, given, output, desk.kept / "run", shown)


def shown_at(name: str, job: str) -> str:
    """Where, below the outputs of its owner, what is to be seen of a training lies."""
    return f"{TRAINING}/{name}-{job[-8:]}"


def taught(order: Ordered, desk: Desk) -> Generator[Moment, None, Moment]:
    """Until the file is written; where it stands in the end."""
    order.run.mkdir(parents=True, exist_ok=True)
    moment, deaths, more = Moment(step_of(order.state), 0), 0, dict[str, Any]()
    while True:
        child = Child(command(order, more), environment(desk))
        known = stamp(order.state)
        try:
            moment = yield from followed(child, order, moment)
        except Skipped:
            child.stop()
            if not order.state.exists():
                raise
            moment = Moment(step_of(order.state), step_of(order.state))
            more = {"steps": moment.step}  # nothing is left to learn: it writes the file
            continue
        finally:
            child.stop()
        if child.status == 0:
            return moment
        if child.status > 0:
            raise (UserError if child.status == UserError.exit_code else FromnoiseError)(child.why)
        deaths = 1 if stamp(order.state) != known else deaths + 1
        if deaths >= TRIES:
            raise FromnoiseError(f"training was ended by {name_of(-child.status)} {deaths} times at the same place")


def followed(child: Child, order: Ordered, moment: Moment) -> Generator[Moment, None, Moment]:
    """What a process says, until it ends; what it remarks is remarked here."""
    known, kept, remark = seen(order.shown), stamp(order.state), ""
    yield moment
    for line in (line.text for line in child.lines()):
        step, steps, figures = moment.step, moment.steps, moment.figures
        told = table(line)
        if "steps" in told:
            steps = int(told["steps"])
        elif "step" in told:
            step = int(told["step"])
            figures = {name: value for name, value in told.items() if name not in UNTOLD}
        elif line:
            figures = {"note": line}
            if remark:
                LOG.warning(remark)
            remark = line.removeprefix(REMARK) if line.startswith(REMARK) else ""
        fresh = publish(order, known)
        saved, kept = stamp(order.state) != kept, stamp(order.state)
        moment = Moment(step, steps, figures, small_jpeg(fresh[-1]) if fresh else None, saved)
        yield moment
    if remark and child.status == 0:  # else it is why it ended
        LOG.warning(remark)
    publish(order, known)
    return Moment(moment.step, moment.steps, moment.figures)


def command(order: Ordered, more: Mapping[str, Any]) -> list[str]:
    """How it is started; `more` takes the place of what was asked for."""
    settings = {name: value for name, value in order.settings.items() if not (more and name == "epochs")}
    config = order.run / "config.toml"
    write_whole(config, as_toml({"log_every": 5, **settings, **more}).encode())
    return [
        sys.executable, "-m", "fromnoise", "train", order.method.name, str(order.data), "--config", str(config),
        "--name", order.name, "--model", order.model, "--out", str(order.output), "--folder", str(order.run),
    ]  # fmt: skip


def table(line: str) -> dict[str, Any]:
    """A line of the log, or nothing."""
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}


def seen(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("sample-*.png")}


def publish(order: Ordered, known: set[str]) -> list[Path]:
    """Copy what is new to where it is seen; new samples, the newest last."""
    fresh = sorted(path for path in order.run.glob("sample-*.png") if path.name not in known)
    order.shown.mkdir(parents=True, exist_ok=True)
    for path in (*fresh, *(order.run / name for name in SHOWN)):
        if path.exists():
            write_whole(order.shown / path.name, path.read_bytes())
    known |= {path.name for path in fresh}
    return fresh


def stamp(path: Path) -> tuple[int, int]:
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return 0, 0


def step_of(state: Path) -> int:
    """Of a state that was saved; 0 where none was."""
    return int(read(state).metadata["step"]) if state.exists() else 0


def results(order: Ordered, desk: Desk) -> list[Result]:
    """The file on its shelf, then what is to be seen."""
    content = hashlib.sha256()
    with order.output.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    made = {"shelf": order.method.shelf, "file": order.output.name, "name": order.output.stem,
            "size": order.output.stat().st_size}  # fmt: skip
    found = [Result(None, content.hexdigest(), "application/octet-stream", made)]
    for path in sorted(order.shown.glob("*.png")):
        with Image.open(path) as image:
            data = {"width": image.width, "height": image.height, "of": path.stem}
        place = path.relative_to(desk.outputs).as_posix()
        found.append(Result(place, hashlib.sha256(path.read_bytes()).hexdigest(), "image/png", data))
    return found
