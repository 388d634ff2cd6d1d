"""Starting the service: the workers, the routes, and who may use them."""

import gc
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

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
from fromnoise.server.guard import LOOPBACK, Policy
from fromnoise.server.patience import configured
from fromnoise.settings import Settings

SHORTEST_TOKEN = 16  # characters
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


def serve(service: Service, settings: Settings) -> None:
    """Serve until stopped; jobs under way are then given up, and go on with the next start."""
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
    )
    context.outputs.mkdir(parents=True, exist_ok=True)
    names = [*service.host_names, *([] if service.host in ("0.0.0.0", "::") else [service.host])]
    app = create_app(context, Policy.of(names, service.origins))
    posts = stations(service, settings.database_url, context, options)
    gc.freeze()  # what the start has made stays
    gc.enable()
    try:
        with (
            announced(settings.data),
            Upkeep(database, shelved, options.days, traces=context.traces),
            Supervisor(posts),
        ):
            uvicorn.Server(configured(app, service.host, service.port, grace=GRACE)).run()
    finally:
        context.clerk.close()
        context.porter.close()


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
            deaths=options.deaths, watermark=options.watermark, certificate=service.certificate, key=service.key,
        )
        for device in devices
    ]  # fmt: skip
