"""diffusers' names of an IP-Adapter's layers, as its U-Net saves them together with its own or alone."""

import re

import torch
from torch import Tensor

from fromnoise.checkpoints.names import State

KEYS = re.compile(
    r"(down_blocks|up_blocks|mid_block)\.(?:(\d+)\.)?attentions\.(\d+)\.transformer_blocks\.(\d+)\.attn2"
    r"\.processor\.(to_[kv]_ip)\.(?:0\.)?weight"
)
PARTS = ("down_blocks", "up_blocks", "mid_block")  # in the order of the authors' numbers
PROJECTION = re.compile(r"encoder_hid_proj\.(?:image_projection_layers\.0\.)?(.+)")
LAYER = {  # of a resampler: pairs of attention and feed-forward layers
    "ln0": "0.norm1",
    "ln1": "0.norm2",
    "attn.to_q": "0.to_q",
    "attn.to_out.0": "0.to_out",
    "ff.0": "1.0",
    "ff.1.net.0.proj": "1.1",
    "ff.1.net.2": "1.3",
}
FEED_FORWARD = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "image_embeds": "proj"}
FACE_PLUS = {"proj.net.0.proj": "proj.0", "proj.net.2": "proj.2"}
IN_RESAMPLER = ("layers.", "proj_in.", "proj_out.", "norm_out.")


def from_diffusers(weights: State) -> dict[str, Tensor]:
    """The first adapter in a U-Net's weights, under the authors' names. The U-Net's own weights are left out."""
    return {**layers(weights), **{f"image_proj.{name}": tensor for name, tensor in projection(weights).items()}}


def layers(weights: State) -> dict[str, Tensor]:
    """Keys and values by number: going down, going up, in the middle."""
    found = [(match, weights[name]) for name in weights if (match := KEYS.fullmatch(name))]
    places = sorted({place(match) for match, _ in found})
    return {f"ip_adapter.{2 * places.index(place(match)) + 1}.{match[5]}.weight": tensor for match, tensor in found}


def place(match: re.Match[str]) -> tuple[int, ...]:
    """Of an attention, in the order of the numbers."""
    return PARTS.index(match[1]), *(int(number or 0) for number in match.group(2, 3, 4))


def projection(weights: State) -> dict[str, Tensor]:
    """What makes tokens, under the authors' names."""
    theirs = {match[1]: weights[name] for name in weights if (match := PROJECTION.fullmatch(name))}
    face = any(name.startswith("proj.net.") for name in theirs)
    full = "ff.net.2.weight" in theirs and len(theirs["ff.net.2.weight"]) == len(theirs["norm.weight"])
    ours = {}
    for name, tensor in theirs.items():
        layer, _, parameter = name.rpartition(".")
        if name.endswith("attn.to_v.weight"):
            continue  # goes with the keys
        if name.endswith("attn.to_k.weight"):
            both = torch.cat((tensor, theirs[name.replace("to_k", "to_v")]))
            own = name.replace("attn.to_k", "0.to_kv")
            ours[f"perceiver_resampler.{own}" if face else own] = both
            continue
        own = renamed(layer, full)
        own = f"perceiver_resampler.{own}" if face and name.startswith(IN_RESAMPLER) else own
        ours[f"{own}.{parameter}" if layer else name] = tensor
    return ours


def renamed(layer: str, full: bool) -> str:
    """Our name of a projection's layer; `full`: its last norm counts as its fourth layer."""
    if layer.startswith("layers."):
        _, number, inside = layer.split(".", 2)
        return f"layers.{number}.{LAYER.get(inside, inside)}"
    if layer == "norm" and full:
        return "proj.3"
    return {**FEED_FORWARD, **FACE_PLUS}.get(layer, layer)
