"""From a control of a recipe to its hint in the size of a pass."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fromnoise.engine import shelves
from fromnoise.engine.canvas import Box, drawn_mask, resized
from fromnoise.engine.images import opaque, open_image
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_control import Control
from fromnoise.engine.recipe_parts import Inpaint
from fromnoise.engine.references import ImageRef
from fromnoise.engine.start import Start, check_unchanged, opened_mask
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.arrays import Picture
from fromnoise.preprocessors.sizes import fitted, pixel_perfect
from fromnoise.settings import Settings

RANDOM = 2**32  # seeds of preprocessors
KEPT = 8  # hints in memory


@dataclass(frozen=True)
class Source:
    """A picture that a hint is made of; the mask is 255 where it is to be painted anew."""

    image: ImageRef
    mask: ImageRef | None


def hint_picture(
    recipe: Recipe, control: Control, width: int, height: int, start: Start | None, settings: Settings
) -> Picture:  # fmt: skip
    """The hint of a control in that size, with a mask as its fourth channel if it is for painting anew."""
    profile = PROFILES[recipe.profile]
    mode = control.resize or (profile.hint_resize if control.image else fitting(recipe.resize))
    spec = PREPROCESSORS[control.preprocessor]
    reference = control.image or recipe.init
    assert reference is not None
    check_unchanged(reference)
    image = opened(reference)
    if spec.role == "inpaint":
        image = np.concatenate((image, mask_of(recipe, control, image)), axis=2)
    if start is not None and start.box is not None and start.whole is not None and not control.is_reference:
        image, mode = cut(image, start.whole.size, start.box, mode), "stretch"
    resolution = control.resolution
    if control.pixel_perfect and spec.resolution is not None:
        resolution = pixel_perfect(image.shape[1], image.shape[0], (width, height), whole=mode == "fill")
        resolution = int(np.clip(resolution, 64, 2048))
    hint = spec(
        image,
        resolution=resolution,
        parameters=control.parameters,
        seed=hint_seed(recipe, profile),
        folders=weight_folders(settings),
    )
    return scaled(hint, width, height, mode, profile)


def weight_folders(settings: Settings) -> list[Path]:
    """Where preprocessors look for their weights; the first is where missing ones belong."""
    there = [shelf.folder for shelf in shelves.shelves("preprocessors", settings)]
    return there or [shelves.home("preprocessors", settings)]


def fitting(resize: str) -> str:
    """The start picture's own way, where a hint is made of it."""
    return resize if resize in ("crop", "fill") else "stretch"


def hint_seed(recipe: Recipe, profile: Profile) -> int:
    """AUTOMATIC1111 adds the variation seed, or the seed again."""
    if profile.name != "a1111":
        return recipe.seed % RANDOM
    return (recipe.seed + (recipe.variation.seed if recipe.variation else recipe.seed)) % RANDOM


@lru_cache(maxsize=KEPT)
def opened(reference: ImageRef) -> Picture:
    """(h w 3), transparency shown white; not to be changed."""
    pixels = np.asarray(opaque(open_image(Path(reference.path))).convert("RGB"))
    pixels.setflags(write=False)
    return pixels


def mask_of(recipe: Recipe, control: Control, image: Picture) -> Picture:
    """(h w 1) for a picture; zeros where there is no mask. Of the start picture it is the recipe's own."""
    if control.mask is not None:
        check_unchanged(control.mask)
        mask = drawn_mask(open_image(Path(control.mask.path)), opaque=recipe.profile == "a1111")
    else:
        found = opened_mask(recipe, recipe.inpaint or Inpaint()) if control.image is None else None
        mask = found or Image.new("L", (1, 1))
    height, width = image.shape[:2]
    return np.asarray(resized(mask, width, height, "stretch"))[..., None]


def cut(image: Picture, whole: tuple[int, int], box: Box, mode: str) -> Picture:
    """The part of a picture, fitted to `whole`, that is painted anew."""
    parts = [Image.fromarray(image[..., :3]), *(Image.fromarray(image[..., 3]) for _ in range(image.shape[2] - 3))]
    cropped = [np.asarray(resized(part, *whole, mode).crop(box)) for part in parts]
    return np.dstack(cropped)


def scaled(hint: Picture, width: int, height: int, mode: str, profile: Profile) -> Picture:
    """A hint in that size, as the profile makes it."""
    if profile.hint_scale == "content" or (profile.hint_scale == "nearest" and mode == "fill"):
        return fitted(hint, width, height, mode)
    if profile.hint_scale == "lanczos":
        parts = [Image.fromarray(hint[..., :3]), *(Image.fromarray(hint[..., 3]) for _ in range(hint.shape[2] - 3))]
        return np.dstack([np.asarray(resized(part, width, height, mode)) for part in parts])
    return nearest(hint, width, height, mode)


def nearest(hint: Picture, width: int, height: int, mode: str) -> Picture:
    """As ComfyUI resizes: "crop" cuts off what stands over on both sides, rounded to whole pixels."""
    pixels = torch.from_numpy(np.array(hint)).permute(2, 0, 1)[None].float()
    old_height, old_width = hint.shape[:2]
    if mode == "crop":
        before, after = old_width / old_height, width / height
        x = round((old_width - old_width * (after / before)) / 2) if before > after else 0
        y = round((old_height - old_height * (before / after)) / 2) if before < after else 0
        pixels = pixels[..., y : old_height - y, x : old_width - x]
    small = F.interpolate(pixels, size=(height, width), mode="nearest-exact")
    return small[0].permute(1, 2, 0).to(torch.uint8).numpy()


def hint_tensor(hint: Picture, channels: int) -> Tensor:
    """(1 channels h w) in [0, 1]; what is to be painted anew is -1, as ControlNets for inpainting were trained."""
    pixels = torch.from_numpy(np.array(hint)).permute(2, 0, 1)[None].float() / 255
    colours, mask = pixels[:, :3], pixels[:, 3:]
    if mask.shape[1]:
        hole = (mask > 0.5).float()
        colours = colours * (1 - hole) - hole
    if channels == 1:
        return colours.mean(dim=1, keepdim=True)
    if channels != 3:
        raise UserError(f"this control network takes hints of {channels} channels, which no preprocessor makes")
    return colours


def region_tensor(reference: ImageRef | None) -> Tensor | None:
    """(1 1 h w) in [0, 1]."""
    if reference is None:
        return None
    check_unchanged(reference)
    grey = np.asarray(open_image(Path(reference.path)).convert("L"), dtype=np.float32)
    return torch.from_numpy(grey / 255)[None, None]
