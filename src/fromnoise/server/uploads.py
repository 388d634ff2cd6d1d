"""Pictures that clients send: measured by their first bytes, decoded and written anew by another process, and kept.

What is kept is a PNG of the same pixels and nothing else, by the SHA-256 of its bytes; it is also found by that of the
bytes that were sent.
"""

import base64
import binascii
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from fromnoise.engine.picture_io import MAX_PIXELS, write_whole
from fromnoise.engine.recipe import ImageRef
from fromnoise.server.decoder import Decoder, Form
from fromnoise.server.errors import ApiError

MAX_BYTES = 32 << 20
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
START_OF_FRAME = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive, with Huffman coding
ADDRESSES = ("http:", "https:", "ftp:", "file:", "gopher:")
DECODER = Decoder()


class Upload(BaseModel):
    """A picture that was taken."""

    sha256: str = Field(description="What recipes name it by: of the file that is kept, or of the gallery's.")
    width: int
    height: int
    media: str = Field(default="image/png", description="Of the file that is kept: image/png.")


def keep(data: bytes, folder: Path, form: Form = "picture") -> Upload:
    """Take a picture; as a "hole" it is white where the picture that was sent is transparent.

    ApiError 413 or 422 for what is none, or too large.
    """
    check(data)
    note = folder / "sent" / f"{hashlib.sha256(data).hexdigest()}-{form}.json"
    try:
        upload = Upload.model_validate_json(note.read_bytes())
        os.utime(place(upload.sha256, folder))  # it is needed again: see expiry.py
        return upload
    except (OSError, ValidationError):
        pass
    with sent(data, folder) as file:
        upload = Upload.model_validate(DECODER.decode(file, folder, form))
    write_whole(note, upload.model_dump_json().encode())
    return upload


def keep_hole(data: bytes, folder: Path) -> Upload:
    """Take the mask of an OpenAI client: white where the picture that it sent is transparent. ApiError as `keep`."""
    return keep(data, folder, "hole")


def texts(data: bytes, folder: Path) -> dict[str, str]:
    """The texts in a picture, which is not kept. ApiError as `keep`."""
    with sent(data, folder) as file:
        found: dict[str, str] = DECODER.decode(file, folder, "texts")["texts"]
    return found


@contextmanager
def sent(data: bytes, folder: Path) -> Iterator[Path]:
    """The bytes as they were sent, in a file for a moment: for a process that reads what is written in a picture."""
    check(data)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".sent-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def check(data: bytes) -> None:
    """ApiError 413 or 422 for what is too large, or no picture by its first bytes; nothing is decoded."""
    if len(data) > MAX_BYTES:
        raise ApiError(413, "size", f"a picture may have {MAX_BYTES:,} bytes, this one has {len(data):,}")
    width, height = size_of(data)
    if width * height > MAX_PIXELS or 0 in (width, height):
        raise ApiError(413, "size", f"a picture may have {MAX_PIXELS:,} pixels, this one is {width}x{height}")


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height by the header of a PNG, JPEG or WebP file. ApiError 422 for anything else."""
    try:
        if data.startswith(PNG) and data[12:16] == b"IHDR":
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        if data.startswith(JPEG):
            return size_of_jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return size_of_webp(data)
    except (struct.error, IndexError):
        pass
    raise ApiError(422, "picture", "that is no PNG, JPEG or WebP picture")


def size_of_jpeg(data: bytes) -> tuple[int, int]:
    """ITU-T T.81, annex B: segments up to the frame header, whose fields are precision, height, width."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        mark, kind, length = struct.unpack(">BBH", data[at : at + 4])
        if mark != 0xFF or length < 2:
            raise IndexError
        if kind in START_OF_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length


def size_of_webp(data: bytes) -> tuple[int, int]:
    """RFC 9649: the first chunk tells the size in one of three ways."""
    kind = data[12:16]
    if kind == b"VP8X":
        return tuple(int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))  # type: ignore[return-value]
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise IndexError


def place(digest: str, folder: Path) -> Path:
    return folder / digest[:2] / f"{digest}.png"


def find(digest: str, folder: Path) -> Path:
    """The file of a picture that was taken, by its own SHA-256 or that of what was sent. ApiError 404."""
    if len(digest) == 64 and all(c in "0123456789abcdef" for c in digest):
        if (path := place(digest, folder)).is_file():
            return path
        try:
            sent = json.loads((folder / "sent" / f"{digest}-picture.json").read_bytes())
        except (OSError, ValueError):
            sent = {}
        if sent and (path := place(str(sent["sha256"]), folder)).is_file():
            return path
    raise ApiError(404, "not-found", "no such picture was sent, or it was removed")


def reference(digest: str, folder: Path) -> ImageRef:
    """What a recipe calls it."""
    path = find(digest, folder)
    os.utime(path)  # it is used: see expiry.py
    return ImageRef(path=str(path), sha256=path.stem)


def from_base64(text: str) -> bytes:
    """The bytes of base64, or of a data URI. Addresses are refused: this server fetches nothing. ApiError 422."""
    text = text.strip()
    if text[:8].lower().startswith(ADDRESSES):
        raise ApiError(422, "picture", "addresses are not fetched: send the picture itself, in base64")
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(422, "picture", "a picture's base64 can't be read") from None
