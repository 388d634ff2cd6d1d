"""What happens to jobs, as it happens: Server-Sent Events, or messages of a WebSocket, with previews."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Header, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from fromnoise.errors import without_folders
from fromnoise.jobs.job import FINISHED, SPOKEN, Event
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who, context, identity
from fromnoise.server.errors import ApiError
from fromnoise.server.guard import POLICY_VIOLATION
from fromnoise.server.parts import new_part

LOOK_WHETHER_GONE = 1.0  # seconds after which a silent stream looks whether anybody listens
REASONS = ("error", "why")  # of events: sentences
COME_BACK = 10.0  # seconds after which somebody with too many streams may try again
TRY_AGAIN_LATER = 1013  # IANA's registry of WebSocket close codes
KEEP_ALIVE = 15.0  # seconds after which a silent stream says that it is there

router = new_part()

Gone = Callable[[], Awaitable[bool]]
Told = dict[str, Any]


@dataclass
class Stream:
    """What one listener is told."""

    here: Context
    who: Identity
    job: str | None = None  # None: all jobs
    after: int = 0  # the number of the last event that was told
    previews: bool = False
    seen: dict[str, int] = field(default_factory=dict)  # step of the last preview, by job

    async def messages(self, is_gone: Gone) -> AsyncIterator[Told | None]:
        """Events in order, then previews; None now and then when there is nothing to tell."""
        owner = self.here.owner_of(self.who)
        with self.here.feed.heard(previews=self.previews, owner=self.who.name) as ear:
            told = time.monotonic()
            while not await is_gone():
                self.after, found = await self.here.feed.since(self.after, job=self.job, owner=owner)
                for event in found:
                    yield as_told(event)
                async for one in self.shown(found):
                    yield one
                if found:
                    told = time.monotonic()
                elif not await ear.wait(LOOK_WHETHER_GONE) and time.monotonic() - told >= KEEP_ALIVE:
                    told = time.monotonic()
                    yield None

    async def shown(self, events: Sequence[Event]) -> AsyncIterator[Told]:
        """The newest previews of the jobs that have new ones; each is told once."""
        new = {event.job for event in events if event.kind == "step" and event.data.get("preview")}
        for job in sorted(new) if self.previews else ():
            found = await self.here.feed.preview(job)
            if found is not None and found[0] != self.seen.get(job):
                self.seen[job] = found[0]
                yield {"event": "preview", "job": job, "step": found[0], "image": found[1]}
        for event in events:
            if event.kind in FINISHED:
                self.seen.pop(event.job, None)


def as_told(event: Event) -> Told:
    data: Told = {key: without_folders(value) if key in REASONS else value for key, value in event.data.items()}
    if "remarks" in data:
        data["remarks"] = [without_folders(remark) for remark in data["remarks"]]
    if "figures" in data:
        data["figures"] = {name: value for name, value in data["figures"].items() if name not in SPOKEN}
    return {"event": event.kind, "number": event.number, "job": event.job, "time": event.time, **data}


@router.get("/events", response_class=StreamingResponse)
async def follow_events(
    request: Request,
    here: Here,
    who: Who,
    job: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    previews: bool = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """What happens to one's jobs, as Server-Sent Events, in order; `Last-Event-ID` goes on where a stream broke off.

    Data are JSON: job, time, and for steps step, steps. With `previews` an event `preview` brings an image as data URI.
    """
    check_streams(here, who)
    start = after
    if start is None and last_event_id and last_event_id.isdecimal():
        start = int(last_event_id)
    if start is None:
        start = await asyncio.to_thread(here.queue.last_event)
    stream = Stream(here, who, job, min(start, 2**62), previews)
    body = sent(stream, request.is_disconnected)
    return StreamingResponse(body, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def check_streams(here: Context, who: Identity) -> None:
    """ApiError 429 for whoever follows too many streams already."""
    if here.feed.listeners(who.name) >= here.most_streams:
        words = f"you follow {here.most_streams} streams of events already: close some"
        raise ApiError(429, "rate", words, retry_after=COME_BACK)


async def sent(stream: Stream, is_gone: Gone) -> AsyncIterator[str]:
    """The text of Server-Sent Events, until nobody listens."""
    yield ": here\n\n"
    async for told in stream.messages(is_gone):
        yield ": still here\n\n" if told is None else written(told)


def written(told: Told) -> str:
    number = f"id: {told['number']}\n" if "number" in told else ""
    data = {key: value for key, value in told.items() if key not in ("event", "number")}
    return f"{number}event: {told['event']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


@router.websocket("/ws")
async def follow_socket(
    socket: WebSocket,
    job: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    previews: bool = True,
) -> None:
    """The same as messages of a WebSocket: JSON with `event`, `number` (but for previews and `here`), `job`, ..."""
    here = context(socket)
    try:
        who = await identity(socket)
        check_streams(here, who)
    except ApiError as error:
        await socket.close(POLICY_VIOLATION if error.status != 429 else TRY_AGAIN_LATER, str(error)[:120])
        return
    await socket.accept()
    start = await asyncio.to_thread(here.queue.last_event) if after is None else min(after, 2**62)
    stream = Stream(here, who, job, start, previews)
    closing = asyncio.create_task(closed(socket))

    async def is_gone() -> bool:
        return closing.done()

    try:
        await socket.send_json({"event": "here", "number": start})
        async for told in stream.messages(is_gone):
            await socket.send_json(told or {"event": "here"})
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        closing.cancel()


async def closed(socket: WebSocket) -> None:
    """Until the other side has closed; what it says before is not needed."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()
