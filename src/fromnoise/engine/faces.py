"""Faces in pictures, for adapters that are told who somebody is: insightface's numbers, which it computes if installed.

Its code may be used by anybody, its models only where nothing is earned with them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.images import opaque
from fromnoise.errors import UserError

DETECTION_SIZES = range(640, 256, -64)  # pixels; large faces are found in small pictures
MODEL = "buffalo_l"


@dataclass(frozen=True, eq=False)
class Face:
    """The largest face of a picture."""

    identity: Tensor  # (1 512), of length 1
    raw: Tensor  # (1 512), as long as it came
    crop: Callable[[int], Image.Image]  # the face upright, that many pixels along a side


def face_in(image: Image.Image, name: str) -> Face:
    """UserError where there is no face, or nothing that could find one; `name` is the picture's."""
    pixels = np.asarray(opaque(image))[:, :, ::-1]  # insightface wants blue first
    analysis = detector()
    for size in DETECTION_SIZES:
        analysis.det_model.input_size = (size, size)
        found = analysis.get(pixels)
        if found:
            return of(max(found, key=area), pixels)
    raise UserError(f"{name}: there is no face in it that could be found; give a picture with a clear, larger face")


def of(found: Any, pixels: "np.ndarray[Any, Any]") -> Face:
    align = import_module("insightface.utils.face_align")

    def crop(size: int) -> Image.Image:
        return Image.fromarray(align.norm_crop(pixels, landmark=found.kps, image_size=size)[:, :, ::-1])

    return Face(row(found.normed_embedding), row(found.embedding), crop)


def row(numbers: Any) -> Tensor:
    """(1 n)"""
    return torch.from_numpy(np.array(numbers, dtype=np.float32))[None]


def area(found: Any) -> float:
    left, top, right, bottom = (float(side) for side in found.bbox)
    return (right - left) * (bottom - top)


@cache
def detector() -> Any:
    """insightface's, on the CPU. UserError that says what to install."""
    try:
        app = import_module("insightface.app")
    except ImportError:
        raise UserError(
            "face adapters need insightface, which is not installed: pip install insightface onnxruntime; "
            f"its models {MODEL} (for non-commercial use) belong in ~/.insightface/models/{MODEL}"
        ) from None
    try:
        analysis = app.FaceAnalysis(name=MODEL, providers=["CPUExecutionProvider"])
        analysis.prepare(ctx_id=0, det_size=(DETECTION_SIZES[0], DETECTION_SIZES[0]))
    except Exception as error:  # it raises what its parts raise
        raise UserError(
            f"insightface could not load its models ({error}); put {MODEL} into ~/.insightface/models/{MODEL}"
        ) from error
    return analysis
