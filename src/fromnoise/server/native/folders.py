"""Folders on the server's machine, to start from: what is in one, and its pictures, taken as if they had been sent.

Administrators alone may look there, as they may take folders into the gallery.
"""

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.errors import UserError
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Admin, Context, Here
from fromnoise.server.native.sending import ReadPicture, read, taken
from fromnoise.server.native.views import shown
from fromnoise.server.parts import new_part

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST, MOST_OTHERS = 1000, 100  # names that are listed
MOST_FILES = 100_000  # that are looked at

router = new_part("/folder")


class Folder(BaseModel):
    """A folder of pictures on the server's machine."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(min_length=1, max_length=4000)


class InFolder(Folder):
    """A picture in it."""

    name: str = Field(min_length=1, max_length=4000, description="As the folder's list has it.")


class FolderView(BaseModel):
    """What is in a folder and those below it."""

    pictures: list[str] = Field(description=f"Names of the first {MOST:,} by name, with slashes between folders.")
    more: int = Field(description="How many pictures follow those.")
    others: list[str] = Field(
        description="Names of files that are no PNG, JPEG or WebP pictures; the first hundred of them."
    )


@router.post("")
def list_folder(wanted: Folder, here: Here, who: Admin) -> FolderView:
    """The pictures in a folder."""
    folder = opened(wanted)
    names = sorted(islice(files_in(folder), MOST_FILES))
    pictures = [name for name in names if name.lower().endswith(SUFFIXES) and name.isprintable()]
    others = [name if name.isprintable() else ascii(name) for name in sorted({*names} - {*pictures})]
    return FolderView(pictures=pictures[:MOST], more=max(0, len(pictures) - MOST), others=others[:MOST_OTHERS])


@router.post("/read")
async def read_in_folder(wanted: InFolder, here: Here, who: Admin) -> ReadPicture:
    """Take a picture of a folder as if it had been sent, with the recipe that is written in it."""
    here.check_sending(who)
    return await asyncio.to_thread(found, wanted, here, who)


def found(wanted: InFolder, here: Context, who: Identity) -> ReadPicture:
    path = here.file(opened(wanted), wanted.name)
    with path.open("rb") as file:
        data = file.read(uploads.MAX_BYTES + 1)  # one byte too many is refused as too large
    kept = taken(data, here, who)
    return ReadPicture(sha256=kept.sha256, width=kept.width, height=kept.height, **shown(read(data, here)))


def opened(wanted: Folder) -> Path:
    """The folder. UserError where there is none."""
    folder = os.path.expanduser(wanted.folder)
    if not os.path.isdir(folder):  # false as well of names that no file can have
        raise UserError("there is no such folder on the server's machine")
    return Path(folder)


def files_in(folder: Path) -> Iterator[str]:
    """Names of all files in a folder and those below it, but for what is hidden."""
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(where, name).relative_to(folder).as_posix() for name in names if not name.startswith("."))
