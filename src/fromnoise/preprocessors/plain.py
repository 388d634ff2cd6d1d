"""Preprocessors that leave the picture as it is: their name says what is done with it."""

from typing import Annotated

from fromnoise.preprocessors.arrays import Picture, np
from fromnoise.preprocessors.registry import Limits, preprocessor

Share = Annotated[float, Limits(0, 1)]
Variation = Annotated[float, Limits(3, 32)]


@preprocessor("none", good_for="The picture is a hint already.", good_for_zh="图片本身就是控制图。")
def none(image: Picture) -> Picture:
    return image


@preprocessor(
    "inpaint_global_harmonious",
    aliases=("inpaint",),
    role="inpaint",
    control_type="inpaint",
    good_for="Paints under the mask, and lets the rest change with it.",
    good_for_zh="重绘蒙版内，其余部分随之协调。",
)
def inpaint_global_harmonious(image: Picture) -> Picture:
    return image


@preprocessor(
    "inpaint_only",
    role="inpaint",
    control_type="inpaint",
    good_for="Paints under the mask alone; the rest stays as it is.",
    good_for_zh="只重绘蒙版内，其余保持不变。",
)
def inpaint_only(image: Picture) -> Picture:
    return image


@preprocessor(
    "inpaint_promax",
    role="inpaint",
    control_type="inpaint",
    good_for="For union ControlNets: black under the mask.",
    good_for_zh="用于 union ControlNet：蒙版内为黑色。",
)
def inpaint_promax(image: Picture) -> Picture:
    changed = image.copy()
    changed[image[..., 3] > 0, :3] = 0
    return np.ascontiguousarray(changed[..., :3])


@preprocessor(
    "tile_colorfix",
    control_type="tile",
    good_for="Details anew with the picture's own colours.",
    good_for_zh="重画细节并保持原图颜色。",
)
def tile_colorfix(image: Picture, *, variation: Variation = 8) -> Picture:
    """`variation`: latents over which colours are averaged."""
    return image


@preprocessor(
    "tile_colorfix+sharp",
    control_type="tile",
    good_for="The same, and sharper.",
    good_for_zh="同上，并且更锐利。",
)
def tile_colorfix_sharp(
    image: Picture, *, variation: Variation = 8, sharpness: Annotated[float, Limits(0, 2)] = 1.0
) -> Picture:
    """`sharpness`: how many hundredths the negative prompt's answer is blurred."""
    return image


@preprocessor(
    "reference_only",
    role="reference",
    good_for="A picture to resemble; needs no model.",
    good_for_zh="要与之相像的参考图；不需要模型。",
)
def reference_only(image: Picture, *, fidelity: Share = 0.5) -> Picture:
    """`fidelity`: how much of the reference the negative prompt does not see."""
    return image


@preprocessor(
    "reference_adain",
    role="reference",
    good_for="A picture whose colours and textures to take; needs no model.",
    good_for_zh="借用其颜色与质感的参考图；不需要模型。",
)
def reference_adain(image: Picture, *, fidelity: Share = 0.5) -> Picture:
    return image


@preprocessor(
    "reference_adain+attn",
    role="reference",
    good_for="Both of them.",
    good_for_zh="两者兼用。",
)
def reference_both(image: Picture, *, fidelity: Share = 0.5) -> Picture:
    return image
