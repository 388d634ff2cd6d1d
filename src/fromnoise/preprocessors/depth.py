"""Depth, normals and areas by networks of transformers, from folders on this machine."""

from collections.abc import Sequence
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from fromnoise.errors import FileError, UserError
from fromnoise.preprocessors.arrays import NDArray, Picture, np
from fromnoise.preprocessors.lines import grey_picture
from fromnoise.preprocessors.opencv import opencv
from fromnoise.preprocessors.palette import ade20k
from fromnoise.preprocessors.registry import HOME, Limits, preprocessor
from fromnoise.preprocessors.sizes import at_resolution

KEPT = 2  # networks in memory
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pictures
METRIC = ("zoedepth",)  # models that tell distances; others tell nearness
DEPTH_EXAMPLE = "Intel/dpt-hybrid-midas, LiheYoung/depth-anything-small-hf or Intel/zoedepth-nyu-kitti"
AREAS_EXAMPLE = "openmmlab/upernet-convnext-small"


@lru_cache(maxsize=KEPT)
def loaded(folder: Path, task: str) -> Any:
    """A model as transformers saves it, from a folder on this machine."""
    try:
        transformers = import_module("transformers")
    except ImportError:
        raise UserError(
            "this preprocessor needs transformers, which is not installed: pip install transformers"
        ) from None
    try:
        model = getattr(transformers, task).from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except Exception as error:  # transformers raises what its parts raise
        raise FileError(f"{folder}: not a model that can be read here ({error})") from error
    return model.eval()


def whole_folder(name: str, folders: Sequence[Path], example: str) -> Path:
    """The folder of a model; FileError that says what to put there."""
    for folder in folders:
        if (folder / name / "config.json").is_file():
            return folder / name
    place = (folders[0] if folders else HOME) / name
    raise FileError(
        f"{name} needs a model in {place}: its config.json and model.safetensors as transformers saves them, such as "
        f"those of {example}"
    )


def answer(name: str, task: str, image: Picture, folders: Sequence[Path], example: str) -> Any:
    """What a model says of a picture, which it sees in a size that it can take."""
    import torch

    model = loaded(whole_folder(name, folders, example), task)
    if model.config.model_type == "dpt":
        height = width = int(model.config.image_size)
    else:
        step = 14 if model.config.model_type == "depth_anything" else 32
        height, width = (max(step, round(side / step) * step) for side in image.shape[:2])
    pixels = opencv().resize(image, (width, height), interpolation=opencv().INTER_CUBIC).astype(np.float32) / 255
    shown = torch.from_numpy((pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32))
    with torch.inference_mode():
        return model(pixel_values=shown.permute(2, 0, 1)[None].contiguous())


def nearness(name: str, image: Picture, resolution: int, folders: Sequence[Path]) -> "NDArray[np.float32]":
    """(h w) from 0 to 1, the nearest highest."""
    small = at_resolution(image, resolution)
    task = "AutoModelForDepthEstimation"
    depth = answer(name, task, small, folders, DEPTH_EXAMPLE).predicted_depth[0].float().cpu().numpy()
    metric = loaded(whole_folder(name, folders, DEPTH_EXAMPLE), task).config.model_type in METRIC
    low, high = (np.percentile(depth, 2), np.percentile(depth, 85)) if metric else (depth.min(), depth.max())
    scaled = ((depth - low) / max(float(high - low), 1e-6)).clip(0, 1)
    near = 1 - scaled if metric else scaled
    size = small.shape[1], small.shape[0]
    return np.asarray(opencv().resize(near.astype(np.float32), size, interpolation=opencv().INTER_LINEAR))


def depth(image: Picture, *, resolution: int = 512, folders: Sequence[Path] = (), name: str) -> Picture:
    return grey_picture(nearness(name, image, resolution, folders) * 255)


DEPTHS = {
    "depth_midas": ("depth", "Depth by MiDaS (DPT): near is white.", "MiDaS（DPT）深度图：近处为白。"),
    "depth_anything": ("depth_anything_v1", "Depth by Depth Anything.", "Depth Anything 深度图。"),
    "depth_anything_v2": ("depth_anything_2", "Depth by Depth Anything V2.", "Depth Anything V2 深度图。"),
    "depth_zoe": ("zoe_depth", "Depth by ZoeDepth, true to distances.", "ZoeDepth 深度图，距离准确。"),
}  # fmt: skip
for depth_name, (depth_alias, in_english, in_chinese) in DEPTHS.items():
    preprocessor(
        depth_name,
        aliases=(depth_alias,),
        control_type="depth",
        good_for=in_english,
        good_for_zh=in_chinese,
        needs="transformers",
        weights=(f"{depth_name}/",),
    )(partial(depth, name=depth_name))


@preprocessor(
    "normal_midas",
    aliases=("normal_map",),
    control_type="normal",
    good_for="Which way surfaces face, by MiDaS's depth.",
    good_for_zh="由 MiDaS 深度得到的表面朝向。",
    needs="transformers",
    weights=("depth_midas/",),
)
def normal_midas(
    image: Picture,
    *,
    resolution: int = 512,
    background: Annotated[float, Limits(0, 1)] = 0.4,
    folders: Sequence[Path] = (),
) -> Picture:
    """Slopes of the depth; what is farther than `background` faces the viewer."""
    return normals(nearness("depth_midas", image, resolution, folders), background)


def normals(near: "NDArray[np.float32]", background: float) -> Picture:
    """(h w 3): x to the right, y up and z to the viewer, each from -1 to 1 as 0 to 255."""
    cv2 = opencv()
    scale = 255.0  # slopes are of levels
    slopes = [cv2.Sobel(near * scale, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0)]
    x, y = (np.where(near < background, 0.0, slope) for slope in slopes)
    vectors = np.stack((x, y, np.full_like(near, 2 * np.pi)), axis=2)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    picture: Picture = (vectors * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
    return picture


def areas(image: Picture, *, resolution: int = 512, folders: Sequence[Path] = (), name: str) -> Picture:
    """What is what, in the colours of ADE20K."""
    import torch

    small = at_resolution(image, resolution)
    found = answer(name, "AutoModelForSemanticSegmentation", small, folders, AREAS_EXAMPLE)
    if getattr(found, "logits", None) is None:
        raise FileError(f"{name}: the model in its folder does not label each pixel; take one such as {AREAS_EXAMPLE}")
    logits = torch.nn.functional.interpolate(found.logits.float(), small.shape[:2], mode="bilinear")
    labels = logits[0].argmax(dim=0).cpu().numpy()
    colours = ade20k()
    return np.ascontiguousarray(colours[labels % len(colours)])


for area_name, area_aliases in {
    "seg_ufade20k": ("segmentation",),
    "seg_ofade20k": ("oneformer_ade20k",),
}.items():
    preprocessor(
        area_name,
        aliases=area_aliases,
        control_type="segmentation",
        good_for="What is what: areas in the colours of ADE20K.",
        good_for_zh="语义分割：用 ADE20K 的颜色区分物体。",
        needs="transformers",
        weights=(f"{area_name}/",),
    )(partial(areas, name=area_name))
