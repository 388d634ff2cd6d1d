"""From a folder of pictures to a LoRA that the model's pictures obey, in one command."""

import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.adapter import load_adapter
from fromnoise.checkpoints.files import read
from fromnoise.cli.app import run
from fromnoise.engine import library
from fromnoise.engine.memory import Placement
from fromnoise.train.finetune import FineTuneTask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(2):
        path = tmp_path / "data/2_sks thing" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((96, 64), 60).convert("RGB").save(path)
    (tmp_path / "data/2_sks thing/broken.png").write_bytes(b"none")
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    places = ["--folder", str(folder / "run"), "--out", str(folder / "thing.safetensors")]
    short = ["--steps", "3", "--rank", "2", "--resolution", "64", "--learning_rate", "0.01"]
    return ["train", "lora", str(folder / "data"), "--name", "thing", *short, *places, *more]


def test_a_lora_from_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(folder, "--sample", "sks thing")) == 0
    told = capsys.readouterr()
    assert told.out.strip().splitlines()[-1] == str(folder / "thing.safetensors")
    assert "broken.png" in told.err
    assert (folder / "run/sample-000003.png").exists()
    metadata = read(folder / "thing.safetensors").metadata
    assert (metadata["ss_network_dim"], metadata["ss_output_name"]) == ("2", "thing")
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    model = library.load("builtin", Placement(torch.device("cpu"), torch.float32))
    adapter = load_adapter(folder / "thing.safetensors", {"unet": model.unet, "text0": model.text[0]})
    assert not adapter.unmatched


def test_a_stopped_run_ends_where_an_undisturbed_one_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(command(folder)) == 0
    whole = tensors(folder)
    shutil.rmtree(folder / "run")
    (folder / "thing.safetensors").unlink()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FineTuneTask, "report", stop)
        assert run(command(folder)) == 130
    assert not (folder / "thing.safetensors").exists()
    assert run(command(folder)) == 0
    again = tensors(folder)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_lora_goes_on_from_another_and_is_stored_as_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ("--keep", "0", "--no-text", "--save_precision", "float")
    assert run(command(folder, *short)) == 0
    first = tensors(folder)
    assert {tensor.dtype for tensor in first.values()} == {torch.float32}
    shutil.move(folder / "thing.safetensors", folder / "first.safetensors")
    shutil.rmtree(folder / "run")
    started = ("--network_weights", str(folder / "first.safetensors"), "--steps", "1", "--learning_rate", "1e-9")
    told = ("--training_comment", "from the first", "--sample", "sks --ss euler_a --s 2", "--alpha", "7")
    assert run(command(folder, *short, *started, *told)) == 0
    again = tensors(folder)
    assert all(torch.allclose(again[name], first[name], atol=1e-6) for name in first)  # its alpha, too
    assert read(folder / "thing.safetensors").metadata["ss_training_comment"] == "from the first"
    shutil.rmtree(folder / "run")
    assert run(command(folder, *short, *started, "--rank", "3")) == 2
    assert "does not begin what is trained here" in capsys.readouterr().err


def test_a_run_that_diverges_leaves_its_last_good_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = FineTuneTask.parts

    def exploding(self: FineTuneTask, step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
        for loss, figures in parts(self, step):
            yield (loss * 1e4 if step >= 14 else loss), figures

    monkeypatch.setattr(FineTuneTask, "parts", exploding)
    more = ("--steps", "20", "--save_every_n_steps", "6", "--keep", "0", "--no-text", "--sample_every_n_steps", "99")
    assert run(command(folder, *more)) == 2
    told = capsys.readouterr().err
    assert "above its lowest" in told
    assert "lower the learning rate" in told
    assert not (folder / "thing.safetensors").exists()
    good = read(folder / "thing-step00000012.safetensors")
    assert good.metadata["ss_steps"] == "12"
    assert all(torch.isfinite(tensor.float()).all() for tensor in good.values())


def test_a_disk_that_is_full_leaves_the_file_before(folder: Path) -> None:
    assert run(command(folder, "--keep", "0", "--no-text")) == 0
    before = (folder / "thing.safetensors").read_bytes()
    shutil.rmtree(folder / "run")

    def fill() -> None:
        def limited(*_: object) -> dict[str, float]:  # the last report comes before the file is written
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
            return {}

        FineTuneTask.report = limited  # type: ignore[assignment, method-assign]
        os._exit(run(command(folder, "--keep", "0", "--no-text", "--seed", "5")))

    fork = multiprocessing.get_context("fork").Process(target=fill)
    fork.start()
    fork.join()
    assert fork.exitcode == 2
    assert (folder / "thing.safetensors").read_bytes() == before
    assert [path.name for path in folder.glob(".*")] == []


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return dict(read(folder / "thing.safetensors"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kind", "nonesuch"], "kind"),
        (["--strict"], "broken.png"),
        (["--model", "nonesuch"], "nonesuch"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    assert run(command(folder, *more)) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "thing.safetensors").exists()
