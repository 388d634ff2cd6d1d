"""Starting the service: the workers, the routes, and who may use them."""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp, Message

from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Limits
from fromnoise.jobs.options import Options
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import SERVING, Station
from fromnoise.jobs.supervisor import Supervisor
from fromnoise.jobs.upkeep import Upkeep
from fromnoise.server.access import Access, Identity, digest, is_loopback
from fromnoise.server.accounts import Users
from fromnoise.server.app import create_app
from fromnoise.server.context import Context
from fromnoise.server.expiry import expire
from fromnoise.server.guard import LOOPBACK, Policy
from fromnoise.server.patience import configured
from fromnoise.server.strangers import keep_out
from fromnoise.settings import Settings

SHORTEST_TOKEN = 16  # characters
SWITCH = 0.001  # seconds that a thread computes before another one may; the loop waits for its turn often
M_ARENA_MAX, ARENAS = -8, 2  # of glibc's malloc: with an arena for each thread, memory grows with their number
GRACE = 2  # seconds that calls under way have once the server is stopped; those that follow events would never end


def identities(tokens: Sequence[str]) -> dict[str, Identity]:
    """Tokens of the command line or the environment by their digests, each an administrator's.

    UserError for one that could be guessed.
    """
    if any(len(token) < SHORTEST_TOKEN for token in tokens):
        raise UserError(f"a token has at least {SHORTEST_TOKEN} characters; let a program choose it")
    return {digest(token): Identity(f"token-{i}", "admin") for i, token in enumerate(tokens, 1)}


@dataclass(frozen=True)
class Service:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 7860
    tokens: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()  # further names that the server answers to
    origins: tuple[str, ...] = ()  # pages of other sites that may call it
    devices: tuple[str, ...] = ()  # a worker for each; empty: one, on the best device
    outputs: Path = Path("outputs")
    certificate: Path | None = None  # that signs every picture (C2PA), in PEM with its chain ...
    key: Path | None = None  # ... and its key
    memory: int | None = None  # bytes that the models of each device may take; None: what is free

    def check(self, *, accounts: bool = False) -> None:
        """UserError where strangers could come in; `accounts`: whether there are any."""
        if self.tokens or accounts:
            return
        if self.host_names:  # somebody forwards calls to us, and who is beyond them looks as if they sat here
            raise UserError(
                f"--host-name {self.host_names[0]} is for others, who need to say who they are: give a token with "
                "--token, or in FROMNOISE_TOKEN, or add an account with fromnoise users add"
            )
        if self.host not in LOOPBACK and not is_loopback(self.host):
            raise UserError(
                f"--host {self.host} lets other machines in, who then need to say who they are: give a token with "
                "--token, or in FROMNOISE_TOKEN, or add an account with fromnoise users add"
            )


def frugal() -> None:
    """Settings of the interpreter and of the C library for a process with many threads that each do little."""
    sys.setswitchinterval(SWITCH)
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError, OSError):  # musl has no such thing
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def serve(service: Service, settings: Settings, chinese: Callable[[], Mapping[str, str]]) -> None:
    """Serve until stopped; jobs under way are then given up, and go on with the next start.

    `chinese` tells, when a page asks, the sentences of errors and warnings, with {names} in them, and their Chinese.
    """
    frugal()
    tokens = identities(service.tokens)
    if settings.database_url is None or settings.data is None:
        raise UserError("there is no place for the database: name a folder in FROMNOISE_DATA")
    settings.data.mkdir(parents=True, exist_ok=True)
    shelved = replace(settings, any_path=False)  # clients name models, never files
    database = Database.open(settings.database_url)
    accounts = Users(database, tokens)
    service.check(accounts=accounts.any())
    options = Options.load(database)
    limits = Limits(total=options.most_jobs, per_owner=options.most_jobs_each)
    context = Context(
        Queue(database, limits),
        Access.to(accounts),
        service.outputs.absolute(),
        settings.data / "uploads",
        settings=shelved,
        most_streams=options.most_streams,
        chinese=chinese,
    )
    keep_out(context)
    context.outputs.mkdir(parents=True, exist_ok=True)
    names = [*service.host_names, *([] if service.host in ("0.0.0.0", "::") else [service.host])]
    app = create_app(context, Policy.of(names, service.origins))
    posts = stations(service, settings.database_url, context, options)

    def forget_unused() -> None:
        expire(context.uploads, database, options.upload_hours)

    signal.signal(signal.SIGTERM, leave)  # uvicorn stops first, and then sends the signal once more
    asyncio.run(warmed(app))
    gc.freeze()  # what the start has made stays
    gc.enable()
    try:
        with (
            announced(settings.data),
            Upkeep(database, shelved, options.days, traces=context.traces, also=forget_unused),
            Supervisor(posts),
        ):
            uvicorn.Server(configured(app, service.host, service.port, grace=GRACE)).run()
    finally:
        context.clerk.close()
        context.porter.close()


def leave(*_: object) -> NoReturn:
    """A signal's handler: the process ends by itself, so that workers may end their steps."""
    raise SystemExit(0)


async def warmed(app: ASGIApp) -> None:
    """Answer a first call: FastAPI makes most of what its routes need when it looks for the first one."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None:
        return

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/healthz", "raw_path": b"/healthz",
             "root_path": "", "scheme": "http", "query_string": b"", "headers": [(b"host", b"localhost")],
             "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0)}  # fmt: skip
    await app(scope, receive, send)


@contextmanager
def announced(data: Path) -> Iterator[None]:
    """While it lasts, a file in the folder of data says that a service is at work there: for the command line."""
    note = data / SERVING
    write_whole(note, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def stations(service: Service, database: str, context: Context, options: Options) -> list[Station]:
    """One for each device."""
    devices: Sequence[str | None] = service.devices or (None,)
    kept = context.uploads.parent / "kept"
    return [
        Station(
            database, context.outputs, kept, device, memory=service.memory, thumbs=context.thumbs,
            traces=context.traces.folder, settings=context.settings,
            pattern=options.pattern, together=options.together, max_batch=options.max_batch,
            preview_every=options.preview_every, keep_every=options.keep_every, grace=options.grace,
            nice=options.nice, deaths=options.deaths, watermark=options.watermark,
            certificate=service.certificate, key=service.key,
        )
        for device in devices
    ]  # fmt: skip
