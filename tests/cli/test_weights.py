"""Commands on model files."""

import hashlib
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from .conftest import Run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_CACHE", str(tmp_path / "cache"))


def test_hashes_of_files(run: Run, folder: Path) -> None:
    path = tiny.checkpoint(folder / "model.safetensors")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = dict(line.split("\t") for line in run("hash", path).out.splitlines())
    assert (rows["sha256"], rows["model hash"]) == (sha256, sha256[:10])
    assert rows["sshs_model_hash"].startswith(rows["AutoV3"])
    assert len(rows["old hash"]) == len(rows["sshs_legacy_hash"]) == 8
    (folder / "plain.bin").write_bytes(b"abc")
    out = run("hash", path, "plain.bin").out
    assert f"{path}:\nsha256\t{sha256}" in out
    assert "\n\nplain.bin:\nsha256\tba7816bf" in out
    assert ["sha256", sha256] in [line.split() for line in run("info", path).out.splitlines()]


def test_hash_of_nothing(run: Run, folder: Path) -> None:
    ran = run("hash", "nothing.safetensors")
    assert (ran.status, ran.out) == (2, "")
    assert "nothing.safetensors cannot be read" in ran.last


def test_convert_and_prune(run: Run, folder: Path) -> None:
    path = tiny.checkpoint(folder / "model.safetensors")
    ran = run("convert", path, "model")
    assert (ran.status, ran.out) == (0, "model\n")
    assert "MB became" in ran.err
    assert (folder / "model" / "model_index.json").is_file()
    assert run("convert", "model", "back.safetensors", "--dtype", "fp16", "-q") == (0, "back.safetensors\n", "")
    assert run("prune", path, "small.safetensors", "--dtype", "fp16").out == "small.safetensors\n"
    for arguments, message in {
        ("model", "small.safetensors"): "small.safetensors exists; give another name, or replace it with --force",
        ("model.safetensors", "model.safetensors", "--force"): "is the file that is read",
        ("model", "x.safetensors", "--dtype", "fp17"): "unknown dtype 'fp17'",
        ("model", "x.safetensors", "--ema"): "leave --ema out",
        ("nothing", "x.safetensors"): "nothing",
    }.items():
        ran = run("convert", *arguments)
        assert (ran.status, ran.out, message in ran.last) == (2, "", True)


def test_models_are_mixed_from_the_command_line(run: Run, tmp_path: Path) -> None:
    one, two = (tiny.checkpoint(tmp_path / f"{name}.safetensors", "sd1", seed) for seed, name in enumerate("ab"))
    ran = run("merge", str(one), str(two), "--weight", "0.25", "--out", str(tmp_path / "c.safetensors"))
    assert ran.status == 0, ran.err
    assert ran.out.strip() == str(tmp_path / "c.safetensors")
    a, b, c = (load_file(tmp_path / f"{name}.safetensors") for name in "abc")
    name = "model.diffusion_model.out.2.weight"
    assert torch.allclose(c[name], a[name] * 0.75 + b[name] * 0.25, atol=1e-6)
    for words, told in (
        (["--lora", "cat:much"], "give a name and one or two strengths"),
        (["--blocks", "0,one"], "give numbers with commas"),
        (["--method", "average"], "unknown method 'average'"),
    ):
        ran = run("merge", str(one), str(two), *words, "--out", str(tmp_path / "d.safetensors"))
        assert (ran.status, told in ran.err) == (2, True), ran.err
