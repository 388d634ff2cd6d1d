"""Pictures that were sent and never used are forgotten: those that no job and no picture of the gallery names."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Text, cast, select

from fromnoise.jobs.database import Database
from fromnoise.jobs.tables import JOBS, PICTURES

HOUR = 3600.0
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
TOGETHER = 500  # rows that are read at once


def expire(folder: Path, database: Database, hours: float, now: float | None = None) -> list[str]:
    """Remove what was sent, and used last, so long ago, unless something names it; the SHA-256s of what is gone.

    What is named is not looked at again for as long.
    """
    before = (time.time() if now is None else now) - hours * HOUR
    old = {path.stem: path for path in older(folder, "??/*.png", before)}
    used = named(database) & old.keys() if old else set()
    for digest in used:
        with suppress(OSError):
            os.utime(old[digest])
    gone = sorted(old.keys() - used)
    for digest in gone:
        old[digest].unlink(missing_ok=True)
    for note in [*older(folder, "sent/*.json", before), *older(folder, ".sent-*.part", before)]:
        note.unlink(missing_ok=True)  # where the picture is still there, it is taken again as if it were new
    return gone


def older(folder: Path, pattern: str, before: float) -> Iterator[Path]:
    for path in folder.glob(pattern):
        with suppress(OSError):
            if path.stat().st_mtime < before:
                yield path


def named(database: Database) -> set[str]:
    """All SHA-256s in jobs, and in the recipes of pictures."""
    found: set[str] = set()
    with database.reading() as connection:
        for column in (JOBS.c.body, PICTURES.c.recipe):
            text = cast(column, Text)
            rows = connection.execute(select(text).where(text.contains('"sha256"'))).yield_per(TOGETHER)
            for body in rows.scalars():
                found.update(DIGEST.findall(body))
    return found
