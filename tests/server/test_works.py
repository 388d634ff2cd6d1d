"""Training, merging and data sets through the server: who may, what is refused, and what a real worker makes of it."""

import io
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from fromnoise.settings import Settings

from .conftest import Served, png, server_in
from .listening import PATIENCE

API = "/api/v1"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a folder of data sets of its own."""
    folder = tmp_path_factory.mktemp("works")
    with server_in(folder) as served:
        settings = Settings(models=(folder / "models",), any_path=False, datasets=folder / "datasets")
        context = replace(served.context, settings=settings)
        app: Any = served.client.app
        app.app.state.context = context
        yield replace(served, context=context)


def send(served: Served, name: str, **more: str) -> Any:
    colour = more.pop("colour", "red")
    return served.client.post(
        f"{API}/datasets/cats/pictures", params={"name": name, **more}, content=png((32, 24), colour)
    )


def test_a_data_set_is_made_filled_described_and_changed(here: Served) -> None:
    client = here.client
    assert client.get(f"{API}/datasets").json() == []
    assert client.post(f"{API}/datasets", json={"name": "cats"}).status_code == 201
    assert client.post(f"{API}/datasets", json={"name": "cats"}).status_code == 422
    assert send(here, "tom.jpg", caption="cat, black").json()["name"] == "tom.png"
    assert send(here, "tom.png", part="10_cat", colour="blue").json()["name"] == "10_cat/tom.png"
    assert send(here, "tom.png", colour="green").json()["name"] == "tom-2.png"
    card = client.get(f"{API}/datasets/cats").json()
    assert (card["pictures"], card["captions"], card["parts"]) == (3, 1, ["10_cat"])

    found = client.get(f"{API}/datasets/cats/pictures", params={"show": "undescribed"}).json()
    assert [one["name"] for one in found["pictures"]] == ["tom-2.png", "10_cat/tom.png"]
    assert (found["pictures"][0]["width"], found["pictures"][0]["height"]) == (32, 24)
    small = client.get(f"{API}/datasets/cats/pictures/10_cat/tom.png", params={"small": True})
    assert small.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).size == (32, 24)
    told = client.put(f"{API}/datasets/cats/pictures/10_cat/tom.png", json={"caption": "cat, white"}).json()
    assert told["tags"] == ["cat", "white"]
    assert Image.open(io.BytesIO(client.get(told["url"]).content)).size == (32, 24)

    assert client.get(f"{API}/datasets/cats/tags").json()[0] == {"tag": "cat", "zh": "猫", "count": 2}
    change = {"replace": {"black": "dark", "white": ""}, "first": ["mycat"], "last": ["photo"]}
    assert client.post(f"{API}/datasets/cats/change", json=change).json() == {"changed": 3}
    said = {one["name"]: one["caption"] for one in client.get(f"{API}/datasets/cats/pictures").json()["pictures"]}
    assert said == {
        "tom.png": "mycat, cat, dark, photo", "tom-2.png": "mycat, photo", "10_cat/tom.png": "mycat, cat, photo",
    }  # fmt: skip
    assert client.post(f"{API}/datasets/cats/set-aside", json={"pictures": ["tom-2.png"]}).json() == {"changed": 1}
    assert client.get(f"{API}/datasets/cats").json()["pictures"] == 2
    assert client.delete(f"{API}/datasets/cats").status_code == 204
    assert client.get(f"{API}/datasets/cats").status_code == 404


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "a\\b", ".x", "x" * 200, "con", "a:b", " a"])
def test_no_name_leads_out_of_the_folder(here: Served, name: str) -> None:
    assert here.client.post(f"{API}/datasets", json={"name": name}).status_code == 422
    assert not any(here.context.settings.datasets.glob("*"))


def test_no_picture_outside_of_a_data_set_is_told(here: Served) -> None:
    here.client.post(f"{API}/datasets", json={"name": "dogs"})
    (here.context.settings.datasets / "secret.png").write_bytes(png())
    for name in ("../secret.png", "..%2Fsecret.png", "a/../../secret.png", "secret.txt"):
        assert here.client.get(f"{API}/datasets/dogs/pictures/{name}").status_code == 404, name


def test_only_administrators_change_models_and_data_sets(here: Served) -> None:
    ann, root = here.token("ann"), here.token("root", admin=True)
    work = {"work": {"kind": "merge", "models": ["builtin", "builtin"], "out": "mix"}}
    assert here.client.get(f"{API}/datasets", headers=ann).status_code == 403
    assert here.client.post(f"{API}/errands", json=work, headers=ann).status_code == 403
    assert here.client.post(f"{API}/errands", json=work, headers=root).status_code == 202
    here.accounts.tokens.clear()


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ({"method": "lorra"}, "lora"),
        ({"settings": {"rnak": 4}}, "did you mean 'rank'"),
        ({"settings": {"rank": "many"}}, "whole number"),
        ({"settings": {"rank": 100_000}}, "outside"),
        ({"settings": {"out": "/etc/passwd"}}, "unknown"),
        ({"settings": {"optimizer": "os.system"}}, "AdamW"),
        ({"settings": {"optimizer_args": ["x" * 20_000]}}, "characters"),
        ({"name": "../x"}, "name"),
        ({"dataset": "../x"}, "name"),
        ({"dataset": "birds"}, "no data set"),
        ({"model": "/etc/passwd"}, "no model"),
    ],
)
def test_a_training_that_can_not_be_is_refused_at_once(here: Served, work: dict[str, Any], said: str) -> None:
    here.client.post(f"{API}/datasets", json={"name": "mice"})
    order = {"kind": "train", "method": "lora", "dataset": "mice", "name": "mycat", **work}
    answer = here.client.post(f"{API}/errands", json={"work": order})
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["message"]


def test_what_can_be_set_is_told_in_both_languages(here: Served) -> None:
    told = here.client.get(f"{API}/training").json()
    assert {"lora", "dreambooth", "embedding"} <= {method["name"] for method in told["methods"]}
    (rank,) = (one for one in told["settings"] if one["name"] == "rank")
    assert (rank["kind"], rank["names"], rank["least"]) == ("whole", ["rank", "network_dim"], 1)
    assert all(one["text_zh"] and one["panel_zh"] for one in told["settings"])
    assert [one["name"] for one in told["settings"] if not re.search("[\u4e00-\u9fff]", one["title_zh"])] == []
    for method in told["methods"]:  # no two of a form are called the same
        titles = [one["title_zh"] for one in told["settings"] if not one["methods"] or method["name"] in one["methods"]]
        assert sorted(set(titles)) == sorted(titles)


def finished(served: Served, job: str, seconds: float = PATIENCE) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, Any] = served.client.get(f"{API}/jobs/{job}").json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_models_are_merged_converted_and_pruned(real: Served) -> None:
    def made(**work: Any) -> dict[str, Any]:
        job = real.client.post(f"{API}/errands", json={"work": work})
        assert job.status_code == 202, job.text
        assert (told := finished(real, job.json()["id"]))["state"] == "done", told
        data: dict[str, Any] = real.client.get(f"{API}/jobs/{job.json()['id']}/results").json()[0]["data"]
        return data

    assert made(kind="merge", models=["tiny", "tiny"], out="mix", weights=[0.3])["file"] == "mix.safetensors"
    assert made(kind="prune", model="mix", out="small", dtype="fp16")["name"] == "small"
    assert made(kind="convert", model="small", out="folder", to="diffusers")["shelf"] == "checkpoints"
    names = [one.name for one in (real.context.settings.models[0] / "checkpoints").iterdir()]
    assert {"mix.safetensors", "small.safetensors", "folder"} <= set(names)
    twice = real.client.post(f"{API}/errands", json={"work": {"kind": "prune", "model": "mix", "out": "small"}}).json()
    assert "there already" in finished(real, twice["id"])["error"]


def test_how_a_training_goes_is_told(here: Served) -> None:
    here.client.post(f"{API}/datasets", json={"name": "mice"})
    work = {"kind": "train", "method": "lora", "dataset": "mice", "name": "mymouse"}
    job = here.client.post(f"{API}/errands", json={"work": work}).json()["id"]
    address = f"{API}/jobs/{job}/training"
    assert here.client.get(address).json()["points"] == []
    folder = here.context.outputs / f"training/mymouse-{job[-8:]}"
    folder.mkdir(parents=True)
    lines = ['{"step": 5, "loss": 0.5, "lr": 0.001, "norm": 2, "steps_per_second": 4}', '{"step": 10, "loss": 0.4}',
             '{"step": 10, "held_out_loss": 0.6, "seen": 3}', '{"step": 11, "lo']  # fmt: skip
    (folder / "log.jsonl").write_text("\n".join(lines))
    (folder / "sample-000010.png").write_bytes(png((32, 32)))
    (folder / "loss.png").write_bytes(png((9, 9)))
    told = here.client.get(address).json()
    assert [(one["step"], one["loss"]) for one in told["points"]] == [(5, 0.5), (10, 0.4), (10, None)]
    assert (told["points"][2]["held_out_loss"], told["points"][2]["more"]) == (0.6, {"seen": 3.0})
    assert (told["speed"], [one["step"] for one in told["samples"]]) == (4.0, [10])
    assert Image.open(io.BytesIO(here.client.get(told["samples"][0]["url"]).content)).size == (32, 32)
    assert Image.open(io.BytesIO(here.client.get(told["curve"]).content)).size == (9, 9)
    assert here.client.get(f"{address}/samples/11").status_code == 404
    other = here.client.post(f"{API}/jobs", json={"recipes": [{"prompt": "a cat"}]}).json()[0]["id"]
    assert here.client.get(f"{API}/jobs/{other}/training").status_code == 404


def test_a_data_set_is_cut_into_a_new_one_alone(here: Served) -> None:
    for name in ("dogs", "there"):
        here.client.post(f"{API}/datasets", json={"name": name})

    def ask(out: str, **settings: object) -> Any:
        work = {"kind": "cut-set", "dataset": "dogs", "out": out, "settings": settings}
        return here.client.post(f"{API}/errands", json={"work": work})

    asked = ask("dogs-512", flips=["both"])
    assert (asked.status_code, asked.json()["kind"], asked.json()["body"]["out"]) == (202, "cut-set", "dogs-512")
    assert [ask("there").status_code, ask("../dogs").status_code, ask("new", shortest=800).status_code] == [422] * 3
    assert "already" in ask("there").json()["message"]
