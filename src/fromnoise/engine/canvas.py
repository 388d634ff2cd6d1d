"""Start pictures and masks before the network sees them: sizes, blurred edges, what is under a mask."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

LANCZOS = Image.Resampling.LANCZOS

# radius of the blur and how often its result is laid over itself, from far colours to near ones
FILL_CASCADE = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top


def resized(image: Image.Image, width: int, height: int, mode: str) -> Image.Image:
    """`image` in that size: "stretch"; "crop" about its centre; "fill", the whole of it between stretched edges."""
    if image.size == (width, height):
        return image
    if mode == "crop":
        return ImageOps.fit(image, (width, height), LANCZOS)
    if mode != "fill":
        return image.resize((width, height), LANCZOS)
    inside = ImageOps.contain(image, (width, height), LANCZOS)
    left, top = (width - inside.width) // 2, (height - inside.height) // 2
    margins = (top, height - inside.height - top), (left, width - inside.width - left)
    pixels = np.asarray(inside)
    return Image.fromarray(np.pad(pixels, (*margins, *[(0, 0)] * (pixels.ndim - 2)), mode="edge"))


def drawn_mask(image: Image.Image, *, opaque: bool) -> Image.Image:
    """Grey levels of a mask, white where the picture may change.

    Where a mask has transparent parts only they count: what may change is transparent, or, with `opaque`, is not.
    """
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() != (255, 255):
        alpha = image.getchannel("A")
        return alpha.point(lambda a: 255 if a > 128 else 0) if opaque else ImageOps.invert(alpha)
    return image.convert("L")


def blurred(mask: Image.Image, deviation: float) -> Image.Image:
    """`mask` under a Gaussian of that standard deviation in pixels, cut off at 2.5 of them."""
    if deviation <= 0:
        return mask
    radius = int(2.5 * deviation + 0.5)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / deviation) ** 2)
    pixels = torch.from_numpy(np.asarray(mask, dtype=np.float32))
    for _ in range(2):  # rows, then columns
        pixels = _blurred_rows(pixels, taps / taps.sum()).T
    return Image.fromarray(pixels.round().clamp(0, 255).to(torch.uint8).contiguous().numpy())


def _blurred_rows(pixels: Tensor, taps: Tensor) -> Tensor:
    radius, width = len(taps) // 2, pixels.shape[1]
    at = torch.arange(-radius, width + radius).abs() % max(1, 2 * width - 2)  # mirrored at the first and last pixel
    at = torch.minimum(at, 2 * width - 2 - at).clamp(min=0)
    return torch.nn.functional.conv1d(pixels[:, None, at], taps[None, None])[:, 0]


def masked_box(mask: Image.Image, padding: int, width: int, height: int) -> Box | None:
    """The part of a picture around its mask, in the proportions of width and height; None where the mask is black."""
    bounds = mask.getbbox()
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    box = Box(
        max(0, left - padding),
        max(0, top - padding),
        min(mask.width, right + padding),
        min(mask.height, bottom + padding),
    )
    (across, down), ratio = box.size, width / height
    if across / down > ratio:
        top, bottom = _widened(box.top, box.bottom, math.ceil(across / ratio), mask.height)
        return box._replace(top=top, bottom=bottom)
    left, right = _widened(box.left, box.right, math.ceil(down * ratio), mask.width)
    return box._replace(left=left, right=right)


def _widened(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    """[start, end) made `wanted` long, or as long as [0, limit) allows, about the same centre if possible."""
    wanted = min(max(wanted, end - start), limit)
    start = max(0, min(start - (wanted - (end - start)) // 2, limit - wanted))
    return start, start + wanted


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """`image` with the colours around the mask flowing into it."""
    seen = Image.new("RGBa", image.size)
    seen.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", image.size)
    for radius, times in FILL_CASCADE:
        layer = seen.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(layer)
    return result.convert("RGB")


class Margins(NamedTuple):
    """Pixels on the four sides of a picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


