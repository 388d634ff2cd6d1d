"""Grids through our own API: planned, made as jobs, and drawn together when the last picture has ended."""

import io
import time

import pytest
from PIL import Image

from fromnoise.engine.recipe import Recipe
from fromnoise.engine.sheets.drawing import PADDING
from fromnoise.engine.sheets.grids import xyz

from .conftest import Served, png
from .listening import PATIENCE

RECIPE = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7, "model": "tiny"}
XYZ = {"kind": "xyz", "axes": [{"name": "steps", "values": "1-3 (+2)"}, {"name": "Sampler", "values": "Euler a, LCM"}]}


def ended(real: Served, job: str) -> dict[str, object]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found: dict[str, object] = real.client.get(f"/api/v1/jobs/{job}").json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.05)
    raise AssertionError("it does not end")


def results(real: Served, job: str) -> list[dict[str, object]]:
    return real.client.get(f"/api/v1/jobs/{job}/results").json()  # type: ignore[no-any-return]


def picture(real: Served, url: object) -> Image.Image:
    return Image.open(io.BytesIO(real.client.get(str(url)).content))


def test_the_axes_are_told_with_what_they_take(served: Served) -> None:
    axes = {one["name"]: one for one in served.client.get("/api/v1/catalogue").json()["axes"]}
    assert (axes["steps"]["values"], axes["steps"]["label"]) == ("whole", "Steps")
    assert axes["sampler"]["among"] == "samplers"
    assert axes["match_colours"]["choices"] == ["false", "true"]
    assert axes["resize"]["choices"] == ["crop", "stretch", "fill", "latent"]


def test_a_plan_tells_labels_and_count_and_time(served: Served) -> None:
    draft = {"recipe": RECIPE, "script": XYZ}
    plan = served.client.post("/api/v1/grids/plan", json=draft).json()
    assert (plan["columns"], plan["rows"], plan["layers"]) == (
        ["Steps: 1", "Steps: 3"], ["Sampler: Euler a", "Sampler: LCM"], [""],
    )  # fmt: skip
    assert (plan["count"], plan["seconds"]) == (4, None)
    served.client.post("/api/v1/jobs", json={"recipes": [RECIPE]})
    served.work()
    assert served.client.post("/api/v1/grids/plan", json=draft).json()["seconds"] > 0


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"kind": "xyz", "axes": [{"name": "steps", "values": "many"}]}, "'many' is neither a number nor a range"),
        ({"kind": "xyz", "axes": [{"name": "stps", "values": "1"}]}, "stps"),
        ({"kind": "xyz", "axes": [{"name": "seed", "values": "1-600"}]}, "600 pictures are too many"),
        ({"kind": "matrix"}, "has no parts"),
        ({"kind": "lines", "text": "--steps many"}, "line 1"),
    ],
)
def test_mistakes_are_told_in_words(served: Served, script: dict[str, object], words: str) -> None:
    answer = served.client.post("/api/v1/grids/plan", json={"recipe": RECIPE, "script": script})
    assert (answer.status_code, answer.json()["error"]) == (422, "script")
    assert words in answer.json()["message"]


def test_a_grid_is_made_and_its_sheet_drawn_last(real: Served) -> None:
    order = {"recipe": RECIPE, "script": XYZ, "key": "one grid", "margin": 4}
    answer = real.client.post("/api/v1/grids", json=order)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert [cell["body"]["steps"] for cell in made["cells"]] == [1, 3, 1, 3]
    assert made["sheet"]["body"]["jobs"] == [cell["id"] for cell in made["cells"]]
    assert real.client.post("/api/v1/grids", json=order).json()["sheet"]["id"] == made["sheet"]["id"]

    sheet = ended(real, made["sheet"]["id"])
    assert (sheet["state"], sheet["error"]) == ("done", None)
    cells = [ended(real, cell["id"]) for cell in made["cells"]]
    assert max(cell["finished"] for cell in cells) <= sheet["started"]  # type: ignore[operator, type-var]
    drawn = picture(real, results(real, made["sheet"]["id"])[0]["url"])
    assert drawn.height > 2 * 64 + 4
    text = drawn.text["parameters"]  # type: ignore[attr-defined]
    assert "Script: X/Y/Z plot, X Type: Steps, X Values: 1-3 (+2), Y Type: Sampler" in text
    # the cells are those of the command line
    there = xyz(Recipe.make(**RECIPE), ("steps", "1-3 (+2)"), ("Sampler", "Euler a, LCM"))
    assert [recipe.sampler for recipe in there.cells] == [cell["body"]["sampler"] for cell in cells]  # type: ignore[index]


