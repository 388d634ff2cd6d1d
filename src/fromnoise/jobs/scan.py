"""Reads what is new on the shelves, for the index: `python -m fromnoise.jobs.scan`, a process in the background.

It needs torch to read weight files, so servers start it as a process of its own. Families and metadata come first, of
all files; then hashes, which take a second for each gigabyte.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fromnoise import settings
from fromnoise.engine.companions import text
from fromnoise.errors import FromnoiseError, without_folders
from fromnoise.jobs.child import without_secrets
from fromnoise.jobs.database import Database
from fromnoise.jobs.index import Digests, Facts, Index, Stamp
from fromnoise.settings import Settings

if TYPE_CHECKING:
    from fromnoise.checkpoints.describe import Description

T = TypeVar("T")

Report = Callable[[int, int], None]  # files done, files in all

TEXTS = (".txt", ".yaml", ".yml", ".csv")  # wildcards and styles hold no weights
QUIET = 2_000_000_000  # ns; a file that changed less than this ago may still be written
MAX_WORDS = 20  # of a LoRA's captions


def scan(index: Index, here: Settings, report: Report = lambda done, total: None, *, patient: bool = False) -> int:
    """Read all files that nobody has read; how many there were. `patient` leaves out those that were just changed."""

    def settled(files: list[tuple[Path, Stamp]]) -> list[tuple[Path, Stamp]]:
        return [(path, stamp) for path, stamp in files if not patient or time.time_ns() - stamp.changed > QUIET]

    for path, stamp in settled(index.unread()):
        index.store(path, stamp, told(path, looked_into))
    waiting = settled(index.unhashed())
    for done, (path, stamp) in enumerate(waiting):
        report(done, len(waiting))
        index.store(path, stamp, told(path, partial(digests, cache=here.hashes)))
    report(len(waiting), len(waiting))
    return len(waiting)


def told(path: Path, look: Callable[[Path], T]) -> T | str:
    """What was found out about a file, or why nothing was: without its folder, for all who see the shelves read it."""
    try:
        return look(path)
    except (FromnoiseError, OSError) as error:
        return text(without_folders(str(error), [str(path.parent)])) or "it cannot be read"


def looked_into(path: Path) -> Facts:
    """What a file holds. FileError."""
    if path.is_dir():
        return Facts("folder")
    if path.suffix.lower() in TEXTS:
        return Facts("text")
    from fromnoise.checkpoints.describe import describe

    found = describe(path)
    return facts_of(found) if found.holds != "VAE" else replace(facts_of(found), family=family_of_vae(path))


def family_of_vae(path: Path) -> str | None:
    """sd1 (which is SD 2's, too) or sdxl, by how it shows colours; None where that does not tell."""
    from fromnoise.engine.vae_family import space_in

    with suppress(FromnoiseError):  # one that lacks weights is told of when it is used
        return space_in(path)
    return None


def digests(path: Path, cache: Path | None) -> Digests:
    """The hashes of a file. FileError."""
    from fromnoise.checkpoints.hashes import file_hash, old_hash, tensors_hash

    return Digests(file_hash(path, cache), tensors_hash(path, cache), old_hash(path))


def facts_of(found: "Description") -> Facts:
    """What the index keeps of a description."""
    from fromnoise.checkpoints.merge import blocks_of

    known, metadata = found.facts, found.metadata
    return Facts(
        found.holds,
        known.family if known else None,
        known.task if known else None,
        known.prediction if known else None,
        found.parameter_count,
        tuple(found.dtypes),
        title=text(metadata.get("modelspec.title")) or text(metadata.get("ss_output_name")),
        author=text(metadata.get("modelspec.author")),
        licence=text(metadata.get("modelspec.license")),
        base=text(metadata.get("ss_base_model_version")) or text(metadata.get("modelspec.architecture")),
        trigger_words=trigger_words(metadata),
        remark=text(found.remark),
        blocks=len(blocks_of(known.unet)) if known else 0,
    )


def trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What the trainer says wakes the model; else the words that its captions have most often."""
    said = text(metadata.get("modelspec.trigger_phrase"))
    if said:
        return (said,)
    counts: Counter[str] = Counter()
    with suppress(ValueError, AttributeError, RecursionError):
        folders: dict[str, dict[str, Any]] = json.loads(metadata.get("ss_tag_frequency", "{}"))
        for tags in folders.values():
            counts.update({text(tag): n for tag, n in tags.items() if isinstance(n, int) and text(tag)})
    return tuple(word for word, _ in counts.most_common(MAX_WORDS))


def start(here: Settings) -> "subprocess.Popen[bytes]":
    """The scan as a process in the background; it ends when all is read."""
    command = [sys.executable, "-m", "fromnoise.jobs.scan"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=without_secrets() | settings.as_environment(here))


def main() -> None:
    """Bring the index up to date, with whatever time the machine has left."""
    with suppress(AttributeError, OSError):  # Windows has no such thing
        os.nice(15)
    here = settings.read()
    if here.database_url is None:
        sys.exit("there is no place for a database: set FROMNOISE_DATA")
    index = Index(Database.open(here.database_url))
    index.refresh(here)
    scan(index, here)


if __name__ == "__main__":
    main()
