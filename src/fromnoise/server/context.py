"""What the routes work with; one for each server."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from fromnoise.engine import shelves
from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.recipe import BUILTIN
from fromnoise.jobs.clerk import Clerk
from fromnoise.jobs.gallery import Gallery
from fromnoise.jobs.index import Index
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.traces import Traces
from fromnoise.server.access import Access, Identity
from fromnoise.server.errors import ApiError
from fromnoise.server.feed import Feed
from fromnoise.server.limits import Limiter, Rate
from fromnoise.settings import Settings

THUMBS, TRACES = "thumbs", "traces"  # beside the folder of uploads
SUBMISSIONS = Rate(600, 60.0)  # jobs of one owner
SENDINGS = Rate(600, 60.0)  # pictures that one owner sends
LEAST_FREE = 256 << 20  # bytes on the disk


@dataclass(frozen=True)
class Context:
    """The queue, who may use it, and where files lie."""

    queue: Queue
    access: Access
    outputs: Path  # where results' paths begin
    uploads: Path  # what clients sent, by the SHA-256 of its bytes
    shipped: Catalogue = field(default_factory=Catalogue.shipped)
    settings: Settings = field(default_factory=Settings)  # where models are
    options: dict[str, Any] = field(default_factory=dict)  # AUTOMATIC1111's, as its clients have set them
    submissions: Limiter = field(default_factory=lambda: Limiter(SUBMISSIONS))
    sendings: Limiter = field(default_factory=lambda: Limiter(SENDINGS))
    clerk: Clerk = field(default_factory=Clerk)
    most_streams: int = 100  # of events, of one user
    porter: Clerk = field(default_factory=Clerk)  # answers at the addresses of extensions
    chinese: Callable[[], Mapping[str, str]] = dict  # of the sentences that are told, with {names} in them

    @property
    def catalogue(self) -> Catalogue:
        """What can be chosen, with what extensions add as workers tell it."""
        found = self.shipped
        for worker in self.queue.workers():
            more = ((worker["info"] or {}).get("extensions") or {}).get("catalogue")
            if more and (more["samplers"] or more["schedules"] or more["others"]):
                with suppress(ValueError, KeyError, TypeError):  # a worker of another version
                    found = found.with_more(Catalogue.of(more))
        return found

    @property
    def gallery(self) -> Gallery:
        return Gallery(self.queue.database, self.outputs, self.thumbs)

    @cached_property
    def feed(self) -> Feed:
        """What happens to jobs, for those who listen."""
        return Feed(self.queue)

    @property
    def index(self) -> Index:
        return Index(self.queue.database)

    @property
    def traces(self) -> Traces:
        """How pictures came about."""
        return Traces(self.uploads.parent / TRACES)

    @property
    def thumbs(self) -> Path:
        """Where small pictures are kept."""
        return self.uploads.parent / THUMBS

    @property
    def folders(self) -> tuple[str, ...]:
        """What clients learn nothing of."""
        own = (self.outputs, self.uploads.parent, *self.settings.models, self.settings.cache, self.settings.data)
        return tuple({str(form) for path in own if path is not None for form in (path.absolute(), path.resolve())})

    def check_room(self) -> None:
        """ApiError 503 where the disk is so full that what is made or sent may find no place."""
        if min(shutil.disk_usage(place).free for place in (self.outputs, self.uploads.parent)) < LEAST_FREE:
            raise ApiError(503, "disk", "the server's disk is full: make room on it", retry_after=600)

    def check_sending(self, who: Identity) -> None:
        """ApiError 429 for whoever sends too many pictures at once, 503 where there is no room for them."""
        self.check_room()
        wait = self.sendings.wait(who.name)
        if wait:
            raise ApiError(429, "rate", "too many pictures at once; come back a little later", retry_after=wait)

    def owner_of(self, who: Identity) -> str | None:
        """Whose jobs somebody sees: an administrator all, which is None."""
        return None if who.is_admin else who.name

    def models(self) -> list[str]:
        """Names of the checkpoints there are, the built-in one first."""
        return [BUILTIN, *sorted(path.stem for path in shelves.listed("checkpoints", self.settings))]

    def file(self, root: Path, relative: str) -> Path:
        """A file below a root; ApiError 404 for whatever is not there, or elsewhere."""
        with suppress(OSError, ValueError):  # names that are too long, or hold what no name may
            path = (root / relative).resolve()
            if path.is_relative_to(root.resolve()) and path.is_file():
                return path
        raise ApiError(404, "not-found", "there is no such file")


def context(connection: HTTPConnection) -> Context:
    return cast(Context, connection.app.state.context)


async def here(request: Request) -> Context:
    """The same for routes; a coroutine, as FastAPI would look it up in a thread otherwise."""
    return context(request)


async def identity(connection: HTTPConnection) -> Identity:
    """Who calls. ApiError 401."""
    access = context(connection).access
    known = access.known(connection)
    return known if known is not None else await run_in_threadpool(access.who, connection)


async def administrator(request: Request) -> Identity:
    """Who calls, and is an administrator. ApiError 403."""
    who = await identity(request)
    if not who.is_admin:
        raise ApiError(403, "forbidden", "only an administrator may do that")
    return who


Here = Annotated[Context, Depends(here)]
Who = Annotated[Identity, Depends(identity)]
Admin = Annotated[Identity, Depends(administrator)]
