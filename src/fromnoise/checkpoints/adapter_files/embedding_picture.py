"""Embeddings in pictures, as AUTOMATIC1111 writes them: in a text chunk of a PNG, or in the low bits of its pixels.

In the pixels: the picture stands between two blocks, a black column on each side of it. The left block has the low
halves of the bytes of a zlib stream, the right one the high halves, each in the low four bits of a colour, row by row,
after an exclusive or with a fixed sequence of numbers; the high bits are decoration. The stream is JSON.
"""

import base64
import json
import zlib
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fromnoise.errors import FileError

CHUNK = "sd-ti-embedding"
TENSOR = "TORCHTENSOR"  # the JSON has {"TORCHTENSOR": [[...]]} for a tensor
MAX_PIXELS = 1 << 26
MAX_JSON = 1 << 26  # bytes; 75 vectors of SDXL have 4 MB
MULTIPLIER, INCREMENT, MODULUS = 1664525, 1013904223, 1 << 32  # Numerical Recipes' generator, started with 0
FAULTS = (  # of Pillow, zlib, and tensors made of what is no table of numbers
    UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, TypeError, RuntimeError,
    OverflowError, zlib.error,
)  # fmt: skip

Bytes = NDArray[np.uint8]


def read_picture(path: Path) -> object:
    """What is in the picture: the dict that the .pt file of the same embedding would hold. Raises FileError."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise FileError(f"{path}: {image.width}x{image.height} pixels are too many for an embedding")
            chunk = getattr(image, "text", {}).get(CHUNK)
            found = parsed(base64.b64decode(chunk)) if chunk else hidden(np.asarray(image.convert("RGB")))
    except FileError:
        raise
    except FAULTS as error:
        raise FileError(f"{path} holds no readable embedding ({error}); was it saved anew or scaled?") from error
    if found is None:
        raise FileError(f"{path} is a picture without an embedding in it")
    return found


def hidden(pixels: Bytes) -> object | None:
    """What is in the low bits of pixels (h w 3); None where no black columns mark off any."""
    low = framed(pixels) & 0x0F
    black = np.flatnonzero(low.sum(axis=(0, 2)) == 0)
    if len(black) < 2:
        return None
    halves = low[:, : black[0]], low[:, black[-1] + 1 :]
    if halves[0].shape != halves[1].shape or not halves[0].size:
        return None
    below, above = (half.reshape(-1) ^ sequence(half.size) for half in halves)
    stream = zlib.decompressobj()
    text = stream.decompress((above << 4 | below).tobytes(), MAX_JSON)
    if not stream.eof:
        raise ValueError("its data end too early, or never")
    return parsed(text)


def framed(pixels: Bytes) -> Bytes:
    """Without black rows and columns around it."""
    lit = pixels.max(axis=2) > 0
    columns, rows = np.flatnonzero(lit.max(axis=0)), np.flatnonzero(lit.max(axis=1))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(columns) else pixels[:0]


def sequence(count: int) -> Bytes:
    """The four bits that each colour was combined with."""

    def numbers() -> Any:
        state = 0
        while True:
            state = (MULTIPLIER * state + INCREMENT) % MODULUS
            yield state % 255 & 0x0F

    return np.fromiter(islice(numbers(), count), np.uint8, count)


def parsed(text: bytes) -> object:
    """The JSON, with tensors in it."""
    return json.loads(text[:MAX_JSON], object_hook=lambda item: torch.tensor(item[TENSOR]) if TENSOR in item else item)
