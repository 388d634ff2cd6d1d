"""Whatever steers a picture, in tiles and in regions: each is shown its own part of the hint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.gligen import Boxes, clipped
from fromnoise.adapters.reference import Reference, References
from fromnoise.checkpoints.save import write
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model, assemble
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.nn.ops import GroupNorm
from fromnoise.nn.unet import CrossAttention
from fromnoise.sampling.areas import Area, Place
from fromnoise.sampling.guidance import NetworkCall
from fromnoise.settings import Settings
from tests import tiny, tiny_control
from tests.tiny_control import written
from tests.tiny_pictures import gligen, ip_adapter, photo, vision

CPU = Placement(torch.device("cpu"), torch.float32)
WIDTH, HEIGHT = 160, 16  # latents
FAR = 40  # latents: farther than the tiny network sees

TILES = {"tiles": {"width": 120, "height": 16, "overlap": 80}}  # two: from 0 and from 40 on
REGIONS = {
    "regional": {
        "base": 0.0,
        "regions": [
            {"prompt": "a red apple", "width": 0.5},
            {"prompt": "a red apple", "left": 0.5, "width": 0.5},
            {"prompt": "blue", "negative": True},
        ],
    }
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, unet = tmp_path_factory.mktemp("models"), tiny.model().unet
    for name in ("controlnet", "ipadapter", "clip_vision", "gligen"):
        (made / name).mkdir()
    written(made / "controlnet" / "canny.safetensors", tiny_control.controlnet(unet, seed=1))
    written(made / "controlnet" / "adapter.safetensors", tiny_control.adapter(unet, seed=4))
    written(made / "controlnet" / "lllite.safetensors", tiny_control.lllite(unet, seed=5))
    write(made / "ipadapter" / "plain.safetensors", ip_adapter(unet).state_dict(), None, {})
    write(made / "clip_vision" / "vision.safetensors", vision().state_dict(), None, {})
    write(made / "gligen" / "boxes.safetensors", gligen(unet).state_dict(), None, {})
    photo(made / "photo.png", size=(WIDTH * 8, HEIGHT * 8))
    slope = np.linspace(0, 255, WIDTH * 2, dtype=np.uint8)[None].repeat(HEIGHT * 2, 0)
    Image.fromarray(slope).save(made / "slope.png")
    half = np.zeros((HEIGHT * 8, WIDTH * 8), np.uint8)
    half[:, 200:900] = 255
    Image.fromarray(half).save(made / "mask.png")
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return assemble("tiny", tiny.model(), "0" * 64, CPU, Settings(models=(folder,)))


@pytest.fixture
def near_sighted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that see no farther than their convolutions: norms and self-attention, which see all, see less."""
    attend = CrossAttention.forward
    monkeypatch.setattr(GroupNorm, "forward", lambda self, x: x * 0.5)
    monkeypatch.setattr(
        CrossAttention, "forward", lambda self, x, context: x * 0 if context is x else attend(self, x, context)
    )


def recipe(**changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "negative": "blue", "width": WIDTH * 8, "height": HEIGHT * 8, "steps": 1}
    return Recipe.make(**{**base, "sampler": "euler", "guidance_scale": 3.0, "seed": 4, **changes})


def controls(folder: Path, kind: str) -> dict[str, Any]:
    """What each kind adds to a recipe."""
    image, slope, mask = (ImageRef.of(folder / f"{n}.png").model_dump() for n in ("photo", "slope", "mask"))
    told = {"image": image, "resize": "stretch"}
    box = {"x": 64, "y": 16, "width": 512, "height": 96, "text": "a cat"}
    return {
        "ControlNet": {"controls": [{**told, "model": "canny"}]},
        "ControlNet in a region": {"controls": [{**told, "model": "canny", "region": slope}]},
        "T2I-Adapter": {"controls": [{**told, "model": "adapter", "region": slope}]},
        "LLLite": {"controls": [{**told, "model": "lllite"}]},
        "LLLite in a region": {"controls": [{**told, "model": "lllite", "region": slope}]},
        "IP-Adapter": {"image_prompts": [{"image": image, "model": "plain", "mask": slope}]},
        "inpaint_only": {"controls": [{**told, "model": "canny", "preprocessor": "inpaint_only", "mask": mask}]},
        "colours": {"controls": [{**told, "model": "canny", "preprocessor": "tile_colorfix"}]},
        "reference": {"controls": [{**told, "preprocessor": "reference_adain+attn"}]},
        "boxes": {"boxes": [box], "gligen": {"model": "boxes"}},
    }[kind]


NEAR = (
    "ControlNet",
    "ControlNet in a region",
    "T2I-Adapter",
    "LLLite",
    "LLLite in a region",
    "IP-Adapter",
    "inpaint_only",
    "colours",
)


