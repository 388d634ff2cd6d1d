"""OpenAI's images API, spoken by hand and by OpenAI's own client."""

import base64

import pytest

from .conftest import Served, png


def test_a_picture_is_waited_for(working: Served) -> None:
    response = working.client.post("/v1/images/generations", json={"prompt": "a cat", "n": 2, "steps": 2})
    assert response.status_code == 200, response.text
    pictures = response.json()["data"]
    assert len(pictures) == 2
    assert base64.b64decode(pictures[0]["b64_json"])[:4] == b"\x89PNG"
    assert pictures[0]["revised_prompt"] == "a cat"


def test_an_address_can_be_asked_for(working: Served) -> None:
    wanted = {"prompt": "a cat", "response_format": "url", "size": "128x64", "model": "dall-e-3"}
    (picture,) = working.client.post("/v1/images/generations", json=wanted).json()["data"]
    assert working.client.get(picture["url"]).content[:4] == b"\x89PNG"
    job = working.client.get("/api/v1/jobs").json()["jobs"][0]["body"]
    assert (job["width"], job["height"], job["model"]) == (128, 64, "builtin")


def test_edits_and_variations_start_from_the_picture(working: Served) -> None:
    hole = png((32, 24), (0, 0, 0, 0), "RGBA")
    files = {"image": ("a.png", png((32, 24)), "image/png"), "mask": ("m.png", hole, "image/png")}
    assert working.client.post("/v1/images/edits", files=files, data={"prompt": "a dog"}).status_code == 200
    job = working.client.get("/api/v1/jobs").json()["jobs"][0]["body"]
    assert (job["width"], job["height"], job["strength"]) == (32, 24, 1.0)
    assert job["mask"]["sha256"] != job["init"]["sha256"]
    varied = working.client.post("/v1/images/variations", files={"image": ("a.png", png(), "image/png")})
    assert varied.status_code == 200


def test_what_goes_wrong_is_said(served: Served) -> None:
    assert served.client.post("/v1/images/generations", json={"prompt": ""}).status_code == 400
    bad = served.client.post("/v1/images/generations", json={"prompt": "x", "size": "huge"})
    assert "512x512" in bad.json()["error"]["message"]
    files = {"image": ("a.png", b"none", "image/png")}
    assert served.client.post("/v1/images/variations", files=files).json()["error"]["code"] == "picture"


def test_models_are_listed(served: Served) -> None:
    assert served.client.get("/v1/models").json()["data"][0]["id"] == "builtin"


def test_openais_own_client(working: Served) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:7860/v1", http_client=working.client)
    made = client.images.generate(prompt="a cat", n=1, size="256x256", model="gpt-image-1")
    assert base64.b64decode(made.data[0].b64_json)[:4] == b"\x89PNG"
    edited = client.images.edit(image=("a.png", png(), "image/png"), prompt="a dog")
    assert edited.data[0].b64_json
    assert [model.id for model in client.models.list()] == ["builtin"]
    with pytest.raises(openai.BadRequestError, match="512x512"):
        client.images.generate(prompt="x", size="huge")


def test_pictures_come_as_events_with_previews(real: Served) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:7860/v1", http_client=real.client)
    options = {"prompt": "a cat", "model": "tiny", "size": "256x256", "stream": True, "partial_images": 2}
    events = list(client.images.generate(**options, extra_body={"steps": 40, "seed": 3}))
    *partial, last = events
    assert last.type == "image_generation.completed"
    assert base64.b64decode(last.b64_json)[:4] == b"\x89PNG"
    assert [one.type for one in partial] == ["image_generation.partial_image"] * len(partial)
    assert [one.partial_image_index for one in partial] == list(range(len(partial)))
    assert len(partial) <= 2
    assert all(base64.b64decode(one.b64_json)[:2] == b"\xff\xd8" for one in partial)
    image = ("a.png", png((64, 64)), "image/png")
    edited = list(client.images.edit(image=image, prompt="a dog", model="tiny", stream=True, extra_body={"steps": 2}))
    assert edited[-1].type == "image_edit.completed"
    whole = client.images.edit(image=[image], prompt="a dog", model="tiny", extra_body={"steps": 2, "seed": 1})
    assert base64.b64decode(whole.data[0].b64_json)[:4] == b"\x89PNG"


@pytest.mark.parametrize(("form", "start"), [("jpeg", b"\xff\xd8"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
def test_pictures_come_in_the_format_that_is_asked_for(form: str, start: bytes, working: Served) -> None:
    wanted = {"prompt": "x", "output_format": form, "output_compression": 50, "quality": "low", "background": "opaque"}
    found = working.client.post("/v1/images/generations", json=wanted)
    assert base64.b64decode(found.json()["data"][0]["b64_json"]).startswith(start)
    assert working.context.queue.jobs()[0].work.body["steps"] == 10


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"prompt": "x", "background": "transparent"}, 400, "invalid_request_error"),
        ({"prompt": "x", "model": "none-such"}, 404, "invalid_request_error"),
        ({"prompt": "x", "n": 11}, 400, "invalid_request_error"),
        ({"prompt": "x", "size": "0x0"}, 400, "invalid_request_error"),
        ({"prompt": "x", "sampler": "none-such"}, 400, "invalid_request_error"),
        ({}, 400, "invalid_request_error"),
    ],
)
def test_errors_have_openais_form(body: dict[str, object], status: int, kind: str, served: Served) -> None:
    found = served.client.post("/v1/images/generations", json=body)
    assert (found.status_code, found.json()["error"]["type"]) == (status, kind)
    assert found.json()["error"].keys() == {"message", "type", "param", "code"}


def test_a_token_that_is_wrong_is_told_in_openais_form(served: Served) -> None:
    served.token("ann")
    found = served.client.get("/v1/models")
    assert (found.status_code, found.json()["error"]["type"]) == (401, "authentication_error")
