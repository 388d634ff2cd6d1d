"""Reading the files of control networks: ControlNet in all its layouts, T2I-Adapter, LLLite.

control = load_control("control_v11p_sd15_canny.pth", unet)

What a file is, is told by the names and shapes in it. A Control-LoRA and a difference ControlNet hold only what differs
from a U-Net, so they need the one they are used with: its own weights, without the patches that it may wear.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.control_names import (
    adapter_from_diffusers,
    controlnet_from_diffusers,
    lllite_target,
    without_prefix,
)
from fromnoise.checkpoints.detect import NotDetected, count, shape, way_down
from fromnoise.checkpoints.files import read_object
from fromnoise.checkpoints.load import Faults
from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.parts import HARMLESS, take_apart
from fromnoise.errors import FileError
from fromnoise.nn.control_lllite import LLLite, LLLiteModuleConfig
from fromnoise.nn.controlnet import ControlNet, ControlNetConfig, UnionConfig
from fromnoise.nn.ops import Fetching
from fromnoise.nn.t2i_adapter import StyleAdapter, StyleAdapterConfig, T2IAdapter, T2IAdapterConfig
from fromnoise.nn.unet import UNet

ControlNetwork: TypeAlias = ControlNet | T2IAdapter | LLLite | StyleAdapter

CONTROL = "control_model."
LORA_MARK, DIFFERENCE_MARK = "lora_controlnet", "difference"
WRAPPERS = ("state_dict", "adapter")  # tables that some files put around the one that counts


def load_control(
    path: Path | str, unet: UNet | None = None, *, pooled: bool | None = None, allow_unmatched: bool = False
) -> ControlNetwork:
    """The network of a file, its weights as they are stored there.

    `pooled`: whether a ControlNet's residuals are averaged over the picture, which no weight tells; by default they are
    where the file is called shuffle. Raises FileError, NotDetected and UnmatchedKeys, and UserError where the file
    needs a U-Net, or another one.
    """
    path = Path(path)
    state = table(path)
    pooled = "shuffle" in path.stem.lower() if pooled is None else pooled
    try:
        if LORA_MARK in state:
            return control_lora(path, state, needed(path, unet), allow_unmatched)
        if any(name.startswith("lllite") for name in state):
            return lllite(path, state, allow_unmatched)
        own = own_names(state)
        if "input_hint_block.0.weight" in own:
            return controlnet(path, own, unet, pooled, allow_unmatched)
        return adapter(path, state, allow_unmatched)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error


def table(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    tree = read_object(path)
    for wrapper in WRAPPERS:
        inner = tree.get(wrapper) if isinstance(tree, dict) else None
        tree = inner if isinstance(inner, dict) else tree
    items = tree.items() if isinstance(tree, dict) else ()
    state = {name: value for name, value in items if isinstance(name, str) and isinstance(value, Tensor)}
    if not state:
        raise FileError(f"{path} holds no table of named weights, so it is no control network")
    return state


def may_wait(state: State) -> bool:
    """Whether the weights of a file are a ControlNet's as they are, so that its layers can fetch them from there."""
    made = LORA_MARK in state or any(name.removeprefix(CONTROL) == DIFFERENCE_MARK for name in state)
    marks = (
        "input_hint_block.0.weight",
        f"{CONTROL}input_hint_block.0.weight",
        "controlnet_cond_embedding.conv_in.weight",
    )
    return not made and any(mark in state for mark in marks)


def needed(path: Path, unet: UNet | None) -> UNet:
    if unet is None:
        raise FileError(f"{path} holds only what differs from a U-Net; load it together with a checkpoint")
    return unet


# --- ControlNet -------------------------------------------------------------------------------------------------------


def own_names(state: State) -> dict[str, Tensor]:
    """A ControlNet's weights under our names, with nothing of the checkpoint that it may have been saved with."""
    if "controlnet_cond_embedding.conv_in.weight" in state:
        return controlnet_from_diffusers(state)
    if f"{CONTROL}input_hint_block.0.weight" not in state:
        return dict(state)
    parts = take_apart({name: tensor for name, tensor in state.items() if not name.startswith(CONTROL)})
    return {**without_prefix(state, CONTROL), **parts.rest}


