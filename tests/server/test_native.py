"""Our own API: jobs are taken once, seen by their owners, followed, changed and fetched."""

from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy.exc import OperationalError

from fromnoise.jobs.queue import Queue
from fromnoise.jobs.traces import TracedStep

from .conftest import Served, png

RECIPE = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}


def order(
    served: Served, count: int = 1, headers: dict[str, str] | None = None, **more: object
) -> list[dict[str, object]]:
    recipes = [{**RECIPE, "seed": seed} for seed in range(count)]
    response = served.client.post("/api/v1/jobs", json={"recipes": recipes, **more}, headers=headers)
    assert response.status_code == 202, response.text
    return response.json()  # type: ignore[no-any-return]


def test_a_job_from_order_to_picture(served: Served) -> None:
    (job,) = order(served)
    url = f"/api/v1/jobs/{job['id']}"
    assert (job["state"], job["body"]["prompt"]) == ("queued", "a red apple")  # type: ignore[index]
    assert served.client.get(f"{url}/place").json()["ahead"] == 0
    assert served.client.get(f"{url}/preview").status_code == 204
    served.work()
    done = served.client.get(url).json()
    assert (done["state"], done["progress"]) == ("done", 1.0)
    (result,) = served.client.get(f"{url}/results").json()
    picture = served.client.get(result["url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content[:4] == b"\x89PNG"
    assert served.client.get(f"{url}/place").status_code == 409


def test_the_same_key_is_the_same_order(served: Served) -> None:
    first, again = order(served, 3, key="abc"), order(served, 3, key="abc")
    assert [job["id"] for job in first] == [job["id"] for job in again]
    assert {job["group"] for job in first} == {"abc"}
    other = served.client.post("/api/v1/jobs", json={"recipes": [RECIPE], "key": "abc"})
    assert other.status_code == 422
    assert "belongs to another job" in other.json()["message"]


def test_jobs_come_in_pages_the_newest_first(served: Served) -> None:
    ids = [job["id"] for job in order(served, 5)]
    page = served.client.get("/api/v1/jobs?limit=3").json()
    rest = served.client.get(f"/api/v1/jobs?limit=3&before={page['before']}").json()
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == sorted(ids, reverse=True)
    assert rest["before"] is None
    assert served.client.get("/api/v1/jobs?state=done").json()["jobs"] == []


def test_everyone_sees_their_own_and_administrators_all(served: Served) -> None:
    ann, bob, root = served.token("ann"), served.token("bob"), served.token("root", admin=True)
    (job,) = order(served, headers=ann)
    url = f"/api/v1/jobs/{job['id']}"
    assert served.client.get(url, headers=ann).status_code == 200
    assert served.client.get(url, headers=root).status_code == 200
    for call in (
        served.client.get(url, headers=bob),
        served.client.post(f"{url}/cancel", headers=bob),
        served.client.get(f"{url}/results", headers=bob),
        served.client.get(f"{url}/results/0", headers=bob),
        served.client.delete(url, headers=bob),
        served.client.put(f"{url}/place", json={"before": None}, headers=bob),
    ):
        assert call.status_code == 404
    assert served.client.get(url).status_code == 401
    assert served.client.put("/api/v1/queue", json={"held": True}, headers=ann).status_code == 403


def test_jobs_are_cancelled_paused_resumed_and_moved(served: Served) -> None:
    first, second = order(served, 2)
    url = f"/api/v1/jobs/{first['id']}"
    assert served.client.post(f"{url}/pause").json()["state"] == "paused"
    assert served.client.post(f"{url}/pause").status_code in (200, 409)
    assert served.client.post(f"{url}/resume").json()["state"] == "queued"
    served.client.put(f"/api/v1/jobs/{second['id']}/place", json={"before": first["id"]})
    assert [job["id"] for job in served.client.get("/api/v1/line").json()] == [second["id"], first["id"]]
    assert served.client.post(f"{url}/cancel").json()["state"] == "cancelled"
    assert served.client.post(f"{url}/cancel").status_code == 409
    assert served.client.post(f"{url}/explode").status_code == 422
    assert served.client.delete(url).status_code == 204
    assert served.client.get(url).status_code == 404


def test_a_full_queue_says_when_to_come_back(served: Served) -> None:
    limits = type(served.context.queue.limits)(total=4, per_owner=3)
    object.__setattr__(served.context.queue, "limits", limits)
    ann, bob = served.token("ann"), served.token("bob")
    order(served, 3, headers=ann)
    mine = served.client.post("/api/v1/jobs", json={"recipes": [RECIPE]}, headers=ann)
    assert (mine.status_code, mine.json()["error"]) == (429, "queue-full")
    assert int(mine.headers["retry-after"]) >= 1
    all_ = served.client.post("/api/v1/jobs", json={"recipes": [RECIPE] * 2}, headers=bob)
    assert all_.status_code == 503


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"recipes": []}, "recipes"),
        ({"recipes": [{"prompt": "x", "width": 65}]}, "multiple of 8"),
        ({"recipes": [{"sampler": "euller"}]}, "did you mean 'euler'"),
        ({"recipes": [{"schedule": "karas"}]}, "did you mean 'karras'"),
        ({"recipes": [RECIPE], "folder": "../x"}, "plain names"),
        ({"recipes": [RECIPE], "colour": 1}, "colour"),
        ({"recipes": [{"promt": "x"}]}, "promt"),
    ],
)
def test_bad_orders_say_what_is_wrong(served: Served, body: dict[str, object], message: str) -> None:
    response = served.client.post("/api/v1/jobs", json=body)
    assert response.status_code == 422
    assert message in response.json()["message"]
    assert served.client.get("/api/v1/jobs").json()["jobs"] == []


