"""Noise becoming a picture: the predicted picture at each step, side by side."""

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from fromnoise.engine.images import to_image
from fromnoise.engine.library import Model

MAX_TILES = 30
MAX_LATENT_SIDE = 32  # latents are shrunk to this before decoding: a tile is small, and a decode costs by its area
TILE_SIDE = 192  # pixels of the longer side
LABEL_HEIGHT = 18
BACKGROUND, INK = "white", "black"


def contact_sheet(model: Model, predictions: Sequence[Tensor]) -> Image.Image:
    """One tile for each of `predictions` (1 c h w), the guesses of the clean latents from the first step to the last.

    Of more than MAX_TILES evenly chosen ones are shown, always with the last.
    """
    tiles = [(i + 1, decoded(model, predictions[i])) for i in chosen(len(predictions))]
    width, height = tiles[0][1].size
    columns = math.ceil(math.sqrt(len(tiles) * height / width))
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + LABEL_HEIGHT)), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LABEL_HEIGHT - 6)
    for place, (number, tile) in enumerate(tiles):
        x, y = place % columns * width, place // columns * (height + LABEL_HEIGHT)
        draw.text((x + 4, y + 2), f"{number}/{len(predictions)}", INK, font)
        sheet.paste(tile, (x, y + LABEL_HEIGHT))
    return sheet


def chosen(count: int) -> list[int]:
    """At most MAX_TILES indices below `count`, evenly spaced, with the first and the last.

    >>> chosen(3)
    [0, 1, 2]
    """
    tiles = min(count, MAX_TILES)
    return [round(i * (count - 1) / max(tiles - 1, 1)) for i in range(tiles)]


@torch.inference_mode()
def decoded(model: Model, latents: Tensor) -> Image.Image:
    """The picture behind `latents`, as a tile."""
    longer = max(latents.shape[-2:])
    if longer > MAX_LATENT_SIDE:
        height, width = (max(1, side * MAX_LATENT_SIDE // longer) for side in latents.shape[-2:])
        latents = interpolate(latents.float(), size=(height, width), mode="area").to(latents.dtype)
    image = to_image(model.decode(latents))
    scale = TILE_SIDE / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
