"""Folders on the server's machine, to start from: administrators look into them, and nobody else."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.images import save_png
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import Recipe
from fromnoise.server import uploads
from fromnoise.server.native import folders

from .conftest import Served, png

LIST, READ = "/api/v1/folder", "/api/v1/folder/read"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "photos"
    (found / "more").mkdir(parents=True)
    (found / ".hidden").mkdir()
    for name in ("b.png", "a.PNG", "more/c.png", ".d.png", ".hidden/e.png"):
        (found / name).write_bytes(png())
    (found / "notes.txt").write_text("x")
    (tmp_path / "outside.png").write_bytes(png())
    return found


def test_the_pictures_of_a_folder_are_listed_by_name(served: Served, folder: Path) -> None:
    found = served.client.post(LIST, json={"folder": str(folder)}).json()
    assert found == {"pictures": ["a.PNG", "b.png", "more/c.png"], "more": 0, "others": ["notes.txt"]}


def test_a_folder_of_too_many_says_how_many_follow(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST", 2)
    found = served.client.post(LIST, json={"folder": str(folder)}).json()
    assert (found["pictures"], found["more"]) == (["a.PNG", "b.png"], 1)


def test_a_picture_of_a_folder_is_taken_with_its_recipe(served: Served, folder: Path) -> None:
    recipe = Recipe(prompt="a red apple", seed=7, width=64, height=64)
    save_png(Image.new("RGB", (64, 48)), folder / "made.png", texts(recipe, "cpu"))
    found = served.client.post(READ, json={"folder": str(folder), "name": "made.png"}).json()
    assert (found["width"], found["height"], found["recipe"]["prompt"]) == (64, 48, "a red apple")
    assert served.client.get(f"/api/v1/images/{found['sha256']}").status_code == 200
    plain = served.client.post(READ, json={"folder": str(folder), "name": "more/c.png"}).json()
    sent = served.client.post("/api/v1/images", content=(folder / "more/c.png").read_bytes()).json()
    assert (plain["sha256"], plain["recipe"]) == (sent["sha256"], None)
    served.context.clerk.close()


@pytest.mark.parametrize("name", ["../outside.png", "none.png", "more", "a" * 300, "x\0y"])
def test_only_pictures_of_the_folder_are_taken(served: Served, folder: Path, name: str) -> None:
    assert served.client.post(READ, json={"folder": str(folder), "name": name}).status_code == 404


def test_what_is_no_picture_is_refused(served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.client.post(READ, json={"folder": str(folder), "name": "notes.txt"}).status_code == 422
    monkeypatch.setattr(uploads, "MAX_BYTES", 10)
    assert served.client.post(READ, json={"folder": str(folder), "name": "b.png"}).status_code == 413


@pytest.mark.parametrize("place", ["/no/such/folder", "~nobody-of-this-name", "x\0y", "a" * 300])
def test_a_folder_that_is_not_there_is_told(served: Served, place: str) -> None:
    answer = served.client.post(LIST, json={"folder": place})
    assert (answer.status_code, answer.json()["message"]) == (422, "there is no such folder on the server's machine")


def test_only_administrators_look_into_folders(served: Served, folder: Path) -> None:
    ann, root = served.token("ann"), served.token("root", admin=True)
    for path, body in ((LIST, {"folder": str(folder)}), (READ, {"folder": str(folder), "name": "b.png"})):
        assert served.client.post(path, json=body, headers=ann).status_code == 403
    assert served.client.post(LIST, json={"folder": str(folder)}, headers=root).status_code == 200
