"""Reading what torch.save wrote, without running any of it.

Such a file is a pickle that names storages, and the storages' bytes. A pickle is a program for a small machine that may
name any function of any module and call it. Ours knows the few names that tensors need and puts an inert object where
any other name stands, so that old checkpoints that carry their trainer's objects load and attacks do nothing.
"""

import mmap
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch

from fromnoise.checkpoints.header import BadTable, Entry, checked_sizes

Kind = Literal["torch", "torch (legacy)"]

LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save began with before 1.6, pickled
MAX_PICKLE = 64 << 20  # bytes
MAX_OPCODES = 5_000_000
MAX_EFFORT = 50_000_000  # see Effort


class Storage(NamedTuple):
    """A run of bytes that tensors share, as a pickle tells of it."""

    key: str
    nbytes: int
    dtype: torch.dtype


class Stored(NamedTuple):
    """A tensor as a pickle tells of it: offset, shape and strides have not been checked yet."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


Region = tuple[int, int]  # first byte in the file, number of bytes
Locate = Callable[[Stored], Entry]


class Inert:
    """Stands where a pickle names a class or function that tensors do not need: nothing of that name is ever called."""

    name = ""
    args: tuple[object, ...]
    state: object

    def __new__(cls, *args: object, **kwargs: object) -> "Inert":
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *args: object, **kwargs: object) -> "Inert":
        return type(self)(*args)

    def __setitem__(self, key: object, value: object) -> None:
        """Contents are not kept."""

    def append(self, item: object) -> None:
        """Contents are not kept."""

    add = extend = append


class Known:
    """A function that a pickle may call, with no attribute that the pickle could set."""

    __slots__ = ("_function",)
    _function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise BadTable("it tries to change how it is read")


def rebuild_tensor(storage: object, offset: Any, shape: Any, strides: Any, *rest: object) -> Stored:
    if not isinstance(storage, Storage):
        raise BadTable("it has a tensor without a storage")
    return Stored(storage, storage.dtype, offset, shape, strides)


def rebuild_tensor_as(storage: object, offset: Any, shape: Any, strides: Any, *rest: object) -> Stored:
    """Of a storage without a type: rest is (requires_grad, hooks, dtype, ...)."""
    if not isinstance(storage, Storage) or len(rest) < 3 or not isinstance(rest[2], torch.dtype):
        raise BadTable("it has a tensor without a storage or a dtype")
    return Stored(storage, rest[2], offset, shape, strides)


def rebuild_parameter(data: object, *rest: object) -> object:
    return data


DTYPE_GLOBALS = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
STORAGE_GLOBALS = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
}
GLOBALS: dict[str, object] = {
    **{f"torch.{name}": dtype for name, dtype in (DTYPE_GLOBALS | STORAGE_GLOBALS).items()},
    "torch.storage.UntypedStorage": torch.uint8,
    "torch._utils._rebuild_tensor": Known(rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": Known(rebuild_tensor),
    "torch._utils._rebuild_tensor_v3": Known(rebuild_tensor_as),
    "torch._utils._rebuild_parameter": Known(rebuild_parameter),
    "torch._utils._rebuild_parameter_with_state": Known(rebuild_parameter),
    "torch.Size": tuple,
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "__builtin__.set": set,
}
HARMFUL = {"os", "posix", "nt", "sys", "subprocess", "runpy", "importlib", "socket", "shutil", "pty", "ctypes"}
HARMFUL_NAMES = {"eval", "exec", "execfile", "compile", "__import__", "open", "input", "breakpoint"}
BUILTIN_MODULES = {"builtins", "__builtin__", "io", "_io"}
UNFOLDING = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX"}  # may be hashed
UNUSED_OPCODES = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "BYTEARRAY8", "PERSID"}


class InertUnpickler(pickle.Unpickler):
    """Knows tensors; everything else that a pickle names becomes `Inert`."""

    def __init__(self, content: mmap.mmap) -> None:
        super().__init__(content, encoding="utf-8", errors="replace")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Never imports anything. Safety does not rest on the names that are refused: they make a clear message."""
        known = GLOBALS.get(f"{module}.{name}")
        if known is not None:
            return known
        top = module.split(".")[0]
        if top in HARMFUL or (module in BUILTIN_MODULES and name in HARMFUL_NAMES):
            raise BadTable(f"it tries to run {module}.{name}: it is an attack, not a model (nothing was run)")
        return type("Inert", (Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or any(pid[5:]):
            raise BadTable("it refers to something other than a whole storage")
        dtype, key, numel = pid[1], pid[2], pid[4]
        if not isinstance(dtype, torch.dtype) or not isinstance(key, str) or type(numel) is not int:
            raise BadTable("it describes a storage wrongly")
        return self.storages.setdefault(key, Storage(key, numel * dtype.itemsize, dtype))


def unpickle(content: mmap.mmap, start: int, end: int) -> tuple[object, int, dict[str, Storage]]:
    """The object pickled at byte `start`, where its pickle ends, and the storages it names."""
    try:
        content.seek(start)
        check_opcodes(content, start, end)
        content.seek(start)
        unpickler = InertUnpickler(content)
        return unpickler.load(), content.tell(), unpickler.storages
    except BadTable:
        raise
    except Exception as error:  # the machine fails in as many ways as there are wrong programs
        raise BadTable(f"its pickle is damaged ({type(error).__name__})") from error


def check_opcodes(content: mmap.mmap, start: int, end: int) -> None:
    """Refuse what would take memory or time out of proportion before the unpickler meets it."""
    effort = Effort()
    for count, (opcode, argument, place) in enumerate(pickletools.genops(content)):  # type: ignore[arg-type]
        if opcode.name in UNUSED_OPCODES:
            raise BadTable(f"its pickle uses {opcode.name}")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > count:
            raise BadTable("its pickle reserves memory that it does not use")
        effort.add(opcode, argument)
        if count > MAX_OPCODES or (place or 0) - start > MAX_PICKLE or effort.total > MAX_EFFORT:
            raise BadTable("its pickle is too long or unfolds to too much")
    if content.tell() > end:
        raise BadTable("its pickle is truncated")


class Effort:
    """How much work a program makes for whoever hashes or copies its objects.

    Forty tuples, each of the one before it twice, are a short program and 2**40 objects to hash. So the program's stack
    is followed with the size of each object, unfolded, in place of the object.
    """

    def __init__(self) -> None:
        self.total = 0
        self.stack: list[int] = []
        self.marks: list[int] = []  # how much of the stack lies below each mark
        self.memo: dict[object, int] = {}

    def add(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        name, before, after = opcode.name, opcode.stack_before, opcode.stack_after
        if name == "MARK":
            self.marks.append(len(self.stack))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        elif name == "POP" and self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            to_mark = pickletools.markobject in before
            kept = self.marks.pop() - before.index(pickletools.markobject) if to_mark else len(self.stack) - len(before)
            size = sum(self.stack[kept:])
            del self.stack[kept:]
            self.total += size
            self.stack += [1 + size if name in UNFOLDING else 1] * len(after)


def read_pickle(content: mmap.mmap, kind: Kind) -> tuple[object, Locate]:
    """The pickled object, with `Stored` for tensors, and the function that finds those in the file."""
    tree, regions = read_archive(content) if kind == "torch" else read_legacy(content)
    return tree, lambda stored: located(stored, regions.get(stored.storage.key))


def read_archive(content: mmap.mmap) -> tuple[object, dict[str, Region]]:
    """Of a file by torch.save since 1.6: a ZIP archive of a pickle and one uncompressed member for each storage."""
    members = zip_members(content)
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise BadTable("it is a ZIP archive, but not one that torch.save wrote")
    folder = pickles[0].removesuffix("data.pkl")
    start, size = members.get(f"{folder}byteorder", (0, 0))
    if content[start : start + size] == b"big":
        raise BadTable("it was written by a big-endian machine")
    start, size = members[pickles[0]]
    tree, _, _ = unpickle(content, start, start + size)
    data = f"{folder}data/"
    return tree, {name.removeprefix(data): region for name, region in members.items() if name.startswith(data)}


def zip_members(content: mmap.mmap) -> dict[str, Region]:
    """Where each member of the archive lies. They must be plain bytes, one after the other."""
    try:
        with zipfile.ZipFile(content) as archive:  # type: ignore[call-overload]  # a map can read, seek and tell
            infos = archive.infolist()
    except Exception as error:  # as many ways as there are wrong archives
        raise BadTable(f"its ZIP archive is truncated or damaged ({error})") from error
    members: dict[str, Region] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        name_and_extra = content[info.header_offset + 26 : info.header_offset + 30]
        start = info.header_offset + 30 + sum(int.from_bytes(name_and_extra[i : i + 2], "little") for i in (0, 2))
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BadTable("members of its ZIP archive are packed or encrypted, which torch.save never does")
        if info.filename in members or info.header_offset < end or start + info.file_size > len(content):
            raise BadTable("members of its ZIP archive overlap, appear twice or lie outside the file")
        end = start + info.file_size
        members[info.filename] = start, info.file_size
    return members


def read_legacy(content: mmap.mmap) -> tuple[object, dict[str, Region]]:
    """Of a file by torch.save before 1.6: five pickles (magic, version, machine, object, keys), then the storages."""
    end = content.find(LEGACY_MAGIC) + len(LEGACY_MAGIC)
    objects, storages = [], {}
    for _ in range(4):
        tree, end, named = unpickle(content, end, len(content))
        objects.append(tree)
        storages.update(named)
    _, machine, tree, keys = objects
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise BadTable("it was written by a big-endian machine")
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise BadTable("its list of storages is damaged")
    regions: dict[str, Region] = {}
    for key in keys:
        start, storage = end + 8, storages[key]
        end = start + storage.nbytes
        if int.from_bytes(content[start - 8 : start], "little") * storage.dtype.itemsize != storage.nbytes:
            raise BadTable("its storages have other sizes than its pickle says")
        if end > len(content):
            raise BadTable(f"it is truncated: {len(content):,} of at least {end:,} bytes are there")
        regions[key] = start, storage.nbytes
    return tree, regions


def located(stored: Stored, region: Region | None) -> Entry:
    """Where the tensor is, when its storage is in the file and holds all its elements."""
    if region is None:
        raise BadTable("a tensor's storage is not in the file")
    start, size = region
    shape = checked_sizes(stored.shape, "a tensor's shape")
    strides = checked_sizes(stored.strides, "a tensor's strides")
    (offset,) = checked_sizes([stored.offset], "a tensor's offset")
    if len(shape) != len(strides):
        raise BadTable("a tensor has more strides than sizes, or fewer")
    entry = Entry(stored.dtype, shape, start + offset * stored.dtype.itemsize, strides)
    if (offset + entry.span) * stored.dtype.itemsize > size or stored.storage.nbytes > size:
        raise BadTable("a tensor reaches outside its storage")
    if entry.nbytes > size:
        raise BadTable("a tensor is larger than what is stored of it")
    return entry
