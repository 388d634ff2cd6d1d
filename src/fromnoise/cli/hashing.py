"""`fromnoise hash FILE`: the numbers that name a file elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.checkpoints.hashes import Hashes, hashes


def report(files: Sequence[Path]) -> str:
    """A block of lines for each file: kind of hash, tab, hash."""
    cache = settings.read().hashes
    blocks = [[f"{path}:", *(f"{kind}\t{digest}" for kind, digest in rows(hashes(path, cache)))] for path in files]
    return "\n\n".join("\n".join(block if len(files) > 1 else block[1:]) for block in blocks)


def rows(found: Hashes) -> list[tuple[str, str]]:
    """Kind of hash, by the names that people know, and digest."""
    kinds = [("sha256", found.sha256), ("model hash", found.short), ("old hash", found.old)]
    if found.tensors:
        kinds += [("AutoV3", found.tensors[:12]), ("sshs_model_hash", found.tensors)]
    return [*kinds, ("sshs_legacy_hash", found.legacy)] if found.legacy else kinds
