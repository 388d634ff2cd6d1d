"""Model files that are removed go to a bin beside them, from which they can be taken back. Needs no torch."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fromnoise.engine.companions import beside, stem_of
from fromnoise.engine.shelves import WEIGHTS

BIN = ".bin"  # below the folder of a model file: dot folders are no shelves


def belongings(path: Path) -> list[Path]:
    """A model file with its notes and previews, unless another file has the same ones."""
    return [path, *(() if shared(path) else beside(path))]


def put_away(files: Sequence[Path]) -> Path:
    """Move files into a bin beside the first of them; where they are then. OSError."""
    bin_ = files[0].parent / BIN / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    bin_.mkdir(parents=True)
    for file in files:
        file.rename(bin_ / file.name)
    return bin_


def shared(path: Path) -> bool:
    """Whether another model file has the same companions."""
    alike = (p for p in path.parent.glob("*") if p != path and p.suffix.lower() in WEIGHTS)
    return any(stem_of(other) == stem_of(path) for other in alike)
