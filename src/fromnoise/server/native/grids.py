"""Many pictures from one recipe, and their sheet: X/Y/Z plots, prompt matrices, lists of prompts, loopback."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.choices import with_choices_made
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.shelves import shelves
from fromnoise.errors import FromnoiseError
from fromnoise.jobs.job import SHEET, Job, Work
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import Order, accepted, check_priority, check_rate, safe_folder, settled
from fromnoise.server.native.styles import known_styles
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

LOOPBACK = "loopback"
STYLES = "styles"
Label = Annotated[str, Field(max_length=400)]
TITLES = {"xyz": "X/Y/Z plot", "matrix": "Prompt matrix", "lines": "Prompts from file", "loopback": "Loopback"}

router = new_part("/grids")


class Script(BaseModel):
    """What makes many recipes of one."""

    model_config = ConfigDict(extra="forbid")


class AxisChoice(BaseModel):
    """What changes along one side."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200, description="An axis of the catalogue, by name or label.")
    values: str = Field(
        default="", max_length=20_000, description='Such as 1, 5, 9 or 1-10 (+2) or 1-10 [5] or "a, b", c.'
    )


class Xyz(Script):
    """Every combination of the values of up to three axes: columns, rows, layers."""

    kind: Literal["xyz"]
    axes: list[AxisChoice | None] = Field(min_length=1, max_length=3)
    vary_seeds: str = Field(
        default="", pattern="^x?y?z?$", description="Sides, such as xz, along which each place has the next seed."
    )
    any_seeds: bool = Field(
        default=False, description="Each picture has a seed that nobody chose, unless the seed is an axis."
    )


class Matrix(Script):
    """Of `always|this|that` the first part with every choice of the others."""

    kind: Literal["matrix"]
    side: Literal["prompt", "negative"] = "prompt"
    at_start: bool = Field(default=False, description="The chosen parts stand before the first one.")
    delimiter: Literal[", ", " "] = ", "
    different_seeds: bool = False


class PromptLines(Script):
    """A picture for each line: a prompt, or options such as --prompt "a cat" --steps 5."""

    kind: Literal["lines"]
    text: str = Field(max_length=200_000)
    position: Literal["instead", "start", "end"] = Field(default="instead", description="Of the recipe's own prompt.")
    count_seeds: bool = Field(default=False, description="Each line has the next seed.")


class Loopback(Script):
    """Each picture made from the one before it."""

    kind: Literal["loopback"]
    loops: int = Field(default=4, ge=1, le=200)
    final_strength: float = Field(default=0.5, ge=0, le=1)
    curve: Literal["aggressive", "linear", "lazy"] = "aggressive"
    describe_by: str | None = Field(
        default=None, max_length=200, description="A captioner, whose words for each start picture join the prompt."
    )


class GridDraft(BaseModel):
    """A recipe, and what makes many of it."""

    model_config = ConfigDict(extra="forbid")

    recipe: Recipe
    script: Annotated[Xyz | Matrix | PromptLines | Loopback, Field(discriminator="kind")]
    styles: list[str] = Field(default=[], max_length=100, description="Names of styles whose texts join the prompts.")


class GridPlan(BaseModel):
    """What would be made."""

    columns: list[str]
    rows: list[str]
    layers: list[str]
    count: int = Field(description="Pictures.")
    seconds: float | None = Field(description="It will take, by what was made lately; none where nothing was.")


class GridOrder(GridDraft):
    """Pictures and their sheet that are asked for."""

    priority: int = Field(default=0, ge=-100, le=100)
    key: str | None = Field(default=None, min_length=1, max_length=200)
    folder: str = Field(default="", max_length=200)
    margin: int = Field(default=0, ge=0, le=500, description="Pixels between the pictures of the sheet.")
    legend: bool = Field(default=True, description="Labels are drawn.")
    sub_grids: bool = Field(default=False, description="Besides the sheet of all one of each layer.")
    labels: dict[Label, Label] = Field(
        default={}, max_length=1000, description="What is drawn in place of labels, such as 步数：2 for Steps: 2."
    )
    choices: bool = Field(default=False, description="Make the choices in prompts, by each seed.")


class GridView(BaseModel):
    """A sheet that is made when its pictures are."""

    sheet: JobView = Field(description="Its body has columns, rows, layers and the jobs of the pictures.")
    cells: list[JobView] = Field(description="Layer by layer, row by row; none for loopback, which is one job.")


