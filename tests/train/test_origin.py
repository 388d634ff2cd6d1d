"""A run goes on with what it began with; and what is trained from all digits begins with all of them."""

from pathlib import Path

import pytest
import torch

from fromnoise.cli.app import run
from fromnoise.errors import UserError
from fromnoise.train.class_pictures import class_folder
from fromnoise.train.data.batches import Pool, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.finetune import FineTuneTask
from fromnoise.train.origin import check_origin, origin_of
from tests.tiny_pictures import noisy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return noisy(folder, [f"mycat, {number}" for number in range(2)])


def pools(data: Path) -> list[Pool]:
    return [gathered(Dataset(subsets=(Subset(image_dir=data),), resolution=64))]


def test_a_run_is_not_gone_on_with_from_others(data: Path, tmp_path: Path) -> None:
    folder, state = tmp_path / "run", tmp_path / "run/state.safetensors"
    check_origin(folder, state, origin_of("lora", "abc", pools(data)))
    state.touch()
    check_origin(folder, state, origin_of("lora", "abc", pools(data)))
    with pytest.raises(UserError, match="began with other method, model: give another --name"):
        check_origin(folder, state, origin_of("lcm", "def", pools(data)))
    (data / "1.txt").write_text("mycat, one")
    with pytest.raises(UserError, match="began with other pictures"):
        check_origin(folder, state, origin_of("lora", "abc", pools(data)))
    state.unlink()
    check_origin(folder, state, origin_of("lora", "abc", pools(data)))  # nothing is there that could go on


def test_a_finished_run_says_so_and_other_pictures_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--steps", "2", "--rank", "2", "--resolution", "64", "--keep", "0", "--no-text"]
    command = ["train", "lora", str(data), "--folder", str(tmp_path / "run"), "--out", str(tmp_path / "a.safetensors")]
    assert run([*command, *more]) == 0
    assert "nothing is left to learn" not in capsys.readouterr().err
    assert run([*command, *more]) == 0
    assert "has done its 2 steps: nothing is left to learn" in capsys.readouterr().err
    (data / "2.png").write_bytes((data / "1.png").read_bytes())
    assert run([*command, *more]) == 2
    assert "began with other pictures" in capsys.readouterr().err


def test_pictures_of_another_class_are_others() -> None:
    assert class_folder("a cat") != class_folder("a dog")


def test_loose_pictures_and_folders_without_a_count_are_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1_mycat", "mydog"):
        (data / name).mkdir()
        (data / name / "0.png").write_bytes((data / "0.png").read_bytes())
    short = ["--steps", "1", "--rank", "2", "--resolution", "64", "--keep", "0", "--no-text", "--debug_dataset"]
    assert run(["train", "lora", str(data), "--folder", str(tmp_path / "run"), *short]) == 0
    told = capsys.readouterr().err
    assert "mydog is left out: its name should be a count" in told
    assert "2 pictures beside the folders are left out" in told


@pytest.mark.parametrize("base", ["bfloat16", "fp8"])
def test_what_learns_as_a_whole_begins_with_all_its_digits(
    data: Path, tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    parts = FineTuneTask.parts

    def watched(self: FineTuneTask, step: int) -> object:
        weight = self.model.unet.out[2].weight
        seen.append(weight.detach().clone())
        return parts(self, step)

    monkeypatch.setattr(FineTuneTask, "parts", watched)
    command = ["train", "finetune", str(data), "--steps", "1", "--resolution", "64", "--keep", "0"]
    for name, more in (("whole", []), ("narrow", ["--base", base])):
        places = ["--folder", str(tmp_path / name), "--out", str(tmp_path / f"{name}.safetensors")]
        assert run([*command, *more, *places]) == 0
    assert seen[1].dtype == torch.float32
    assert torch.equal(seen[0], seen[1])