def controlnet(path: Path, state: dict[str, Tensor], unet: UNet | None, pooled: bool, allow: bool) -> ControlNet:
    """A ControlNet of weights under our names; the marker makes them differences."""
    differs = state.pop(DIFFERENCE_MARK, None) is not None
    state = {name: tensor for name, tensor in state.items() if not HARMLESS.match(name)}
    config = controlnet_config(state, pooled)
    if unet is not None:  # how many heads there are is not in the shapes; it is as in the model that was copied
        config = replace(config, unet=replace(config.unet, heads=unet.config.heads, head_dim=unet.config.head_dim))
    if differs:
        base = needed(path, unet)
        check_base(path, config, base)
        state = summed(state, base.state_dict())
    faults = Faults()
    network = faults.filled(partial(ControlNet, config), state, "")
    faults.check(path, allow)
    return network


def controlnet_config(state: State, pooled: bool) -> ControlNetConfig:
    """Raises NotDetected."""
    union = None
    if "task_embedding" in state:
        union = UnionConfig(shape(state, "task_embedding", 2)[0], count(state, "transformer_layes"))
    return ControlNetConfig(way_down(state), *hint_shape(state), union=union, pooled=pooled)


def hint_shape(state: State) -> tuple[int, tuple[int, ...]]:
    """Channels of the hint, and the widths of the layers that see it."""
    convs = range(0, count(state, "input_hint_block"), 2)
    shapes = [shape(state, f"input_hint_block.{i}.weight", 4) for i in convs]
    return shapes[0][1], (shapes[0][0], *(one[0] for one in shapes[2:-1:2]))


def summed(state: State, base: State) -> dict[str, Tensor]:
    """Differences and what they differ from; what the U-Net does not have is whole already."""
    return {
        name: tensor + base[name].to("cpu", tensor.dtype) if name in base else tensor for name, tensor in state.items()
    }


def check_base(path: Path, config: ControlNetConfig, unet: UNet) -> None:
    """UserError where the U-Net is of another kind than the one the file was made from."""
    same = ("model_channels", "channel_mult", "res_blocks", "depths", "context_dim", "vector_dim")
    for name in same:
        if getattr(config.unet, name) != getattr(unet.config, name):
            raise FileError(
                f"{path} belongs to another kind of model: its {name} is {getattr(config.unet, name)}, "
                f"that of the checkpoint {getattr(unet.config, name)}"
            )


@dataclass(frozen=True, eq=False)
class LowRank:
    """A patch: the weight and the product of two small matrices."""

    up: Tensor  # (out r ...)
    down: Tensor  # (r in ...)

    def __call__(self, weight: Tensor) -> Tensor:
        up, down = (t.to(weight.device, weight.dtype).flatten(1) for t in (self.up, self.down))
        return weight + (up @ down).view_as(weight)


def control_lora(path: Path, state: dict[str, Tensor], unet: UNet, allow: bool) -> ControlNet:
    """Stability's Control-LoRA: the U-Net's own weights, shared, with small patches over them."""
    del state[LORA_MARK]
    pairs = {name.removesuffix(".up"): name for name in state if name.endswith(".up")}
    patches = {
        layer: LowRank(state.pop(name), state.pop(f"{layer}.down"))
        for layer, name in pairs.items()
        if f"{layer}.down" in state
    }
    config = ControlNetConfig(unet.config, *hint_shape(state))
    with torch.device("meta"):
        wanted = ControlNet(config).state_dict()
    shared = {name: tensor for name, tensor in unet.state_dict().items() if name in wanted and name not in state}
    faults = Faults()
    network = faults.filled(partial(ControlNet, config), {**shared, **state}, "")
    for layer, patch in patches.items():
        faults.unknown += patched(network, layer, patch)
    faults.check(path, allow)
    return network


def patched(network: nn.Module, layer: str, patch: LowRank) -> list[str]:
    """Put a patch on a layer; the names in the file that fit nothing."""
    modules = dict(network.named_modules())
    module = modules.get(layer)
    if not isinstance(module, Fetching) or not fits(module.weight, patch):
        return [f"{layer}.up", f"{layer}.down"]
    module.patches = {**module.patches, "weight": (*module.patches.get("weight", ()), patch)}
    return []


