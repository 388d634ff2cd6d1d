"""Weights of ncnn become the files they were made from."""

import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.upscalers.tiny import RRDB, compact, rrdb
from tools.ncnn_weights import layers, named, tensors


def written(state: dict[str, Tensor], half: bool) -> tuple[str, bytes]:
    """A .param and a .bin file as ncnn writes them, for a chain of convolutions and PReLUs."""
    lines, content = ["Input data 0 1 data"], b""
    for name, tensor in state.items():
        if tensor.ndim == 4:
            numbers = f"0={len(tensor)} 1={tensor.shape[-1]} 4=1 5=1 6={tensor.numel()}"
            lines.append(f"Convolution {name} 1 1 a b {numbers} -23310=1,2.0e-01")
            raw = tensor.half().numpy().tobytes() if half else tensor.numpy().tobytes()
            content += struct.pack("<I", 0x01306B47 if half else 0) + raw + bytes(-len(raw) % 4)
        else:
            if not name.endswith(".bias"):
                lines.append(f"PReLU {name} 1 1 a b 0={len(tensor)}")
            content += tensor.numpy().tobytes()
    return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n", content


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("blocks", [None, 1])
def test_weights_come_back_under_their_names(half: bool, blocks: int | None) -> None:
    state = dict((rrdb(RRDB) if blocks else compact()).state_dict())
    param, content = written(state, half)
    found = named(list(tensors(layers(param), content)), blocks)
    assert list(found) == list(state)
    for name, tensor in state.items():
        wanted = tensor.half() if half and tensor.ndim == 4 else tensor
        assert torch.equal(found[name], wanted)
        assert found[name].dtype == wanted.dtype


def test_other_files_are_refused() -> None:
    param, content = written(dict(compact().state_dict()), True)
    with pytest.raises(ValueError, match=r"not a \.param file"):
        layers("x")
    with pytest.raises(ValueError, match="4 bytes are left over"):
        list(tensors(layers(param), content + bytes(4)))
    with pytest.raises(ValueError, match="not those of the network"):
        named(list(tensors(layers(param), content)), 1)


def test_the_shipped_file_is_one_of_them() -> None:
    from importlib.resources import files

    from fromnoise.checkpoints.files import read

    weights = read(Path(str(files("fromnoise.assets").joinpath("upscaler.safetensors"))))
    assert weights["body.0.weight"].dtype == torch.float16
    assert weights["body.0.bias"].dtype == torch.float32
