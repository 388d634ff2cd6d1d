"""What packages outside add, as data that workers tell: kinds of work and panels. Their code never runs here."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fromnoise.jobs.job import Work
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import accepted, check_rate, picture_of
from fromnoise.server.native.views import JobView

router = APIRouter()


class PanelInput(BaseModel):
    """Something that a panel asks for."""

    name: str
    label: str
    label_zh: str
    kind: str = Field(description="text, number, switch, choice or picture.")
    choices: list[str]
    default: str | float | bool | None


class PanelView(BaseModel):
    """A form that asks for a kind of work."""

    title: str
    title_zh: str
    work: str
    inputs: list[PanelInput]


class ExtensionsView(BaseModel):
    """What the workers' extensions add."""

    kinds: list[str] = Field(description="Of work, for POST /extensions/KIND.")
    panels: list[PanelView]
    faults: list[str] = Field(description="What could not be loaded; for administrators.")


class ExtensionOrder(BaseModel):
    """Work of an extension's kind."""

    model_config = ConfigDict(extra="forbid")

    body: dict[str, Any] = {}
    picture: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Arrives as `picture` in the body."
    )
    key: str | None = Field(default=None, min_length=1, max_length=200)


@router.get("/extensions")
def list_extensions(here: Here, who: Who) -> ExtensionsView:
    """Kinds of work and panels that packages outside add."""
    told = news(here)
    panels = []
    for panel in (panel for one in told for panel in one.get("panels", [])):
        try:
            panels.append(PanelView.model_validate(panel))
        except ValidationError:  # a worker of another version
            continue
    faults = sorted({fault for one in told for fault in one.get("faults", [])}) if who.is_admin else []
    return ExtensionsView(kinds=kinds(here), panels=panels, faults=faults)


@router.post("/extensions/{kind}", status_code=202)
def submit_extension(
    kind: Annotated[str, Path(max_length=100)], order: ExtensionOrder, here: Here, who: Who
) -> JobView:
    """Ask for work of an extension's kind; a worker does it, and its results are those of the job."""
    if kind not in kinds(here):
        raise ApiError(404, "not-found", f"no worker knows work of the kind {kind!r}")
    check_rate(1, here, who)
    more = {} if order.picture is None else {"picture": picture_of(order.picture, here, who).model_dump()}
    return JobView.of(accepted(here.queue, [Work(kind, {**order.body, **more}, who.name, key=order.key)])[0])


def news(here: Context) -> list[dict[str, Any]]:
    return [dict((worker["info"] or {}).get("extensions") or {}) for worker in here.queue.workers()]


def kinds(here: Context) -> list[str]:
    return sorted({str(kind) for one in news(here) for kind in one.get("kinds", [])})
