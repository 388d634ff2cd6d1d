"""What a client written for AUTOMATIC1111 1.10 sees: every route, its status, its fields, its errors."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from fromnoise.server.app import inner_app
from fromnoise.server.sdapi.options import defaults

from .conftest import Served, png

PICTURE = base64.b64encode(png((64, 64))).decode()
SMALL = {"width": 64, "height": 64, "steps": 2}
STATE = {"skipped", "interrupted", "stopping_generation", "job", "job_count", "job_timestamp", "job_no",
         "sampling_step", "sampling_steps"}  # fmt: skip
RAISED = {"error", "detail", "body", "errors"}

Fields = set[str] | type | None  # of the answer, or of the first of a list; a type; None: null
CALLS: list[tuple[str, str, Any, int, Fields]] = [
    ("GET", "/sdapi/v1/samplers", None, 200, {"name", "aliases", "options"}),
    ("GET", "/sdapi/v1/schedulers", None, 200, {"name", "label", "aliases", "default_rho", "need_inner_model"}),
    ("GET", "/sdapi/v1/upscalers", None, 200, {"name", "model_name", "model_path", "model_url", "scale"}),
    ("GET", "/sdapi/v1/latent-upscale-modes", None, 200, {"name"}),
    ("GET", "/sdapi/v1/sd-models", None, 200, {"title", "model_name", "hash", "sha256", "filename", "config"}),
    ("GET", "/sdapi/v1/sd-vae", None, 200, list),
    ("GET", "/sdapi/v1/sd-modules", None, 200, list),
    ("GET", "/sdapi/v1/hypernetworks", None, 200, list),
    ("GET", "/sdapi/v1/face-restorers", None, 200, list),
    ("GET", "/sdapi/v1/realesrgan-models", None, 200, {"name", "path", "scale"}),
    ("GET", "/sdapi/v1/prompt-styles", None, 200, list),
    ("GET", "/sdapi/v1/embeddings", None, 200, {"loaded", "skipped"}),
    ("GET", "/sdapi/v1/loras", None, 200, list),
    ("GET", "/sdapi/v1/extensions", None, 200, list),
    ("GET", "/sdapi/v1/scripts", None, 200, {"txt2img", "img2img"}),
    ("GET", "/sdapi/v1/script-info", None, 200, {"name", "is_alwayson", "is_img2img", "args"}),
    ("GET", "/sdapi/v1/options", None, 200, {*defaults()}),
    ("POST", "/sdapi/v1/options", {"CLIP_stop_at_last_layers": 1}, 200, None),
    ("POST", "/sdapi/v1/options", {"sd_model_checkpoint": "none such"}, 500, RAISED),
    ("POST", "/sdapi/v1/options", {"none_such": 1}, 500, RAISED),
    ("POST", "/sdapi/v1/options", [1], 422, {"detail"}),
    ("GET", "/sdapi/v1/cmd-flags", None, 200, dict),
    ("GET", "/sdapi/v1/memory", None, 200, {"ram", "cuda"}),
    ("GET", "/sdapi/v1/progress", None, 200, {"progress", "eta_relative", "state", "current_image", "textinfo"}),
    ("GET", "/sdapi/v1/progress?skip_current_image=many", None, 422, {"detail"}),
    ("POST", "/sdapi/v1/interrupt", None, 200, dict),
    ("POST", "/sdapi/v1/skip", None, 200, None),
    ("POST", "/sdapi/v1/refresh-checkpoints", None, 200, None),
    ("POST", "/sdapi/v1/refresh-vae", None, 200, None),
    ("POST", "/sdapi/v1/refresh-loras", None, 200, None),
    ("POST", "/sdapi/v1/refresh-embeddings", None, 200, None),
    ("POST", "/sdapi/v1/unload-checkpoint", None, 200, dict),
    ("POST", "/sdapi/v1/reload-checkpoint", None, 200, dict),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "prompt": "a cat"}, 200, {"images", "parameters", "info"}),
    ("POST", "/sdapi/v1/txt2img", {"steps": "many"}, 422, {"detail"}),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "sampler_name": "None such"}, 400, RAISED),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "script_name": "none such"}, 422, RAISED),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "script_name": "loopback"}, 422, RAISED),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "alwayson_scripts": {"none such": {"args": []}}}, 422, RAISED),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "alwayson_scripts": {"x/y/z plot": {"args": []}}}, 422, RAISED),
    ("POST", "/sdapi/v1/txt2img", {**SMALL, "styles": ["none such"]}, 422, RAISED),
    ("POST", "/sdapi/v1/img2img", {**SMALL, "init_images": [PICTURE]}, 200, {"images", "parameters", "info"}),
    ("POST", "/sdapi/v1/img2img", SMALL, 404, RAISED),
    ("POST", "/sdapi/v1/img2img", {**SMALL, "init_images": ["bm90aGluZw=="]}, 422, RAISED),
    ("POST", "/sdapi/v1/img2img", {**SMALL, "init_images": ["http://127.0.0.1/x.png"]}, 422, RAISED),
    ("POST", "/sdapi/v1/extra-single-image", {"image": PICTURE}, 200, {"html_info", "image"}),
    ("POST", "/sdapi/v1/extra-single-image", {"image": ""}, 422, RAISED),
    ("POST", "/sdapi/v1/extra-single-image", {"image": PICTURE, "codeformer_visibility": 1}, 200,
     {"html_info", "image"}),
    ("POST", "/sdapi/v1/extra-batch-images", {"imageList": [{"data": PICTURE, "name": "a"}]}, 200,
     {"html_info", "images"}),
    ("POST", "/sdapi/v1/extra-batch-images", {}, 422, {"detail"}),
    ("POST", "/sdapi/v1/png-info", {"image": PICTURE}, 200, {"info", "items", "parameters"}),
    ("POST", "/sdapi/v1/png-info", {}, 422, {"detail"}),
    ("POST", "/sdapi/v1/interrogate", {"model": "clip"}, 404, RAISED),
    ("POST", "/sdapi/v1/interrogate", {"image": PICTURE, "model": "none such"}, 404, RAISED),
    ("POST", "/sdapi/v1/create/embedding", {"name": "x"}, 422, RAISED),
    ("POST", "/sdapi/v1/create/hypernetwork", {"name": "x"}, 422, RAISED),
    ("POST", "/sdapi/v1/train/embedding", {}, 422, RAISED),
    ("POST", "/sdapi/v1/train/hypernetwork", {}, 422, RAISED),
    ("POST", "/internal/progress", {"id_task": "none"}, 200, {"active", "queued", "completed", "progress", "eta",
     "live_preview", "id_live_preview", "textinfo"}),
    ("GET", "/internal/pending-tasks", None, 200, {"size", "tasks"}),
    ("GET", "/internal/ping", None, 200, dict),
    ("GET", "/internal/sysinfo", None, 200, {"Platform", "Python", "Version", "Config", "Extensions", "RAM", "CPU"}),
    ("GET", "/internal/sysinfo-download", None, 200, {"Platform"}),
    ("GET", "/internal/profile-startup", None, 200, {"total", "records"}),
    ("GET", "/controlnet/model_list", None, 200, {"model_list"}),
    ("GET", "/controlnet/module_list", None, 200, {"module_list"}),
    ("GET", "/controlnet/control_types", None, 200, {"control_types"}),
    ("GET", "/controlnet/version", None, 200, {"version"}),
    ("GET", "/controlnet/settings", None, 200, {"control_net_unit_count"}),
    ("POST", "/controlnet/detect", {"controlnet_module": "none such"}, 422, RAISED),
    ("POST", "/controlnet/detect", {"controlnet_module": "canny"}, 422, RAISED),
    ("POST", "/controlnet/detect", {"controlnet_module": "canny", "controlnet_input_images": [PICTURE]}, 200,
     {"images", "info"}),
    ("GET", "/sdapi/v1/none-such", None, 404, {"detail"}),
    ("GET", "/sdapi/v1/txt2img", None, 405, {"detail"}),
    ("POST", "/sdapi/v1/server-kill", None, 404, {"detail"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "fields"), CALLS)
def test_the_contract(method: str, path: str, body: Any, status: int, fields: Fields, shared: Served) -> None:
    content = {} if body is None else {"json": body}
    response = shared.client.request(method, path, **content)
    assert response.status_code == status, response.text[:300]
    found = response.json()
    if fields is None:
        assert found is None
    elif isinstance(fields, type):
        assert isinstance(found, fields)
    else:
        first: Mapping[str, Any] = found[0] if isinstance(found, list) else found
        assert fields <= first.keys()
    if fields is RAISED:
        assert found["error"] in ("HTTPException", "RuntimeError", "KeyError")
        assert bool(found["detail"]) != bool(found["errors"])
    assert float(response.headers["x-process-time"]) >= 0


def test_every_route_is_in_the_table(served: Served) -> None:
    known = {(method, path.partition("?")[0]) for method, path, *_ in CALLS}
    paths = inner_app(served.context).openapi()["paths"]
    ours = {
        (method.upper(), path)
        for path, methods in paths.items()
        if path.startswith(("/sdapi", "/internal", "/controlnet"))
        for method in methods
    }
    assert ours <= known
    assert len(ours) > 40


def test_wrong_fields_are_told_as_fastapi_does(served: Served) -> None:
    found = served.client.post("/sdapi/v1/txt2img", json={"steps": "many", "width": 3}).json()["detail"]
    assert [one["loc"] for one in found] == [["body", "steps"], ["body", "width"]]
    assert all(one.keys() == {"type", "loc", "msg"} for one in found)


def test_errors_are_worded_as_there(served: Served) -> None:
    post = served.client.post
    assert post("/sdapi/v1/img2img", json={}).json()["detail"] == "Init image not found"
    assert post("/sdapi/v1/txt2img", json={"script_name": "x"}).json()["detail"] == "Script 'x' not found"
    always = post("/sdapi/v1/txt2img", json={"alwayson_scripts": {"x": {}}}).json()
    assert always["detail"] == "always on script x not found"
    unknown = post("/sdapi/v1/options", json={"sd_model_checkpoint": "x"}).json()
    assert (unknown["error"], unknown["errors"]) == ("RuntimeError", "Unknown checkpoint: x")
    assert post("/sdapi/v1/interrogate", json={"image": "x", "model": "y"}).json()["detail"] == "Model not found"
    assert post("/controlnet/detect", json={}).json()["detail"] == "No image selected"
    assert served.client.get("/sdapi/v1/x").json() == {"detail": "Not Found"}


def test_a_password_is_asked_for_as_there(served: Served) -> None:
    served.token("ann")
    refused = served.client.get("/sdapi/v1/options")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Basic")
    assert served.client.get("/internal/ping").status_code == 200


def test_only_administrators_change_settings(served: Served) -> None:
    ann = served.token("ann")
    assert served.client.post("/sdapi/v1/options", json={}, headers=ann).status_code == 403
    assert served.client.get("/internal/sysinfo", headers=ann).status_code == 403


def test_settings_are_kept(served: Served) -> None:
    assert served.client.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 2}).json() is None
    served.context.options.clear()  # as after a new start
    found = served.client.get("/sdapi/v1/options").json()
    assert (found["CLIP_stop_at_last_layers"], found["sd_model_checkpoint"]) == (2, "builtin")
    refused = served.client.post("/sdapi/v1/options", json={"sd_noise_schedule": "Zero Terminal SNR"})
    assert (refused.status_code, refused.json()["error"]) == (500, "RuntimeError")
    assert served.client.post("/sdapi/v1/options", json=found).json() is None  # what was read can be written


def test_no_setting_tells_of_a_folder(served: Served) -> None:
    for path in ("options", "sd-models", "cmd-flags", "loras", "upscalers", "memory"):
        assert str(served.context.outputs.parent) not in served.client.get(f"/sdapi/v1/{path}").text
    assert str(served.context.outputs.parent) not in served.client.get("/internal/sysinfo").text
