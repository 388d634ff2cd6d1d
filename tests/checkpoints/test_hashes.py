"""Hashes as the tools compute them that made them up, remembered while the file stays as it is."""

import hashlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fromnoise.checkpoints import hashes
from fromnoise.checkpoints.hashes import file_hash, legacy_hash, old_hash, tensors_hash
from fromnoise.errors import FileError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"abc")
    assert file_hash(path) == ABC
    path.write_bytes(b"abcd")
    assert file_hash(path).startswith("88d4266fd4e6338d13b8")
    path.write_bytes(b"x" * 0x100000 + b"y" * 0x10000 + b"z" * 5)
    assert old_hash(path) == hashlib.sha256(b"y" * 0x10000).hexdigest()[:8]
    assert tensors_hash(path) is None
    assert legacy_hash(path) is None


METADATA = {"ss_network_dim": "4", "ss_tag_frequency": '{"猫": {"\\"a\\n": 1}}'}
EDITED = {**METADATA, "sshs_model_hash": "0" * 64, "modelspec.title": "changed by a person", "格": "值"}


@pytest.mark.parametrize("metadata", [METADATA, EDITED, {"modelspec.title": "no trainer's"}, None])
@pytest.mark.parametrize("numbers", [30, 300_000, 1_000_000])
def test_as_kohya_computes_them(tmp_path: Path, metadata: dict[str, str] | None, numbers: int) -> None:
    """sshs_model_hash and sshs_legacy_hash: of the file written anew with the trainer's metadata alone."""
    generator = torch.Generator().manual_seed(1)
    tensors = {
        "lora_unet_a.lora_down.weight": torch.randn(numbers, generator=generator),
        "lora_unet_a.alpha": torch.tensor(4.0, dtype=torch.float16),
        "lora_unet_列.lora_up.weight": torch.randn(3, 7, generator=generator).bfloat16(),
    }
    path = tmp_path / "lora.safetensors"
    safetensors.torch.save_file(tensors, path, metadata)
    kept = {name: text for name, text in (metadata or {}).items() if name.startswith("ss_")}
    anew = safetensors.torch.save(tensors, kept or None)
    start = 8 + int.from_bytes(anew[:8], "little")
    assert tensors_hash(path) == hashlib.sha256(anew[start:]).hexdigest()
    assert legacy_hash(path) == hashlib.sha256(anew[0x100000:0x110000]).hexdigest()[:8]


def test_a_file_is_known_by_any_of_them(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.randn(600_000)}, path, {"who": "me"})
    found = hashes.hashes(path)
    assert found.short == found.sha256[:10]
    assert found.tensors is not None
    assert found.legacy is not None
    known = [found.sha256, found.short, found.short.upper(), found.old, found.tensors, found.tensors[:12], found.legacy]
    assert all(map(found.match, known))
    assert len({*known}) == 7
    for other in ("", found.sha256[:7], found.sha256[1:], found.old[:7], "x" * 10, "deadbeef", found.sha256 + "0"):
        assert not found.match(other)


def test_what_cannot_be_hashed(tmp_path: Path) -> None:
    for hashed in (file_hash, old_hash, tensors_hash, legacy_hash):
        for path in (tmp_path / "nothing", tmp_path, Path("a\0b"), tmp_path / ("x" * 5000)):
            with pytest.raises(FileError, match="cannot be read"):
                hashed(path)
    (tmp_path / "bad").write_bytes((20).to_bytes(8, "little") + b"{ no header that is }")
    assert legacy_hash(tmp_path / "bad") is None


def test_hashes_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "model", tmp_path / "new" / "hashes.json"
    safetensors.torch.save_file({"a": torch.ones(3)}, path)
    first = hashes.hashes(path, cache)
    monkeypatch.setattr(hashes, "_known", {})  # as a new process begins
    monkeypatch.setattr(hashes.hashlib, "file_digest", lambda *_: pytest.fail("the file is read again"))
    assert hashes.hashes(path, cache) == first
    monkeypatch.undo()
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 1))
    assert file_hash(path, cache) == ABC
    assert list(cache.parent.iterdir()) == [cache]
    for damage in ("", "[]", "{", '{"a": 1}', '{"a": [1, 2]}'):
        cache.write_text(damage)
        monkeypatch.setattr(hashes, "_known", {})
        assert file_hash(path, cache) == ABC
    monkeypatch.setattr(hashes, "_known", {})
    assert file_hash(path, path / "no folder") == ABC


def test_a_file_that_changes_while_it_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"abc")
    digest = hashlib.file_digest

    def slow(file: object, name: str) -> object:
        found = digest(file, name)  # type: ignore[arg-type]
        path.write_bytes(b"abcd")
        return found

    monkeypatch.setattr(hashes.hashlib, "file_digest", slow)
    with pytest.raises(FileError, match="changed while it was read"):
        file_hash(path)
