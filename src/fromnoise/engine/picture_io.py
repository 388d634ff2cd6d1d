"""Picture files: opened within bounds, written whole or not at all. Needs no torch."""

import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from fromnoise.errors import FileError

MAX_PIXELS = 64_000_000


def current_umask() -> int:
    """The permissions that new files don't get; reading it means setting it for a moment."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = current_umask()  # read before there are threads, whose files must not be made in that moment


def open_image(path: Path) -> Image.Image:
    """The picture in `path`, upright; FileError where there is none or it is too large."""
    if path.is_dir():
        raise FileError(f"{path} is a folder, not a picture")
    try:
        image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            raise FileError(
                f"{path}: {image.width}x{image.height} pixels are too many; at most {MAX_PIXELS:,} are read"
            )
        image.load()
        return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise FileError(f"{path}: no such picture") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise FileError(f"{path}: not a readable picture ({error}); give a PNG, JPEG or WebP file") from error


def opaque(image: Image.Image) -> Image.Image:
    """In RGB; transparency shows white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def save_png(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
    """Write `path` whole or not at all, with `texts` as PNG text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text) if text.isascii() else info.add_itxt(key, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    write_whole(path, buffer.getvalue())


def write_whole(path: Path, data: bytes) -> None:
    """Temporary file, then rename: readers see the old file or the new one, never half of it."""
    partial: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o666 & ~UMASK)
        os.replace(partial, path)
    except OSError as error:
        raise FileError(f"{path}: can't be written ({error.strerror}); choose another place with --out") from error
    finally:
        if partial and os.path.exists(partial):
            os.unlink(partial)
