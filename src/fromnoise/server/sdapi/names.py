"""Model files as AUTOMATIC1111 names them: "ink.safetensors [6ce0161689]", and without any path of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from fromnoise.engine import shelves
from fromnoise.engine.recipe import BUILTIN
from fromnoise.engine.shelves import Kind
from fromnoise.errors import UserError
from fromnoise.jobs.index import Digests, Index
from fromnoise.server.context import Context

SHORT = 10  # digits of a hash in a title
SAME = ("", "None", "none", "Use same checkpoint")


@dataclass(frozen=True)
class Known:
    """A model file, or the built-in model."""

    name: str  # what recipes call it
    filename: str  # below its shelf
    sha256: str | None = None

    @property
    def title(self) -> str:
        return f"{self.filename} [{self.sha256[:SHORT]}]" if self.sha256 else self.filename

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def known_as(self) -> tuple[str, ...]:
        digests = (self.sha256, self.sha256[:SHORT], self.sha256[:8]) if self.sha256 else ()
        return (self.title, self.name, self.filename, self.short, self.filename.rpartition("/")[2], *digests)


def files_of(kind: Kind, here: Context) -> list[Known]:
    """The files of a kind; those of checkpoints begin with the built-in model."""
    digests = digests_of(kind, here)
    found = [
        Known(item.stem, item.name, digest.sha256 if (digest := digests.get(item.name)) else None)
        for item in shelves.items(kind, here.settings)
    ]
    return [Known(BUILTIN, BUILTIN), *found] if kind == "checkpoints" else found


def digests_of(kind: Kind, here: Context) -> Mapping[str, Digests]:
    """Hashes that the index knows already; nothing is read for it."""
    try:
        return {
            entry.name: entry.digests
            for entry in Index(here.queue.database).entries(here.settings, kind)
            if entry.digests
        }
    except SQLAlchemyError:
        return {}


def checkpoint(given: object, here: Context) -> str:
    """What recipes call the checkpoint of a title, name, file name or hash. UserError where there is none."""
    text = str(given or "").strip()
    if text in SAME:
        return BUILTIN
    there = files_of("checkpoints", here)
    plain = text.partition(" [")[0].strip()
    for fold in (str, str.lower):
        for wanted in (text, plain):
            for known in there:
                if fold(wanted) in map(fold, known.known_as):
                    return known.name
    raise UserError(f"Unknown checkpoint: {text[:200]}")
