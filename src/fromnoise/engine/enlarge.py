"""Upscalers by name, wherever their files are, and pictures and latents enlarged by them."""

import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine import shelves
from fromnoise.engine.memory import Placement
from fromnoise.errors import FileError, UnknownName
from fromnoise.settings import Settings
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS, LatentUpscaler, Upscaler
from fromnoise.upscalers.files import FileUpscaler
from fromnoise.upscalers.names import FILES
from fromnoise.upscalers.work import Progress, Work, unseen

DEFAULTS = Settings()
MOST = 16  # times that a network enlarges


def upscaler(name: str, settings: Settings = DEFAULTS) -> Upscaler:
    """The upscaler of pictures of that name: a registered one, a file's, or one by AUTOMATIC1111's name of its file.

    UnknownName lists what there is; FileError where a name could be several files.
    """
    if name in UPSCALERS:
        return UPSCALERS[name].make()
    for stem in FILES.get(name.lower(), (name,)):
        if found := on_shelf(stem, settings):
            return found
    if wanted := FILES.get(name.lower()):
        place = shelves.home("upscale_models", settings)
        raise FileError(f"upscaler {name} is the file {wanted[0]}.pth, which is not here: put it into {place}")
    raise UnknownName("upscaler", name, upscaler_names(settings))


def latent_upscaler(name: str) -> LatentUpscaler | None:
    """The latent upscaler of that name, if there is one."""
    if name not in LATENT_UPSCALERS:
        return None
    return LATENT_UPSCALERS[name]


def check_upscaler(name: str, settings: Settings = DEFAULTS, *, latent: bool = True) -> None:
    """UnknownName where no upscaler of pictures, or of latents, has that name; FileError where its file is unusable."""
    if latent and latent_upscaler(name) is not None:
        return
    try:
        scale = upscaler(name, settings).scale  # reads the file
    except UnknownName as error:
        raise UnknownName("upscaler", name, [*(LATENT_UPSCALERS if latent else ()), *error.known]) from None
    if scale > MOST:
        raise FileError(f"upscaler {name} enlarges {scale} times; at most {MOST} times can be used")


def upscaler_names(settings: Settings = DEFAULTS) -> list[str]:
    """All that make pictures larger: the registered ones, and the files."""
    return [*UPSCALERS, *(item.stem for item in shelves.items("upscale_models", settings))]


def on_shelf(name: str, settings: Settings) -> Upscaler | None:
    """The upscaler in the file `name`, or in the file of that name on the shelves. FileError where it is not clear."""
    try:
        return FileUpscaler(shelves.find("upscale_models", name, settings))
    except FileError:
        if shelves.called(name, shelves.items("upscale_models", settings)):
            raise
        return None


def work(placement: Placement, progress: Progress = unseen, tile: int = Work.tile, overlap: int | None = None) -> Work:
    """How upscalers are run there: bfloat16's steps would be seen, and processors compute no float16."""
    dtype = torch.float16 if placement.device.type == "cuda" else torch.float32
    return Work(placement.device, dtype, tile, overlap, progress)


def enlarged_latents(latents: Tensor, height: int, width: int, by: LatentUpscaler) -> Tensor:
    """(1 c h w) in that many latents each way: covering them all, and cut about the centre."""
    down, across = covering(latents.shape[2], latents.shape[3], height, width)
    large = torch.nn.functional.interpolate(latents, size=(down, across), mode=by.mode, antialias=by.antialias)
    top, left = (down - height + 1) // 2, (across - width + 1) // 2
    return large[..., top : top + height, left : left + width]


def enlarged_image(image: Image.Image, height: int, width: int, by: Upscaler, work: Work) -> Image.Image:
    """In that many pixels each way: covering them all, and cut about the centre. What is transparent stays so."""
    down, across = covering(image.height, image.width, height, width)
    large = enlarged(image, across, down, by, work)
    left, top = (across - width) // 2, (down - height) // 2
    return large.crop((left, top, left + width, top + height))


def enlarged(image: Image.Image, width: int, height: int, by: Upscaler, work: Work) -> Image.Image:
    """`image` in that size, of any mode; the result is RGB, L or RGBA, its transparency enlarged by Lanczos."""
    if image.mode in ("RGB", "L"):
        return by(image, width, height, work)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        large = by(rgba.convert("RGB"), width, height, work)
        large.putalpha(rgba.getchannel("A").resize((width, height), Image.Resampling.LANCZOS))
        return large
    return by(image.convert("RGB"), width, height, work)


def covering(height: int, width: int, wanted_height: int, wanted_width: int) -> tuple[int, int]:
    """The smallest sides in proportion to `height` and `width` that cover the wanted ones."""
    scale = max(wanted_height / height, wanted_width / width)
    return max(wanted_height, round(height * scale)), max(wanted_width, round(width * scale))
