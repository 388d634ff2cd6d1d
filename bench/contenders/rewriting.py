"""Model files made of model files: two merged, one converted to another number format, one pruned."""

import tempfile
from pathlib import Path

from bench.contenders import Work, ours
from bench.work import SIZES, Job
from fromnoise.allocator import give_back
from fromnoise.checkpoints.convert import convert
from fromnoise.checkpoints.merge import merge


def fromnoise(job: Job) -> Work:
    """What is written is removed. Two models that are merged have the same numbers, which cost as much as others."""
    path = ours.random_file(SIZES[job.size])
    folder = Path(tempfile.mkdtemp(prefix="fromnoise-bench-", dir=path.parent))
    other, out = folder / "other.safetensors", folder / "out.safetensors"

    def work() -> None:
        give_back()  # as the commands do
        other.hardlink_to(path)
        try:
            if job.task == "merge":
                merge([path, other], out, weights=[0.5])
            else:
                convert(path, out, dtype="bf16" if job.task == "convert" else None)
        finally:
            other.unlink()
            out.unlink(missing_ok=True)

    return work
