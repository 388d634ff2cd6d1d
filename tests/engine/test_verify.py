"""A picture checked against its metadata: every edit is found, and nothing else is called one."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.engine import company
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.losses import Losses
from fromnoise.engine.metadata import own
from fromnoise.engine.metadata.carrier import exif, read_texts, save_picture
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.verify import Verification, again, verify
from fromnoise.errors import FileError
from fromnoise.settings import Settings
from tests.engine.models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def threads() -> Iterator[None]:
    """Leaves the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def recipe(**changes: object) -> Recipe:
    return Recipe.make(**{"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, **changes})


def saved(model: Model, folder: Path, recipes: list[Recipe], suffix: str = ".png", max_batch: int = 8) -> list[Path]:
    """Pictures made side by side, as files."""
    paths = [folder / f"{i}{suffix}" for i in range(len(recipes))]
    for made in generate(model, recipes, max_batch=max_batch):
        save_picture(made.image, paths[made.index], own.texts(made.recipe, company=made.company))
    return paths


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_a_picture_is_itself(model: Model, tmp_path: Path, suffix: str, sampler: str) -> None:
    (path,) = saved(model, tmp_path, [recipe(sampler=sampler, seed=3)], suffix)
    found = verify(path, lambda _: model)
    assert (found.verdict, found.largest, found.mean, found.rounded, found.changed) == ("identical", 0, 0, 0, 0)
    assert (found.model_hash, found.model_matches, found.missing) == ("0" * 64, True, ())


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_batches_make_no_difference(model: Model, tmp_path: Path, batch: int) -> None:
    recipes = [recipe(sampler=s, seed=i, steps=2) for i, s in enumerate(("euler", "dpmpp_2m_sde", "heun"))]
    for path in saved(model, tmp_path, recipes, max_batch=batch):
        assert not_one_value_differs(verify(path, lambda _: model))


@pytest.mark.usefixtures("threads")
def test_threads_are_as_many_as_then(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load many threads are slow: one small picture."""
    torch.set_num_threads(2)
    (path,) = saved(model, tmp_path, [recipe(sampler="euler", steps=1, width=32, height=32)])
    torch.set_num_threads(1)
    seen: list[int] = []
    decode = Model.decode

    def watched(self: Model, latents: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return decode(self, latents)

    monkeypatch.setattr(Model, "decode", watched)
    assert not_one_value_differs(verify(path, lambda _: model))
    assert set(seen) == {2}
    assert torch.get_num_threads() == 1


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("count", "batch"), [(1, 1), (2, 3), (4, 20), (3, 8)])
def test_threads_and_batches_make_no_difference(model: Model, tmp_path: Path, count: int, batch: int) -> None:
    samplers = ("euler", "dpmpp_2m_sde", "heun", "lcm")
    torch.set_num_threads(count)
    paths = saved(model, tmp_path, [recipe(sampler=s, seed=i) for i, s in enumerate(samplers)], max_batch=batch)
    torch.set_num_threads(1)
    for path in paths:
        assert not_one_value_differs(verify(path, lambda _: model))


def not_one_value_differs(found: Verification) -> bool:
    return (found.verdict, found.largest, found.mean, found.rounded, found.changed) == ("identical", 0, 0, 0, 0)


def test_without_the_note_of_batches_it_is_rounding(model: Model, tmp_path: Path) -> None:
    """Pictures of another machine, too: the real numbers are compared."""
    (path, *_) = saved(model, tmp_path, [recipe(sampler="euler", seed=i) for i in range(4)], max_batch=7)
    known = read_texts(path)
    save_picture(Image.open(path), path, {**known, "Software": known["Software"].partition(";")[0]})
    found = verify(path, lambda _: model)
    assert found.verdict in ("identical", "equal within rounding")
    assert (found.largest, found.changed) == (0, 0)


def test_the_note_of_batches(model: Model, tmp_path: Path) -> None:
    paths = saved(model, tmp_path, [recipe(sampler="euler", steps=3, seed=i) for i in range(2)], max_batch=3)
    notes = [own.made_by(read_texts(path)) for path in paths]
    assert [company.written(note.company) for note in notes] == ["0/3+1/3*3", "2/3+0/1*3"]
    assert {note.threads for note in notes} == {torch.get_num_threads()}
    assert all(note.environment == own.environment().rpartition(",")[0] for note in notes)


@pytest.mark.parametrize(
    "text", ["", "0/0", "2/2", "0/1*0x", "0/1*999999", "0/999", "nonsense", "0/1+*3", "0/1," * 9999]
)
def test_a_note_that_is_none_is_left_out(text: str) -> None:
    assert company.read(text) == ()


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_one_changed_pixel_is_found(model: Model, tmp_path: Path, suffix: str) -> None:
    (path,) = saved(model, tmp_path, [recipe()], suffix)
    image = Image.open(path).convert("RGB")
    image.putpixel((11, 40), tuple(255 - level for level in image.getpixel((11, 40))))  # type: ignore[arg-type, union-attr]
    save_picture(image, path, own.texts(recipe(schedule="karras", model_hash="0" * 64)))
    found = verify(path, lambda _: model)
    assert (found.verdict, found.changed, found.box) == ("edited", 1, (11, 40, 12, 41))
    assert found.largest is not None
    assert found.largest > 1


def test_one_level_of_one_pixel_is_found_wherever_it_is(model: Model, tmp_path: Path) -> None:
    """Unless it lies at the edge between two levels, which one in some hundred does."""
    (path,) = saved(model, tmp_path, [recipe()])
    image, rng = np.asarray(Image.open(path)), np.random.default_rng(0)
    for _ in range(6):
        row, column, channel = rng.integers(64), rng.integers(64), rng.integers(3)
        changed = image.copy()
        changed[row, column, channel] ^= 1
        save_picture(Image.fromarray(changed), path, own.texts(recipe(schedule="karras")))
        found = verify(path, lambda _: model)
        assert (found.verdict, found.largest, found.changed) == ("edited", 1, 1)
        assert found.box == (column, row, column + 1, row + 1)


def test_another_seed_is_another_picture(model: Model, tmp_path: Path) -> None:
    (path,) = saved(model, tmp_path, [recipe()])
    save_picture(Image.open(path), path, own.texts(recipe(seed=9, schedule="karras")))
    found = verify(path, lambda _: model)
    assert found.verdict == "different"
    assert found.changed > 2048


def test_another_size_is_noticed(model: Model, tmp_path: Path) -> None:
    (path,) = saved(model, tmp_path, [recipe()])
    save_picture(Image.open(path).resize((32, 32)), path, own.texts(recipe(schedule="karras")))
    found = verify(path, lambda _: model)
    assert (found.verdict, found.reason) == ("different", "it has 32x32 pixels, and 64x64 when made again")


def test_another_model_is_named(model: Model, tmp_path: Path) -> None:
    (path,) = saved(model, tmp_path, [recipe()])
    save_picture(Image.open(path), path, own.texts(recipe(model="dream", model_hash="12" * 32)))
    found = verify(path, lambda _: model)
    assert (found.verdict, found.model_matches, found.model_hash) == ("not checked", False, "0" * 64)
    assert found.reason == f"dream is another model: the picture needs {'12' * 32}"


def test_a_short_hash_of_another_tool_is_enough(model: Model, tmp_path: Path) -> None:
    line = "Steps: 2, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Model hash: 0000000000, Version: v1.10.1"
    save_picture(Image.new("RGB", (64, 64)), tmp_path / "a.png", {"parameters": f"a cat\n{line}"})
    found = verify(tmp_path / "a.png", lambda _: model)
    assert (found.verdict, found.model_matches, found.imported.source) == ("different", True, "AUTOMATIC1111")


def test_a_missing_model_is_named(model: Model, tmp_path: Path) -> None:
    (path,) = saved(model, tmp_path, [recipe()])

    def load(_: Recipe) -> Model:
        raise FileError("no model 'dream'")

    found = verify(path, load)
    assert (found.verdict, found.reason, found.model_hash) == ("not checked", "no model 'dream'", None)


@pytest.fixture
def started(model: Model, tmp_path: Path) -> Path:
    """A picture made from another under a mask, which lie in folder in/."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.effect_noise((64, 64), 80).convert("RGB").save(folder / "start.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:40] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    start, hole = ImageRef.of(folder / "start.png"), ImageRef.of(folder / "mask.png")
    return saved(model, tmp_path, [recipe(init=start, mask=hole, strength=0.7)])[0]


def test_a_start_picture_and_its_mask(model: Model, started: Path) -> None:
    assert verify(started, lambda _: model).verdict == "identical"
    image = Image.open(started).convert("RGB")
    image.putpixel((0, 0), (image.getpixel((0, 0))[0] ^ 1, 0, 0))  # type: ignore[index]
    save_picture(image, started, own.texts(own.recipe_in(started)))
    assert verify(started, lambda _: model).box == (0, 0, 1, 1)


def test_every_file_that_a_recipe_names_is_looked_for(model: Model, tmp_path: Path) -> None:
    """Pictures of controls, regions and image prompts, and networks; all that are missing are told at once."""
    Image.new("L", (8, 8), 255).save(tmp_path / "a.png")
    here, gone = ImageRef.of(tmp_path / "a.png"), ImageRef(path="b.png", sha256="1" * 64)
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "ink.safetensors").write_bytes(b"another")
    named = recipe(
        model_hash="0" * 64,
        schedule="karras",
        controls=[{"model": "canny", "image": here, "region": gone}],
        image_prompts=[{"image": here, "model": "face", "more": [here, gone], "vision": "clip-h"}],
        regional={"regions": [{"prompt": "a dog", "mask": gone}]},
        networks=[{"name": "ink", "hash": "ab" * 32}, {"name": "rose"}],
    )
    path = tmp_path / "made.png"
    save_picture(Image.new("RGB", (64, 64)), path, own.texts(named))
    found = verify(path, lambda _: model, Settings(models=(tmp_path / "models",)))
    assert found.verdict == "not checked"
    assert [(one.field, one.path, one.sha256[:2]) for one in found.missing] == [
        ("regional.regions.0.mask", "b.png", "11"),
        ("image_prompts.0.more.1", "b.png", "11"),
        ("controls.0.region", "b.png", "11"),
        ("networks.0", "ink", "ab"),
        ("networks.1", "rose", ""),
        ("controls.0", "canny", ""),
        ("image_prompts.0", "face", ""),
        ("image_prompts.0.vision", "clip-h", ""),
    ]
    assert found.missing[3].reason == "another file of that name is here"
    assert "no LoRA 'rose'" in found.missing[4].reason


def test_moved_files_are_found_beside_the_picture(model: Model, started: Path) -> None:
    for name in ("start.png", "mask.png"):
        (started.parent / "in" / name).rename(started.parent / name)
    assert verify(started, lambda _: model).verdict == "identical"


@pytest.mark.parametrize(("change", "reason"), [("gone", "is not there"), ("other", "has changed since")])
def test_missing_and_changed_files_are_named(model: Model, started: Path, change: str, reason: str) -> None:
    start = started.parent / "in" / "start.png"
    start.unlink()
    if change == "other":
        Image.new("RGB", (64, 64)).save(start)
    found = verify(started, lambda _: model)
    assert found.verdict == "not checked"
    assert [(m.field, m.path) for m in found.missing] == [("init", str(start))]
    assert reason in found.missing[0].reason
    with pytest.raises(FileError, match=reason):
        again(started, lambda _: model)


def test_again_makes_it_again(model: Model, tmp_path: Path) -> None:
    (path,) = saved(model, tmp_path, [recipe(seed=4)])
    assert again(path, lambda _: model).image.tobytes() == Image.open(path).tobytes()
    assert again(path, lambda _: model, lambda recipe: recipe.but(seed=5)).image.tobytes() != Image.open(path).tobytes()


def test_half_precision_is_held_to_its_own_rounding(tmp_path: Path) -> None:
    model = tiny_model(dtype=torch.bfloat16)
    paths = saved(model, tmp_path, [recipe(seed=i) for i in range(3)], max_batch=6)
    for path in paths:
        assert verify(path, lambda _: model).verdict == "identical"
        known = read_texts(path)
        save_picture(Image.open(path), path, {**known, "Software": ""})
        assert verify(path, lambda _: model).verdict in ("identical", "equal within rounding")


@pytest.mark.parametrize(
    ("name", "how"), [("a.jpg", {"quality": 80}), ("a.webp", {"quality": 80}), ("a.webp", {"quality": 37, "method": 4})]
)
def test_a_file_that_loses_something_is_compared_after_the_same_losses(
    model: Model, tmp_path: Path, name: str, how: dict[str, int]
) -> None:
    path = lossy(model, tmp_path / name, lambda image: image, **how)
    found = verify(path, lambda _: model)
    assert (found.verdict, found.changed, found.lossy) == ("identical", 0, "JPEG" if name == "a.jpg" else "WebP")
    assert found.psnr is not None
    assert 15 < found.psnr < 60


def test_a_webp_of_another_encoder_is_alike_and_one_that_was_painted_on_is_not(model: Model, tmp_path: Path) -> None:
    path = lossy(model, tmp_path / "a.webp", lambda image: image, quality=80, method=0)
    assert verify(path, lambda _: model).verdict == "alike"

    def painted(image: Image.Image) -> Image.Image:
        image.paste((255, 0, 0), (32, 32, 48, 48))
        return image

    found = verify(lossy(model, tmp_path / "b.webp", painted, quality=80, method=0), lambda _: model)
    assert (found.verdict, found.box) == ("edited", (32, 32, 48, 48))


def test_losses_of_a_file_whose_pixels_alone_were_kept(model: Model, tmp_path: Path) -> None:
    path = lossy(model, tmp_path / "a.jpg", lambda image: image, quality=70)
    losses = Losses.of(path)
    assert losses is not None
    assert Losses.told(json.loads(json.dumps(asdict(losses)))) == losses
    kept = tmp_path / "kept.png"
    save_picture(Image.open(path), kept, {key: text for key, text in read_texts(path).items() if key.isascii()})
    assert verify(kept, lambda _: model).verdict in ("edited", "different")
    assert verify(kept, lambda _: model, losses=losses).verdict == "identical"


def lossy(model: Model, path: Path, change: Callable[[Image.Image], Image.Image], **how: int) -> Path:
    """A picture in a file of that kind, with AUTOMATIC1111's texts."""
    (made,) = generate(model, [recipe(sampler="euler")])
    tags = exif(own.texts(made.recipe, company=made.company), own=True, graph=False)
    change(made.image).save(path, exif=tags, **how)
    return path
