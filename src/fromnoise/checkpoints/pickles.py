"""Reading what torch.save wrote, without running any of it: a program of its own, with the standard library alone.

    python -I -S pickles.py < model.ckpt        prints, as JSON, what the file holds and where its tensors lie

Such a file is a pickle that names storages, and the storages' bytes. A pickle is a program for a small machine that may
name any function of any module and call it. Ours knows the few names that tensors need and puts an inert object where
any other name stands, so that old checkpoints that carry their trainer's objects load and attacks do nothing.

Should that fail all the same, the process can do nothing: it has no file but the one it reads, cannot open or create
another or a socket, write, or start a program, and ends when it takes too much memory or time (`confine`). Its answer
is text that `archive.py` reads with suspicion.
"""

import base64
import json
import mmap
import os
import pickle
import pickletools
import re
import sys
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save began with before 1.6, pickled
MAX_PICKLE = 64 << 20  # bytes
MAX_OPCODES = 5_000_000
MAX_EFFORT = 50_000_000  # see Effort
MAX_NODES = 1_000_000  # of the answer
MAX_KEY_DEPTH = 16
MAX_MEMORY = 1 << 30  # bytes, besides the mapped file
MAX_SECONDS = 60  # of computing

ENTERED = "entered what it must not"  # how a process ends that does what no reader does
HARMLESS_EVENTS = ("builtins.id", "object.__getattr__", "object.__setattr__", "object.__delattr__", "sys._getframe")


class BadTable(ValueError):
    """What is wrong with the file; the reader adds its name and a remedy."""


class DType(NamedTuple):
    name: str
    itemsize: int


class Storage(NamedTuple):
    """A run of bytes that tensors share, as a pickle tells of it."""

    key: str
    nbytes: int
    dtype: DType


class Stored(NamedTuple):
    """A tensor as a pickle tells of it: nothing of it has been checked."""

    storage: Storage
    dtype: DType
    offset: object
    shape: object
    strides: object


Region = tuple[int, int, int]  # first byte in the file, number of bytes, their CRC-32 or 0


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


def rebuild_tensor(storage: object, offset: object, shape: object, strides: object, *rest: object) -> Stored:
    if not isinstance(storage, Storage):
        raise BadTable("it has a tensor without a storage")
    return Stored(storage, storage.dtype, offset, shape, strides)


def rebuild_tensor_as(storage: object, offset: object, shape: object, strides: object, *rest: object) -> Stored:
    """Of a storage without a type: rest is (requires_grad, hooks, dtype, ...)."""
    if not isinstance(storage, Storage) or len(rest) < 3 or not isinstance(rest[2], DType):
        raise BadTable("it has a tensor without a storage or a dtype")
    return Stored(storage, rest[2], offset, shape, strides)


def rebuild_parameter(data: object, *rest: object) -> object:
    return data


ITEMSIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1,
    "complex64": 8,
}  # fmt: skip
DTYPES = {name: DType(name, size) for name, size in ITEMSIZES.items()}
DTYPE_GLOBALS = {
    **DTYPES,
    "double": DTYPES["float64"],
    "float": DTYPES["float32"],
    "half": DTYPES["float16"],
    "long": DTYPES["int64"],
    "int": DTYPES["int32"],
    "short": DTYPES["int16"],
    "cfloat": DTYPES["complex64"],
}
STORAGE_GLOBALS = {
    "DoubleStorage": DTYPES["float64"],
    "FloatStorage": DTYPES["float32"],
    "HalfStorage": DTYPES["float16"],
    "BFloat16Storage": DTYPES["bfloat16"],
    "LongStorage": DTYPES["int64"],
    "IntStorage": DTYPES["int32"],
    "ShortStorage": DTYPES["int16"],
    "CharStorage": DTYPES["int8"],
    "ByteStorage": DTYPES["uint8"],
    "BoolStorage": DTYPES["bool"],
    "ComplexFloatStorage": DTYPES["complex64"],
}
GLOBALS: dict[str, object] = {
    **{f"torch.{name}": dtype for name, dtype in (DTYPE_GLOBALS | STORAGE_GLOBALS).items()},
    "torch.storage.UntypedStorage": DTYPES["uint8"],
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
        if not isinstance(dtype, DType) or not isinstance(key, str) or type(numel) is not int:
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


def read_pickle(content: mmap.mmap) -> tuple[object, dict[str, Region]]:
    """The pickled object, with `Stored` for tensors, and where each storage lies in the file."""
    return read_archive(content) if content[:4] == b"PK\x03\x04" else read_legacy(content)


def read_archive(content: mmap.mmap) -> tuple[object, dict[str, Region]]:
    """Of a file by torch.save since 1.6: a ZIP archive of a pickle and one uncompressed member for each storage."""
    members = zip_members(content)
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise BadTable("it is a ZIP archive, but not one that torch.save wrote")
    folder = pickles[0].removesuffix("data.pkl")
    start, size, _ = members.get(f"{folder}byteorder", (0, 0, 0))
    if content[start : start + size] == b"big":
        raise BadTable("it was written by a big-endian machine")
    start, size, checksum = members[pickles[0]]
    if checksum and size <= MAX_PICKLE and zlib.crc32(content[start : start + size]) != checksum:
        raise BadTable("its pickle is damaged: its checksum is another")
    tree, _, _ = unpickle(content, start, start + size)
    data = f"{folder}data/"
    return tree, {name.removeprefix(data): region for name, region in members.items() if name.startswith(data)}


def zip_members(content: mmap.mmap) -> dict[str, Region]:
    """Where each member of the archive lies. They must be plain bytes, one after the other, under plain names."""
    try:
        with zipfile.ZipFile(content) as archive:  # type: ignore[call-overload]  # a map can read, seek and tell
            infos = archive.infolist()
    except Exception as error:  # as many ways as there are wrong archives
        raise BadTable(f"its ZIP archive is truncated or damaged ({error})") from error
    members: dict[str, Region] = {}
    end, folded = 0, set()
    for info in sorted(infos, key=lambda info: info.header_offset):
        place = info.header_offset
        flags, *lengths = (int.from_bytes(content[place + i : place + i + 2], "little") for i in (6, 26, 28))
        start = place + 30 + sum(lengths)
        if (
            (info.flag_bits | flags) & 1
            or info.compress_type != zipfile.ZIP_STORED
            or info.file_size != info.compress_size
        ):
            raise BadTable("members of its ZIP archive are packed or encrypted, which torch.save never does")
        if place < end or start + info.file_size > len(content) or info.filename.lower() in folded:
            raise BadTable("members of its ZIP archive overlap, appear twice or lie outside the file")
        if strays(info.filename):
            raise BadTable(f"a member of its ZIP archive would lie elsewhere ({info.filename[:80]!r})")
        if content[place + 30 : place + 30 + lengths[0]] not in (
            info.orig_filename.encode("cp437", "replace"),
            info.orig_filename.encode(),
        ):
            raise BadTable("members of its ZIP archive have two names")
        end = start + info.file_size
        folded.add(info.filename.lower())
        members[info.filename] = start, info.file_size, info.CRC
    return members


def strays(name: str) -> bool:
    """Whether a member would be unpacked outside the folder that it is unpacked into, on any system."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or not parts[0] or parts[0][1:2] == ":" or "\0" in name


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
        regions[key] = start, storage.nbytes, 0
    return tree, regions


class Answer:
    """An object as JSON. Numbers, text and None stand for themselves, [i] for the i-th node, which is one of

        ["list", items]    ["dict", [[key, value], ...]]    ["set", keys]    ["bytes", base64]
        ["tensor", dtype, storage's key, storage's bytes, offset, shape, strides]    ["inert", name, arguments, state]

    What appears in several places is one node, so the answer is no longer than the pickle.
    """

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self.known: dict[int, int] = {}  # id of an object to the number of its node
        self.kept: list[object] = []  # so that no id is used again
        self.left: list[tuple[int, object]] = []

    def of(self, tree: object) -> dict[str, Any]:
        root = self.reference(tree)
        while self.left:
            number, value = self.left.pop()
            self.nodes[number] = self.node(value)
        return {"root": root, "nodes": self.nodes}

    def reference(self, value: object) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if id(value) not in self.known:
            if len(self.nodes) >= MAX_NODES:
                raise BadTable("it holds too many objects")
            self.known[id(value)] = len(self.nodes)
            self.kept.append(value)
            self.left.append((len(self.nodes), value))
            self.nodes.append([])
        return [self.known[id(value)]]

    def node(self, value: object) -> list[Any]:
        if isinstance(value, Stored):
            storage, numbers = value.storage, (value.offset, value.shape, value.strides)
            return ["tensor", value.dtype.name, storage.key, storage.nbytes, *map(plain, numbers)]
        if isinstance(value, dict):
            return ["dict", [[self.key(key), self.reference(item)] for key, item in value.items()]]
        if isinstance(value, (set, frozenset)):
            return ["set", [self.key(key) for key in value]]
        if isinstance(value, (list, tuple)) and not isinstance(value, (DType, Storage)):
            return ["list", [self.reference(item) for item in value]]
        if isinstance(value, (bytes, bytearray)):
            return ["bytes", base64.b64encode(value).decode()]
        if isinstance(value, Inert):
            return ["inert", value.name, [self.reference(item) for item in value.args], self.reference(value.state)]
        return ["inert", str(getattr(value, "name", type(value).__name__)), [], None]

    def key(self, value: object, depth: int = 0) -> Any:
        """Of a dict or a set; a tuple is a list in it."""
        if isinstance(value, tuple) and not isinstance(value, (DType, Storage)):
            if depth > MAX_KEY_DEPTH:
                raise BadTable("its objects are nested too deeply")
            return ["tuple", [self.key(item, depth + 1) for item in value]]
        return self.reference(value)


def plain(value: object) -> object:
    """A number, or a short list of numbers; None for what is neither."""
    if isinstance(value, (list, tuple)):
        short = len(value) <= 64 and all(isinstance(item, (bool, int, float)) for item in value)
        return list(value) if short else None
    return value if isinstance(value, (bool, int, float, str)) else None


def answer(content: mmap.mmap) -> str:
    """What the process prints: the object and the regions of its storages, or what is wrong."""
    try:
        tree, regions = read_pickle(content)
        told = Answer().of(tree) | {"regions": regions}
    except BadTable as error:
        told = {"error": str(error)}
    except MemoryError:
        told = {"error": "reading its pickle takes too much memory"}
    try:
        return json.dumps(told)
    except (ValueError, RecursionError) as error:
        return json.dumps({"error": f"its pickle is damaged ({type(error).__name__})"})


def confine(size: int) -> None:
    """Give up for good what reading does not need; `size`: of the mapped file, in bytes."""
    re.compile(""), "".encode("cp437"), zipfile.ZipInfo()  # what would import something later
    if resource is not None:
        limits = {
            "RLIMIT_AS": size + MAX_MEMORY,
            "RLIMIT_CPU": MAX_SECONDS,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_NOFILE": 0,  # neither files nor sockets; those that are open stay
            "RLIMIT_NPROC": 0,
            "RLIMIT_CORE": 0,
        }
        for name, limit in limits.items():
            if hasattr(resource, name):
                resource.setrlimit(getattr(resource, name), (limit, limit))

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook, which nothing can take off: whatever is heard of here, no reader does."""
        if event not in HARMLESS_EVENTS:
            os.write(1, json.dumps({"error": f"it {ENTERED} ({event}): it is an attack, not a model"}).encode())
            os._exit(1)

    sys.addaudithook(watch)


def main() -> None:
    content = mmap.mmap(0, 0, access=mmap.ACCESS_READ)
    confine(len(content))
    told = answer(content).encode()
    while told:
        told = told[os.write(1, told) :]
    os._exit(0)


if __name__ == "__main__":
    main()
