"""What torch.save wrote, read by a process that can do no harm (`pickles.py`), and believed no more than a stranger."""

import base64
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fromnoise.checkpoints.header import BadTable, Entry, checked_sizes

READER = Path(__file__).with_name("pickles.py")
MAX_ANSWER = 64 << 20  # bytes
MAX_WAIT = 120  # seconds; a full checkpoint takes a tenth of one
MAX_COMPLAINT = 200  # characters
KEPT_VARIABLES = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # without which Python may not start

DTYPES = {str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)}

Region = tuple[int, int, int]  # first byte in the file, number of bytes, their CRC-32 or 0 where there is none


class Stored(NamedTuple):
    """A tensor as a pickle tells of it: storage, offset, shape and strides have not been checked yet."""

    dtype: torch.dtype
    storage: str
    nbytes: object  # of the storage
    offset: object
    shape: object
    strides: object


class Inert:
    """Stands where a pickle names a class or function that tensors do not need: nothing of that name was called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.args: object = []
        self.state: object = None


class Pickled(NamedTuple):
    """What a file holds: its object, with `Stored` for tensors, and where their storages lie."""

    tree: object
    regions: Mapping[str, Region]

    def locate(self, stored: Stored) -> Entry:
        """Raises BadTable where the tensor is not in the file."""
        return located(stored, self.regions)

    def check_sums(self, content: memoryview) -> None:
        """BadTable where a storage is not what was written. Reads all of them; files before torch 1.6 have no sums."""
        for start, length, checksum in self.regions.values():
            if checksum and zlib.crc32(content[start : start + length]) != checksum:
                raise BadTable("its weights are damaged: their checksum is another")


def read_pickle(file: BufferedReader, size: int) -> Pickled:
    """What torch.save wrote into a file of `size` bytes. Raises BadTable."""
    told = parsed(answer_of(file))
    if "error" in told:
        complaint = "".join(c if c.isprintable() else "?" for c in str(told["error"]))
        raise BadTable(complaint[:MAX_COMPLAINT])
    try:
        regions = {str(key): within(region, size) for key, region in told["regions"].items()}
        tree = built(told["root"], told["nodes"])
    except BadTable:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadTable("its reader gave a wrong answer") from error
    return Pickled(tree, regions)


def answer_of(file: BufferedReader) -> bytes:
    """What the reading process prints about the file. Raises BadTable where it dies, is too slow or never ends."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    command = [sys.executable, "-I", "-S", str(READER)]
    with subprocess.Popen(
        command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        stopper = threading.Timer(MAX_WAIT, process.kill)
        stopper.start()
        try:
            return process.stdout.read(MAX_ANSWER + 1)
        finally:
            stopper.cancel()
            process.kill()


def parsed(told: bytes) -> dict[str, Any]:
    try:
        table = json.loads(told) if len(told) <= MAX_ANSWER else None
    except (ValueError, RecursionError) as error:
        raise BadTable("its pickle takes too much time or memory, or it changed while it was read") from error
    if not isinstance(table, dict):
        raise BadTable("its reader gave a wrong answer")
    return table


def within(region: object, size: int) -> Region:
    """A run of bytes that lies in a file of `size` bytes."""
    start, length, checksum = checked_sizes(region, "a storage's place")
    if start + length > size:
        raise BadTable("a storage lies outside the file")
    return start, length, checksum


def built(root: Any, nodes: list[list[Any]]) -> object:
    """The object that `Answer` in `pickles.py` took apart. Containers are made empty, then filled, as they may hold
    themselves."""
    made = [empty(node) for node in nodes]

    def value(reference: Any) -> Any:
        return made[reference[0]] if isinstance(reference, list) else reference

    def key(reference: Any) -> Any:
        if isinstance(reference, list) and reference[0] == "tuple":
            return tuple(key(item) for item in reference[1])
        return value(reference)

    for (_, *content), target in zip(nodes, made, strict=True):
        if isinstance(target, dict):
            target.update({key(name): value(item) for name, item in content[0]})
        elif isinstance(target, set):
            target.update(map(key, content[0]))
        elif isinstance(target, list):
            target.extend(map(value, content[0]))
        elif isinstance(target, Inert):
            target.args, target.state = [value(item) for item in content[1]], value(content[2])
    return value(root)


def empty(node: list[Any]) -> object:
    """What a node becomes, without its content."""
    kind, *content = node
    if kind == "tensor":
        dtype, storage, *numbers = content
        return Stored(DTYPES[dtype], str(storage), *numbers)
    if kind == "bytes":
        return base64.b64decode(content[0])
    if kind == "inert":
        return Inert(str(content[0]))
    return {"dict": dict, "set": set, "list": list}[kind]()


def located(stored: Stored, regions: Mapping[str, Region]) -> Entry:
    """Where the tensor is, when its storage is in the file and holds all its elements."""
    region = regions.get(stored.storage)
    if region is None:
        raise BadTable("a tensor's storage is not in the file")
    start, size, _ = region
    shape = checked_sizes(stored.shape, "a tensor's shape")
    strides = checked_sizes(stored.strides, "a tensor's strides")
    offset, nbytes = checked_sizes([stored.offset, stored.nbytes], "a tensor's offset")
    if len(shape) != len(strides):
        raise BadTable("a tensor has more strides than sizes, or fewer")
    entry = Entry(stored.dtype, shape, start + offset * stored.dtype.itemsize, strides)
    if (offset + entry.span) * stored.dtype.itemsize > size or nbytes > size:
        raise BadTable("a tensor reaches outside its storage")
    if entry.nbytes > size:
        raise BadTable("a tensor is larger than what is stored of it")
    return entry
