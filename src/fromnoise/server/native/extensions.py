"""What packages outside add, as data that workers tell: kinds of work, panels, routes. Their code never runs here."""

import asyncio
import base64
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fromnoise.errors import FromnoiseError
from fromnoise.jobs.job import Work
from fromnoise.jobs.routing import LARGEST, place
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import accepted, check_rate, picture_of
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

METHODS = ["GET", "POST", "PUT", "DELETE"]
FRAMED = {  # whatever it is, it acts as nobody: without cookies, requests, or anything of the page around it
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Cache-Control": "no-store",
}

router = new_part(route=APIRoute)


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
    work: str = Field(description="What it asks for; empty: nothing.")
    page: str = Field(default="", description="The route that is shown in it; empty: none.")
    inputs: list[PanelInput]


class ExtensionsView(BaseModel):
    """What the workers' extensions add."""

    kinds: list[str] = Field(description="Of work, for POST /extensions/KIND.")
    panels: list[PanelView]
    routes: list[str] = Field(default=[], description="Addresses below /extensions that they answer.")
    nodes: list[str] = Field(default=[], description="Kinds of ComfyUI's nodes that they read.")
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
    panels: dict[str, PanelView] = {}  # several workers tell the same
    for panel in (panel for one in told for panel in one.get("panels", [])):
        with suppress(ValidationError):  # a worker of another version
            view = PanelView.model_validate(panel)
            panels.setdefault(view.title, view)
    faults = sorted({fault for one in told for fault in one.get("faults", [])}) if who.is_admin else []
    return ExtensionsView(
        kinds=named("kinds", here), panels=list(panels.values()), faults=faults, routes=named("routes", here),
        nodes=named("nodes", here),
    )  # fmt: skip


@router.post("/extensions/{kind}", status_code=202)
def submit_extension(
    kind: Annotated[str, Path(max_length=100)], order: ExtensionOrder, here: Here, who: Who
) -> JobView:
    """Ask for work of an extension's kind; a worker does it, and its results are those of the job."""
    if kind not in named("kinds", here):
        raise ApiError(404, "not-found", f"no worker knows work of the kind {kind!r}")
    check_rate(1, here, who)
    more = {} if order.picture is None else {"picture": picture_of(order.picture, here, who).model_dump()}
    return JobView.of(accepted(here.queue, [Work(kind, {**order.body, **more}, who.name, key=order.key)])[0])


def news(here: Context) -> list[dict[str, Any]]:
    return [dict((worker["info"] or {}).get("extensions") or {}) for worker in here.queue.workers()]


def named(what: str, here: Context) -> list[str]:
    """Names of what workers tell of."""
    return sorted({str(name) for one in news(here) for name in one.get(what, [])})


@router.api_route("/extensions/{address:path}", methods=METHODS, include_in_schema=False)
async def pass_on(address: str, request: Request, here: Here, who: Who) -> Response:
    """Hand a call on to the process of extensions, and its answer back. What that says is not trusted here."""
    found = place(address, await asyncio.to_thread(named, "routes", here))
    if found is None:
        raise ApiError(404, "not-found", "no extension answers there")
    if wait := here.submissions.wait(who.name):
        raise ApiError(429, "rate", "too many calls at once; come back a little later", retry_after=wait)
    data = await request.body()
    if len(data) > LARGEST:
        raise ApiError(413, "size", f"at most {LARGEST:,} bytes are taken")
    asked = {
        "route": found[0], "rest": found[1], "method": request.method, "query": dict(request.query_params),
        "body": base64.b64encode(data).decode(), "user": who.name,
    }  # fmt: skip
    try:
        told = await asyncio.to_thread(here.porter.ask, "route", asked)
        reply = Response(base64.b64decode(told["data"]), told["status"], FRAMED, told["media"])
    except (FromnoiseError, KeyError) as error:  # it took too long, died of it, or says that it failed
        raise ApiError(502, "extension", f"the extension at {found[0]} failed; the server's log says more") from error
    return reply
