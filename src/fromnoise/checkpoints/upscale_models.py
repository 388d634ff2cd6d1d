"""Upscaling networks from their files: ESRGAN's family under the keys of all its years, and Real-ESRGAN compact.

network = load_upscaler("4x-UltraSharp.pth")
network.config.scale
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from fromnoise.checkpoints.detect import NotDetected, count, shape
from fromnoise.checkpoints.files import read_object
from fromnoise.checkpoints.load import Faults
from fromnoise.checkpoints.names import State
from fromnoise.errors import FileError
from fromnoise.nn.rrdb import RRDBConfig, RRDBNet
from fromnoise.nn.srvgg import CompactConfig, SRVGGNetCompact

UpscalingNetwork: TypeAlias = RRDBNet | SRVGGNetCompact

WRAPPERS = (
    "params_ema",
    "params-ema",
    "params",
    "model_state_dict",
    "state_dict",
    "model",
    "net",
)  # what is best first
PREFIXES = ("module.", "netG.")  # what training adds to every name

BLOCK = r"\.(\d+)\.(?:RDB|rdb)(\d)\.(conv\d(?:x\d)?)(?:\.0)?\.(weight|bias)"
BLOCKS = re.compile(rf"(?:model\.1\.sub|RRDB_trunk|body){BLOCK}")
OLD_SHORTCUT = re.compile(r"model\.1\.sub\.(\d+)\.(weight|bias)")  # of the number after the last block
OLD_LAYER = re.compile(r"model\.(\d+)\.(weight|bias)")
NEWER = {  # of the research code between ESRGAN and Real-ESRGAN
    "trunk_conv": "conv_body",
    "HRconv": "conv_hr",
    **{f"upconv{i}": f"conv_up{i}" for i in range(1, 6)},
}
CHANNELS = (3, 4, 1)  # of pictures


def load_upscaler(path: Path | str) -> UpscalingNetwork:
    """The network in `path`, its weights in the file's memory map. Raises FileError; NotDetected for other kinds."""
    network = upscaler_of(upscaler_state(path), Path(path))
    if network is None:
        raise NotDetected(f"{path} holds neither an ESRGAN nor a Real-ESRGAN compact network")
    return network


def upscaler_state(path: Path | str) -> State:
    """The tensors of an upscaler's file without what is wrapped around them. Raises FileError."""
    tree = read_object(path)
    while isinstance(tree, dict):
        inner = next((tree[key] for key in WRAPPERS if isinstance(tree.get(key), dict)), None)
        if inner is None and len(tree) == 1 and isinstance(only := next(iter(tree.values())), dict):
            inner = only
        if inner is None:
            break
        tree = inner
    state = tree if isinstance(tree, dict) else {}
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise FileError(f"{path} holds no table of named weights; give the file of an upscaler, such as 4x.pth")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def upscaler_of(state: State, path: Path) -> UpscalingNetwork | None:
    """The network that `state` is of, or None where it is of another kind. Raises FileError where it is damaged."""
    faults = Faults()
    network: UpscalingNetwork
    try:
        if is_rrdb(state):
            state = rrdb_from_old(state)
            network = faults.filled(partial(RRDBNet, rrdb_config(state)), state, "")
        elif "body.0.weight" in state and "body.1.weight" in state:
            network = faults.filled(partial(SRVGGNetCompact, compact_config(state)), state, "")
        else:
            return None
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    faults.check(path, False)
    return network


def is_rrdb(state: State) -> bool:
    return any(BLOCKS.fullmatch(name) for name in state)


def rrdb_from_old(state: State) -> dict[str, Tensor]:
    """ESRGAN's weights under the names of Real-ESRGAN; those names stay as they are."""
    highest = max((int(found[1]) for name in state if (found := OLD_LAYER.fullmatch(name))), default=0)
    ends = {0: "conv_first", highest - 2: "conv_hr", highest: "conv_last"}  # between them an activation
    renamed = {}
    for name, tensor in state.items():
        layer, _, parameter = name.rpartition(".")
        if found := BLOCKS.fullmatch(name):
            name = f"body.{found[1]}.rdb{found[2]}.{found[3]}.{found[4]}"
        elif OLD_SHORTCUT.fullmatch(name):
            name = f"conv_body.{parameter}"
        elif found := OLD_LAYER.fullmatch(name):
            number = int(found[1])
            name = f"{ends.get(number, f'conv_up{number // 3}')}.{parameter}"
        else:
            name = f"{NEWER.get(layer, layer)}.{parameter}"
        renamed[name] = tensor
    return renamed


def rrdb_config(state: State) -> RRDBConfig:
    """The configuration behind weights under the names of Real-ESRGAN. Raises NotDetected."""
    width, in_channels = shape(state, "conv_first.weight", 4)[:2]
    out_channels = shape(state, "conv_last.weight", 4)[0]
    unshuffle = {1: 1, 4: 2, 16: 4}.get(in_channels // out_channels if in_channels % out_channels == 0 else 0)
    if unshuffle is None or out_channels not in CHANNELS:
        raise NotDetected(f"it makes {out_channels} channels of {in_channels}, which is no picture of a picture")
    doublings = sum(f"conv_up{i}.weight" in state for i in range(1, 6))
    if 2**doublings < unshuffle:
        raise NotDetected("it makes pictures smaller")
    blocks = numbered(state, "body")
    return RRDBConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        growth=shape(state, "body.0.rdb1.conv1.weight", 4)[0],
        blocks=blocks,
        doublings=doublings,
        unshuffle=unshuffle,
        plus="body.0.rdb1.conv1x1.weight" in state,
    )


def compact_config(state: Mapping[str, Tensor]) -> CompactConfig:
    """The configuration behind weights of a compact network. Raises NotDetected."""
    width, in_channels = shape(state, "body.0.weight", 4)[:2]
    last = numbered(state, "body") - 1
    out = shape(state, f"body.{last}.weight", 4)[0]
    for channels in (in_channels, *CHANNELS):
        scale = round((out / channels) ** 0.5)
        if channels in CHANNELS and channels * scale**2 == out:
            return CompactConfig(in_channels, channels, width, last // 2 - 1, scale)
    raise NotDetected(f"its last layer makes {out} channels, which is no picture enlarged")


def numbered(state: State, prefix: str) -> int:
    """How many children `prefix` has; NotDetected where numbers are left out, which would build what has no weights."""
    found = {name.split(".")[1] for name in state if name.startswith(f"{prefix}.")}
    if len(found) != count(state, prefix):
        raise NotDetected(f"the numbers of its layers {prefix}.0, {prefix}.1, ... have gaps")
    return len(found)
