"""`fromnoise models`: what is on the shelves, fetched from a hub on this machine, and taken off again."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import hub_server
import pytest
import tiny
import torch
from hub_server import Hub, Repo
from safetensors.torch import save, save_file

from fromnoise.checkpoints.hashes import file_hash

from .conftest import Ran, Run

LORA = {
    "lora_unet_mid_block.lora_up.weight": torch.ones(2, 2),
    "lora_unet_mid_block.lora_down.weight": torch.ones(2, 2),
}
METADATA = {"modelspec.title": "Ink by me", "ss_base_model_version": "sd_v1"}


@pytest.fixture
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, with a database of its own."""
    monkeypatch.setenv("FROMNOISE_DATA", str(folder / "data"))
    monkeypatch.setenv("FROMNOISE_CACHE", str(folder / "cache"))
    return Path("models")


def lora(path: Path, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(LORA, path, metadata or None)
    return path


@pytest.fixture
def ink(models: Path) -> Path:
    return lora(models / "loras" / "style" / "ink.safetensors", **METADATA)


def rows(ran: Ran) -> list[list[str]]:
    assert ran.status == 0, ran.err
    return [line.split("\t") for line in ran.out.splitlines()]


def test_listing_and_scanning(run: Run, ink: Path) -> None:
    lora(ink.parents[1] / "pen.safetensors")
    listed = run("models", "list")
    assert [row[:2] for row in rows(listed)] == [["loras", "pen.safetensors"], ["loras", "style/ink.safetensors"]]
    assert "2 files have not been read yet: fromnoise models scan" in listed.err
    assert run("models", "scan").status == 0
    listed = run("models", "list", "lora", "--search", "by ink")
    assert rows(listed) == [
        ["loras", "style/ink.safetensors", "LoRA", "0.0 MB", file_hash(ink)[:10], str(ink.absolute())]
    ]
    assert listed.err == ""
    assert rows(run("models", "list", "vae")) == []


def test_listing_for_programs(run: Run, ink: Path) -> None:
    run("models", "scan")
    (entry,) = json.loads(run("models", "list", "--json").out)
    assert (entry["kind"], entry["name"], entry["sha256"]) == ("loras", "style/ink.safetensors", file_hash(ink))
    assert entry["facts"]["title"] == "Ink by me"


def test_listing_needs_no_database(run: Run, ink: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FROMNOISE_DATA", "HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert [row[:2] for row in rows(run("models", "list"))] == [["loras", "style/ink.safetensors"]]
    assert run("models", "scan").last == "fromnoise: there is no place for a database: set FROMNOISE_DATA"


def test_a_bad_file_is_listed_with_its_fault(run: Run, models: Path) -> None:
    bad = models / "vae" / "bad.safetensors"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"nothing")
    assert "bad.safetensors is neither a safetensors file" in run("models", "scan").err
    assert run("models", "scan").err == "", "it is told once"
    assert rows(run("models", "list"))[0][2] == "can't be read"


def test_info(run: Run, ink: Path) -> None:
    ink.with_suffix(".json").write_text('{"activation text": "ink drawing", "preferred weight": 0.7}')
    ink.with_suffix(".preview.png").touch()
    told = run("models", "info", "ink").out
    for label, value in {
        "kind": "LoRA",
        "SHA-256": file_hash(ink),
        "title": "Ink by me",
        "trigger words": "ink drawing",
        "weight": "0.7",
        "made for": "sd_v1",
        "preview": "ink.preview.png",
    }.items():
        assert re.search(rf"^{label} .*{re.escape(value)}$", told, re.MULTILINE), label
    table = json.loads(run("models", "info", "style/ink", "--kind", "LoRA", "--json").out)
    assert table["beside"]["trigger_words"] == ["ink drawing"]
    assert table["sha256"] == file_hash(ink)
    assert rows(run("models", "list"))[0][2] == "LoRA", "what was read for it is kept"


def test_info_tells_the_licence_of_a_family(run: Run, models: Path) -> None:
    (models / "checkpoints").mkdir(parents=True)
    tiny.checkpoint(models / "checkpoints" / "mine.safetensors", "sdxl")
    assert "licence" in run("models", "info", "mine").out
    assert "CreativeML Open RAIL++-M: commercial use is allowed" in run("models", "info", "mine").out
    assert "builtin" in run("models", "info", "builtin").out


def test_what_is_not_there(run: Run, ink: Path) -> None:
    assert run("models", "info", "nothing").last.startswith("fromnoise: no model file 'nothing' of any kind")
    assert "did you mean 'style/ink'" in run("models", "info", "inkk").last
    assert "unknown kind 'lorry'; did you mean 'loras'" in run("models", "list", "lorry").last
    lora(Path("models/vae/ink.safetensors"))
    assert run("models", "info", "ink").last.endswith("could be of the kinds vae, loras: say which with --kind")


def test_removing(run: Run, ink: Path) -> None:
    note = ink.with_suffix(".json")
    note.write_text("{}")
    refused = run("models", "remove", "ink")
    assert refused.last == "fromnoise: this removes files: confirm it with --yes"
    assert ink.exists()
    ran = run("models", "remove", "ink", "--yes")
    assert ran.status == 0, ran.err
    assert not ink.exists()
    assert sorted(path.name for path in ran.paths[0].iterdir()) == ["ink.json", "ink.safetensors"]
    assert rows(run("models", "list")) == []
    (ran.paths[0] / "ink.safetensors").rename(ink)
    assert len(rows(run("models", "list"))) == 1


def test_removing_for_good_and_what_is_shared(run: Run, ink: Path) -> None:
    other, note = ink.with_suffix(".pt"), ink.with_suffix(".json")
    other.touch()
    note.write_text("{}")
    assert run("models", "remove", "ink.safetensors", "--for-good", "--yes").status == 0
    assert sorted(path.name for path in ink.parent.iterdir()) == ["ink.json", "ink.pt"]
    assert run("models", "remove", "ink", "--for-good", "--yes").status == 0
    assert list(ink.parent.iterdir()) == []
    assert run("models", "remove", "builtin", "--yes").status == 2


@pytest.fixture
def hub(models: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub cache"))
    repos = {
        "me/ink": Repo(
            {"sub/ink.safetensors": save(LORA), "sub/other.txt": b"x"}, {"license": "creativeml-openrail-m"}
        ),
        "me/whole": Repo(
            {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/model.safetensors": save(LORA)},
            {"license": "other", "license_name": "sai-nc-community"},
        ),
        "me/odd": Repo({"odd.safetensors": save({"what": torch.ones(1)})}),
        "me/old": Repo({"old.pt": b"no pickle"}),
    }
    with hub_server.running(repos) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


def test_getting_a_file(run: Run, hub: Hub, models: Path) -> None:
    ran = run("models", "get", "me/ink")
    path = models / "loras" / "ink.safetensors"
    assert ran.paths == [path]
    assert path.read_bytes() == save(LORA)
    assert "licence: CreativeML OpenRAIL-M: commercial use is allowed" in ran.err
    assert ran.err.index("licence") < ran.err.index("of 0.0 MB")
    assert not (models / ".downloads").exists()
    assert "me/ink/sub/ink.safetensors @ aaaaaaaaaa" in run("models", "info", "ink").out
    again = run("models", "get", "me/ink")
    assert again.err.endswith("there already\n")
    assert len(hub.sent("ink.safetensors")) == 1


def test_getting_under_another_name_and_kind(run: Run, hub: Hub, models: Path) -> None:
    ran = run("models", "get", "me/ink", "sub/ink.safetensors", "--as", "drawing", "--kind", "embedding", "--quiet")
    assert ran.paths == [models / "embeddings" / "drawing.safetensors"]
    assert ran.err == ""
    assert run("models", "get", "me/ink", "--as", "../../up").status == 2
    run("models", "scan")
    Path("models/loras").mkdir()
    Path("models/loras/odd.safetensors").write_bytes(b"mine")
    assert "which kind of model it is can't be told: say so with --kind" in run("models", "get", "me/odd").last
    assert "is there already: choose another name with --as" in run("models", "get", "me/odd", "--kind", "loras").last
    assert Path("models/loras/odd.safetensors").read_bytes() == b"mine"


def test_getting_a_whole_model(run: Run, hub: Hub, models: Path) -> None:
    ran = run("models", "get", "me/whole")
    assert ran.paths == [models / "checkpoints" / "whole"]
    assert (models / "checkpoints" / "whole" / "unet" / "model.safetensors").read_bytes() == save(LORA)
    assert "Stability AI Non-Commercial Research Community License: no commercial use" in ran.err
    assert rows(run("models", "list"))[0][:2] == ["checkpoints", "whole"]


def test_getting_without_a_connection(run: Run, hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import hf_hub_download

    run("models", "get", "me/ink", "--quiet")
    hf_hub_download("me/odd", "odd.safetensors", endpoint=hub.address)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run("models", "get", "me/ink").paths == [(models / "loras" / "ink.safetensors").absolute()]
    cached = run("models", "get", "me/odd", "--kind", "upscaler")
    assert cached.paths == [models / "upscale_models" / "odd.safetensors"]
    assert "can't be reached" in cached.err
    assert "try again with a connection" in run("models", "get", "me/whole").last


def test_getting_a_pickle(run: Run, hub: Hub, models: Path) -> None:
    assert "can carry code: --pickle fetches" in run("models", "get", "me/old").last
    ran = run("models", "get", "me/old", "--pickle", "--kind", "embeddings")
    assert ran.paths == [models / "embeddings" / "old.pt"]
    assert "we never run it" in ran.err


def test_a_download_is_confirmed_on_a_terminal(
    run: Run, hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda: "n")
    assert run("models", "get", "me/ink").last.endswith("nothing was fetched")
    assert not hub.sent("ink.safetensors")
    monkeypatch.setattr("builtins.input", lambda: "")
    assert run("models", "get", "me/ink").status == 0


def test_it_speaks_chinese(run: Run, hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    assert "许可证：CreativeML OpenRAIL-M: 可商用" in run("models", "get", "me/ink").err
    assert run("models", "get", "me/nothing").last.startswith("fromnoise: 模型站上没有仓库 me/nothing")
    assert "触发词" not in run("models", "info", "ink").out
    assert "内容" in run("models", "info", "ink").out


def test_help_of_the_group(start: Callable[..., Ran]) -> None:
    shown = start("models", "--help").out
    assert all(f" {name} " in shown for name in ("list", "info", "get", "remove", "scan"))
