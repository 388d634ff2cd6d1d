"""Upscalers that are networks in files."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fromnoise.checkpoints.load import convert
from fromnoise.checkpoints.upscale_models import UpscalingNetwork, upscaler_of, upscaler_state
from fromnoise.errors import FileError, is_out_of_memory
from fromnoise.nn.rrdb import RRDBNet
from fromnoise.upscalers.foreign import foreign
from fromnoise.upscalers.network import Network
from fromnoise.upscalers.tiles import SMALLEST, tiled
from fromnoise.upscalers.work import CPU, Work

LOG = logging.getLogger(__name__)
MOST_TIMES = 3  # that a network is applied to its own result: as in AUTOMATIC1111
KEPT = 2  # networks that stay in memory


@dataclass(frozen=True)
class FileUpscaler:
    """The network of a file; read when it is first used."""

    path: Path

    @property
    def scale(self) -> int:
        """FileError where the file is none of an upscaler."""
        return loaded(self.path, stamp(self.path), CPU, torch.float32).scale

    def __call__(self, image: Image.Image, width: int, height: int, work: Work) -> Image.Image:
        """As often as it takes, at most three times, then by Lanczos; a network of scale 1 is applied once."""
        network = loaded(self.path, stamp(self.path), torch.device(work.device), work.dtype)
        for time in range(MOST_TIMES):
            if image.width >= width and image.height >= height and (time > 0 or network.scale != 1):
                break
            before, image = image.size, applied(network, image, work)
            if image.size == before:
                break
        return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def stamp(path: Path) -> tuple[int, int]:
    """What changes when the file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check the name and its permissions") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(KEPT)
def loaded(path: Path, stamp: tuple[int, int], device: torch.device, dtype: torch.dtype) -> Network:
    """The network in `path`, ready to compute. FileError where there is none that can be used."""
    state = upscaler_state(path)
    own = upscaler_of(state, path)
    network = foreign(state, path) if own is None else described(own)
    if network.channels not in (1, 3):
        raise FileError(f"{path} does not make colour pictures of colour pictures, or grey ones of grey ones")
    network.module.to(device, network.dtype(dtype))
    convert(network.module, channels_last=device.type != "mps")
    return network


def described(network: UpscalingNetwork) -> Network:
    """One of our own networks."""
    config, fold, kind = network.config, 1, "Real-ESRGAN compact"
    if isinstance(network, RRDBNet):
        fold, kind = network.config.unshuffle, "ESRGAN"
    channels = config.out_channels if config.in_channels == config.out_channels * fold**2 else 0
    return Network(kind, network, network, config.scale, channels, config.reach, fold)


@torch.inference_mode()
def applied(network: Network, image: Image.Image, work: Work) -> Image.Image:
    """`image`, RGB or L, enlarged by the network's own scale; in smaller tiles where memory does not suffice."""
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    device, dtype = torch.device(work.device), network.dtype(work.dtype)

    def enlarge(shown: Tensor) -> Tensor:
        if network.channels == 1:
            shown = shown.transpose(0, 1)  # colours one by one
        answer = network.run(shown.to(device, dtype).div_(255)).float().clamp_(0, 1).mul_(255).cpu()
        return answer.transpose(0, 1) if network.channels == 1 else answer

    tile = work.tile if network.tiles else 0
    while True:
        try:
            result = tiled(
                enlarge, pixels, network.scale, tile=tile, overlap=work.overlap, reach=network.reach,
                progress=work.progress, multiple=network.multiple,
            )  # fmt: skip
            break
        except (RuntimeError, MemoryError) as error:
            tile = (tile or max(image.size)) // 2
            if not is_out_of_memory(error) or tile < SMALLEST or not network.tiles:
                raise
        LOG.warning("out of memory: the upscaler goes on in smaller tiles, more slowly")
    enlarged = Image.fromarray(result.numpy())
    return enlarged.convert("L") if image.mode == "L" else enlarged
