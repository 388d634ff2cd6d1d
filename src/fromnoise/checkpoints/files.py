"""Reading weight files: the only place that opens what a stranger made.

weights = read("model.safetensors")  # or .ckpt .pt .pth .bin: what counts is the content, not the name
weights["model.diffusion_model.out.2.weight"]  # a tensor that lies in the file's memory map

Every format is read alike: the file is mapped into memory, its table of contents is checked, and each tensor is a view
into the map, so nothing is copied and nothing is read before it is used. Writing to such a tensor changes memory, never
the file. Nothing in a file is ever run: what torch.save wrote is read by a process without rights (`pickles.py`).
"""

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fromnoise.checkpoints import header
from fromnoise.checkpoints.archive import Inert, Pickled, Stored, read_pickle
from fromnoise.checkpoints.gguf_header import MAGIC as MAGIC_GGUF
from fromnoise.checkpoints.gguf_header import read_gguf
from fromnoise.checkpoints.header import BadTable, Entry
from fromnoise.errors import FileError
from fromnoise.nn.quantized import Quantized

Kind = Literal["safetensors", "gguf", "torch", "torch (legacy)"]

LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save began with before 1.6, pickled

AGAIN = "download or copy it again"
MAGIC = {  # beginnings of files that people take for weights
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch the file with `git lfs pull`"),
    b"<": ("a web page, not weights", "download the file itself; you may have to sign in"),
    b"{": ("a JSON text, not weights", AGAIN),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"\0" * 8: ("empty: it begins with zeros", AGAIN),
    b"\x89PNG": ("a picture", "give the file of a model"),
}

FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
MAX_ALIASING = 4  # times the file's size: what its tensors may add up to, where some share their storage
MAX_DEPTH = 32  # of dicts and lists in one another


class Mapped:
    """A whole file, mapped privately: what is written to the map stays in memory. Raises FileError."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, opened(path)
        self.size, self.changed = self.stamp
        if self.size == 0:
            raise FileError(f"{path} is empty (0 bytes); {AGAIN}")
        self.content = mmap.mmap(self.file.fileno(), self.size, access=mmap.ACCESS_COPY)

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of change."""
        status = os.fstat(self.file.fileno())
        return status.st_size, status.st_mtime_ns

    def check_unchanged(self) -> None:
        """FileError where somebody wrote to the file; one that was replaced by another is still as it was."""
        if self.stamp != (self.size, self.changed):
            raise FileError(f"{self.path} changed while it was read; wait until it is complete")


