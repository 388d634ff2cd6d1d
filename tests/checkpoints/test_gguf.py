"""GGUF files, written by gguf itself: every number format, original names and shapes, hostile headers."""

import struct
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from fromnoise.checkpoints import ggml, gguf_header
from fromnoise.checkpoints.files import read, read_object
from fromnoise.errors import FileError
from fromnoise.nn.quantized import Quantized

Type = gguf.GGMLQuantizationType


def write(path: Path, tensors: dict[str, tuple[np.ndarray, int]], **facts: Any) -> Path:
    """Of tensors that are packed already: arrays and ggml types. `facts` are texts and lists of numbers."""
    writer = gguf.GGUFWriter(path, arch="sd1")
    for name, fact in facts.items():
        (writer.add_array if isinstance(fact, list) else writer.add_string)(name, fact)
    for name, (array, kind) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=Type(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_blocks(scheme_name: str, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of two blocks of random bytes."""
    _, nbytes = gguf.GGML_QUANT_SIZES[Type[scheme_name]]
    return generator.integers(0, 256, (rows, 2 * nbytes), dtype=np.uint8)


def test_every_format_is_ggmls_own(tmp_path: Path) -> None:
    """Bit for bit, for all bytes there can be; NaN where the reference has one."""
    generator = np.random.default_rng(3)
    names = {number: scheme.name for number, scheme in ggml.SCHEMES.items()}
    names |= {number: name for number, (name, _, _) in ggml.RARE.items()}
    blocks = {name: random_blocks(name, 40, generator) for name in names.values()}
    path = write(tmp_path / "m.gguf", {name: (blocks[name], number) for number, name in names.items()})
    weights = read(path)
    with np.errstate(all="ignore"):
        for number, name in names.items():
            size, nbytes = gguf.GGML_QUANT_SIZES[Type(number)]
            scheme = ggml.scheme(number)
            assert scheme is not None
            assert (scheme.name, scheme.block, scheme.nbytes) == (Type(number).name, size, nbytes)
            tensor = weights[name]
            assert isinstance(tensor, Quantized)
            assert tensor.shape == (40, 2 * size)
            theirs = gguf.quants.dequantize(blocks[name], Type(number))
            ours = tensor.unpacked(dtype=torch.float32).numpy()
            assert np.array_equal(ours, theirs, equal_nan=True), name
    assert len(names) >= 22


def test_plain_formats_lie_in_the_map(tmp_path: Path) -> None:
    arrays = {
        "f32": (np.arange(12, dtype=np.float32).reshape(3, 4), 0),
        "f16": (np.arange(6, dtype=np.float16).reshape(1, 2, 3, 1), 1),
        "bf16": (torch.tensor([[1.5, -2.0]]).bfloat16().view(torch.uint8).numpy(), 30),
        "i32": (np.array([5, -5], dtype=np.int32), 26),
        "f64": (np.array([0.25]), 28),
    }
    weights = read(write(tmp_path / "m.gguf", arrays))
    assert weights["f32"].equal(torch.arange(12.0).reshape(3, 4))
    assert weights["f16"].equal(torch.arange(6).half().reshape(1, 2, 3, 1))
    assert weights["bf16"].equal(torch.tensor([[1.5, -2.0]]).bfloat16())
    assert weights["i32"].tolist() == [5, -5]
    assert weights["f64"].dtype == torch.float64
    assert weights["f32"].data_ptr() == weights["f32"].data_ptr()
    assert weights.kind == "gguf"
    assert weights.metadata["general.architecture"] == "sd1"
    assert set(read_object(tmp_path / "m.gguf")) == set(arrays)  # type: ignore[call-overload]


def test_the_original_shape(tmp_path: Path) -> None:
    """A 3x3 convolution makes no whole blocks by itself; its converter stored it as rows of 256."""
    weight = np.random.default_rng(1).normal(size=(64, 32, 3, 3)).astype(np.float32)
    stored = gguf.quants.quantize(weight.reshape(-1, 256), Type.Q8_0)
    name = "input_blocks.1.0.in_layers.2.weight"
    facts = {gguf_header.ORIGINAL_SHAPE + name: [64, 32, 3, 3]}
    found = read(write(tmp_path / "m.gguf", {name: (stored, 8)}, **facts))[name]
    assert found.shape == (64, 32, 3, 3)
    assert np.abs(found.float().numpy() - weight).max() < 0.02
    with pytest.raises(FileError, match=r"original shape .* disagree"):
        read(write(tmp_path / "wrong.gguf", {name: (stored, 8)}, **{gguf_header.ORIGINAL_SHAPE + name: [64, 32, 3, 4]}))


# Hostile files, put together by hand.


def text(value: str | bytes) -> bytes:
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value)) + value


def header(
    tensors: list[bytes], facts: list[bytes] | None = None, version: int = 3, counts: tuple[int, int] | None = None
) -> bytes:
    facts = facts or []
    numbers = counts or (len(tensors), len(facts))
    made = b"GGUF" + struct.pack("<IQQ", version, *numbers) + b"".join(facts) + b"".join(tensors)
    return made + b"\0" * (-len(made) % 32)


def tensor(name: str | bytes = "a", sizes: tuple[int, ...] = (8,), kind: int = 0, place: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, place)


def fact(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


DATA = b"\0" * 32


def test_the_frame_of_these_tests_is_sound(tmp_path: Path) -> None:
    facts = [fact("general.alignment", 4, struct.pack("<I", 32)), fact("x", 9, struct.pack("<IQ2i", 5, 2, 1, 2))]
    (tmp_path / "m").write_bytes(header([tensor()], facts) + DATA)
    assert read(tmp_path / "m")["a"].tolist() == [0.0] * 8


NESTED = struct.pack("<IQ", 9, 1) * 50 + struct.pack("<IQ", 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF", "truncated within its header"),
        (header([tensor()])[:40], "truncated within its header"),
        (header([tensor()], version=1) + DATA, "version 1"),
        (header([tensor()], version=3 << 24) + DATA, "version 50331648"),
        (header([], counts=(1 << 63, 0)), "too much"),
        (header([], counts=(0, 1 << 40)), "too much"),
        (header([], counts=(1, 0)), "not printable|no text|truncated"),
        (header([tensor(), tensor()]) + DATA, "same name twice"),
        (header([tensor(place=0), tensor("b", place=0)]) + DATA, "overlap"),
        (header([tensor(), tensor("b", place=64)]) + DATA * 3, "gaps"),
        (header([tensor(place=16)]) + DATA * 2, "gaps"),
        (header([tensor(place=1 << 63)]) + DATA, "gaps"),
        (header([tensor()]) + DATA[:-1], "truncated: "),
        (header([tensor(sizes=(1 << 62,))]) + DATA, "other than sizes"),
        (header([tensor(sizes=(1 << 39, 1 << 39))]) + DATA, "truncated"),
        (header([tensor(sizes=(1,) * 61)]) + DATA, "61 dimensions"),
        (header([text("a") + struct.pack("<I", 1 << 31)]), "2,147,483,648 dimensions"),
        (header([tensor(kind=99)]) + DATA, "not known .type 99"),
        (header([tensor(kind=4)]) + DATA, "not known .type 4"),
        (header([tensor(kind=8, sizes=(33,))]) + DATA, "blocks of 32 for Q8_0"),
        (header([tensor(kind=8, sizes=())]) + DATA, "blocks of 32"),
        (header([tensor(kind=8, sizes=(0,))]) + DATA, "blocks of 32"),
        (header([tensor("a\nb")]) + DATA, "not printable"),
        (header([tensor("x" * 600)]) + DATA, "too long"),
        (header([tensor(b"\xff")]) + DATA, "no text"),
        (header([struct.pack("<Q", 1 << 62)]), "truncated within its header"),
        (header([tensor()], [fact("a", 8, struct.pack("<Q", 1 << 62))]), "truncated within its header"),
        (header([tensor()], [fact("a", 13, b"")]), "unknown type"),
        (header([tensor()], [fact("a", 9, NESTED)]), "unknown type"),
        (header([tensor()], [fact("a", 9, struct.pack("<IQ", 0, 1 << 50))]), "too long"),
        (header([tensor()], [fact("a", 9, struct.pack("<IQ", 0, 999_999))]), "truncated within its header"),
        (header([tensor()], [fact("a", 0, b"1"), fact("a", 0, b"1")]) + DATA, "same name twice"),
        (header([tensor()], [fact("general.alignment", 4, struct.pack("<I", 33))]) + DATA, "aligned"),
        (header([tensor()], [fact("general.alignment", 4, struct.pack("<I", 0))]) + DATA, "aligned"),
        (header([tensor()], [fact("general.alignment", 4, struct.pack("<I", 1 << 31))]) + DATA, "aligned"),
        (header([tensor()], [fact("general.alignment", 8, text("32"))]) + DATA, "aligned"),
        (header([tensor()], [fact("comfy.gguf.orig_shape.a", 8, text("32"))]) + DATA, "not a list"),
        (header([tensor()], [fact("comfy.gguf.orig_shape.a", 9, struct.pack("<IQq", 11, 1, -8))]) + DATA, "other than"),
    ],
)
def test_hostile_headers(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(FileError, match=message) as error:
        read(path)
    assert time.process_time() - start < 5
    assert str(path) in str(error.value)


def test_damage_anywhere_is_a_file_error_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "m"
    facts = [fact("x", 9, struct.pack("<IQ2i", 5, 2, 1, 2)), fact("general.architecture", 8, text("sd1"))]
    whole = header([tensor(), tensor("b", (64,), 8, 32)], facts) + DATA + b"\1" * 68
    for place in range(4, len(whole) - 100):
        for value in (0, whole[place] ^ 1, whole[place] ^ 0x80, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                for found in read(path).values():
                    found.float().sum()
            except FileError:
                continue
