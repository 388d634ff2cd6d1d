"""The interface of the ControlNet extension."""

import asyncio
import base64
from typing import Any

from pydantic import BaseModel, Field

from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi import names
from fromnoise.server.sdapi.bodies import Body
from fromnoise.server.sdapi.making import Maker
from fromnoise.server.sdapi.routes.common import new_router, taken
from fromnoise.server.sdapi.units import IP_ADAPTER, parameters, resolution_of

VERSION = 3
UNITS = 3
TYPES = {  # the extension's types, and what of ours belongs to each
    "Canny": ("canny", ("canny",)),
    "Depth": ("depth", ("depth_midas", "depth_anything_v2")),
    "Normal": ("normal", ("normal_bae",)),
    "OpenPose": ("openpose", ("openpose_full", "openpose")),
    "MLSD": ("mlsd", ("mlsd",)),
    "Lineart": ("lineart", ("lineart_standard",)),
    "SoftEdge": ("softedge", ("softedge_pidinet",)),
    "Scribble": ("scribble", ("scribble_pidinet",)),
    "Segmentation": ("seg", ("seg_ofade20k",)),
    "Shuffle": ("shuffle", ("shuffle",)),
    "Tile": ("tile", ("tile_resample",)),
    "Blur": ("blur", ("blur_gaussian",)),
    "Inpaint": ("inpaint", ("inpaint_only",)),
    "Recolor": ("recolor", ("recolor_luminance",)),
    "Reference": ("reference", ("reference_only",)),
    "T2I-Adapter": ("t2ia", ("t2ia_color_grid",)),
    "IP-Adapter": ("ip-adapter", ("ip-adapter-auto",)),
}
SHORT = 8  # digits of a hash after a model's name
IP_MODULES = ("ip-adapter-auto", "ip-adapter_clip_sd15", "ip-adapter_clip_sdxl", "ip-adapter_clip_sdxl_plus_vith")

router = new_router("/controlnet")


class ModelList(BaseModel):
    model_list: list[str]


@router.get("/model_list")
def model_list(here: Here, who: Who) -> ModelList:
    """Control networks, with the beginning of their hash where it is known."""
    return ModelList(model_list=models(here))


def models(here: Context) -> list[str]:
    found = {known.name: known for kind in ("controlnet", "t2i_adapter", "ipadapter")
             for known in names.files_of(kind, here)}  # fmt: skip
    return ["None", *(f"{k.name} [{k.sha256[:SHORT]}]" if k.sha256 else k.name for k in found.values())]


def modules() -> list[str]:
    """Preprocessors, the extension's order of things: none first."""
    return ["none", *(name for name in PREPROCESSORS if name != "none"), *IP_MODULES]


class ModuleList(BaseModel):
    module_list: list[str]
    module_detail: dict[str, Any]


@router.get("/module_list")
def module_list(who: Who, alias_names: bool = False) -> ModuleList:
    """Preprocessors, with the sliders of each."""
    return ModuleList(module_list=modules(), module_detail={name: detail(name) for name in modules()})


def detail(name: str) -> dict[str, Any]:
    """What a page shows of a preprocessor."""
    if name.startswith(IP_ADAPTER):
        return {"model_free": False, "sliders": []}
    spec = PREPROCESSORS[name]
    sliders: list[dict[str, Any]] = []
    if spec.resolution is not None:
        sliders.append({"name": "Preprocessor Resolution", "value": spec.resolution, "min": 64, "max": 2048})
    for parameter in spec.parameters:
        low, high = parameter.limits
        sliders.append({"name": parameter.name, "value": parameter.default, "min": low, "max": high})
    return {"model_free": spec.role == "reference", "sliders": sliders}


class ControlTypes(BaseModel):
    control_types: dict[str, dict[str, Any]]


@router.get("/control_types")
def control_types(here: Here, who: Who) -> ControlTypes:
    """Which preprocessors and networks belong together, by their names."""
    every = {"module_list": modules(), "model_list": models(here), "default_option": "none", "default_model": "None"}
    found = {"All": every}
    for label, (word, first) in TYPES.items():
        own = ["none", *(name for name in modules() if word in name.lower())]
        nets = ["None", *(name for name in models(here)[1:] if word in name.lower())]
        default = next((name for name in first if name in own), own[-1])
        found[label] = {"module_list": own, "model_list": nets, "default_option": default, "default_model": nets[-1]}
    return ControlTypes(control_types=found)


class Version(BaseModel):
    version: int


@router.get("/version")
def version(who: Who) -> Version:
    """Of the extension's interface."""
    return Version(version=VERSION)


class Units(BaseModel):
    control_net_unit_count: int


@router.get("/settings")
def settings(who: Who) -> Units:
    """How many units a page shows; more can be sent."""
    return Units(control_net_unit_count=UNITS)


class Detect(Body):
    """What is to be made of which pictures; webuiapi calls them `controlnet_images`."""

    controlnet_module: str = Field(default="none", max_length=200)
    controlnet_input_images: list[str] = Field(default=[], max_length=100)
    controlnet_images: list[str] = Field(default=[], max_length=100)
    controlnet_processor_res: int = 512
    controlnet_threshold_a: float = 64
    controlnet_threshold_b: float = 64
    controlnet_masks: list[str] = Field(default=[], max_length=100)


class Detected(BaseModel):
    images: list[str]
    info: str
    poses: list[Any] | None = None


@router.post("/detect")
async def detect(body: Detect, here: Here, who: Who) -> Detected:
    """The hints that a preprocessor makes of pictures."""
    if body.controlnet_module not in PREPROCESSORS:
        raise ApiError(422, "HTTPException", "Module not available")
    images = body.controlnet_input_images or body.controlnet_images
    if not images:
        raise ApiError(422, "HTTPException", "No image selected")
    spec = PREPROCESSORS[body.controlnet_module]
    kept = [(await asyncio.to_thread(taken, text, here)).model_dump() for text in images]
    order = {
        "preprocessor": spec.name, "resolution": resolution_of(body.controlnet_processor_res, spec),
        "parameters": parameters((body.controlnet_threshold_a, body.controlnet_threshold_b), spec),
    }  # fmt: skip
    maker = Maker.of(here, who)
    files = [file for image in kept for file in await maker.files("preprocess", {"picture": image, **order})]
    return Detected(images=[base64.b64encode(file).decode() for file in files], info="Success")
