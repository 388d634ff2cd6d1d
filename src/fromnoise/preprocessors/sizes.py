"""Pictures in the size at which a preprocessor works, and hints in the size of the picture that they steer."""

from fromnoise.preprocessors.arrays import NDArray, Picture, np
from fromnoise.preprocessors.opencv import opencv

BLOCK = 64  # networks want sides that are multiples of this
FEW_COLOURS = 200  # a hint with fewer is made of areas with a meaning each
MAX_THINNING = 32  # rounds
EDGES = (  # what is left of one-pixel lines: 1 is line, -1 is none, 0 is either
    ((-1, -1, -1), (0, 1, 0), (1, 1, 1)),
    ((0, -1, -1), (1, 1, -1), (0, 1, 0)),
)
STUBS = (
    ((-1, -1, -1), (-1, 1, -1), (0, 0, -1)),
    ((-1, -1, -1), (-1, 1, -1), (-1, 0, 0)),
)
DIRECTIONS = (
    ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)


def at_resolution(image: Picture, resolution: int) -> Picture:
    """`image` with a shorter side of `resolution` pixels."""
    cv2 = opencv()
    height, width = image.shape[:2]
    scale = resolution / min(height, width)
    size = round(width * scale), round(height * scale)
    shrunk: Picture = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return shrunk


def in_blocks(image: Picture) -> Picture:
    """`image` with its right and lower edge repeated until both sides are multiples of 64."""
    down, right = (-side % BLOCK for side in image.shape[:2])
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")


def pixel_perfect(width: int, height: int, wanted: tuple[int, int], *, whole: bool) -> int:
    """The resolution at which a picture of that size has as many pixels as the `wanted` width and height need.

    `whole`: all of it is to be inside; else it fills them, and what stands over is cut off.
    """
    scales = wanted[0] / width, wanted[1] / height
    return round((min(scales) if whole else max(scales)) * min(width, height))


def fitted(hint: Picture, width: int, height: int, mode: str) -> Picture:
    """A hint in that size: "stretch"; "crop" about its centre; "fill", the whole of it on the colour of its edge.

    What it is decides how it is resized: lines stay one pixel wide, black and white stay that, and areas of colour keep
    their colours. A mask in a fourth channel is 255 outside the picture.
    """
    if mode == "stretch":
        return resized(hint, width, height)
    old_height, old_width = hint.shape[:2]
    scales = height / old_height, width / old_width
    scale = min(scales) if mode == "fill" else max(scales)
    inner = resized(hint, round(old_width * scale), round(old_height * scale))
    inner_height, inner_width = inner.shape[:2]
    if mode != "fill":
        top, left = max(0, inner_height - height) // 2, max(0, inner_width - width) // 2
        return np.ascontiguousarray(inner[top : top + height, left : left + width])
    edge = np.concatenate([hint[0], hint[-1], hint[:, 0], hint[:, -1]])
    colour = np.median(edge, axis=0).astype(np.uint8)
    colour[3:] = 255
    canvas = np.tile(colour, (height, width, 1))
    top, left = max(0, height - inner_height) // 2, max(0, width - inner_width) // 2
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return canvas


def resized(hint: Picture, width: int, height: int) -> Picture:
    """`hint` distorted to that size, by what it is."""
    colours, mask = hint[..., :3], hint[..., 3:]
    if hint.shape[:2] == (height, width):
        changed = colours
    else:
        cv2 = opencv()
        kinds = distinct(colours)
        larger, smaller = (sign * width * height > sign * colours.shape[0] * colours.shape[1] for sign in (1, -1))
        rule = cv2.INTER_NEAREST if 2 < kinds < FEW_COLOURS else cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        changed = cv2.resize(colours, (width, height), interpolation=rule)
        if kinds == 2 and colours.min() < 16 and colours.max() > 240:
            changed = black_and_white(changed, one_pixel_wide(colours), prune=larger)
        if mask.shape[2]:
            mask = cv2.resize(mask, (width, height), interpolation=rule)[..., None]
    if not mask.shape[2]:
        return changed
    return np.concatenate((changed, np.where(mask > 127, 255, 0).astype(np.uint8)), axis=2)


def distinct(image: Picture) -> int:
    """How many colours there are."""
    packed = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    return len(np.unique(packed))


def one_pixel_wide(image: Picture) -> bool:
    """Whether most of what is white disappears when it is made thinner and wide again."""
    cv2 = opencv()
    opened = cv2.dilate(cv2.erode(image, np.ones((3, 3), np.uint8)), np.ones((3, 3), np.uint8))
    return int((opened < image).sum()) * 2 > int((image > 127).sum())


def black_and_white(image: Picture, lines: bool, *, prune: bool) -> Picture:
    """A resized drawing with two levels again, its lines one pixel wide if they were."""
    cv2 = opencv()
    grey = image.astype(np.float32).mean(axis=2).astype(np.uint8)
    if lines:
        grey = ridges(grey)
    _, sharp = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if lines:
        sharp = thinned(sharp, prune)
    return np.repeat(sharp[..., None], 3, axis=2)


def ridges(grey: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Levels that are as high as both neighbours in one of four directions, and nothing elsewhere."""
    cv2 = opencv()
    kept = np.zeros_like(grey)
    for direction in DIRECTIONS:
        highest = cv2.dilate(grey, kernel=np.array(direction, np.uint8)) == grey
        kept[highest] = grey[highest]
    return kept


def thinned(lines: "NDArray[np.uint8]", prune: bool) -> "NDArray[np.uint8]":
    """Lines of 255 worn away from all sides until nothing changes, and then, with `prune`, their stubs."""
    for _ in range(MAX_THINNING):
        if not worn(lines, EDGES):
            break
    if prune:
        worn(lines, STUBS)
    return lines


def worn(lines: "NDArray[np.uint8]", patterns: tuple[tuple[tuple[int, ...], ...], ...]) -> bool:
    """Take away, in place, what looks like one of `patterns` from any side; whether there was anything."""
    cv2 = opencv()
    changed = False
    for turns in range(4):
        for pattern in patterns:
            kernel = np.ascontiguousarray(np.rot90(np.array(pattern, np.int32), turns))
            found = cv2.morphologyEx(lines, cv2.MORPH_HITMISS, kernel) > 127
            lines[found] = 0
            changed |= bool(found.any())
    return changed
