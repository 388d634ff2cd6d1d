"""All that makes a picture has room: two models, control networks, and pictures larger than those before."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_control
import torch
from PIL import Image

from fromnoise.engine import control_networks, library, memory, room
from fromnoise.engine.footprint import demand
from fromnoise.engine.generate import generate
from fromnoise.engine.graphs import CudaRecorder, of_unet
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Demand, Plan, place
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.residence import Residence
from fromnoise.engine.room import make_room, residuals, with_others
from fromnoise.errors import UserError
from fromnoise.nn.controlnet import ControlNet
from fromnoise.nn.unet import UNet
from tests.tiny_control import written

CPU = place("cpu", "float32")
RECIPE = Recipe.make(prompt="a red apple", width=64, height=64, steps=2, sampler="euler")


@pytest.fixture(autouse=True)
def _exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a budget is planned with."""
    monkeypatch.setattr(memory, "SLACK", 0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models, in numbers that are not those that they compute in."""
    folder = tmp_path_factory.mktemp("models")
    names = ("first", "second")
    return tuple(  # type: ignore[return-value]
        tiny.checkpoint(folder / f"{name}.safetensors", "sd1", seed=seed, dtype=torch.float16)
        for seed, name in enumerate(names)
    )


def loaded(file: Path, most: int | None = None) -> Model:
    return library.load(str(file), CPU, budget=most)


def residence(model: Model) -> Residence:
    assert model.residence is not None
    return model.residence


def during(monkeypatch: pytest.MonkeyPatch, note: Callable[[], None]) -> None:
    """`note` is called whenever a U-Net works."""
    forward = UNet.forward

    def noting(self: UNet, *given: object, **named: object) -> object:
        if not next(self.parameters()).is_meta:  # which is only counted
            note()
        return forward(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(UNet, "forward", noting)


def pixels(made: Sequence[object]) -> bytes:
    (one,) = made
    image: Image.Image = one.image  # type: ignore[attr-defined]
    return image.tobytes()


def test_of_two_models_one_makes_way_for_the_other(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.but(steps=4, refiner={"model": str(files[1]), "switch_at": 0.5})
    wanted = pixels(list(generate(loaded(files[0]), [recipe], refiner=loaded(files[1]))))
    needed = demand(loaded(files[0]).facts, CPU, 64, 64)
    most = needed.height(Plan(2))
    models = [loaded(file, most) for file in files]
    seen: list[tuple[bool, ...]] = []
    during(monkeypatch, lambda: seen.append(tuple(residence(model).here > 0 for model in models)))
    assert pixels(list(generate(models[0], [recipe], refiner=models[1]))) == wanted
    assert seen == [(True, False)] * 2 + [(False, True)] * 2
    both = [loaded(file, most + needed.weights + 1000) for file in files]
    assert pixels(list(generate(both[0], [recipe], refiner=both[1]))) == wanted
    assert all(residence(model).here > 0 for model in both), "there is room for both"


def with_control(folder: Path, model: Model) -> tuple[Recipe, ControlNet]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "hint.png")
    network = tiny_control.controlnet(model.unet, seed=1)
    written(folder / "control.safetensors", network.half())
    hint = ImageRef.of(folder / "hint.png").model_dump()
    return RECIPE.but(controls=[{"image": hint, "model": str(folder / "control.safetensors")}]), network


def test_control_networks_are_planned_for_and_wait_with_the_network(files: tuple[Path, Path], tmp_path: Path) -> None:
    free = loaded(files[0])
    recipe, network = with_control(tmp_path, free)
    wanted = pixels(list(generate(free, [recipe])))
    numbers = sum(parameter.numel() for parameter in network.parameters())
    plain = demand(free.facts, CPU, 64, 64)
    needed = with_others(plain, free, [recipe], (64, 64))
    assert needed.control == 4 * numbers
    assert needed.call - plain.call == 4 * residuals(free.unet.config, 8, (64, 64))
    assert needed.height(Plan(2)) >= plain.height(Plan(2)) + needed.control
    tight = Plan(2, 0.0, text=False, vae=False, alone=True, strips=True)
    assert needed.height(tight) < plain.height(tight) + needed.control
    model = loaded(files[0], needed.height(tight))
    assert pixels(list(generate(model, [recipe]))) == wanted
    assert residence(model).plan.unet < 1
    (kept,) = control_networks._known[model.unet].values()
    assert {parameter.dtype for parameter in kept.parameters()} == {torch.float16}, "as the file has them"
    (kept,) = control_networks._known[free.unet].values()
    assert {parameter.dtype for parameter in kept.parameters()} == {torch.float32}, "ready"


def test_the_residuals_of_a_control_network_are_counted(files: tuple[Path, Path]) -> None:
    model = loaded(files[0])
    network = tiny_control.controlnet(model.unet)
    x = torch.zeros(1, 4, 8, 8)
    with torch.inference_mode():
        guided = network.guide([torch.zeros(1, 3, 64, 64)])
        context = torch.zeros(1, 77, model.unet.config.context_dim)
        made = network(x, torch.tensor([1]), context, guided, None, None)
    assert sum(one.numel() for one in made) == residuals(model.unet.config, 8, (64, 64)) + made[-1].numel()


def test_little_room_for_a_picture_is_planned_for_though_the_model_is_there(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(files[0])
    wanted = pixels(list(generate(model, [RECIPE])))
    needed = demand(model.facts, CPU, 64, 64)
    assert residence(model).plan == Plan()
    weights = residence(model).here
    monkeypatch.setattr(room, "PLENTY", 1 << 40)
    lacking = needed.height(Plan(2)) - room.BASE - weights - 1000
    monkeypatch.setattr(room, "free", lambda device: max(0, lacking))
    make_room([RECIPE], model)
    assert residence(model).plan == Plan(2, text=False)
    assert residence(model).here < weights
    assert pixels(list(generate(model, [RECIPE]))) == wanted
    monkeypatch.setattr(room, "free", lambda device: 1 << 40)
    make_room([RECIPE], model)
    assert residence(model).plan == Plan(), "and when there is room again, all of it is there"
    assert residence(model).here == weights


def test_after_memory_ran_out_the_next_picture_has_all_that_there_is(files: tuple[Path, Path]) -> None:
    model = loaded(files[0])
    weights = residence(model).here
    while model.tighten(1):
        pass
    assert residence(model).plan == memory.TIGHTEST
    assert not model.kept.copies.room
    make_room([RECIPE], model)
    assert residence(model).plan == Plan()
    assert residence(model).here == weights
    assert model.kept.copies.room


def test_copies_of_weights_are_made_where_there_is_room_for_them(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(files[0])
    monkeypatch.setattr(room, "PLENTY", 1 << 40)
    most = demand(model.facts, CPU, 64, 64).height(Plan(2)) - room.BASE - residence(model).here
    copies = sum(parameter.nbytes for parameter in model.unet.parameters())
    patched = RECIPE.but(prompt="a red apple <lora:ink:1>")

    def make(here: int, recipe: Recipe) -> bool:
        monkeypatch.setattr(room, "free", lambda device: here)
        make_room([recipe], model)
        assert residence(model).plan == Plan()
        return model.kept.copies.room

    assert make(most, RECIPE)
    assert not make(most + copies - 1, patched)
    assert make(most + copies, patched)
    monkeypatch.setattr(room, "free", lambda device: most + copies // 2 - 1)
    with pytest.raises(UserError, match="int8 keeps the U-Net's weights a second time, and there is no room"):
        make_room([RECIPE.but(int8=True)], model)


def test_what_the_allocator_keeps_is_returned_before_a_plan_is_tightened(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, held = loaded(files[0]), [1 << 30]
    needed = demand(model.facts, CPU, 64, 64).height(Plan(2)) - room.BASE - residence(model).here
    monkeypatch.setattr(room, "PLENTY", 1 << 40)
    monkeypatch.setattr(room, "trim", held.clear)
    monkeypatch.setattr(room, "free", lambda device: max(0, needed - sum(held)))
    make_room([RECIPE], model)
    assert residence(model).plan == Plan()
    assert not held


def test_what_is_recorded_of_a_network_is_forgotten_when_its_weights_move(files: tuple[Path, Path]) -> None:
    model = loaded(files[0])
    model.kept.graphs = recorded = of_unet(model.unet, CudaRecorder(CPU.device))
    model.settle(Plan())
    assert model.kept.graphs is recorded
    for plan, beside in ((Plan(2, alone=True), ()), (Plan(), (residence(loaded(files[1])),))):
        model.kept.graphs = recorded
        model.settle(plan, beside)
        assert model.kept.graphs is None
        assert not model.kept.copies.room


def test_of_tiles_one_is_asked_about_at_once(files: tuple[Path, Path]) -> None:
    model, size = loaded(files[0]), (256, 128)
    plain, tile = demand(model.facts, CPU, *size), demand(model.facts, CPU, 128, 128)
    recipe = RECIPE.but(width=256, height=128, tiles={"width": 16, "height": 32})
    assert with_others(plain, model, [recipe], size).call == tile.call < plain.call
    assert with_others(plain, model, [recipe, RECIPE], size).call == plain.call


def test_a_control_lora_has_the_networks_own_weights_besides(files: tuple[Path, Path], tmp_path: Path) -> None:
    model = loaded(files[0])
    state, whole = tiny_control.control_lora(model.unet, tiny_control.controlnet(model.unet))
    path = written(tmp_path / "lora.safetensors", state)
    numbers, waits = room.sized(path, model.unet)
    assert numbers > sum(
        parameter.numel()
        for part in (model.unet.input_blocks, model.unet.middle_block)
        for parameter in part.parameters()
    )
    assert not waits
    assert numbers == pytest.approx(sum(parameter.numel() for parameter in whole.parameters()), rel=0.3)


def test_while_the_second_model_works_what_goes_with_the_first_stays(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [loaded(file, 1 << 40) for file in files]
    recipe, network = with_control(tmp_path, models[0])
    asked: list[Demand] = []
    monkeypatch.setattr(room, "usable", lambda budget: 0)
    monkeypatch.setattr(room, "planned", lambda needed, *rest: asked.append(needed) or Plan(2))
    make_room([recipe.but(refiner={"model": str(files[1])})], *models)
    first, second = asked
    assert second.base == first.base + 4 * sum(parameter.numel() for parameter in network.parameters())


def test_weights_that_do_not_come_in_are_done_without(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(files[0], 1 << 40)
    bring = Residence.bring

    def scarce(self: Residence, plan: Plan) -> None:
        if plan.text:
            raise torch.OutOfMemoryError("CUDA out of memory")
        bring(self, plan)

    monkeypatch.setattr(Residence, "bring", scarce)
    make_room([RECIPE], model)
    assert not residence(model).plan.text
