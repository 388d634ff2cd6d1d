"""Results for people and for programs: a table on the screen, a JSON line, and `bench/RESULTS.md` from all lines."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from bench.contenders import CONTENDERS
from bench.turns import Entry
from bench.work import Job

KNOWN = {"name", "median", "seconds", "ratio", "of_peak", "peak", "private", "there", "prepared"}
GOALS = {("step", "sd15"): 0.006, ("step", "sdxl"): 0.030, ("decode", "sdxl"): 0.030}  # seconds, on one H100
GOAL_OF_PEAK = 0.6  # of the matrix peak in bfloat16, SDXL's step
LINES = Path(__file__).with_name("results.jsonl")
PAGE = Path(__file__).with_name("RESULTS.md")
ALSO = {"start": "starting", "doctor": "foretelling"}  # benches with tables of their own, and where they are
GIGA = 1e9
STEPS = Job("picture").steps  # of a picture, where the command does not say
HEADING = """# Results

Made by `python -m bench`; every record is a line of `results.jsonl`. Contenders take turns in one run; the tables give
medians, and differences below 10% are not findings.
"""


def record(job: Job, entries: Sequence[Entry], peak: float, machine: str) -> dict[str, Any]:
    """Everything that was measured, as one JSON object. `peak` is the matrix peak in operations a second."""
    return {
        "bench": job.task,
        "job": asdict(job),
        "machine": machine,
        "date": time.strftime("%Y-%m-%d"),
        "matrix_peak": peak,
        "entries": [
            {
                "name": entry.name,
                "median": entry.median,
                "seconds": entry.seconds,
                "ratio": entry.median / entries[0].median,
                "of_peak": job.flops / entry.median / peak if math.isfinite(job.flops) else None,
                "peak": entry.peak,
                "private": entry.private,
                **({"there": entry.there} if entry.there else {}),
                "prepared": entry.prepared,
                **{name: median(values) for name, values in sorted(entry.notes.items())},
            }
            for entry in entries
        ],
    }


def table(line: dict[str, Any]) -> str:
    """The entries of one record, as Markdown that can be read as it is."""
    there = any(entry.get("there") for entry in line["entries"])
    columns = ["who", "median", "times the first", "of the matrix peak", "resident", "private"]
    columns += ["on the GPU"] * there + ["to prepare"]
    rows = [f"| {' | '.join(columns)} |", f"|---{'|---:' * (len(columns) - 1)}|"]
    for entry in line["entries"]:
        share = "" if entry["of_peak"] is None else f"{entry['of_peak']:.0%}"
        what = CONTENDERS[entry["name"]].what
        rows.append(
            f"| {entry['name']}: {what} | {seconds(entry['median'])} | {entry['ratio']:.2f} | "
            f"{share} | {entry['peak'] / GIGA:.2f} GB | {entry['private'] / GIGA:.2f} GB | "
            + (f"{entry.get('there', 0) / GIGA:.2f} GB | " if there else "")
            + f"{entry['prepared']:.1f} s |"
        )
    told = goals(line)
    told += [
        f"{entry['name']}: " + ", ".join(f"{name} {value:,.4g}" for name, value in entry.items() if name not in KNOWN)
        for entry in line["entries"]
        if entry.keys() - KNOWN
    ]
    return "\n".join([*rows, *(["", *told] if told else [])])


def goals(line: dict[str, Any]) -> list[str]:
    """What a GPU's figures are compared with, where there is such."""
    job = line["job"]
    goal = GOALS.get((job["task"], job["size"])) if job["batch"] == 1 else None
    if goal is None or not job.get("device", "cpu").startswith("cuda"):
        return []
    share = f", {GOAL_OF_PEAK:.0%} of the matrix peak" if (job["task"], job["size"]) == ("step", "sdxl") else ""
    return [f"wanted on one H100: {seconds(goal)}{share}"]


def title(line: dict[str, Any]) -> str:
    job = line["job"]
    extra = f", {job['batch']} pictures" if job["batch"] > 1 else ""
    extra += f", {job['steps']} steps" if job["task"] == "picture" else ""
    extra += f", on {job['device']}" if job.get("device", "cpu") != "cpu" else ""
    return f"{job['task']}: {job['size']}{extra}"


def seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def keep(line: dict[str, Any]) -> None:
    """Add a record to the file of all records, in place of an older one of the same, and make the page anew."""
    lines = [json.loads(text) for text in LINES.read_text("utf-8").splitlines()] if LINES.exists() else []
    lines = [old for old in lines if about(old) != about(line)] + [line]
    write(LINES, "".join(json.dumps(one) + "\n" for one in lines))
    write(PAGE, page(lines))


def about(line: dict[str, Any]) -> object:
    """Equal for records of the same work by the same contenders on the same machine; the older may say less of it."""
    if line["bench"] in ALSO:
        return line["bench"], line["job"], line["machine"]
    return Job(**line["job"]), line["machine"], [entry["name"] for entry in line["entries"]]


def page(lines: Sequence[dict[str, Any]]) -> str:
    """`RESULTS.md`."""
    return "\n".join([HEADING, *(section(line) for line in lines)])


def section(line: dict[str, Any]) -> str:
    if line["bench"] in ALSO:  # they know their tables
        module = import_module(f"bench.{ALSO[line['bench']]}")
        name, peak, words, rows = module.TITLE, "", module.command(line), module.table(line)
    else:
        name, words, rows = title(line), command(line), table(line)
        peak = f" matrix peak {line['matrix_peak'] / 1e12:.2f} TFLOPS in {line['job']['dtype']};"
    return f"## {name}\n\n{line['machine']}, {line['date']};{peak} `python -m bench {words}`\n\n{rows}\n"


def command(line: dict[str, Any]) -> str:
    job = line["job"]
    names = [entry["name"] for entry in line["entries"]]
    words = [
        job["task"],
        "--model",
        job["size"],
        "--against",
        ",".join(names[1:]) or '""',
        "--rounds",
        str(len(line["entries"][0]["seconds"])),
    ]
    words += ["--ours", names[0]] if names[0] != "fromnoise" else []
    words += ["--batch", str(job["batch"])] if job["batch"] > 1 else []
    words += ["--steps", str(job["steps"])] if job["task"] in ("picture", "memory") and job["steps"] != STEPS else []
    words += ["--dtype", job["dtype"]] if job["dtype"] != "bfloat16" else []
    words += ["--memory", f"{job['memory'] / 1e9:g}GB"] if job["memory"] else []
    words += ["--device", job["device"]] if job.get("device", "cpu") != "cpu" else []
    words += ["--threads", str(job["threads"])] if job.get("threads") else []
    return " ".join(words)


def write(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(text, "utf-8")
    partial.replace(path)
