"""Files made to do harm are refused with a FileError; nothing in them is ever run."""

import json
import mmap
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.serialization import set_crc32_options

from fromnoise.checkpoints import header, pickles
from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.detect import NotDetected
from fromnoise.checkpoints.files import check_sums, read, read_object
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.merge import read_models
from fromnoise.checkpoints.save import write
from fromnoise.errors import FileError
from tests import tiny

GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def safetensors(table: object, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def refused(path: Path, content: bytes, message: str = "") -> None:
    """Both readers refuse the file, quickly and with a message that names it."""
    path.write_bytes(content)
    for reader in (read, read_object):
        start = time.process_time()
        with pytest.raises(FileError, match=message) as error:
            reader(path)
        assert time.process_time() - start < 5
        assert str(path) in str(error.value)


# safetensors


def test_the_frame_of_these_tests_is_sound(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(safetensors(GOOD))
    assert read(tmp_path / "model")["a"].tolist() == [0.0, 0.0]


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {**GOOD["a"], **changes}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (safetensors(GOOD, length=header.MAX_HEADER + 1), "header claims"),
        (safetensors(GOOD, length=10_000), "truncated within its header"),
        (safetensors(GOOD, length=1 << 63), "neither"),
        (safetensors(b"{not json}"), "not JSON"),
        (safetensors(b'{"a": \xff}'), "not JSON"),
        (safetensors(b"{" + b'"a":[' * 200_000), "not JSON"),
        (safetensors(b'{"a":' + b"9" * 10_000 + b"}"), "not JSON"),
        (safetensors(b'{"a": NaN}'), "must give dtype"),
        (safetensors({"a": 5}), "must give dtype"),
        (safetensors({"a": {**GOOD["a"], "extra": 1}}), "must give dtype"),
        (safetensors(b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}, "a": {}}'), "same name twice"),
        (safetensors(b'{"a": {"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}'), "same name twice"),
        (safetensors(entry(dtype="F31")), "unknown dtype"),
        (safetensors(entry(dtype=["F32"])), "unknown dtype"),
        (safetensors(entry(shape=[3])), "disagree"),
        (safetensors(entry(shape=[-2])), "other than sizes"),
        (safetensors(entry(shape=[True, 2])), "other than sizes"),
        (safetensors(entry(shape=[2.0])), "other than sizes"),
        (safetensors(entry(shape="2")), "not a list"),
        (safetensors(entry(shape=[2] + [1] * 8)), "not a list of at most 8"),
        (safetensors(entry(shape=[1 << 62, 1 << 62])), "other than sizes"),
        (safetensors(entry(shape=[0, 1 << 62], data_offsets=[0, 0]), b""), "other than sizes"),
        (safetensors(entry(data_offsets=[8, 0])), "disagree"),
        (safetensors(entry(data_offsets=[-8, 0])), "other than sizes"),
        (safetensors(entry(data_offsets=[0])), "disagree"),
        (safetensors(entry(data_offsets=[0, 8, 8])), "disagree"),
        (safetensors(entry(data_offsets=[8, 16]), b"\0" * 16), "gaps"),
        (safetensors({**GOOD, "b": GOOD["a"]}), "overlap"),
        (safetensors({**GOOD, "b": {**GOOD["a"], "data_offsets": [4, 12]}}, b"\0" * 12), "overlap"),
        (safetensors(GOOD, b"\0" * 9), "1 bytes follow"),
        (safetensors(GOOD, b"\0" * 7), "truncated"),
        (safetensors({"__metadata__": {"a": 1}, **GOOD}), "metadata"),
        (safetensors({"__metadata__": [], **GOOD}), "metadata"),
        (safetensors({"a\0b": GOOD["a"]}), "not printable"),
        (safetensors({"a\nb": GOOD["a"]}), "not printable"),
        (safetensors({"x" * 600: GOOD["a"]}), "too long"),
    ],
)
def test_safetensors(tmp_path: Path, content: bytes, message: str) -> None:
    refused(tmp_path / "model.safetensors", content, message)


