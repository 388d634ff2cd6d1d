"""The gallery finds pictures by what they are, and never loses a file."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from fromnoise.engine.memory import place
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.jobs import thumbnails
from fromnoise.jobs.database import Database
from fromnoise.jobs.gallery import Gallery
from fromnoise.jobs.job import Job, Result, Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.picture import New, Picture, Search, UnknownPicture
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.worker.importing import import_folder
from fromnoise.jobs.worker.tasks import Desk
from fromnoise.settings import Settings


@pytest.fixture
def gallery(database: Database, tmp_path: Path) -> Gallery:
    return Gallery(database, tmp_path / "outputs")


def put(gallery: Gallery, name: str, **more: object) -> Picture:
    """A picture and its file."""
    path = gallery.outputs / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
    recipe = {"prompt": name, "model": "dream", "model_hash": "ab" * 32, "sampler": "euler", "seed": 2**64 - 1}
    new = New(name, f"{len(name):02}" * 32, len(name), 5, 64, 32, recipe=recipe)
    gallery.add([replace(new, **more)])  # type: ignore[arg-type]
    return gallery.search(Search(root=""))[0]


def names(pictures: list[Picture]) -> str:
    return " ".join(picture.path for picture in pictures)


def test_what_is_known_of_a_picture(gallery: Gallery) -> None:
    picture = put(gallery, "a.png", job="7", owner="ann", created=5.0)
    assert gallery.get(picture.id, "ann") == picture
    assert (picture.path, picture.width, picture.height, picture.seed) == ("a.png", 64, 32, str(2**64 - 1))
    assert (picture.favourite, picture.album, picture.tags, picture.created) == (False, "", (), 5.0)
    assert gallery.file(picture).read_bytes() == b"a.png"
    assert gallery.of_job("7") == [picture]
    with pytest.raises(UnknownPicture):
        gallery.get(picture.id, "bob")
    with pytest.raises(UnknownPicture):
        gallery.get("\0")


def test_filters(gallery: Gallery) -> None:
    put(
        gallery,
        "a.png",
        owner="ann",
        created=10.0,
        recipe={"prompt": "x <lora:ink:1>", "model": "one", "sampler": "heun"},
    )
    inks = {"networks": [{"name": "ink"}, {"name": "pen", "kind": "lora"}, {"name": "h", "kind": "hypernetwork"}]}
    put(gallery, "b.png", owner="bob", created=20.0, width=512, source="ComfyUI")
    put(gallery, "c.png", created=30.0, recipe=inks)
    for wanted, expected in {
        Search(): "c.png b.png a.png",
        Search(owner="ann"): "a.png",
        Search(model="one"): "a.png",
        Search(model="abababab"): "b.png",
        Search(model="abab"): "",
        Search(lora="ink"): "c.png a.png",
        Search(lora="pen"): "c.png",
        Search(sampler="heun"): "a.png",
        Search(source="ComfyUI"): "b.png",
        Search(width=(500, 600)): "b.png",
        Search(height=(0, 31)): "",
        Search(since=20.0): "c.png b.png",
        Search(until=20.0): "a.png",
        Search(words="ink", since=20.0): "c.png",
        Search(favourite=True): "",
    }.items():
        assert names(gallery.search(wanted)) == expected, wanted
    assert gallery.facet("model", Search()) == {"dream": 1, "one": 1}
    assert gallery.facet("source", Search(owner="bob")) == {"ComfyUI": 1}
    assert gallery.marks("lora", Search()) == {"ink": 2, "pen": 1}


def test_pages(gallery: Gallery) -> None:
    for name in "abcde":
        put(gallery, f"{name}.png")
    first = gallery.search(Search(), limit=2)
    second = gallery.search(Search(), before=first[-1].number, limit=2)
    assert names(first + second) == "e.png d.png c.png b.png"


def test_favourites_albums_and_tags(gallery: Gallery) -> None:
    a, b = put(gallery, "a.png"), put(gallery, "b.png")
    gallery.set_favourite([a.id, b.id], True)
    gallery.set_favourite([b.id], False)
    gallery.set_album([a.id], " my  album ")
    gallery.tag([a.id, b.id], ["fruit", "红色"])
    gallery.tag([a.id], ["fruit", "new"])
    gallery.untag([b.id], ["fruit", "never there"])
    assert names(gallery.search(Search(favourite=True))) == names(gallery.search(Search(album="my album"))) == "a.png"
    assert gallery.get(a.id).tags == ("fruit", "new", "红色")
    assert gallery.marks("tag", Search()) == {"红色": 2, "fruit": 1, "new": 1}
    assert names(gallery.search(Search(words="fruit"))) == names(gallery.search(Search(tag="fruit"))) == "a.png"
    gallery.set_album([a.id], "")
    assert gallery.facet("album", Search()) == {}
    for bad in ("", "\n", "x" * 201, "a\0b"):
        with pytest.raises(UserError):
            gallery.tag([a.id], [bad])
    with pytest.raises(UnknownPicture):
        gallery.tag([a.id, "nothing"], ["x"])
    with pytest.raises(UnknownPicture):
        gallery.set_favourite([a.id], True, owner="bob")


def test_the_bin(gallery: Gallery) -> None:
    a, b = put(gallery, "deep/a.png"), put(gallery, "b.png")
    gallery.delete([a.id, b.id])
    assert not (gallery.outputs / "deep/a.png").exists()
    assert gallery.search(Search()) == []
    assert names(gallery.search(Search(deleted=True))) == "b.png deep/a.png"
    assert gallery.file(gallery.get(a.id)).read_bytes() == b"deep/a.png"
    gallery.restore([a.id])
    gallery.restore([a.id])
    assert gallery.file(gallery.get(a.id)) == gallery.outputs / "deep/a.png"
    assert gallery.empty_bin(before=time.time() - 100) == []
    assert len(gallery.empty_bin(before=time.time() + 100)) == 1
    assert names(gallery.search(Search())) == "deep/a.png"
    assert sorted(path.name for path in gallery.outputs.rglob("*.png")) == ["a.png"]


def test_nothing_is_overwritten(gallery: Gallery) -> None:
    a = put(gallery, "a.png")
    gallery.delete([a.id])
    (gallery.outputs / "a.png").write_bytes(b"another")
    with pytest.raises(FileError, match="there already"):
        gallery.restore([a.id])
    assert gallery.get(a.id).deleted is not None
    assert (gallery.outputs / "a.png").read_bytes() == b"another"
    assert gallery.file(gallery.get(a.id)).read_bytes() == b"a.png"


def test_files_that_somebody_took_away(gallery: Gallery) -> None:
    a, b = put(gallery, "a.png"), put(gallery, "b.png")
    (gallery.outputs / "a.png").unlink()
    with pytest.raises(FileError, match="not there any more"):
        gallery.file(a)
    gallery.delete([a.id])
    assert gallery.forget_missing() == 1
    assert gallery.search(Search()) == [b]
    assert gallery.search(Search(words="a")) == []


def test_no_path_leads_out(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    put(gallery, "a.png")
    gallery.add([New("../secret.png", "0" * 64, 1, 1, 1, 1)])
    with pytest.raises(FileError):
        gallery.file(gallery.search(Search())[0])


def test_families(gallery: Gallery) -> None:
    root = put(gallery, "root.png")
    child = put(gallery, "child.png", sha256="c" * 64, recipe={"init": {"path": "x", "sha256": root.sha256}})
    other = put(gallery, "other.png", sha256="d" * 64, parent=root.id)
    grand = put(gallery, "grand.png", sha256="e" * 64, recipe={"init": {"path": "x", "sha256": "c" * 64}}, owner="bob")
    assert child.parent == root.id
    assert names(gallery.family(child.id)) == "root.png child.png grand.png"
    assert names(gallery.family(root.id)) == "root.png child.png other.png grand.png"
    assert names(gallery.family(root.id, "local")) == "root.png child.png other.png"
    assert names(gallery.family(grand.id, "bob")) == "grand.png"
    assert names(gallery.search(Search(parent=root.id))) == f"{other.path} {child.path}"


def test_a_job_and_its_picture_are_stored_together(gallery: Gallery, database: Database) -> None:
    queue, leases = Queue(database), Leases(database)
    (job,) = queue.submit([Work("picture", {}, owner="ann")])
    leases.enlist("w", "cpu")
    leases.claim("w", 1)
    new = New("a.png", "0" * 64, 1, 1, 8, 8, owner="ann", job=job.id, recipe={"prompt": "red"})
    leases.finish("w", job.id, [Result("a.png")], [new])
    (picture,) = gallery.search(Search(words="red", owner="ann"))
    assert picture.job == job.id
    assert picture.created == queue.get(job.id).finished


def test_small_pictures(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGBA", (1000, 500), (255, 0, 0, 128)).save(large)
    small = thumbnails.thumbnail(tmp_path / "thumbs", "ab" * 32, large)
    with Image.open(small) as image:
        assert (image.format, image.size) == ("WEBP", (320, 160))
    large.unlink()
    assert thumbnails.thumbnail(tmp_path / "thumbs", "ab" * 32, large) == small
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(FileError):
        thumbnails.thumbnail(tmp_path / "thumbs", "cd" * 32, bad)


A1111 = "a red apple\nNegative prompt: no\nSteps: 9, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x32, Model: dream"


def folder_of_pictures(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", A1111)
    Image.new("RGB", (64, 32)).save(folder / "a1111.png", pnginfo=info)
    Image.new("RGB", (8, 8)).save(folder / "sub" / "plain.jpg")
    Image.new("RGB", (8, 8)).save(folder / ".hidden" / "no.png")
    own = PngImagePlugin.PngInfo()
    recipe = Recipe(prompt="一只猫", init=ImageRef(path="x.png", sha256="0" * 64))
    for key, text in texts(recipe).items():
        own.add_itxt(key, text)
    Image.new("RGB", (8, 8)).save(folder / "own.png", pnginfo=own)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (folder / "note.txt").touch()
    return folder


def imported(gallery: Gallery, folder: Path, tmp_path: Path) -> tuple[list[tuple[int, int]], dict[str, object]]:
    """The steps of an import, and what it tells at the end."""
    job = Job("j", Work("import", {}, owner="ann"), "running")
    desk = Desk(
        job, place("cpu"), Settings(), gallery.outputs, tmp_path / "kept", gallery.database, tmp_path / "thumbs"
    )
    task, steps = import_folder({"folder": str(folder)}, desk), []
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            return steps, dict(stop.value[0].data)


def test_a_folder_is_taken_in(gallery: Gallery, tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "old")
    steps, told = imported(gallery, folder, tmp_path)
    assert steps == [(0, 4)]
    assert told == {"folder": folder.name, "new": 3, "unreadable": 1, "gone": 0}
    (apple,) = gallery.search(Search(words="red apple"))
    assert (apple.source, apple.model, apple.sampler, apple.seed) == ("AUTOMATIC1111", "dream", "euler_ancestral", "5")
    assert gallery.file(apple) == folder.resolve() / "a1111.png"
    assert names(gallery.search(Search(words="猫"))) == "own.png"
    plain = gallery.search(Search(words="plain"))[0]
    assert (plain.path, plain.recipe, plain.media, plain.source) == ("sub/plain.jpg", None, "image/jpeg", "")
    assert thumbnails.place(tmp_path / "thumbs", apple.sha256).is_file()


def test_taking_in_again_is_quick_and_notices_changes(gallery: Gallery, tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "old")
    imported(gallery, folder, tmp_path)
    (apple,) = gallery.search(Search(words="red apple"))
    gallery.tag([apple.id], ["kept"])
    assert imported(gallery, folder, tmp_path)[1]["new"] == 0
    (folder / "own.png").unlink()
    Image.new("RGB", (16, 16)).save(folder / "a1111.png")
    told = imported(gallery, folder, tmp_path)[1]
    assert (told["new"], told["gone"]) == (0, 1)
    changed = gallery.get(apple.id)
    assert (changed.width, changed.recipe, changed.tags) == (16, None, ("kept",))
    assert names(gallery.search(Search(words="kept"))) == "a1111.png"


def test_many_pictures_come_in_steps(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(45):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    steps, told = imported(gallery, folder, tmp_path)
    assert steps == [(0, 45), (20, 45), (40, 45)]
    assert told["new"] == 45


def test_a_folder_must_be_there(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        imported(gallery, tmp_path / "nowhere", tmp_path)
