"""GLIGEN models for text boxes from files: those in people's gligen folders, and a diffusers U-Net that has one.

gligen = load_gligen("gligen_sd14_textbox_pruned.safetensors")
"""

import re
from functools import partial
from pathlib import Path

import torch

from fromnoise.checkpoints.detect import NotDetected, shape
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.load import Faults, convert
from fromnoise.checkpoints.names import State
from fromnoise.nn.gligen import Gligen, GligenConfig

POSITION = "position_net."
FUSER = re.compile(r"(?:.*\.)?((?:input_blocks|middle_block|output_blocks)\..*\.fuser)\.(.+)")
DIFFUSERS = re.compile(r"(down_blocks|mid_block|up_blocks)\.(?:(\d+)\.)?attentions\.(\d+)\.(.*\.fuser\..+)")


def load_gligen(
    path: Path | str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    allow_unmatched: bool = False,
) -> Gligen:
    """The GLIGEN model in a file; weights of the U-Net beside it are left out.

    Weights stay in the file's memory map unless `dtype` or `device` asks for copies. Raises FileError for a bad file,
    NotDetected and UnmatchedKeys for weights that make no such model.
    """
    weights = read(path)
    state = named(weights)
    if not any(".fuser." in name for name in state):
        raise NotDetected(f"{path} holds no GLIGEN model")
    try:
        config = gligen_config(state)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    faults = Faults()
    gligen = faults.filled(partial(Gligen, config), state, "")
    faults.check(weights.path, allow_unmatched)
    return convert(gligen, dtype=dtype, device=device)


def named(weights: State) -> State:
    """The model's weights under the original names."""
    per_level = 2 + max(
        (int(match[3]) for name in weights if (match := DIFFUSERS.fullmatch(name)) and match[1] == "down_blocks"),
        default=0,
    )
    found = {}
    for name, tensor in weights.items():
        if POSITION in name:
            found[POSITION + name.partition(POSITION)[2]] = tensor
        elif match := DIFFUSERS.fullmatch(name):
            found[f"{block(match, per_level)}.{match[4]}"] = tensor
        elif match := FUSER.fullmatch(name):
            found[f"{match[1]}.{match[2]}"] = tensor
    return found


def block(match: re.Match[str], per_level: int) -> str:
    """Our name of diffusers' transformer; a level has `per_level` numbers on either way."""
    if match[1] == "mid_block":
        return "middle_block.1"
    level, number = int(match[2]), int(match[3])
    if match[1] == "down_blocks":
        return f"input_blocks.{1 + level * per_level + number}.1"
    return f"output_blocks.{level * per_level + number}.1"


def gligen_config(state: State) -> GligenConfig:
    """A GLIGEN model's configuration. Raises NotDetected."""
    if f"{POSITION}linears_text.0.weight" in state:
        raise NotDetected("it is a GLIGEN model for boxes with pictures; only those with texts are supported")
    (text_dim,) = shape(state, f"{POSITION}null_positive_feature", 1)
    (places,) = shape(state, f"{POSITION}null_position_feature", 1)
    ends = ".fuser.linear.weight"
    blocks = {name.removesuffix(ends): shape(state, name, 2) for name in state if name.endswith(ends)}
    if len({object_dim for _, object_dim in blocks.values()}) != 1:
        raise NotDetected("its layers do not agree on the width of what they are told")
    return GligenConfig(
        tuple((name, dim) for name, (dim, _) in blocks.items()),
        text_dim,
        shape(state, f"{POSITION}linears.4.weight", 2)[0],
        places // 8,
        shape(state, f"{POSITION}linears.0.weight", 2)[0],
    )
