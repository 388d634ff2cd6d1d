"""The machine, the service's settings, everyone's preferences, and errands over HTTP."""

import json
from pathlib import Path

import pytest

from .conftest import Served, png
from .test_gallery import hang

HASH = "0" * 64


def test_the_machine_tells_how_it_is(served: Served) -> None:
    served.leases.beat("w", {"dtype": "float32", "name": "cpu", "torch": "2", "used": 5, "models": ["builtin"]})
    machine = served.client.get("/api/v1/machine").json()
    assert (machine["cores"] >= 1, machine["disk"]["free"] > 0, machine["database"]) == (True, True, "sqlite")
    (worker,) = machine["workers"]
    assert (worker["device"], worker["used"], worker["models"], worker["jobs"]) == ("cpu", 5, ["builtin"], 0)
    assert served.client.get("/api/v1/machine", headers=served.token("ann")).status_code == 403


def test_settings_have_sentences_and_limits(served: Served) -> None:
    found = {one["name"]: one for one in served.client.get("/api/v1/settings").json()["settings"]}
    assert all(one["title"] and one["title_zh"] and one["explanation_zh"] for one in found.values())
    assert (found["together"]["kind"], found["together"]["minimum"], found["together"]["default"]) == ("whole", 1, 4)
    changed = served.client.put("/api/v1/settings", json={"values": {"together": 2}}).json()
    assert next(one for one in changed["settings"] if one["name"] == "together")["value"] == 2
    bad = served.client.put("/api/v1/settings", json={"values": {"together": 0}})
    assert (bad.status_code, "together" in bad.json()["message"]) == (422, True)
    assert served.client.put("/api/v1/settings", json={"values": {"to": 0}}).status_code == 422
    served.client.put("/api/v1/settings", json={"values": {"terms": "be kind"}})
    assert served.client.get("/api/v1/about").json()["terms"] == "be kind"
    assert served.client.get("/api/v1/settings", headers=served.token("ann")).status_code == 403


def test_preferences_are_everyones_own(served: Served) -> None:
    ann, bob = served.token("ann"), served.token("bob")
    assert served.client.put("/api/v1/preferences", json={"values": {"language": "zh"}}, headers=ann).status_code == 200
    assert served.client.get("/api/v1/preferences", headers=ann).json() == {"values": {"language": "zh"}}
    assert served.client.get("/api/v1/preferences", headers=bob).json() == {"values": {}}
    large = {"values": {"x": "y" * 300_000}}
    assert served.client.put("/api/v1/preferences", json=large, headers=ann).status_code == 422


def test_errands_are_queued_with_their_picture(served: Served, tmp_path: Path) -> None:
    sent = served.client.post("/api/v1/images", content=png()).json()["sha256"]
    work = {"kind": "upscale", "picture": sent, "settings": {"scale": 2}}
    job = served.client.post("/api/v1/errands", json={"work": work}).json()
    assert (job["kind"], job["body"]["picture"]["sha256"]) == ("upscale", sent)
    assert job["body"]["settings"]["scale"] == 2
    stored = served.context.queue.get(job["id"]).work.body
    assert Path(stored["picture"]["path"]).is_relative_to(tmp_path / "uploads")
    for bad in ({"kind": "explode", "picture": sent}, {"kind": "preprocess", "picture": sent, "preprocessor": "cany"}):
        assert served.client.post("/api/v1/errands", json={"work": bad}).status_code == 422
    gone = {"kind": "verify", "picture": HASH}
    assert served.client.post("/api/v1/errands", json={"work": gone}).status_code == 404


def test_pictures_are_made_again(served: Served) -> None:
    (one,) = hang(served, 1, model="builtin", width=64, height=64)
    job = served.client.post(f"/api/v1/gallery/{one}/again", json={}).json()
    assert (job["kind"], job["body"]["prompt"], job["body"]["seed"]) == ("picture", "a red apple 0", 0)
    other = served.client.post(f"/api/v1/gallery/{one}/again", json={"seed": 5}).json()
    assert other["body"]["seed"] == 5
    (lost,) = hang(served, 1, init={"path": "x.png", "sha256": HASH})
    assert "not here any more" in served.client.post(f"/api/v1/gallery/{lost}/again", json={}).json()["message"]


def test_users_have_folders_of_their_own(served: Served) -> None:
    ann = served.token("ann")
    body = {"recipes": [{"prompt": "x", "width": 64, "height": 64}], "folder": "cats"}
    job = served.client.post("/api/v1/jobs", json=body, headers=ann).json()[0]
    assert served.context.queue.get(job["id"]).work.folder == "ann/cats"
    mine = served.client.post("/api/v1/jobs", json=body, headers=served.token("local", admin=True)).json()[0]
    assert served.context.queue.get(mine["id"]).work.folder == "cats"


TOLD = {
    "kinds": ["shout"],
    "panels": [{"title": "Shout", "title_zh": "", "work": "shout",
                "inputs": [{"name": "words", "label": "Words", "label_zh": "", "kind": "text", "choices": [],
                            "default": None}]}],
    "catalogue": {"samplers": [{"name": "euler_twin", "label": "Euler twin"}], "schedules": [], "others": {}},
    "faults": ["kinds: ValueError: no"],
}  # fmt: skip


def test_extensions_are_known_by_what_workers_tell(served: Served) -> None:
    recipe = {"prompt": "x", "width": 64, "height": 64, "sampler": "euler_twin"}
    assert served.client.post("/api/v1/jobs", json={"recipes": [recipe]}).status_code == 422
    served.leases.beat("w", {"extensions": TOLD})
    assert served.client.post("/api/v1/jobs", json={"recipes": [recipe]}).status_code == 202
    assert "euler_twin" in [one["name"] for one in served.client.get("/api/v1/catalogue").json()["samplers"]]
    found = served.client.get("/api/v1/extensions").json()
    assert (found["kinds"], found["panels"][0]["inputs"][0]["name"]) == (["shout"], "words")
    job = served.client.post("/api/v1/extensions/shout", json={"body": {"words": "hi"}}).json()
    assert (job["kind"], job["body"]) == ("shout", {"words": "hi"})
    assert served.client.post("/api/v1/extensions/import", json={"body": {"folder": "/"}}).status_code == 404
    ann = served.token("ann")
    assert served.client.get("/api/v1/extensions", headers=ann).json()["faults"] == []


def test_figures_tell_of_calls_and_jobs(served: Served, capsys: pytest.CaptureFixture[str],
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("FROMNOISE_LOG", "json")
    body = {"recipes": [{"prompt": "x", "width": 64, "height": 64}]}
    (job,) = served.client.post("/api/v1/jobs", json=body).json()
    served.work()
    served.leases.beat("w", {"used": 7})
    served.client.get(f"/api/v1/jobs/{job['id']}")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["job"] == job["id"]
    assert (lines[-1]["route"], lines[-1]["status"]) == ("/api/v1/jobs/{job}", 200)
    figures = served.client.get("/metrics").text
    assert 'fromnoise_http_requests_total{method="POST",route="/api/v1/jobs",status="202"} 1.0' in figures
    assert 'fromnoise_worker_memory_bytes{device="cpu"} 7.0' in figures
    assert 'fromnoise_job_seconds{quantile="0.5"}' in figures
    served.client.get("/nothing/made/up")
    assert "made/up" not in served.client.get("/metrics").text
