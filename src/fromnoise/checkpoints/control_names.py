"""Names of control networks in the files of others: diffusers' ControlNets and adapters, kohya's LLLite."""

import re
from collections.abc import Mapping

from torch import Tensor

from fromnoise.checkpoints.detect import count
from fromnoise.checkpoints.names import Renaming, State, diffusers_unet
from fromnoise.nn.unet import UNetConfig

LLLITE = re.compile(
    r"lllite_unet_(input|middle|output)_blocks?(?:_(\d+))?_1_transformer_blocks_(\d+)_(attn[12])_to_(q|k|v)"
)


def diffusers_controlnet(state: State) -> Renaming:
    """Our names of a ControlNet's layers to those of diffusers' ControlNetModel and ControlNetUnionModel.

    `state` is under diffusers' names, and tells how many layers there are.
    """
    levels, res_blocks = count(state, "down_blocks"), count(state, "down_blocks.0.resnets")
    unet = UNetConfig(
        channel_mult=(1,) * levels,
        res_blocks=res_blocks,
        middle_depth=count(state, "mid_block.attentions.0.transformer_blocks"),
        output_depths=(0,) * (levels * (res_blocks + 1)),
    )
    names = diffusers_unet(unet)
    blocks = {ours: theirs for ours, theirs in names.blocks.items() if not ours.startswith(("out", "output_blocks"))}
    hint = count(state, "controlnet_cond_embedding.blocks")
    blocks["input_hint_block.0"] = "controlnet_cond_embedding.conv_in"
    for i in range(hint):
        blocks[f"input_hint_block.{2 * (i + 1)}"] = f"controlnet_cond_embedding.blocks.{i}"
    blocks[f"input_hint_block.{2 * (hint + 1)}"] = "controlnet_cond_embedding.conv_out"
    for i in range(count(state, "controlnet_down_blocks")):
        blocks[f"zero_convs.{i}.0"] = f"controlnet_down_blocks.{i}"
    blocks["middle_block_out.0"] = "controlnet_mid_block"
    for same in ("task_embedding", "transformer_layes", "spatial_ch_projs", "control_add_embedding"):
        blocks[same] = same
    return Renaming(blocks, names.layers)


def controlnet_from_diffusers(state: State) -> dict[str, Tensor]:
    """A ControlNetModel's weights under our names; what has none keeps its own, so that it is reported."""
    return renamed(state, diffusers_controlnet(state).inverse)


def adapter_from_diffusers(state: State) -> dict[str, Tensor]:
    """A T2IAdapter's weights under the names of the original files."""
    light = "body.0.out_conv.weight" in state
    return renamed(state, diffusers_adapter(count(state, "body"), count(state, "body.0.resnets"), light=light).inverse)


def adapter_to_diffusers(state: State, levels: int, per_level: int) -> dict[str, Tensor]:
    """Weights of a full adapter, with the original files' names, as diffusers saves them."""
    theirs = renamed(state, diffusers_adapter(levels, per_level, light=False))
    return {f"adapter.{name}": tensor for name, tensor in theirs.items()}


def diffusers_adapter(levels: int, per_level: int, *, light: bool) -> Renaming:
    """The original names to diffusers'."""
    blocks = {"conv_in": "conv_in"}
    for level in range(levels):
        theirs = f"body.{level}"
        if light:
            blocks |= {f"{theirs}.{end}": f"{theirs}.{end}" for end in ("in_conv", "out_conv")}
            blocks |= {f"{theirs}.body.{i}": f"{theirs}.resnets.{i}" for i in range(per_level)}
        else:
            blocks[f"body.{level * per_level}.in_conv"] = f"{theirs}.in_conv"
            blocks |= {f"body.{level * per_level + i}": f"{theirs}.resnets.{i}" for i in range(per_level)}
    return Renaming(blocks, {})


def renamed(state: State, rename: Renaming) -> dict[str, Tensor]:
    """`state` under other names; what the renaming does not know keeps its own."""
    found = {}
    for name, tensor in state.items():
        try:
            found[rename(name)] = tensor
        except KeyError:
            found[name] = tensor
    return found


def lllite_target(name: str) -> str | None:
    """The layer of our U-Net that a module of an LLLite file stands beside; None where there is none."""
    found = LLLITE.fullmatch(name)
    if found is None or (found[1] == "middle") == bool(found[2]):
        return None
    block = "middle_block.1" if found[1] == "middle" else f"{found[1]}_blocks.{found[2]}.1"
    return f"{block}.transformer_blocks.{found[3]}.{found[4]}.to_{found[5]}"


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What begins with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
