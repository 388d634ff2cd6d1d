"""How a picture came about: the steps of jobs that were asked to keep them."""

from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field

from fromnoise.errors import FileError
from fromnoise.jobs.traces import TracedStep
from fromnoise.server.context import Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.jobs import mine
from fromnoise.server.parts import new_part

router = new_part()

Picture = Literal["predicted", "noisy", "noise", "channels", "attention"]


class TraceWord(BaseModel):
    """A word of the prompt, and where the network looked for it."""

    text: str
    map: str = Field(description="Address of a small grey picture: white is where it looked most.")


class TraceStep(BaseModel):
    """One evaluation of the model."""

    index: int
    sigma: float = Field(description="The noise level that it began at.")
    predicted: str = Field(description="Address: the clean picture as the model saw it then.")
    noisy: str = Field(description="Address: the latents as colours, one pixel each.")
    noise: str = Field(description="Address: the noise that the model saw in them.")
    channels: list[str] = Field(description="Addresses: each channel of the latents in grey.")
    words: list[TraceWord]


class TraceView(BaseModel):
    """How a picture came about; empty where its job was not asked to tell, or it was long ago."""

    steps: list[TraceStep]


@router.get("/jobs/{job}/trace")
def get_trace(job: str, here: Here, who: Who) -> TraceView:
    """The steps of a job that was asked for with `trace`; they can be looked at while it runs."""
    mine(here, who, job)
    return TraceView(steps=[view(job, step) for step in here.traces.steps(job)])


def view(job: str, step: TracedStep) -> TraceStep:
    place = f"/api/v1/jobs/{job}/trace/{step.index}"
    return TraceStep(
        index=step.index, sigma=step.sigma, predicted=f"{place}/predicted", noisy=f"{place}/noisy",
        noise=f"{place}/noise", channels=[f"{place}/channels?number={n}" for n in range(step.channels)],
        words=[TraceWord(text=text, map=f"{place}/attention?number={n}") for n, text in enumerate(step.words)],
    )  # fmt: skip


@router.get("/jobs/{job}/trace/{index}/{picture}", response_class=Response)
def get_trace_image(
    job: str,
    index: int,
    picture: Picture,
    here: Here,
    who: Who,
    number: Annotated[int, Query(ge=0, le=10_000, description="Of channels and words.")] = 0,
) -> Response:
    """A picture of a step."""
    mine(here, who, job)
    try:
        media, data = here.traces.image(job, index, picture, number)
    except FileError as error:
        raise ApiError(404, "not-found", str(error)) from error
    return Response(data, media_type=media, headers={"Cache-Control": "private, max-age=3600"})
