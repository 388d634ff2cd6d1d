"""The index knows what is on the shelves, notices changes and finds files by hash."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import save_file

from fromnoise.checkpoints.hashes import hashes
from fromnoise.jobs.database import Database
from fromnoise.jobs.index import Facts, Index, Source, Stamp
from fromnoise.jobs.scan import main, scan, trigger_words
from fromnoise.settings import Settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(cache=tmp_path / "cache", data=tmp_path / "data")


@pytest.fixture
def index(here: Settings) -> Index:
    assert here.database_url
    return Index(Database.open(here.database_url))


def lora(name: str, value: float = 1.0, **metadata: str) -> Path:
    path = Path("models/loras", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"lora_unet_mid_block.lora_up.weight": torch.full((2, 2), value)}
    save_file(tensors | {"lora_unet_mid_block.lora_down.weight": torch.ones(2, 2)}, path, metadata or None)
    return path


def touch(path: Path, later: float = 10) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + later))


def test_what_is_there_is_listed_before_it_is_read(index: Index, here: Settings) -> None:
    ink, pen = lora("style/ink.safetensors"), lora("pen.safetensors")
    changes = index.refresh(here)
    assert set(changes.added) == {ink.resolve(), pen.resolve()}
    assert [entry.name for entry in index.entries(here, "loras")] == ["pen.safetensors", "style/ink.safetensors"]
    assert [entry.was_read for entry in index.entries(here)] == [False, False]
    assert index.entries(here, "vae") == []
    assert index.entries(here, "loras")[0].place == pen.absolute()


def test_what_was_read_is_kept(index: Index, here: Settings) -> None:
    metadata = {"modelspec.title": "Ink", "modelspec.trigger_phrase": "ink drawing", "ss_base_model_version": "sd_v1"}
    path = lora("ink.safetensors", **metadata)
    index.refresh(here)
    assert scan(index, here) == 1
    assert scan(index, here) == 0
    (entry,) = index.entries(here, "loras")
    found = hashes(path)
    assert entry.digests is not None
    assert (entry.digests.sha256, entry.digests.tensors, entry.digests.old) == (found.sha256, found.tensors, found.old)
    assert entry.facts == Facts(
        "LoRA", parameters=8, dtypes=("float32",), title="Ink", base="sd_v1", trigger_words=("ink drawing",)
    )
    assert index.refresh(here).changed == []
    assert index.at(here, path) == [entry]


def test_a_checkpoint_is_recognised(index: Index, here: Settings) -> None:
    Path("models/checkpoints").mkdir(parents=True)
    tiny.checkpoint(Path("models/checkpoints/tiny.safetensors"), "sd2", prediction="v")
    index.refresh(here)
    scan(index, here)
    (entry,) = index.entries(here)
    assert entry.facts is not None
    assert (entry.facts.holds, entry.facts.family, entry.facts.prediction) == ("checkpoint", "sd2", "v")


def test_changes_are_noticed(index: Index, here: Settings) -> None:
    ink, pen = lora("ink.safetensors"), lora("pen.safetensors")
    index.refresh(here)
    scan(index, here)
    before = hashes(ink).sha256
    lora("ink.safetensors", 2.0)
    touch(ink)
    pen.unlink()
    changes = index.refresh(here)
    assert (changes.added, changes.changed, changes.gone) == ([], [ink.resolve()], [pen.resolve()])
    assert index.by_hash(here, before) == []
    assert [entry.was_read for entry in index.entries(here)] == [False]
    scan(index, here)
    assert [entry.place for entry in index.by_hash(here, hashes(ink).sha256)] == [ink.absolute()]


def test_files_are_found_by_any_hash(index: Index, here: Settings) -> None:
    path = lora("ink.safetensors")
    lora("pen.safetensors", 2.0)
    index.refresh(here)
    scan(index, here)
    found = hashes(path)
    assert found.tensors is not None
    for digits in (found.sha256, found.sha256[:10], found.sha256[:8].upper(), found.tensors[:12]):
        assert [entry.name for entry in index.by_hash(here, digits)] == ["ink.safetensors"]
    for digits in ("", found.sha256[:7], "zzzzzzzzzz", "%%%%%%%%%%", found.sha256 + "0"):
        assert index.by_hash(here, digits) == []


def test_a_file_on_two_shelves_is_read_once(index: Index, here: Settings) -> None:
    path = Path("models/controlnet/canny.safetensors")
    path.parent.mkdir(parents=True)
    save_file({"control_model.a": torch.ones(1)}, path)
    index.refresh(here)
    assert scan(index, here) == 1
    assert [(entry.kind, entry.was_read) for entry in index.entries(here)] == [
        ("controlnet", True),
        ("t2i_adapter", True),
        ("ipadapter", True),
    ]
    assert len(index.by_hash(here, hashes(path).sha256)) == 1


def test_what_cannot_be_read_says_why(index: Index, here: Settings) -> None:
    path = Path("models/loras/bad.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no weights")
    index.refresh(here)
    assert scan(index, here) == 0
    (entry,) = index.entries(here)
    assert entry.fault is not None
    assert "neither a safetensors file nor a torch checkpoint" in entry.fault
    assert index.unread() == [], "it is not tried again until it changes"


def test_folders_and_texts(index: Index, here: Settings) -> None:
    unet = Path("models/checkpoints/mine/unet/model.safetensors")
    for path, content in {unet: "x", Path("models/checkpoints/mine/model_index.json"): "{}"}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    Path("models/wildcards").mkdir()
    Path("models/wildcards/animal.txt").write_text("cat\ndog\n")
    index.refresh(here)
    scan(index, here)
    folder, wildcard = index.entries(here)
    assert (folder.name, folder.facts, folder.stamp.size) == ("mine", Facts("folder"), 3)
    assert wildcard.facts == Facts("text")
    assert wildcard.digests is not None
    assert wildcard.digests.sha256 == hashlib.sha256(b"cat\ndog\n").hexdigest()
    unet.write_text("longer")
    assert index.refresh(here).changed == [folder.place]


def test_a_file_that_changes_while_it_is_read_stays_unread(index: Index, here: Settings) -> None:
    path = lora("ink.safetensors")
    index.refresh(here)
    ((real, stamp),) = index.unread()
    index.store(real, Stamp(stamp.size, stamp.changed - 1), Facts("LoRA"))
    assert len(index.unread()) == 1
    assert scan(index, here, patient=True) == 0, "it may still be written"
    touch(path, -100)
    index.refresh(here)
    assert scan(index, here, patient=True) == 1


def test_a_download_remembers_where_it_came_from(index: Index, here: Settings) -> None:
    path = lora("ink.safetensors")
    index.refresh(here)
    source = Source("me/ink", "ink.safetensors", "a" * 40, ("mit",))
    index.note_source(path, source)
    index.refresh(here)
    assert [entry.source for entry in index.entries(here)] == [source]


def test_what_a_newer_version_stored_besides_is_left_out() -> None:
    assert Facts.load({"holds": "LoRA", "dtypes": ["float16"], "mood": "good"}) == Facts("LoRA", dtypes=("float16",))


def test_words_of_captions() -> None:
    tags = '{"10_ink": {"ink": 10, "pen": 3, "": 9, "bad": "x"}, "5_more": {"pen": 20}}'
    assert trigger_words({"ss_tag_frequency": tags}) == ("pen", "ink")
    assert trigger_words({"ss_tag_frequency": "[]"}) == trigger_words({"ss_tag_frequency": "["}) == ()


def test_the_process_in_the_background(index: Index, here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lora("ink.safetensors")
    monkeypatch.setenv("FROMNOISE_DATA", str(here.data))
    monkeypatch.setattr("os.nice", lambda less: less, raising=False)
    main()
    assert [entry.place for entry in index.by_hash(here, hashes(path).sha256)] == [path.absolute()]


def test_hashes_outlive_a_look_from_another_folder(
    index: Index, here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one folder's shelves hold is not forgotten where others are looked at in between."""
    path = lora("ink.safetensors")
    index.refresh(here)
    assert scan(index, here) == 1
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert index.refresh(here).gone == []
    assert index.entries(here) == []
    monkeypatch.chdir(tmp_path)
    changes = index.refresh(here)
    assert (changes.added, changes.changed, changes.gone) == ([], [], [])
    assert scan(index, here) == 0
    (entry,) = index.by_hash(here, hashes(path).sha256)
    assert entry.name == "ink.safetensors"
    path.unlink()
    assert index.refresh(here).gone == [path.resolve()]


