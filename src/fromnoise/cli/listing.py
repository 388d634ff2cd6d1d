"""`fromnoise samplers` and `fromnoise schedules`."""

import sys
from collections.abc import Iterable

from fromnoise.cli.messages import language, say
from fromnoise.sampling.samplers import SAMPLERS, SamplerSpec
from fromnoise.sampling.schedules import SCHEDULES, Schedule


def print_samplers() -> None:
    print_things(say("sampler"), SAMPLERS.values())


def print_schedules() -> None:
    print_things(say("schedule"), SCHEDULES.values())


def print_things(kind: str, things: Iterable[SamplerSpec | Schedule]) -> None:
    """A table on a terminal, elsewhere tab-separated lines without a heading, for scripts."""
    rows = [(thing.name, thing.label, thing.good_for_zh if language() == "zh" else thing.good_for) for thing in things]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(kind, say("label"), say("good for"), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
