"""How far a command has come, on stderr: a bar on a terminal, a few plain lines elsewhere."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fromnoise.cli.leash import LEASH
from fromnoise.cli.messages import say

Report = Callable[[int, int], None]  # (steps done, steps in all)

PLAIN_LINES = 4  # for a whole run
TELL_EVERY = 0.2  # seconds
MOST_STEPS = 1_000_000


def note(line: str, quiet: bool = False) -> None:
    """A line for people, beside the results on stdout."""
    if not quiet:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Call the result after every step."""
    if os.environ.get(LEASH):
        yield Followed()
    elif quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with bar() as report:
            yield report
    else:
        yield Lines()


@contextmanager
def bar() -> Iterator[Report]:
    """Step, time left and steps a second."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(say("step")),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None, rate="")
        began = time.perf_counter()

        def report(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total, rate=f"{per_second(done, began):.2f} it/s")

        yield report


class Lines:
    """A line at each quarter of the way."""

    def __init__(self) -> None:
        self.began, self.printed = time.perf_counter(), 0

    def __call__(self, done: int, total: int) -> None:
        quarter = done * PLAIN_LINES // total
        if quarter == self.printed:
            return
        self.printed = quarter
        rate = per_second(done, self.began)
        note(
            say(
                "step {done}/{total}, {rate:.2f} it/s, {left:.0f} s left",
                done=done,
                total=total,
                rate=rate,
                left=(total - done) / rate,
            )
        )


class Followed:
    """Lines of JSON on stdout, now and then, for the worker that has started this command."""

    def __init__(self) -> None:
        self.told = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.told < TELL_EVERY and done < total:
            return
        self.told = now
        if total > MOST_STEPS:  # bytes
            done, total = done * 1000 // total, 1000
        print(json.dumps({"step": done, "steps": total}), flush=True)


@contextmanager
def transfer(quiet: bool) -> Iterator[Report]:
    """Call the result with bytes done and bytes in all."""
    if os.environ.get(LEASH):
        yield Followed()
    elif quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with transfer_bar() as report:
            yield report
    else:
        yield Quarters()


@contextmanager
def transfer_bar() -> Iterator[Report]:
    """Bytes, speed and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


class Quarters:
    """A line of megabytes at each quarter of the way."""

    def __init__(self) -> None:
        self.printed = 0

    def __call__(self, done: int, total: int) -> None:
        quarter = done * PLAIN_LINES // max(total, 1)
        if quarter != self.printed:
            self.printed = quarter
            note(say("{done:,.1f} of {total:,.1f} MB", done=done / 1e6, total=total / 1e6))


def per_second(done: int, began: float) -> float:
    return done / max(time.perf_counter() - began, 1e-6)
