"""What is done with finished pictures: enlarging and faces, as in AUTOMATIC1111's tab "Extras", in its order.

image, info = postprocessed(image, Postprocess(upscaler="4x-UltraSharp", scale=2))
"""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from fromnoise.engine.enlarge import DEFAULTS, enlarged, upscaler
from fromnoise.engine.face_restoring import restored
from fromnoise.engine.metadata.carrier import PARAMETERS_KEY, POSTPROCESSING_KEY, USER_COMMENT, read_texts
from fromnoise.engine.metadata.infotext import written_line
from fromnoise.engine.metadata.numbers import number
from fromnoise.engine.recipe_parts import MAX_SIDE
from fromnoise.engine.recipe_upscale import FACE_LABELS, FaceRestoration, Postprocess
from fromnoise.errors import UserError
from fromnoise.settings import Settings
from fromnoise.upscalers import UPSCALERS
from fromnoise.upscalers.work import Work

EXTRAS_KEY = "extras"  # AUTOMATIC1111 writes its text there, too
FACE_ORDER = ("gfpgan", "codeformer")  # of AUTOMATIC1111's tab
PNG_KEYWORD = 79  # letters

Info = dict[str, str]  # AUTOMATIC1111's keys


def postprocessed(
    image: Image.Image, wanted: Postprocess, settings: Settings = DEFAULTS, work: Work | None = None
) -> tuple[Image.Image, Info]:
    """The picture, and what was done with it in AUTOMATIC1111's words. UserError where a name is not known."""
    info: Info = {}
    image = upscaled(image, wanted, settings, work or Work(), info)
    for faces in sorted(wanted.faces, key=lambda one: FACE_ORDER.index(one.by)):
        image = with_faces(image, faces, settings, work or Work(), info)
    return image, info


def with_faces(
    image: Image.Image, wanted: FaceRestoration, settings: Settings, work: Work, info: Info
) -> Image.Image:  # fmt: skip
    """The picture with clear faces."""
    if wanted.visibility == 0:
        return image
    info[f"{FACE_LABELS[wanted.by]} visibility"] = number(wanted.visibility)
    if wanted.by == "codeformer":
        info["CodeFormer weight"] = number(wanted.weight)
    return restored(image, wanted, settings, work)


def upscaled(image: Image.Image, wanted: Postprocess, settings: Settings, work: Work, info: Info) -> Image.Image:
    """The picture enlarged by one upscaler or two; by None it stays as it is."""
    first = named(wanted.upscaler)
    if first is None:
        return image
    width, height = target(image.size, wanted, info)
    large = enlarged(image, width, height, upscaler(first, settings), work)
    info["Postprocess upscaler"] = first
    second = named(wanted.upscaler2)
    if second is not None and wanted.visibility2 > 0:
        other = enlarged(image, width, height, upscaler(second, settings), work)
        large = Image.blend(large, other.convert(large.mode), wanted.visibility2)
        info["Postprocess upscaler 2"] = second
    if wanted.size is None or not wanted.crop:
        return large
    left, top = (width - wanted.size[0]) // 2, (height - wanted.size[1]) // 2
    info["Postprocess crop to"] = "{}x{}".format(*wanted.size)
    return large.crop((left, top, left + wanted.size[0], top + wanted.size[1]))


def named(name: str | None) -> str | None:
    """The name of an upscaler as it is written, or None for AUTOMATIC1111's None."""
    if name is None or name.lower() == "none":
        return None
    return UPSCALERS.canonical(name) if name in UPSCALERS else name


def target(size: tuple[int, int], wanted: Postprocess, info: Info) -> tuple[int, int]:
    """Width and height that a picture of that size is enlarged to. UserError where that is too large."""
    width, height = size
    if wanted.size is not None:
        factor = max(wanted.size[0] / width, wanted.size[1] / height)
        info["Postprocess upscale to"] = "{}x{}".format(*wanted.size)
    else:
        factor = wanted.scale
        info["Postprocess upscale by"] = number(factor)
        if wanted.max_side and max(size) * factor > wanted.max_side:
            factor = wanted.max_side / max(size)
            info["Max side length"] = str(wanted.max_side)
    across, down = max(1, round(width * factor)), max(1, round(height * factor))
    if wanted.size is not None:
        across, down = max(across, wanted.size[0]), max(down, wanted.size[1])
    if max(across, down) > MAX_SIDE:
        raise UserError(f"{across}x{down} pixels are too many: at most {MAX_SIDE} on a side; use a smaller scale")
    return across, down


def carried(path: Path, info: Mapping[str, str]) -> dict[str, str]:
    """The texts of the picture in `path` and what was done with it, for a PNG file as AUTOMATIC1111 writes it."""
    texts = read_texts(path)
    if "Steps: " in texts.get(USER_COMMENT, ""):  # where JPEG and WebP have what PNG has in a chunk of its own
        texts.setdefault(PARAMETERS_KEY, texts.pop(USER_COMMENT))
    line = written_line(info.items())
    told = {key: text for key, text in texts.items() if key.isascii() and 0 < len(key) <= PNG_KEYWORD}
    return told | ({POSTPROCESSING_KEY: line, EXTRAS_KEY: line} if line else {})
