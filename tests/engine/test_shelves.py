"""Files found by name on the shelves of every layout of folders."""

import os
from pathlib import Path

import pytest

from fromnoise.engine.recipe import BUILTIN
from fromnoise.engine.shelves import BESIDE, FOLDERS, KINDS, NOUNS, Kind, builtin, find, home, items, kind_named, listed
from fromnoise.errors import FileError, UnknownName
from fromnoise.settings import Settings


def put(*paths: Path) -> Path:
    """Make empty files; the first of them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths[0]


def said(kind: Kind, name: str, settings: Settings) -> str:
    with pytest.raises(FileError) as caught:
        find(kind, name, settings)
    return str(caught.value)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder's folder of models, not made yet."""
    monkeypatch.chdir(tmp_path)
    return Path("models")


def test_every_kind_has_folders_and_a_noun() -> None:
    assert set(FOLDERS) == set(NOUNS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_where_new_files_of_it_go(models: Path, kind: Kind) -> None:
    suffix = {"wildcards": ".txt", "styles": ".csv"}.get(kind, ".safetensors")
    path = put(home(kind, Settings()) / f"mine{suffix}")
    assert find(kind, "mine", Settings()) == path
    assert listed(kind, Settings()) == [path]


@pytest.mark.parametrize(
    "name",
    [
        "style/ink.v1.safetensors",
        "style/ink.v1",
        "style\\ink.v1",
        "ink.v1",
        "ink.v1.safetensors",
        "INK.v1",
        "Style/Ink.V1",
    ],
)
def test_a_name_may_be_short(models: Path, name: str) -> None:
    path = put(models / "loras" / "style" / "ink.v1.safetensors", models / "loras" / "drink.v1.pt")
    assert find("loras", name, Settings()) == path


def test_a_path_is_taken_as_it_is_where_that_is_allowed(models: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "elsewhere" / "a.safetensors")
    inside = put(models / "loras" / "b.safetensors")
    assert find("loras", str(path), Settings()) == path
    strict = Settings(any_path=False)
    assert find("loras", "b", strict) == inside
    for name in (str(path), "elsewhere/a.safetensors", "../../elsewhere/a", "../loras/b", str(inside), "", ".", "\0"):
        assert "no LoRA" in said("loras", name, strict)


def test_one_name_on_several_shelves_is_the_first_and_the_safe_one(models: Path) -> None:
    first = put(Path("disk/loras/sub/a.safetensors"), Path("disk/loras/sub/a.pt"), models / "loras/sub/a.safetensors")
    settings = Settings((Path("disk"), models))
    assert find("loras", "sub/a", settings) == find("loras", "a", settings) == first
    assert find("loras", "sub/a.pt", settings) == Path("disk/loras/sub/a.pt")


def test_an_ambiguous_name_is_reported(models: Path) -> None:
    put(models / "loras/x/a.safetensors", models / "loras/y/a.pt", models / "loras/B.pt", models / "loras/b/B.pt")
    assert said("loras", "a", Settings()) == "LoRA 'a' could be 'x/a.safetensors', 'y/a.pt': say which"
    assert find("loras", "y/a", Settings()) == models / "loras/y/a.pt"
    assert find("loras", "B", Settings()) == models / "loras/B.pt", "a whole path comes before the end of one"


def test_what_is_not_there_is_told_with_near_names_and_folders(models: Path) -> None:
    assert said("loras", "ink", Settings()) == "no LoRA 'ink': put its file into models/loras or give its path"
    assert "one of builtin. Looked in models/checkpoints" in said("checkpoints", "zzz", Settings())
    assert "did you mean 'builtin'?" in said("checkpoints", "build-in", Settings())
    put(*(models / f"loras/style/number {i}.pt" for i in range(20)), models / "loras/style/inky.pt")
    assert "; did you mean 'style/inky'? Looked in models/loras" in said("loras", "inkey", Settings())
    assert "style/number 18 and 9 more. Looked in models/loras" in said("loras", "zzz", Settings())


def test_kinds_have_many_names() -> None:
    for name, kind in {"loras": "loras", "LoRA": "loras", "LyCORIS": "loras", "checkpoint": "checkpoints"}.items():
        assert kind_named(name) == kind
    for name, kind in {"model": "checkpoints", "unet": "diffusion_models", "ESRGAN": "upscale_models"}.items():
        assert kind_named(name) == kind
    assert (kind_named("controlnet"), kind_named("t2i_adapter")) == ("controlnet", "t2i_adapter")
    with pytest.raises(UnknownName, match="did you mean 'loras'"):
        kind_named("lorras")


def test_the_builtin_model_is_a_checkpoint() -> None:
    assert find("checkpoints", BUILTIN, Settings()) == builtin()
    assert "no LoRA" in said("loras", BUILTIN, Settings())


A1111: dict[Kind, str] = {
    "checkpoints": "models/Stable-diffusion/m.ckpt",
    "loras": "models/Lora/m.safetensors",
    "vae": "models/VAE/m.pt",
    "embeddings": "embeddings/m.pt",
    "hypernetworks": "models/hypernetworks/m.pt",
    "upscale_models": "models/ESRGAN/m.pth",
    "controlnet": "extensions/sd-webui-controlnet/models/m.pth",
    "preprocessors": "extensions/sd-webui-controlnet/annotator/downloads/hed/m.pth",
    "face_restore": "models/GFPGAN/m.pth",
    "taesd": "models/VAE-taesd/m.pth",
    "captioners": "models/BLIP/m.pth",
    "wildcards": "extensions/sd-dynamic-prompts/wildcards/m.txt",
    "styles": "m.csv",
}
COMFYUI: dict[Kind, str] = {
    "checkpoints": "models/checkpoints/m.safetensors",
    "diffusion_models": "models/unet/m.safetensors",
    "text_encoders": "models/clip/m.safetensors",
    "t2i_adapter": "models/controlnet/m.safetensors",
    "clip_vision": "models/clip_vision/m.safetensors",
    "taesd": "models/vae_approx/m.pth",
    "upscale_models": "models/upscale_models/m.pth",
}


@pytest.mark.parametrize("layout", [A1111, COMFYUI])
@pytest.mark.parametrize("below", ["", "models"])
def test_other_tools_trees_are_read(tmp_path: Path, layout: dict[Kind, str], below: str) -> None:
    for path in layout.values():
        put(tmp_path / "tool" / path)
    settings = Settings((tmp_path / "tool" / below,))
    for kind, path in layout.items():
        assert find(kind, "m", settings) == tmp_path / "tool" / path, kind


def test_a_shelf_and_a_plain_folder_are_trees_too(tmp_path: Path) -> None:
    lora = put(tmp_path / "loras" / "a.pt")
    assert listed("loras", Settings((tmp_path / "loras",))) == [lora]
    assert listed("checkpoints", Settings((tmp_path / "loras",))) == []
    deep, loose = put(tmp_path / "disk" / "sd15" / "b.ckpt"), put(tmp_path / "disk" / "c.ckpt")
    assert listed("checkpoints", Settings((tmp_path / "disk",))) == [loose, deep]
    put(tmp_path / "disk" / "vae" / "d.pt")
    assert listed("checkpoints", Settings((tmp_path / "disk",))) == [loose]


EXTRA = """
a111:
    base_path: tool/
    loras: |
        models/Lora
        models/LyCORIS
    vae_approx: approx
    configs: models/Stable-diffusion
comfyui:
    is_default: true
    base_path: $DISK
    loras: all
"""


def test_extra_model_paths_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISK", str(tmp_path / "disk"))
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(EXTRA)
    first = put(tmp_path / "disk/all/a.pt")
    lora = put(tmp_path / "tool/models/Lora/a.pt")
    lycoris = put(tmp_path / "tool/models/LyCORIS/b.pt")
    put(tmp_path / "tool/approx/t.pt")
    for tree in (file, tmp_path):  # named, and lying in an installation
        assert listed("loras", Settings((tree,))) == [first, lora, lycoris]
        assert find("loras", "a", Settings((tree,))) == first
        assert find("taesd", "t", Settings((tree,))) == tmp_path / "tool/approx/t.pt"
        assert [item.name for item in items("loras", Settings((tree,)))] == ["a.pt", "a.pt", "b.pt"]


UNFOLDING = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 41))
MERGING = "a0: &a0 {x: y}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 41))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "is not YAML"),
        ("- a", "not a table"),
        ("a: b", "section 'a'"),
        ("!!python/object:os.system x", "not YAML"),
        ("!!python/object/apply:os.mkdir [canary]", "not YAML"),
        ("a: 2001-99-99", "not YAML"),
        ("a: {base_path: [x]}", "base_path of section 'a' is not the name of a folder"),
        (UNFOLDING + "z: {base_path: *a40}", "its aliases unfold to too much"),
        (MERGING + "z: *a40", "its aliases unfold to too much"),
        ("a: &a {b: *a}", "its aliases unfold to too much"),
    ],
)
def test_a_bad_list_of_folders_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "paths.yaml"
    file.write_text(text)
    assert fault in said("loras", "a", Settings((file,)))
    assert "cannot be read" in said("loras", "a", Settings((tmp_path / "gone.yaml",)))
    assert not Path("canary").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_no_list_of_folders(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "paths.yaml")
    assert "not a regular file" in said("loras", "a", Settings((tmp_path / "paths.yaml",)))


