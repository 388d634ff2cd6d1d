"""Data sets by name: folders below `Settings.datasets`, with pictures in them or in folders such as 10_mycat.

    folder = folder_of("mycat", settings)
    for picture in pictures_of(folder): print(picture.name, picture.caption)

Names never lead out of their folder. Needs no torch, and opens no picture.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fromnoise.errors import FileError, UserError
from fromnoise.settings import Settings
from fromnoise.train.data.caption_files import write_caption
from fromnoise.train.data.source import CAPTIONS, PICTURES, SET_ASIDE, Subset, caption_of
from fromnoise.train.data.source import parts_of as parts_of
from fromnoise.train.data.source import picture_files as picture_files

LONGEST = 150  # bytes of a name
FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*\x7f]')
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # Windows's own


@dataclass(frozen=True)
class Member:
    """A picture of a data set."""

    path: Path
    name: str  # below the data set, with slashes
    caption: str | None  # None where nothing is said of it


def checked_name(name: str, what: str = "data set") -> str:
    """A name that is no path. UserError."""
    plain = name.strip()
    if (
        not plain or plain != name or too_long(name) or FORBIDDEN.search(name) or name.startswith(".")
        or name.endswith(".") or RESERVED.fullmatch(name)
    ):  # fmt: skip
        raise UserError(f"{name[:LONGEST]!r} can't be the name of a {what}: letters, digits, spaces, - and _ can")
    return name


def too_long(name: str) -> bool:
    return len(name.encode("utf-8", "surrogatepass")) > LONGEST


def folder_of(name: str, settings: Settings) -> Path:
    """The folder of a data set. UserError, FileError where there is none."""
    folder = settings.datasets / checked_name(name)
    if not folder.is_dir():
        raise FileError(f"no data set {name!r}: make it, and put pictures into it")
    return folder.absolute()


def created(name: str, settings: Settings) -> Path:
    """The folder of a new data set. UserError where there is one of that name."""
    folder = check_new(name, settings)
    folder.mkdir(parents=True)
    return folder.absolute()


def check_new(name: str, settings: Settings) -> Path:
    """Where a new data set goes. UserError where there is one of that name."""
    folder = settings.datasets / checked_name(name)
    if folder.exists():
        raise UserError(f"there is a data set {name!r} already")
    return folder


def names(settings: Settings) -> list[str]:
    """Of all data sets, in order."""
    if not settings.datasets.is_dir():
        return []
    there = (path.name for path in settings.datasets.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted((name for name in there if is_plain(name)), key=str.lower)


def is_plain(name: str) -> bool:
    try:
        return checked_name(name) == name
    except UserError:
        return False


def pictures_of(folder: Path) -> Iterator[Member]:
    """The pictures of a data set with what is said of them."""
    for path in picture_files(folder):
        yield Member(path, path.relative_to(folder).as_posix(), read_caption(path))


def read_caption(path: Path) -> str | None:
    """What is said of a picture; None where nothing is, or nothing that can be read."""
    try:
        return caption_of(path, Subset())
    except FileError:
        return None


def is_one_name(part: str) -> bool:
    """Whether it leads nowhere else; files that others put there may have names that none is given here."""
    return part != "" and Path(part).name == part and not part.startswith(".") and "\0" not in part


def member(folder: Path, name: str) -> Path:
    """The file of a picture by its name. FileError where there is none."""
    parts = name.split("/")
    path = folder.joinpath(*parts)
    if len(parts) > 2 or not all(map(is_one_name, parts)) or path.suffix.lower() not in PICTURES or not path.is_file():
        raise FileError(f"the data set has no picture {name!r}")
    return path


def place_for(folder: Path, name: str, part: str = "") -> Path:
    """Where a new picture goes, which never takes the place of another. UserError."""
    where = folder / checked_name(part, "folder") if part else folder
    if part == SET_ASIDE:
        raise UserError(f"{SET_ASIDE} is for pictures that are not used")
    stem = checked_name(Path(name).stem, "picture")
    path, number = where / f"{stem}.png", 1
    while any(path.with_suffix(ending).exists() for ending in PICTURES):
        number += 1
        path = where / f"{stem}-{number}.png"
    where.mkdir(parents=True, exist_ok=True)
    return path


def say_of(path: Path, caption: str) -> None:
    """Write what is said of a picture, into the file that is read; "" leaves nothing said."""
    there = [path.with_suffix(ending) for ending in CAPTIONS if path.with_suffix(ending).is_file()]
    if not caption.strip():
        for file in there:
            file.unlink()
        return
    write_caption(path, caption.strip(), there[0].suffix if there else CAPTIONS[0])


def set_aside(folder: Path, path: Path) -> None:
    """Move a picture and its captions out of the way, into a folder of the data set's."""
    aside = folder / SET_ASIDE
    aside.mkdir(exist_ok=True)
    stem, number = path.stem, 1
    while (aside / f"{stem}{path.suffix}").exists():
        number += 1
        stem = f"{path.stem}-{number}"
    for one in (path, *(path.with_suffix(ending) for ending in CAPTIONS)):
        if one.exists():
            one.replace(aside / f"{stem}{one.suffix}")
