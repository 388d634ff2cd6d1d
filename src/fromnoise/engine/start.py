"""What a picture starts from: a start picture and a mask as a recipe wants them; and how the result goes back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from fromnoise.checkpoints import files
from fromnoise.engine.beside import enlarging
from fromnoise.engine.canvas import (
    Box,
    Margins,
    blurred,
    drawn_mask,
    extended,
    filled,
    masked_box,
    new_part,
    resized,
    with_colours_of,
)
from fromnoise.engine.enlarge import enlarged, upscaler
from fromnoise.engine.images import open_image, to_tensor
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import PROFILES, MaskScale
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_guidance import Outpaint
from fromnoise.engine.recipe_parts import Inpaint, SoftInpaint
from fromnoise.engine.seeding import Seeding
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.guidance_masks import Softness, changed

LATENTS = ".latent"  # ending of the files that ComfyUI's SaveLatent writes
RESIZE = torch.nn.functional.interpolate


@dataclass(frozen=True)
class Start:
    """A start picture, encoded, with its mask."""

    latents: Tensor  # (1 c h w)
    mask: Tensor | None = None  # (1 1 h w) in [0, 1]; 1 may change
    image: Image.Image | None = None  # the pixels that were encoded, without what is filled in; none for latents
    pixel_mask: Image.Image | None = None  # grey levels, of the same size
    whole: Image.Image | None = None  # what `image` was cut out of
    whole_mask: Image.Image | None = None
    box: Box | None = None  # where

    def finished(self, image: Image.Image, recipe: Recipe, latents: Tensor) -> Image.Image:
        """A result in its place: with the start picture's colours, into its surroundings, under what was kept.

        latents: (1 c h w), those of the result.
        """
        if recipe.match_colours and self.image is not None:
            image = with_colours_of(image, self.image)
        if self.pixel_mask is None or self.image is None:
            return image
        soft = None if recipe.inpaint is None else recipe.inpaint.soft
        mask = self.pixel_mask if soft is None else self._changed(latents, soft)
        if self.whole is not None and self.whole_mask is not None and self.box is not None:
            canvas, blend = self.whole.copy(), self.whole_mask
            canvas.paste(image.resize(self.box.size, Image.Resampling.LANCZOS), self.box[:2])
            if soft is not None:
                blend = Image.new("L", self.whole.size)
                blend.paste(mask.resize(self.box.size, Image.Resampling.LANCZOS), self.box[:2])
            return Image.composite(canvas, self.whole, blend)
        if soft is not None:
            return Image.composite(image, self.image.convert("RGB"), mask)
        if not PROFILES[recipe.profile].paste_kept:
            return image
        if recipe.profile == "a1111":  # its edge is twice as steep as that of the latents' mask
            mask = mask.point(lambda level: min(255, 2 * level))
        return Image.composite(image, self.image.convert("RGB"), mask)

    def _changed(self, latents: Tensor, soft: SoftInpaint) -> Image.Image:
        """Soft inpainting: where pixels are to be the repainted ones, from how far the latents have moved."""
        assert self.mask is not None
        assert self.image is not None
        share = changed(self.latents, latents.to(self.latents), self.mask, Softness(**dict(soft)))
        small = Image.fromarray((share[0, 0] * 255).to(torch.uint8).numpy())
        return small.resize(self.image.size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(4))


def begun(model: Model, recipe: Recipe, seeding: Seeding) -> Start | None:
    """The start of a recipe, or None where it starts from noise. FileError where a file is missing or has changed."""
    if recipe.init is None:
        return None
    options = recipe.inpaint or Inpaint()
    mask = opened_mask(recipe, options)
    if recipe.outpaint is not None and recipe.init.path.endswith(LATENTS):
        raise UserError(f"{recipe.init.path}: saved latents have no canvas to grow; outpaint a picture")
    if recipe.init.path.endswith(LATENTS):
        latents = read_latents(recipe.init, model, seeding.shape)
        pixel_mask = None if mask is None else resized(mask, recipe.width, recipe.height, recipe.resize)
        return Start(latents, latent_mask(pixel_mask, recipe, seeding.shape), pixel_mask=pixel_mask)
    return pictured(model, recipe, seeding, grown(open_reference(recipe.init), recipe, model), mask, options)


def grown(image: Image.Image, recipe: Recipe, model: Model) -> Image.Image:
    """A start picture that is too small, enlarged by the recipe's upscaler, in its own proportions."""
    if recipe.init_upscaler is None:
        return image
    factors = recipe.width / image.width, recipe.height / image.height
    factor = min(factors) if recipe.resize == "fill" else max(factors)
    if factor <= 1:
        return image
    by = upscaler(recipe.init_upscaler, model.settings)
    width, height = round(image.width * factor), round(image.height * factor)
    return enlarging(model, by, lambda how: enlarged(image, width, height, by, how))


