"""Keys of LoRA files: which part names the layer, and which the factor.

    split("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight")  # ("lora_unet_..._proj_in", "lora_down")
    split("unet.conv_in.lora_A.default.weight")                         # ("unet.conv_in", "lora_down")

Factors are called as in LyCORIS, without `.weight`; those of peft that mean something else keep their name.
"""

import re
from collections.abc import Iterable

SIDES = {"up": "lora_up", "down": "lora_down", "A": "lora_down", "B": "lora_up"}
ENDS = tuple(
    re.compile(pattern + r"\Z")
    for pattern in (
        r"\.lora_(?P<side>up|down)(\.weight)?",  # kohya, LyCORIS
        r"\.lora_(?P<side>A|B)(\.\w+)?(\.weight)?",  # peft; in memory with the adapter's name
        r"_lora\.(?P<side>up|down)\.weight",  # diffusers, attention processors
        r"\.lora\.(?P<side>up|down)\.weight",  # diffusers, U-Net
        r"\.lora_linear_layer\.(?P<side>up|down)\.weight",  # diffusers, text encoder
        r"\.(?P<factor>lora_mid|lora_magnitude_vector|ia3_l|[ab][12]|bm)(\.\w+)?(\.weight)?",
        r"\.(?P<factor>alpha|scale|dora_scale|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](_[ab])?|lokr_t2)",
        r"\.(?P<factor>oft_blocks|oft_diag|rescale|on_input|diff|diff_b|w_norm|b_norm|set_weight|reshape_weight)",
    )
)
CUSTOM = re.compile(r"(\.processor)?\.(?P<layer>to_[kvq]|to_out)_custom_diffusion(\.0)?\.(?P<part>weight|bias)\Z")
OTHERS = ("bundle_emb.", "ip_adapter.", "image_proj.")  # embeddings that come along, and what only looks alike
UNDERSCORED = re.compile(r"(lora_unet|oft_unet|lora_te[12]?|lycoris)_\w+")  # kohya's names of layers have no points


def is_lora(keys: Iterable[str]) -> bool:
    """Whether most of a file's keys are those of LoRAs."""
    found = [split(key) for key in keys if not key.startswith(OTHERS)]
    return 2 * sum(one is not None and one[1] != "scale" for one in found) > len(found)


def split(key: str) -> tuple[str, str] | None:
    """The layer's name as the file has it, and the factor; None where nothing is known to end like this.

    Where the layer's name has no points, the rest is the factor, whatever it is called.
    """
    whole = CUSTOM.search(key)  # diffusers' Custom Diffusion: whole weights
    if whole and whole.start():
        return f"{key[: whole.start()]}.{whole['layer']}", f"set_{whole['part']}"
    for end in ENDS:
        found = end.search(key)
        if found and found.start():
            groups = found.groupdict()
            return key[: found.start()], SIDES[groups["side"]] if "side" in groups else groups["factor"]
    layer, point, factor = key.partition(".")
    if point and UNDERSCORED.fullmatch(layer):
        return layer, factor if factor == "weight" else factor.removesuffix(".weight")
    return None
