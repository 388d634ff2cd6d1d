"""Large pictures in tiles: whole recipes, alone and among others, and start pictures enlarged by upscalers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import UnknownName
from fromnoise.sampling.resume import Recording
from fromnoise.upscalers import UPSCALERS
from fromnoise.upscalers.work import Work
from tests.engine.models import tiny_model
from tests.upscalers.test_tiles import largest_difference, picture

TILES = {"method": "mixture of diffusers", "width": 16, "height": 16, "overlap": 8}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def recipe(**changes: object) -> Recipe:
    base = {"prompt": "a red apple", "negative": "fog", "width": 192, "height": 160, "steps": 3, "seed": 2}
    return Recipe.make(**{"tiles": TILES, **base, **changes})


def latents(model: Model, one: Recipe, max_batch: int = 8) -> Tensor:
    executor = Executor[int](model, max_batch)
    executor.add(0, Job(model, one).picture(None, None))
    ((_, done),) = executor.run()
    return done


def seen_sizes(model: Model, made: Callable[[], object]) -> set[tuple[int, ...]]:
    sizes: set[tuple[int, ...]] = set()

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        sizes.add(tuple(args[0].shape))

    hook = model.unet.register_forward_pre_hook(note)
    try:
        made()
    finally:
        hook.remove()
    return sizes


def test_the_network_sees_tiles_in_small_batches_whatever_the_picture_is(model: Model) -> None:
    sizes = seen_sizes(model, lambda: latents(model, recipe(), max_batch=3))
    assert {size[1:] for size in sizes} == {(4, 16, 16)}
    assert max(size[0] for size in sizes) == 3


def test_a_picture_no_larger_than_a_tile_is_the_same_without(model: Model) -> None:
    small = recipe(width=128, height=128)
    assert torch.equal(latents(model, small), latents(model, small.but(tiles=None)))


def test_tiles_and_their_weights_change_large_pictures(model: Model) -> None:
    made = [
        latents(model, recipe(tiles=tiles))
        for tiles in (None, TILES, {**TILES, "method": "multidiffusion"}, {**TILES, "overlap": 14})
    ]
    for i, one in enumerate(made):
        for other in made[i + 1 :]:
            assert not torch.allclose(one, other, atol=1e-3)


def test_tiled_pictures_are_the_same_alone_and_among_others(model: Model) -> None:
    recipes = [
        recipe(),
        recipe(tiles={**TILES, "method": "multidiffusion"}, sampler="heun"),
        recipe(tiles=None, width=128, height=128),
        recipe(regional={"regions": [{"prompt": "a dog", "left": 0.4, "width": 0.6}]}),
        recipe(width=64, height=64, hires={"scale": 3, "strength": 0.5, "upscaler": "Lanczos"}),
    ]
    executor = Executor[int](model, max_batch=16)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    together = dict(executor.run())
    for i, one in enumerate(recipes):
        alone = latents(model, one)
        assert float((together[i] - alone).abs().max()) <= 5e-5 * float(alone.std()), i


def test_a_tiled_picture_goes_on_where_it_was_stopped(model: Model) -> None:
    one, recording = recipe(sampler="euler_ancestral"), Recording()
    whole = latents(model, one)
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, recording))
    executor.step()
    executor.cancel(0)
    executor.add(0, Job(model, one).picture(None, recording))
    ((_, done),) = executor.run()
    torch.testing.assert_close(done, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("resize", ["crop", "stretch", "fill"])
def test_a_start_picture_is_enlarged_by_an_upscaler(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resize: str
) -> None:
    sizes: list[tuple[int, int]] = []
    make = UPSCALERS["Nearest"].make

    def noting(image: object, width: int, height: int, work: Work) -> object:
        sizes.append((width, height))
        return make()(image, width, height, work)  # type: ignore[arg-type]

    monkeypatch.setitem(UPSCALERS._items, "Nearest", type(UPSCALERS["Nearest"])("Nearest", lambda: noting, "", ""))  # type: ignore[arg-type]
    monkeypatch.setattr("fromnoise.engine.checks.check_upscaler", lambda *rest, **more: None)
    picture(64, 48).save(tmp_path / "start.png")
    start = ImageRef.of(tmp_path / "start.png")
    one = recipe(init=start, strength=0.0, width=128, height=104, resize=resize, init_upscaler="nearest", tiles=None)
    (made,) = generate(model, [one])
    assert made.image.size == (128, 104)
    (plain,) = generate(model, [one.but(init_upscaler=None)])
    assert largest_difference(made.image, plain.image) > 0
    factor = {"fill": min, "crop": max, "stretch": max}[resize](128 / 64, 104 / 48)
    assert sizes == [(round(64 * factor), round(48 * factor))]


def test_a_large_start_picture_is_left_to_lanczos_and_wrong_names_are_said(model: Model, tmp_path: Path) -> None:
    picture(256, 256).save(tmp_path / "start.png")
    one = recipe(init=ImageRef.of(tmp_path / "start.png"), strength=0.0, init_upscaler="builtin")
    (made,), (plain,) = generate(model, [one]), generate(model, [one.but(init_upscaler=None)])
    assert largest_difference(made.image, plain.image) == 0
    with pytest.raises(UnknownName, match="unknown upscaler 'buildin'"):
        Job(model, one.but(init_upscaler="buildin"))
