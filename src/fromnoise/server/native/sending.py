"""Pictures that clients send, to start from or to be read."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.native.views import shown
from fromnoise.server.parts import new_part

KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "string", "format": "binary"}}
                    for media in ("image/png", "image/jpeg", "image/webp")},
    }
}  # fmt: skip

router = new_part()


Step = Annotated[int, Field(ge=1, le=65535)]


class Losses(BaseModel):
    """How a file was compressed that lost something of its picture."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["JPEG", "WebP"]
    tables: list[Annotated[list[Step], Field(min_length=64, max_length=64)]] = Field(
        default=[], max_length=4, description="Of a JPEG: how coarse its numbers are."
    )
    sampling: Literal[0, 1, 2] = Field(default=0, description="Of its colours: 4:4:4, 4:2:2 or 4:2:0.")
    size: int = Field(default=0, ge=0, lt=2**31, description="Bytes of a WebP's picture.")


class ReadPicture(BaseModel):
    """What is written in a picture about how it was made."""

    sha256: str = Field(description="The picture is kept as if it had been sent to /images.")
    width: int
    height: int
    source: str | None = Field(description="The tool that made it; none where nothing is written in it.")
    recipe: dict[str, object] | None
    not_understood: dict[str, str] = Field(description="What has no place in a recipe, by the tool's names.")
    warnings: list[str]
    texts: dict[str, str] = Field(description="As they are written in the file.")
    losses: Losses | None = Field(description="What the file lost of the picture; none where it has all of it.")


class Infotext(BaseModel):
    """A text that was copied from another tool."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=200_000)


class ReadText(BaseModel):
    """What a text says about how a picture was made."""

    source: str | None
    recipe: dict[str, object]
    not_understood: dict[str, str] = Field(description="What has no place in a recipe, by the tool's names.")
    warnings: list[str]


@router.post("/images", status_code=201, openapi_extra=PICTURE_BODY)
async def send_image(request: Request, here: Here, who: Who) -> uploads.Upload:
    """Send a picture, as the body of the call; recipes name it by its SHA-256.

    One of the caller's gallery goes by its own, so that what is made from it joins its family.
    """
    here.check_sending(who)
    data = await request.body()
    return await asyncio.to_thread(taken, data, here, who)


def taken(data: bytes, here: Context, who: Identity) -> uploads.Upload:
    upload = uploads.keep(data, here.uploads)
    sent = hashlib.sha256(data).hexdigest()
    if here.gallery.with_content(sent, here.owner_of(who)) is None:
        return upload
    return upload.model_copy(update={"sha256": sent})


@router.get("/images/{sha256}", response_class=FileResponse)
def get_image(sha256: str, here: Here, who: Who) -> FileResponse:
    """A picture that was sent; whoever knows its hash has seen it."""
    path = uploads.find(sha256, here.uploads)
    return FileResponse(path, headers=KEPT)


@router.post("/read", openapi_extra=PICTURE_BODY)
async def read_image(request: Request, here: Here, who: Who) -> ReadPicture:
    """The recipe that is written in a picture, by whichever tool."""
    here.check_sending(who)
    data = await request.body()
    kept = await asyncio.to_thread(taken, data, here, who)
    found = await asyncio.to_thread(read, data, here)
    return ReadPicture(sha256=kept.sha256, width=kept.width, height=kept.height, **shown(found))


@router.post("/read/text")
def read_text(wanted: Infotext, here: Here, who: Who) -> ReadText:
    """The recipe in a text such as AUTOMATIC1111 writes: prompt, negative prompt, and a line with the steps."""
    return ReadText(**shown(here.clerk.ask("read_text", {"text": wanted.text})))


def read(data: bytes, here: Context) -> dict[str, Any]:
    """What another process reads in a picture as it was sent: what is kept of it has no texts."""
    with tempfile.TemporaryDirectory(dir=here.uploads) as folder:
        path = Path(folder) / f"sent{suffix_of(data)}"
        path.write_bytes(data)
        return here.clerk.ask("read", {"path": str(path)})


def suffix_of(data: bytes) -> str:
    return ".png" if data.startswith(uploads.PNG) else ".jpg" if data.startswith(uploads.JPEG) else ".webp"
