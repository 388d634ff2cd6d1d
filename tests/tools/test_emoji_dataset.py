"""Tests of tools/emoji_dataset.py that need no network and no npm."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("resvg_py")
np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")

TOOL = Path(__file__).parents[2] / "tools" / "emoji_dataset.py"


def load_tool() -> ModuleType:
    """The tool as a module, under the name by which worker processes find its functions."""
    spec = importlib.util.spec_from_file_location("emoji_dataset", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["emoji_dataset"] = module
    spec.loader.exec_module(module)
    return module


ed = load_tool()
GOLDEN = ["twemoji", None, "noto", None]  # changes only if the split of published data sets is meant to change
KNOWN = {"1F46E", "1F46E-200D-2640", "1F9D1-200D-1F692", "1F468-200D-1F692", "1F468", "1F9D1", "1F483"}


@pytest.mark.parametrize(
    ("hexcode", "group", "subgroup", "wanted"),
    [
        ("1F34E", "food-drink", "food-fruit", True),
        ("1F1E9-1F1EA", "flags", "country-flag", False),
        ("1F3FB", "component", "skin-tone", False),
        ("0031-20E3", "symbols", "keycap", False),
        ("1F550", "travel-places", "time", False),
        ("1F567", "travel-places", "time", False),
        ("23F0", "travel-places", "time", True),
        ("2648", "symbols", "zodiac", False),
        ("26A0", "symbols", "warning", True),
        ("2764", "smileys-emotion", "heart", True),
        ("1F44B-1F3FD", "people-body", "hand-fingers-open", False),
        ("1F9D1-200D-1F9B0", "people-body", "person", False),
        ("1F46E", "people-body", "person-role", True),
        ("1F46E-200D-2640", "people-body", "person-role", False),
        ("1F9D1-200D-1F692", "people-body", "person-role", True),
        ("1F468-200D-1F692", "people-body", "person-role", False),
        ("1F468", "people-body", "person", False),
        ("1F483", "people-body", "person-activity", True),
        ("1F9D1-200D-1F9D1-200D-1F9D2", "people-body", "person-symbol", False),
        ("1F6B6-200D-27A1", "people-body", "person-activity", False),
        ("1F43B-200D-2744", "animals-nature", "animal-mammal", True),
    ],
)
def test_is_wanted(hexcode: str, group: str, subgroup: str, wanted: bool) -> None:
    assert ed.is_wanted(hexcode, group, subgroup, KNOWN) is wanted


def test_normal_hexcode() -> None:
    assert ed.normal_hexcode("2764-fe0f-200d-1f525") == "2764-200D-1F525"
    assert ed.normal_hexcode("ae-fe0f") == "00AE"


@pytest.mark.parametrize("shape", [(200, 50), (50, 200), (90, 90), (256, 256)])
def test_frame_centres_and_fills(shape: tuple[int, int]) -> None:
    picture = Image.new("RGBA", (256, 256))
    picture.paste((250, 40, 30, 255), (0, 0, *shape))
    pixels = ed.frame(picture, 128)
    assert pixels.shape == (128, 128, 4)
    assert pixels.dtype == np.uint8
    rows, columns = np.nonzero(pixels[..., 3] > 127)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(128 * ed.FILL, abs=2)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(63.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(63.5, abs=1)


def test_frame_has_no_dark_fringe_and_clean_transparency() -> None:
    picture = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (60, 60, 181, 190))
    pixels = ed.frame(picture, 64)
    assert pixels[pixels[..., 3] > 8][:, :3].min() >= 240
    assert not pixels[pixels[..., 3] == 0].any()


def test_frame_refuses_an_empty_picture() -> None:
    with pytest.raises(ed.DatasetError, match="empty"):
        ed.frame(Image.new("RGBA", (32, 32)), 16)


def test_render_svg_and_webp_alike() -> None:
    svg = f'<svg {ed.XML_NAMES} viewBox="0 0 8 8" width="8" height="8"><path fill="#f00" d="M1 1h4v4H1z"/></svg>'
    stream = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 255)).save(stream, "WEBP", lossless=True)
    from_svg, from_webp = ed.render(("svg", svg, 32)), ed.render(("webp", stream.getvalue(), 32))
    assert np.abs(from_svg.astype(int) - from_webp.astype(int))[4:28, 4:28].max() <= 4
    with pytest.raises(ed.DatasetError, match="cannot draw nothing"):
        ed.render(("nothing", "<svg", 32))


def test_held_out_is_determined_by_the_hexcode() -> None:
    codes = [f"{code:X}" for code in range(0x1F300, 0x1F300 + 4000)]
    styles = [ed.held_out_style(code) for code in codes]
    assert styles == [ed.held_out_style(code) for code in codes]
    pairs = sum(style is not None for style in styles) / (len(codes) * len(ed.STYLES))
    assert pairs == pytest.approx(ed.HELD_OUT_SHARE, abs=0.006)
    assert set(styles) == {None, *ed.STYLES}
    assert [ed.held_out_style(code) for code in ("1F34E", "1F436", "1F680", "2764")] == GOLDEN


def test_default_list() -> None:
    lines = ed.DEFAULT_OBJECTS.read_text(encoding="utf-8").splitlines()
    listed = ed.read_list(ed.DEFAULT_OBJECTS)
    assert 280 <= len(lines) == len(listed) <= 320
    assert next(iter(listed.items())) == ("1F34E", {"en": "red apple", "zh": "红苹果"})
    for language in ("en", "zh"):
        assert len({label[language] for label in listed.values()}) == len(listed)
    assert all(label["en"].isascii() and not label["zh"].isascii() for label in listed.values())


@pytest.mark.parametrize("text", ["", "1F34E\tred apple\n", "apple\ta\tb\n", "1F34E\ta\tb\n1f34e\ta\tb\n"])
def test_bad_list(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    assert ed.main(["--out", str(tmp_path / "out"), "--objects", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def write_package(archive: Path, files: dict[str, bytes]) -> None:
    """A package archive as npm makes it."""
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder whose package cache holds three small objects, so that npm is not run."""
    (tmp_path / "packages").mkdir()
    codes = {"1f34e": "red", "1f34f": "green", "1f350": "pear"}
    body = '<path fill="#c00" d="M2 2h9v5H2z"/>'
    icons = {"width": 16, "height": 16, "icons": {slug: {"body": body} for slug in codes.values()}}
    stream = io.BytesIO()
    Image.new("RGBA", (20, 10), (9, 200, 9, 255)).save(stream, "WEBP")
    entries = [
        {"hexcode": code.upper(), "label": slug, "tags": [slug], "group": 4, "subgroup": 42, "order": i}
        for i, (code, slug) in enumerate(codes.items())
    ]
    labels = {"meta/groups.json": {"groups": {"4": "food-drink"}, "subgroups": {"42": "food-fruit"}}}
    files: dict[str, dict[str, Any]] = {
        ed.LABEL_PACKAGE: {**labels, "en/data.json": entries, "zh/data.json": entries},
        **{name: {"icons.json": icons, "chars.json": codes} for name in ed.ICONIFY_PACKAGES.values()},
    }
    for name, version, *_ in ed.SOURCES:
        packed = {path: json.dumps(content).encode() for path, content in files.get(name, {}).items()}
        if name == ed.WEBP_PACKAGE:
            packed = {f"assets/{code}.webp": stream.getvalue() for code in codes}
        write_package(tmp_path / "packages" / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz", packed)
    return tmp_path


def held_out(out: Path) -> set[tuple[str, str]]:
    """The (hexcode, style) pairs held out by the index in `out`."""
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    return {(index["objects"][p["object"]]["hexcode"], p["style"]) for p in index["pictures"] if p["held_out"]}


def test_build_orders_and_labels_the_chosen_first(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = out / "list.txt"
    chosen.write_text("1F350\tripe pear\t梨\n", encoding="utf-8")
    sheet = out / "sheet.png"
    assert ed.main(["--out", str(out), "--size", "32", "--objects", str(chosen), "--sheet", str(sheet)]) == 0
    assert "3 objects, 15 pictures" in capsys.readouterr().out
    images = np.load(out / "images.npy", mmap_mode="r")
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert images.shape == (15, 32, 32, 4) == (len(index["pictures"]), index["size"], index["size"], 4)
    assert images.dtype == np.uint8
    assert [o["chosen"] for o in index["objects"]] == [True, False, False]
    assert index["objects"][0]["label"] == {"en": "ripe pear", "zh": "梨"}
    assert [p["style"] for p in index["pictures"]] == index["styles"] * 3
    assert Image.open(sheet).mode == "RGB"
    with_list = held_out(out)
    assert ed.main(["--out", str(out), "--size", "32", "--all"]) == 0
    assert held_out(out) == with_list
    assert sorted(p.name for p in out.iterdir()) == ["images.npy", "index.json", "list.txt", "packages", "sheet.png"]


def test_unknown_hexcode_and_broken_package(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = out / "list.txt"
    chosen.write_text("1F999\tllama\t羊驼\n", encoding="utf-8")
    assert ed.main(["--out", str(out), "--objects", str(chosen)]) == 2
    assert "1F999" in capsys.readouterr().err
    archive = next((out / "packages").glob("emojibase*"))
    write_package(archive, {"meta/groups.json": b"[]", "en/data.json": b"{}", "zh/data.json": b"{}"})
    assert ed.main(["--out", str(out), "--all"]) == 2
    archive.write_bytes(b"no archive")
    assert ed.main(["--out", str(out), "--all"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_no_npm_and_unwritable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ed.main(["--out", str(tmp_path / "new"), "--all"]) == 2
    assert "npm" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert ed.main(["--out", str(tmp_path / "file"), "--all"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
