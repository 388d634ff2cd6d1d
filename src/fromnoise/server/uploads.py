"""Pictures that clients send: kept by the SHA-256 of their bytes, looked at but not decoded here.

A worker decodes them. What is kept is a picture by its first bytes, of a bounded size in bytes and pixels.
"""

import base64
import binascii
import hashlib
import io
import os
import tempfile
import warnings
from pathlib import Path

from PIL import Image, ImageOps
from pydantic import BaseModel, Field

from fromnoise.engine.recipe import ImageRef
from fromnoise.server.errors import ApiError

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
MAX_PIXELS = 64_000_000
MAX_BYTES = 32 << 20


class Upload(BaseModel):
    """A picture that was taken."""

    sha256: str = Field(description="Of its bytes: what recipes name it by.")
    width: int
    height: int
    media: str = Field(description="image/png, image/jpeg or image/webp.")


def keep(data: bytes, folder: Path) -> Upload:
    """Take a picture. ApiError 413 or 422 for what is none, or too large."""
    if len(data) > MAX_BYTES:
        raise ApiError(413, "size", f"a picture may have {MAX_BYTES:,} bytes, this one has {len(data):,}")
    name, (width, height) = looked_at(data)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest[:2] / f"{digest}{FORMATS[name]}"
    if not path.exists():
        write(path, data)
    return Upload(sha256=digest, width=width, height=height, media=Image.MIME[name])


def keep_hole(data: bytes, folder: Path) -> Upload:
    """Take the mask of an OpenAI client: white where the picture that it sent is transparent. ApiError as `keep`."""
    looked_at(data)
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
            alpha = picture.convert("RGBA").getchannel("A")
    except (OSError, ValueError, SyntaxError):
        raise ApiError(422, "picture", "the mask can't be read") from None
    buffer = io.BytesIO()
    ImageOps.invert(alpha).save(buffer, "PNG")
    return keep(buffer.getvalue(), folder)


def looked_at(data: bytes) -> tuple[str, tuple[int, int]]:
    """Format and size, from the header alone."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            name, size = picture.format or "", picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ApiError(422, "picture", "that is no PNG, JPEG or WebP picture") from None
    if size[0] * size[1] > MAX_PIXELS or 0 in size:
        raise ApiError(413, "size", f"a picture may have {MAX_PIXELS:,} pixels, this one is {size[0]}x{size[1]}")
    return name, size


def write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def find(digest: str, folder: Path) -> Path:
    """The file of a picture that was taken. ApiError 404."""
    if len(digest) == 64 and all(c in "0123456789abcdef" for c in digest):
        for ending in FORMATS.values():
            path = folder / digest[:2] / f"{digest}{ending}"
            if path.is_file():
                return path
    raise ApiError(404, "not-found", "no such picture was sent, or it was removed")


def reference(digest: str, folder: Path) -> ImageRef:
    """What a recipe calls it."""
    return ImageRef(path=str(find(digest, folder)), sha256=digest)


def from_base64(text: str) -> bytes:
    """The bytes of base64, or of a data URI. Addresses are refused: this server fetches nothing. ApiError 422."""
    if text[:8].lower().startswith(("http:", "https:", "ftp:", "file:")):
        raise ApiError(422, "picture", "addresses are not fetched: send the picture itself, in base64")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        raise ApiError(422, "picture", "a picture's base64 can't be read") from None
