"""Recipes with image prompts, boxes and depth: files found and checked, pictures the same in any company."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.checkpoints.save import save_checkpoint, write
from fromnoise.engine import faces
from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.depth import depth_channel
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model, assemble, load
from fromnoise.engine.memory import Placement
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_pictures import Depth
from fromnoise.engine.spans import span
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.samplers import Evaluate
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.settings import Settings
from tests import tiny
from tests.no_trace import Interrupted, broken, untouched
from tests.tiny_pictures import IDENTITY, gligen, ip_adapter, photo, vision

CPU = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of models with everything that the tests name."""
    root = tmp_path_factory.mktemp("models")
    unet = tiny.model().unet
    for folder in ("ipadapter", "clip_vision", "gligen"):
        (root / folder).mkdir()
    for kind in ("plain", "plus", "full"):
        write(root / "ipadapter" / f"{kind}.safetensors", ip_adapter(unet, kind).state_dict(), None, {})
    write(root / "ipadapter" / "face.safetensors", ip_adapter(unet, "face", rank=2).state_dict(), None, {})
    for name in ("faceid-plus", "faceid-plusv2"):
        write(root / "ipadapter" / f"{name}.safetensors", ip_adapter(unet, "face_plus").state_dict(), None, {})
    write(root / "clip_vision" / "vision.safetensors", vision().state_dict(), None, {})
    write(root / "clip_vision" / "a-text-encoder.safetensors", {"text_model.x": torch.ones(2)}, None, {})
    write(root / "gligen" / "boxes.safetensors", gligen(unet).state_dict(), None, {})
    for i in range(3):
        photo(root / f"{i}.png", seed=i)
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 255
    Image.fromarray(left).save(root / "left.png")
    return root


def model_of(shelves: Path, family: Any = "sd1", task: Any = "base") -> Model:
    return assemble("tiny", tiny.model(family, task=task), "0" * 64, CPU, Settings(models=(shelves,)))


@pytest.fixture(scope="module")
def model(shelves: Path) -> Model:
    return model_of(shelves)


def ref(path: Path) -> dict[str, Any]:
    return ImageRef.of(path).model_dump()


