"""What a run began with: it goes on with nothing else."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fromnoise.checkpoints.files import read
from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import UserError
from fromnoise.train.data.batches import Pool

ORIGIN = "origin.json"


def origin_of(method: str, model: str, pools: Sequence[Pool]) -> dict[str, str]:
    """Of a method, a model by its hash, and pictures by name, size and caption."""
    items = sorted({
        (item.example.path.name, item.example.path.stat().st_size, item.example.caption, item.example.regular)
        for pool in pools for item in (*pool.items, *pool.held_out)
    })  # fmt: skip
    return {"method": method, "model": model, "pictures": hashlib.sha256(repr(items).encode()).hexdigest()}


def check_origin(folder: Path, state: Path, origin: Mapping[str, str]) -> None:
    """UserError where a state is there that began with something else; noted, where none is."""
    path = folder / ORIGIN
    if state.exists():
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if other := [name for name, value in origin.items() if before.get(name, value) != value]:
            raise UserError(
                f"{folder} holds a run that began with other {', '.join(other)}: give another --name or --folder, "
                f"or go on from it under another name with --resume {folder}"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(dict(origin), indent=1).encode())


def steps_done(state: Path) -> int:
    """Of the run that left a state; 0 where there is none."""
    return int(read(state).metadata.get("step", 0)) if state.exists() else 0
