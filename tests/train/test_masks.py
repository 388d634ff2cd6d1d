"""What masks leave out does not count; and what keeps a class: pictures that the model draws itself."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.cli.app import run
from fromnoise.cli.training_run import ordered
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.run import datasets
from tests.tiny_pictures import noisy
from tests.train.test_lora import model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = noisy(tmp_path_factory.mktemp("pictures"), ["newword", "newword"])
    for name, colour in (("black", 0), ("white", 255)):
        (path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (64, 64), (colour,) * 3).save(path / name / f"{number}.png")
    return path


def loss(folder: Path, **rules: object) -> float:
    subset = Subset.model_validate({"image_dir": folder, **rules})
    schedule = Schedule((gathered(Dataset(subsets=(subset,), batch_size=2, resolution=64)),), seed=0)
    training = LoRATraining(model(), LoRAOptions(rank=2, alpha=2), 0)
    one = FineTuneTask(training.model, training, Lesson(schedule, 10, Objective(), Noising()))
    return float(one.loss(0)[0].detach())


def test_a_mask_counts_where_it_is_named(folder: Path) -> None:
    whole = loss(folder)
    assert loss(folder, mask_dir=folder / "white") == whole > 0
    assert loss(folder, mask_dir=folder / "black") == 0


def test_what_is_transparent_does_not_count(folder: Path, tmp_path: Path) -> None:
    for number in range(2):
        picture = Image.open(folder / f"{number}.png").convert("RGBA")
        picture.putalpha(0)
        picture.save(tmp_path / f"{number}.png")
    assert loss(tmp_path, alpha_mask=True) == 0
    assert loss(tmp_path) > 0


def test_with_masked_loss_pictures_that_steer_nothing_are_masks(folder: Path) -> None:
    asked = {"masked_loss": True, "conditioning_data_dir": folder / "black"}
    for method, masked in (("lora", True), ("controlnet", False), ("t2i-adapter", False)):
        (dataset,) = datasets(ordered(method, folder, asked), model())
        (subset,) = dataset.subsets
        assert (subset.mask_dir == folder / "black", subset.conditioning_data_dir is None) == (masked, masked)
    (dataset,) = datasets(ordered("lora", folder, {"conditioning_data_dir": folder / "black"}), model())
    assert dataset.subsets[0].mask_dir is None


def test_a_class_is_kept_by_pictures_that_the_model_draws(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["train", "lora", str(folder), "--name", "it", "--steps", "2", "--rank", "2", "--resolution", "64",
             "--no-text", "--class_prompt", "a cat face", "--num_class_images", "2",
             "--folder", str(tmp_path / "run"), "--out", str(tmp_path / "it.safetensors")]  # fmt: skip
    assert run(typed) == 0
    drawn = sorted((tmp_path / "run").glob("class-*/*.png"))
    assert [path.name for path in drawn] == ["0000.png", "0001.png"]
    before = [path.stat().st_mtime_ns for path in drawn]
    assert read(tmp_path / "it.safetensors").metadata["ss_num_reg_images"] == "2"
    drawn[1].unlink()
    (tmp_path / "run/state.safetensors").unlink()
    capsys.readouterr()
    assert run(typed) == 0
    assert "drawing 1 pictures of 'a cat face'" in capsys.readouterr().err
    assert drawn[0].stat().st_mtime_ns == before[0]
