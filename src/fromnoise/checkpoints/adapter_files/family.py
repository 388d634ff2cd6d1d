"""Which models a LoRA was made for, from its metadata, its shapes and its names."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from fromnoise.checkpoints.detect import Family

if TYPE_CHECKING:
    from fromnoise.checkpoints.adapter_files.lora import LoRAFile

CONTEXTS: Mapping[int, Family] = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl_refiner"}  # by width of context
LABELS: Mapping[Family, str] = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL", "sdxl_refiner": "SDXL's refiner"}
TOLD: tuple[tuple[str, Family], ...] = (  # beginnings of ss_base_model_version and modelspec.architecture
    ("sdxl", "sdxl"),
    ("stable-diffusion-xl-v1-refiner", "sdxl_refiner"),
    ("stable-diffusion-xl", "sdxl"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v1", "sd1"),
    ("stable-diffusion-v1", "sd1"),
)
CROSS = re.compile(r"attn2[._](processor[._])?to_[kv]\Z")
SECOND_ENCODER = re.compile(
    r"(lora_te2_|text_encoder_2\.|text_encoders\.clip_g\.|clip_g\.|conditioner\.embedders\.1\.)"
)


def base_family(file: "LoRAFile") -> Family | None:
    """The family of models; None where nothing tells."""
    for key in ("ss_base_model_version", "modelspec.architecture"):
        told = file.metadata.get(key, "").lower()
        for beginning, family in TOLD:
            if told.startswith(beginning):
                return family
    for layer, factors in file.layers.items():
        found = CONTEXTS.get(width_in(factors) or 0) if CROSS.search(layer) else None
        if found:
            return found
    return "sdxl" if any(SECOND_ENCODER.match(layer) for layer in file.layers) else None


def width_in(factors: Mapping[str, Tensor]) -> int | None:
    """Columns of the weight that a layer's factors act on."""
    for name in ("lora_down", "hada_w1_b", "b2", "diff"):
        if name in factors and factors[name].ndim >= 2:
            return int(factors[name].shape[1])
    halves = [factors.get(f"lokr_{w}", factors.get(f"lokr_{w}_b")) for w in ("w1", "w2")]
    sizes = [half.shape[1] for half in halves if half is not None and half.ndim >= 2]
    return sizes[0] * sizes[1] if len(sizes) == 2 else None