def recipe(**changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": 3, "sampler": "euler"}
    return Recipe.make(**{**base, **changes})


def latents(model: Model, *recipes: Recipe, max_batch: int = 16) -> list[Tensor]:
    executor = Executor[int](model, max_batch)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    made = dict(executor.run())
    return [made[i] for i in range(len(recipes))]


def all_kinds(shelves: Path) -> dict[str, Recipe]:
    first, second, third = (ref(shelves / f"{i}.png") for i in range(3))
    box = {"x": 8, "y": 8, "width": 32, "height": 40, "text": "a cat"}
    boxes = {"boxes": [box], "gligen": {"model": "boxes"}}

    def prompt(**more: Any) -> dict[str, Any]:
        return {"image": first, "model": "plain", **more}

    return {
        "none": recipe(),
        "plain": recipe(image_prompts=[prompt()]),
        "another picture": recipe(image_prompts=[prompt(image=second)], seed=5),
        "weaker": recipe(image_prompts=[prompt(weight=0.4)]),
        "plus": recipe(image_prompts=[prompt(model="plus")]),
        "full": recipe(image_prompts=[prompt(model="full")]),
        "early": recipe(image_prompts=[prompt(end=0.5)]),
        "masked": recipe(image_prompts=[prompt(mask=ref(shelves / "left.png"))]),
        "two": recipe(image_prompts=[prompt(), prompt(image=second, model="plus", weight=0.5)]),
        "averaged": recipe(image_prompts=[prompt(more=[second, third], combine="average")]),
        "side by side": recipe(image_prompts=[prompt(more=[second, third])]),
        "away": recipe(image_prompts=[prompt(negative=third)]),
        "easing": recipe(image_prompts=[prompt(weight_type="ease in")]),
        "boxes": recipe(**boxes),
        "boxes and picture": recipe(image_prompts=[prompt()], **boxes, sampler="heun"),
        "comfyui": recipe(image_prompts=[prompt(model="plus", start=0.1, end=0.9)], **boxes, profile="comfyui"),
        "a1111": recipe(image_prompts=[prompt(start=0.3)], profile="a1111"),
    }


def test_pictures_are_the_same_alone_and_among_others(model: Model, shelves: Path) -> None:
    kinds = all_kinds(shelves)
    with untouched(model.unet):
        executor, together = Executor[str](model, max_batch=6), {}
        for name, one in kinds.items():
            executor.add(name, Job(model, one).picture(None, None))
            if name == "masked":  # the others join later
                together.update(executor.step())
        together.update(executor.run())
        for name, one in kinds.items():
            (alone,) = latents(model, one)
            assert float((together[name] - alone).abs().max()) <= 5e-5 * float(alone.std()), name
    names = list(kinds)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not torch.allclose(together[one], together[other], atol=1e-3), (one, other)


def test_nothing_stays_when_a_picture_is_broken_off(model: Model, shelves: Path) -> None:
    kinds = all_kinds(shelves)
    (before,) = latents(model, kinds["none"])
    with untouched(model.unet):
        with broken(model.unet), pytest.raises(Interrupted):
            latents(model, kinds["two"], kinds["boxes and picture"])
        executor = Executor[int](model, 16)
        executor.add(0, Job(model, kinds["two"]).picture(None, None))
        executor.step()
        executor.cancel(0)
    assert torch.equal(latents(model, kinds["none"])[0], before)


def test_equal_prompts_share_batches(model: Model, shelves: Path) -> None:
    kinds = all_kinds(shelves)
    executor = Executor[int](model, 16)
    for i, name in enumerate(("plain", "another picture", "weaker")):
        executor.add(i, Job(model, kinds[name]).picture(None, None))
    list(executor.run())
    assert executor.batches == 3


def test_hashes_are_noted_and_checked(model: Model, shelves: Path) -> None:
    kinds = all_kinds(shelves)
    noted = Job(model, kinds["boxes and picture"]).recipe
    assert noted.gligen is not None
    for digest in (noted.image_prompts[0].model_hash, noted.image_prompts[0].vision_hash, noted.gligen.model_hash):
        assert digest is not None
        assert len(digest) == 64
    again = latents(model, kinds["boxes and picture"], noted)
    assert torch.equal(*again)
    for field in ("model_hash", "vision_hash"):
        other = {**noted.image_prompts[0].model_dump(), field: "f" * 64, "vision": "vision"}
        with pytest.raises(UserError, match="not the file of the recipe"):
            Job(model, noted.but(image_prompts=[other]))


def test_what_is_missing_or_does_not_fit_is_said(model: Model, shelves: Path, tmp_path: Path) -> None:
    image = ref(shelves / "0.png")

    def refused(error: type[Exception], message: str, on: Model = model, **prompt: Any) -> None:
        with pytest.raises(error, match=message):
            latents(on, recipe(image_prompts=[{"image": image, **prompt}]))

    refused(FileError, "IP-Adapter 'plane'", model="plane")
    refused(UserError, "name an IP-Adapter with model=")
    refused(UserError, "take linear", model="plain", weight_type="style transfer")
    refused(FileError, "not the image encoder that goes with it", model="plain", vision=str(other_vision(tmp_path)))
    refused(UserError, "made for another kind of model", on=model_of(shelves, "sd2"), model="plain")
    bare = assemble("tiny", tiny.model(), "0" * 64, CPU, Settings(models=(tmp_path,)))
    path = str(shelves / "ipadapter" / "plain.safetensors")
    refused(FileError, "embeddings of 48 numbers: put one into .*clip_vision", on=bare, model=path)
    changed = {**image, "sha256": "0" * 64}
    refused(FileError, "has changed", model="plain", image=changed)


def other_vision(folder: Path) -> Path:
    config = replace(tiny.VISION, projection_dim=40)
    return write(folder / "other.safetensors", vision(config=config).state_dict(), None, {})


def test_recipes_are_checked() -> None:
    image = {"path": "a.png", "sha256": "0" * 64}
    for prompt, message in (
        ({"start": 0.6, "end": 0.5}, "its start is after its end"),
        ({"combine": "subtract"}, "nothing can be subtracted"),
        ({"composition": image, "weight_type": "style transfer precise"}, "know no other picture"),
        ({"weight_type": "strong"}, "weight_type"),
    ):
        with pytest.raises(UserError, match=message):
            recipe(image_prompts=[{"image": image, **prompt}])
    with pytest.raises(UserError, match="--gligen"):
        recipe(boxes=[{"x": 0, "y": 0, "width": 8, "height": 8, "text": "a"}])


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "start", "end", "wanted"),
    [
        ("native", 0.0, 1.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("native", 0.25, 0.5, [2, 3]),
        ("diffusers", 0.2, 0.6, [2, 3]),
        ("a1111", 0.25, 0.5, [2, 3, 4]),
        ("comfyui", 0.0, 1.0, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_spans(profile: str, start: float, end: float, wanted: list[int]) -> None:
    table = NoiseTable.ldm()
    holds = span(PROFILES[profile], table, start, end, lambda ask: ask.number, 8)
    sigma = torch.tensor(1.0)
    asked = [Evaluate(torch.zeros(1), sigma)._replace(number=i) for i in range(8)]
    assert [ask.number for ask in asked if holds(ask)] == wanted


def test_comfyui_goes_by_noise_levels() -> None:
    table = NoiseTable.ldm()
    holds = span(PROFILES["comfyui"], table, 0.25, 0.75, lambda ask: 0, 8)
    ends = [float(table.sigma(torch.tensor(999 * (1 - share)))) for share in (0.25, 0.75)]
    for sigma, wanted in (
        (ends[0] + 0.01, False),
        (ends[0] - 0.01, True),
        (ends[1] + 0.001, True),
        (ends[1] - 0.001, False),
    ):
        assert holds(Evaluate(torch.zeros(1), torch.tensor(sigma))) == wanted


# --- pictures in the pooled vector -----------------------------------------------------------------------------------


def test_unclip_without_a_picture_is_told_zeros(shelves: Path) -> None:
    model = model_of(shelves, "sd2", "unclip")
    prompts = encode_prompts(model, recipe())
    assert prompts.cond.y is not None
    assert not prompts.cond.y.any()
    shown = encode_prompts(model, recipe(image_prompts=[{"image": ref(shelves / "0.png")}]))
    assert shown.cond.y is not None
    assert shown.uncond.y is not None
    assert shown.cond.y.shape == (1, 2 * tiny.VISION.projection_dim)
    assert shown.cond.y.any()
    assert not shown.uncond.y.any()


def test_unclip_takes_several_pictures_and_levels(shelves: Path) -> None:
    model = model_of(shelves, "sd2", "unclip")
    first, second = ({"image": ref(shelves / f"{i}.png")} for i in range(2))
    told = [
        encode_prompts(model, recipe(image_prompts=prompts)).cond.y
        for prompts in ([first], [second], [first, second], [{**first, "noise_level": 0.5}], [{**first, "weight": 0.5}])
    ]
    for i, one in enumerate(told):
        for other in told[i + 1 :]:
            assert one is not None
            assert other is not None
            assert not torch.allclose(one, other, atol=1e-3)


def test_automatic1111_tells_unclip_of_the_start_picture(shelves: Path) -> None:
    model = model_of(shelves, "sd2", "unclip")
    start = recipe(init=ref(shelves / "0.png"), strength=0.5)
    told = {name: encode_prompts(model, start.but(profile=name)).cond.y for name in ("native", "a1111")}
    assert told["native"] is not None
    assert told["a1111"] is not None
    assert not told["native"].any()
    assert told["a1111"].any()


def test_sdxl_takes_a_picture_in_place_of_the_pooled_state(shelves: Path, tmp_path: Path) -> None:
    model = model_of(shelves, "sdxl")
    encoder = vision(config=replace(tiny.VISION, projection_dim=tiny.OPENCLIP.dim))
    path = write(tmp_path / "g.safetensors", encoder.state_dict(), None, {})
    image = {"image": ref(shelves / "0.png"), "vision": str(path)}
    plain, shown = encode_prompts(model, recipe()), encode_prompts(model, recipe(image_prompts=[image]))
    width = tiny.OPENCLIP.dim
    assert plain.cond.y is not None
    assert shown.cond.y is not None
    assert not torch.allclose(plain.cond.y[:, :width], shown.cond.y[:, :width], atol=1e-2)
    assert torch.equal(plain.cond.y[:, width:], shown.cond.y[:, width:])
    assert plain.uncond.y is not None
    assert shown.uncond.y is not None
    assert torch.equal(plain.uncond.y, shown.uncond.y)


def test_an_unclip_file_draws(tmp_path: Path, shelves: Path) -> None:
    checkpoint = tiny.model("sd2", task="unclip", prediction="v")
    model = load(str(save_checkpoint(tmp_path / "unclip.safetensors", checkpoint, dtype=None)), CPU)
    assert model.facts.task == "unclip"
    assert model.vision is not None
    made = assemble("tiny", tiny.model("sd2", task="unclip", prediction="v"), "0" * 64, CPU)
    one = recipe(image_prompts=[{"image": ref(shelves / "0.png")}])
    torch.testing.assert_close(latents(model, one)[0], latents(made, one)[0], atol=1e-4, rtol=1e-4)


# --- depth ------------------------------------------------------------------------------------------------------------


def test_depth_models_want_a_depth_map(shelves: Path) -> None:
    model = model_of(shelves, "sd2", "depth")
    with pytest.raises(UserError, match="--depth"):
        latents(model, recipe())
    near, far = (latents(model, recipe(depth={"image": ref(shelves / f"{i}.png")}))[0] for i in (0, 1))
    assert not torch.allclose(near, far, atol=1e-3)


def test_maps_of_sixteen_bits_keep_their_levels(tmp_path: Path) -> None:
    levels = np.linspace(1000, 1200, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    channel = depth_channel(Depth(image=ImageRef.of(tmp_path / "deep.png")), (8, 8), Settings())
    assert channel.shape == (1, 1, 8, 8)
    assert len(channel.unique()) > 60
    assert (float(channel.min()), float(channel.max())) == (-1, 1)


def test_a_flat_map_is_no_division_by_zero(tmp_path: Path) -> None:
    Image.new("L", (16, 16), 99).save(tmp_path / "flat.png")
    channel = depth_channel(Depth(image=ImageRef.of(tmp_path / "flat.png")), (4, 4), Settings())
    assert not channel.any()


# --- faces ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def insightface(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Stands for the package: finds a face in pictures that are small enough, and tells the sizes it looked in."""
    looked: list[int] = []

    class Analysis:
        def __init__(self, **_: Any) -> None:
            self.det_model = SimpleNamespace(input_size=None)

        def prepare(self, **_: Any) -> None: ...

        def get(self, pixels: Any) -> list[Any]:
            looked.append(self.det_model.input_size[0])
            if self.det_model.input_size[0] > 512 or pixels.max() == 0:
                return []
            rng = np.random.default_rng(int(pixels.sum()) % 1000)
            numbers = rng.standard_normal(IDENTITY).astype(np.float32)
            small = SimpleNamespace(bbox=(0, 0, 2, 2), kps=None, embedding=numbers * 0, normed_embedding=numbers * 0)
            normed = numbers / np.linalg.norm(numbers)
            large = SimpleNamespace(bbox=(0, 0, 9, 9), kps=None, embedding=numbers, normed_embedding=normed)
            return [small, large]

    app, utils, align = ModuleType("insightface.app"), ModuleType("insightface.utils"), ModuleType("face_align")
    app.FaceAnalysis = Analysis  # type: ignore[attr-defined]
    align.norm_crop = lambda pixels, landmark, image_size: np.ascontiguousarray(  # type: ignore[attr-defined]
        np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((image_size, image_size)))
    )
    packages = {"insightface": ModuleType("insightface"), "insightface.app": app, "insightface.utils": utils}
    for name, module in {**packages, "insightface.utils.face_align": align}.items():
        monkeypatch.setitem(sys.modules, name, module)
    faces.detector.cache_clear()
    yield lambda: looked  # type: ignore[misc]
    faces.detector.cache_clear()


def test_faces(model: Model, shelves: Path, insightface: Callable[[], list[int]]) -> None:
    """Every kind of face adapter makes another picture, and two faces make different ones."""
    first, second = (ref(shelves / f"{i}.png") for i in range(2))
    prompts = [
        {"image": first, "model": "face"},
        {"image": second, "model": "face"},
        {"image": first, "model": "face", "lora": 0.0},
        {"image": first, "model": "faceid-plus"},
        {"image": first, "model": "faceid-plusv2"},
        {"image": first, "model": "faceid-plusv2", "structure": 0.3},
        {"image": first, "more": [second], "model": "face"},
    ]
    with untouched(model.unet):
        made = latents(model, *(recipe(image_prompts=[prompt]) for prompt in prompts))
    for i, one in enumerate(made):
        for other in made[i + 1 :]:
            assert not torch.allclose(one, other, atol=1e-3)
    assert insightface()[:3] == [640, 576, 512]


def test_a_picture_without_a_face(model: Model, tmp_path: Path, insightface: Callable[[], list[int]]) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    with pytest.raises(UserError, match=r"black\.png: there is no face"):
        latents(model, recipe(image_prompts=[{"image": ref(tmp_path / "black.png"), "model": "face"}]))


def test_without_insightface_it_says_what_to_install(model: Model, shelves: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    faces.detector.cache_clear()
    with pytest.raises(UserError, match="pip install insightface onnxruntime"):
        latents(model, recipe(image_prompts=[{"image": ref(shelves / "0.png"), "model": "face"}]))
