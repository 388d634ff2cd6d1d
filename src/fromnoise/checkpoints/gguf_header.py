"""The table of contents of a GGUF file, versions 2 and 3, checked before any of it is believed.

After four letters come the version, the numbers of tensors and of facts, the facts (name, type, value), the tensors
(name, sizes from the innermost on, type, place), then, aligned, the tensors themselves: ggml's `docs/gguf.md`.

Names are those of the original files, of diffusers, or of either's U-Net alone. Where a weight was stored in another
shape, so that it makes whole blocks, `comfy.gguf.orig_shape.NAME` says which one it has (city96's ComfyUI-GGUF).
"""

import mmap
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod

from fromnoise.checkpoints import ggml
from fromnoise.checkpoints.header import (
    MAX_HEADER,
    MAX_TENSORS,
    BadTable,
    Entry,
    check_name,
    checked_sizes,
    contiguous_strides,
)

MAGIC = b"GGUF"
ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 16
MAX_FACTS = 10_000
MAX_DIMENSIONS = 4
MAX_ITEMS = 1_000_000  # in all lists together
ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
STRING, LIST = 8, 9
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

Fact = int | float | bool | str | list["Fact"]


class Cursor:
    """Reads forward through the header and never past its limit."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place, self.items = content, len(MAGIC), 0
        self.end = min(len(content), MAX_HEADER)

    def number(self, form: str) -> int | float | bool:
        length = struct.calcsize(form)
        found: tuple[int | float | bool] = struct.unpack(form, self.take(length))
        return found[0]

    def count(self, form: str = "<Q") -> int:
        return int(self.number(form))

    def take(self, length: int) -> bytes:
        if self.place + length > self.end:
            raise BadTable("it is truncated within its header, or its header is too long")
        self.place += length
        return self.content[self.place - length : self.place]

    def text(self) -> str:
        try:
            return self.take(self.count()).decode()
        except UnicodeDecodeError as error:
            raise BadTable("a name in its header is no text") from error

    def fact(self, kind: int, depth: int = 0) -> Fact:
        if kind == STRING:
            return self.text()
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind != LIST or depth:
            raise BadTable("its header holds a value of an unknown type")
        inner, length = self.count("<I"), self.count()
        self.items += length
        if self.items > MAX_ITEMS:
            raise BadTable("its header holds lists that are too long")
        return [self.fact(inner, depth + 1) for _ in range(length)]


def read_gguf(content: mmap.mmap) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries and metadata of a GGUF file. Raises BadTable."""
    cursor = Cursor(content)
    version, tensors, facts = cursor.count("<I"), cursor.count(), cursor.count()
    if version not in (2, 3):
        raise BadTable(f"version {version} of GGUF is not known; 2 and 3 are")
    if tensors > MAX_TENSORS or facts > MAX_FACTS:
        raise BadTable(f"it names {tensors:,} tensors and {facts:,} facts, which is too much")
    told: dict[str, Fact] = {}
    for _ in range(facts):
        name = cursor.text()
        if name in told:
            raise BadTable("its header has the same name twice")
        told[name] = cursor.fact(cursor.count("<I"))
    places = [tensor(cursor) for _ in range(tensors)]
    alignment = told.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise BadTable("its tensors are aligned in an impossible way")
    start = -(-cursor.place // alignment) * alignment
    entries = {name: entry(name, sizes, kind, start + place, told) for name, sizes, kind, place in places}
    if len(entries) < tensors:
        raise BadTable("its header has the same name twice")
    check_places(entries, start, alignment, len(content))
    return entries, {name: str(value) for name, value in told.items() if not isinstance(value, list)}


def tensor(cursor: Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """Name, sizes as torch has them, type and place of one tensor."""
    name, dimensions = check_name(cursor.text()), cursor.count("<I")
    if dimensions > MAX_DIMENSIONS:
        raise BadTable(f"{name} has {dimensions:,} dimensions")
    sizes = checked_sizes([cursor.count() for _ in range(dimensions)][::-1], f"the shape of {name}")
    return name, sizes, cursor.count("<I"), cursor.count()


def entry(name: str, sizes: tuple[int, ...], kind: int, start: int, told: Mapping[str, Fact]) -> Entry:
    """Where a tensor lies and how it is packed, in the shape that it has in the network."""
    shape = checked_sizes(told.get(ORIGINAL_SHAPE + name, sizes), f"the original shape of {name}")
    if prod(shape) != prod(sizes):
        raise BadTable(f"{name}: its shape {list(sizes)} and its original shape {list(shape)} disagree")
    if kind in ggml.PLAIN:
        return Entry(ggml.PLAIN[kind], shape, start, contiguous_strides(shape))
    scheme = ggml.scheme(kind)
    if scheme is None:
        raise BadTable(f"{name} is stored in a way that is not known (type {kind})")
    if kind in ggml.RARE and find_spec("gguf") is None:
        raise BadTable(f"{name} is stored as {scheme.name}; install the extra gguf to read that")
    if not sizes or not sizes[-1] or sizes[-1] % scheme.block:
        raise BadTable(f"{name}: its shape {list(sizes)} does not make blocks of {scheme.block} for {scheme.name}")
    return Entry(ggml.CLAIMED, shape, start, contiguous_strides(shape), scheme)


def check_places(entries: Mapping[str, Entry], start: int, alignment: int, size: int) -> None:
    """Tensors follow one another, with no more between them than alignment needs."""
    end = start
    for found in sorted(entries.values(), key=lambda entry: (entry.start, entry.nbytes)):
        if found.start % alignment or not end <= found.start < end + alignment:
            raise BadTable("its tensors overlap" if found.start < end else "there are gaps between its tensors")
        end = found.start + found.nbytes
    if end > size:
        raise BadTable(f"it is truncated: {size:,} of {end:,} bytes are there")
