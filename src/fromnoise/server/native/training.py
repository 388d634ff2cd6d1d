"""Training: what can be set of it, and how a training goes."""

import json
from contextlib import suppress
from typing import Annotated

from fastapi import Path, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from fromnoise.jobs.job import Job
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.jobs import mine
from fromnoise.server.parts import new_part
from fromnoise.train.schema import TrainingSchema

TRAINING = "training"  # the folder of what is to be seen: jobs/worker/teaching.py
MOST_POINTS = 2000  # of a curve; a longer one is thinned out
MOST_LOG = 64 << 20  # bytes

router = new_part()


class Point(BaseModel):
    """A line of the log."""

    step: int
    loss: float | None = None
    lr: float | None = None
    norm: float | None = Field(default=None, description="Of the gradient.")
    held_out_loss: float | None = Field(default=None, description="On pictures that it does not learn from.")
    more: dict[str, float] = Field(default={}, description="Other figures of the method.")


class Sample(BaseModel):
    """A sheet of pictures that was drawn on the way."""

    step: int
    url: str


class TrainingView(BaseModel):
    """How a training goes."""

    step: int
    steps: int = Field(description="0 where nobody knows yet.")
    speed: float | None = Field(description="Steps a second, of late.")
    left: float | None = Field(description="Seconds, as far as can be told.")
    points: list[Point]
    samples: list[Sample]
    curve: str | None = Field(description="The loss as a picture.")


@router.get("/training")
def list_training_methods(who: Who) -> TrainingSchema:
    """The methods of training, and what can be set of each: for forms."""
    return TrainingSchema.shipped()


@router.get("/jobs/{job}/training")
def get_training(job: str, here: Here, who: Who) -> TrainingView:
    """How a training goes: its curve and its samples so far."""
    found = training_of(job, here, who)
    names = files_of(found, here)
    lines = log_of(found, here)
    speed = next((one["steps_per_second"] for one in reversed(lines) if one.get("steps_per_second")), None)
    left = (found.steps - found.step) / speed if speed and found.steps and not found.is_finished else None
    address = f"/api/v1/jobs/{job}/training"
    samples = [Sample(step=step_of(name), url=f"{address}/samples/{step_of(name)}") for name in names if step_of(name)]
    curve = f"{address}/curve?v={found.step}" if "loss.png" in names else None
    points = [point(line) for line in thinned(lines)]
    return TrainingView(
        step=found.step, steps=found.steps, speed=speed, left=left, points=points, samples=samples, curve=curve
    )


@router.get("/jobs/{job}/training/curve", response_class=FileResponse)
def get_training_curve(job: str, here: Here, who: Who) -> Response:
    """The loss, and below it the learning rate, as a picture."""
    return FileResponse(here.file(here.outputs, f"{folder_of(training_of(job, here, who))}/loss.png"))


@router.get("/jobs/{job}/training/samples/{step}", response_class=FileResponse)
def get_training_sample(job: str, step: Annotated[int, Path(ge=0, lt=10**9)], here: Here, who: Who) -> Response:
    """The sheet that was drawn after a step."""
    return FileResponse(here.file(here.outputs, f"{folder_of(training_of(job, here, who))}/sample-{step:06d}.png"))


def training_of(job: str, here: Context, who: Identity) -> Job:
    """ApiError 404 for what is no training."""
    found = mine(here, who, job)
    if found.work.kind != "train":
        raise ApiError(404, "not-found", "that job is no training")
    return found


def folder_of(job: Job) -> str:
    """Below the outputs."""
    own = f"{TRAINING}/{job.work.body['name']}-{job.id[-8:]}"
    return "/".join(part for part in (job.work.folder, own) if part)


def files_of(job: Job, here: Context) -> list[str]:
    folder = here.outputs / folder_of(job)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def log_of(job: Job, here: Context) -> list[dict[str, float]]:
    """The lines of the log, without one that is not whole."""
    lines: list[dict[str, float]] = []
    with suppress(OSError):
        path = here.outputs / folder_of(job) / "log.jsonl"
        if path.stat().st_size > MOST_LOG:
            return []
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                found = json.loads(line)
                lines.append({"step": int(found["step"])} | {n: float(v) for n, v in found.items() if n != "step"})
    return lines


def point(line: dict[str, float]) -> Point:
    known = {name: line[name] for name in ("loss", "lr", "norm", "held_out_loss") if name in line}
    more = {name: value for name, value in line.items() if name not in (*known, "step", "steps_per_second")}
    return Point(step=int(line["step"]), more=more, **known)


def thinned(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """So many lines as a page can draw, the last one among them."""
    every = -(-len(lines) // MOST_POINTS) if lines else 1
    return [line for number, line in enumerate(lines, 1) if number % every == 0 or number == len(lines)]


def step_of(name: str) -> int:
    """Of a sample; 0 of what is none."""
    digits = name.removeprefix("sample-").removesuffix(".png")
    return int(digits) if name.startswith("sample-") and digits.isdecimal() else 0