def test_too_many_tensors(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    table = {str(i): empty for i in range(header.MAX_TENSORS + 1)}
    refused(tmp_path / "model.safetensors", safetensors(table, b""), "at most 100,000")


# Pickles that run code. The canary is a file that any of them would make.


class Runs:
    """Calls `function(*args)` when it is unpickled the ordinary way."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.args


def attacks(canary: Path) -> dict[str, Runs]:
    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Runs(os.system, f"touch {canary}"),
        "eval": Runs(eval, code),
        "exec": Runs(exec, code),
        "open": Runs(open, str(canary), "w"),
        "os.mkdir": Runs(os.mkdir, str(canary)),
        "method": Runs(Path.touch, canary),
        "torch.save": Runs(torch.save, 1, str(canary)),
        "two steps": Runs(partial(Path.touch, canary)),
    }


ATTACKS = list(attacks(Path()))


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(attacks(canary)[name]))
    assert canary.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_run(tmp_path: Path, name: str, protocol: int) -> None:
    """Refused, or loaded without what was to be called; in every container and under every name."""
    canary = tmp_path / "canary"
    tree = {"state_dict": {"a": torch.ones(2)}, "callbacks": attacks(canary)[name]}
    torch.save(tree, tmp_path / "zip.ckpt", pickle_protocol=protocol)
    torch.save(tree, tmp_path / "legacy.ckpt", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    (tmp_path / "raw.safetensors").write_bytes(pickle.dumps(attacks(canary)[name], protocol))
    for path in tmp_path.iterdir():
        for reader in (read, read_object):
            with suppress(FileError):
                reader(path)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["os.system", "eval", "exec", "open"])
def test_plain_attacks_are_called_so(tmp_path: Path, name: str) -> None:
    torch.save({"a": attacks(tmp_path / "canary")[name]}, tmp_path / "model.ckpt")
    with pytest.raises(FileError, match=f"tries to run .*{name.split('.')[-1]}: it is an attack"):
        read(tmp_path / "model.ckpt")


def test_what_is_known_cannot_be_changed(tmp_path: Path) -> None:
    """A pickle may set attributes of what it names; what it gets hold of here has none."""
    for known in ("torch._utils\n_rebuild_tensor_v2", "collections\nOrderedDict", "torch\nfloat32"):
        for state in (b"}X\x01\0\0\0aK\x01s", b"N}X\x09\0\0\0_functionK\x01s\x86"):
            write_pickle(tmp_path / "model", b"\x80\x02c" + known.encode() + b"\n" + state + b"b.")
            with pytest.raises(FileError):
                read_object(tmp_path / "model")
    torch.save({"a": torch.ones(2)}, tmp_path / "good")
    assert read(tmp_path / "good")["a"].tolist() == [1.0, 1.0]


# Pickles that waste memory or time.


def write_pickle(path: Path, program: bytes, members: dict[str, bytes] | None = None) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in (members or {}).items():
            archive.writestr(f"archive/{name}", content)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02N" + b"r" + struct.pack("<I", 0x7FFFFFFF) + b".", "reserves memory"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".", "damaged|BYTEARRAY8"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".", "damaged"),
        (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "damaged|no table"),
        (b"\x80\x02" + b"(" * 1000, "damaged"),
        (b"\x80\x02}", "damaged"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x97.", "NEXT_BUFFER"),
        (b"I" + b"9" * 10_000 + b"\n.", "damaged"),
        (b"\x80\x63N.", "damaged"),
        (b"\x80\x02K\x01Q.", "whole storage"),
        (b"\x80\x02N.", "no table|$"),
    ],
)
def test_wasteful_programs(tmp_path: Path, program: bytes, message: str) -> None:
    path = tmp_path / "model.ckpt"
    write_pickle(path, program)
    with pytest.raises(FileError, match=message):
        read(path)


DOUBLED = {"by copying": b"2\x86", "by name": b"q\x00h\x00\x86"}


@pytest.mark.parametrize("twice", DOUBLED.values(), ids=DOUBLED)
def test_tuples_in_tuples(tmp_path: Path, twice: bytes) -> None:
    """Sixty doublings of a tuple, then its use as a key: 2**60 steps for whoever hashes it."""
    write_pickle(tmp_path / "model", b"\x80\x02}N" + twice * 60 + b"Ns.")
    start = time.process_time()
    with pytest.raises(FileError, match="unfolds to too much"):
        read(tmp_path / "model")
    assert time.process_time() - start < 1


def test_lists_in_lists(tmp_path: Path) -> None:
    """Thirty levels of ten references to the level below: 1e30 leaves for whoever walks it naively."""
    tree: Any = [1]
    for _ in range(30):
        tree = [tree] * 10
    torch.save(tree, tmp_path / "model.pt")
    start = time.process_time()
    assert isinstance(read_object(tmp_path / "model.pt"), list)
    assert time.process_time() - start < 1
    for _ in range(10):
        tree = [tree]
    torch.save(tree, tmp_path / "deep.pt")
    with pytest.raises(FileError, match="nested too deeply"):
        read_object(tmp_path / "deep.pt")
    endless: list[object] = []
    endless.append(endless)
    torch.save(endless, tmp_path / "endless.pt")
    with pytest.raises(FileError, match="nested too deeply"):
        read_object(tmp_path / "endless.pt")


# Tensors that are not what they say.


class Tensor:
    """Pickles as a tensor with any numbers that torch.save would never write."""

    def __init__(self, offset: object, shape: object, strides: object, numel: object = 4) -> None:
        self.storage, self.numbers = Storage(numel), (offset, shape, strides)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, (self.storage, *self.numbers, False, {})


class Storage:
    def __init__(self, numel: object) -> None:
        self.numel = numel


class Pickler(pickle._Pickler):  # type: ignore[misc,name-defined]
    def persistent_id(self, value: object) -> object:
        if isinstance(value, Storage):
            return ("storage", torch.FloatStorage, "0", "cpu", value.numel)
        return None


def write_tensor(path: Path, tensor: Tensor, stored: bytes = b"\0" * 16) -> None:
    with (path.parent / "pickle").open("wb") as file:
        Pickler(file, 2).dump({"a": tensor})
    write_pickle(path, (path.parent / "pickle").read_bytes(), {"data/0": stored})


def test_the_frame_of_tensors_is_sound(tmp_path: Path) -> None:
    write_tensor(tmp_path / "model", Tensor(1, (3,), (1,)), struct.pack("<4f", 1, 2, 3, 4))
    assert read(tmp_path / "model")["a"].tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor(0, (5,), (1,)), "outside its storage"),
        (Tensor(2, (3,), (1,)), "outside its storage"),
        (Tensor(0, (2, 2), (4, 1)), "outside its storage"),
        (Tensor(-1, (2,), (1,)), "other than sizes"),
        (Tensor(0, (2,), (-1,)), "other than sizes"),
        (Tensor(0, (1_000_000_000,), (0,)), "larger than what is stored"),
        (Tensor(0, (5, 4), (0, 1)), "larger than what is stored"),
        (Tensor(0, (1,) * 61, (1,) * 61), "at most 8"),
        (Tensor(0, (0, 1 << 62), (1, 1)), "other than sizes"),
        (Tensor(0, (2, 2), (1,)), "more strides than sizes"),
        (Tensor("0", (2,), (1,)), "other than sizes"),
        (Tensor(0, "ab", (1,)), "not a list"),
        (Tensor(0, (2,), (1,), numel=400), "outside its storage"),
        (Tensor(0, (2,), (1,), numel="4"), "describes a storage wrongly"),
    ],
)
def test_false_tensors(tmp_path: Path, tensor: Tensor, message: str) -> None:
    write_tensor(tmp_path / "model", tensor)
    for reader in (read, read_object):
        with pytest.raises(FileError, match=message):
            reader(tmp_path / "model")


def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    with (tmp_path / "pickle").open("wb") as file:
        Pickler(file, 2).dump({"a": Tensor(0, (2,), (1,))})
    write_pickle(tmp_path / "model", (tmp_path / "pickle").read_bytes())
    with pytest.raises(FileError, match="not in the file"):
        read(tmp_path / "model")


def test_the_same_storage_a_thousand_times(tmp_path: Path) -> None:
    one = torch.zeros(10_000)
    torch.save({f"t{i}": one.view(100, 100) for i in range(1000)}, tmp_path / "model")
    for reader in (read, read_object):
        with pytest.raises(FileError, match="larger than the file"):
            reader(tmp_path / "model")


def test_odd_kinds_of_tensors_are_left_out(tmp_path: Path) -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (1 << 40,), check_invariants=True)
    torch.save({"a": torch.ones(1), "sparse": sparse}, tmp_path / "model")
    assert list(read(tmp_path / "model")) == ["a"]


# ZIP archives.


def test_packed_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", b"\0" * (64 << 20))
    assert (tmp_path / "model").stat().st_size < 1 << 20
    with pytest.raises(FileError, match="packed or encrypted"):
        read(tmp_path / "model")


def test_doubled_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("archive/data.pkl", pickle.dumps({"x": 1}))
    with pytest.raises(FileError, match="appear twice"):
        read(tmp_path / "model")


def test_members_that_share_bytes(tmp_path: Path) -> None:
    """Both entries of the directory point at the first member."""
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", b"12345")
        archive.infolist()[1].header_offset = 0
    with pytest.raises(FileError, match="overlap"):
        read(tmp_path / "model")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("../../etc/passwd", "x")
        archive.writestr("word/document.xml", "<x/>")
    with pytest.raises(FileError, match="would lie elsewhere"):
        read(tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    with pytest.raises(FileError, match="not one that torch"):
        read(tmp_path / "model.pt")


def damaged(path: Path, value: float = 2.0) -> Path:
    """A model by torch.save of which one weight was changed afterwards."""
    torch.save({"state_dict": {"a": torch.tensor([1.2345, 1.0])}}, path)
    content = path.read_bytes()
    assert content.count(struct.pack("<f", 1.2345)) == 1
    path.write_bytes(content.replace(struct.pack("<f", 1.2345), struct.pack("<f", value)))
    return path


def test_weights_that_are_not_those_that_were_written(tmp_path: Path) -> None:
    """Looked for by what reads all of a file: loading a model reads nothing before it is used."""
    path = damaged(tmp_path / "model.ckpt")
    assert read(path)["a"].tolist() == [2.0, 1.0]
    for look in (check_sums, read_object, lambda path: describe(path, check=True)):
        with pytest.raises(FileError, match=r"model\.ckpt cannot be used: its weights are damaged: their checksum"):
            look(path)


def test_checksums_may_be_left_out(tmp_path: Path) -> None:
    set_crc32_options(compute_crc32=False)
    try:
        damaged(tmp_path / "model.ckpt")
    finally:
        set_crc32_options(compute_crc32=True)
    check_sums(tmp_path / "model.ckpt")
    assert isinstance(read_object(tmp_path / "model.ckpt"), dict)


@pytest.mark.parametrize("count", [20_000, header.MAX_TENSORS])
def test_a_great_many_names(tmp_path: Path, count: int) -> None:
    """As many tensors and members of an archive as are read take seconds, and each as long as the next."""
    if count > 20_000:
        table = {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)}
        (tmp_path / "model").write_bytes(safetensors(table, b""))
    else:
        write_pickle(tmp_path / "model", pickle.dumps({}, 2), {f"data/{i}": b"" for i in range(count)})
    start = time.process_time()
    if count > 20_000:
        assert len(read(tmp_path / "model")) == count
    else:
        with pytest.raises(FileError, match="no table"):
            read(tmp_path / "model")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("key", ["fromnoise.unet.heads", "fromnoise.vae.mean", "fromnoise.sigmas", "sd_merge_models"])
def test_what_metadata_says_is_not_believed(tmp_path: Path, key: str) -> None:
    deep = "[" * 100_000
    if key == "sd_merge_models":
        assert read_models(deep) == {}
        return
    whole = read(tiny.checkpoint(tmp_path / "whole.safetensors"))
    write(tmp_path / "model.safetensors", whole, None, {**whole.metadata, key: deep})
    with pytest.raises(NotDetected, match=key):
        load_checkpoint(tmp_path / "model.safetensors")


def test_the_wrong_byte_order(tmp_path: Path) -> None:
    write_pickle(tmp_path / "model", pickle.dumps({}, 2), {"byteorder": b"big"})
    with pytest.raises(FileError, match="big-endian"):
        read(tmp_path / "model")


def test_damage_anywhere_is_a_file_error_or_harmless(tmp_path: Path, pickles_here: None) -> None:
    """Every byte of the pickle changed in turn: an answer or a FileError, never another exception."""
    path = tmp_path / "model"
    torch.save({"state_dict": {"a": torch.ones(3), "b": torch.zeros(2, 2)}, "epoch": 1}, path)
    whole = path.read_bytes()
    with path.open("rb") as file:
        first, size, _ = pickles.zip_members(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))["model/data.pkl"]
    for place in range(first, first + size):
        for value in (0, whole[place] ^ 1, whole[place] ^ 0x80, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            with suppress(FileError):
                for tensor in read(path).values():
                    tensor.sum()
