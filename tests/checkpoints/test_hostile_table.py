"""Every reader of weights on every kind of hostile file: one typed error that names it, soon, and nothing is run."""

import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.checkpoints.adapter_files.lora import read_lora
from fromnoise.checkpoints.clip_vision import load_clip_vision
from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.files import read, read_object
from fromnoise.checkpoints.gligen import load_gligen
from fromnoise.checkpoints.hashes import hashes
from fromnoise.checkpoints.ip_adapter import load_ip_adapter
from fromnoise.checkpoints.load import load_checkpoint, load_vae
from fromnoise.checkpoints.upscale_models import load_upscaler
from fromnoise.errors import FileError
from tests import tiny

READERS: dict[str, Callable[[Path], object]] = {
    "weights": read,
    "objects": read_object,
    "checkpoint": load_checkpoint,
    "VAE": load_vae,
    "LoRA": read_lora,
    "embedding": read_embedding,
    "hypernetwork": read_hypernetwork,
    "ControlNet": lambda path: load_control(path, tiny.model("sd1").unet),
    "IP-Adapter": load_ip_adapter,
    "image encoder": load_clip_vision,
    "GLIGEN": load_gligen,
    "upscaler": load_upscaler,
    "info": describe,
}
ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


class Runs:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)


def header(table: bytes, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(table) if length is None else length) + table + data


def zipped(path: Path, program: bytes, members: dict[str, bytes], packed: bool = False) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in members.items():
            archive.writestr(name, content)


def stride_zero(path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(1_000_000_000)}, path)