def pictured(
    model: Model, recipe: Recipe, seeding: Seeding, image: Image.Image, mask: Image.Image | None, options: Inpaint
) -> Start:
    """The start from a picture."""
    if recipe.outpaint is not None:
        image, mask = outpainted(image, mask, recipe.outpaint, PROFILES[recipe.profile].outpaint_fill)
    whole = whole_mask = box = None
    if mask is not None and options.only_masked:
        whole, whole_mask = image.convert("RGB"), resized(mask, *image.size, "stretch")
        box = masked_box(whole_mask, options.padding, recipe.width, recipe.height)
        if box is not None:
            image, mask = whole.crop(box), whole_mask.crop(box)
    mode = "stretch" if box else recipe.resize
    if mask is not None:
        mask = resized(mask, recipe.width, recipe.height, mode)
    if mode != "latent":
        image = resized(image, recipe.width, recipe.height, mode)
    latents = encoded(model, image, mask, options, seeding)
    small = latent_mask(mask, recipe, seeding.shape)
    latents = masked_content(latents, small, options, seeding)
    shown = resized(image, recipe.width, recipe.height, "stretch")
    if box is None:
        whole = whole_mask = None
    return Start(latents, small, shown, mask, whole, whole_mask, box)


def outpainted(
    image: Image.Image, mask: Image.Image | None, options: Outpaint, fill: str
) -> tuple[Image.Image, Image.Image]:
    """A picture on a larger canvas, and the mask of its new part and of what the mask given besides says."""
    by = Margins(options.left, options.top, options.right, options.bottom)
    new = new_part(image.size, by, options.feather)
    if mask is not None:
        inside = Image.new("L", new.size)
        inside.paste(resized(mask, *image.size, "stretch"), by[:2])
        new = ImageChops.lighter(new, inside)
    return extended(image.convert("RGB"), by, options.fill or fill), new


def encoded(
    model: Model, image: Image.Image, mask: Image.Image | None, options: Inpaint, seeding: Seeding
) -> Tensor:  # fmt: skip
    """Latents of `seeding.shape` of a picture of that size or, for resizing afterwards, another."""
    factor = model.vae.config.downscale
    if mask is not None and options.content != "original" and image.size == mask.size:
        image = filled(image.convert("RGB"), mask)
    height, width = (side * factor for side in seeding.shape[2:])
    if image.size == (width, height):
        return model.encode(to_tensor(image), seeding.posterior())
    across, down = (max(1, side // factor) * factor for side in image.size)
    image = resized(image, across, down, "crop")
    return RESIZE(model.encode(to_tensor(image)), size=seeding.shape[2:], mode="bilinear")


def masked_content(latents: Tensor, mask: Tensor | None, options: Inpaint, seeding: Seeding) -> Tensor:
    """Latents with what is under the mask replaced by noise or by nothing, where that is wanted."""
    if mask is None or options.content not in ("noise", "nothing"):
        return latents
    under = seeding.masked_content() if options.content == "noise" else torch.zeros_like(latents)
    return torch.lerp(latents, under, mask)


def opened_mask(recipe: Recipe, options: Inpaint) -> Image.Image | None:
    """Grey levels of the mask, white where the picture may change, blurred and turned round as asked."""
    if recipe.mask is None:
        return None
    mask = drawn_mask(open_reference(recipe.mask), opaque=recipe.profile == "a1111")
    if options.invert:
        mask = mask.point(lambda level: 255 - level)
    return blurred(mask, options.blur)


def latent_mask(mask: Image.Image | None, recipe: Recipe, shape: tuple[int, ...]) -> Tensor | None:
    """(1 1 h w) in [0, 1] for latents of `shape`."""
    if mask is None:
        return None
    profile, inpaint = PROFILES[recipe.profile], recipe.inpaint
    small = shrunk(mask, shape, profile.mask_scale)
    grey = inpaint is not None and (inpaint.gradual or inpaint.soft is not None)
    return small.round() if profile.round_mask and not grey else small


def shrunk(mask: Image.Image, shape: tuple[int, ...], scale: MaskScale) -> Tensor:
    height, width = shape[2:]
    if scale == "bicubic":
        return pixels_of(mask.resize((width, height), Image.Resampling.BICUBIC))
    return RESIZE(pixels_of(mask), size=(height, width), mode=scale)


def pixels_of(mask: Image.Image) -> Tensor:
    """(1 1 h w) in [0, 1] of grey levels."""
    return torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)[None, None]


def open_reference(reference: ImageRef) -> Image.Image:
    """The referenced picture; FileError where the file has changed."""
    image = open_image(Path(reference.path))
    check_unchanged(reference)
    return image


def check_unchanged(reference: ImageRef) -> None:
    if ImageRef.of(Path(reference.path)).sha256 != reference.sha256:
        raise FileError(f"{reference.path}: has changed since the recipe was written")


def read_latents(reference: ImageRef, model: Model, shape: tuple[int, ...]) -> Tensor:
    """The latents in a file that ComfyUI's SaveLatent wrote, in our scale. FileError where they don't fit."""
    weights = files.read(reference.path)
    check_unchanged(reference)
    found = weights.get("latent_tensor")
    if found is None or tuple(found.shape[1:]) != shape[1:] or not len(found):
        size = "none" if found is None else "x".join(str(side) for side in found.shape)
        raise FileError(f"{reference.path}: holds no latents of the recipe's size {shape}, but {size}")
    old = "latent_format_version_0" not in weights  # these were written in the network's scale
    return found[:1].float() if old else model.vae.scaled(found[:1].float())
