"""Small pictures for the gallery, kept by the SHA-256 of the large ones. Needs no torch."""

import io
import os
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageOps

from fromnoise.errors import FileError

SIDE = 320  # pixels of the longer side
QUALITY = 80
MAX_PIXELS = 200_000_000  # of a picture that is shrunk
MEDIA = "image/webp"
PREVIEW = 512  # pixels of the longer side of what is shown while there is more to come


def place(folder: Path, sha256: str) -> Path:
    """Where the small picture of a large one is, or will be."""
    return folder / sha256[:2] / f"{sha256}.webp"


def shrunk(image: Image.Image) -> bytes:
    """A WebP of at most SIDE pixels."""
    small = ImageOps.exif_transpose(image).convert("RGBA" if "A" in image.getbands() else "RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()


def keep(folder: Path, sha256: str, image: Image.Image) -> Path:
    """Make and keep the small picture of a large one. OSError."""
    path = place(folder, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(shrunk(image))
    part.replace(path)
    return path


def thumbnail(folder: Path, sha256: str, file: Path) -> Path:
    """The small picture of a file, made if it is not there. FileError."""
    path = place(folder, sha256)
    if path.is_file():
        return path
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise FileError(f"{file.name} is too large to be shown")
            return keep(folder, sha256, image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(f"{file.name} can't be shown ({error})") from error


def small_jpeg(path: Path) -> bytes | None:
    """A small JPEG of a picture of ours; None where it is being written yet."""
    with suppress(OSError), Image.open(path) as image:
        small, out = image.convert("RGB"), io.BytesIO()
        small.thumbnail((PREVIEW, PREVIEW))
        small.save(out, "JPEG", quality=85)
        return out.getvalue()
    return None
