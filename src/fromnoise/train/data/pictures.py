"""A picture of a data set as a network sees it: opened, made as large as its bucket, cut, mirrored.

Everything random comes from a `Random` that the caller keys, so that a stopped training goes on with the same cuts.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fromnoise.engine.images import open_image, to_tensor
from fromnoise.errors import UserError
from fromnoise.train.data.buckets import Fit, Size
from fromnoise.train.data.faces import around, face_of
from fromnoise.train.data.source import Example

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "linear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "cubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
HUE = 8  # degrees that colour may turn by


@dataclass(frozen=True)
class Cut:
    """Which part of a resized picture is seen; also what SDXL is told of it. Pixels, left and top first."""

    original: Size  # width and height of the file
    corner: tuple[int, int]
    mirrored: bool


@dataclass(frozen=True)
class Seen:
    """A picture ready to be encoded."""

    pixels: Tensor  # (3 h w) in [-1, 1]
    cut: Cut
    mask: Tensor | None = None  # (1 h w) in [0, 1], 0 where the loss does not count
    control: Tensor | None = None  # (3 h w) in [0, 1]


def seen(example: Example, fit: Fit, random: Random) -> Seen:
    """The picture of an example in its bucket. FileError where it can't be read."""
    rules = example.subset
    picture = open_image(example.path)
    fit, cut = framed(example, picture.size, fit, random)
    size = rules.resize_interpolation
    pixels = to_tensor(in_bucket(picture, fit, cut, size))[0]
    if rules.color_aug:
        pixels = turned(pixels, random.uniform(-HUE, HUE))
    return Seen(pixels, cut, mask_of(example, picture, fit, cut), control_of(example, fit, cut))


def framed(example: Example, size: Size, fit: Fit, random: Random) -> tuple[Fit, Cut]:
    """How large a picture of `size` is made, and what is cut out of it."""
    rules = example.subset
    face = face_of(example.path) if rules.face_crop_aug_range else None
    if face is None or rules.face_crop_aug_range is None:
        return fit, chosen_cut(size, fit, random, anywhere=rules.random_crop, mirror=rules.flip_aug)
    resized, corner = around(face, size, fit.bucket, rules.face_crop_aug_range, random, anywhere=rules.random_crop)
    return replace(fit, resized=resized), Cut(size, corner, rules.flip_aug and random.random() < 0.5)


def chosen_cut(size: Size, fit: Fit, random: Random, *, anywhere: bool = False, mirror: bool = False) -> Cut:
    """The middle, or anywhere; mirrored half of the time where that is wanted."""
    across, down = fit.spare
    corner = (random.randint(0, across), random.randint(0, down)) if anywhere else (across // 2, down // 2)
    return Cut(size, corner, mirror and random.random() < 0.5)


def in_bucket(picture: Image.Image, fit: Fit, cut: Cut, interpolation: str | None = None) -> Image.Image:
    """The picture resized and cut to its bucket."""
    if picture.size != fit.resized:
        picture = picture.resize(fit.resized, resampling(interpolation, shrinking=picture.width > fit.resized[0]))
    left, top = cut.corner
    picture = picture.crop((left, top, left + fit.bucket[0], top + fit.bucket[1]))
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if cut.mirrored else picture


def resampling(name: str | None, *, shrinking: bool) -> Image.Resampling:
    """The filter of that name; without one what suits the direction, as in kohya: areas, or Lanczos to enlarge."""
    if name is None:
        return Image.Resampling.BOX if shrinking else Image.Resampling.LANCZOS
    if name not in RESAMPLING:
        raise UserError(f"unknown resize_interpolation {name!r}; choose one of {', '.join(RESAMPLING)}")
    return RESAMPLING[name]


def mask_of(example: Example, picture: Image.Image, fit: Fit, cut: Cut) -> Tensor | None:
    """(1 h w): of the mask that belongs to it, or of its transparency where that counts."""
    if example.mask is not None:
        mask = open_image(example.mask).convert("L")
        if mask.size != picture.size:
            mask = mask.resize(picture.size, Image.Resampling.BILINEAR)
    elif example.subset.alpha_mask and "A" in picture.getbands():
        mask = picture.getchannel("A")
    else:
        return None
    return torch.from_numpy(np.asarray(in_bucket(mask, fit, cut, "bilinear"), np.float32) / 255)[None]


def control_of(example: Example, fit: Fit, cut: Cut) -> Tensor | None:
    """(3 h w) in [0, 1]: the picture that steers a ControlNet, cut like its partner."""
    if example.control is None:
        return None
    picture = open_image(example.control)
    if picture.size != cut.original:
        picture = picture.resize(cut.original, Image.Resampling.BICUBIC)
    return (to_tensor(in_bucket(picture, fit, cut))[0] + 1) / 2


def turned(pixels: Tensor, degrees: float) -> Tensor:
    """Pixels (3 h w) in [-1, 1] with their hue turned about the grey axis."""
    angle = np.deg2rad(degrees)
    axis = np.full(3, 3**-0.5)
    cross: NDArray[np.float64] = np.cross(np.eye(3), axis)
    matrix = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    mixed = torch.einsum("ij,jhw->ihw", torch.from_numpy(matrix.astype(np.float32)), pixels)
    return mixed.clamp(-1, 1)


def size_of(path: Path) -> Size:
    """Width and height of a picture, upright. FileError where it can't be read to its end (JPEGs are, at an eighth)."""
    try:
        with Image.open(path) as image:
            turned_sideways = image.getexif().get(0x0112, 1) >= 5
            size = (image.height, image.width) if turned_sideways else (image.width, image.height)
            image.draft("RGB", (1, 1))
            image.load()
            return size
    except Exception:  # whatever a decoder says of a bad file, `open_image` says in one line
        return open_image(path).size
