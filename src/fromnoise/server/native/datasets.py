"""Data sets: pictures to learn from, with what is said of each; for administrators."""

import asyncio
import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.assets.tags import names
from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import FileError
from fromnoise.jobs import thumbnails
from fromnoise.server import uploads
from fromnoise.server.context import Admin, Context, Here
from fromnoise.server.errors import ApiError
from fromnoise.server.native.sending import PICTURE_BODY
from fromnoise.server.parts import new_part
from fromnoise.train.data import sets

MOST_PICTURES = 500  # in one answer
LONGEST_CAPTION = 20_000
HEAD = 1 << 16  # bytes that tell a picture's size

router = new_part("/datasets")


class DataSetCard(BaseModel):
    """A data set."""

    name: str
    pictures: int
    captions: int = Field(description="Pictures of which something is said.")
    size: int = Field(description="Bytes of its pictures.")
    changed: float = Field(description="Seconds since 1970.")
    parts: list[str] = Field(description="Folders in it, such as 10_mycat: repeats and words (kohya's).")


class NewDataSet(BaseModel):
    """A data set that is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=150)


class DatasetPicture(BaseModel):
    """A picture of a data set."""

    name: str = Field(description="Below the data set.")
    caption: str | None = Field(description="None where nothing is said of it.")
    tags: list[str]
    width: int | None = Field(description="None where it can't be told without opening it.")
    height: int | None
    size: int
    url: str


class PictureList(BaseModel):
    """A page of pictures."""

    pictures: list[DatasetPicture]
    count: int = Field(description="Of all that were asked for.")


class CaptionText(BaseModel):
    """What is said of a picture."""

    model_config = ConfigDict(extra="forbid")

    caption: str = Field(max_length=LONGEST_CAPTION, description="Empty: nothing is said of it.")


class TagCount(BaseModel):
    tag: str
    zh: str = Field(description="Its name in Chinese; empty where none is known.")
    count: int


class CaptionChange(BaseModel):
    """A change to many captions at once."""

    model_config = ConfigDict(extra="forbid")

    pictures: list[str] = Field(default=[], max_length=20_000, description="Only of these; empty: of all.")
    replace: dict[str, str] = Field(
        default={}, max_length=1000, description="Tags, and what takes their place; nothing takes them out."
    )
    find: str = Field(default="", max_length=1000, description="A text that is replaced wherever it stands.")
    by: str = Field(default="", max_length=LONGEST_CAPTION, description="What it is replaced by.")
    first: list[str] = Field(default=[], max_length=100, description="Tags that come first, in this order.")
    last: list[str] = Field(default=[], max_length=100, description="Tags that are added at the end.")
    sort: bool = Field(default=False, description="Put the tags in the order of the alphabet.")


class ChangedCount(BaseModel):
    """How many captions are other ones now."""

    changed: int


class PictureNames(BaseModel):
    """Pictures by their names."""

    model_config = ConfigDict(extra="forbid")

    pictures: list[str] = Field(min_length=1, max_length=20_000)


@router.get("")
def list_datasets(here: Here, who: Admin) -> list[DataSetCard]:
    """All data sets."""
    return [card(name, here) for name in sets.names(here.settings)]


@router.post("", status_code=201)
def create_dataset(new: NewDataSet, here: Here, who: Admin) -> DataSetCard:
    """Make an empty data set."""
    sets.created(new.name, here.settings)
    return card(new.name, here)


@router.get("/{dataset}")
def get_dataset(dataset: str, here: Here, who: Admin) -> DataSetCard:
    return card(dataset, here)


@router.delete("/{dataset}", status_code=204, response_class=Response)
def delete_dataset(dataset: str, here: Here, who: Admin) -> Response:
    """Delete a data set with all its pictures and captions, for good."""
    shutil.rmtree(found(dataset, here))
    return Response(status_code=204)


@router.get("/{dataset}/pictures")
def list_dataset_pictures(
    dataset: str,
    here: Here,
    who: Admin,
    words: Annotated[str, Query(max_length=500, description="That a caption or a name has.")] = "",
    tag: Annotated[str, Query(max_length=500, description="That a caption has, whole.")] = "",
    show: Literal["all", "described", "undescribed"] = "all",
    start: Annotated[int, Query(ge=0, le=10**7)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_PICTURES)] = 100,
) -> PictureList:
    """Pictures with their captions, in the order of their names, a page at a time."""
    there = [one for one in sets.pictures_of(found(dataset, here)) if is_wanted(one, words, tag, show)]
    return PictureList(pictures=[picture(dataset, one) for one in there[start : start + limit]], count=len(there))


@router.post("/{dataset}/pictures", status_code=201, openapi_extra=PICTURE_BODY)
async def send_dataset_picture(
    dataset: str,
    request: Request,
    here: Here,
    who: Admin,
    name: Annotated[str, Query(max_length=200, description="What it is called; a number follows if it is there.")],
    caption: Annotated[str, Query(max_length=LONGEST_CAPTION)] = "",
    part: Annotated[str, Query(max_length=150, description="The folder in the data set, such as 10_mycat.")] = "",
) -> DatasetPicture:
    """Put a picture into a data set, as the body of the call. What is kept is a PNG of the same pixels."""
    data = await request.body()
    return await asyncio.to_thread(taken, dataset, data, name, caption, part, here)


@router.get("/{dataset}/pictures/{name:path}", response_class=FileResponse)
def get_dataset_picture(
    dataset: str,
    name: str,
    here: Here,
    who: Admin,
    small: Annotated[bool, Query(description="A WebP of at most 320 pixels on a side.")] = False,
) -> Response:
    """The file of a picture, or a small picture of it."""
    path, media = one_of(dataset, name, here), None
    if small:
        path, media = small_of(path, here), thumbnails.MEDIA
    return FileResponse(path, media_type=media, headers={"Cache-Control": "private, no-cache"})


@router.put("/{dataset}/pictures/{name:path}")
def describe_dataset_picture(dataset: str, name: str, text: CaptionText, here: Here, who: Admin) -> DatasetPicture:
    """Say something else of a picture."""
    path = one_of(dataset, name, here)
    sets.say_of(path, text.caption)
    return picture(dataset, sets.Member(path, name, sets.read_caption(path)))


@router.get("/{dataset}/tags")
def count_dataset_tags(
    dataset: str, here: Here, who: Admin, limit: Annotated[int, Query(ge=1, le=10_000)] = 500
) -> list[TagCount]:
    """How many captions have each tag, the commonest first."""
    counts: Counter[str] = Counter()
    for one in sets.pictures_of(found(dataset, here)):
        counts.update(set(tags_of(one.caption)))
    return [
        TagCount(tag=tag, zh=names().get(tag.replace("_", " "), ""), count=count)
        for tag, count in counts.most_common(limit)
    ]


@router.post("/{dataset}/change")
def change_dataset_captions(dataset: str, change: CaptionChange, here: Here, who: Admin) -> ChangedCount:
    """Change many captions at once."""
    named, changed = set(change.pictures), 0
    for one in sets.pictures_of(found(dataset, here)):
        if named and one.name not in named:
            continue
        text = after(change, one.caption or "")
        if text != (one.caption or ""):
            sets.say_of(one.path, text)
            changed += 1
    return ChangedCount(changed=changed)


@router.post("/{dataset}/set-aside")
def set_dataset_pictures_aside(dataset: str, wanted: PictureNames, here: Here, who: Admin) -> ChangedCount:
    """Move pictures and their captions into the data set's folder set-aside, where nothing learns from them."""
    folder = found(dataset, here)
    for name in wanted.pictures:
        sets.set_aside(folder, one_of(dataset, name, here))
    return ChangedCount(changed=len(wanted.pictures))


