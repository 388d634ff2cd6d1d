"""What some preprocessors of AUTOMATIC1111's extension do besides the hint: to the network's guesses, and to the
finished picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fromnoise.preprocessors.arrays import Picture
from fromnoise.preprocessors.opencv import opencv
from fromnoise.sampling.areas import Place
from fromnoise.sampling.guidance import Attachment
from fromnoise.sampling.samplers import Evaluate

EDGE = 7  # pixels over which the painted part flows into the rest


@dataclass(frozen=True)
class Recoloured:
    """tile_colorfix: each guess gets the hint's colours, averaged over squares of 2 radius + 1 latents."""

    latents: Tensor  # (1 c h w), of the hint
    radius: int
    blur: float  # how much of the negative prompt's guess is blurred
    weight: float  # 0 to 1

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        return ()

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        colours = part(averaged(self.latents.to(denoised), self.radius), place)
        changed = denoised - averaged(denoised, self.radius) + colours
        if negative and self.blur:
            changed = self.blur * averaged(changed, self.radius) + (1 - self.blur) * changed
        return torch.lerp(denoised, changed, self.weight)


@dataclass(frozen=True)
class Painted:
    """inpaint_only: outside the mask each guess is the picture itself."""

    latents: Tensor  # (1 c h w), of the picture
    mask: Tensor  # (1 1 h w), 1 where it is painted anew
    weight: float  # 0 to 1

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        return ()

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        mask, latents = (part(whole.to(denoised), place) for whole in (self.mask, self.latents))
        changed = denoised * mask + latents * (1 - mask)
        return torch.lerp(denoised, changed, self.weight)


def part(whole: Tensor, place: Place | None) -> Tensor:
    """What of a tensor over the picture lies there."""
    return whole if place is None else place.part(whole)


def averaged(x: Tensor, radius: int) -> Tensor:
    """The mean over squares of 2 radius + 1 places, edges repeated."""
    padded = F.pad(x, (radius,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, stride=1)


Finish = Callable[[Image.Image, Picture], Image.Image]


def pasted(image: Image.Image, hint: Picture) -> Image.Image:
    """inpaint_only: the picture's own pixels outside the mask, which is widened and blurred."""
    cv2 = opencv()
    mask = cv2.blur(cv2.dilate(hint[..., 3].astype(np.float32) / 255, np.ones((EDGE, EDGE), np.uint8)), (EDGE, EDGE))
    made = np.asarray(image.convert("RGB"), dtype=np.float32)
    mixed = made * mask[..., None] + hint[..., :3].astype(np.float32) * (1 - mask[..., None])
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def with_lightness(image: Image.Image, hint: Picture) -> Image.Image:
    """recolor_luminance: L of CIELAB is the hint."""
    cv2 = opencv()
    return with_channel(image, hint, cv2.COLOR_RGB2LAB, cv2.COLOR_LAB2RGB, 0)


def with_brightness(image: Image.Image, hint: Picture) -> Image.Image:
    """recolor_intensity: V of HSV is the hint."""
    cv2 = opencv()
    return with_channel(image, hint, cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB, 2)


def with_channel(image: Image.Image, hint: Picture, there: int, back: int, channel: int) -> Image.Image:
    cv2 = opencv()
    converted = cv2.cvtColor(np.asarray(image.convert("RGB")), there)
    converted[..., channel] = hint[..., 0]
    return Image.fromarray(cv2.cvtColor(converted, back))


FINISHES: dict[str, Finish] = {
    "inpaint_only": pasted,
    "inpaint_only+lama": pasted,
    "recolor_luminance": with_lightness,
    "recolor_intensity": with_brightness,
}
