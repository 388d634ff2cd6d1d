"""The gallery over HTTP: found, paged, seen, marked, binned, downloaded and taken in; each sees their own."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from fromnoise.jobs.picture import New
from fromnoise.jobs.worker.worker import file_digest

from .conftest import Served, png

GALLERY = "/api/v1/gallery"


def hang(served: Served, count: int, owner: str = "local", **recipe: object) -> list[str]:
    """Pictures in the gallery, the oldest first; their ids."""
    gallery = served.context.gallery
    for number in range(count):
        path = served.context.outputs / f"{owner}-{len(list(served.context.outputs.iterdir())):05}.png"
        Image.new("RGB", (32, 16), (number % 256, 0, 0)).save(path)
        made = {"prompt": f"a red apple {number}", "model": "emoji", "sampler": "euler", "seed": number, **recipe}
        status = path.stat()
        new = New(path.name, file_digest(path), status.st_size, status.st_mtime_ns, 32, 16, owner=owner, recipe=made)
        gallery.add([new])
    return ids(served, f"?limit=500&owner={owner}")[::-1][-count:]


def ids(served: Served, query: str = "", headers: dict[str, str] | None = None) -> list[str]:
    answer = served.client.get(GALLERY + query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [picture["id"] for picture in answer.json()["pictures"]]


def test_pages_go_by_the_last_picture_seen(served: Served) -> None:
    there = hang(served, 7)
    first = served.client.get(f"{GALLERY}?limit=4").json()
    second = served.client.get(f"{GALLERY}?limit=4&before={first['before']}").json()
    assert [p["id"] for p in first["pictures"] + second["pictures"]] == there[::-1]
    assert second["before"] is None
    assert served.client.get(f"{GALLERY}/count").json() == {"count": 7}


def test_pictures_are_found_by_what_is_known_of_them(served: Served) -> None:
    apples, cats = hang(served, 2), hang(served, 1, prompt="一只红色的猫 <lora:ink:0.5>", sampler="ddim", model="dream")
    assert ids(served, "?words=红色") == cats
    assert ids(served, "?words=apple -1") == [apples[0]]
    assert ids(served, "?sampler=ddim") == ids(served, "?model=dream") == ids(served, "?lora=ink") == cats
    assert ids(served, "?min_width=33") == []
    assert len(ids(served, "?max_height=16&since=1")) == 3
    facets = served.client.get(f"{GALLERY}/facets").json()
    assert (facets["samplers"], facets["loras"]) == ({"euler": 2, "ddim": 1}, {"ink": 1})


def test_a_picture_its_file_and_its_small_one(served: Served) -> None:
    (one,) = hang(served, 1)
    seen = served.client.get(f"{GALLERY}/{one}").json()
    assert (seen["recipe"]["prompt"], seen["width"], seen["seed"]) == ("a red apple 0", 32, "0")
    file = served.client.get(seen["url"])
    assert (file.headers["content-type"], file.content[:4]) == ("image/png", b"\x89PNG")
    assert "immutable" in file.headers["cache-control"]
    assert served.client.get(f"{GALLERY}/{one}/file").headers["cache-control"] == "private, no-cache"
    saved = served.client.get(f"{GALLERY}/{one}/file?how=attachment").headers["content-disposition"]
    assert saved.startswith("attachment")
    small = served.client.get(seen["thumb"])
    assert (small.headers["content-type"], small.content[8:12]) == ("image/webp", b"WEBP")
    served.context.clerk.close()


def test_large_seeds_come_as_texts(served: Served) -> None:
    (one,) = hang(served, 1, seed=2**64 - 1)
    assert served.client.get(f"{GALLERY}/{one}").json()["recipe"]["seed"] == str(2**64 - 1)


def test_families_are_shown(served: Served) -> None:
    (first,) = hang(served, 1)
    start = {"path": "x.png", "sha256": served.context.gallery.get(first).sha256}
    (second,) = hang(served, 1, init=start, prompt="changed")
    seen = served.client.get(f"{GALLERY}/{second}").json()
    assert [p["id"] for p in seen["parents"]] == [first]
    assert [p["id"] for p in served.client.get(f"{GALLERY}/{first}").json()["children"]] == [second]


def test_what_is_made_from_a_picture_that_was_sent_back_joins_its_family(served: Served) -> None:
    (first,) = hang(served, 1)
    picture = served.context.gallery.get(first)
    data = served.context.gallery.file(picture).read_bytes()
    for door in ("images", "read"):
        sent = served.client.post(f"/api/v1/{door}", content=data).json()
        assert (sent["sha256"], sent["width"]) == (picture.sha256, picture.width)
    assert served.client.get(f"/api/v1/images/{sent['sha256']}").content[:4] == b"\x89PNG"
    served.context.clerk.close()


def change(served: Served, what: str, pictures: Sequence[str], headers: dict[str, str] | None = None,
           **more: object) -> int:  # fmt: skip
    body = {"pictures": list(pictures), **more}
    return served.client.post(f"{GALLERY}/{what}", json=body, headers=headers).status_code


def test_marks_albums_and_the_bin(served: Served) -> None:
    a, b, c = hang(served, 3)
    assert change(served, "change", [a, b], favourite=True, album="Fruit", add_tags=["red", "round"]) == 200
    assert change(served, "change", [b], favourite=False, remove_tags=["red"]) == 200
    assert ids(served, "?favourite=true") == [a]
    assert ids(served, "?album=Fruit") == [b, a]
    assert ids(served, "?tag=red") == [a]
    assert change(served, "delete", [a, c]) == 200
    assert ids(served) == [b]
    assert ids(served, "?deleted=true") == [c, a]
    assert change(served, "restore", [a]) == 200
    assert served.client.post(f"{GALLERY}/empty", json={"days": 1}).json() == {"count": 0}
    assert served.client.post(f"{GALLERY}/empty", json={}).json() == {"count": 1}
    assert ids(served) == [b, a]
    assert len(list(served.context.outputs.glob("*.png"))) == 2


def test_everyone_sees_their_own(served: Served) -> None:
    (mine,), (other,) = hang(served, 1, "ann"), hang(served, 1, "bob")
    ann, root = served.token("ann"), served.token("root", admin=True)
    assert ids(served, headers=ann) == [mine]
    assert ids(served, "?owner=bob", headers=ann) == [mine]
    assert ids(served, "?owner=bob", headers=root) == [other]
    owners = [served.client.get(f"{GALLERY}/facets", headers=who).json()["owners"] for who in (ann, root)]
    assert owners == [{"ann": 1}, {"ann": 1, "bob": 1}]
    for place in ("", "/file", "/thumb"):
        assert served.client.get(f"{GALLERY}/{other}{place}", headers=ann).status_code == 404
    for what in ("change", "delete", "restore"):
        assert change(served, what, [other], ann) == 404
    assert served.client.get(f"{GALLERY}/zip?picture={other}", headers=ann).status_code == 404
    assert served.client.post(f"{GALLERY}/import", json={"folder": "/"}, headers=ann).status_code == 403
    assert served.client.get(GALLERY).status_code == 401


def test_many_in_one_archive(served: Served) -> None:
    a, b, _ = hang(served, 3)
    (served.context.outputs / "local-00001.png").unlink()
    answer = served.client.get(f"{GALLERY}/zip?picture={a}&picture={b}")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["local-00000.png"]
    everything = served.client.get(f"{GALLERY}/zip?words=apple")
    with zipfile.ZipFile(io.BytesIO(everything.content)) as archive:
        assert archive.namelist() == ["local-00002.png", "local-00000.png"]


def test_what_is_deleted_for_good_leaves_no_small_picture(served: Served) -> None:
    one, other = hang(served, 2)
    copy = served.context.outputs / "copy.png"
    copy.write_bytes(served.context.gallery.file(served.context.gallery.get(other)).read_bytes())
    served.context.gallery.add([New("copy.png", file_digest(copy), 1, 1, 32, 16, owner="local", job="a" * 28)])
    assert all(served.client.get(f"{GALLERY}/{picture}/thumb").status_code == 200 for picture in (one, other))
    served.client.post(f"{GALLERY}/delete", json={"pictures": [one, other]})
    assert len(list(served.context.thumbs.rglob("*.webp"))) == 2
    assert served.client.post(f"{GALLERY}/empty", json={}).json() == {"count": 2}
    (left,) = served.context.thumbs.rglob("*.webp")
    assert left.stem == file_digest(copy), "another picture has the same content"


def test_a_folder_is_taken_in_by_a_job(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    job = served.client.post(f"{GALLERY}/import", json={"folder": str(folder)})
    assert (job.status_code, job.json()["kind"], job.json()["state"]) == (202, "import", "queued")
    assert served.client.post(f"{GALLERY}/import", json={"folder": str(folder / "no")}).status_code == 422


def test_pictures_of_the_gallery_are_start_pictures(served: Served) -> None:
    (one,) = hang(served, 1)
    recipe = {"prompt": "x", "width": 64, "height": 64, "init": {"path": "", "sha256": "0" * 64}}
    recipe["init"] = {"path": "", "sha256": served.context.gallery.get(one).sha256}
    assert served.client.post("/api/v1/jobs", json={"recipes": [recipe]}).status_code == 202


def test_a_path_that_leads_out_is_no_picture(served: Served, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    served.context.gallery.add([New("../secret.png", "0" * 64, 1, 1, 16, 16)])
    (one,) = ids(served)
    assert served.client.get(f"{GALLERY}/{one}/file").status_code == 404
