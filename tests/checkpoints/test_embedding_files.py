"""Textual inversions in every layout, and files that are none."""

import base64
import struct
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from torch import nn

from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.checkpoints.adapter_files.embedding_picture import CHUNK
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.errors import FileError
from tests.checkpoints import pictures

VECTORS = torch.randn(3, 768, generator=torch.Generator().manual_seed(0))
WIDE = torch.randn(3, 1280, generator=torch.Generator().manual_seed(1))
A1111 = {
    "string_to_token": {"*": 265},
    "string_to_param": {"*": VECTORS},
    "name": "style",
    "step": 500,
    "sd_checkpoint": "7460a6fa",
    "sd_checkpoint_name": "sd-v1-4",
}
LAYOUTS: dict[str, object] = {
    "a1111.pt": A1111,
    "authors.pt": {
        "string_to_token": {"*": torch.tensor(265)},
        "string_to_param": nn.ParameterDict({"*": nn.Parameter(VECTORS)}),
    },
    "diffusers.bin": {"<style>": VECTORS[0]},
    "diffusers-several.bin": {"<style>": VECTORS[0], "<style>_1": VECTORS[1], "<style>_2": VECTORS[2]},
    "kohya.pt": {"emb_params": VECTORS},
    "list.pt": [{"*": VECTORS}],
    "tensor.pt": {"anything": VECTORS},
    "sdxl.pt": OrderedDict(clip_g=WIDE, clip_l=VECTORS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_torch_files(name: str, tmp_path: Path) -> None:
    torch.save(LAYOUTS[name], tmp_path / name)
    found = read_embedding(tmp_path / name)
    wanted = VECTORS[:1] if name == "diffusers.bin" else VECTORS
    assert found.vectors[0].equal(wanted)
    assert found.of_width(768) is found.vectors[0]
    assert (found.of_width(1280) is not None) == (name == "sdxl.pt")
    assert found.count == len(wanted)


def test_safetensors(tmp_path: Path) -> None:
    for name, tensors in {
        "a": {"emb_params": VECTORS},
        "b": {"clip_l": VECTORS, "clip_g": WIDE},
        "c": {"<token>": VECTORS[0]},
        "d": {"string_to_param.*": VECTORS},
    }.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        found = read_embedding(tmp_path / f"{name}.safetensors")
        assert found.vectors[0].equal(next(iter(tensors.values())).reshape(-1, 768))
        assert len(found.vectors) == (2 if name == "b" else 1)


def test_what_training_wrote_is_kept(tmp_path: Path) -> None:
    torch.save(A1111, tmp_path / "file.pt")
    found = read_embedding(tmp_path / "file.pt")
    assert found.token == "style"
    assert found.metadata == {
        "name": "style",
        "step": "500",
        "sd_checkpoint": "7460a6fa",
        "sd_checkpoint_name": "sd-v1-4",
    }


@pytest.mark.parametrize("write", [pictures.with_chunk, pictures.with_pixels])
def test_pictures(write: object, tmp_path: Path) -> None:
    path = write(A1111, tmp_path / "style.png")  # type: ignore[operator]
    found = read_embedding(path)
    torch.testing.assert_close(found.vectors[0], VECTORS)
    assert found.metadata["step"] == "500"


def test_pictures_without_one(tmp_path: Path) -> None:
    Image.fromarray(pictures.picture()).save(tmp_path / "plain.png")
    with pytest.raises(FileError, match="a picture without an embedding"):
        read_embedding(tmp_path / "plain.png")
    scaled = Image.open(pictures.with_pixels(A1111, tmp_path / "small.png")).resize((300, 80))
    scaled.save(tmp_path / "small.png")
    with pytest.raises(FileError, match=r"small\.png (holds no readable embedding|is a picture without)"):
        read_embedding(tmp_path / "small.png")
    (tmp_path / "none.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(FileError, match="holds no readable embedding"):
        read_embedding(tmp_path / "none.png")


def test_a_picture_that_unfolds_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fromnoise.checkpoints.adapter_files.embedding_picture.MAX_JSON", 1000)
    with pytest.raises(FileError, match="end too early, or never"):
        read_embedding(pictures.with_pixels(A1111, tmp_path / "bomb.png"))


@pytest.mark.parametrize(
    "told",
    [
        '{"string_to_param": {"*": {"TORCHTENSOR": {"a": 1}}}}',
        '{"x": {"TORCHTENSOR": [[1], [1, 2]]}}',
        "[" * 100_000,
        '{"x": {"TORCHTENSOR": [1' + "0" * 400 + "]}}",
        '{"x": {"TORCHTENSOR": null}}',
        "5",
        "{",
        '{"x": {"TORCHTENSOR": ["a"]}}',
    ],
)
def test_pictures_that_hold_something_else(told: str, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text(CHUNK, base64.b64encode(told.encode()).decode())
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", pnginfo=info)
    with pytest.raises(FileError, match=r"x\.png"):
        read_embedding(tmp_path / "x.png")


def test_a_picture_of_more_pixels_than_memory(tmp_path: Path) -> None:
    """Its header says 60,000 x 60,000."""
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    content = bytearray((tmp_path / "x.png").read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FileError, match=r"x\.png"):
        read_embedding(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"string_to_param": {}}, "no vectors"),
        ({"x": 1}, "no vectors"),
        ({"x": torch.ones(3, dtype=torch.int64)}, "no vectors"),
        ({"x": torch.ones(2, 3, 4)}, "no vectors"),
        ({"x": torch.ones(5000, 8)}, "5,000 vectors"),
        ({"x": torch.full((2, 8), torch.nan)}, "NaN"),
    ],
)
def test_files_that_are_none(tree: object, message: str, tmp_path: Path) -> None:
    torch.save(tree, tmp_path / "x.pt")
    with pytest.raises(FileError, match=message):
        read_embedding(tmp_path / "x.pt")


def test_the_mask_is_that_of_other_readers() -> None:
    """The first numbers of the sequence that colours are combined with."""
    from fromnoise.checkpoints.adapter_files.embedding_picture import sequence

    state, wanted = 0, []
    for _ in range(5):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        wanted.append(state % 255 & 15)
    assert sequence(5).tolist() == wanted
    assert zlib.crc32(np.asarray(wanted, np.uint8).tobytes()) == zlib.crc32(sequence(5).tobytes())


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        ({"<one>": VECTORS[0], "<other>": VECTORS[1]}, "<other>"),
        ({"string_to_param": {"*": VECTORS, "more": VECTORS[1:] + 1}}, "string_to_param.more"),
        ({"clip_l": VECTORS, "clip_g": WIDE, "t5xxl": WIDE + 1}, "t5xxl"),
        ({"emb_params": VECTORS, "optimizer": [{"exp_avg": VECTORS + 1}]}, "optimizer.0.exp_avg"),
    ],
)
def test_tensors_besides_the_embedding_are_named(tree: object, name: str, tmp_path: Path) -> None:
    torch.save(tree, tmp_path / "x.pt")
    with pytest.raises(UnmatchedKeys) as raised:
        read_embedding(tmp_path / "x.pt")
    assert raised.value.unknown == [name]
    assert read_embedding(tmp_path / "x.pt", allow_unmatched=True).vectors
