"""Room for networks beside a model's own: upscalers, those that draw faces anew, and those of preprocessors.

Where there is none for both, the model's weights wait in their files meanwhile, and what was loaded goes afterwards.
Upscalers are shown smaller tiles before memory runs out. Where it does all the same, the model makes way, and the work
is done again.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import nn

from fromnoise.engine import enlarge
from fromnoise.engine.face_restoring import network_path, restored
from fromnoise.engine.footprint import BASE, numbers, peak
from fromnoise.engine.library import Model
from fromnoise.engine.memory import free, release, usable
from fromnoise.engine.recipe_upscale import FaceRestoration
from fromnoise.errors import FileError, is_out_of_memory
from fromnoise.nn.rrdb import RRDBNet
from fromnoise.nn.srvgg import SRVGGNetCompact
from fromnoise.preprocessors import PREPROCESSORS, depth, lama
from fromnoise.upscalers import Upscaler, faces, files
from fromnoise.upscalers.files import FileUpscaler
from fromnoise.upscalers.network import Network
from fromnoise.upscalers.tiles import SMALLEST
from fromnoise.upscalers.work import CPU, Work

T = TypeVar("T")

LOG = logging.getLogger(__name__)
SIDE = 64  # pixels of the tile that a network's demand is counted for
UNKNOWN = 200  # numbers for each pixel that a network makes whose layers are not known here: more than an ESRGAN's
AT_WORK = 500_000_000  # bytes that a network for faces or a preprocessor's takes beside its weights


def beside(model: Model, takes: int, work: Callable[[], T]) -> T:
    """What `work` gives, which takes so many bytes: the model makes way where there is, or turns out to be, no room."""
    residence = model.residence
    if residence is None:
        return work()
    there = room(model)
    if there is not None and takes > there:
        make_way(model)
    try:
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if residence.aside or not is_out_of_memory(error):
                raise
        LOG.warning("out of memory: the picture goes on with less at once, more slowly")
        make_way(model)
        return work()
    finally:
        if residence.aside:
            forget()
            release(model.placement.device)


def room(model: Model) -> int | None:
    """Bytes that there are beside the weights that are ready; None where nobody tells."""
    if model.limit is None:
        return free(model.placement.device)
    return usable(model.limit) - BASE - ready(model)


def ready(model: Model) -> int:
    """Bytes of weights in memory, those of models beside it included."""
    residence = model.residence
    return 0 if residence is None else sum(one.here for one in (residence, *residence.beside))


def make_way(model: Model) -> None:
    """All weights wait until they are about to be used; graphs that read them go."""
    if model.kept.graphs is not None:
        model.kept.graphs.clear()
    if model.residence is not None:
        for one in (model.residence, *model.residence.beside):
            one.step_aside()


def forget() -> None:
    """Networks that upscalers, faces and preprocessors keep in memory go."""
    for kept in (files.loaded, faces.loaded, depth.loaded, lama.session):
        kept.cache_clear()


def enlarging(model: Model, by: Upscaler, work: Callable[[Work], T]) -> T:
    """What `work` makes with an upscaler, which it is told how to run."""
    how = enlarge.work(model.placement)
    if model.residence is None or not isinstance(by, FileUpscaler):
        return work(how)
    weights, pixel = demand(by.path, files.stamp(by.path), how.dtype)
    there, tile = room(model), how.tile
    if there is not None:
        while tile > SMALLEST and weights + pixel * tile**2 > there + ready(model):
            tile //= 2
    how = replace(how, tile=tile)
    return beside(model, weights + pixel * tile**2, lambda: work(how))


@lru_cache(maxsize=8)
def demand(path: Path, stamp: tuple[int, int], dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of an upscaler's weights, and at work for each pixel of a tile."""
    network = files.loaded(path, stamp, CPU, torch.float32)
    size = network.dtype(dtype).itemsize
    return numbers(network.module) * size, per_pixel(network) * size


def per_pixel(network: Network) -> int:
    """Numbers that a network holds at its height for each pixel that it is shown."""
    module, channels = network.module, (1, 3) if network.channels == 3 else (3, 1)
    if not isinstance(module, (RRDBNet, SRVGGNetCompact)):
        return UNKNOWN * network.scale**2
    with torch.device("meta"):
        shapes: nn.Module = type(module)(module.config)  # type: ignore[arg-type]  # of the same kind
        x = torch.empty(*channels, SIDE, SIDE)
        return -(-peak(lambda: shapes(x)) // SIDE**2)


def with_faces(model: Model, image: Image.Image, wanted: FaceRestoration) -> Image.Image:
    """`image` with clear faces. FileError, UserError that say what is missing."""
    takes = AT_WORK
    with suppress(FileError, OSError):  # the work says what is missing
        takes += 2 * network_path(wanted, model.settings).stat().st_size  # files may be of halves
    return beside(model, takes, lambda: restored(image, wanted, model.settings, enlarge.work(model.placement)))


def seeing(model: Model, preprocessor: str, folders: list[Path], work: Callable[[], T]) -> T:
    """What `work` makes with a preprocessor whose weights are in `folders`; they all compute on the processor."""
    names = PREPROCESSORS[preprocessor].weights
    if not names or model.placement.device.type != "cpu":
        return work()
    found = [path for folder in folders for name in names for path in files_of(folder, name)]
    return beside(model, sum(path.stat().st_size for path in found) + AT_WORK, work)


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of weights that are called so, or lie in a folder that is (`name/`)."""
    with suppress(OSError):
        pattern = f"{name}*.safetensors" if name.endswith("/") else f"**/{name}"
        return [path for path in folder.glob(pattern) if path.is_file()]
    return []
