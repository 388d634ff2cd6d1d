"""Completion of prompts by lists of tags, over HTTP."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fromnoise.cli.messages import in_chinese
from fromnoise.server.native import tags
from fromnoise.settings import Settings
from fromnoise.text.tag_lists import TagFile, read

from .conftest import Served

BOORU = 'long_hair,0,4350743,"/lh,longhair"\nhatsune_miku_(vocaloid),4,106634,\nhair_ribbon,0,604174,\n'


@pytest.fixture
def places(served: Served, tmp_path: Path) -> dict[str, Path]:
    """Folders of tags: the data's, the models', and that of an extension."""
    tree = tmp_path / "webui" / "models"
    found = {
        "data": tmp_path / "data" / "tags",
        "models": tree / "tags",
        "extension": tmp_path / "webui" / "extensions" / "a1111-sd-webui-tagcomplete" / "tags",
    }
    for folder in found.values():
        folder.mkdir(parents=True)
    settings = replace(Settings(), models=(tree,), data=tmp_path / "data", any_path=False)
    object.__setattr__(served.context, "settings", settings)
    return found


def completed(served: Served, words: str, **asked: object) -> dict[str, Any]:
    answer = served.client.get("/api/v1/tags/complete", params={"words": words, **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def names(served: Served, words: str, **asked: object) -> list[str]:
    return [tag["name"] for tag in completed(served, words, **asked)["tags"]]


def test_words_become_tags(served: Served, places: dict[str, Path]) -> None:
    assert completed(served, "long") == {"typed": "", "tags": []}
    (places["data"] / "danbooru.csv").write_text(BOORU)
    assert completed(served, "a girl with longha") == {
        "typed": "longha",
        "tags": [{"name": "long_hair", "category": "general", "count": 4350743, "note": "", "alias": "longhair",
                  "meaning": "长发"}],
    }  # fmt: skip
    assert names(served, "hair") == ["hair_ribbon", "long_hair"]
    assert names(served, "hair", limit=1) == ["hair_ribbon"]
    assert names(served, "长") == ["long_hair"]


def test_a_changed_file_is_read_again_and_only_then(
    served: Served, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(path: Path, room: int) -> TagFile:
        asked.append(path.name)
        return read(path, room)

    monkeypatch.setattr(tags, "read", counted)
    path = places["models"] / "mine.csv"
    path.write_text("solo,0,5\n")
    for _ in range(3):
        assert names(served, "sol") == ["solo"]
    assert asked == ["mine.csv"]
    path.write_text("soho,0,5\n")
    os.utime(path, ns=(1, 1))
    assert names(served, "so") == ["soho"]
    assert asked == ["mine.csv"] * 2


def test_which_lists_count(served: Served, places: dict[str, Path]) -> None:
    for name, tag in (("danbooru", "long_hair,0,9"), ("e621", "long_tail,0,8"), ("EnglishDictionary", "long,0,99"),
                      ("extra-quality-tags", "long_shot,5,Quality tag,")):  # fmt: skip
        (places["extension"] / f"{name}.csv").write_text(tag)
    assert names(served, "lon") == ["long_hair", "long_shot"]
    assert names(served, "lon", of="e621") == ["long_tail"]
    (places["data"] / "mine.csv").write_text("longing,0,3\n")
    (places["models"] / "zh.csv").write_text("longing,向往\n")
    assert names(served, "lon") == ["longing"]
    assert names(served, "向往") == ["longing"]
    told = {one["name"]: one for one in served.client.get("/api/v1/tags").json()}
    assert [name for name, one in told.items() if one["usual"]] == ["mine"]
    assert [name for name, one in told.items() if one["translation"]] == ["zh"]
    assert told["danbooru"]["tags"] == 1
    unknown = served.client.get("/api/v1/tags/complete?words=lon&of=none")
    assert (unknown.status_code, unknown.json()["message"]) == (404, "there is no list of tags 'none'")


def test_what_is_odd_is_told_once_and_in_chinese(
    served: Served, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 2)
    (places["data"] / "odd.csv").write_text('solo,0,5\n"half,0,5\nlong_hair,0,5\n')
    (places["data"] / "gone.csv").symlink_to(places["data"] / "none.csv")
    (places["data"] / "folder.csv").mkdir()
    for _ in range(2):
        (told,) = served.client.get("/api/v1/tags").json()
    assert told["tags"] == 1
    assert told["remarks"] == [
        'odd.csv: 1 of its lines are no tags and are left out; a line is name,category,count,"aliases"',
        "odd.csv: only its first 1 tags are used",
    ]
    assert [record.message for record in caplog.records if "odd.csv" in record.message] == told["remarks"]
    for remark in told["remarks"]:
        assert "标签" in in_chinese(remark)


def test_a_file_that_cannot_be_read_is_told_without_its_folder(
    served: Served, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = places["data"] / "locked.csv"
    path.write_text("solo,0,5\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    (told,) = served.client.get("/api/v1/tags").json()
    assert told["remarks"] == ["locked.csv cannot be read (Permission denied); check the name and its permissions"]
    assert not told["usual"]
    assert completed(served, "solo")["tags"] == []


def test_a_hundred_thousand_tags(served: Served, places: dict[str, Path]) -> None:
    lines = [f'tag_{i:06}_of_a_series,{i % 6},{200_000 - i},"t{i},other_{i}"\n' for i in range(100_000)]
    (places["data"] / "danbooru.csv").write_text("".join(lines) + 'last_of_all,0,1,"strange <b>,末尾"\n')
    assert names(served, "tag 09999", limit=3) == [f"tag_09999{i}_of_a_series" for i in range(3)]
    assert names(served, "末尾") == ["last_of_all"]
    assert completed(served, "strange <")["tags"][0]["alias"] == "strange <b>"
    assert served.client.get("/api/v1/tags").json()[0]["tags"] == 100_001


def test_words_that_are_odd_find_nothing(served: Served, places: dict[str, Path]) -> None:
    (places["data"] / "danbooru.csv").write_text(BOORU)
    for words in ("", " ", "\n\n", "(" * 500, "\\", "%00", "a" * 500, "\u0130" * 20):
        assert completed(served, words)["tags"] == []
    assert served.client.get("/api/v1/tags/complete", params={"words": "a" * 501}).status_code == 422
    assert served.client.get("/api/v1/tags/complete", params={"words": "a", "limit": 101}).status_code == 422
