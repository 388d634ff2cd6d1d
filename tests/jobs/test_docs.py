"""What docs/jobs.md says is so."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.job import STATES, Limits
from fromnoise.jobs.naming import DEFAULT, Named, words
from fromnoise.jobs.picture import Search
from fromnoise.jobs.station import Station


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "jobs.md").read_text("utf-8")


def test_the_example_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/jobs.md", "exec"), {})


def test_the_gallery_is_explained(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs" / "gallery.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/gallery.md", "exec"), {})
    for name in Search.__dataclass_fields__:
        assert re.search(rf"^\| .*`{name}`.* \|", page, re.MULTILINE), name


def test_every_state_is_explained(page: str) -> None:
    states = page.partition("## States")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]*\|$", states, re.MULTILINE) == list(STATES)


def test_numbers_and_words(page: str) -> None:
    station, limits = Station(""), Limits()
    assert f"{limits.total} jobs may wait, {limits.per_owner} of one owner" in page
    assert f"not heard of for {station.lease:g} s" in page
    assert f"is kept every {station.keep_every:g} s" in page
    assert limits.deaths == station.deaths == 3
    assert f"the default is `{DEFAULT}`" in page
    unsaid = {"prompt_no_styles", "styles"}  # which stand for nothing of ours
    for word in words(Named(Recipe(), datetime.now())).keys() - unsaid:
        assert f"`[{word}" in page, word
