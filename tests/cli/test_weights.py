"""Commands on model files."""

import hashlib
from pathlib import Path

import pytest
import tiny

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