def test_pictures_are_sent_and_named_by_their_hash_and_never_by_a_path(served: Served, tmp_path: Path) -> None:
    sent = served.client.post("/api/v1/images", content=png((24, 16)))
    assert sent.status_code == 201
    kept = sent.json()
    assert (kept["width"], kept["height"], kept["media"]) == (24, 16, "image/png")
    start = {**RECIPE, "init": {"path": "/etc/passwd", "sha256": kept["sha256"]}, "strength": 0.5}
    job = served.client.post("/api/v1/jobs", json={"recipes": [start]}).json()[0]
    assert job["body"]["init"]["path"] == f"{kept['sha256']}.png"  # clients are told no folders
    body = served.context.queue.get(job["id"]).work.body
    assert Path(body["init"]["path"]).is_relative_to(tmp_path / "uploads")
    stranger = {**start, "init": {"path": "/etc/passwd", "sha256": "0" * 64}}
    assert served.client.post("/api/v1/jobs", json={"recipes": [stranger]}).status_code == 404


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4"])
def test_what_is_no_picture_is_refused(served: Served, data: bytes) -> None:
    assert served.client.post("/api/v1/images", content=data).json()["error"] == "picture"


def test_a_picture_with_a_huge_header_is_refused(served: Served) -> None:
    bomb = bytearray(png())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    assert served.client.post("/api/v1/images", content=bytes(bomb)).status_code in (413, 422)


def test_results_outside_the_outputs_are_not_there(served: Served, tmp_path: Path) -> None:
    from fromnoise.jobs.job import Result

    (tmp_path / "secret.png").write_bytes(png())
    (job,) = order(served)
    served.leases.claim("w", 1)
    served.leases.finish("w", str(job["id"]), [Result("../secret.png")])
    assert served.client.get(f"/api/v1/jobs/{job['id']}/results/0").status_code == 404


def test_the_catalogue_and_the_server_itself(served: Served) -> None:
    found = served.client.get("/api/v1/catalogue").json()
    assert {"euler", "dpmpp_2m"} <= {choice["name"] for choice in found["samplers"]}
    assert found["recipe"]["properties"]["prompt"]["description"] == "What to see."
    told = {field["path"]: field for field in found["fields"]}
    assert told["hires.scale"]["explanation"] == "Times the size of the first pass."
    assert told["hires.scale"]["explanation_zh"] == "第一遍尺寸的倍数。"
    euler = next(choice for choice in found["samplers"] if choice["name"] == "euler")
    assert euler["options"]["s_tmax"] is None  # JSON has no infinity
    canny = next(choice for choice in found["preprocessors"] if choice["name"] == "canny")
    assert [(one["low"], one["high"]) for one in canny["parameters"]] == [(0, 256), (0, 256)]
    assert any(choice["latent"] for choice in found["upscalers"])
    assert {"native", "a1111"} <= {choice["name"] for choice in found["profiles"]}
    order(served, 2)
    about = served.client.get("/api/v1/about").json()
    assert (about["user"], about["role"], about["counts"]["queued"]) == ("local", "admin", 2)
    assert served.client.put("/api/v1/queue", json={"held": True}).json() == {"held": True}


def test_operators_see_health_and_figures(served: Served) -> None:
    order(served, 3)
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.client.get("/readyz").status_code == 200
    assert 'fromnoise_jobs{state="queued"} 3.0' in served.client.get("/metrics").text
    assert served.client.get("/metrics", headers=served.token("ann")).status_code == 403
    served.leases.retire("w")
    none = served.client.get("/readyz")
    assert (none.status_code, none.json()) == (503, {"database": "ok", "workers": 0})


def test_who_is_not_ready_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_queue: Queue) -> list[object]:
        raise OperationalError("SELECT", {}, Exception("the connection is refused at 10.0.0.7"))

    monkeypatch.setattr(Queue, "workers", gone)
    found = served.client.get("/readyz")
    assert (found.status_code, found.json()) == (503, {"database": "unreachable", "workers": 0})
    assert served.client.get("/healthz").status_code == 200


def test_traces_are_served_under_their_jobs(served: Served) -> None:
    ann, bob = served.token("ann"), served.token("bob")
    (job,) = order(served, headers=ann, trace=True)
    assert job["trace"] is True
    url = f"/api/v1/jobs/{job['id']}/trace"
    assert served.client.get(url, headers=ann).json() == {"steps": []}
    grey = [Image.new("L", (4, 4), 9)]
    step = TracedStep(0, 14.5, 4, 4, 1, ("red",), 4, 4)
    served.context.traces.write(str(job["id"]), step, {"predicted": grey, "channels": grey, "attention": grey})
    (seen,) = served.client.get(url, headers=ann).json()["steps"]
    assert (seen["sigma"], seen["words"][0]["text"]) == (14.5, "red")
    for address in (seen["predicted"], seen["channels"][0], seen["words"][0]["map"]):
        assert served.client.get(address, headers=ann).headers["content-type"] in ("image/webp", "image/png")
        assert served.client.get(address, headers=bob).status_code == 404
    assert served.client.get(seen["noise"], headers=ann).status_code == 404
