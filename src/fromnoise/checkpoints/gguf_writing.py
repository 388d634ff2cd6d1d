"""Writing a U-Net as GGUF, as ComfyUI's loaders of such files expect it: original names, packed by the package gguf.

Weights whose rows do not make whole blocks are stored as rows of 256, with their shape beside them (city96's
ComfyUI-GGUF). Norms, biases and the ends of the network stay as they are: they are small and their errors show.
"""

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fromnoise.checkpoints.deferred import computed
from fromnoise.checkpoints.detect import Family
from fromnoise.checkpoints.files import finite
from fromnoise.checkpoints.gguf_header import ORIGINAL_SHAPE
from fromnoise.checkpoints.save import NonFinite, Report, check_space, nothing, placed, stored
from fromnoise.errors import UserError

KINDS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")  # those that gguf can make
PLAIN = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
ROW = 256  # numbers
FEW = 1024  # numbers, that are not worth packing
ENDS = re.compile(r"(time_embed|label_emb|input_blocks\.0|out)\.")
ARCHITECTURES: Mapping[Family, str] = {"sd1": "sd1", "sd2": "sd1", "sdxl": "sdxl", "sdxl_refiner": "sdxl"}


def checked_kind(name: str) -> str:
    """One of KINDS. UserError, which says where the others are made."""
    kind = name.lower()
    if kind not in KINDS:
        hint = ""
        if re.fullmatch(r"q\d_k(_[sml])?|i?q\d\w*", kind):
            hint = "; write f16 and pack that with llama-quantize of llama.cpp"
        raise UserError(f"GGUF files are not written as {name}{hint}. Known: {', '.join(KINDS)}")
    if find_spec("gguf") is None:
        raise UserError("GGUF files are written by the package gguf; install the extra gguf")
    return kind


def kind_of(name: str, tensor: Tensor, kind: str) -> str:
    """As what a tensor is stored where the file is of `kind`."""
    if tensor.ndim < 2 or tensor.numel() <= FEW:
        return "f32"
    if kind not in PLAIN and (ENDS.match(name) or tensor.numel() % ROW):
        return "f16"
    return kind


def rows_of(shape: tuple[int, ...], block: int) -> tuple[int, ...]:
    """The shape in which a tensor is stored: its own, or rows of 256 where its rows are no whole blocks."""
    return shape if block == 1 or shape[-1] % block == 0 else (prod(shape) // ROW, ROW)


def write_gguf(
    path: Path,
    unet: Mapping[str, Tensor],
    family: Family,
    kind: str,
    metadata: Mapping[str, str],
    report: Report,
    *,
    allow_non_finite: bool,
    before_it_counts: Callable[[], None] = nothing,
) -> Path:
    """A U-Net under our names, tensor by tensor. Raises FileError, and NonFinite as `save.write`."""
    import gguf

    writer: Any = gguf.GGUFWriter(None, arch=ARCHITECTURES[family])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType[file_type(kind)])
    for name, text in metadata.items():
        writer.add_string(name, text)
    kinds = {name: gguf.GGMLQuantizationType[kind_of(name, tensor, kind).upper()] for name, tensor in unet.items()}
    total = 0
    for name, tensor in unet.items():
        block, nbytes = gguf.GGML_QUANT_SIZES[kinds[name]]
        shape = rows_of(tuple(tensor.shape), block)
        if shape != tuple(tensor.shape):
            writer.add_array(ORIGINAL_SHAPE + name, list(tensor.shape))
        size = tensor.numel() // block * nbytes
        total += size
        writer.add_tensor_info(name, shape, np.float32, size, raw_dtype=kinds[name])
    done, broken = 0, []
    with placed(path) as part:
        check_space(path, total)
        try:
            writer.write_header_to_file(part)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for name, tensor in unet.items():
                numbers = computed(tensor.detach())
                if not allow_non_finite and not finite(numbers):
                    broken.append(name)
                packed = packed_as(name, numbers, kinds[name], rows_of(tuple(tensor.shape), 32))
                if not broken:
                    writer.write_tensor_data(packed)
                done += packed.nbytes
                report(done, total)
        finally:
            writer.close()
        if broken:
            raise NonFinite(path, broken)
        before_it_counts()
    return path


def packed_as(name: str, numbers: Tensor, kind: Any, rows: tuple[int, ...]) -> Any:
    """The array that a file of this kind holds; `rows` is the shape to pack in."""
    import gguf

    plain = PLAIN.get(kind.name.lower())
    if plain is not None:
        numbers = stored(name, numbers, plain)
        return (numbers.view(torch.uint8) if plain == torch.bfloat16 else numbers).numpy()
    return gguf.quants.quantize(numbers.to(torch.float32).reshape(rows).numpy(), kind)


def file_type(kind: str) -> str:
    """gguf's name of a file that is mostly of this kind."""
    return {"f32": "ALL_F32"}.get(kind, f"MOSTLY_{kind.upper()}")
