"""Numbers against peers, in turns, on this machine: `python -m bench TASK --against diffusers,...`

    python -m bench step --model sd15 --against diffusers,diffusers-float32
    python -m bench decode --model sdxl --against diffusers --keep
    python -m bench step --device cuda --against fromnoise-graphs,diffusers,diffusers-compiled

Prints medians, ratios, the share of the measured matrix peak, memory, and one JSON line; `--keep` adds the line to
`bench/results.jsonl` and makes `bench/RESULTS.md` anew. `python -m bench.builtin` measures the built-in model,
`python -m bench serve` a server under load, `python -m bench doctor` what is foretold beside what it takes,
`python -m bench start` how long the program takes from nothing.
"""

import argparse
import json
import sys

import torch

from bench import report
from bench.contenders import CONTENDERS
from bench.devices import Device
from bench.peak import matrix_peak
from bench.turns import Failed, compete
from bench.work import ALONE, ON_DEVICES, SIZES, TASKS, Job
from fromnoise.engine.memory import DTYPES, best_device, named_device
from fromnoise.engine.sizes import parsed
from fromnoise.errors import UserError


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        from bench import serving

        return serving.main(sys.argv[2:])
    if sys.argv[1:2] == ["doctor"]:
        from bench import foretelling

        return foretelling.main(sys.argv[2:])
    if sys.argv[1:2] == ["start"]:
        from bench import starting

        return starting.main(sys.argv[2:])
    options = arguments()
    names = [options.ours, *rivals(options.task, options.against)]
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        print(f"unknown contender {unknown[0]}; there are {', '.join(CONTENDERS)}", file=sys.stderr)
        return 2
    allowed = parsed(options.memory) if options.memory else 0
    if options.model == "builtin" and options.task != "picture":
        print("the built-in model makes pictures here: python -m bench picture --model builtin", file=sys.stderr)
        return 2
    try:
        device = chosen(options.task, options.device)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    job = Job(
        options.task, options.model, options.dtype, options.steps, options.batch, allowed, device, options.threads
    )
    peak = matrix_peak(DTYPES[job.dtype], Device(device))
    try:
        entries = compete(job, names, options.rounds, lambda text: print(text, file=sys.stderr, flush=True))
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    line = report.record(job, entries, peak, Device(device).machine)
    print(report.table(line))
    print(json.dumps(line))
    if options.keep:
        report.keep(line)
    return 0


def rivals(task: str, against: str | None) -> list[str]:
    """Whom ours is compared with; where nothing is said, diffusers if it does such work."""
    if against is None:
        return [] if task in ALONE else ["diffusers"]
    return list(filter(None, against.split(",")))


def chosen(task: str, wanted: str | None) -> str:
    """The device that was asked for, or else the one that the program itself would choose.

    UserError where there is none such, or where a task is for processors.
    """
    if wanted is None:
        return str(best_device()) if task in ON_DEVICES else "cpu"
    device = named_device(wanted)
    if device.type != "cpu" and task not in ON_DEVICES:
        raise UserError(f"{task} is measured on processors; on a GPU: {', '.join(ON_DEVICES)}")
    return str(device)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument(
        "--model", choices=SIZES, default="sd15", help="with random weights; but for builtin (task picture)"
    )
    parser.add_argument("--ours", default="fromnoise", help="the mode of fromnoise that the others are compared with")
    parser.add_argument("--against", metavar="NAMES", help=", ".join(CONTENDERS) + "; by default diffusers, or nobody")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5, help="that count; one more warms up")
    parser.add_argument("--steps", type=int, default=20, help="of a whole picture")
    parser.add_argument("--batch", type=int, default=1, help="pictures side by side")
    parser.add_argument("--memory", metavar="SIZE", help="what a picture may take: 2GB (task memory, only fromnoise)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, ...; by default what the program would choose")
    parser.add_argument("--threads", type=int, default=0, help="of torch; by default its own choice")
    parser.add_argument("--keep", action="store_true", help="write the record into bench/results.jsonl and RESULTS.md")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


if __name__ == "__main__":
    sys.exit(main())
