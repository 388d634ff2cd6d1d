"""Files in the manner of torch.save: torch reads them and runs nothing, and not one bit of a model is lost in them."""

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fromnoise.checkpoints.convert import convert, prune
from fromnoise.checkpoints.files import check_sums, read
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.save import NonFinite, write
from tests.checkpoints.test_convert import assert_same, made

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def as_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def test_torch_reads_every_dtype(tmp_path: Path) -> None:
    state = {str(dtype): torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]).to(dtype) for dtype in DTYPES}
    state |= {"number": torch.tensor(1000), "nothing": torch.zeros(0, 3), "turned": torch.arange(6.0).view(2, 3).T}
    write(tmp_path / "m.ckpt", state, None, {"note": "text"}, pickled=True)
    theirs, ours = torch.load(tmp_path / "m.ckpt", weights_only=True), read(tmp_path / "m.ckpt")
    assert (theirs["note"], ours.metadata, ours.kind) == ("text", {"note": "text"}, "torch")
    assert set(theirs["state_dict"]) == set(ours) == set(state)
    for name, tensor in state.items():
        for found in (theirs["state_dict"][name], ours[name]):
            assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape), name
            assert as_bytes(found) == as_bytes(tensor), name
    check_sums(tmp_path / "m.ckpt")
    mapped = torch.load(tmp_path / "m.ckpt", weights_only=True, mmap=True)["state_dict"]
    assert torch.equal(mapped["torch.float32"], state["torch.float32"])
    with zipfile.ZipFile(tmp_path / "m.ckpt") as archive:
        assert archive.testzip() is None
    assert all(entry.start % 64 == 0 for entry in ours.entries.values())


@pytest.mark.parametrize(("name", "dtype"), [("sd1 v zsnr", None), ("sd1", "fp8"), ("sdxl", "bf16")])
def test_there_and_back(tmp_path: Path, name: str, dtype: str | None) -> None:
    """Not one bit is another, and what shapes do not tell is kept."""
    path = made(tmp_path / "a.safetensors", name)
    convert(path, tmp_path / "b.ckpt", dtype=dtype)
    convert(path, tmp_path / "c.safetensors", dtype=dtype)
    convert(tmp_path / "b.ckpt", tmp_path / "d.safetensors")
    b = torch.load(tmp_path / "b.ckpt", weights_only=True)["state_dict"]
    c, d = (load_file(tmp_path / f"{letter}.safetensors") for letter in "cd")
    assert set(b) == set(c) == set(d)
    for key, tensor in c.items():
        for other in (b[key], d[key]):
            assert (other.dtype, as_bytes(other)) == (tensor.dtype, as_bytes(tensor)), key
    assert_same(load_checkpoint(tmp_path / "c.safetensors"), load_checkpoint(tmp_path / "b.ckpt"))
    convert(tmp_path / "b.ckpt", tmp_path / "vae.ckpt", to="vae")
    assert set(torch.load(tmp_path / "vae.ckpt", weights_only=True)["state_dict"]) == set(
        load_file(convert(path, tmp_path / "vae.safetensors", to="vae").path)
    )


def test_nothing_is_left_of_a_file_that_fails(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    state = load_file(path)
    next(iter(state.values())).view(-1)[0] = torch.nan
    write(path, state, None, dict(read(path).metadata))
    with pytest.raises(NonFinite):
        prune(path, tmp_path / "b.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
