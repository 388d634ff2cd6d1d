"""Where memory runs out, in whichever part, the picture is finished with a tighter plan, and one line says so."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_control
import torch
from PIL import Image

from fromnoise.adapters.adapter import Strengths
from fromnoise.adapters.patched import Copies, Patched
from fromnoise.engine import control_networks, library
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Plan, place
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.residence import Residence
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.controlnet import ControlNet
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import Decoder, Encoder
from tests.engine.test_networks import write_lora
from tests.tiny_control import written

PARTS = {"text": CLIPText, "U-Net": UNet, "ControlNet": ControlNet, "encoder": Encoder, "decoder": Decoder}
ERRORS: tuple[Exception, ...] = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
)
CPU = place("cpu", "float32")
TOLD = "out of memory: the picture goes on with less at once, more slowly"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", "sd1")


@pytest.fixture(scope="module")
def recipe(file: Path) -> Recipe:
    """Of a picture that takes every part."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file.with_name("photo.png"))
    photo = ImageRef.of(file.with_name("photo.png")).model_dump()
    control = file.with_name("control.safetensors")
    written(control, tiny_control.controlnet(loaded(file).unet, seed=1))
    return Recipe.make(
        prompt="a red apple", width=64, height=64, steps=2, strength=1.0, sampler="euler", init=photo,
        controls=[{"image": photo, "model": str(control)}],
    )  # fmt: skip


def loaded(file: Path) -> Model:
    return library.load(str(file), CPU)


def fails_once(patch: pytest.MonkeyPatch, where: object, error: Exception, what: str = "forward") -> None:
    real, calls = getattr(where, what), []

    def scarce(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return real(*arguments, **named)

    patch.setattr(where, what, scarce)


def finishes(file: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture, short: Callable[[], None]) -> Model:
    """The model, after it made the picture that it makes undisturbed, though `short` had it run out of memory once."""
    (wanted,) = generate(loaded(file), [recipe])
    model = loaded(file)
    caplog.clear()
    short()
    (made,) = generate(model, [recipe])
    difference = np.asarray(made.image, np.int16) - np.asarray(wanted.image, np.int16)
    assert abs(difference).max() <= 1
    assert caplog.messages == [TOLD]
    return model


@pytest.mark.parametrize(
    ("where", "what"), [(ControlNet, "guide"), (control_networks, "placed"), (Residence, "for_drawing")]
)
def test_what_is_done_before_the_network_works_is_done_again(
    file: Path, recipe: Recipe, where: object, what: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    finishes(file, recipe, caplog, lambda: fails_once(monkeypatch, where, MemoryError(), what))


@pytest.mark.parametrize("error", ERRORS, ids=["device", "processor", "python"])
@pytest.mark.parametrize("part", PARTS)
def test_the_picture_is_finished(
    file: Path, recipe: Recipe, part: str, error: Exception, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    model = finishes(file, recipe, caplog, lambda: fails_once(monkeypatch, PARTS[part], error))
    assert model.residence is not None
    assert model.residence.plan != Plan()


def test_loras_give_their_copies_back(file: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(file)
    write_lora(model, file.with_name("lora.safetensors"), seed=1)
    use = NetworkUse(kind="lora", name=str(file.with_name("lora.safetensors")))
    (wanted,) = generate(loaded(file), [recipe.but(networks=[use])])
    fails_once(monkeypatch, Decoder, MemoryError())
    (made,) = generate(model, [recipe.but(networks=[use])])
    assert model.kept.copies.computed
    assert not model.kept.copies.kept
    assert not model.kept.copies.room
    assert abs(np.asarray(made.image, np.int16) - np.asarray(wanted.image, np.int16)).max() <= 1


def test_a_model_that_does_not_fit_waits_in_its_file(
    file: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted,) = generate(loaded(file), [recipe])
    settle = Residence.settle

    def scarce(self: Residence, plan: Plan) -> None:
        if plan == Plan():
            raise torch.OutOfMemoryError("CUDA out of memory")
        settle(self, plan)

    monkeypatch.setattr(Residence, "settle", scarce)
    monkeypatch.setattr(library, "free", lambda device: 1 << 31)
    monkeypatch.setattr(library, "scarce", lambda residence: None)
    model = loaded(file)
    assert model.budget == 1 << 31
    model = library.load(str(file), CPU, budget=600_000_000)
    (made,) = generate(model, [recipe])
    assert abs(np.asarray(made.image, np.int16) - np.asarray(wanted.image, np.int16)).max() <= 1


def test_copies_can_be_done_without(file: Path) -> None:
    model = loaded(file)
    copies = Copies()
    write_lora(model, file.with_name("other.safetensors"), seed=2)
    adapter = model.networks.lora(NetworkUse(kind="lora", name=str(file.with_name("other.safetensors"))))
    patched = Patched("unet", ((adapter, Strengths()),), copies)
    with patched.applied(model.unet):
        assert copies.computed == 1
    copies.do_without()
    with patched.applied(model.unet):
        assert any(layer.patches for layer in model.unet.modules() if hasattr(layer, "patches"))
    assert copies.computed == 1