def test_services_of_different_shelves_share_what_is_known(index: Index, here: Settings, tmp_path: Path) -> None:
    ink, shared = lora("ink.safetensors"), tmp_path / "others" / "loras" / "shared.safetensors"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(lora("shared.safetensors", 3.0).read_bytes())
    ours, theirs = replace(here, models=(tmp_path / "models",)), replace(here, models=(tmp_path / "others",))
    for settings in (ours, theirs):
        index.refresh(settings)
        scan(index, settings)
    assert [entry.name for entry in index.entries(ours)] == ["ink.safetensors", "shared.safetensors"]
    assert [(entry.name, entry.was_read) for entry in index.entries(theirs)] == [("shared.safetensors", True)]
    assert index.by_hash(theirs, hashes(ink).sha256) == []
    assert [entry.place for entry in index.by_hash(theirs, hashes(shared).sha256)] == [shared.absolute()]
    assert [entry.place for entry in index.by_hash(ours, hashes(ink).sha256)] == [ink.absolute()]


def test_a_file_that_has_changed_counts_as_not_read_at_once(index: Index, here: Settings) -> None:
    path = lora("ink.safetensors")
    index.refresh(here)
    scan(index, here)
    before = hashes(path).sha256
    touch(path)
    assert [entry.was_read for entry in index.entries(here)] == [False]
    assert index.by_hash(here, before) == []
