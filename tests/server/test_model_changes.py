"""Model files changed through our own API: notes, previews, the bin; checked and fetched by a worker."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.settings import Settings
from tests import hub_server
from tests.hub_server import Repo

from .conftest import Served, png
from .listening import PATIENCE


@pytest.fixture
def shelf(served: Served, tmp_path: Path) -> Path:
    """A LoRA on its shelf, with notes of another tool beside it."""
    tree = tmp_path / "models"
    (tree / "loras").mkdir(parents=True)
    (tree / "loras" / "ink.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (tree / "loras" / "ink.json").write_text(json.dumps({"sd version": "SD1", "notes": "old"}))
    object.__setattr__(served.context, "settings", replace(Settings(), models=(tree,), any_path=False))
    served.client.post("/api/v1/models/refresh")
    return tree / "loras"


def test_notes_are_written_where_other_tools_read_them(served: Served, shelf: Path) -> None:
    told = {"description": "ink on paper", "notes": "new", "trigger_words": "ink wash", "weight": 0.7}
    card = served.client.put("/api/v1/models/loras/ink.safetensors/notes", json=told).json()
    assert (card["description"], card["notes"], card["trigger_words"], card["weight"]) == (
        "ink on paper", "new", ["ink wash"], 0.7,
    )  # fmt: skip
    written = json.loads((shelf / "ink.json").read_text("utf-8"))
    assert (written["activation text"], written["sd version"]) == ("ink wash", "SD1")


def test_notes_beside_those_of_civitai_are_seen_and_theirs_stay(served: Served, shelf: Path) -> None:
    (shelf / "ink.json").write_text(json.dumps({"modelId": 5, "trainedWords": ["wash"], "name": "v1"}))
    card = served.client.put("/api/v1/models/loras/ink.safetensors/notes", json={"notes": "mine"}).json()
    assert (card["notes"], card["trigger_words"], card["page"]) == ("mine", ["wash"], "https://civitai.com/models/5")


def test_notes_that_are_no_table_are_left_alone(served: Served, shelf: Path) -> None:
    (shelf / "ink.json").write_text("[1]")
    answer = served.client.put("/api/v1/models/loras/ink.safetensors/notes", json={"notes": "mine"})
    assert answer.status_code == 422
    assert "move it away" in answer.json()["message"]
    assert (shelf / "ink.json").read_text() == "[1]"


def test_a_picture_becomes_the_preview_and_the_old_one_goes_to_the_bin(served: Served, shelf: Path) -> None:
    (shelf / "ink.preview.png").write_bytes(png())
    sent = served.client.post("/api/v1/images", content=png((64, 64), "blue")).json()["sha256"]
    card = served.client.put("/api/v1/models/loras/ink.safetensors/preview", json={"picture": sent}).json()
    assert served.client.get(card["preview"]).headers["content-type"] == "image/webp"
    assert [path.name for path in (shelf / ".bin").rglob("*.png")] == ["ink.preview.png"]


def test_a_model_goes_to_the_bin_with_what_belongs_to_it(served: Served, shelf: Path) -> None:
    gone = served.client.delete("/api/v1/models/loras/ink.safetensors").json()
    assert sorted(gone) == ["ink.json", "ink.safetensors"]
    assert sorted(path.name for path in (shelf / ".bin").rglob("ink*")) == sorted(gone)
    assert served.client.get("/api/v1/models?kind=loras").json()["models"] == []
    assert served.client.delete("/api/v1/models/checkpoints/builtin").status_code == 422
    assert served.client.delete("/api/v1/models/loras/..%2Fink.safetensors").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/api/v1/models/loras/ink.safetensors", None),
        ("PUT", "/api/v1/models/loras/ink.safetensors/notes", {"notes": "x"}),
        ("POST", "/api/v1/models/loras/ink.safetensors/check", None),
        ("POST", "/api/v1/models/download", {"name": "me/odd"}),
    ],
)
def test_only_administrators_change_models(
    served: Served, shelf: Path, method: str, path: str, body: dict[str, str] | None
) -> None:
    headers = served.token("ann")
    assert served.client.request(method, path, json=body, headers=headers).status_code == 403
    assert (shelf / "ink.safetensors").exists()


def test_a_name_that_is_none_is_told_at_once(served: Served) -> None:
    answer = served.client.post("/api/v1/models/download", json={"name": "nonsense"})
    assert answer.status_code == 422
    assert "OWNER/NAME" in answer.json()["message"]


def ended(real: Served, job: str) -> dict[str, object]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found: dict[str, object] = real.client.get(f"/api/v1/jobs/{job}").json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.05)
    raise AssertionError("it does not end")


def result(real: Served, job: str) -> dict[str, object]:
    return real.client.get(f"/api/v1/jobs/{job}/results").json()[0]["data"]  # type: ignore[no-any-return]


def test_a_file_is_checked_to_its_last_weight(real: Served) -> None:
    folder = real.context.settings.models[0] / "checkpoints"
    tensors = dict(read(folder / "tiny.safetensors").items())
    del tensors["model.diffusion_model.out.2.bias"]
    save_checkpoint(folder / "cut.safetensors", tensors, dtype=None)
    real.client.post("/api/v1/models/refresh")
    job = real.client.post("/api/v1/models/checkpoints/tiny.safetensors/check").json()["id"]
    assert (ended(real, job)["state"], result(real, job)["whole"]) == ("done", True)
    job = real.client.post("/api/v1/models/checkpoints/cut.safetensors/check").json()["id"]
    assert ended(real, job)["error"] is None
    assert result(real, job)["faults"] == {"missing": ["model.diffusion_model.out.2.bias"]}


def test_a_model_is_fetched_onto_its_shelf(real: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = real.context.settings.models[0]
    repo = Repo({"small.safetensors": (folder / "vae" / "tiny-vae.safetensors").read_bytes()}, {"license": "mit"})
    with hub_server.running({"me/small": repo}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        body = {"name": "me/small", "save_as": "mine"}
        job = real.client.post("/api/v1/models/download", json=body).json()
        found = ended(real, job["id"])
    assert (found["state"], found["error"]) == ("done", None)
    assert (folder / "vae" / "mine.safetensors").is_file()
    card = real.client.get("/api/v1/models/vae/mine.safetensors").json()
    assert card["source"] == "me/small"


def test_the_model_that_comes_with_the_package_shows_what_it_draws(served: Served) -> None:
    card = served.client.get("/api/v1/models/checkpoints/builtin").json()
    shown = served.client.get(card["preview"])
    assert shown.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(shown.content)).size == (256, 256)
    assert len(shown.content) < 20_000