class Weights(Mapping[str, Tensor]):
    """The tensors of a file by name. A look-up makes a view into the memory map and reads nothing."""

    def __init__(self, file: Mapped, kind: Kind, entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> None:
        self.path, self.kind, self.entries, self.metadata = file.path, kind, entries, metadata
        self._file = file
        self._bytes = torch.frombuffer(file.content, dtype=torch.uint8)

    def __getitem__(self, name: str) -> Tensor:
        self._file.check_unchanged()
        return view(self._bytes, self.entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def read(path: Path | str) -> Weights:
    """The tensors of a safetensors or GGUF file or of a torch checkpoint (its `state_dict`, where it has one).

    Raises FileError, which names the file and the remedy, for everything that is not such a file; looking a tensor up
    does so where the file was written to in the meantime.
    """
    file = Mapped(Path(path))
    kind = recognise(file.path, file.content)
    with named_faults(file.path):
        if kind == "safetensors":
            entries, metadata = read_header(file.content)
        elif kind == "gguf":
            entries, metadata = read_gguf(file.content)
        else:
            entries, metadata = state_entries(read_pickle(file.file, file.size), file.size)
    return Weights(file, kind, entries, metadata)


def read_object(path: Path | str) -> object:
    """What torch.save wrote: dicts, lists and tuples of numbers, text and tensors, with `Inert` for anything else.

    For embeddings, hypernetworks and whatever is not a flat table of tensors; of a safetensors file, a dict.
    Raises FileError.
    """
    file = Mapped(Path(path))
    if recognise(file.path, file.content) in ("safetensors", "gguf"):
        return dict(read(path))
    with named_faults(file.path):
        pickled = read_pickle(file.file, file.size)
        with memoryview(file.content) as content:
            pickled.check_sums(content)  # these files are small
        return with_tensors(pickled, torch.frombuffer(file.content, dtype=torch.uint8))


def check_sums(path: Path | str) -> None:
    """FileError where the weights in what torch.save wrote are not those that it wrote. Reads all of the file."""
    file = Mapped(Path(path))
    if recognise(file.path, file.content) == "torch":
        with named_faults(file.path), memoryview(file.content) as content:
            read_pickle(file.file, file.size).check_sums(content)


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """Turns a BadTable inside into a FileError that names the file."""
    try:
        yield
    except BadTable as error:
        raise FileError(f"{path} cannot be used: {error}; {AGAIN} from a source you trust") from error


def opened(path: Path) -> BufferedReader:
    """A regular file; pipes and devices are not even waited for. Raises FileError."""
    try:
        check_regular(path, path.stat())
        file = os.fdopen(os.open(path, FLAGS), "rb")
        check_regular(path, os.fstat(file.fileno()))  # it may have been exchanged
        return file
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; check the name and the folder") from None
    except OSError as error:
        raise FileError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise FileError(f"{str(path)!r} cannot be opened ({error}); check the name") from error


def check_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{path} is a folder; give the file of a model, such as model.safetensors")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not a regular file; give the file of a model")


def recognise(path: Path, content: mmap.mmap) -> Kind:
    """The format, by content. What is no weight file at all is told from its first bytes."""
    length = int.from_bytes(content[:8], "little")
    if len(content) > 8 and content[8:9] == b"{" and length < 1 << 40:
        return "safetensors"
    if content[:4] == MAGIC_GGUF:
        return "gguf"
    if content[:4] == b"PK\x03\x04":
        return "torch"
    if content[:1] == b"\x80" and LEGACY_MAGIC in content[:32]:
        return "torch (legacy)"
    for beginning, (what, remedy) in MAGIC.items():
        if content[:64].lstrip().startswith(beginning):
            raise FileError(f"{path} is {what}; {remedy}")
    if content[:1] == b"\x80":
        raise FileError(
            f"{path} is a pickle that torch.save did not write; such files are not read, as they can run code"
        )
    raise FileError(f"{path} is neither a safetensors file nor a torch checkpoint; {AGAIN}")


def view(content: Tensor, entry: Entry) -> Tensor:
    """The tensor at `entry` of the file's bytes; a copy only where the file puts it at an odd address."""
    if not entry.span:
        return torch.empty(entry.shape, dtype=entry.dtype)
    if entry.scheme is not None:
        raw = content[entry.start : entry.start + entry.nbytes]
        return Quantized(entry.scheme, (raw.view(-1, entry.scheme.nbytes),), entry.shape, entry.dtype)
    raw = content[entry.start : entry.start + entry.span * entry.dtype.itemsize]
    if raw.data_ptr() % entry.dtype.itemsize:
        raw = raw.clone()
    return raw.view(entry.dtype).as_strided(entry.shape, entry.strides)


def read_header(content: mmap.mmap) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries and metadata of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    if length > header.MAX_HEADER:
        raise BadTable(f"its header claims {length:,} bytes; at most {header.MAX_HEADER:,} are read")
    if 8 + length > len(content):
        raise BadTable("it is truncated within its header")
    return header.parse_header(content[8 : 8 + length], 8 + length, len(content))


def non_finite(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity. Reads every weight."""
    return [name for name, tensor in weights.items() if tensor.is_floating_point() and not finite(tensor)]


def finite(tensor: Tensor) -> bool:
    if tensor.dtype.itemsize == 1:  # float8 has few operations
        tensor = tensor.to(torch.float32)
    return bool(torch.isfinite(tensor).all())


def state_entries(pickled: Pickled, file_size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors of a checkpoint's `state_dict`, or of the dict itself; its numbers and texts are the metadata."""
    metadata: dict[str, str] = {}
    tree = pickled.tree
    if isinstance(tree, dict) and isinstance(tree.get("state_dict"), dict):
        metadata = {str(key): text for key, value in tree.items() if (text := plain_text(value)) is not None}
        tree = tree["state_dict"]
    items = tree.items() if isinstance(tree, dict) else ()
    stored = {name: value for name, value in items if isinstance(value, Stored)}
    if not stored or not all(isinstance(name, str) for name in stored):
        raise BadTable("it holds no table of named weights, so it is not a checkpoint")
    if len(stored) > header.MAX_TENSORS:
        raise BadTable(f"it names {len(stored):,} tensors; at most {header.MAX_TENSORS:,} are read")
    entries = {header.check_name(name): pickled.locate(value) for name, value in stored.items()}
    if sum(entry.nbytes for entry in entries.values()) > MAX_ALIASING * file_size:
        raise BadTable("its tensors are larger than the file")
    return entries, metadata


def plain_text(value: object) -> str | None:
    """A number or a short text as text; None for anything else."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return str(value)
    return value if isinstance(value, str) and len(value) < 1000 else None


def with_tensors(pickled: Pickled, content: Tensor) -> object:
    """The tree with a tensor for every `Stored` in it, and lists for its lists and tuples."""
    done: dict[int, tuple[object, object]] = {}  # by id: the object, kept alive, and what became of it
    budget = MAX_ALIASING * len(content)

    def build(value: object, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise BadTable("its objects are nested too deeply")
        if id(value) not in done:  # what is shared is built once: else a few nested lists could take for ever
            done[id(value)] = value, convert(value, depth + 1)
        return done[id(value)][1]

    def convert(value: object, depth: int) -> object:
        nonlocal budget
        if isinstance(value, Stored):
            entry = pickled.locate(value)
            budget -= entry.nbytes
            if budget < 0:
                raise BadTable("its tensors are larger than the file")
            return view(content, entry)
        if isinstance(value, dict):
            return {key: build(item, depth) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [build(item, depth) for item in value]
        if isinstance(value, Inert):
            value.state = build(value.state, depth)
        return value

    return build(pickled.tree, 0)
