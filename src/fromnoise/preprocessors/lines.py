"""Edges and lines by classical means."""

from typing import Annotated, Any

from fromnoise.preprocessors.arrays import NDArray, Picture, np
from fromnoise.preprocessors.opencv import opencv
from fromnoise.preprocessors.registry import Limits, preprocessor
from fromnoise.preprocessors.sizes import at_resolution, in_blocks, ridges

Level = Annotated[float, Limits(0, 256)]
Width = Annotated[float, Limits(0.3, 8.0)]


def grey_picture(levels: "NDArray[Any]") -> Picture:
    """(h w) of any numbers as a picture."""
    return np.repeat(levels.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@preprocessor(
    "canny",
    control_type="lineart",
    good_for="Sharp outlines of what is in the picture.",
    good_for_zh="画面内容的清晰轮廓。",
)
def canny(image: Picture, *, resolution: int = 512, low: Level = 100, high: Level = 200) -> Picture:
    """Canny (1986): edges stronger than `high`, and those above `low` that go on from them."""
    small = at_resolution(image, resolution)
    height, width = small.shape[:2]
    return grey_picture(opencv().Canny(in_blocks(small), int(low), int(high))[:height, :width])


@preprocessor(
    "lineart_standard",
    aliases=("lineart_standard (from white bg & black line)",),
    control_type="lineart",
    good_for="Lines of a drawing on paper, or soft lines of a photo.",
    good_for_zh="纸上线稿的线条，或照片的柔和线条。",
)
def lineart_standard(image: Picture, *, resolution: int = 512) -> Picture:
    """How much darker each place is than its surroundings."""
    small = at_resolution(image, resolution)
    height, width = small.shape[:2]
    padded = in_blocks(small).astype(np.float32)
    darker = (opencv().GaussianBlur(padded, (0, 0), 6.0) - padded).min(axis=2).clip(0, 255)
    clear = darker[darker > 8]
    darker *= 127 / max(16.0, float(np.median(clear)) if clear.size else 16.0)
    return grey_picture(darker[:height, :width])


@preprocessor(
    "lineart_classic",
    control_type="lineart",
    good_for="Thin lines of a drawing or an anime picture, without any model.",
    good_for_zh="线稿或动漫图的细线，不需要模型。",
)
def lineart_classic(
    image: Picture, *, resolution: int = 512, width: Width = 1.0, strength: Annotated[float, Limits(1, 64)] = 12.0
) -> Picture:
    """Dark ridges: differences of Gaussians of `width` pixels and 1.6 times that, on a picture without its texture."""
    cv2 = opencv()
    smooth = cv2.bilateralFilter(at_resolution(image, resolution), 7, 30, 5)
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY).astype(np.float32)
    difference = cv2.GaussianBlur(grey, (0, 0), 1.6 * width) - cv2.GaussianBlur(grey, (0, 0), width)
    return grey_picture((difference - 1).clip(0, None) * strength)


@preprocessor(
    "scribble_xdog",
    control_type="softedge",
    good_for="Bold scribbles of a picture's structure.",
    good_for_zh="画面结构的粗线涂鸦。",
)
def scribble_xdog(image: Picture, *, resolution: int = 512, threshold: Annotated[float, Limits(1, 64)] = 32) -> Picture:
    """Winnemoeller et al. (2012), "XDoG": where a difference of Gaussians is above half the threshold."""
    cv2 = opencv()
    small = at_resolution(image, resolution).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(small, (0, 0), deviation) for deviation in (0.5, 5.0))
    darkness = 255 - (255 - (coarse - fine).min(axis=2)).clip(0, 255).astype(np.uint8)
    return grey_picture(np.where(2 * darkness.astype(np.int32) > threshold, 255, 0))


@preprocessor(
    "softedge_classic",
    control_type="softedge",
    good_for="Soft edges of large shapes, without any model.",
    good_for_zh="大块形状的柔和边缘，不需要模型。",
)
def softedge_classic(
    image: Picture, *, resolution: int = 512, strength: Annotated[float, Limits(0.1, 8)] = 1.5
) -> Picture:
    """The gradient's length at three scales, what all of them see counting most."""
    cv2 = opencv()
    small = at_resolution(image, resolution)
    total = np.zeros(small.shape[:2], np.float32)
    for deviation in (1.0, 2.0, 4.0):
        blurred = cv2.GaussianBlur(small, (0, 0), deviation).astype(np.float32)
        slopes = (cv2.Sobel(blurred, cv2.CV_32F, dx, 1 - dx, ksize=3) / 8 for dx in (1, 0))
        total += np.sqrt(sum(slope**2 for slope in slopes)).max(axis=2) * deviation
    return grey_picture(total * strength)


@preprocessor(
    "scribble_classic",
    control_type="softedge",
    good_for="Scribbles along the strongest edges, without any model.",
    good_for_zh="沿最强边缘的涂鸦线，不需要模型。",
)
def scribble_classic(
    image: Picture, *, resolution: int = 512, threshold: Annotated[float, Limits(1, 255)] = 64
) -> Picture:
    """The ridges of the soft edges, drawn with a thick pen."""
    cv2 = opencv()
    soft = cv2.GaussianBlur(softedge_classic(image, resolution=resolution)[..., 0], (0, 0), 3.0)
    drawn = cv2.GaussianBlur(np.where(ridges(soft) > threshold, 255, 0).astype(np.uint8), (0, 0), 3.0)
    return grey_picture(np.where(drawn > 4, 255, 0))


@preprocessor(
    "lines_classic",
    control_type="lineart",
    good_for="Straight lines of buildings and rooms, without any model.",
    good_for_zh="建筑与室内的直线，不需要模型。",
)
def lines_classic(image: Picture, *, resolution: int = 512, length: Annotated[float, Limits(1, 512)] = 20) -> Picture:
    """Straight segments of at least `length` pixels: Canny's edges, joined by the Hough transform."""
    cv2 = opencv()
    small = at_resolution(image, resolution)
    edges = cv2.Canny(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), 60, 160)
    found = cv2.HoughLinesP(edges, 1, np.pi / 360, threshold=int(max(10, length)), minLineLength=length, maxLineGap=3)
    canvas = np.zeros(small.shape[:2], np.uint8)
    for x1, y1, x2, y2 in () if found is None else found.reshape(-1, 4).tolist():
        cv2.line(canvas, (x1, y1), (x2, y2), 255, 1)
    return grey_picture(canvas)
