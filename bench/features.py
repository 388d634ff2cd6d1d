"""Picture features that no model was trained for: what a picture shows, by colour and outline.

The background is taken off first (its colour is the median of the border), so that neighbours are neighbours in what
is drawn. Then: the thumbnail in CIELAB and histograms of oriented gradients (Dalal and Triggs, 2005).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

THUMBNAIL, CELLS, BINS = 16, 8, 9
GRAY = np.array([60.0, 0.0, 0.0], np.float32)  # Lab, what replaces the background


def lab(rgb: NDArray[np.uint8]) -> Array:
    """sRGB (h w 3) uint8 to CIELAB under D65."""
    c = rgb.astype(np.float32) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
    t = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883], np.float32)
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1).astype(np.float32)


def background(picture: NDArray[np.uint8], border: int = 4) -> Array:
    """The Lab colour (3) of the background: the median over the outermost `border` pixels; picture (h w 3)."""
    edge = np.ones(picture.shape[:2], bool)
    edge[border:-border, border:-border] = False
    return np.asarray(np.median(lab(picture[edge][None])[0], axis=0), np.float32)


def foreground(picture: NDArray[np.uint8]) -> tuple[Array, Array]:
    """The picture in Lab (h w 3) on gray, and how much of each pixel is foreground (h w) in [0, 1]."""
    pixels = lab(picture)
    alpha = np.clip((np.linalg.norm(pixels - background(picture), axis=-1) - 6) / 12, 0, 1).astype(np.float32)
    return pixels * alpha[..., None] + GRAY * (1 - alpha[..., None]), alpha


def describe(picture: NDArray[np.uint8]) -> Array:
    """The feature vector of a picture (h w 3), unit length."""
    pixels, alpha = foreground(picture)
    thumbnail = pool(pixels - GRAY, THUMBNAIL).reshape(-1)
    shape = gradients(pixels[..., 0]).reshape(-1)
    outline = pool(alpha[..., None], THUMBNAIL).reshape(-1)
    parts = [unit(thumbnail), 0.7 * unit(shape), 0.5 * unit(outline - outline.mean())]
    return unit(np.concatenate(parts))


def gradients(light: Array) -> Array:
    """Histograms of gradient directions (CELLS CELLS BINS), square-rooted."""
    dy, dx = np.gradient(light)
    strength, angle = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
    size = light.shape[0] // CELLS
    bins = np.minimum((angle / np.pi * BINS).astype(int), BINS - 1)
    out = np.zeros((CELLS, CELLS, BINS), np.float32)
    for b in range(BINS):
        weight = np.where(bins == b, strength, 0)
        out[..., b] = weight.reshape(CELLS, size, CELLS, size).sum(axis=(1, 3))
    return np.sqrt(out)


def pool(pixels: Array, side: int) -> Array:
    """(h w c) averaged to (side side c)."""
    size = pixels.shape[0] // side
    return np.asarray(pixels.reshape(side, size, side, size, -1).mean(axis=(1, 3)), np.float32)


def unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
