"""Terms of use: shown, accepted where that is wanted, and asked for anew when they change."""

from fromnoise.jobs.options import Options

from .conftest import Served

ORDER = {"recipes": [{"prompt": "a cat"}]}


def test_users_accept_terms_before_any_door_takes_their_orders(served: Served) -> None:
    client, ann, database = served.client, served.token("ann"), served.context.queue.database
    Options(terms="Be kind.").save(database)
    assert client.get("/api/v1/terms", headers=ann).json() == {"text": "Be kind.", "digest": None, "accepted": True}
    assert client.post("/api/v1/jobs", json=ORDER, headers=ann).status_code == 202

    Options(terms="Be kind.", accept_terms=1).save(database)
    for path, body in (("/api/v1/jobs", ORDER), ("/sdapi/v1/txt2img", {"prompt": "a cat"}),
                       ("/v1/images/generations", {"prompt": "a cat"})):  # fmt: skip
        refused = client.post(path, json=body, headers=ann)
        assert (refused.status_code, "terms" in refused.text) == (403, True), path
    told = client.get("/api/v1/terms", headers=ann).json()
    assert told["accepted"] is False
    assert client.post("/api/v1/terms", json={"digest": "0" * 64}, headers=ann).status_code == 409
    assert client.post("/api/v1/terms", json={"digest": told["digest"]}, headers=ann).json()["accepted"] is True
    assert client.post("/api/v1/jobs", json=ORDER, headers=ann).status_code == 202

    Options(terms="Be very kind.", accept_terms=1).save(database)
    assert client.post("/api/v1/jobs", json=ORDER, headers=ann).status_code == 403
