"""The gallery: pictures looked for, seen, and fetched one by one or many in an archive."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from fromnoise.errors import FileError
from fromnoise.jobs import thumbnails
from fromnoise.jobs.picture import Picture, Search, UnknownPicture
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.views import shown, version
from fromnoise.server.parts import new_part

MOST_AT_ONCE = 500  # pictures in one answer
MOST_ZIPPED = 20_000  # pictures in one archive
MOST_NAMED = 1000  # pictures that one address names
PROMPT = 300  # characters of a prompt on a card
KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
SHOWN = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/gif")  # what browsers may show
CHUNK = 1 << 18  # bytes

router = new_part("/gallery")


class Card(BaseModel):
    """A picture in the gallery, as much as a list needs of it."""

    id: str
    number: int = Field(description="Grows; pages go by it.")
    name: str = Field(description="Of its file, with the folders below its root.")
    owner: str
    created: float = Field(description="Seconds since 1970.")
    size: int = Field(description="Bytes.")
    media: str
    width: int
    height: int
    sha256: str
    source: str = Field(description="The tool that made it; empty where nothing is known.")
    model: str
    model_hash: str
    sampler: str
    seed: str = Field(description="As a text: it can be larger than what JavaScript counts exactly.")
    prompt: str = Field(description="Its beginning.")
    loras: list[str]
    tags: list[str]
    album: str
    favourite: bool
    parent: str | None = Field(description="The picture that it was made from.")
    job: str | None
    deleted: float | None = Field(description="Since when it is in the bin.")
    url: str = Field(description="Of the file; it changes with the content, and may be kept for ever.")
    thumb: str = Field(description="Of a WebP with at most 320 pixels on a side.")

    @classmethod
    def of(cls, picture: Picture) -> "Card":
        return cls(**fields(picture))


class PictureView(Card):
    """All that is known of a picture."""

    recipe: dict[str, Any] | None = Field(description="Whole numbers beyond 2^53 are strings.")
    parents: list[Card] = Field(description="What it was made from, the first one first.")
    children: list[Card] = Field(description="What was made from it, and from those.")


class Cards(BaseModel):
    """A page of pictures, the newest first."""

    pictures: list[Card]
    before: int | None = Field(description="Ask for the pictures before this one to go on; none where that was all.")


class Count(BaseModel):
    """How many pictures there are."""

    count: int


class Facets(BaseModel):
    """How many pictures there are of each kind, the most first."""

    models: dict[str, int]
    samplers: dict[str, int]
    albums: dict[str, int]
    sources: dict[str, int]
    tags: dict[str, int]
    loras: dict[str, int]
    owners: dict[str, int] = Field(description="Everybody finds their own pictures, administrators all.")


def fields(picture: Picture) -> dict[str, Any]:
    """What a card shows."""
    own = {name: getattr(picture, name) for name in Card.model_fields if hasattr(picture, name)}
    address, mark = f"/api/v1/gallery/{picture.id}", version(picture.sha256)
    prompt = str((picture.recipe or {}).get("prompt") or "")[:PROMPT]
    more = {"url": f"{address}/file?v={mark}", "thumb": f"{address}/thumb?v={mark}", "prompt": prompt}
    return own | more | {"name": picture.path, "tags": list(picture.tags), "loras": list(picture.loras)}


async def wanted(
    here: Here,
    who: Who,
    words: Annotated[str, Query(max_length=2000, description='All of them; "in a row", -without, begin*')] = "",
    owner: Annotated[str | None, Query(max_length=200, description="Of administrators' searches.")] = None,
    model: Annotated[str | None, Query(max_length=500, description="Name, or eight digits of its hash.")] = None,
    lora: Annotated[str | None, Query(max_length=500)] = None,
    sampler: Annotated[str | None, Query(max_length=200)] = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    album: Annotated[str | None, Query(max_length=200)] = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
    favourite: bool | None = None,
    parent: Annotated[str | None, Query(max_length=64)] = None,
    job: Annotated[str | None, Query(max_length=64)] = None,
    min_width: Annotated[int, Query(ge=0, le=10**6)] = 0,
    max_width: Annotated[int, Query(ge=0, le=10**6)] = 10**6,
    min_height: Annotated[int, Query(ge=0, le=10**6)] = 0,
    max_height: Annotated[int, Query(ge=0, le=10**6)] = 10**6,
    since: Annotated[float | None, Query(description="Seconds since 1970.")] = None,
    until: float | None = None,
    deleted: Annotated[bool, Query(description="What is in the bin instead.")] = False,
) -> Search:
    """What is looked for; everyone finds their own, administrators all."""
    texts = (words, owner, model, lora, sampler, tag, album, source, parent, job)
    if any("\0" in text for text in texts if text):
        raise ApiError(422, "request", "a text holds a NUL character")
    every = (0, 10**6)
    return Search(
        words=words, owner=owner if who.is_admin else who.name, model=model, lora=lora, sampler=sampler, tag=tag,
        album=album, source=source, favourite=favourite, parent=parent, job=job,
        width=None if (min_width, max_width) == every else (min_width, max_width),
        height=None if (min_height, max_height) == every else (min_height, max_height),
        since=since, until=until, deleted=deleted,
    )  # fmt: skip


Wanted = Annotated[Search, Depends(wanted)]


@router.get("")
def list_pictures(
    here: Here,
    search: Wanted,
    before: Annotated[int | None, Query(ge=0, lt=2**62, description="From the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> Cards:
    """Pictures, the newest first, a page at a time."""
    found = here.gallery.search(search, before=before, limit=limit + 1)
    page = found[:limit]
    return Cards(pictures=list(map(Card.of, page)), before=page[-1].number if len(found) > limit else None)


@router.get("/count")
def count_pictures(here: Here, search: Wanted) -> Count:
    """How many there are of what is looked for."""
    return Count(count=here.gallery.count(search))


@router.get("/facets")
def list_facets(here: Here, search: Wanted) -> Facets:
    """Models, samplers, albums, tags ... of what is looked for, for filters to offer."""
    gallery = here.gallery
    return Facets(
        models=gallery.facet("model", search), samplers=gallery.facet("sampler", search),
        albums=gallery.facet("album", search), sources=gallery.facet("source", search),
        tags=gallery.marks("tag", search), loras=gallery.marks("lora", search),
        owners=gallery.facet("owner", search),
    )  # fmt: skip


@router.get("/zip", response_class=StreamingResponse)
def download_pictures(
    here: Here,
    who: Who,
    search: Wanted,
    picture: Annotated[
        list[str] | None, Query(max_length=MOST_NAMED, description="These; else what is looked for.")
    ] = None,
) -> StreamingResponse:
    """Many pictures in one archive, which is made while it is sent."""
    pictures = [mine(here, who, name) for name in picture] if picture else everything(here, search)
    headers = {"Content-Disposition": 'attachment; filename="pictures.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(zipped(pictures, here), media_type="application/zip", headers=headers)


def everything(here: Context, search: Search) -> list[Picture]:
    """All that is looked for, up to a limit."""
    return here.gallery.search(search, limit=MOST_ZIPPED)


@router.get("/{picture}")
def get_picture(picture: str, here: Here, who: Who) -> PictureView:
    """A picture with its recipe and its family."""
    one, owner = mine(here, who, picture), here.owner_of(who)
    family = here.gallery.family(picture, owner)
    place = [member.id for member in family].index(one.id)
    return PictureView(
        **fields(one),
        recipe=shown(one.recipe) if one.recipe else None,
        parents=list(map(Card.of, family[:place])),
        children=list(map(Card.of, family[place + 1 :])),
    )


@router.get("/{picture}/file", response_class=FileResponse)
def get_picture_file(
    picture: str,
    here: Here,
    who: Who,
    how: Annotated[Literal["inline", "attachment"], Query(description="To be shown, or to be saved.")] = "inline",
    v: Annotated[str | None, Query(max_length=64, description="From its address.")] = None,
) -> FileResponse:
    """The file."""
    one = mine(here, who, picture)
    path = file_of(one, here)
    media = one.media if one.media in SHOWN else "application/octet-stream"
    how = how if one.media in SHOWN else "attachment"
    return FileResponse(
        path, media_type=media, filename=PurePosixPath(one.path).name, content_disposition_type=how,
        headers=KEPT if v == version(one.sha256) else {"Cache-Control": "private, no-cache"},
    )  # fmt: skip


@router.get("/{picture}/thumb", response_class=FileResponse)
def get_picture_thumb(
    picture: str, request: Request, here: Here, who: Who, v: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """A small WebP of it."""
    one = mine(here, who, picture)
    path = thumbnails.place(here.thumbs, one.sha256)
    if not path.is_file():
        here.clerk.ask("thumbnail", {"path": str(file_of(one, here)), "sha256": one.sha256, "folder": str(here.thumbs)})
    headers = KEPT if v == version(one.sha256) else {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type=thumbnails.MEDIA, headers=headers)


def mine(here: Context, who: Identity, picture: str) -> Picture:
    """ApiError 404 for what is not there, or somebody else's."""
    try:
        return here.gallery.get(picture, here.owner_of(who))
    except UnknownPicture as error:
        raise ApiError(404, "not-found", str(error)) from error


def file_of(picture: Picture, here: Context) -> Path:
    """ApiError 404 where somebody has taken it away."""
    try:
        return here.gallery.file(picture)
    except FileError as error:
        raise ApiError(404, "not-found", str(error)) from error


class Outgoing(io.RawIOBase):
    """What a zip file is written to, and taken from again before it has grown."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data, self.parts = b"".join(self.parts), []
        return data


def zipped(pictures: Sequence[Picture], here: Context) -> Iterator[bytes]:
    """The bytes of a zip file; pictures that are not there any more are left out."""
    out, used = Outgoing(), set[str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            try:
                path = here.gallery.file(picture)
                entry = zipfile.ZipInfo.from_file(path, free(PurePosixPath(picture.path).name, used))
                with path.open("rb") as source, archive.open(entry, "w") as target:
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
                        yield out.taken()
            except (FileError, OSError):
                continue
            yield out.taken()
    yield out.taken()


def free(name: str, used: set[str]) -> str:
    """A name that no other entry has."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    number, found = 1, name
    while found.lower() in used:
        number += 1
        found = f"{stem} ({number}){suffix}"
    used.add(found.lower())
    return found
