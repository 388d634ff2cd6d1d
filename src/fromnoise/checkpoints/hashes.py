"""The numbers by which people and programs know a file, each as the tool that made it up computes it.

| name | what it is | who uses it |
|---|---|---|
| sha256 | of the file, 64 digits | everybody; `Model hash` of AUTOMATIC1111 and AutoV2 of Civitai are its first ten |
| old | 8 digits of the SHA-256 of 64 KiB after the first MiB | AUTOMATIC1111 before 2023, AutoV1 |
| tensors | SHA-256 of what follows the header of a safetensors file | `sshs_model_hash` of kohya, AutoV3 (12 digits) |
| legacy | `old` of the file as it would be with nothing but `ss_` metadata | `sshs_legacy_hash` of kohya |

Hashing a checkpoint takes seconds, so sha256 and tensors are remembered while a file keeps its size and time of change.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from fromnoise.checkpoints.header import BadTable, build_header, parse_header
from fromnoise.errors import FileError

SHORT = 10  # digits that AUTOMATIC1111 shows
OLD_PLACE, OLD_LENGTH = 0x100000, 0x10000
OLD_DIGITS = 8
HEXADECIMAL = re.compile(r"[0-9a-f]{8,64}")

T = TypeVar("T")

Remembered = dict[str, tuple[int, int, str]]  # path (and kind of hash): size, time of change, digest


@dataclass(frozen=True)
class Hashes:
    """Every hash of one file. The last two are None where it is no safetensors file."""

    sha256: str
    old: str
    tensors: str | None
    legacy: str | None

    @property
    def short(self) -> str:
        """As in the `Model hash` of a picture."""
        return self.sha256[:SHORT]

    def match(self, wanted: str) -> bool:
        """Whether `wanted`, eight digits or more of any of them, means this file."""
        wanted = wanted.lower()
        if HEXADECIMAL.fullmatch(wanted) is None:
            return False
        return wanted in (self.old, self.legacy) or any(
            (h or "").startswith(wanted) for h in (self.sha256, self.tensors)
        )


def hashes(path: Path | str, cache: Path | None = None) -> Hashes:
    """All of them; `cache` is a file that remembers them from one run to the next. Raises FileError."""
    return Hashes(file_hash(path, cache), old_hash(path), tensors_hash(path, cache), legacy_hash(path))


def model_hash(files: Sequence[Path], cache: Path | None = None) -> str:
    """By which a recipe knows a model: the SHA-256 of its file, or that of its files' SHA-256, in order, a line each.

    A diffusers folder has several files. Raises FileError.
    """
    digests = sorted(file_hash(file, cache) for file in files)
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def file_hash(path: Path | str, cache: Path | None = None) -> str:
    """SHA-256 of a file in hexadecimal. Raises FileError."""

    def digest(file: BufferedReader) -> str:
        return hashlib.file_digest(file, "sha256").hexdigest()

    return remembered(path, "", cache, digest)


def tensors_hash(path: Path | str, cache: Path | None = None) -> str | None:
    """SHA-256 of what follows the header; None for a file without one. Raises FileError."""

    def digest(file: BufferedReader) -> str:
        length = header_length(file)
        file.seek(8 + length)
        return hashlib.file_digest(file, "sha256").hexdigest() if length else ""

    return remembered(path, "#tensors", cache, digest) or None


def old_hash(path: Path | str) -> str:
    """Eight digits, from 64 KiB of the file. Raises FileError."""
    return opened(path, lambda file: part_hash(file, OLD_PLACE))


def legacy_hash(path: Path | str) -> str | None:
    """`old_hash` without the metadata that people change; None where the file has no header to leave it out of.

    The tensors move by what the header shrinks; kohya writes the file anew, we only look elsewhere. Raises FileError.
    """

    def digest(file: BufferedReader) -> str | None:
        length = header_length(file)
        size = os.fstat(file.fileno()).st_size
        try:
            entries, metadata = parse_header(file.read(length), 8 + length, size)
        except BadTable:
            return None
        trained = {name: text for name, text in metadata.items() if name.startswith("ss_")}
        order = sorted(entries, key=lambda name: entries[name].start)
        shrunk = len(build_header({name: (entries[name].dtype, entries[name].shape) for name in order}, trained))
        return part_hash(file, OLD_PLACE - shrunk + 8 + length) if shrunk <= OLD_PLACE else None

    return opened(path, digest)


def part_hash(file: BufferedReader, start: int) -> str:
    file.seek(start)
    return hashlib.sha256(file.read(OLD_LENGTH)).hexdigest()[:OLD_DIGITS]


def header_length(file: BufferedReader) -> int:
    """Of a safetensors file; 0 for any other. Leaves the file where the header begins."""
    beginning = file.read(9)
    file.seek(8)
    length = int.from_bytes(beginning[:8], "little")
    return length if beginning[8:] == b"{" and 8 + length <= os.fstat(file.fileno()).st_size else 0


def opened(path: Path | str, use: Callable[[BufferedReader], T]) -> T:
    """What `use` makes of the file. Raises FileError."""
    try:
        if not Path(path).is_file():  # opening a pipe would wait for its other end
            raise FileError(f"{path} cannot be read (no regular file of that name); check the name")
        with Path(path).open("rb") as file:
            return use(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileError(f"{path} cannot be read ({reason}); check the name and its permissions") from error


_known: Remembered = {}  # in this process


def remembered(path: Path | str, kind: str, cache: Path | None, compute: Callable[[BufferedReader], str]) -> str:
    """The digest of a file, computed where neither this process nor `cache` knows it. Raises FileError."""

    def digest(file: BufferedReader) -> str:
        key = f"{os.path.realpath(path)}{kind}"
        stamp = stamp_of(file)
        for known in (_known, remembered_in(cache)):
            size, changed, digest = known.get(key, (-1, -1, ""))
            if (size, changed) == stamp:
                return digest
        digest = compute(file)
        if stamp_of(file) != stamp:
            raise FileError(f"{path} changed while it was read; wait until it is complete")
        _known[key] = (*stamp, digest)
        if cache is not None:
            remember(cache, key, _known[key])
        return digest

    return opened(path, digest)


def stamp_of(file: BufferedReader) -> tuple[int, int]:
    """What changes when somebody writes to the file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def remember(cache: Path, key: str, entry: tuple[int, int, str]) -> None:
    with suppress(OSError):  # a folder that cannot be written to costs time, nothing else
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_name(f".{cache.name}.{os.getpid()}.part")
        part.write_text(json.dumps(remembered_in(cache) | {key: entry}))
        part.replace(cache)


def remembered_in(cache: Path | None) -> Remembered:
    """What the file `cache` knows; nothing where it is damaged or not there."""
    try:
        known = json.loads(cache.read_text()) if cache else {}
        return {str(path): (int(size), int(changed), str(digest)) for path, (size, changed, digest) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
