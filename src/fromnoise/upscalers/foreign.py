"""Networks of other kinds (DAT, SwinIR, HAT, SCUNet and some forty more) through the package spandrel, if it is there.

spandrel asks for torchvision, which has no build for every torch. It needs it for three functions of two kinds of
networks, so that all others work without: then this module lends it those names while it is imported.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fromnoise.checkpoints.names import State
from fromnoise.errors import FileError
from fromnoise.upscalers.network import FLOATS, Network

INSTALL = "pip install --no-deps spandrel einops"
LENT = "torchvision.transforms.functional"


def foreign(state: State, path: Path) -> Network:
    """The network that spandrel makes of the weights in `path`. FileError where it can't, or is not installed."""
    if find_spec("spandrel") is None or find_spec("einops") is None:
        raise FileError(
            f"{path} holds neither an ESRGAN nor a Real-ESRGAN compact network; DAT, SwinIR, HAT and others need the "
            f"package spandrel: {INSTALL}"
        )
    with torchvision_if_missing():
        import spandrel

        if find_spec("spandrel_extra_arches") is not None:
            import_module("spandrel_extra_arches").install(ignore_duplicates=True)
    try:
        found: Any = spandrel.ModelLoader().load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError as error:
        raise FileError(f"{path} holds a network of a kind that is not known here or to spandrel") from error
    except Exception as error:  # spandrel raises whatever a damaged file leads to
        raise FileError(f"{path} cannot be used: spandrel fails on it ({type(error).__name__}: {error})") from error
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise FileError(f"{path} holds a network of the kind {found.architecture.id}, which fills masks, not enlarges")
    found.model.requires_grad_(False).eval()
    supported = zip(FLOATS, (True, found.supports_half, found.supports_bfloat16), strict=True)
    return Network(
        found.architecture.id,
        found.model,
        found,
        found.scale,
        found.input_channels if found.input_channels == found.output_channels else 0,
        tiles=found.tiling is not spandrel.ModelTiling.INTERNAL,
        dtypes=tuple(dtype for dtype, fits in supported if fits),
    )


@contextmanager
def torchvision_if_missing() -> Iterator[None]:
    """Inside, what spandrel imports from torchvision is there; afterwards torchvision is as missing as before."""
    if "torchvision" in sys.modules or find_spec("torchvision") is not None:
        yield
        return
    functional = ModuleType(LENT)
    functional.normalize = normalised  # type: ignore[attr-defined]
    functional.rotate = functional.InterpolationMode = None  # type: ignore[attr-defined]  # of a network for masks
    lent = {"torchvision": ModuleType("torchvision"), "torchvision.transforms": ModuleType("torchvision.transforms")}
    lent[LENT] = functional
    sys.modules.update(lent)
    try:
        yield
    finally:
        for name in lent:
            sys.modules.pop(name, None)


def normalised(image: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """torchvision's `normalize`: (image - mean) / std for each channel of (... c h w)."""
    shift, scale = (torch.tensor(numbers, dtype=image.dtype, device=image.device) for numbers in (mean, std))
    moved = (image - shift[:, None, None]) / scale[:, None, None]
    return image.copy_(moved) if inplace else moved
