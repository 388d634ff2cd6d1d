"""Controls of a recipe: by each profile's rules, side by side with other pictures, refused where they can't work."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.engine.control import by_callbacks, by_levels, by_steps
from fromnoise.engine.control_networks import KEPT, _known, control_network
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.hints import hint_picture, hint_tensor
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Progress
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.samplers import SAMPLERS, Evaluate
from fromnoise.sampling.schedules import sigmas_for
from fromnoise.settings import Settings
from tests import tiny, tiny_control
from tests.tiny_control import written

from .making import Recipes, brought, pixels

SOFT = [0.825 ** (4 - i) for i in range(5)]  # the tiny model has four skip connections and a middle


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "a control needs a model: a ControlNet, T2I-Adapter or LLLite"),
        ({"preprocessor": "reference_only"}, "reference_only needs no model"),
        ({"preprocessor": "cany"}, "unknown preprocessor 'cany'; did you mean 'canny'"),
        ({"preprocessor": "canny", "parameters": {"lo": 3}}, "canny has no parameter 'lo'; it has: low, high"),
        ({"preprocessor": "canny", "parameters": "low"}, "write NAME=VALUE"),
        ({"start": 0.6, "end": 0.3}, "would end at 0.3 before it starts at 0.6"),
        ({"type": "pos"}, "unknown type 'pos'; known: openpose"),
        ({"weight": 11}, "less than or equal to 10"),
        ({"resolution": 20}, "greater than or equal to 64"),
    ],
)
def test_what_cannot_be_is_refused(made: Recipes, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made.recipe({**made.control(), **changes})


def test_a_control_without_any_picture_is_refused(model: Model, made: Recipes) -> None:
    with pytest.raises(UserError, match="control 1 needs a picture: give one with --control, or a start picture"):
        Job(model, made.recipe(made.control(image=None)))


def test_names_are_understood_as_other_tools_write_them(made: Recipes) -> None:
    recipe = made.recipe(made.control(preprocessor="depth", type="canny/lineart/anime_lineart/mlsd", parameters=""))
    assert recipe.controls[0].preprocessor == "depth_midas"
    assert recipe.controls[0].type == "lineart"
    assert recipe.controls[0].type_number == 3
    assert made.recipe(made.control(preprocessor="hed")).controls[0].type_number == 2
    assert made.recipe(made.control(preprocessor="hed", type="auto")).controls[0].type_number is None
    typed = made.recipe(made.control(preprocessor="canny", parameters="low=80 high=160"))
    assert typed.controls[0].parameters == {"low": 80.0, "high": 160.0}
    assert Recipe.from_json(typed.to_json()) == typed


def test_the_hash_is_filled_in_and_checked(model: Model, made: Recipes) -> None:
    job = Job(model, made.recipe(made.control(), made.control(None, preprocessor="reference_only")))
    digest = job.recipe.controls[0].model_hash
    assert digest is not None
    assert len(digest) == 64
    assert job.recipe.controls[1].model_hash is None
    Job(model, made.recipe(made.control(model_hash=digest[:10])))
    with pytest.raises(FileError, match="not the file of the recipe"):
        Job(model, made.recipe(made.control(model_hash="0" * 64)))


def test_other_pictures_than_those_of_the_recipe_are_refused(model: Model, made: Recipes) -> None:
    changed = {**made.image("photo"), "sha256": "0" * 64}
    for control in (made.control(image=changed), made.control(region=changed), made.control(mask=changed)):
        control["preprocessor"] = "inpaint_only"
        with pytest.raises(FileError, match="has changed since the recipe was written"):
            Job(model, made.recipe(control)).picture(None, None)


# --- whole pictures ---------------------------------------------------------------------------------------------------


def test_pictures_with_controls_share_batches_and_come_out_as_alone(model: Model, made: Recipes) -> None:
    """Different hints, weights, modes and windows on the same network, other networks, references, and none."""
    both = made.control(None, preprocessor="reference_adain+attn", end=0.6)
    recipes = [
        made.recipe(seed=1),
        made.recipe(made.control(weight=0.6), seed=2),
        made.recipe(made.control(image=made.image("other"), mode="prompt", start=0.3), seed=3),
        made.recipe(made.control(mode="control", end=0.5, region=made.image("mask")), seed=4, sampler="heun"),
        made.recipe(made.control("union", preprocessor="canny"), made.control("adapter"), seed=5),
        made.recipe(made.control("lllite", weight=0.7), both, seed=6, profile="a1111"),
        made.recipe(made.control("lora"), made.control("shuffle"), seed=7, profile="comfyui"),
    ]
    before = {name: weight.clone() for name, weight in model.unet.state_dict().items()}
    together = {one.index: pixels(one.image) for one in generate(model, recipes, max_batch=16)}
    for index, recipe in enumerate(recipes):
        (alone,) = generate(model, [recipe])
        assert np.abs(together[index] - pixels(alone.image)).max() <= 1
    assert all(weight.equal(before[name]) for name, weight in model.unet.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.unet.modules())
    (plain,) = generate(model, [made.recipe(seed=2)])
    assert np.abs(together[1] - pixels(plain.image)).max() > 8


def test_a_picture_that_is_stopped_leaves_nothing(model: Model, made: Recipes) -> None:
    executor = Executor[int](model)
    executor.add(0, Job(model, made.recipe(made.control(), made.control("adapter"))).picture(None, None))
    executor.step()
    executor.cancel(0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.unet.modules())
    (one,), (two,) = (list(generate(model, [made.recipe(seed=9)])) for _ in range(2))
    assert np.array_equal(pixels(one.image), pixels(two.image))


def test_networks_are_kept_for_a_while(model: Model, made: Recipes, tmp_path: Path) -> None:
    path = made.folder / "canny.safetensors"
    assert control_network(model, path) is control_network(model, path)
    for seed in range(KEPT + 1):
        control_network(model, written(tmp_path / f"{seed}.safetensors", tiny_control.controlnet(model.unet, seed)))
    assert len(_known[model.unet]) == KEPT


def test_networks_of_other_models_are_refused(model: Model, made: Recipes, tmp_path: Path) -> None:
    other = tiny.model("sd2").unet
    cases = (
        (tiny_control.controlnet(other), "its layers are 64 times"),
        (tiny_control.adapter(other), r"its features are \[64, 128\] wide"),
        (tiny_control.lllite(other), "is not there, or not 32 wide|is not there, or not 64 wide|not 128 wide"),
    )
    for index, (network, message) in enumerate(cases):
        path = written(tmp_path / f"other{index}.safetensors", network)
        with pytest.raises(FileError, match=f"other{index}.safetensors is for another kind of model: .*({message})"):
            Job(model, made.recipe({**made.control(), "model": str(path)})).picture(None, None)
    with pytest.raises(FileError, match="no ControlNet 'nothing'"):
        Job(model, made.recipe({**made.control(), "model": "nothing"}))


# --- weights, sides, windows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "given", "scales", "both"),
    [
        ("native", {"weight": 0.5}, [0.5] * 5, True),
        ("native", {"mode": "prompt", "weight": 2}, [2 * s for s in SOFT], True),
        ("native", {"mode": "control"}, SOFT, False),
        ("a1111", {}, [1.0] * 5, True),
        ("a1111", {"mode": "prompt"}, [0.825 ** (12 - i) for i in range(5)], True),
        ("a1111", {"mode": "control", "weight": 0.5}, [0.5 * 0.825 ** (12 - i) for i in range(5)], False),
        ("diffusers", {"mode": "guess", "weight": 0.8}, [0.8 * 10 ** (-1 + i / 4) for i in range(5)], False),
        ("comfyui", {"weight": 1.7}, [1.7] * 5, True),
        ("native", {"layers": [1, 2, 3, 4, 5], "mode": "prompt"}, [1, 2, 3, 4, 5], True),
    ],
)
def test_how_strongly_a_controlnet_acts(
    model: Model, made: Recipes, profile: str, given: dict[str, Any], scales: list[float], both: bool
) -> None:
    recipe = made.recipe(made.control(**given), profile=profile)
    (cond,) = brought(model, recipe)
    assert isinstance(cond, ControlHint)
    assert cond.scales == pytest.approx(scales)
    assert bool(brought(model, recipe, negative=True)) == both


@pytest.mark.parametrize(
    ("mode", "shares"), [("balanced", (1, 1)), ("prompt", (0.25, 0.62)), ("control", (0.25, 0.62))]
)
def test_how_strongly_an_adapter_acts(model: Model, made: Recipes, mode: str, shares: tuple[float, ...]) -> None:
    recipe = made.recipe(made.control("adapter", mode=mode, weight=0.5))
    (cond,) = brought(model, recipe)
    assert isinstance(cond, AdapterHint)
    assert cond.scales == pytest.approx([0.5 * share for share in shares])
    assert cond.places == (1, 3)
    assert bool(brought(model, recipe, negative=True)) == (mode != "control")


@pytest.mark.parametrize(
    ("profile", "both"), [("native", False), ("a1111", False), ("diffusers", False), ("comfyui", True)]
)
def test_whom_a_pooled_controlnet_steers(model: Model, made: Recipes, profile: str, both: bool) -> None:
    recipe = made.recipe(made.control("shuffle"), profile=profile)
    assert len(brought(model, recipe)) == 1
    assert bool(brought(model, recipe, negative=True)) == both


def test_layers_must_be_as_many(model: Model, made: Recipes) -> None:
    with pytest.raises(UserError, match="has 5 residuals, so `layers` takes 5 weights"):
        brought(model, made.recipe(made.control(layers=[1.0, 2.0])))


def test_a_union_is_told_the_type(model: Model, made: Recipes) -> None:
    for given, types in (
        ({"preprocessor": "canny"}, (3,)),
        ({"type": "pose"}, (0,)),
        ({"preprocessor": "canny", "type": "auto"}, ()),
        ({}, ()),
    ):
        (cond,) = brought(model, made.recipe(made.control("union", **given)))
        assert isinstance(cond, ControlHint)
        assert cond.types == types
    with pytest.raises(UserError, match="knows no hints of the type tile"):
        brought(model, made.recipe(made.control("union", type="tile")))


@pytest.mark.parametrize("name", ["canny", "adapter", "lllite"])
def test_a_region_is_where_a_control_acts(model: Model, made: Recipes, name: str, tmp_path: Path) -> None:
    def latents(**given: Any) -> Tensor:
        executor = Executor[int](model)
        executor.add(
            0, Job(model, made.recipe(made.control(name, **given), steps=1, sampler="euler")).picture(None, None)
        )
        return dict(executor.run())[0]

    regions = {}
    for level in (0, 255):
        Image.new("L", (40, 40), level).save(tmp_path / f"{level}.png")
        regions[level] = ImageRef.of(tmp_path / f"{level}.png").model_dump()
    torch.testing.assert_close(latents(region=regions[255]), latents())
    torch.testing.assert_close(latents(region=regions[0]), latents(weight=0))
    half = latents(region=made.image("mask"))
    assert not torch.allclose(half, latents(), atol=1e-3)
    assert not torch.allclose(half, latents(weight=0), atol=1e-3)


def test_a_region_where_none_can_be_is_refused(model: Model, made: Recipes) -> None:
    region = made.image("mask")
    with pytest.raises(UserError, match="reference_only acts on the whole picture: leave out its region"):
        brought(model, made.recipe(made.control(None, preprocessor="reference_only", region=region)))


def test_hints_of_one_union_are_seen_in_one_pass(model: Model, made: Recipes) -> None:
    pose = made.control("union", type="openpose", weight=0.7)
    edges = made.control("union", image=made.image("other"), preprocessor="canny", weight=1.2)
    both = made.recipe(pose, edges)
    (cond,) = brought(model, both)
    assert isinstance(cond, ControlHint)
    assert (cond.types, cond.scales) == ((0, 3), (1.0,) * 5)
    hints = [hint_tensor(hint_picture(both, control, 64, 64, None, Settings()), 3) for control in both.controls]
    assert torch.equal(cond.guided, cond.network.guide(hints, (0, 3), (0.7, 1.2)))
    for apart in (
        made.recipe(pose, {**edges, "end": 0.5}), made.recipe(pose, {**edges, "together": False}),
        made.recipe(pose, {**edges, "type": "openpose"}), made.recipe(pose, {**edges, "type": "auto"}),
        made.recipe(pose, edges, profile="a1111"),
    ):  # fmt: skip
        assert len(brought(model, apart)) == 2
    assert (
        len(brought(model, made.recipe({**pose, "together": True}, {**edges, "together": True}, profile="comfyui")))
        == 1
    )
    (one,), (two,) = (
        list(generate(model, [recipe])) for recipe in (both, made.recipe(pose, {**edges, "together": False}))
    )
    assert np.abs(pixels(one.image) - pixels(two.image)).max() > 0


def acting(acts: Any, sigmas: Tensor) -> list[int]:
    return [i for i, sigma in enumerate(sigmas[:-1]) if acts(Evaluate(torch.zeros(1), sigma))]


def test_windows_by_steps(model: Model) -> None:
    sigmas = sigmas_for("karras", model.table, 10)
    assert acting(by_steps(0.0, 1.0, sigmas), sigmas) == list(range(10))
    assert acting(by_steps(0.2, 0.5, sigmas), sigmas) == [2, 3, 4]
    assert acting(by_steps(0.25, 0.55, sigmas), sigmas) == [3, 4]
    for start, end in ((0.1, 0.9), (0.33, 0.66), (0, 0.05), (0.95, 1)):  # diffusers: controlnet_keep
        kept = [i for i in range(10) if not (i / 10 < start or (i + 1) / 10 > end)]
        assert acting(by_steps(start, end, sigmas), sigmas) == kept


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2"])
def test_windows_by_callbacks_follow_k_diffusion(model: Model, sampler: str) -> None:
    """The step that A1111 knows is the last that was reported, after each step's first evaluation."""
    sigmas, evaluations = sigmas_for("karras", model.table, 6), SAMPLERS[sampler].evaluations
    progress, reported, seen = Progress(), 0, []
    acts = by_callbacks(0.3, 0.7, progress, evaluations, 6)
    run = SAMPLERS[sampler].start(torch.ones(1, 1, 2, 2) * sigmas[0], sigmas)
    ask, count = next(run), 0
    try:
        while True:
            progress.asked += 1
            seen.append((acts(ask), 0.3 <= reported / 6 <= 0.7))
            if count % evaluations == 0:
                reported = count // evaluations
            count += 1
            ask = run.send(ask.x * 0.5)
    except StopIteration:
        pass
    assert len(seen) >= 6
    assert all(mine == expected for mine, expected in seen)
    assert {mine for mine, _ in seen} == {True, False}


def test_windows_by_levels(model: Model) -> None:
    sigmas = sigmas_for("normal", model.table, 20)
    assert acting(by_levels(0.0, 1.0, model.table), sigmas) == list(range(20))
    first, last = (float(model.table.sigma(torch.tensor((1 - share) * 999.0))) for share in (0.25, 0.6))
    expected = [i for i, sigma in enumerate(sigmas[:-1]) if last <= float(sigma) <= first]
    assert acting(by_levels(0.25, 0.6, model.table), sigmas) == expected
    assert 0 < len(expected) < 20
    assert by_levels(0.0, 0.5, model.table)(Evaluate(torch.zeros(1), torch.tensor(1e4)))