def test_anchors_of_ordinary_lists_work(tmp_path: Path) -> None:
    lora = put(tmp_path / "all/a.pt")
    (tmp_path / "paths.yaml").write_text("x: &x {loras: all}\ny:\n  <<: *x\n")
    assert listed("loras", Settings((tmp_path / "paths.yaml",))) == [lora]


def test_a_folder_of_one_model_is_one_thing(models: Path) -> None:
    put(models / "checkpoints/mine/model_index.json", models / "checkpoints/mine/unet/model.safetensors")
    put(
        models / "checkpoints/some/.hidden.pt", models / "checkpoints/some/note.txt", models / "checkpoints/.cache/x.pt"
    )
    put(models / "checkpoints/config.json")
    assert listed("checkpoints", Settings()) == [models / "checkpoints/mine"]
    assert find("checkpoints", "mine", Settings()) == models / "checkpoints/mine"


def test_links_are_followed_but_not_in_circles(models: Path, tmp_path: Path) -> None:
    put(tmp_path / "far/a.pt")
    (models / "loras").mkdir(parents=True)
    try:
        (models / "loras/far").symlink_to(tmp_path / "far")
        (tmp_path / "far/back").symlink_to(models.resolve() / "loras")
        (models / "loras/same.pt").symlink_to(tmp_path / "far/a.pt")
    except OSError:
        pytest.skip("this system makes no links")
    assert listed("loras", Settings()) == [models / "loras/far/a.pt"]
    assert find("loras", "a", Settings()) == models / "loras/far/a.pt"


def test_the_page_names_every_folder(root: Path) -> None:
    page = (root / "docs" / "library.md").read_text("utf-8")
    shelves = page.split("## Shelves")[1].split("\n## ")[0]
    rows = {line.split("`")[1]: line for line in shelves.splitlines() if line.startswith("| `")}
    assert set(rows) == set(KINDS)
    for kind in KINDS:
        assert f"| `{kind}` | `{FOLDERS[kind][0]}` |" in rows[kind]
        for name in (*FOLDERS[kind][1:], *(name for name in BESIDE.get(kind, ()) if name not in (".", "styles"))):
            assert f"`{name}`" in rows[kind]
