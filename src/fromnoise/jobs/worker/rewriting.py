"""Model files written anew as jobs: merged, converted, pruned. They are named by their shelves, and land on one.

{"models": ["a", "b"], "out": "mix", "method": "sum", "weights": [0.3], "loras": [{"name": "ink", "weight": 0.8}]}
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fromnoise.adapters.adapter import Strengths
from fromnoise.checkpoints.convert import Written, convert, prune
from fromnoise.checkpoints.hashes import file_hash
from fromnoise.checkpoints.merge import merge
from fromnoise.checkpoints.save import Report
from fromnoise.engine.baking import baking
from fromnoise.engine.shelves import Kind, find, home
from fromnoise.errors import UserError
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Desk, Task, task
from fromnoise.train.data.sets import checked_name

KILO = 1000  # bytes are told in such units, so that a step's number fits into every database
SHELVES: dict[str, Kind] = {  # of files that hold one part
    "unet": "diffusion_models", "vae": "vae", "clip": "text_encoders", "clip_l": "text_encoders",
    "clip_g": "text_encoders",
}  # fmt: skip
COMMON = ("dtype", "ema", "allow_unmatched", "allow_non_finite")


@task("merge")
def merge_models(body: Mapping[str, Any], desk: Desk) -> Task:
    """Models mixed by a rule, with LoRAs and an autoencoder put in."""
    loras = [
        (find("loras", str(one["name"]), desk.settings),
         Strengths(unet=float(one.get("weight", 1.0)), text=float(one.get("text_weight", one.get("weight", 1.0)))))
        for one in body.get("loras") or ()
    ]  # fmt: skip
    models = [find("checkpoints", str(name), desk.settings) for name in body["models"]]
    method = body.get("method", "sum")
    baked = baking(loras, allow_unmatched=bool(body.get("allow_unmatched"))) if loras else None

    def work(out: Path, report: Report) -> Written:
        return merge(
            models, out, method=method, weights=body.get("weights") or None, blocks=body.get("blocks"),
            vae=part(body, "vae", "vae", desk), bake=baked, to=body.get("to"), force=bool(body.get("replace")),
            report=report, hashes_kept=desk.settings.hashes, **common(body),
        )  # fmt: skip

    return (yield from written(body, desk, work))


@task("convert")
def convert_model(body: Mapping[str, Any], desk: Desk) -> Task:
    """A model in another layout or dtype, or with parts of other files."""

    def work(out: Path, report: Report) -> Written:
        return convert(
            find("checkpoints", str(body["model"]), desk.settings), out, to=body.get("to"),
            unet=part(body, "unet", "diffusion_models", desk),
            text_encoders=[find("text_encoders", str(name), desk.settings) for name in body.get("text_encoders") or ()],
            vae=part(body, "vae", "vae", desk), variant=body.get("variant"), force=bool(body.get("replace")),
            report=report, **common(body),
        )  # fmt: skip

    return (yield from written(body, desk, work))


@task("prune")
def prune_model(body: Mapping[str, Any], desk: Desk) -> Task:
    """A checkpoint without what no picture needs."""

    def work(out: Path, report: Report) -> Written:
        return prune(
            find("checkpoints", str(body["model"]), desk.settings), out, force=bool(body.get("replace")),
            report=report, **common(body),
        )  # fmt: skip

    return (yield from written(body, desk, work))


def common(body: Mapping[str, Any]) -> dict[str, Any]:
    """What all three know."""
    return {name: body[name] for name in COMMON if body.get(name) is not None}


def part(body: Mapping[str, Any], name: str, kind: Kind, desk: Desk) -> Path | None:
    return find(kind, str(body[name]), desk.settings) if body.get(name) else None


def written(body: Mapping[str, Any], desk: Desk, work: Callable[[Path, Report], Written]) -> Task:
    """The file that `work` writes, on the shelf of its kind."""
    kind = SHELVES.get(str(body.get("to")), "checkpoints")
    out = home(kind, desk.settings) / f"{checked_name(str(body['out']), 'model')}{ending(body)}"
    if out.exists() and not body.get("replace"):
        raise UserError(f"{out.name} is there already: choose another name, or ask to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)

    def run(tell: Progress) -> Written:
        return work(out, lambda done, total: tell(done // KILO, max(1, total // KILO)))

    made = yield from in_steps(run)
    whole = made.path.is_file()
    data = {
        "shelf": kind, "file": made.path.name, "name": made.path.stem if whole else made.path.name,
        "size": sum(path.stat().st_size for path in ([made.path] if whole else made.path.rglob("*")) if path.is_file()),
        "before": sum(path.stat().st_size for path in made.source.source.files),
        "left_out": list(made.left_out[:100]), "left_out_count": len(made.left_out),
    }  # fmt: skip
    return [
        Result(None, file_hash(made.path, desk.settings.hashes) if whole else None, "application/octet-stream", data)
    ]


def ending(body: Mapping[str, Any]) -> str:
    """Of the name: by the layout."""
    return {"diffusers": "", "gguf": ".gguf"}.get(str(body.get("to")), ".safetensors")
