"""Colours, tones and what else is done to a picture as a whole."""

from typing import Annotated

from fromnoise.preprocessors.arrays import NDArray, Picture, np
from fromnoise.preprocessors.lines import grey_picture
from fromnoise.preprocessors.opencv import opencv
from fromnoise.preprocessors.registry import Limits, preprocessor
from fromnoise.preprocessors.sizes import at_resolution

Gamma = Annotated[float, Limits(0.1, 2.0)]
GRID = 64  # pixels of the working resolution for each square
FLOW = 256  # pixels over which shuffling is smooth


@preprocessor(
    "invert",
    aliases=("invert (from white bg & black line)",),
    control_type="lineart",
    good_for="Turns black lines on white into white on black.",
    good_for_zh="把白底黑线变成黑底白线。",
)
def invert(image: Picture) -> Picture:
    return 255 - image


@preprocessor("threshold", good_for="Black and white, by brightness.", good_for_zh="按亮度变成黑白。")
def threshold(image: Picture, *, resolution: int = 512, level: Annotated[float, Limits(0, 255)] = 127) -> Picture:
    """White where all three colours are above `level`."""
    return grey_picture(np.where(at_resolution(image, resolution).min(axis=2) > level, 255, 0))


@preprocessor(
    "blur_gaussian",
    control_type="tile",
    good_for="A blurred picture, to be drawn sharp.",
    good_for_zh="模糊的图片，重新画得清晰。",
)
def blur_gaussian(
    image: Picture, *, resolution: int = 512, deviation: Annotated[float, Limits(0.01, 64)] = 9.0
) -> Picture:
    blurred: Picture = opencv().GaussianBlur(at_resolution(image, resolution), (0, 0), float(deviation))
    return blurred


@preprocessor(
    "tile_resample",
    control_type="tile",
    good_for="The picture itself, made smaller, so that details are drawn anew.",
    good_for_zh="缩小后的原图，用来重画细节。",
)
def tile_resample(image: Picture, *, down: Annotated[float, Limits(1, 8)] = 1.0) -> Picture:
    """`down`: how many times smaller; up to 1.1 the picture stays as it is."""
    if down < 1.1:
        return image
    cv2 = opencv()
    height, width = (int(side / down) for side in image.shape[:2])
    small: Picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small


@preprocessor(
    "shuffle",
    good_for="Colours and things in other places, for the picture's style alone.",
    good_for_zh="打乱颜色和内容的位置，只保留风格。",
)
def shuffle(image: Picture, *, resolution: int = 512, seed: int = 0) -> Picture:
    """Each place shows what is where a smooth random flow points to."""
    small = at_resolution(image, resolution)
    height, width = small.shape[:2]
    random = np.random.RandomState(seed % 2**32)
    across, down = (smooth_noise(random, height, width) * (side - 1) for side in (width, height))
    cv2 = opencv()
    shuffled: Picture = cv2.remap(small, np.dstack((across, down)).astype(np.float32), None, cv2.INTER_LINEAR)
    return shuffled


def smooth_noise(random: "np.random.RandomState", height: int, width: int) -> "NDArray[np.float64]":
    """(h w) from 0 to 1, smooth over 256 pixels."""
    cv2 = opencv()
    coarse = random.uniform(low=0, high=1, size=(height // FLOW + 2, width // FLOW + 2, 1))
    noise = cv2.resize(coarse, (width + 2 * FLOW, height + 2 * FLOW), interpolation=cv2.INTER_CUBIC)
    noise = noise[FLOW : FLOW + height, FLOW : FLOW + width]
    noise = noise - noise.min()
    return np.asarray(noise / noise.max())


@preprocessor(
    "t2ia_color_grid",
    aliases=("color",),
    good_for="A grid of colours, for T2I-Adapter's colour model.",
    good_for_zh="色块网格，用于 T2I-Adapter 的颜色模型。",
)
def color_grid(image: Picture, *, resolution: int = 512) -> Picture:
    """A square of resolution / 64 squares a side, each of one colour."""
    cv2 = opencv()
    squares = max(1, resolution // GRID)
    small = cv2.resize(image, (squares, squares), interpolation=cv2.INTER_CUBIC)
    grid: Picture = cv2.resize(small, (resolution, resolution), interpolation=cv2.INTER_NEAREST)
    return grid


@preprocessor(
    "recolor_luminance",
    good_for="The lightness alone, to be coloured; the result keeps it.",
    good_for_zh="只取明度，用来上色；结果保持原明度。",
)
def recolor_luminance(image: Picture, *, gamma: Gamma = 1.0) -> Picture:
    """L of CIELAB."""
    cv2 = opencv()
    return toned(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0], gamma)


@preprocessor(
    "recolor_intensity",
    good_for="The brightest colour alone, to be coloured; the result keeps it.",
    good_for_zh="只取最亮分量，用来上色；结果保持原亮度。",
)
def recolor_intensity(image: Picture, *, gamma: Gamma = 1.0) -> Picture:
    """V of HSV."""
    cv2 = opencv()
    return toned(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 2], gamma)


def toned(levels: "NDArray[np.uint8]", gamma: float) -> Picture:
    return grey_picture((levels.astype(np.float32) / 255) ** gamma * 255)
