"""How long the program takes from nothing: `python -m bench start`.

Starts `fromnoise --help` some times, and a process that draws a picture of 20 steps with the built-in model and saves
it; prints the medians of the time that passed and of the processors' time beside the bounds that they should keep, and
one JSON line. The exit status is 1 where a bound is not kept.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import report
from bench.devices import Device
from bench.turns import ROOT
from fromnoise.allocator import GLIBC_KEEPS_MEMORY

BOUNDS = {"help": 0.3, "picture": 6.0}  # seconds
STEPS = 20
TITLE = "start: from nothing"


@dataclass(frozen=True)
class Took:
    """One process, from its start to its end."""

    seconds: float
    busy: float  # seconds of all processors


def started(arguments: Sequence[str], data: Path) -> Took:
    """`fromnoise` with `arguments`, on a data folder of its own. Raises CalledProcessError."""
    environment = {**os.environ, **GLIBC_KEEPS_MEMORY, "FROMNOISE_DATA": str(data), "PYTHONPATH": str(ROOT / "src")}
    busy, began = spent(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fromnoise", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    return Took(time.perf_counter() - began, spent() - busy)


def spent() -> float:
    """Seconds of processors that this process's children took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measured(rounds: int, steps: int) -> dict[str, list[Took]]:
    """`rounds` of each in turns, after one that warms up the page cache."""
    with tempfile.TemporaryDirectory(prefix="fromnoise-bench-") as folder:
        data = Path(folder)
        drawing = [
            "a red apple",
            "--local",
            "--quiet",
            "--seed",
            "1",
            "--steps",
            str(steps),
            "--out",
            str(data / "a.png"),
        ]
        took: dict[str, list[Took]] = {"help": [], "picture": []}
        for turn in range(rounds + 1):
            for name, arguments in (("help", ["--help"]), ("picture", drawing)):
                one = started(arguments, data)
                if turn:
                    took[name].append(one)
    return took


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the picture; the bound is for 20")
    parser.add_argument("--keep", action="store_true", help="write the record into bench/results.jsonl and RESULTS.md")
    options = parser.parse_args(words)
    took = measured(options.rounds, options.steps)
    line: dict[str, Any] = {
        "bench": "start",
        "job": {"rounds": options.rounds, "steps": options.steps},
        "machine": Device().machine,
        "date": time.strftime("%Y-%m-%d"),
        **{name: median(one.seconds for one in runs) for name, runs in took.items()},
        "busy": {name: median(one.busy for one in runs) for name, runs in took.items()},
    }
    print(table(line))
    print(json.dumps(line))
    if options.keep:
        report.keep(line)
    return int(any(line[name] > bound for name, bound in BOUNDS.items()))


def table(line: Mapping[str, Any]) -> str:
    """A record as Markdown."""
    rows = ["| from nothing to the end | median | of processors | bound |", "|---|---:|---:|---:|"]
    for name, what in (
        ("help", "fromnoise --help"),
        ("picture", f"the built-in model, {line['job']['steps']} steps, to the saved PNG"),
    ):
        rows.append(f"| {what} | {line[name]:.2f} s | {line['busy'][name]:.2f} s | {BOUNDS[name]:.1f} s |")
    return "\n".join(rows)


def command(line: Mapping[str, Any]) -> str:
    """What makes such a record, after `python -m bench`."""
    job = line["job"]
    return f"start --rounds {job['rounds']}" + (f" --steps {job['steps']}" if job["steps"] != STEPS else "")
