"""What was behind: pictures painted over under their mask by LaMa, through onnxruntime."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from fromnoise.errors import FileError, UserError
from fromnoise.preprocessors.arrays import Picture, np
from fromnoise.preprocessors.opencv import opencv
from fromnoise.preprocessors.registry import HOME, preprocessor

LAMA, LAMA_SIDE = "lama_fp32.onnx", 512


@preprocessor(
    "inpaint_only+lama",
    role="inpaint",
    control_type="inpaint",
    good_for="The same as inpaint_only, on what LaMa puts under the mask.",
    good_for_zh="同 inpaint_only，先由 LaMa 填充蒙版内。",
    needs="onnxruntime",
    weights=(LAMA,),
)
def inpaint_lama(image: Picture, *, folders: Sequence[Path] = ()) -> Picture:
    """Suvorov et al. (2022), "Resolution-robust Large Mask Inpainting with Fourier Convolutions"."""
    cv2, height, width = opencv(), *image.shape[:2]
    path = next((found for folder in folders for found in sorted(folder.glob(f"**/{LAMA}"))), None)
    if path is None:
        place = folders[0] if folders else HOME
        raise FileError(f"inpaint_only+lama needs {LAMA} (of Carve/LaMa-ONNX) in {place}; inpaint_only needs nothing")
    small = cv2.resize(image, (LAMA_SIDE, LAMA_SIDE), interpolation=cv2.INTER_AREA)
    colours = small[..., :3].transpose(2, 0, 1)[None].astype(np.float32) / 255
    hole = (small[..., 3] > 127).astype(np.float32)[None, None]
    (filled,) = session(path).run(None, {"image": colours, "mask": hole})
    painted = cv2.resize(filled[0].transpose(1, 2, 0).clip(0, 255).astype(np.float32), (width, height))
    share = image[..., 3:].astype(np.float32) / 255
    mixed = (painted * share + image[..., :3] * (1 - share)).clip(0, 255).astype(np.uint8)
    return np.concatenate((mixed, image[..., 3:]), axis=2)


@lru_cache(maxsize=1)
def session(path: Path) -> Any:
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError:
        raise UserError("this preprocessor needs onnxruntime: pip install onnxruntime") from None
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises errors of its own
        raise FileError(f"{path}: not a model that onnxruntime can read ({error})") from error
