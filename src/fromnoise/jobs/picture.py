"""A picture in the gallery, one that is to enter it, and what can be looked for. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row

from fromnoise.errors import UserError
from fromnoise.jobs.job import LOCAL

MAX_TAG = 200  # characters

Facet = Literal["model", "sampler", "album", "source", "owner"]
Mark = Literal["tag", "lora"]


@dataclass(frozen=True)
class Picture:
    """A picture in the gallery."""

    id: str
    number: int
    root: str  # the folder that `path` is below; empty for that of outputs
    path: str  # with slashes
    owner: str
    job: str | None
    created: float  # seconds since 1970
    size: int  # bytes
    sha256: str
    media: str
    width: int
    height: int
    source: str
    recipe: Mapping[str, Any] | None
    model: str
    model_hash: str
    sampler: str
    seed: str
    favourite: bool
    album: str
    parent: str | None
    deleted: float | None
    tags: tuple[str, ...] = ()
    loras: tuple[str, ...] = ()


@dataclass(frozen=True)
class New:
    """A picture that is to enter the gallery."""

    path: str
    sha256: str
    size: int
    changed: int  # ns since 1970
    width: int
    height: int
    media: str = "image/png"
    root: str = ""
    owner: str = LOCAL
    job: str | None = None
    created: float = 0.0
    source: str = "fromnoise"
    recipe: Mapping[str, Any] | None = None
    more: str = ""  # other words that it is found by
    parent: str | None = None


@dataclass(frozen=True)
class Search:
    """What is looked for; everything that is said must be so."""

    words: str = ""  # in prompts, names and tags: see words.py
    owner: str | None = None
    model: str | None = None  # as in the recipe, or the beginning of its hash
    lora: str | None = None
    sampler: str | None = None
    tag: str | None = None
    album: str | None = None
    source: str | None = None
    favourite: bool | None = None
    parent: str | None = None
    job: str | None = None
    root: str | None = None
    width: tuple[int, int] | None = None  # from, to; both included
    height: tuple[int, int] | None = None
    since: float | None = None
    until: float | None = None
    deleted: bool = False  # what lies in the bin, instead of what does not


class UnknownPicture(UserError):
    """There is no such picture, or it is somebody else's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no picture {name!r}: it may have been removed")


def picture_of(row: Row[Any], marks: Mapping[tuple[int, str], list[str]]) -> Picture:
    columns = row._mapping
    own = {name: columns[name] for name in Picture.__dataclass_fields__ if name not in ("tags", "loras")}
    found = {kind: tuple(marks.get((row.number, kind), ())) for kind in ("tag", "lora")}
    return Picture(**own, tags=found["tag"], loras=found["lora"])


def named(name: str) -> str:
    """A tag or the name of an album. UserError."""
    name = " ".join(name.split())
    if not name or len(name) > MAX_TAG or not name.isprintable():
        raise UserError(f"{name[:50]!r} is no name: give 1 to {MAX_TAG} characters")
    return name