def found(dataset: str, here: Context) -> Path:
    """The folder. ApiError 404."""
    try:
        return sets.folder_of(dataset, here.settings)
    except FileError as error:
        raise ApiError(404, "not-found", str(error)) from error


def one_of(dataset: str, name: str, here: Context) -> Path:
    """The file of a picture. ApiError 404."""
    try:
        return sets.member(found(dataset, here), name)
    except FileError as error:
        raise ApiError(404, "not-found", str(error)) from error


def card(name: str, here: Context) -> DataSetCard:
    folder = found(name, here)
    there = list(sets.pictures_of(folder))
    parts = [part.name for part in sets.parts_of(folder)[1:]]
    return DataSetCard(
        name=name, pictures=len(there), captions=sum(one.caption is not None for one in there),
        size=sum(one.path.stat().st_size for one in there), changed=folder.stat().st_mtime, parts=parts,
    )  # fmt: skip


def is_wanted(one: sets.Member, words: str, tag: str, show: str) -> bool:
    said = f"{one.name} {one.caption or ''}".lower()
    if show != "all" and (show == "described") != (one.caption is not None):
        return False
    if tag and tag.lower() not in (other.lower() for other in tags_of(one.caption)):
        return False
    return all(word in said for word in words.lower().split())


def tags_of(caption: str | None) -> list[str]:
    return [tag.strip() for tag in (caption or "").split(",") if tag.strip()]


def picture(dataset: str, one: sets.Member) -> DatasetPicture:
    width, height = measured(one.path)
    status = one.path.stat()
    return DatasetPicture(
        name=one.name, caption=one.caption, tags=tags_of(one.caption), width=width, height=height,
        size=status.st_size,
        url=f"/api/v1/datasets/{quote(dataset)}/pictures/{quote(one.name)}?v={status.st_mtime_ns // 1_000_000}",
    )  # fmt: skip


def small_of(path: Path, here: Context) -> Path:
    """Kept by the file's place, size and time, as its content has not been hashed. FileError."""
    status = path.stat()
    mark = hashlib.sha256(f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()
    kept = thumbnails.place(here.thumbs, mark)
    if not kept.is_file():
        here.clerk.ask("thumbnail", {"path": str(path), "sha256": mark, "folder": str(here.thumbs)})
    return kept


def measured(path: Path) -> tuple[int | None, int | None]:
    """By the first bytes of a PNG, JPEG or WebP file."""
    try:
        with path.open("rb") as file:
            return uploads.size_of(file.read(HEAD))
    except (OSError, ApiError):
        return None, None


def taken(dataset: str, data: bytes, name: str, caption: str, part: str, here: Context) -> DatasetPicture:
    """A picture that was sent, decoded and written anew by another process, in the data set."""
    folder = found(dataset, here)
    kept = uploads.keep(data, here.uploads)
    path = sets.place_for(folder, name, part)
    write_whole(path, uploads.find(kept.sha256, here.uploads).read_bytes())
    if caption.strip():
        sets.say_of(path, caption)
    return picture(dataset, sets.Member(path, path.relative_to(folder).as_posix(), sets.read_caption(path)))


def after(change: CaptionChange, caption: str) -> str:
    """The caption as it is after a change."""
    if change.find:
        caption = caption.replace(change.find, change.by)
    if not (change.replace or change.first or change.last or change.sort):
        return caption
    tags = [new for tag in tags_of(caption) if (new := change.replace.get(tag, tag).strip())]
    tags = sorted(tags, key=str.lower) if change.sort else tags
    front = [tag for tag in change.first if tag.strip()]
    return ", ".join(dict.fromkeys([*front, *(tag for tag in tags if tag not in front), *change.last]))
