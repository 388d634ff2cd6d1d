"""Start pictures enlarged and painted anew in tiles: where the tiles lie, what each is, and the whole of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fromnoise.engine.canvas import Box, blurred, resized
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, Step, generate
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Progress
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.redraw import Redrawing, Tile, combined, factors, peak, softened
from fromnoise.errors import UserError
from fromnoise.sampling.resume import Recording
from tests import tiny_control
from tests.engine.models import tiny_model
from tests.tiny_control import written
from tests.tiny_pictures import photo


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo(tmp_path_factory.mktemp("redraw") / "start.png", size=(64, 48))


def recipe(start: Path, redraw: dict[str, Any] | None, **changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "strength": 0.5, "seed": 3}
    init = ImageRef.of(start).model_dump()
    return Recipe.make(**{**base, "sampler": "euler", "init": init, "redraw": redraw, **changes})


def redrawing(model: Model, one: Recipe) -> Redrawing:
    return Redrawing(model, Job(model, one).recipe, None, Progress())


def tiles(model: Model, one: Recipe) -> list[Tile]:
    return list(redrawing(model, one).tiles())


def made(model: Model, one: Recipe) -> Image.Image:
    (done,) = generate(model, [one])
    return done.image


def differs(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, np.int32) - np.asarray(other, np.int32)).max())


# --- where and what ---------------------------------------------------------------------------------------------------


def test_sd_upscale_spreads_its_tiles_evenly_and_counts_seeds_on(model: Model, start: Path) -> None:
    found = tiles(model, recipe(start, {"scale": 2, "overlap": 16}))
    boxes = [one.box for one in found]
    assert [box[:2] for box in boxes if box] == [(0, 0), (32, 0), (64, 0), (0, 32), (32, 32), (64, 32)]
    assert {box.size for box in boxes if box} == {(64, 64)}
    assert [one.recipe.seed for one in found] == [3, 4, 5, 6, 7, 8]
    assert all(one.recipe.redraw is None and one.mask is None for one in found)


def test_a_picture_smaller_than_a_tile_is_one(model: Model, start: Path) -> None:
    (only,) = tiles(model, recipe(start, {"scale": 1, "overlap": 128}, width=512, height=512))
    assert only.box == (0, 0, 64, 48)
    assert (only.recipe.width, only.recipe.height) == (64, 48)


def masks(found: list[Tile]) -> list[Image.Image]:
    return [one.mask() for one in found if one.mask is not None]


def test_ultimate_upscale_walks_row_by_row_or_as_on_a_chessboard(model: Model, start: Path) -> None:
    for method, order in (("linear", [0, 1, 2, 3, 4, 5]), ("chess", [0, 2, 4, 1, 3, 5])):
        found = tiles(model, recipe(start, {"method": method, "scale": 3, "blur": 0, "padding": 16}))
        assert [one.recipe.seed for one in found] == [3] * 9
        corners = [mask.getbbox() for mask in masks(found)]
        squares = [(c * 64, r * 64, min(192, c * 64 + 65), min(144, r * 64 + 65)) for r in range(3) for c in range(3)]
        assert sorted(box for box in corners if box) == sorted(squares)
        assert [squares.index(box) for box in corners if box][:2] == order[:2]
        assert {(one.recipe.width, one.recipe.height) for one in found} == {(128, 128)}  # 64 + 16, in 64s
    assert [sum(divmod(squares.index(box), 3)) % 2 for box in corners if box] == [0] * 5 + [1] * 4


def test_seams_are_painted_as_the_script_does(model: Model, start: Path) -> None:
    def seams(which: str, **more: Any) -> list[Tile]:
        return tiles(model, recipe(start, {"method": "none", "scale": 3, "seams": which, **more}))

    bands = seams("band", seam_width=32, seam_padding=8)
    assert [mask.getbbox() for mask in masks(bands)] == [
        (48, 0, 80, 144), (112, 0, 144, 144), (0, 48, 192, 80), (0, 112, 192, 144),
    ]  # fmt: skip
    assert [(b.recipe.width, b.recipe.height) for b in bands] == [(48, 144), (48, 144), (192, 48), (192, 48)]
    assert {one.recipe.strength for one in bands} == {0.35}
    middle = np.asarray(masks(bands)[0])[70]
    assert middle[64] > 240
    assert middle[49] < 40
    assert middle[63] > middle[56] > middle[50]
    halves, corners = seams("half", seam_blur=0), seams("half+intersections", seam_blur=0)
    assert len(halves) == 2 * 3 + 3 * 2
    assert len(corners) == len(halves) + 4
    about = np.asarray(masks(corners)[-4])  # the corner at 64, 64
    assert about[64, 64] > 250
    assert about[34, 34] < 40
    row, column = (np.asarray(mask) for mask in (masks(halves)[0], masks(halves)[6]))
    for levels in (row[:, 32], column[32]):
        assert levels[64] > 240
        assert max(levels[33], levels[94]) < 20
    assert [corners[at].recipe.inpaint.padding for at in (0, -1) if corners[at].recipe.inpaint] == [16, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("profile", "method", "size"),
    [("native", "tiles", (144, 112)), ("a1111", "tiles", (144, 104)), ("a1111", "linear", (192, 128)),
     ("native", "chess", (144, 112))],
)  # fmt: skip
def test_the_size_is_each_script_s_own(
    model: Model, start: Path, profile: str, method: str, size: tuple[int, int]
) -> None:
    one = Job(model, recipe(start, {"method": method, "scale": 2.3}, profile=profile)).recipe
    assert one.redraw is not None
    assert one.redraw.size == size  # of 147.2 x 110.4
    assert Job(model, recipe(start, {"size": (80, 72)})).recipe.redraw == one.redraw.model_copy(
        update={"size": (80, 72), "scale": 2.0, "method": "tiles"}
    )


@pytest.mark.parametrize(
    ("times", "wanted"), [(1, []), (1.5, [2]), (2, [2]), (2.1, [3]), (4, [4]), (5, [3, 2]), (7, [4, 2]), (10, [2])]
)
def test_an_upscaler_is_applied_in_the_script_s_turns(times: float, wanted: list[int]) -> None:
    assert factors(times) == wanted


def test_tiles_fade_into_each_other() -> None:
    boxes = [Box(left, top, left + 64, top + 64) for top in (0, 40) for left in (0, 50)]
    pieces = [Image.new("RGB", (64, 64), (level,) * 3) for level in (0, 200, 100, 255)]
    whole = np.asarray(combined((114, 104), boxes, pieces, 10))[..., 0].astype(int)
    for part, level in ((whole[:40, :50], 0), (whole[:40, 60:], 200), (whole[50:, :50], 100), (whole[50:, 60:], 255)):
        assert (part == level).all()
    ramp = np.arange(10) * 255 // 10
    assert np.abs(whole[0, 50:60] - ramp * 200 / 255).max() <= 1
    assert np.abs(whole[40:50, 0] - ramp * 100 / 255).max() <= 1


def test_a_mask_is_blurred_where_it_is_white_alone() -> None:
    for box in ((0, 0, 30, 20), (40, 50, 90, 70), (150, 100, 199, 149)):
        mask = Image.new("L", (200, 150))
        ImageDraw.Draw(mask).rectangle(box, fill=255)
        assert differs(softened(mask, 4.5), blurred(mask, 4.5)) == 0
    ridge = np.asarray(peak((8, 64)))[:, 4].astype(int)
    assert min(ridge[31], ridge[32]) > 245
    assert max(ridge[0], ridge[63]) < 10


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["native", "a1111"])
def test_one_tile_is_the_plain_picture(model: Model, start: Path, profile: str) -> None:
    plain = recipe(start, None, width=128, height=96, profile=profile)
    one = made(model, plain.but(redraw={"scale": 2}))
    assert differs(one, made(model, plain)) == 0


@pytest.mark.parametrize("profile", ["native", "a1111"])
def test_tiles_are_pictures_of_their_part_of_the_canvas(
    model: Model, start: Path, tmp_path: Path, profile: str
) -> None:
    one = recipe(start, {"scale": 2, "overlap": 16}, profile=profile)
    canvas = Image.open(start).convert("RGB").resize((128, 96), Image.Resampling.LANCZOS)
    boxes, pieces = [], []
    for number, tile in enumerate(tiles(model, one)):
        assert tile.box is not None
        canvas.crop(tile.box).save(tmp_path / f"{number}.png")
        boxes.append(tile.box)
        pieces.append(made(model, recipe(tmp_path / f"{number}.png", None, seed=3 + number, profile=profile)))
    assert differs(made(model, one), combined((128, 96), boxes, pieces, 16)) == 0


@pytest.mark.parametrize("profile", ["native", "a1111"])
@pytest.mark.parametrize("method", ["linear", "chess"])
def test_squares_are_inpainted_one_after_the_other(
    model: Model, start: Path, tmp_path: Path, method: str, profile: str
) -> None:
    """The same by hand: masks in files, and each picture the start of the next."""
    one = recipe(start, {"method": method, "size": (128, 128), "padding": 8, "blur": 3}, profile=profile)
    fitting = "stretch" if profile == "a1111" else "crop"
    resized(Image.open(start).convert("RGB"), 128, 128, fitting).save(tmp_path / "canvas.png")
    places = [(0, 0), (64, 0), (0, 64), (64, 64)] if method == "linear" else [(0, 0), (64, 64), (64, 0), (0, 64)]
    for left, top in places:
        mask = Image.new("L", (128, 128))
        ImageDraw.Draw(mask).rectangle((left, top, left + 64, top + 64), fill=255)
        mask.save(tmp_path / "mask.png")
        turn = recipe(
            tmp_path / "canvas.png", None, width=128, height=128, profile=profile,
            mask=ImageRef.of(tmp_path / "mask.png").model_dump(),
            inpaint={"only_masked": True, "padding": 8, "blur": 3},
        )  # fmt: skip
        made(model, turn).save(tmp_path / "canvas.png")
    assert differs(made(model, one), Image.open(tmp_path / "canvas.png")) == 0


def test_all_seams_change_the_picture_near_them_alone(model: Model, start: Path) -> None:
    base = {"method": "none", "scale": 2, "seam_width": 16, "seam_padding": 8}
    plain = np.asarray(made(model, recipe(start, base)), np.int32)
    for seams in ("band", "half", "half+intersections"):
        done = np.asarray(made(model, recipe(start, {**base, "seams": seams})), np.int32)
        assert done.shape == (96, 128, 3)
        assert np.abs(done - plain)[:, 60:68].max() > 8
    bands = np.abs(np.asarray(made(model, recipe(start, {**base, "seams": "band"})), np.int32) - plain)
    assert bands[:50, :50].max() == 0


def test_a_redraw_goes_on_where_it_was_stopped_and_among_others(model: Model, start: Path) -> None:
    one, other = recipe(start, {"scale": 2, "overlap": 16}), recipe(start, {"method": "chess", "scale": 2}, seed=8)
    alone = [made(model, each) for each in (one, other)]
    recording, seen = Recording(), list[Step]()
    executor = Executor[int](model)
    jobs = [Job(model, one), Job(model, other)]
    executor.add(0, jobs[0].picture(seen.append, recording))
    for _ in range(7):  # into the fourth tile
        executor.step()
    executor.cancel(0)
    jobs[0] = Job(model, one)
    executor.add(0, jobs[0].picture(seen.append, recording))
    executor.add(1, jobs[1].picture(None, None))
    for number, latents in executor.run():
        assert differs(jobs[number].finish(latents), alone[number]) <= 1
    assert [step.index for step in seen] == list(range(12))
    assert {step.count for step in seen} == {12}


def test_a_hint_is_cut_for_each_tile(model: Model, start: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "canny.safetensors", tiny_control.controlnet(model.unet, seed=1))
    control = {"model": str(path), "resize": "stretch"}
    one = recipe(start, {"scale": 2, "overlap": 16})
    steered = made(model, one.but(controls=[control]))
    assert differs(steered, made(model, one)) > 8
    canvas = Image.open(start).convert("RGB").resize((128, 96), Image.Resampling.LANCZOS)
    boxes, pieces = [], []
    for number, tile in enumerate(tiles(model, one)):
        assert tile.box is not None
        canvas.crop(tile.box).save(tmp_path / f"{number}.png")
        boxes.append(tile.box)
        pieces.append(made(model, recipe(tmp_path / f"{number}.png", None, seed=3 + number, controls=[control])))
    assert differs(steered, combined((128, 96), boxes, pieces, 16)) <= 1


def test_what_cannot_be_is_refused(model: Model, start: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="redraw paints all of the start picture anew: leave out mask"):
        recipe(start, {}, mask=ImageRef.of(start).model_dump())
    with pytest.raises(UserError, match="redraw needs a start picture: give one with --init"):
        Job(model, Recipe.make(redraw={}))
    photo(tmp_path / "large.png", size=(2560, 1920))
    with pytest.raises(UserError, match=r"20480x15360 pixels are too many: at most 16384 on a side"):
        Job(model, recipe(tmp_path / "large.png", {"scale": 8}))
    (tmp_path / "a.latent").write_bytes(b"x")
    with pytest.raises(UserError, match="saved latents can't be enlarged by a redraw"):
        Job(model, recipe(tmp_path / "a.latent", {}))


def test_the_recipe_says_the_size_that_came_of_it(model: Model, start: Path) -> None:
    (done,) = generate(model, [recipe(start, {"scale": 2, "method": "chess", "seams": "half"})])
    assert done.recipe.redraw is not None
    assert done.recipe.redraw.size == done.image.size == (128, 96)
    (again,) = generate(model, [Recipe.from_json(done.recipe.to_json())])
    assert differs(again.image, done.image) == 0
