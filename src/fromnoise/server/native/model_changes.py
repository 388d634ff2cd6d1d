"""Model files changed: fetched, checked, put into a bin, with other notes and another preview; for administrators."""

import shutil
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.companions import companions, stem_of, write_notes
from fromnoise.engine.recipe import BUILTIN
from fromnoise.engine.shelf_bin import belongings, put_away
from fromnoise.errors import FileError, UserError
from fromnoise.jobs import thumbnails
from fromnoise.jobs.job import Work
from fromnoise.server.context import Admin, Here
from fromnoise.server.native.models import ModelCard, ModelKind, entry_named, of
from fromnoise.server.native.orders import accepted, picture_of
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

PREVIEW = ".preview.webp"

router = new_part("/models")


class Download(BaseModel):
    """A model that is to come from a hub."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=3, max_length=500, description="OWNER/NAME, OWNER/NAME/FILE, or its address.")
    file: str | None = Field(default=None, max_length=500, description="A file or folder in the repository.")
    revision: str | None = Field(default=None, max_length=200, description="A branch, a tag or a commit.")
    kind: ModelKind | None = Field(default=None, description="Its shelf, where that can't be told from what it holds.")
    save_as: str | None = Field(default=None, max_length=150, description="Another name, without its ending.")
    pickle: bool = Field(default=False, description="A pickle, too: it is never run here, but other tools may.")


class Notes(BaseModel):
    """What a person says of a model; AUTOMATIC1111 reads it, too."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=10_000)
    notes: str = Field(default="", max_length=10_000)
    trigger_words: str = Field(default="", max_length=10_000)
    negative: str = Field(default="", max_length=10_000, description="For the negative prompt.")
    weight: float | None = Field(default=None, ge=-10, le=10, description="That suits most pictures.")


class PreviewOf(BaseModel):
    """A picture that shows what a model makes."""

    model_config = ConfigDict(extra="forbid")

    picture: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="In the gallery, or sent to /images.")]


@router.post("/download", status_code=202)
def download_model(wanted: Download, here: Here, who: Admin) -> JobView:
    """Fetch a model from a hub, as a job that tells how far it is and goes on where it broke off."""
    from fromnoise.engine.hub import Wanted

    Wanted.of(wanted.name, wanted.file, wanted.revision)  # mistakes are told at once
    body = wanted.model_dump(exclude_none=True, exclude={"kind"}) | ({"shelf": wanted.kind} if wanted.kind else {})
    return JobView.of(accepted(here.queue, [Work("download", body, owner=who.name)])[0])


@router.post("/{kind}/{name:path}/check", status_code=202)
def check_model(kind: ModelKind, name: str, here: Here, who: Admin) -> JobView:
    """Read all of a file: the result's data tell whether it is whole, and what is missing, unknown or no number."""
    entry_named(kind, name, here)
    return JobView.of(accepted(here.queue, [Work("check-model", {"shelf": kind, "file": name}, owner=who.name)])[0])


@router.put("/{kind}/{name:path}/notes")
def note_model(kind: ModelKind, name: str, notes: Notes, here: Here, who: Admin) -> ModelCard:
    """Say something else of a model, in the file beside it."""
    entry = entry_named(kind, name, here)
    write_notes(entry.place, **notes.model_dump())
    return of(entry)


@router.put("/{kind}/{name:path}/preview")
def show_model(kind: ModelKind, name: str, shown: PreviewOf, here: Here, who: Admin) -> ModelCard:
    """Let a picture show what a model makes; the one that did goes to the bin."""
    entry = entry_named(kind, name, here)
    picture = picture_of(shown.picture, here, who)
    body = {"path": picture.path, "sha256": picture.sha256, "folder": str(here.thumbs)}
    small = thumbnails.place(here.thumbs, picture.sha256)
    if not small.is_file():
        here.clerk.ask("thumbnail", body)
    target = entry.place.with_name(stem_of(entry.place) + PREVIEW)
    try:
        while (old := companions(entry.place).preview) is not None:
            put_away([old])
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(small, part)
        part.replace(target)
    except OSError as error:
        raise FileError(f"{target.name} can't be written ({error.strerror})") from error
    return of(entry)


@router.delete("/{kind}/{name:path}")
def remove_model(kind: ModelKind, name: str, here: Here, who: Admin) -> list[str]:
    """Put a model file with what belongs to it into a bin beside it; the names of the files."""
    if (kind, name) == ("checkpoints", BUILTIN):
        raise UserError("the built-in model comes with the package and stays")
    files = belongings(entry_named(kind, name, here).place)
    try:
        put_away(files)
    except OSError as error:
        raise FileError(f"{name} can't be moved ({error.strerror})") from error
    here.index.refresh(here.settings)
    return [file.name for file in files]