@router.post("/plan")
def plan_grid(draft: GridDraft, here: Here, who: Who) -> GridPlan:
    """What a grid would be: its labels, how many pictures, and about how long they take."""
    found = planned(draft, here, who)
    cost = sum(Work.picture(Recipe.make(**cell)).cost for cell in found["cells"])
    pace = here.queue.pace()
    return GridPlan(**labels(found), count=len(found["cells"]), seconds=None if pace is None else pace * cost)


@router.post("", status_code=202)
def submit_grid(order: GridOrder, here: Here, who: Who) -> GridView:
    """Ask for a grid. Its pictures are jobs as all others; the sheet is drawn when the last of them has ended."""
    check_priority(order.priority, who)
    found = planned(order, here, who)
    cells = [Recipe.make(**cell) for cell in found["cells"]]
    if order.choices:
        wildcards = [shelf.folder for shelf in shelves("wildcards", here.settings)]
        cells = [with_choices_made(cell, wildcards)[0] for cell in cells]
    check_rate(len(cells) + 1, here, who)
    group = order.key or f"grid-{secrets.token_hex(8)}"
    body = {**labels(found), "margin": order.margin, "fields": fields_of(order.script, here), "recipe": found["recipe"]}
    if order.labels:
        body["labels"] = order.labels
    if order.sub_grids:
        body["sub_grids"] = True
    if not order.legend:
        body |= {side: [""] * len(body[side]) for side in ("columns", "rows", "layers")}
    whole = Work(SHEET, body, who.name, order.priority, f"{group}/sheet", group, folder=safe_folder(order.folder))
    if isinstance(order.script, Loopback):
        turns = [cell.model_dump(mode="json", exclude_none=True) for cell in cells]
        cost = sum(Work.picture(cell).cost for cell in cells)
        said = {"describe_by": order.script.describe_by} if order.script.describe_by else {}
        loop = replace(whole, kind=LOOPBACK, body={**body, "cells": turns, **said}, cost=cost)
        return GridView(sheet=JobView.of(accepted(here.queue, [loop])[0]), cells=[])
    works = [
        Work.picture(cell, owner=who.name, priority=order.priority, key=f"{group}/{number}", group=group,
                     folder=whole.folder)
        for number, cell in enumerate(cells)
    ]  # fmt: skip
    jobs = accepted(here.queue, works)
    sheet = with_jobs(whole, jobs, here)
    return GridView(sheet=JobView.of(sheet), cells=[JobView.of(job) for job in jobs])


def with_jobs(sheet: Work, jobs: list[Job], here: Context) -> Job:
    """The sheet of jobs, stored; where there is no room for it, they are not wanted either."""
    try:
        return accepted(here.queue, [replace(sheet, body={**sheet.body, "jobs": [job.id for job in jobs]})])[0]
    except ApiError:
        for job in jobs:
            if not job.is_finished:
                here.queue.cancel(job.id)
        raise


def planned(draft: GridDraft, here: Context, who: Identity) -> dict[str, Any]:
    """Labels and recipes. ApiError 422 where a value is wrong."""
    base = settled(draft.recipe, Order(recipes=[draft.recipe], styles=draft.styles), here, who)
    recipe = base.model_dump(mode="json", exclude_none=True)
    try:
        found = here.clerk.ask("plan", {"recipe": recipe, **asked(draft.script, here)})
    except FromnoiseError as error:
        raise ApiError(422, "script", str(error)) from error
    return {**found, "recipe": recipe}


def asked(script: Xyz | Matrix | PromptLines | Loopback, here: Context) -> dict[str, Any]:
    """A script as the planner takes it."""
    given = script.model_dump(exclude={"kind", "describe_by"})
    if isinstance(script, Xyz):
        axes = [None if axis is None else (axis.name, axis.values) for axis in script.axes]
        given |= {"axes": axes}
        if any(axis is not None and axis.name.lower() == STYLES for axis in script.axes):
            given["styles"] = [asdict(style) for style in known_styles(here)]
    return {"script": script.kind, "given": given}


def labels(found: Mapping[str, Any]) -> dict[str, Any]:
    return {side: list(found[side]) for side in ("columns", "rows", "layers")}


def fields_of(script: Xyz | Matrix | PromptLines | Loopback, here: Context) -> dict[str, str]:
    """For the infotext of the sheet, as AUTOMATIC1111's scripts write them."""
    fields = {"Script": TITLES[script.kind]}
    if isinstance(script, Xyz):
        for letter, axis in zip("XYZ", script.axes, strict=False):
            if axis is not None:
                label = here.catalogue.other("axes", axis.name).label
                fields |= {f"{letter} Type": label, f"{letter} Values": axis.values}
    elif isinstance(script, Loopback):
        fields |= {"Final denoising strength": f"{script.final_strength:g}", "Denoising curve": script.curve}
    return fields
