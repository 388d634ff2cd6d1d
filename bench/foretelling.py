"""What `fromnoise doctor` says beforehand, beside what a picture then takes: `python -m bench doctor`.

    python -m bench doctor --models sd15,sdxl --dtypes bfloat16,float32 --steps 2

Each picture is made in a process of its own from a file of random float16 weights. The pieces that the prediction rests
on are timed before and after it, so that a busy moment of the machine hits both.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench import report
from bench.devices import Device
from bench.turns import Entry, answer, ask, start
from bench.work import SIZES, Job
from fromnoise.cli.probes import CALLS, COSTS, measure
from fromnoise.engine.footprint import demand
from fromnoise.engine.memory import DTYPES, Placement, Plan

LABELS = {"sd15": "SD 1.5", "sdxl": "SDXL"}
BAND = 0.25  # how far off a prediction may be
MODELS, NUMBERS, STEPS = "sd15,sdxl", "bfloat16,float32", 2  # where nothing is said
TITLE = "doctor: what is foretold, and what is taken"
HEAD = (
    "| picture | seconds foretold | measured | off | memory foretold | measured | off |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)


def main(words: Sequence[str]) -> int:
    options = arguments(words)
    print(HEAD)
    pictures: list[dict[str, Any]] = []
    for model in options.models.split(","):
        for dtype in options.dtypes.split(","):
            job = Job("memory", model, dtype, options.steps)
            pictures.append({"model": model, "dtype": dtype, "steps": job.steps, **compared(job)})
            print(row(pictures[-1]), flush=True)
    line = {
        "bench": "doctor",
        "job": {"models": options.models, "dtypes": options.dtypes, "steps": options.steps},
        "machine": Device().machine,
        "date": time.strftime("%Y-%m-%d"),
        "pictures": pictures,
    }
    print(json.dumps(line))
    if options.keep:
        report.keep(line)
    return int(any(abs(one) > BAND for picture in pictures for one in off(picture).values()))


def off(picture: Mapping[str, Any]) -> dict[str, float]:
    """How far predictions are from what was measured, as shares of that."""
    return {what: picture[f"{what} foretold"] / picture[what] - 1 for what in ("seconds", "bytes")}


def row(picture: Mapping[str, Any]) -> str:
    far, side = off(picture), SIZES[picture["model"]].side
    return (
        f"| {LABELS[picture['model']]}, {side}x{side}, {picture['dtype']}, {picture['steps']} steps "
        f"| {picture['seconds foretold']:.1f} | {picture['seconds']:.1f} | {far['seconds']:+.0%} "
        f"| {picture['bytes foretold'] / 1e9:.2f} GB | {picture['bytes'] / 1e9:.2f} GB | {far['bytes']:+.0%} |"
    )


def table(line: Mapping[str, Any]) -> str:
    """A record as Markdown."""
    return "\n".join([HEAD, *map(row, line["pictures"])])


def command(line: Mapping[str, Any]) -> str:
    """What makes such a record, after `python -m bench`."""
    job = line["job"]
    words = ["doctor"]
    words += ["--models", job["models"]] if job["models"] != MODELS else []
    words += ["--dtypes", job["dtypes"]] if job["dtypes"] != NUMBERS else []
    words += ["--steps", str(job["steps"])] if job["steps"] != STEPS else []
    return " ".join(words)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=MODELS, metavar="NAMES", help=", ".join(LABELS))
    parser.add_argument("--dtypes", default=NUMBERS, metavar="NAMES")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each picture; the doctor's 20 are scaled down")
    parser.add_argument("--keep", action="store_true", help="write the record into bench/results.jsonl and RESULTS.md")
    return parser.parse_args(words)


def compared(job: Job) -> dict[str, float]:
    """Seconds of one picture and bytes of private memory, foretold and measured."""
    placement = Placement(torch.device("cpu"), DTYPES[job.dtype])
    cost = next(cost for cost in COSTS if cost.label == LABELS[job.size])
    before = measure(placement)
    seen = seen_by(job)
    after = measure(placement)
    return {
        "seconds foretold": (before.seconds(cost, job.steps) + after.seconds(cost, job.steps)) / 2,
        "seconds": seen.seconds[0],
        "bytes foretold": demand(cost.facts, placement, cost.size, cost.size).height(Plan(CALLS)),
        "bytes": seen.private,
    }


def seen_by(job: Job) -> Entry:
    """One picture in a process of its own, without the seconds of loading."""
    process = start("fromnoise", job)
    try:
        answer(process, "fromnoise")
        got = ask(process, "fromnoise")
    finally:
        process.kill()
        process.wait()
    return Entry("fromnoise", seconds=[got["seconds of the picture"]], private=int(got["private"]))
