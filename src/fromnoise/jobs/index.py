"""The index of model files: what is on the shelves, what each file holds, and which file has a certain hash.

    index = Index(database)
    index.refresh(settings)  # looks at names, sizes and times alone: quick
    scan.scan(index, settings)  # reads what is new; a process in the background does it for a server
    index.by_hash(settings, "6ce0161689")

What was read of a file counts while the file keeps its size and time of change. Needs no torch.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update

from fromnoise.engine.shelves import KINDS, Kind, items
from fromnoise.jobs.database import Database
from fromnoise.jobs.tables import FILES
from fromnoise.settings import Settings

HASHED = 8  # digits from which on a hash means a file

T = TypeVar("T", bound="Stored")


class Stored:
    """Frozen dataclasses that are kept as JSON; what a newer version wrote besides is left out."""

    @classmethod
    def load(cls, table: Mapping[str, Any] | None) -> Self | None:
        if table is None:
            return None
        known = {name.name for name in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k in known})

    def dump(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Facts(Stored):
    """What a file holds, from its names, shapes and metadata."""

    holds: str  # as checkpoints.describe calls it
    family: str | None = None
    task: str | None = None
    prediction: str | None = None
    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    licence: str = ""
    base: str = ""  # the model that it was trained on
    trigger_words: tuple[str, ...] = ()
    remark: str = ""
    blocks: int = 0  # of its U-Net; 0 where it has none, or where an older version read it

    def columns(self) -> dict[str, Any]:
        return {"facts": self.dump()}


@dataclass(frozen=True)
class Source(Stored):
    """Where a file was downloaded from."""

    repo: str
    file: str
    commit: str
    licences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stamp:
    """What changes when somebody writes to a file."""

    size: int  # bytes
    changed: int  # ns since 1970

    @classmethod
    def of(cls, path: Path) -> Self:
        """Of a file, or of a folder with all that is in it. OSError."""
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return cls(status.st_size, status.st_mtime_ns)
        inside = [os.stat(os.path.join(place, name)) for place, _, names in os.walk(path) for name in names]
        return cls(sum(s.st_size for s in inside), max((s.st_mtime_ns for s in inside), default=status.st_mtime_ns))


@dataclass(frozen=True)
class Digests:
    """The hashes by which other tools know a file."""

    sha256: str
    tensors: str | None = None  # of what follows a safetensors header
    old: str | None = None

    def columns(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Entry:
    """A model file on a shelf, and what is known of it."""

    kind: Kind
    name: str  # its path below the shelf
    place: Path  # as it was found
    stamp: Stamp
    digests: Digests | None = None  # None until it was read
    facts: Facts | None = None
    fault: str | None = None  # why it could not be read
    source: Source | None = None

    @property
    def was_read(self) -> bool:
        return self.facts is not None or self.fault is not None


@dataclass
class Changes:
    """What a refresh found, by path."""

    added: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Index:
    """The table `files`. What is on the shelves is told by the settings: services of different shelves may share it."""

    database: Database

    def refresh(self, settings: Settings) -> Changes:
        """Look at the shelves again. What is known of files that are there, but not on these shelves, is kept."""
        found = list(on_shelves(settings))
        stamps = {path: stamp for _, _, _, path, stamp in found}
        changes = Changes()
        with self.database.writing() as connection:
            rows = connection.execute(select(FILES.c.path, FILES.c.size, FILES.c.changed))
            known = {path: Stamp(size, changed) for path, size, changed in rows}
            for path in sorted(known.keys() - stamps.keys()):
                if os.path.exists(path):  # somebody else's shelves have it
                    continue
                connection.execute(delete(FILES).where(FILES.c.path == path))
                changes.gone.append(Path(path))
            for path, stamp in stamps.items():
                if path not in known:
                    connection.execute(insert(FILES).values(path=path, size=stamp.size, changed=stamp.changed))
                    changes.added.append(Path(path))
                elif known[path] != stamp:
                    unread = dict.fromkeys(("sha256", "tensors", "old", "facts", "fault", "source"))
                    changed = {"size": stamp.size, "changed": stamp.changed, **unread}
                    connection.execute(update(FILES).where(FILES.c.path == path).values(changed))
                    changes.changed.append(Path(path))
        return changes

    def entries(self, settings: Settings, kind: Kind | None = None) -> list[Entry]:
        """What is on the shelves, of one kind or of all; what has changed since the last refresh counts as not read."""
        with self.database.reading() as connection:
            known = {row.path: row for row in connection.execute(select(FILES))}
        return [entry(found, known.get(found.path)) for found in on_shelves(settings, kind)]

    def at(self, settings: Settings, place: Path) -> list[Entry]:
        """What is known of one file: an entry for each kind that it is shelved as."""
        return [entry for entry in self.entries(settings) if entry.place.resolve() == place.resolve()]

    def by_hash(self, settings: Settings, digits: str) -> list[Entry]:
        """The files that have a hash with these first digits (eight or more), each once, SHA-256 before others."""
        digits = digits.lower()
        if len(digits) < HASHED or not set(digits) <= set("0123456789abcdef"):
            return []
        matching = or_(*(FILES.c[name].startswith(digits) for name in ("sha256", "tensors", "old")))
        with self.database.reading() as connection:
            known = {row.path: row for row in connection.execute(select(FILES).where(matching))}
        if not known:
            return []
        shelved = [entry(found, known[found.path]) for found in on_shelves(settings) if found.path in known]
        found = [one for one in shelved if one.digests]  # the others have changed since
        found.sort(key=lambda one: not (one.digests and one.digests.sha256.startswith(digits)))
        return list({one.place.resolve(): one for one in reversed(found)}.values())[::-1]

    def unread(self) -> list[tuple[Path, Stamp]]:
        """What nobody has looked into since it changed."""
        return self._waiting(FILES.c.facts.is_(None))

    def unhashed(self) -> list[tuple[Path, Stamp]]:
        """Files that can be read and whose hashes are not known, the smallest first."""
        return [(path, stamp) for path, stamp in self._waiting(FILES.c.sha256.is_(None)) if not path.is_dir()]

    def _waiting(self, lacking: ColumnElement[bool]) -> list[tuple[Path, Stamp]]:
        query = select(FILES.c.path, FILES.c.size, FILES.c.changed).where(lacking, FILES.c.fault.is_(None))
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(FILES.c.size)).all()
        return [(Path(path), Stamp(size, changed)) for path, size, changed in rows]

    def store(self, path: Path, stamp: Stamp, found: Facts | Digests | str) -> None:
        """Keep what was found out of a file, or why it can't be read, unless the file is another by now."""
        values = {"fault": found} if isinstance(found, str) else found.columns()
        same = (FILES.c.path == str(path), FILES.c.size == stamp.size, FILES.c.changed == stamp.changed)
        with self.database.writing() as connection:
            connection.execute(update(FILES).where(*same).values(values))

    def note_source(self, path: Path, source: Source) -> None:
        """Remember where a file, which is on a shelf, comes from."""
        with self.database.writing() as connection:
            query = update(FILES).where(FILES.c.path == str(path.resolve()))
            connection.execute(query.values(source=source.dump()))


class Shelved(NamedTuple):
    """Something on a shelf."""

    kind: Kind
    name: str
    place: str  # as it was found
    path: str  # links followed
    stamp: Stamp


def on_shelves(settings: Settings, kind: Kind | None = None) -> Iterator[Shelved]:
    """Everything, or all of one kind; what goes away meanwhile is left out."""
    for one in KINDS if kind is None else (kind,):
        for item in items(one, settings):
            with suppress(OSError):
                absolute, real = str(item.path.absolute()), str(item.path.resolve())
                yield Shelved(one, item.name, absolute, real, Stamp.of(item.path))


def entry(found: Shelved, row: Row[Any] | None) -> Entry:
    """What is on a shelf, with what is known of it if it has not changed since."""
    plain = Entry(found.kind, found.name, Path(found.place), found.stamp)
    if row is None or Stamp(row.size, row.changed) != found.stamp:
        return plain
    digests = Digests(row.sha256, row.tensors, row.old) if row.sha256 else None
    return replace(plain, digests=digests, facts=Facts.load(row.facts), fault=row.fault, source=Source.load(row.source))
