"""Faces made clear: found, turned upright, drawn anew by a network, and put back.

Wang et al. (2021), "GFP-GAN"; Zhou et al. (2022), "CodeFormer". Both were trained on faces whose eyes, nose and mouth
lie where FFHQ's alignment puts them in 512 x 512 pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fromnoise.checkpoints.upscale_models import upscaler_state
from fromnoise.errors import FileError, UserError
from fromnoise.upscalers.files import stamp
from fromnoise.upscalers.foreign import foreign
from fromnoise.upscalers.work import Work

SIDE = 512  # pixels of an upright face
TEMPLATE = np.array(  # left eye, right eye, nose, corners of the mouth, as one sees them
    [(192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043),
     (313.08905, 371.15118)]
)  # fmt: skip
FADE = 0.1  # of the side, over which a face goes over into its surroundings
OUTSIDE = (135, 133, 132)  # what a face at the picture's edge has beside it
SCORE = 0.7  # of a face that counts
LARGEST = 1280  # pixels on the side of the picture in which faces are looked for
YUNET = "face_detection_yunet_2023mar.onnx"

Points: TypeAlias = NDArray[np.float64]  # (5 2) in pixels, in the order of the template
Find: TypeAlias = Callable[[NDArray[np.uint8]], Sequence[Points]]  # of a picture (h w 3) RGB
Draw: TypeAlias = Callable[[Tensor, float], Tensor]  # a face (1 3 512 512) in [-1, 1] and a weight -> the face anew


@dataclass(frozen=True)
class Restorer:
    """Finds faces and draws them anew."""

    find: Find
    draw: Draw

    def __call__(self, image: Image.Image, weight: float, visibility: float) -> Image.Image:
        """`image` with its faces anew, RGB; what is transparent stays so. The same picture where there are none.

        weight: CodeFormer's, 0 to 1: how true it is to what was there. visibility: 0 to 1: how much of it is seen.
        """
        pixels = np.asarray(image.convert("RGB"))
        made = pixels.astype(np.float32)
        for points in self.find(pixels):
            made = self._with_face(made, pixels, points, weight)
        if visibility < 1:
            made = made * np.float32(visibility) + pixels.astype(np.float32) * np.float32(1 - visibility)
        result = Image.fromarray(made.round().clip(0, 255).astype(np.uint8))
        if image.mode in ("RGBA", "LA"):
            result.putalpha(image.getchannel("A"))
        return result

    def _with_face(
        self, canvas: NDArray[np.float32], pixels: NDArray[np.uint8], points: Points, weight: float
    ) -> NDArray[np.float32]:
        cv2, turn = opencv(), similarity(points, TEMPLATE)
        upright = cv2.warpAffine(pixels, turn, (SIDE, SIDE), borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
        shown = torch.from_numpy(upright).permute(2, 0, 1)[None].float() / 127.5 - 1
        drawn = self.draw(shown, weight).float().clamp(-1, 1)[0].permute(1, 2, 0).cpu().numpy()
        height, width = canvas.shape[:2]
        back = cv2.warpAffine((drawn + 1) * 127.5, turn, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        share = cv2.warpAffine(feathered(), turn, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.asarray(canvas + (back - canvas) * share[..., None], dtype=np.float32)


def feathered() -> NDArray[np.float32]:
    """(512 512): 1, falling to 0 at the edges."""
    at = np.arange(SIDE) + 0.5
    edge = np.minimum(at, SIDE - at) / (FADE * SIDE)
    ramp = edge.clip(0, 1).astype(np.float32)
    return np.outer(ramp, ramp)


def similarity(points: Points, onto: Points) -> NDArray[np.float64]:
    """(2 3): the turn, scale and shift that brings `points` (n 2) nearest to `onto` in squares; no reflection.

    Umeyama (1991), "Least-squares estimation of transformation parameters between two point patterns".
    """
    middle, middle_onto = points.mean(axis=0), onto.mean(axis=0)
    a, b = points - middle, onto - middle_onto
    left, values, right = np.linalg.svd(b.T @ a / len(points))
    sign = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    turn = left @ np.diag(sign) @ right
    scale = (values * sign).sum() / a.var(axis=0).sum()
    return np.column_stack((scale * turn, middle_onto - scale * turn @ middle))


def finder(path: Path) -> Find:
    """OpenCV's YuNet from its file. FileError where it can't be read; UserError without OpenCV."""

    def find(pixels: NDArray[np.uint8]) -> list[Points]:
        cv2 = opencv()
        height, width = pixels.shape[:2]
        shrink = min(1.0, LARGEST / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        try:
            detector = cv2.FaceDetectorYN.create(str(path), "", size, SCORE)
            _, found = detector.detect(np.ascontiguousarray(cv2.resize(pixels, size)[..., ::-1]))
        except cv2.error as error:
            raise FileError(f"{path}: not a face detector that OpenCV can read; put {YUNET} there") from error
        return [row[4:14].reshape(5, 2).astype(np.float64) / shrink for row in (() if found is None else found)]

    return find


def opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise UserError("restoring faces needs OpenCV: pip install opencv-python-headless") from None
    return cv2


def drawer(path: Path, work: Work) -> Draw:
    """The network in `path`. FileError where it is none that restores faces, or a package is missing."""
    return loaded(path, stamp(path), torch.device(work.device))


@lru_cache(maxsize=2)
def loaded(path: Path, stamp: tuple[int, int], device: torch.device) -> Draw:
    state = upscaler_state(path)
    if "position_emb" in state and "quantize.embedding.weight" in state:
        codeformer_can_be_read(path)
    network = foreign(state, path)
    if network.name not in ("GFPGAN", "CodeFormer", "RestoreFormer"):
        raise FileError(f"{path} holds a network of the kind {network.name}, which restores no faces")
    module = network.module.to(device)

    @torch.inference_mode()
    def draw(face: Tensor, weight: float) -> Tensor:
        options: dict[str, object] = {"weight": weight} if network.name == "CodeFormer" else {}
        if network.name == "GFPGAN":
            options = {"randomize_noise": False}  # the noise that was trained with it, the same each time
        answer = module(face.to(device), **options)
        drawn: Tensor = answer[0] if isinstance(answer, (tuple, list)) else answer
        return drawn

    return draw


def codeformer_can_be_read(path: Path) -> None:
    """FileError that says what to install."""
    from importlib.util import find_spec

    if find_spec("spandrel_extra_arches") is None:
        raise FileError(
            f"{path} is a CodeFormer, which needs the package spandrel_extra_arches: pip install --no-deps spandrel "
            "spandrel_extra_arches einops (for non-commercial use); GFPGAN needs spandrel alone"
        )
