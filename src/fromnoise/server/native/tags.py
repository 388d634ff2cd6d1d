"""Lists of tags that the studio completes prompts with: `tags/*.csv` in the folder of data and in those of models."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from fromnoise.engine.shelves import installation, models_folder
from fromnoise.errors import FileError, without_folders
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.parts import new_part
from fromnoise.settings import Settings
from fromnoise.text.tag_lists import MAX_ALL, MAX_TAGS, Category, TagFile, TagList, complete, read, ready

FOLDER = "tags"
EXTENSION = "*tag*complete*/tags"  # in an installation of AUTOMATIC1111, among its extensions
MAIN = "danbooru"  # of the extension's lists the one that counts unless another is chosen
MOST_FILES = 32
LOG = logging.getLogger("fromnoise.server")

router = new_part("/tags")


class TagListView(BaseModel):
    """A list of tags."""

    name: str
    tags: int
    usual: bool = Field(description="Whether prompts are completed with it where no list is named.")
    translation: bool = Field(description="Whether it is no list of its own, but tells what tags of others mean.")
    remarks: list[str] = Field(description="What is odd about its file.")


class TagView(BaseModel):
    """A tag that words may become."""

    name: str
    category: Category
    count: int = Field(description="Of pictures; 0 where that is not known.")
    note: str = Field(description="What its list says in place of a count.")
    alias: str = Field(description="By which it was found, if not by its name.")
    meaning: str = Field(description="In Chinese, where that is known.")


class CompletionView(BaseModel):
    """What the words before a cursor may become."""

    typed: str = Field(description="The words that these tags would replace: all of them, or only the last.")
    tags: list[TagView]


@dataclass(frozen=True)
class Lists:
    """What lies in the folders."""

    lists: tuple[TagList, ...]
    views: tuple[TagListView, ...]

    def chosen(self, name: str) -> list[TagList]:
        """The list of that name, or the usual ones."""
        wanted = [view.name for view in self.views if (view.name == name if name else view.usual)]
        return [one for one in self.lists if one.name in wanted]


Stamp = tuple[Path, int, int]  # size in bytes, ns since 1970
KNOWN: dict[tuple[tuple[Stamp, ...], tuple[Stamp, ...]], Lists] = {}  # the newest
READING = Lock()


@router.get("")
def list_tag_lists(here: Here, who: Who) -> list[TagListView]:
    """The lists there are, with what is odd about their files."""
    return list(lists_of(here).views)


@router.get("/complete")
def complete_tags(
    here: Here,
    who: Who,
    words: Annotated[str, Query(max_length=500, description="What stands before the cursor, from the last comma on.")],
    of: Annotated[str, Query(max_length=300, description="The name of a list; the usual ones if it is empty.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> CompletionView:
    """Tags that words may become: first those that begin with them, then those that have them; each by its pictures."""
    chosen = lists_of(here).chosen(of)
    if of and not chosen:
        raise ApiError(404, "not-found", f"there is no list of tags {of!r}")
    typed, found = complete(chosen, words.lstrip(), limit)
    views = [TagView(name=tag.name, category=tag.category, count=tag.pictures, note=tag.note, alias=tag.alias,
                     meaning=tag.meaning) for tag in found]  # fmt: skip
    return CompletionView(typed=typed, tags=views)


def lists_of(here: Context) -> Lists:
    """What lies in the folders now; it is read once, and again when a file changes."""
    own, theirs = tuple(files(own_folders(here.settings))), tuple(files(extensions(here.settings)))
    with READING:
        known = KNOWN.get((own, theirs))
        if known is None:
            KNOWN.clear()
            known = KNOWN[own, theirs] = loaded([path for path, *_ in own], [path for path, *_ in theirs])
        return known


def own_folders(settings: Settings) -> Iterator[Path]:
    if settings.data is not None:
        yield settings.data / FOLDER
    yield from (models_folder(tree) / FOLDER for tree in trees(settings))


def extensions(settings: Settings) -> Iterator[Path]:
    """The folders of AUTOMATIC1111's extension."""
    for tree in trees(settings):
        yield from sorted((installation(tree) / "extensions").glob(EXTENSION))


def trees(settings: Settings) -> list[Path]:
    return [tree for tree in settings.models if tree.suffix.lower() not in (".yaml", ".yml")]


def files(folders: Iterable[Path]) -> Iterator[Stamp]:
    """Of files with the same name the first."""
    found: dict[str, Stamp] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.csv")):
            with suppress(OSError):  # it went away meanwhile
                status = path.stat()
                if S_ISREG(status.st_mode) and len(found) < MOST_FILES:
                    found.setdefault(path.stem, (path, status.st_size, status.st_mtime_ns))
    yield from found.values()


def loaded(own: list[Path], theirs: list[Path]) -> Lists:
    """Files as lists; what is odd about one is told to whoever looks after the server, too: once."""
    mine = {path.stem for path in own}
    found: dict[str, TagFile] = {}
    remarks: dict[str, list[str]] = {}
    room = MAX_ALL
    for path in [*own, *(path for path in theirs if path.stem not in mine)]:
        try:
            file = read(path, min(room, MAX_TAGS))
        except FileError as error:
            file = TagFile(path.stem, [])
            remarks[path.stem] = [without_folders(str(error), [str(path.parent)])]
        else:
            remarks[path.stem] = oddities(file)
        room -= len(file.lines)
        found[path.stem] = file
        for remark in remarks[path.stem]:
            LOG.warning("%s", remark)
    lists = ready(list(found.values()))
    known = [one.name for one in lists]
    used = usual([name for name in known if found[name].lines], mine)
    return Lists(
        tuple(lists),
        tuple(TagListView(name=name, tags=len(file.lines), usual=name in used, translation=name not in known,
                          remarks=remarks[name]) for name, file in found.items()),
    )  # fmt: skip


def oddities(file: TagFile) -> list[str]:
    """What its reader should know of a file, in sentences."""
    name, said = f"{file.name}.csv", []
    if file.skipped:
        wanted = 'a line is name,category,count,"aliases"'
        said.append(f"{name}: {file.skipped} of its lines are no tags and are left out; {wanted}")
    if file.cut:
        said.append(f"{name}: only its first {len(file.lines)} tags are used")
    return said


def usual(names: list[str], mine: set[str]) -> list[str]:
    """The lists that somebody put there; else the extension's main one, with what is added to it."""
    own = [name for name in names if name in mine]
    main = [name for name in names if name == MAIN] or names[:1]
    return own or [*main, *(name for name in names if name.lower().startswith("extra") and name not in main)]