def latents(model: Model, *recipes: Recipe) -> list[Tensor]:
    executor = Executor[int](model, max_batch=4)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    made = dict(executor.run())
    return [made[i] for i in range(len(recipes))]


def difference(one: Tensor, other: Tensor) -> float:
    """Largest, in deviations."""
    return float((one - other).abs().max() / other.std())


@pytest.mark.usefixtures("near_sighted")
@pytest.mark.parametrize("kind", NEAR)
def test_parts_are_those_of_the_whole_picture_where_the_network_sees_no_edge(
    model: Model, folder: Path, kind: str
) -> None:
    one = recipe(**controls(folder, kind))
    whole, tiled, regional, plain = latents(model, one, one.but(**TILES), one.but(**REGIONS), recipe())
    assert difference(whole, plain) > 0.05
    spread = 8 if kind == "colours" else 0  # latents over which they are averaged
    for made, columns in ((tiled, (slice(0, 40 - spread), slice(78, 82), slice(120 + spread, 160))),
                          (regional, (slice(0, FAR), slice(WIDTH - FAR, WIDTH)))):  # fmt: skip
        for column in columns:
            assert difference(made[..., column], whole[..., column]) < 1e-4
            assert difference(plain[..., column], whole[..., column]) > 1e-3
    assert difference(tiled, whole) > 1e-3  # a tile's edge is seen there


@pytest.mark.parametrize("kind", [*NEAR, "reference", "boxes"])
def test_pictures_of_all_kinds_are_made_in_tiles_and_in_regions_and_among_others(
    model: Model, folder: Path, kind: str
) -> None:
    tiles = {"tiles": {"width": 24, "height": 16, "overlap": 8}}
    regions = {"regional": {"regions": [{"prompt": "a dog", "left": 0.4, "width": 0.6}]}}
    one = recipe(width=256, height=128, steps=1, **controls(folder, kind))
    variants = [one.but(**tiles), one.but(**regions), one.but(**tiles, **regions)]
    bare = [recipe(width=256, height=128, steps=1, **more) for more in (tiles, regions, {**tiles, **regions})]
    together = latents(model, *variants, *bare)
    for made, variant, without in zip(together, variants, together[3:], strict=False):
        (alone,) = latents(model, variant)
        assert difference(made, alone) <= 5e-5
        assert difference(made, without) > 1e-3


@pytest.mark.parametrize("kind", [*NEAR, "reference", "boxes"])
def test_a_tile_that_holds_everything_changes_nothing(model: Model, folder: Path, kind: str) -> None:
    one = recipe(width=128, height=128, **controls(folder, kind))
    made, whole = latents(model, one.but(tiles={"width": 16, "height": 16}), one)
    assert torch.equal(made, whole)


def test_a_tile_is_shown_its_part_of_the_hint(model: Model, folder: Path) -> None:
    one = recipe(**controls(folder, "ControlNet"))
    (whole,) = calls(model, one)[:1]
    hint = whole.cond.attached[0]
    assert isinstance(hint, ControlHint)
    for call, left in zip(calls(model, one.but(**TILES)), (0, 40), strict=False):
        assert call.place == Place(Area(0, left, HEIGHT, 120), (HEIGHT, WIDTH))
        shown = call.cond.attached[0]
        assert isinstance(shown, ControlHint)
        assert torch.equal(shown.guided, hint.guided[..., left : left + 120])


def calls(model: Model, one: Recipe) -> list[NetworkCall]:
    """The first that a picture asks."""
    return list(next(Job(model, one).picture(None, None)))


def test_references_are_cut_as_the_picture_is() -> None:
    clean, noise = torch.randn(1, 4, 16, 32), torch.randn(1, 4, 16, 32)
    part = References((Reference(clean, noise),), torch.ones(3)).within(Area(4, 8, 8, 8), (16, 32))
    assert torch.equal(part.members[0].latents, clean[..., 4:12, 8:16])
    assert torch.equal(part.members[0].noise, noise[..., 4:12, 8:16])


def test_boxes_are_clipped_to_a_tile_and_those_elsewhere_are_left_out() -> None:
    area, of = Area(0, 40, 16, 80), (16, 160)
    assert clipped((0.5, 0.25, 0.9, 1.0), area, of) == pytest.approx((0.5, 0.25, 1.0, 1.0))
    assert clipped((0.0, 0.0, 0.25, 1.0), area, of) is None
    network, text = gligen(tiny.model().unet), torch.randn(32)
    boxes = Boxes(network, (((0.5, 0.25, 0.9, 1.0), text), ((0.0, 0.0, 0.25, 1.0), torch.randn(32))))
    part = boxes.within(area, of)
    assert torch.allclose(part.objects, network.objects([((0.5, 0.25, 1.0, 1.0), text)]))
    assert part is boxes.within(area, of)
