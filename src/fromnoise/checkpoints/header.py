"""Tables of contents: where each tensor lies in a file, checked before any of it is believed.

The safetensors format: eight bytes with the length of a JSON header, the header, then the tensors without gaps.
Our reader is stricter than the format's own: it refuses names that appear twice, since parsers disagree on which wins.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from fromnoise.nn.quantized import Scheme

MAX_HEADER = 32 << 20  # bytes; a full SDXL checkpoint has 0.3 MB
MAX_TENSORS = 100_000
MAX_NAME = 512
MAX_RANK = 8
MAX_SIZE = 1 << 40  # of one dimension, so that products with a zero in them stay in range too

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class BadTable(ValueError):
    """What is wrong with a table of contents; the reader adds the file's name and a remedy."""


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int  # in bytes from the beginning of the file
    strides: tuple[int, ...]  # in elements
    scheme: Scheme | None = None  # of a quantised tensor, which lies in the file without gaps

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Of the tensor's elements; of the bytes that it spans in the file where it is contiguous."""
        if self.scheme is not None:
            return self.numel // self.scheme.block * self.scheme.nbytes
        return self.numel * self.dtype.itemsize

    @property
    def span(self) -> int:
        """Elements from the first to the last, both included; 0 where there are none."""
        if not self.numel:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def checked_sizes(sizes: object, what: str) -> tuple[int, ...]:
    """`sizes` as a tuple of a few integers that are not negative."""
    if not isinstance(sizes, (list, tuple)) or len(sizes) > MAX_RANK:
        raise BadTable(f"{what} is not a list of at most {MAX_RANK} numbers")
    if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes):
        raise BadTable(f"{what} holds something other than sizes")
    return tuple(sizes)


def check_name(name: str) -> str:
    if len(name) > MAX_NAME or not name.isprintable():
        raise BadTable(f"the tensor name {name[:40]!r} is too long or not printable")
    return name


def parse_header(header: bytes, data_start: int, file_size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """(entries, metadata) of a safetensors file whose tensors begin at byte `data_start`. Raises BadTable."""
    try:
        table = json.loads(header.decode("utf-8"), object_pairs_hook=unique_pairs)
    except BadTable:
        raise
    except (ValueError, RecursionError) as error:
        raise BadTable("its header is not JSON") from error
    if not isinstance(table, dict):
        raise BadTable("its header is not a JSON object")
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadTable("its metadata holds something other than text")
    if len(table) > MAX_TENSORS:
        raise BadTable(f"it names {len(table):,} tensors; at most {MAX_TENSORS:,} are read")
    entries = {check_name(name): parse_entry(name, fields, data_start) for name, fields in table.items()}
    check_layout(entries.values(), data_start, file_size)
    return entries, metadata


def unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise BadTable("its header has the same name twice")
    return unique


def parse_entry(name: str, fields: object, data_start: int) -> Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise BadTable(f"{name}: the header must give dtype, shape and data_offsets")
    dtype = DTYPES.get(fields["dtype"]) if isinstance(fields["dtype"], str) else None
    if dtype is None:
        raise BadTable(f"{name}: unknown dtype {str(fields['dtype'])[:20]!r}")
    shape = checked_sizes(fields["shape"], f"the shape of {name}")
    offsets = checked_sizes(fields["data_offsets"], f"data_offsets of {name}")
    entry = Entry(dtype, shape, data_start + offsets[0] if offsets else 0, contiguous_strides(shape))
    if len(offsets) != 2 or offsets[1] - offsets[0] != entry.nbytes:
        raise BadTable(f"{name}: its shape {list(shape)} and its place in the file disagree")
    return entry


def check_layout(entries: Iterable[Entry], data_start: int, file_size: int) -> None:
    """Tensors follow one another without gaps or overlaps and fill the file."""
    end = data_start
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != end:
            raise BadTable("its tensors overlap" if entry.start < end else "there are gaps between its tensors")
        end += entry.nbytes
    if end > file_size:
        raise BadTable(f"it is truncated: {file_size:,} of {end:,} bytes are there")
    if end < file_size:
        raise BadTable(f"{file_size - end:,} bytes follow its last tensor")


def build_header(tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """The first bytes of a safetensors file that holds `tensors` in this order; padded to a multiple of 8."""
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + prod(shape) * dtype.itemsize
        table[name] = {"dtype": DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
