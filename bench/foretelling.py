"""What `fromnoise doctor` says beforehand, beside what a picture then takes: `python -m bench doctor`.

    python -m bench doctor --models sd15,sdxl --dtypes bfloat16,float32 --steps 2

Each picture is made in a process of its own from a file of random float16 weights. The pieces that the prediction rests
on are timed before and after it, so that a busy moment of the machine hits both.
"""

import argparse
import json
from collections.abc import Sequence

import torch

from bench.turns import Entry, answer, ask, start
from bench.work import SIZES, Job
from fromnoise.cli.probes import CALLS, COSTS, measure
from fromnoise.engine.footprint import demand
from fromnoise.engine.memory import DTYPES, Placement, Plan

LABELS = {"sd15": "SD 1.5", "sdxl": "SDXL"}
BAND = 0.25  # how far off a prediction may be


def main(words: Sequence[str]) -> int:
    options = arguments(words)
    far = 0
    print("| picture | seconds foretold | measured | off | memory foretold | measured | off |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for model in options.models.split(","):
        for dtype in options.dtypes.split(","):
            job = Job("memory", model, dtype, options.steps)
            line = compared(job)
            off = {what: line[f"{what} foretold"] / line[what] - 1 for what in ("seconds", "bytes")}
            print(
                f"| {LABELS[model]}, {SIZES[model].side}x{SIZES[model].side}, {dtype}, {job.steps} steps "
                f"| {line['seconds foretold']:.1f} | {line['seconds']:.1f} | {off['seconds']:+.0%} "
                f"| {line['bytes foretold'] / 1e9:.2f} GB | {line['bytes'] / 1e9:.2f} GB | {off['bytes']:+.0%} |",
                flush=True,
            )
            print(json.dumps({"model": model, "dtype": dtype, "steps": job.steps, **line}), flush=True)
            far += sum(abs(one) > BAND for one in off.values())
    return 1 if far else 0


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="sd15,sdxl", metavar="NAMES", help=", ".join(LABELS))
    parser.add_argument("--dtypes", default="bfloat16,float32", metavar="NAMES")
    parser.add_argument("--steps", type=int, default=2, help="of each picture; the doctor's 20 are scaled down")
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
