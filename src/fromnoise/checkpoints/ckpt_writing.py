"""Writing what torch.save writes, one tensor at a time, so that a file may be larger than the memory.

    with CkptFile(file, {"a": (torch.float16, (2, 3))}, {"note": "text"}) as ckpt:
        ckpt.add("a", tensor)

Such a file is a ZIP archive, its members not packed: `data.pkl`, a pickle of `{"state_dict": {...}}` that names the
storages, and `data/0`, `data/1`, ..., the storages' bytes. `torch.load(weights_only=True)` reads it, and so do other
tools.
"""

import struct
import zipfile
from collections.abc import Mapping
from math import prod
from types import TracebackType
from typing import BinaryIO, Self

import torch
from torch import Tensor

from fromnoise.checkpoints.header import contiguous_strides

FOLDER = "archive"
ALIGNMENT = 64  # bytes, as torch.save has it: what is mapped into memory can be used where it lies
LOCAL_HEADER, ZIP64, PADDING_HEAD = 30, 20, 4  # bytes of the parts that stand before a member
PADDING = 0x4246  # the kind of extra field that torch.save fills up with
CLASSES = {  # of storages; types without one are stored as bytes that a tensor gives a type to
    torch.float64: "DoubleStorage",
    torch.float32: "FloatStorage",
    torch.float16: "HalfStorage",
    torch.bfloat16: "BFloat16Storage",
    torch.int64: "LongStorage",
    torch.int32: "IntStorage",
    torch.int16: "ShortStorage",
    torch.int8: "CharStorage",
    torch.uint8: "ByteStorage",
    torch.bool: "BoolStorage",
}

Table = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def program(table: Table, metadata: Mapping[str, str]) -> bytes:
    """The pickle, which rebuilds the dict and its tensors, in the few instructions of protocol 2 that this takes."""
    tensors = b"".join(text(name) + tensor(number, *table[name]) for number, name in enumerate(table))
    told = b"".join(text(name) + text(value) for name, value in metadata.items())
    return b"\x80\x02}(" + told + text("state_dict") + b"}(" + tensors + b"uu."


def tensor(number: int, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    """A call of the function with which torch makes a tensor of a storage."""
    known, name, numel = CLASSES.get(dtype), str(dtype).removeprefix("torch."), prod(shape)
    kind = named("torch", known) if known else named("torch.storage", "UntypedStorage")
    size = whole(numel if known else numel * dtype.itemsize)
    storage = b"(" + text("storage") + kind + text(str(number)) + text("cpu") + size + b"tQ"
    hooks = named("collections", "OrderedDict") + b")R"
    call = named("torch._utils", "_rebuild_tensor_v2" if known else "_rebuild_tensor_v3")
    rest = b"" if known else named("torch", name)
    places = whole(0) + several(shape) + several(contiguous_strides(shape))
    return call + b"(" + storage + places + b"\x89" + hooks + rest + b"tR"


def text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def whole(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


def several(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(whole, numbers)) + b"t"


class CkptFile:
    """An archive that is being written; tensors come in any order, each once."""

    def __init__(self, file: BinaryIO, table: Table, metadata: Mapping[str, str]) -> None:
        self.file, self.archive = file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self.numbers = {name: number for number, name in enumerate(table)}
        self.member("data.pkl", memoryview(program(table, metadata)))
        self.member("byteorder", memoryview(b"little"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.member("version", memoryview(b"3\n"))
            self.archive.close()
        else:
            self.archive.fp = None  # the file is not to be finished

    def add(self, name: str, tensor: Tensor) -> None:
        """The numbers of a tensor of the table, of its dtype and shape, on the CPU and contiguous."""
        self.member(f"data/{self.numbers[name]}", tensor.flatten().view(torch.uint8).numpy().data)

    def member(self, name: str, content: memoryview) -> None:
        info = zipfile.ZipInfo(f"{FOLDER}/{name}")
        before = self.file.tell() + LOCAL_HEADER + len(info.filename) + ZIP64 + PADDING_HEAD
        fill = -before % ALIGNMENT
        info.extra = struct.pack("<HH", PADDING, fill) + b"Z" * fill
        with self.archive.open(info, "w", force_zip64=True) as member:
            member.write(content)
