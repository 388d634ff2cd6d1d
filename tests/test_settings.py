"""Folders of this machine, from the environment and nothing else."""

import os
from pathlib import Path

import pytest

from fromnoise import settings
from fromnoise.settings import Settings


def test_defaults_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_MODELS", "/elsewhere")
    assert Settings().models == (Path("models"),)
    assert Settings().hashes is None


def test_own_variables_come_first() -> None:
    found = settings.read({"FROMNOISE_MODELS": f"/big disk{os.pathsep}/comfy", "FROMNOISE_CACHE": "/fast"})
    assert found.models == (Path("/big disk"), Path("/comfy"), Path("models"))
    assert found.hashes == Path("/fast/hashes.json")
    assert settings.read({"FROMNOISE_DATA": "/safe"}).database_url == "sqlite:////safe/fromnoise.db"
    assert settings.read({"FROMNOISE_DATABASE": "postgresql://h/d"}).database_url == "postgresql://h/d"
    assert Settings().database_url is None


def test_another_process_finds_the_same_places() -> None:
    here = settings.read(
        {
            "FROMNOISE_MODELS": f"/a{os.pathsep}/b",
            "FROMNOISE_CACHE": "/c",
            "FROMNOISE_DATA": "/d",
            "FROMNOISE_GPU_TRIALS": "1",
        }
    )
    assert settings.read(settings.as_environment(here)) == here


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"HOME": "/h"}, "linux", Path("/h/.cache/fromnoise")),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "linux", Path("/c/fromnoise")),
        ({"HOME": "/u"}, "darwin", Path("/u/Library/Caches/fromnoise")),
        ({"LOCALAPPDATA": "/l"}, "win32", Path("/l/fromnoise/cache")),
        ({}, "linux", None),
        ({}, "win32", None),
    ],
)
def test_each_system_has_its_own_place(environment: dict[str, str], platform: str, expected: Path | None) -> None:
    assert settings.own_folder(settings.CACHES, environment, platform) == expected


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"HOME": "/h"}, "linux", Path("/h/.local/share/fromnoise")),
        ({"HOME": "/h", "XDG_DATA_HOME": "/d"}, "linux", Path("/d/fromnoise")),
        ({"HOME": "/u"}, "darwin", Path("/u/Library/Application Support/fromnoise")),
        ({"LOCALAPPDATA": "/l"}, "win32", Path("/l/fromnoise/data")),
    ],
)
def test_what_is_kept_is_elsewhere(environment: dict[str, str], platform: str, expected: Path) -> None:
    assert settings.own_folder(settings.DATA, environment, platform) == expected