def test_seeds_vary_along_sides_and_each_layer_has_a_sheet_of_its_own(real: Served) -> None:
    axes = [{"name": "steps", "values": "1, 2"}, None, {"name": "guidance_scale", "values": "1, 2"}]
    script = {"kind": "xyz", "axes": axes, "vary_seeds": "xz"}
    made = real.client.post("/api/v1/grids", json={"recipe": RECIPE, "script": script, "sub_grids": True}).json()
    assert [cell["body"]["seed"] for cell in made["cells"]] == [7, 8, 9, 10]
    assert ended(real, made["sheet"]["id"])["state"] == "done"
    whole, *layers = results(real, made["sheet"]["id"])
    assert [one["data"]["layer"] for one in layers] == [0, 1]  # type: ignore[index]
    drawn = [picture(real, one["url"]) for one in (whole, *layers)]
    assert drawn[0].width == drawn[1].width + drawn[2].width + 4 * PADDING
    assert drawn[1].tobytes() != drawn[2].tobytes()


def test_each_picture_may_have_a_seed_that_nobody_chose(served: Served) -> None:
    script = {**XYZ, "any_seeds": True}
    made = served.client.post("/api/v1/grids", json={"recipe": RECIPE, "script": script}).json()
    assert len({cell["body"]["seed"] for cell in made["cells"]}) == 4
    wrong = served.client.post("/api/v1/grids/plan", json={"recipe": RECIPE, "script": {**XYZ, "vary_seeds": "zx"}})
    assert wrong.status_code == 422


def test_whoever_asks_may_have_other_labels_drawn(served: Served) -> None:
    order = {"recipe": RECIPE, "script": XYZ, "labels": {"Steps: 1": "步数：1", "no label": "nothing"}}
    body = served.client.post("/api/v1/grids", json=order).json()["sheet"]["body"]
    assert body["columns"] == ["Steps: 1", "Steps: 3"]  # as for everybody else
    assert body["labels"] == order["labels"]
    long = served.client.post("/api/v1/grids", json=order | {"labels": {"Steps: 1": "x" * 401}})
    assert long.status_code == 422


def test_the_sheet_waits_for_pictures_that_are_paused_and_leaves_out_those_that_were_cancelled(served: Served) -> None:
    script = {"kind": "lines", "text": "one\ntwo\nthree"}
    made = served.client.post("/api/v1/grids", json={"recipe": RECIPE, "script": script}).json()
    first, second, _ = (cell["id"] for cell in made["cells"])
    assert made["sheet"]["body"]["columns"] == ["one", "two", "three"]
    served.client.post(f"/api/v1/jobs/{first}/pause")
    served.client.post(f"/api/v1/jobs/{second}/cancel")
    assert [job.work.kind for job in served.work()] == ["picture"]
    assert served.work() == []
    served.client.post(f"/api/v1/jobs/{first}/resume")
    assert [job.work.kind for job in served.work()] == ["picture"]
    assert [job.work.kind for job in served.work()] == ["sheet"]


def test_loopback_makes_each_picture_from_the_one_before(real: Served) -> None:
    start = real.client.post("/api/v1/images", content=png((64, 64))).json()["sha256"]
    recipe = {**RECIPE, "init": {"path": "", "sha256": start}, "strength": 0.9}
    script = {"kind": "loopback", "loops": 2, "final_strength": 0.5, "curve": "linear"}
    answer = real.client.post("/api/v1/grids", json={"recipe": recipe, "script": script})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    job = ended(real, made["sheet"]["id"])
    assert (made["cells"], job["state"], job["error"]) == ([], "done", None)
    sheet, first, second = results(real, made["sheet"]["id"])
    assert picture(real, sheet["url"]).width == 2 * 64
    assert second["data"]["recipe"]["init"]["sha256"] == first["sha256"]  # type: ignore[index]
    assert second["data"]["recipe"]["seed"] == 8  # type: ignore[index]
    family = real.client.get(f"/api/v1/gallery/{second['picture']}").json()
    assert [one["sha256"] for one in family["parents"]] == [first["sha256"]]
