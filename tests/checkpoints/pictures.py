"""Pictures that carry an embedding as AUTOMATIC1111 writes them, made by other code than the reader's."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torch import Tensor

SIDE = 96  # pixels


def as_json(tree: dict[str, Any]) -> str:
    def convert(value: Any) -> Any:
        if isinstance(value, Tensor):
            return {"TORCHTENSOR": value.tolist()}
        return {key: convert(item) for key, item in value.items()} if isinstance(value, dict) else value

    return json.dumps(convert(tree))


def picture() -> NDArray[np.uint8]:
    return np.random.RandomState(0).randint(16, 255, (SIDE, SIDE, 3)).astype(np.uint8) | 1


def with_chunk(tree: dict[str, Any], path: Path) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(as_json(tree).encode()).decode())
    Image.fromarray(picture()).save(path, pnginfo=info)
    return path


def with_pixels(tree: dict[str, Any], path: Path) -> Path:
    """Half bytes of a zlib stream left and right of the picture, under a mask and with decoration in the high bits."""
    data = np.frombuffer(zlib.compress(as_json(tree).encode(), 9), np.uint8)
    width = -(-len(data) // (SIDE * 3))
    mask, state = [], 0
    for _ in range(width * SIDE * 3):
        state = (1664525 * state + 1013904223) % 2**32
        mask.append((state % 255) % 16)
    blocks = []
    for half in (data % 16, data // 16):
        filled = np.resize(half, width * SIDE * 3) ^ np.array(mask, np.uint8)
        decoration = np.random.RandomState(1).randint(1, 15, len(filled)).astype(np.uint8) * 16
        blocks.append((filled + decoration).reshape(SIDE, width, 3))
    gap = np.zeros((SIDE, 1, 3), np.uint8)
    pixels = np.concatenate((blocks[0], gap, picture(), gap, blocks[1]), axis=1)
    framed = np.zeros((SIDE + 4, pixels.shape[1] + 6, 3), np.uint8)  # as from a page that put it on black
    framed[2:-2, 3:-3] = pixels
    Image.fromarray(framed).save(path)
    return path
