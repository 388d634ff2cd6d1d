"""The gallery: every picture that was made here or taken in, with its recipe, to be found again.

    gallery = Gallery(database, outputs=Path("outputs"))
    gallery.search(Search(words="red apple", model="dream", favourite=True))
    gallery.delete([picture.id])  # to a bin; `restore` brings it back

Files stay ordinary files where they are; the gallery knows of them. A picture enters it in the same transaction that
says that its job is done. Methods that name a picture take an `owner`; somebody else's picture is then no picture.
Needs no torch.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update

from fromnoise.errors import FileError
from fromnoise.jobs import thumbnails, words
from fromnoise.jobs.database import Database
from fromnoise.jobs.entering import enter, mark, prose
from fromnoise.jobs.picture import Facet, Mark, New, Picture, Search, UnknownPicture, named, picture_of
from fromnoise.jobs.tables import MARKS, PICTURES, PREVIEWS

BIN = ".bin"  # below a root: dot folders are not looked into


@dataclass(frozen=True)
class Gallery:
    """The tables `pictures` and `marks`, and the files."""

    database: Database
    outputs: Path
    thumbs: Path | None = None  # where small pictures are kept
    clock: Callable[[], float] = field(default=time.time)

    # looking

    def search(self, wanted: Search, *, before: int | None = None, limit: int = 100) -> list[Picture]:
        """Pictures, the newest first; `before` is the number of the last one of the page that was seen before."""
        query = self._matching(select(PICTURES), wanted).order_by(PICTURES.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(PICTURES.c.number < before)
        with self.database.reading() as connection:
            return self._pictures(connection, query)

    def count(self, wanted: Search) -> int:
        """How many there are."""
        query = self._matching(select(func.count()).select_from(PICTURES), wanted)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def facet(self, name: Facet, wanted: Search) -> dict[str, int]:
        """How many pictures there are of each model, sampler, album, source or owner, the most first."""
        column = PICTURES.c[name]
        query = self._matching(select(column, func.count()).group_by(column), wanted).where(column != "")
        with self.database.reading() as connection:
            return dict(connection.execute(query.order_by(func.count().desc(), column)).all())

    def marks(self, kind: Mark, wanted: Search) -> dict[str, int]:
        """How many pictures have each tag, or each LoRA, the most first."""
        query = select(MARKS.c.name, func.count()).join(PICTURES, PICTURES.c.number == MARKS.c.picture)
        query = self._matching(query.where(MARKS.c.kind == kind).group_by(MARKS.c.name), wanted)
        with self.database.reading() as connection:
            return dict(connection.execute(query.order_by(func.count().desc(), MARKS.c.name)).all())

    def get(self, picture: str, owner: str | None = None) -> Picture:
        """UnknownPicture."""
        with self.database.reading() as connection:
            return self._one(connection, picture, owner)

    def with_content(self, sha256: str, owner: str | None = None) -> Picture | None:
        """A picture whose file has that SHA-256, if there is one."""
        query = select(PICTURES).where(PICTURES.c.sha256 == sha256, PICTURES.c.deleted.is_(None)).limit(1)
        with self.database.reading() as connection:
            found = self._pictures(connection, query if owner is None else query.where(PICTURES.c.owner == owner))
        return found[0] if found else None

    def check(self, pictures: Collection[str], owner: str | None = None) -> None:
        """UnknownPicture where one is not there."""
        with self.database.reading() as connection:
            self._all(connection, pictures, owner)

    def of_job(self, job: str) -> list[Picture]:
        """The pictures that a job made."""
        return self.search(Search(job=job))

    def family(self, picture: str, owner: str | None = None) -> list[Picture]:
        """The pictures that one was made from, the first of them first; itself; those that were made from it."""
        with self.database.reading() as connection:
            one = self._one(connection, picture, owner)
            line, seen = [one], {one.id}
            while (parent := line[0].parent) is not None and parent not in seen:
                above = self._pictures(connection, select(PICTURES).where(PICTURES.c.id == parent))
                if not above or owner not in (None, above[0].owner):
                    break
                seen.add(parent)
                line.insert(0, above[0])
            below, newest = [], [one.id]
            while newest:
                query = select(PICTURES).where(PICTURES.c.parent.in_(newest)).order_by(PICTURES.c.number)
                found = self._pictures(connection, query)
                children = [child for child in found if child.id not in seen and owner in (None, child.owner)]
                seen |= {child.id for child in children}
                below += children
                newest = [child.id for child in children]
        return line + below

    def file(self, picture: Picture) -> Path:
        """Where a picture is. FileError where it is gone, or its place leads out of its root."""
        root = self._root(picture)
        path = root / self._place(picture)
        if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
            raise FileError(f"the picture {picture.path} is not there any more")
        return path

    def _root(self, picture: Picture) -> Path:
        return Path(picture.root) if picture.root else self.outputs

    def _place(self, picture: Picture) -> PurePosixPath:
        if picture.deleted is None:
            return PurePosixPath(picture.path)
        return PurePosixPath(BIN) / f"{picture.id}{PurePosixPath(picture.path).suffix}"

    # changing

    def set_favourite(self, pictures: Collection[str], favourite: bool, owner: str | None = None) -> None:
        """UnknownPicture."""
        self._set(pictures, owner, favourite=favourite)

    def set_album(self, pictures: Collection[str], album: str, owner: str | None = None) -> None:
        """Put pictures into an album, or with an empty name into none. UnknownPicture."""
        self._set(pictures, owner, album=named(album) if album else "")

    def tag(self, pictures: Collection[str], tags: Collection[str], owner: str | None = None) -> None:
        """Add tags. UnknownPicture."""
        wanted = {named(tag) for tag in tags}
        with self.database.writing() as connection:
            for one in self._all(connection, pictures, owner):
                mark(connection, one.number, "tag", wanted - set(one.tags))
                self._store_words(connection, one.number)

    def untag(self, pictures: Collection[str], tags: Collection[str], owner: str | None = None) -> None:
        """Remove tags. UnknownPicture."""
        with self.database.writing() as connection:
            for one in self._all(connection, pictures, owner):
                gone = (MARKS.c.picture == one.number, MARKS.c.kind == "tag", MARKS.c.name.in_(list(tags)))
                connection.execute(delete(MARKS).where(*gone))
                self._store_words(connection, one.number)

    def delete(self, pictures: Collection[str], owner: str | None = None) -> None:
        """Move pictures to the bin. UnknownPicture, FileError."""
        self._move(pictures, owner, self.clock())

    def restore(self, pictures: Collection[str], owner: str | None = None) -> None:
        """Move pictures back from the bin. UnknownPicture, FileError."""
        self._move(pictures, owner, None)

    def _move(self, pictures: Collection[str], owner: str | None, deleted: float | None) -> None:
        with self.database.reading() as connection:
            found = self._all(connection, pictures, owner)
        for one in found:
            if (one.deleted is None) == (deleted is None):
                continue
            root, there = self._root(one), replace(one, deleted=deleted)
            with self.database.writing() as connection:
                connection.execute(update(PICTURES).where(PICTURES.c.number == one.number).values(deleted=deleted))
                move(root / self._place(one), root / self._place(there))

    def empty_bin(self, before: float, owner: str | None = None) -> list[Picture]:
        """Delete for good what lies in the bin since before a time, with all that shows it; what that was."""
        query = select(PICTURES).where(PICTURES.c.deleted < before)
        with self.database.writing() as connection:
            gone = self._pictures(connection, query if owner is None else query.where(PICTURES.c.owner == owner))
            for one in gone:
                (self._root(one) / self._place(one)).unlink(missing_ok=True)
            self._forget(connection, gone)
        return gone

    def forget_missing(self, root: str = "") -> int:
        """Forget pictures whose files somebody has taken away; how many."""
        place = Path(root) if root else self.outputs
        with self.database.reading() as connection:
            query = select(PICTURES).where(PICTURES.c.root == root)
            gone = [p for p in self._pictures(connection, query) if not (place / self._place(p)).is_file()]
        with self.database.writing() as connection:
            self._forget(connection, gone)
        return len(gone)

    # entering

    def add(self, pictures: Iterable[New]) -> int:
        """Take in pictures; one that is known by its place is known anew. How many were new."""
        with self.database.writing() as connection:
            return sum([enter(connection, picture, sqlite=self.database.is_sqlite) for picture in pictures])

    def known(self, root: str) -> dict[str, tuple[int, int]]:
        """Size and time of change of the pictures below a root, by path."""
        query = select(PICTURES.c.path, PICTURES.c.size, PICTURES.c.changed).where(PICTURES.c.root == root)
        with self.database.reading() as connection:
            return {path: (size, changed) for path, size, changed in connection.execute(query)}

    # within

    def _matching(self, query: Select[Any], wanted: Search) -> Select[Any]:
        columns = PICTURES.c
        query = query.where(columns.deleted.is_not(None) if wanted.deleted else columns.deleted.is_(None))
        for name in ("owner", "sampler", "album", "source", "favourite", "parent", "job", "root"):
            if getattr(wanted, name) is not None:
                query = query.where(columns[name] == getattr(wanted, name))
        if wanted.model is not None:
            alike = columns.model_hash.startswith(wanted.model.lower(), autoescape=True)
            is_hash = len(wanted.model) >= 8 and set(wanted.model.lower()) <= set("0123456789abcdef")
            query = query.where((columns.model == wanted.model) | (alike & (columns.model_hash != "") & is_hash))
        for kind, marked_as in (("tag", wanted.tag), ("lora", wanted.lora)):
            if marked_as is not None:
                marked = select(MARKS.c.picture).where(MARKS.c.kind == kind, MARKS.c.name == marked_as)
                query = query.where(columns.number.in_(marked))
        for name, span in (("width", wanted.width), ("height", wanted.height)):
            if span is not None:
                query = query.where(columns[name].between(*span))
        if wanted.since is not None:
            query = query.where(columns.created >= wanted.since)
        if wanted.until is not None:
            query = query.where(columns.created < wanted.until)
        found = words.matching(wanted.words, sqlite=self.database.is_sqlite)
        return query if found is None else query.where(found)

    def _one(self, connection: Connection, picture: str, owner: str | None) -> Picture:
        return self._all(connection, [picture], owner)[0]

    def _all(self, connection: Connection, pictures: Collection[str], owner: str | None) -> list[Picture]:
        """UnknownPicture where one is not there."""
        if any("\0" in name for name in pictures):
            raise UnknownPicture(next(name for name in pictures if "\0" in name))
        found = self._pictures(connection, select(PICTURES).where(PICTURES.c.id.in_(list(pictures))))
        missing = set(pictures) - {one.id for one in found if owner in (None, one.owner)}
        if missing:
            raise UnknownPicture(min(missing))
        return found

    def _pictures(self, connection: Connection, query: Select[Any]) -> list[Picture]:
        rows = connection.execute(query).all()
        numbers = [row.number for row in rows]
        marks: dict[tuple[int, str], list[str]] = {}
        found = select(MARKS).where(MARKS.c.picture.in_(numbers)).order_by(MARKS.c.name)
        for row in connection.execute(found) if numbers else ():
            marks.setdefault((row.picture, row.kind), []).append(row.name)
        return [picture_of(row, marks) for row in rows]

    def _set(self, pictures: Collection[str], owner: str | None, **values: Any) -> None:
        with self.database.writing() as connection:
            numbers = [one.number for one in self._all(connection, pictures, owner)]
            connection.execute(update(PICTURES).where(PICTURES.c.number.in_(numbers)).values(**values))

    def _store_words(self, connection: Connection, number: int) -> None:
        (one,) = self._pictures(connection, select(PICTURES).where(PICTURES.c.number == number))
        words.store(connection, number, prose(one.recipe, one.path, one.tags), sqlite=self.database.is_sqlite)

    def _forget(self, connection: Connection, gone: Collection[Picture]) -> None:
        numbers, digests = [one.number for one in gone], {one.sha256 for one in gone}
        words.forget(connection, numbers, sqlite=self.database.is_sqlite)
        connection.execute(delete(PICTURES).where(PICTURES.c.number.in_(numbers)))
        connection.execute(delete(PREVIEWS).where(PREVIEWS.c.job.in_([one.job for one in gone if one.job])))
        if self.thumbs is not None:
            others = select(PICTURES.c.sha256).where(PICTURES.c.sha256.in_(digests))
            for digest in digests - set(connection.execute(others).scalars()):
                thumbnails.place(self.thumbs, digest).unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Move a file, never over another. FileError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise FileError(f"{target.name} is there already: move it out of the way")
        os.rename(path, target)
    except FileNotFoundError:
        return  # somebody has taken it away; the gallery knows, in `forget_missing`
    except OSError as error:
        raise FileError(f"{path.name} can't be moved ({error.strerror})") from error