def link_loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def archived(path: Path, name: str = "archive/data/0", extra: bytes = b"") -> bytearray:
    """The bytes of a good archive of one tensor, but for a further member."""
    torch.save({"a": torch.ones(2)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.extra = extra
        archive.writestr(info, b"12345678")
    return bytearray(path.read_bytes())


def in_the_directory(path: Path, place: int, value: bytes, **member: Any) -> None:
    """An archive with `value` at byte `place` of each entry of its table of contents."""
    content = archived(path, **member)
    at = content.find(DIRECTORY)
    while at >= 0:
        content[at + place : at + place + len(value)] = value
        at = content.find(DIRECTORY, at + 4)
    path.write_bytes(content)


def encrypted_behind_its_directory(path: Path) -> None:
    content = archived(path)
    content[6] |= 1
    path.write_bytes(content)


def another_name(path: Path) -> None:
    content = archived(path)
    at = content.find(b"data.pkl")
    content[at : at + 4] = b"evil"
    path.write_bytes(content)


def gguf(count: int, facts: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, count, facts) + rest


DIRECTORY = b"PK\x01\x02"
ZIP64 = struct.pack("<HHQQ", 1, 16, 1 << 60, 1 << 60)
TABLE = json.dumps({"a": ENTRY}).encode()
CASES: dict[str, Callable[[Path, Path], object]] = {  # from the file's path and that of the canary
    "no bytes": lambda path, _: path.write_bytes(b""),
    "a folder": lambda path, _: path.mkdir(),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "links in a circle": lambda path, _: link_loop(path),
    "a link to nothing": lambda path, _: path.symlink_to("nowhere"),
    "noise": lambda path, _: path.write_bytes(bytes(range(256)) * 40),
    "code, bare": lambda path, canary: path.write_bytes(pickle.dumps(Runs(canary))),
    "code, zipped": lambda path, canary: torch.save({"a": Runs(canary)}, path),
    "code, legacy": lambda path, canary: torch.save(
        Runs(canary), path, _use_new_zipfile_serialization=False
    ),
    "a huge header": lambda path, _: path.write_bytes(header(TABLE, length=1 << 40)),
    "a header that is cut off": lambda path, _: path.write_bytes(header(TABLE)[:20]),
    "data that is cut off": lambda path, _: path.write_bytes(header(TABLE)[:-3]),
    "a name twice": lambda path, _: path.write_bytes(
        header(b'{"a":' + json.dumps(ENTRY).encode() + b',"a":' + json.dumps(ENTRY).encode() + b"}")
    ),
    "a deep header": lambda path, _: path.write_bytes(header(b'{"a":' + b"[" * 100_000)),
    "sizes that overflow": lambda path, _: path.write_bytes(
        header(json.dumps({"a": {**ENTRY, "shape": [1 << 62, 4]}}).encode())
    ),
    "sixty axes": lambda path, _: path.write_bytes(
        header(json.dumps({"a": {**ENTRY, "shape": [2, *[1] * 60]}}).encode())
    ),
    "a path for a name": lambda path, _: path.write_bytes(header(json.dumps({"../../a\0b": ENTRY}).encode())),
    "a stride of 0": lambda path, _: stride_zero(path),
    "a zip bomb": lambda path, _: zipped(
        path, pickle.dumps({}, 2), {"archive/data/0": b"\0" * (32 << 20)}, packed=True
    ),
    "a member above": lambda path, _: archived(path, "archive/data/../../../x"),
    "a member at the root": lambda path, _: archived(path, "/etc/passwd"),
    "a member on a drive": lambda path, _: archived(path, "C:\\Windows\\x"),
    "a member that differs in capitals": lambda path, _: archived(path, "model/DATA.PKL"),
    "a member with two names": lambda path, _: another_name(path),
    "a wrong checksum": lambda path, _: in_the_directory(path, 16, b"\1\2\3\4"),
    "encrypted": lambda path, _: in_the_directory(path, 8, b"\1"),
    "encrypted, but not in the directory": lambda path, _: encrypted_behind_its_directory(path),
    "sizes of zip64": lambda path, _: in_the_directory(path, 20, b"\xff" * 8, extra=ZIP64),
    "members in one place": lambda path, _: in_the_directory(path, 42, b"\0\0\0\0"),
    "lists in lists": lambda path, _: zipped(path, b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", {}),
    "tuples in tuples": lambda path, _: zipped(path, b"\x80\x02}N" + b"2\x86" * 60 + b"Ns.", {}),
    "a memo of gigabytes": lambda path, _: zipped(path, b"\x80\x02Nr\xff\xff\xff\x7f.", {}),
    "tensors without end": lambda path, _: path.write_bytes(gguf(1 << 60, 0)),
    "facts without end": lambda path, _: path.write_bytes(gguf(0, 1 << 60)),
    "a text without end": lambda path, _: path.write_bytes(gguf(0, 1, struct.pack("<Q", 1 << 60) + b"abc")),
    "lists in lists of GGUF": lambda path, _: path.write_bytes(
        gguf(0, 1, struct.pack("<Qc", 1, b"a") + struct.pack("<IIQ", 9, 9, 1 << 30) + struct.pack("<IQ", 9, 1) * 50_000)
    ),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(tmp_path: Path, case: str, reader: str, pickles_here: None) -> None:
    path, canary = tmp_path / "inner" / "model.safetensors", tmp_path / "canary"
    path.parent.mkdir()
    CASES[case](path, canary)
    began = time.process_time()
    with pytest.raises(FileError) as error:
        READERS[reader](path)
    assert time.process_time() - began < 5
    assert "model.safetensors" in str(error.value)
    assert not canary.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["inner"]


@pytest.mark.parametrize("case", ["code, bare", "code, zipped", "code, legacy"])
def test_the_code_is_real(tmp_path: Path, case: str) -> None:
    path, canary = tmp_path / "model", tmp_path / "canary"
    CASES[case](path, canary)
    torch.load(path, weights_only=False) if case != "code, bare" else pickle.loads(path.read_bytes())
    assert canary.is_dir()


@pytest.mark.parametrize("case", ["no bytes", "a folder", "a pipe", "a device", "links in a circle"])
def test_hashes_refuse_what_is_no_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.safetensors"
    CASES[case](path, tmp_path)
    if case == "no bytes":
        assert hashes(path).sha256.startswith("e3b0c442")
        return
    with pytest.raises(FileError):
        hashes(path)
