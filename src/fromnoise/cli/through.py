"""Commands that a server's worker carries out, when one runs on the same folder of data, in their turn.

    app.command()(through(merge))

The worker runs the same command in a process of its own, where it was typed; what it says and prints comes back as
it is said. Ctrl-C reaches it; a second one leaves it alone.
"""

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fromnoise.cli.failures import Stopped
from fromnoise.cli.leash import LEASH
from fromnoise.cli.messages import language, say, translated
from fromnoise.cli.options import Local
from fromnoise.errors import FromnoiseError

if TYPE_CHECKING:
    from fromnoise.cli.service import Service

COST = 50.0  # beside a picture of 512x512 in 20 steps, where owners take turns
WORDS: list[str] = []  # of the command that this process runs


def through(command: Callable[..., None], *, alone: tuple[str, ...] = ()) -> Callable[..., None]:
    """`command` with the option --local; without it, and a server there, the server does it.

    Options named in `alone` say how this process would work: with one of them it does.
    """
    parameters = [*inspect.signature(command).parameters.values()]
    local = inspect.Parameter("local", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Local)

    @wraps(command)
    def either(*given: Any, local: bool = False, **named: Any) -> None:
        together = int(os.environ.get("WORLD_SIZE", "1")) > 1  # torchrun's processes would ask for one job each
        own = local or together or LEASH in os.environ or any(named.get(name) is not None for name in alone)
        service = None if own else there()
        if service is None:
            command(*given, **named)
        else:
            carried_out(service, WORDS, bool(named.get("quiet")))

    either.__signature__ = inspect.Signature([*parameters, local])  # type: ignore[attr-defined]
    either.__annotations__ = {one.name: one.annotation for one in (*parameters, local)}
    return either


def there() -> "Service | None":
    """The server, if one runs."""
    from fromnoise import settings
    from fromnoise.cli.service import running

    return running(settings.read())


def carried_out(service: "Service", words: list[str], quiet: bool) -> None:
    """Let a worker do what was typed. Exit with its status where it fails; Stopped; FromnoiseError."""
    from fromnoise import settings
    from fromnoise.cli.progress import note, progress
    from fromnoise.cli.service import happenings
    from fromnoise.jobs.job import COMMAND, NotNow, Work
    from fromnoise.jobs.signing import key_in, signature

    data = settings.read().data
    assert data is not None
    order = {"words": words, "folder": str(Path.cwd()), "language": language()}
    body = {**order, "signature": signature(order, key_in(data))}
    after = service.queue.last_event()
    [job] = service.queue.submit([Work(COMMAND, body, cost=COST)])
    note(say("a server is running and does it; --local works here"), quiet)
    told, stops = Told(quiet), 0
    while True:
        try:
            with progress(quiet) as told.report:
                for event in happenings(service, {job.id}, after):
                    after = event.number
                    if told(event):
                        break
            break
        except KeyboardInterrupt:
            stops += 1
            with suppress(NotNow):
                (service.queue.skip if stops == 1 else service.queue.cancel)(job.id)
            if stops > 1:
                raise Stopped(say("stopped")) from None
    ended = service.queue.get(job.id)
    if told.status:
        raise typer.Exit(told.status)
    if ended.state == "cancelled":
        raise Stopped(say("stopped"))
    if ended.state == "failed":
        raise (Stopped if stops else FromnoiseError)(translated(ended.error or "the job was cancelled"))


class Told:
    """Passes on what a command says and prints."""

    def __init__(self, quiet: bool) -> None:
        self.status, self.quiet = 0, quiet
        self.report: Callable[[int, int], None] = lambda done, total: None

    def __call__(self, event: Any) -> bool:
        """Whether it was the last."""
        if event.kind == "step":
            figures = event.data.get("figures", {})
            if "out" in figures:
                print(figures["out"], flush=True)
            if "said" in figures:
                print(figures["said"], file=sys.stderr, flush=True)
            self.status = int(figures.get("status", self.status))
            if event.data["steps"]:
                self.report(event.data["step"], event.data["steps"])
        return event.kind in ("done", "failed", "cancelled")
