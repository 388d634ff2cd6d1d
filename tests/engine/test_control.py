"""Controls of a recipe: by each profile's rules, side by side with other pictures, refused where they can't work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.reference import References
from fromnoise.adapters.style import StyleTokens
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.engine.control import by_callbacks, by_levels, by_steps, in_squares
from fromnoise.engine.control_latents import Painted, Recoloured, averaged, pasted, with_brightness, with_lightness
from fromnoise.engine.control_networks import KEPT, _known, control_network
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.hints import hint_picture, hint_tensor, nearest
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Progress, orders
from fromnoise.engine.prepare import Preparation
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionConfig
from fromnoise.nn.controlnet import UnionConfig
from fromnoise.nn.t2i_adapter import StyleAdapter, StyleAdapterConfig
from fromnoise.preprocessors.registry import Picture
from fromnoise.preprocessors.sizes import fitted
from fromnoise.sampling.guidance import Attachment
from fromnoise.sampling.guidance_companions import Companion
from fromnoise.sampling.samplers import SAMPLERS, Evaluate
from fromnoise.sampling.schedules import sigmas_for
from fromnoise.settings import Settings
from tests import tiny, tiny_control
from tests.engine.models import tiny_model
from tests.tiny_control import written

SOFT = [0.825 ** (4 - i) for i in range(5)]  # the tiny model has four skip connections and a middle


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    """Pictures and one file of every kind."""
    made = tmp_path_factory.mktemp("controls")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(made / "photo.png")
    Image.fromarray(noise[:, ::-1].copy()).save(made / "other.png")
    half = np.zeros((60, 90), np.uint8)
    half[20:40, 30:60] = 255
    Image.fromarray(half).save(made / "mask.png")
    written(made / "canny.safetensors", tiny_control.controlnet(model.unet, seed=1))
    written(made / "shuffle.safetensors", tiny_control.controlnet(model.unet, seed=2))
    written(made / "union.safetensors", tiny_control.controlnet(model.unet, seed=3, union=UnionConfig(6)))
    written(made / "adapter.safetensors", tiny_control.adapter(model.unet, seed=4))
    written(made / "lllite.safetensors", tiny_control.lllite(model.unet, seed=5))
    written(made / "lora.safetensors", tiny_control.control_lora(model.unet, tiny_control.controlnet(model.unet, 6))[0])
    return made


class Recipes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image(self, name: str) -> dict[str, Any]:
        return ImageRef.of(self.folder / f"{name}.png").model_dump()

    def control(self, name: str | None = "canny", **given: Any) -> dict[str, Any]:
        model = {"model": str(self.folder / f"{name}.safetensors")} if name else {}
        return {"image": self.image("photo"), **model, **given}

    def recipe(self, *controls: dict[str, Any], **given: Any) -> Recipe:
        base = {"prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": 4, "seed": 3}
        return Recipe.make(**{**base, "guidance_scale": 5.0, **given}, controls=controls)


@pytest.fixture(scope="module")
def made(folder: Path) -> Recipes:
    return Recipes(folder)


def companions(model: Model, recipe: Recipe, number: int = 0) -> list[Companion]:
    """Those of a pass."""
    job = Job(model, recipe)
    preparation, order = Preparation(model, job.recipe), orders(job.recipe)[number]
    seen: list[list[Companion]] = []
    original = Preparation._companions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Preparation, "_companions", lambda self, *args: seen.append(original(self, *args)) or seen[-1])
        preparation.prepared(order, job.start if number == 0 else None)
    return seen[-1]


def brought(model: Model, recipe: Recipe, *, negative: bool = False, number: int = 0) -> list[Attachment]:
    """What calls bring along in the middle of the run."""
    ask = Evaluate(torch.zeros(1, 4, 8, 8), torch.tensor(2.0))
    found = companions(model, recipe, number)
    return [one for companion in found for one in companion.attachments(ask, negative)]


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


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int32)


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


# --- hints ------------------------------------------------------------------------------------------------------------


def hint(made: Recipes, control: dict[str, Any], size: tuple[int, int] = (64, 64), **given: Any) -> Picture:
    recipe = made.recipe(control, **given)
    return hint_picture(recipe, recipe.controls[0], *size, None, Settings())


def photo(made: Recipes) -> Picture:
    return np.array(Image.open(made.folder / "photo.png"))


def test_hints_are_resized_as_the_profile_does(made: Recipes) -> None:
    image, control = photo(made), made.control()
    assert np.array_equal(hint(made, control), fitted(image, 64, 64, "crop"))
    assert np.array_equal(hint(made, control, profile="a1111"), fitted(image, 64, 64, "crop"))
    lanczos = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(hint(made, control, profile="diffusers"), lanczos)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    cut = torch.nn.functional.interpolate(tensor[..., 15:75], size=(64, 64), mode="nearest-exact")
    expected = cut[0].permute(1, 2, 0).to(torch.uint8).numpy()
    assert np.array_equal(hint(made, control, profile="comfyui"), expected)
    for mode in ("crop", "stretch", "fill"):
        assert np.array_equal(hint(made, {**control, "resize": mode}), fitted(image, 64, 64, mode))
    assert nearest(image, 90, 60, "stretch").tolist() == image.tolist()


def test_a_preprocessor_works_at_its_resolution_or_the_pictures(made: Recipes) -> None:
    image = photo(made)
    canny = made.control(preprocessor="canny", parameters={"low": 50, "high": 90})
    plain = cv2.Canny(
        np.pad(cv2.resize(image, (96, 64), interpolation=cv2.INTER_CUBIC), ((0, 0), (0, 32), (0, 0)), mode="edge"),
        50,
        90,
    )
    expected = np.repeat(plain[:, :96, None], 3, axis=2)
    at_64 = hint(made, {**canny, "resolution": 64}, size=(96, 64))
    assert np.array_equal(at_64, expected)
    assert np.array_equal(hint(made, {**canny, "pixel_perfect": True}, size=(96, 64)), expected)
    assert not np.array_equal(hint(made, canny, size=(96, 64)), expected)


def test_the_start_picture_is_the_hint_where_there_is_no_other(made: Recipes) -> None:
    control = {**made.control(preprocessor="inpaint"), "image": None}
    found = hint(made, control, init=made.image("photo"), mask=made.image("mask"), resize="stretch", size=(90, 60))
    assert np.array_equal(found[..., :3], photo(made))
    assert np.array_equal(found[..., 3], np.asarray(Image.open(made.folder / "mask.png")))


def test_what_is_to_be_painted_anew_is_minus_one() -> None:
    picture = np.full((8, 8, 4), 51, np.uint8)
    picture[..., 3] = 0
    picture[2:4, 2:4, 3] = 255
    tensor = hint_tensor(picture, 3)
    assert tensor.shape == (1, 3, 8, 8)
    assert (tensor[..., 2:4, 2:4] == -1).all()
    assert tensor[0, 0, 0, 0] == pytest.approx(0.2)
    assert hint_tensor(picture[..., :3], 1).shape == (1, 1, 8, 8)
    with pytest.raises(UserError, match="hints of 5 channels"):
        hint_tensor(picture, 5)


def test_only_the_masked_part_is_the_hint(model: Model, made: Recipes) -> None:
    recipe = made.recipe(
        {**made.control(preprocessor="tile_resample"), "image": None},
        init=made.image("photo"), mask=made.image("mask"), inpaint={"only_masked": True, "padding": 4}, strength=0.5,
    )  # fmt: skip
    job = Job(model, recipe)
    assert job.start is not None
    assert job.start.box is not None
    found = hint_picture(recipe, recipe.controls[0], 64, 64, job.start, Settings())
    expected = fitted(np.asarray(Image.open(made.folder / "photo.png").crop(job.start.box)), 64, 64, "stretch")
    assert np.array_equal(found, expected)
    list(generate(model, [recipe]))


def test_hints_of_a_second_pass_have_its_size(model: Model, made: Recipes) -> None:
    recipe = made.recipe(made.control(), made.control("adapter", passes="first"), hires={"scale": 2, "strength": 0.6})
    first, second = (brought(model, recipe, number=i) for i in range(2))
    assert [type(one) for one in first] == [ControlHint, AdapterHint]
    assert [type(one) for one in second] == [ControlHint]
    assert [one.guided.shape[-1] for one in (first[0], second[0]) if isinstance(one, ControlHint)] == [8, 16]
    assert not brought(model, made.recipe(made.control(passes="second"), hires={"scale": 2}))
    assert brought(model, made.recipe(made.control(passes="second")))  # without a second pass it does not matter
    (done,) = generate(model, [recipe])
    assert done.image.size == (128, 128)


def test_thin_lines_act_softly_in_a_second_pass_of_a1111(model: Model, made: Recipes) -> None:
    control = made.control(preprocessor="canny")
    for profile, soft in (("a1111", True), ("native", False)):
        recipe = made.recipe(control, profile=profile, hires={"scale": 2})
        (first,), (second,) = (brought(model, recipe, number=i) for i in range(2))
        assert isinstance(first, ControlHint)
        assert isinstance(second, ControlHint)
        assert first.scales == (1.0,) * 5
        assert (second.scales != first.scales) == soft


def test_squares_are_filled() -> None:
    assert in_squares(torch.zeros(1, 3, 64, 72), 8).shape == (1, 3, 64, 72)
    assert in_squares(torch.zeros(1, 3, 64, 72), 16).shape == (1, 3, 64, 80)


# --- references, styles, and what is done to guesses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "second", "fidelity"),
    [
        ({}, False, 0.5),
        ({"parameters": {"fidelity": 0.8}}, False, 0.8),
        ({"mode": "control"}, False, 1.0),
        ({"mode": "prompt"}, False, 0.0),
        ({}, True, 0.0),
    ],
)
def test_references(model: Model, made: Recipes, given: dict[str, Any], second: bool, fidelity: float) -> None:
    control = made.control(None, preprocessor="reference_adain+attn", weight=0.7, **given)
    recipe = made.recipe(control, hires={"scale": 2} if second else None)
    for negative in (False, True):
        (one,) = brought(model, recipe, negative=negative, number=int(second))
        assert isinstance(one, References)
        assert one.negative == negative
        (member,) = one.members
        assert (member.fidelity, member.weight, member.attention, member.adain) == (fidelity, 0.7, True, True)
        assert member.latents.shape == (1, 4, 16 if second else 8, 16 if second else 8)


def test_references_of_sdxl_are_less_faithful(made: Recipes) -> None:
    xl = tiny_model("sdxl")
    (one,) = brought(xl, made.recipe(made.control(None, preprocessor="reference_only")))
    assert isinstance(one, References)
    assert one.members[0].fidelity == pytest.approx(0.125)


def test_several_references_are_looked_at_together(model: Model, made: Recipes) -> None:
    controls = [made.control(None, preprocessor="reference_only", end=end) for end in (1.0, 0.01)]
    (one,) = brought(model, made.recipe(*controls))
    assert isinstance(one, References)
    assert len(one.members) == 1
    (both,) = brought(model, made.recipe(controls[0], controls[0]))
    assert isinstance(both, References)
    assert len(both.members) == 2


def test_a_style_follows_the_prompt(model: Model, made: Recipes, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    encoder = tiny.filled(
        CLIPVision(CLIPVisionConfig(dim=64, layers=1, heads=1, projection_dim=64, image_size=28)), generator
    )
    style = tiny.filled(
        StyleAdapter(StyleAdapterConfig(width=64, context_dim=32, layers=1, tokens=8, heads=8)), generator
    )
    (tmp_path / "clip_vision").mkdir()
    styled = {**made.control(), "model": str(written(tmp_path / "style.safetensors", style))}
    here = replace(model, settings=Settings((tmp_path,)))
    with pytest.raises(FileError, match="a style needs CLIP's picture encoder of width 64"):
        brought(here, made.recipe(styled))
    written(tmp_path / "clip_vision" / "vit.safetensors", encoder)
    for profile, negative in (("native", 0), ("a1111", 1), ("comfyui", 0)):
        recipe = made.recipe({**styled, "weight": 0.5}, profile=profile)
        (one,) = brought(here, recipe)
        assert isinstance(one, StyleTokens)
        assert one.tokens.shape == (1, 8, 32)
        zeros = brought(here, recipe, negative=True)
        assert len(zeros) == negative
        assert not any(token.tokens.any() for token in zeros if isinstance(token, StyleTokens))
    (with_style,), (without,) = (list(generate(here, [made.recipe(*controls)])) for controls in ((styled,), ()))
    assert np.abs(pixels(with_style.image) - pixels(without.image)).max() > 4


def guess(seed: int = 0) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


ASK = Evaluate(torch.zeros(1, 4, 8, 8), torch.tensor(2.0))


def test_colours_are_those_of_the_hint() -> None:
    one = Recoloured(guess(1), radius=2, blur=0.25, weight=1.0)
    changed = one.answered(ASK, False, guess(2), None)
    torch.testing.assert_close(changed - guess(2), averaged(guess(1), 2) - averaged(guess(2), 2))
    negative = one.answered(ASK, True, guess(2), None)
    torch.testing.assert_close(negative, 0.25 * averaged(changed, 2) + 0.75 * changed)
    half = Recoloured(guess(1), radius=2, blur=0.0, weight=0.5).answered(ASK, True, guess(2), None)
    torch.testing.assert_close(half, (changed + guess(2)) / 2)
    flat = torch.ones(1, 1, 5, 5)
    torch.testing.assert_close(averaged(flat, 3), flat)


def test_outside_the_mask_guesses_are_the_picture() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    changed = Painted(guess(1), mask, weight=1.0).answered(ASK, False, guess(2), None)
    assert changed[..., :4].equal(guess(2)[..., :4])
    assert changed[..., 4:].equal(guess(1)[..., 4:])


def test_inpaint_only_keeps_the_rest_of_the_picture(model: Model, made: Recipes) -> None:
    control = made.control("canny", preprocessor="inpaint_only", mask=made.image("mask"), resize="stretch")
    recipe = made.recipe(control, width=88, height=56)
    assert [type(one) for one in companions(model, recipe)][-1] is Painted
    (done,) = generate(model, [recipe])
    expected = fitted(photo(made), 88, 56, "stretch")
    assert np.abs(pixels(done.image)[:10] - expected[:10].astype(int)).max() == 0
    assert np.abs(pixels(done.image)[25:32, 36:52] - expected[25:32, 36:52].astype(int)).max() > 8
    under_mask = recipe.but(init=made.image("photo"), mask=made.image("mask"), strength=0.9)
    assert not any(isinstance(one, Painted) for one in companions(model, under_mask))


def test_finished_pictures_keep_the_tones_of_the_hint() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    tones = np.repeat(np.random.default_rng(1).integers(60, 200, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    brightness = np.asarray(with_brightness(picture, tones)).max(axis=2)
    assert np.abs(brightness.astype(int) - tones[..., 0]).max() <= 1
    grey = Image.fromarray(np.full((8, 8, 3), 128, np.uint8))
    lightness = cv2.cvtColor(np.asarray(with_lightness(grey, tones)), cv2.COLOR_RGB2LAB)[..., 0]
    assert np.abs(lightness.astype(int) - tones[..., 0]).max() <= 2
    hole = np.dstack((tones, np.zeros((8, 8), np.uint8)))
    assert np.array_equal(np.asarray(pasted(picture, hole)), tones)


def test_tile_colours_twice_as_far_in_a_second_pass(model: Model, made: Recipes) -> None:
    control = made.control("canny", preprocessor="tile_colorfix+sharp", parameters={"variation": 3, "sharpness": 2})
    recipe = made.recipe(control, hires={"scale": 2})
    radii = [one for i in range(2) for one in companions(model, recipe, i) if isinstance(one, Recoloured)]
    assert [(one.radius, one.blur) for one in radii] == [(3, 0.02), (6, 0.02)]
