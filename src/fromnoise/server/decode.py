"""The process that decodes what strangers send: `python -m fromnoise.server.decode`, a line of JSON for each order.

It has little memory and time, opens nothing but the file that it is told of, and writes nothing but clean pictures: the
first frame, upright, as a PNG of the same pixels without any text, profile or other attachment. Whatever a picture does
to Pillow, it does it here.

    {"file": "/a/b", "folder": "/uploads", "form": "picture"}   ->  {"sha256": "...", "width": 8, "height": 8}
    {"file": "/a/b", "form": "texts"}                           ->  {"texts": {"parameters": "..."}}
    anything that can't be done                                 ->  {"error": "that is no PNG, JPEG or WebP picture"}
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from fromnoise.engine.metadata.carrier import MAX_TEXT, read_texts
from fromnoise.engine.picture_io import MAX_PIXELS, write_whole
from fromnoise.errors import FileError

FORMATS = ("PNG", "JPEG", "WEBP")
MEMORY = 3 << 30  # bytes of addresses: a picture of MAX_PIXELS with alpha, twice, and what Python needs
LARGEST_FILE = 512 << 20
OPEN_FILES = 64
NICE = 5
MODES = ("L", "LA", "RGB", "RGBA")
QUICK = 1  # of zlib's levels


class Refused(Exception):
    """What is wrong with a picture, for whoever sent it."""


def main() -> None:
    limit()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def limit() -> None:
    """Bounds that hold whatever Pillow does, and a low priority; Windows has none of this kind."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)  # who looks around is answered before somebody's picture is decoded
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_FSIZE, LARGEST_FILE),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """What one order comes to."""
    try:
        path = Path(order["file"])
        if order["form"] == "texts":
            return {"texts": texts_of(path)}
        with opened(path) as image:
            clean = hole(image) if order["form"] == "hole" else cleaned(image)
        return {"sha256": stored(clean, Path(order["folder"])), "width": clean.width, "height": clean.height}
    except Refused as error:
        return {"error": str(error)}
    except (OSError, ValueError, SyntaxError, MemoryError, OverflowError, Image.DecompressionBombError, FileError):
        return {"error": "that is no PNG, JPEG or WebP picture that can be read"}
    except Exception as error:  # Pillow raises what its parts raise
        return {"error": f"that picture can't be read ({type(error).__name__})"}


def opened(path: Path) -> Image.Image:
    """A picture whose header was read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(path, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Refused(f"a picture may have {MAX_PIXELS:,} pixels, this one is {image.width}x{image.height}")
    return image


def cleaned(image: Image.Image) -> Image.Image:
    """The first frame, upright, in one of MODES, alone."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode not in MODES or "transparency" in image.info:
        clear = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "L" if image.mode == "1" else "RGB")
    return bare(image)


def hole(image: Image.Image) -> Image.Image:
    """White where a picture is transparent, as masks of OpenAI's clients are."""
    alpha = cleaned(image).convert("RGBA").getchannel("A")
    return bare(ImageOps.invert(alpha))


def bare(image: Image.Image) -> Image.Image:
    """The pixels alone: what else a file brought along stays behind."""
    image.info = {}
    return image


def stored(image: Image.Image, folder: Path) -> str:
    """Write a clean picture under the SHA-256 of its bytes, which this is."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=QUICK)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest[:2] / f"{digest}.png"
    if path.exists():
        os.utime(path)  # it was sent anew
    else:
        write_whole(path, data)
    return digest


def texts_of(path: Path) -> dict[str, str]:
    """Every text in a picture, within bounds."""
    opened(path).close()
    found: dict[str, str] = {}
    room = MAX_TEXT
    for key, text in read_texts(path).items():
        room -= len(text)
        if room >= 0:
            found[key] = text
    return found


if __name__ == "__main__":
    main()
