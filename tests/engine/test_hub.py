"""Files fetched from a hub on this machine: verified, resumed, refused where they could do harm."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
from hub_server import FIRST, SECOND, Hub, Repo

from fromnoise.engine.hub import NoConnection, Remote, Report, Wanted, cached_offer, chosen, fetch, look_up, safe_name
from fromnoise.errors import FileError, FromnoiseError, UserError

BIG = bytes(range(256)) * 4096  # 1 MiB
LORA = Repo(
    {"ink.safetensors": BIG, "README.md": b"# Ink"},
    {"license": "creativeml-openrail-m"},
    ("lora",),
    older={"ink.safetensors": BIG[:99]},
)
DIFFUSERS = Repo(
    {
        "model_index.json": b"{}",
        "whole.safetensors": BIG,
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": BIG,
        "unet/diffusion_pytorch_model.fp16.safetensors": BIG[:9],
        "unet/diffusion_pytorch_model.non_ema.safetensors": BIG[:8],
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "vae/config.json": b"{ }",
        "vae/diffusion_pytorch_model.safetensors": BIG[:7],
        "tokenizer/merges.txt": b"a b",
        "safety_checker/model.safetensors": BIG,
        "unet/flax_model.msgpack": b"x",
    },
    {"license": "other", "license_name": "sai-nc-community"},
)  # fmt: skip
BROKEN = Repo({"a.safetensors": BIG}, break_after=300_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    repos = {
        "me/ink": LORA,
        "me/whole": DIFFUSERS,
        "me/broken": BROKEN,
        "me/liar": Repo({"a.safetensors": BIG}, lies=True),
        "me/gated": Repo({"a.safetensors": BIG}, gated=True),
        "me/pickle": Repo({"a.ckpt": b"pickle", "run.py": b"x"}),
        "me/many": Repo({"a.safetensors": b"a", "b.safetensors": b"b", "b.ckpt": b"c"}),
        "me/evil": Repo({"../../up.safetensors": BIG}),
        "me/worse": Repo({"unet/../../../up.json": b"{}", "unet/a.safetensors": b"a"}),
    }
    with hub_server.running(repos) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


def get(name: str, folder: Path, *, pickle: bool = False, report: Report = lambda done, total: None) -> list[Path]:
    wanted = Wanted.of(name)
    offer = look_up(wanted)
    return fetch(offer, chosen(offer, wanted.file, pickle=pickle), folder, report)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("me/ink", Wanted("me/ink")),
        ("me/ink/", Wanted("me/ink")),
        ("me/ink/sub/a.safetensors", Wanted("me/ink", "sub/a.safetensors")),
        ("me/ink@old", Wanted("me/ink", None, "old")),
        ("https://huggingface.co/me/ink", Wanted("me/ink")),
        ("https://hf-mirror.com/me/ink/blob/main/sub/a%20b.pt", Wanted("me/ink", "sub/a b.pt", "main")),
        ("https://huggingface.co/me/ink/resolve/v1/a.pt?download=true", Wanted("me/ink", "a.pt", "v1")),
    ],
)
def test_what_names_mean(name: str, expected: Wanted) -> None:
    assert Wanted.of(name) == expected


@pytest.mark.parametrize(
    "name", ["ink", "", "../x/y", "me/..", "me/ink@../x", "me/ink@main/../x", "me/ink/../../x", "a b/c", "/me/x"]
)
def test_what_names_nothing(name: str) -> None:
    with pytest.raises(UserError):
        Wanted.of(name)


def test_one_file(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = get("me/ink", tmp_path / "new", report=lambda done, total: seen.append((done, total)))
    assert [path.name for path in paths] == ["ink.safetensors"]
    assert paths[0].read_bytes() == BIG
    assert seen[0] == (0, len(BIG))
    assert seen[-1] == (len(BIG), len(BIG))
    assert sorted(done for done, _ in seen) == [done for done, _ in seen]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ink.safetensors"]


def test_what_is_there_is_not_fetched_again_but_what_is_damaged_is(hub: Hub, tmp_path: Path) -> None:
    (path,) = get("me/ink", tmp_path)
    get("me/ink", tmp_path)
    assert len(hub.sent("ink.safetensors")) == 1
    path.write_bytes(BIG[:-1] + b"\0")
    get("me/ink", tmp_path)
    assert path.read_bytes() == BIG
    assert len(hub.sent("ink.safetensors")) == 2


def test_revisions(hub: Hub, tmp_path: Path) -> None:
    assert look_up(Wanted.of("me/ink")).commit == FIRST
    assert look_up(Wanted.of("me/ink@old")).commit == SECOND
    (path,) = get("me/ink@old", tmp_path)
    assert path.read_bytes() == BIG[:99]
    with pytest.raises(UserError, match="no such revision"):
        look_up(Wanted.of("me/ink@nowhere"))


def test_a_cut_connection_is_taken_up_within_a_run(hub: Hub, tmp_path: Path) -> None:
    (path,) = get("me/broken", tmp_path)
    assert path.read_bytes() == BIG
    first, *later = hub.sent("a.safetensors")
    assert first is None
    assert later
    assert all(span and 0 < int(span.removeprefix("bytes=").rstrip("-")) <= 300_000 for span in later)


def test_a_broken_off_download_goes_on_in_the_next_run(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors.part").write_bytes(BIG[:500_000])
    (path,) = get("me/ink", tmp_path)
    assert path.read_bytes() == BIG
    assert hub.sent("ink.safetensors") == ["bytes=500000-"]
    path.rename(tmp_path / "ink.safetensors.part")  # whole but for its name
    get("me/ink", tmp_path)
    assert len(hub.sent("ink.safetensors")) == 1


def test_a_stop_keeps_what_has_arrived(hub: Hub, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get("me/ink", tmp_path, report=stop)
    assert [path.name for path in tmp_path.glob("ink*")] == ["ink.safetensors.part"]
    (path,) = get("me/ink", tmp_path)
    assert path.read_bytes() == BIG


@pytest.mark.parametrize("beginning", [b"", b"other bytes"])
def test_what_arrives_damaged_is_thrown_away(hub: Hub, tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / "a.safetensors.part").write_bytes(beginning)
    with pytest.raises(FileError, match="arrived damaged"):
        get("me/liar", tmp_path)
    assert not list(tmp_path.glob("a*"))


def test_a_whole_model_is_its_parts_in_one_form(hub: Hub, tmp_path: Path) -> None:
    paths = get("me/whole", tmp_path)
    names = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
    assert names == {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": BIG[:9],
        "vae/config.json": b"{ }",
        "vae/diffusion_pytorch_model.safetensors": BIG[:7],
        "tokenizer/merges.txt": b"a b",
    }
    (single,) = get("me/whole/whole.safetensors", tmp_path)
    assert single.read_bytes() == BIG
    part = {path.name for path in get("me/whole/vae", tmp_path)}
    assert part == {"config.json", "diffusion_pytorch_model.safetensors"}


def test_licences_are_told(hub: Hub) -> None:
    assert look_up(Wanted.of("me/ink")).licences == ("creativeml-openrail-m",)
    assert look_up(Wanted.of("me/whole")).licences == ("sai-nc-community",)


def test_pickles_only_where_asked_for(hub: Hub, tmp_path: Path) -> None:
    for name in ("me/pickle", "me/pickle/a.ckpt"):
        with pytest.raises(UserError, match="can carry code: --pickle"):
            get(name, tmp_path)
    with pytest.raises(UserError, match="no model file"):
        get("me/pickle/run.py", tmp_path, pickle=True)
    (path,) = get("me/pickle", tmp_path, pickle=True)
    assert path.read_bytes() == b"pickle"


def test_it_is_asked_which_file(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"say which file is meant; it has a\.safetensors, b\.safetensors$"):
        get("me/many", tmp_path)
    with pytest.raises(UserError, match=r"has no file 'c'; it has a\.safetensors, b\.safetensors, b\.ckpt$"):
        get("me/many/c", tmp_path)


def test_what_is_not_given_out(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="accept them on its page"):
        look_up(Wanted.of("me/gated"))
    with pytest.raises(UserError, match="no repository me/nothing"):
        look_up(Wanted.of("me/nothing"))
    monkeypatch.setenv("HF_TOKEN", "mine")
    assert look_up(Wanted.of("me/gated")).commit == FIRST


@pytest.mark.parametrize("name", ["me/evil", "me/worse/unet"])
def test_names_that_lead_elsewhere_are_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="not safe to write"):
        get(name, tmp_path / "deep" / "er")
    assert not list(tmp_path.rglob("up.*"))


UNSAFE = (
    "../a",
    "a/../b",
    "/a",
    "a//b",
    "a\\b",
    "C:a",
    "a\0",
    "a\n",
    "con.txt",
    "sub/NUL",
    "a.",
    "a ",
    " a",
    "..",
    ".",
)


@pytest.mark.parametrize("name", [*UNSAFE, "", "x" * 300])
def test_unsafe_names(name: str) -> None:
    with pytest.raises(UserError):
        safe_name(name)


@pytest.mark.parametrize("name", ["a.safetensors", "sub/模型 v1.5.pt", ".hidden/a", "a..b"])
def test_safe_names(name: str) -> None:
    assert safe_name(name).as_posix() == name


def test_without_a_connection_the_cache_of_the_hub_serves(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download("me/ink", "ink.safetensors", endpoint=hub.address)
    asked = len(hub.asked)
    offer = cached_offer(Wanted.of("me/ink"))
    assert (offer.commit, [remote.name for remote in offer.files]) == (FIRST, ["ink.safetensors"])
    (path,) = fetch(offer, chosen(offer, None), tmp_path / "new", lambda done, total: None)
    assert path.read_bytes() == BIG
    assert len(hub.asked) == asked
    blob = next((tmp_path / "hub cache").rglob(f"blobs/{hashlib.sha256(BIG).hexdigest()}"))
    blob.write_bytes(BIG[::-1])
    with pytest.raises(FileError, match="damaged"):
        fetch(offer, chosen(offer, None), tmp_path / "newer", lambda done, total: None)
    with pytest.raises(UserError, match="not on this machine"):
        cached_offer(Wanted.of("me/whole"))
    with pytest.raises(UserError, match="not on this machine"):
        cached_offer(Wanted.of("me/ink@old"))


def test_no_connection_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NoConnection, match="the hub can't be reached"):
        look_up(Wanted.of("me/ink"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NoConnection, match="HF_HUB_OFFLINE is set"):
        look_up(Wanted.of("me/ink"))


def test_a_disk_without_room_is_told_before(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: full)
    with pytest.raises(FileError, match="make room first"):
        get("me/ink", tmp_path)
    assert not hub.sent("ink.safetensors")


def test_a_folder_that_cannot_be_written_is_told(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FromnoiseError, match="can't be written"):
        get("me/ink", tmp_path / "file" / "deeper")


def test_files_of_a_repository() -> None:
    assert Remote("a.CKPT", 1, None, None).is_pickle
    assert not Remote("a.safetensors", 1, None, None).is_pickle
