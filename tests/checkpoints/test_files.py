"""Honest files of every kind are read, lazily and without a copy; what is no weight file gets a clear message."""

import json
import os
import pathlib
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.files import Inert, non_finite, read, read_object
from fromnoise.errors import FileError

TENSORS = {
    "a.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "a.bias": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "b": torch.tensor([[1, 2]], dtype=torch.int64),
    "c": torch.tensor(3.25, dtype=torch.bfloat16),
    "d": torch.tensor([True, False, True]),
    "e": torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn),
    "empty": torch.empty(0),
    "列.weight": torch.ones(1, dtype=torch.float64),
}


def same(ours: Any, theirs: dict[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(
        ours[name].dtype == tensor.dtype
        and ours[name].shape == tensor.shape
        and as_bytes(ours[name]) == as_bytes(tensor)
        for name, tensor in theirs.items()
    )


def as_bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())


def as_safetensors(path: Path) -> None:
    safetensors.torch.save_file(TENSORS, path, {"who": "me"})


def as_zip(path: Path) -> None:
    torch.save(TENSORS, path)


def as_legacy(path: Path) -> None:
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)


def as_lightning(path: Path) -> None:
    torch.save({"state_dict": TENSORS, "epoch": 3, "global_step": 875000, "optimizer_states": [{}]}, path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model.pt", "model"])
@pytest.mark.parametrize("write", [as_safetensors, as_zip, as_legacy, as_lightning])
def test_the_content_counts_not_the_name(tmp_path: Path, write: Callable[[Path], None], name: str) -> None:
    write(tmp_path / name)
    weights = read(tmp_path / name)
    assert same({key: weights[key] for key in TENSORS}, TENSORS)
    assert set(weights) == set(TENSORS)
    assert len(weights) == len(TENSORS)


def test_metadata(tmp_path: Path) -> None:
    as_safetensors(tmp_path / "a")
    as_lightning(tmp_path / "b")
    assert read(tmp_path / "a").metadata == {"who": "me"}
    assert read(tmp_path / "b").metadata == {"epoch": "3", "global_step": "875000"}


@pytest.mark.parametrize("write", [as_safetensors, as_zip])
def test_tensors_lie_in_the_map(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Two look-ups share memory; writing to it changes the map, not the file."""
    path = tmp_path / "model"
    write(path)
    before = path.read_bytes()
    weights = read(path)
    first, second = weights["a.weight"], weights["a.weight"]
    assert first.data_ptr() == second.data_ptr()
    first.fill_(7.0)
    assert second.eq(7.0).all()
    assert path.read_bytes() == before
    assert read(path)["a.weight"].equal(TENSORS["a.weight"])


def test_reading_costs_no_memory(tmp_path: Path) -> None:
    """A file of 200 MB that is mostly a hole is read in no time and without its bytes coming into memory."""
    resource = pytest.importorskip("resource")
    size = 200 << 20
    table = json.dumps({"big": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    table += b" " * (-len(table) % 8)
    with (tmp_path / "big").open("wb") as file:
        file.write(struct.pack("<Q", len(table)) + table)
        file.truncate(8 + len(table) + size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(tmp_path / "big")["big"].shape == (size // 2,)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


def test_views_of_one_storage(tmp_path: Path) -> None:
    base = torch.arange(24.0)
    tensors = {"whole": base, "part": base[3:9], "grid": base.view(4, 6).T, "step": base[::5]}
    torch.save(tensors, tmp_path / "model.ckpt")
    weights = read(tmp_path / "model.ckpt")
    assert same({name: weights[name] for name in tensors}, tensors)


def test_a_header_of_odd_length(tmp_path: Path) -> None:
    """Tensors at odd addresses are legal; most writers avoid them."""
    table = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    table += b" " * (len(table) % 2 + 1)
    (tmp_path / "model").write_bytes(struct.pack("<Q", len(table)) + table + struct.pack("<2f", 1.5, -3.0))
    assert read(tmp_path / "model")["a"].tolist() == [1.5, -3.0]


class Callback:
    """What trainers leave in their checkpoints."""

    def __init__(self) -> None:
        self.best = 0.5
        self.folder = pathlib.PurePosixPath("runs")


def test_a_trainers_objects_are_not_needed(tmp_path: Path) -> None:
    """An old full checkpoint carries objects of classes that are not installed here; its weights load."""
    ordered = OrderedDict(TENSORS)
    torch.save({"callbacks": {Callback: Callback()}, "state_dict": ordered, "args": {1, 2}}, tmp_path / "model.ckpt")
    weights = read(tmp_path / "model.ckpt")
    assert same({key: weights[key] for key in TENSORS}, TENSORS)
    tree = read_object(tmp_path / "model.ckpt")
    assert isinstance(tree, dict)
    ((kind, callback),) = tree["callbacks"].items()
    assert isinstance(callback, Inert)
    assert callback.name.endswith("Callback")
    assert isinstance(callback.state, dict)
    assert callback.state["best"] == 0.5
    assert isinstance(kind, Inert)
    assert kind.name.endswith("Callback")


def test_parameters_and_modules(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.ones(2, 3))
    torch.save({"p": parameter}, tmp_path / "a")
    assert read(tmp_path / "a")["p"].equal(torch.ones(2, 3))
    torch.save({"string_to_param": nn.ParameterDict({"*": parameter})}, tmp_path / "b")
    tree = read_object(tmp_path / "b")
    assert isinstance(tree, dict)
    assert "ParameterDict" in tree["string_to_param"].name


def test_nested_objects(tmp_path: Path) -> None:
    """Hypernetworks and embeddings are no flat tables."""
    hyper = {320: ({"linear.0.weight": torch.ones(2, 3)}, {"x": torch.zeros(1)}), "name": "n", "step": 5}
    torch.save(hyper, tmp_path / "hyper.pt")
    tree = read_object(tmp_path / "hyper.pt")
    assert isinstance(tree, dict)
    assert tree[320][0]["linear.0.weight"].equal(torch.ones(2, 3))
    assert tree["name"] == "n"
    with pytest.raises(FileError, match="no table of named weights"):
        read(tmp_path / "hyper.pt")
    as_safetensors(tmp_path / "flat")
    flat = read_object(tmp_path / "flat")
    assert isinstance(flat, dict)
    assert flat["a.weight"].equal(TENSORS["a.weight"])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_objects_in_every_protocol(tmp_path: Path, protocol: int, legacy: bool) -> None:
    shared = ["again", {"k": 1.5}]
    tree = {
        "numbers": [0, -1, 255, 65536, 1 << 40, 1 << 2000, 1e-300, float("inf"), True, None],
        "texts": ["", "a", "ä" * 300, "列" * 70_000, b"", b"\x00\xff" * 200],
        "empty": [[], {}, set()],
        "many": list(range(2500)),
        "table": {i: str(i) for i in range(2500)},
        "set": {1, 2, 3},
        (1, (2, "x")): [shared, shared],
        "ordered": OrderedDict(a=1, b=[2]),
    }
    torch.save(tree, tmp_path / "model", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    found = read_object(tmp_path / "model")
    assert isinstance(found, dict)
    if protocol < 3:  # bytes came with protocol 3; older ones call a function for them
        assert found["texts"].pop() is not None
        del found["texts"][-1], tree["texts"][-2:]  # type: ignore[union-attr]
    assert found == tree


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty \\(0 bytes\\); download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page.*sign in"),
        (b"\n  <html>", "web page"),
        (b'{"error": "Repository not found"}', "JSON text"),
        (b"GGUF\x03\0\0\0rest of it", "truncated within its header"),
        (b"Rar!\x1a\x07\x01\0", "unpack it first"),
        (b"\0" * 4096, "zeros"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"PK\x03\x04 and then nothing", "ZIP archive is truncated"),
        (b"\x80\x04}.", "pickle that torch.save did not write"),
        (b"random bytes of no kind", "neither a safetensors file nor a torch checkpoint"),
        (b"\xff" * 100, "neither"),
    ],
)
def test_what_is_no_weight_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist; check the name"):
        read(tmp_path / "nothing")
    with pytest.raises(FileError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(FileError, match="cannot be opened"):
        read("a\0b")
    with pytest.raises(FileError, match="cannot be opened"):
        read(tmp_path / ("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="not a regular file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize("write", [as_safetensors, as_zip, as_legacy])
def test_truncated_anywhere(tmp_path: Path, write: Callable[[Path], None], pickles_here: None) -> None:
    path = tmp_path / "model"
    write(path)
    whole = path.read_bytes()
    for length in sorted({*range(1, 40), *range(40, len(whole), 97), len(whole) - 1}):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=str(path)):
            read(path)


def test_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1000)}, path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FileError, match=f"truncated: {size - 1000:,} of {size:,} bytes are there; download"):
        read(path)


def test_nan_is_found_on_request(tmp_path: Path) -> None:
    bad = {"good": torch.ones(3), "nan": torch.tensor([1.0, float("nan")]), "i": torch.ones(2, dtype=torch.int32)}
    bad["inf"] = torch.tensor([float("inf")], dtype=torch.bfloat16)
    bad["fp8"] = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)
    safetensors.torch.save_file(bad, tmp_path / "model")
    assert sorted(non_finite(read(tmp_path / "model"))) == ["fp8", "inf", "nan"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links and devices")
def test_links_and_devices(tmp_path: Path) -> None:
    as_safetensors(tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    assert "b" in read(tmp_path / "link")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match="cannot be opened"):
        read(tmp_path / "loop")
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(FileError, match="does not exist"):
        read(tmp_path / "gone")
    for device in filter(Path.exists, (Path("/dev/zero"), Path("/dev/null"))):
        (tmp_path / device.name).symlink_to(device)
        with pytest.raises(FileError, match="not a regular file"):
            read(tmp_path / device.name)


@pytest.mark.parametrize("write", [as_safetensors, as_zip])
def test_a_file_that_is_written_to_while_it_is_read(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "model"
    write(path)
    weights = read(path)
    os.utime(path, ns=(5, 5))
    with pytest.raises(FileError, match="changed while it was read; wait"):
        weights["b"]
    weights = read(path)
    os.truncate(path, 100)
    with pytest.raises(FileError, match="changed while it was read"):
        dict(weights)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path) -> None:
    """As downloads end: what was opened stays what it was."""
    as_safetensors(tmp_path / "model")
    weights = read(tmp_path / "model")
    (tmp_path / "new").write_bytes(b"something else")
    (tmp_path / "new").replace(tmp_path / "model")
    assert same({key: weights[key] for key in TENSORS}, TENSORS)