def fits(weight: Tensor | nn.Module, patch: LowRank) -> bool:
    """Whether the patch has the weight's rows and columns, and as much rank on both sides."""
    if not isinstance(weight, Tensor) or patch.up.ndim < 2 or patch.down.ndim < 2:
        return False
    rows, rank = patch.up.flatten(1).shape
    return (rank, weight[0].numel()) == tuple(patch.down.flatten(1).shape) and rows == len(weight)


# --- T2I-Adapter and LLLite -------------------------------------------------------------------------------------------

ORIGINAL_BLOCKS = 2  # residual blocks a level in the original files of full adapters
XL_CHANNELS = (256, 768)  # of the hint, one or three colours in squares of 16 x 16


def adapter(path: Path, state: dict[str, Tensor], allow: bool) -> T2IAdapter | StyleAdapter:
    """A T2I-Adapter. Raises NotDetected where the weights are no control network at all."""
    if all(name.startswith("adapter.") for name in state):
        state = without_prefix(state, "adapter.")
    faults = Faults()
    network: T2IAdapter | StyleAdapter
    if "style_embedding" in state:
        network = faults.filled(partial(StyleAdapter, style_config(state)), state, "")
    elif "body.0.resnets.0.block1.weight" in state:
        blocks = count(state, "body.0.resnets")
        state = adapter_from_diffusers(state)
        network = faults.filled(partial(T2IAdapter, adapter_config(state, blocks)), state, "")
    elif "body.0.in_conv.weight" in state or {"conv_in.weight", "body.0.block1.weight"} <= set(state):
        network = faults.filled(partial(T2IAdapter, adapter_config(state, ORIGINAL_BLOCKS)), state, "")
    else:
        raise NotDetected("it is no ControlNet, T2I-Adapter or LLLite")
    faults.check(path, allow)
    return network


def adapter_config(state: State, blocks: int) -> T2IAdapterConfig:
    """Of weights under the original names; `blocks` a level, where it is a full one."""
    light = "conv_in.weight" not in state
    first = shape(state, "body.0.in_conv.weight" if light else "conv_in.weight", 4)[1]
    xl = first in XL_CHANNELS
    last = "out_conv" if light else "block1"
    places = range(0, count(state, "body"), 1 if light else blocks)
    return T2IAdapterConfig(
        hint_channels=first // (256 if xl else 64),
        widths=tuple(shape(state, f"body.{i}.{last}.weight", 4)[0] for i in places),
        blocks=count(state, "body.0.body") if light else blocks,
        light=light,
        kernel=1 if light else shape(state, "body.0.block2.weight", 4)[2],
        conv_downs=any(name.endswith("down_opt.op.weight") for name in state),
        xl=xl,
    )


def style_config(state: State) -> StyleAdapterConfig:
    width, context_dim = shape(state, "proj", 2)
    tokens = shape(state, "style_embedding", 3)[1]
    return StyleAdapterConfig(width, context_dim, count(state, "transformer_layes"), tokens)


def lllite(path: Path, state: dict[str, Tensor], allow: bool) -> LLLite:
    """Kohya's ControlNet-LLLite."""
    names = dict.fromkeys(name.split(".")[0] for name in state)
    faults = Faults()
    config = {name: one for name in names if (one := lllite_config(state, name)) is not None}
    network = faults.filled(partial(LLLite, config), state, "")
    faults.check(path, allow)
    return network


def lllite_config(state: State, name: str) -> LLLiteModuleConfig | None:
    """Of one module; None where it stands beside no layer that we know."""
    target = lllite_target(name)
    if target is None or f"{name}.down.0.weight" not in state:
        return None
    inner, dim = shape(state, f"{name}.down.0.weight", 2)
    depth = 3 if f"{name}.conditioning1.4.weight" in state else 2
    if depth == 2 and shape(state, f"{name}.conditioning1.2.weight", 4)[-1] != 4:
        depth = 1
    hint_dim = 2 * shape(state, f"{name}.conditioning1.0.weight", 4)[0]
    return LLLiteModuleConfig(target, dim, inner, hint_dim, depth)