GRAY = 127  # ComfyUI's 0.5, as a level


def extended(image: Image.Image, by: Margins, fill: str) -> Image.Image:
    """`image` on a larger canvas: its edges stretched outwards, or, with `fill` "gray", gray."""
    pixels = np.asarray(image)
    margins = ((by.top, by.bottom), (by.left, by.right), *[(0, 0)] * (pixels.ndim - 2))
    if fill == "gray":
        return Image.fromarray(np.pad(pixels, margins, constant_values=GRAY))
    return Image.fromarray(np.pad(pixels, margins, mode="edge"))


def new_part(size: tuple[int, int], by: Margins, feather: int) -> Image.Image:
    """The mask of what is new on a canvas about a picture of `size` (width, height), grey levels.

    It fades into the picture over `feather` pixels from each side that grows, as ComfyUI's ImagePadForOutpaint does:
    (1 - distance / feather)^2; not at all where twice that is not less than each of its sides.
    """
    width, height = size
    near = np.full((height, width), np.inf)
    if 0 < 2 * feather < min(width, height):
        rows, columns = np.arange(height)[:, None], np.arange(width)[None]
        distances = ((by.left, columns), (by.top, rows), (by.right, width - columns), (by.bottom, height - rows))
        for grown, distance in distances:
            near = np.minimum(near, distance) if grown else near
    fading = np.maximum(0, 1 - near / max(1, feather)) ** 2
    canvas = np.pad(fading, ((by.top, by.bottom), (by.left, by.right)), constant_values=1.0)
    return Image.fromarray((canvas * 255).round().astype(np.uint8))


# --- colours ----------------------------------------------------------------------------------------------------------

_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.950456, 1.0, 1.088754])  # D65
_LUMA = np.array([0.3, 0.59, 0.11])


def with_colours_of(image: Image.Image, model: Image.Image) -> Image.Image:
    """`image` with each channel of its CIELAB colours distributed as in `model`, and its own luminosity."""
    ours, theirs = (_to_lab(np.asarray(i.convert("RGB"), dtype=np.float64) / 255) for i in (image, model))
    matched = np.stack([_matched(ours[..., c], theirs[..., c]) for c in range(3)], axis=-1)
    colours = _from_lab(matched).clip(0, 1)
    own = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    result = _with_luminosity(colours, own @ _LUMA)
    return Image.fromarray((result * 255).round().clip(0, 255).astype(np.uint8))


def _matched(values: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` moved so that their distribution is that of `model`."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    levels, model_counts = np.unique(model, return_counts=True)
    quantiles = np.cumsum(counts) / values.size
    moved: NDArray[np.float64] = np.interp(quantiles, np.cumsum(model_counts) / model.size, levels)
    return moved[where].reshape(values.shape)


def _to_lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    ratio = linear @ _TO_XYZ.T / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def _from_lab(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    lightness, a, b = np.moveaxis(lab, -1, 0)
    y = (lightness + 16) / 116
    f = np.stack((y + a / 500, y, y - b / 200), axis=-1)
    ratio = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = (ratio * _WHITE) @ np.linalg.inv(_TO_XYZ).T
    rgb: NDArray[np.float64] = np.where(
        linear > 0.0031308, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    return rgb


def _with_luminosity(colours: NDArray[np.float64], luminosity: NDArray[np.float64]) -> NDArray[np.float64]:
    """The W3C's blend mode: `colours` shifted to that luminosity, and drawn towards it where they leave [0, 1]."""
    shifted = colours + (luminosity - colours @ _LUMA)[..., None]
    light = (shifted @ _LUMA)[..., None]
    low, high = shifted.min(-1, keepdims=True), shifted.max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shifted = np.where(low < 0, light + (shifted - light) * light / (light - low), shifted)
        shifted = np.where(high > 1, light + (shifted - light) * (1 - light) / (high - light), shifted)
    fitted: NDArray[np.float64] = np.nan_to_num(shifted)
    return fitted
