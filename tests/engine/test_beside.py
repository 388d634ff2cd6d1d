"""Upscalers, faces and preprocessors have room: on a small budget the model makes way, and tiles get smaller."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine import beside, control, memory
from fromnoise.engine.beside import demand, enlarging, seeing, with_faces
from fromnoise.engine.enlarge import enlarged, upscaler
from fromnoise.engine.footprint import BASE
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_upscale import FaceRestoration
from fromnoise.engine.residence import Residence
from fromnoise.nn.srvgg import SRVGGNetCompact
from fromnoise.upscalers import files
from fromnoise.upscalers.files import FileUpscaler
from fromnoise.upscalers.work import Work
from tests.engine.models import tiny_model

NAME = "R-ESRGAN AnimeVideo"
RECIPE = Recipe.make(
    prompt="a red apple", width=64, height=64, steps=2, sampler="euler",
    hires={"scale": 2.0, "steps": 2, "strength": 0.5, "upscaler": NAME},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a budget is planned with."""
    monkeypatch.setattr(memory, "SLACK", 0)


class Recording(Residence):
    """Notes when the weights step aside and come back."""

    notes: list[str]

    def step_aside(self) -> None:
        self.notes.append("aside")
        super().step_aside()

    def come_forward(self) -> None:
        if self.aside:
            self.notes.append("back")
        super().come_forward()


def resident(limit: int | None = None) -> tuple[Model, list[str]]:
    """A model whose weights are ready in bfloat16, beside those in its file."""
    model = tiny_model()
    placement = replace(model.placement, dtype=torch.bfloat16)
    residence = Recording(model.unet, model.text, model.vae, placement)
    residence.notes = []
    residence.settle(residence.plan)
    assert residence.here > 0
    return replace(model, residence=residence, placement=placement, limit=limit), residence.notes


def noise(side: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def tried(model: Model, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], Image.Image]:
    """The largest side that the network was shown at once, each time, and what came of it."""
    sides: list[int] = []
    real = files.applied

    def noting(network: object, image: Image.Image, work: Work) -> Image.Image:
        sides.append(work.tile)
        return real(network, image, work)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "applied", noting)
    by = upscaler(NAME)
    return sides, enlarging(model, by, lambda how: enlarged(noise(), 384, 384, by, how))


def needs(tile: int) -> int:
    by = upscaler(NAME)
    assert isinstance(by, FileUpscaler)
    weights, pixel = demand(by.path, files.stamp(by.path), torch.float32)
    return weights + pixel * tile**2


def test_with_room_for_both_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    model, notes = resident(BASE + needs(256) + 10_000_000)
    assert tried(model, monkeypatch)[0] == [256]
    assert not notes


def test_without_the_model_makes_way_and_then_tiles_get_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    model, notes = resident(BASE + needs(256))
    sides, wanted = tried(model, monkeypatch)
    assert (sides, notes) == ([256], ["aside"])
    assert not files.loaded.cache_info().currsize, "what was loaded went"
    model, notes = resident(BASE + needs(64))
    sides, made = tried(model, monkeypatch)
    assert (sides, notes) == ([64], ["aside"])
    assert abs(np.asarray(made, int) - np.asarray(wanted, int)).mean() < 0.5, "tiles overlap less than it sees"
    model, notes = resident(BASE)
    assert tried(model, monkeypatch)[0] == [32], "less there is not"


def test_the_demand_of_an_upscaler_is_what_it_holds() -> None:
    """Its layers of 64 channels, in and out, at the picture's own size."""
    assert 2 * 64 * 4 <= (needs(64) - needs(32)) / (64**2 - 32**2) <= 4 * 64 * 4


def test_what_is_free_counts_where_no_limit_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model, notes = resident()
    ready = beside.ready(model)
    monkeypatch.setattr(beside, "free", lambda device: needs(64) - ready)
    assert tried(model, monkeypatch)[0] == [64]
    assert notes == ["aside"]
    monkeypatch.setattr(beside, "free", lambda device: None)
    model, notes = resident()
    assert tried(model, monkeypatch)[0] == [256]
    assert not notes


def failing(real: Callable[..., object], times: int) -> Callable[..., object]:
    calls = []

    def scarce(*given: object, **named: object) -> object:
        calls.append(1)
        if len(calls) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*given, **named)

    return scarce


def test_where_memory_runs_out_all_the_same_it_is_done_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (wanted,) = generate(resident()[0], [RECIPE])
    model, notes = resident()
    forward = failing(SRVGGNetCompact.forward, 4)  # at 256, 128, 64 and 32 pixels
    monkeypatch.setattr(SRVGGNetCompact, "forward", lambda *given: forward(*given))
    caplog.clear()
    (made,) = generate(model, [RECIPE])
    assert made.image.tobytes() == wanted.image.tobytes()
    assert notes == ["aside", "back"]
    assert caplog.messages == [
        *["out of memory: the upscaler goes on in smaller tiles, more slowly"] * 3,
        "out of memory: the picture goes on with less at once, more slowly",
    ]


def test_faces_are_drawn_anew_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "GFPGAN.pth"
    path.write_bytes(bytes(1000))
    monkeypatch.setattr(beside, "network_path", lambda wanted, settings: path)
    monkeypatch.setattr(beside, "restored", failing(lambda image, *_: image, 1))
    model, notes = resident()
    assert with_faces(model, noise(), FaceRestoration()).size == (96, 96)
    assert notes == ["aside"]
    monkeypatch.setattr(beside, "restored", lambda image, *_: image)
    model, notes = resident(BASE + beside.AT_WORK + 2000)
    with_faces(model, noise(), FaceRestoration())
    assert notes == ["aside"]
    monkeypatch.setattr(beside, "restored", failing(lambda image, *_: image, 2))
    with pytest.raises(torch.OutOfMemoryError):
        with_faces(model, noise(), FaceRestoration())


def test_preprocessors_with_networks_have_room(tmp_path: Path) -> None:
    (tmp_path / "depth_midas").mkdir()
    (tmp_path / "depth_midas" / "model.safetensors").write_bytes(bytes(1000))
    model, notes = resident(BASE + beside.AT_WORK + 1000)
    assert seeing(model, "depth_midas", [tmp_path], lambda: 7) == 7
    assert notes == ["aside"]
    model, notes = resident(BASE)
    assert seeing(model, "canny", [tmp_path], lambda: 7) == 7
    assert not notes, "it has no network"


def test_hints_are_made_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noting(model: Model, preprocessor: str, folders: list[Path], work: Callable[[], Tensor]) -> Tensor:
        seen.append(preprocessor)
        return work()

    monkeypatch.setattr(control, "seeing", noting)
    noise(64).save(tmp_path / "photo.png")
    photo = ImageRef.of(tmp_path / "photo.png").model_dump()
    recipe = Recipe.make(
        prompt="a red apple", width=64, height=64, steps=1, sampler="euler",
        controls=[{"image": photo, "preprocessor": "reference_only"}],
    )  # fmt: skip
    list(generate(tiny_model(), [recipe]))
    assert seen == ["reference_only"]


def test_models_without_a_plan_make_way_for_nobody() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        enlarging(tiny_model(), upscaler("Lanczos"), failing(lambda how: None, 1))
