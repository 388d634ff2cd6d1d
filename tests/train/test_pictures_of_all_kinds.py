"""A folder with every mode and size of picture, and some that are broken; what is cached of pictures and captions."""

import json
import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.cli.app import run
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPText
from fromnoise.train.finetune import FineTuneTask
from fromnoise.train.lora import LoRATraining
from tests.train.test_lora import model, options, task

MODES = {"RGB": "png", "RGBA": "png", "L": "jpg", "P": "bmp", "CMYK": "tif", "1": "png", "LA": "webp", "I;16": "png"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for number, (mode, ending) in enumerate(MODES.items()):
        pixels = np.random.default_rng(number).integers(0, 255, (120, 90 + 40 * number, 3), np.uint8)
        if mode == "I;16":
            picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
        else:
            picture = Image.fromarray(pixels).convert(mode)
        picture.save(data / f"{number}.{ending}")
    (data / "0.txt").write_text("sks, noise")  # the others have no caption
    whole = (data / "0.png").read_bytes()
    (data / "half.png").write_bytes(whole[: len(whole) // 2])  # its size can be read
    for ending in ("jpg", "bmp", "tif"):  # of these the header says nothing of what is missing
        Image.fromarray(np.random.default_rng(7).integers(0, 256, (96, 80, 3), np.uint8)).save(data / f"cut.{ending}")
        os.truncate(data / f"cut.{ending}", (data / f"cut.{ending}").stat().st_size // 2)
    (data / "header.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    (data / "none.png").write_bytes(b"")
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    short = ["--steps", "4", "--rank", "2", "--resolution", "64", "--batch", "3", "--keep", "0", "--no-text"]
    places = ["--folder", str(folder / "run"), "--out", str(folder / "it.safetensors")]
    return ["train", "lora", str(folder / "data"), "--name", "it", *short, *places, *more]


def test_all_modes_and_sizes_are_learnt_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(folder, "--validation_split", "0.2")) == 0
    told = capsys.readouterr().err
    assert all(name in told for name in ("half.png", "header.jpg", "none.png", "cut.jpg", "cut.bmp", "cut.tif"))
    assert "6 pictures can't be read and are left out" in told
    assert "13 of 14 pictures have no caption" in told
    metadata = read(folder / "it.safetensors").metadata
    counted = int(metadata["ss_num_train_images"]), int(metadata["ss_num_validation_images"])
    assert sum(counted) == len(MODES)
    assert counted[1] == 2
    lines = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    assert [line["held_out_loss"] for line in lines if "held_out_loss" in line][-1] > 0
    assert (folder / "run/loss.png").exists()


def test_strict_training_wants_all_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(folder, "--strict")) == 2
    assert "cut.bmp: not a readable picture" in capsys.readouterr().err
    assert not (folder / "it.safetensors").exists()


def test_a_folder_of_broken_pictures_alone_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, ending in enumerate(MODES.values()):
        (folder / f"data/{number}.{ending}").unlink()
    assert run(command(folder)) == 2
    assert "pictures" in capsys.readouterr().err


def test_an_option_that_is_unknown_comes_with_the_nearest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(folder, "--max_train_step", "5")) == 2
    assert "--max_train_steps" in capsys.readouterr().err


def test_frozen_weights_of_eight_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    parts = FineTuneTask.parts

    def watched(self: FineTuneTask, step: int) -> object:
        assert isinstance(self.trainable, LoRATraining)
        seen.extend({self.model.unet.get_submodule(site.layer).weight.dtype for site in self.trainable.sites})
        assert all(site.weight.is_meta for site in self.trainable.sites)  # nothing else is kept alive
        return parts(self, step)

    monkeypatch.setattr(FineTuneTask, "parts", watched)
    assert run(command(folder, "--base", "fp8")) == 0
    assert set(seen) == {torch.float8_e4m3fn}
    eight = [tensor.float() for tensor in read(folder / "it.safetensors").values()]
    assert all(torch.isfinite(tensor).all() for tensor in eight)


def test_latents_are_kept_with_mean_and_deviation(folder: Path, tmp_path: Path) -> None:
    (folder / "data/half.png").unlink()
    (folder / "data/header.jpg").unlink()
    (folder / "data/none.png").unlink()
    for path in folder.glob("data/cut.*"):
        path.unlink()
    one = task(model(), folder / "data", options("lora"), tmp_path / "cache")
    _, items = one.lesson.schedule.at(0)
    first = one.latents.take(items, [Random(0)] * len(items))
    for path in (tmp_path / "cache").iterdir():
        assert {"mean", "deviation"} <= set(read(path))
    pixels = one.latents._opened(items[0], False, Random(0), (0, 0)).pixels
    mean, logvar = one.model.vae.moments(pixels[None])
    torch.testing.assert_close(first[0].mean, mean[0])
    torch.testing.assert_close(first[0].deviation, (0.5 * logvar[0]).exp())
    drawn = [one.drawn(first, step) for step in (3, 3, 4)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])  # a draw of its own at each step
    scale = one.model.vae.config.scale_factor
    spread = torch.stack([one.drawn(first, step)[0] for step in range(60)]).std(0) / scale
    torch.testing.assert_close(spread.mean(), first[0].deviation.mean(), rtol=0.1, atol=0)


def test_captions_are_encoded_once_where_text_encoders_do_not_learn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    forward = CLIPText.forward

    def counting(self: CLIPText, *given: object, **more: object) -> object:
        counted.append(1)
        return forward(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(CLIPText, "forward", counting)
    learns, frozen = (task(model(), folder / "data", options("lora", text=text)) for text in (True, False))
    numbers = []
    for one in (learns, frozen):
        counted.clear()
        for _ in range(4):
            one.states(["sks, noise", "sks"])
        numbers.append(len(counted))
    assert numbers[1] <= 2 < numbers[0]


def test_without_room_on_disk_latents_are_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FileError("cache: no space left on device")

    monkeypatch.setattr("fromnoise.train.latents.save_checkpoint", full)
    one = task(model(), folder / "data", options("lora"), tmp_path / "cache")
    _, items = one.lesson.schedule.at(0)
    first = one.latents.take(items, [Random(0)] * len(items))
    assert caplog.text.count("latents are not kept for the next time: cache: no space left") == 1
    monkeypatch.setattr("fromnoise.train.latents.MOST", 0)
    again = task(model(), folder / "data", options("lora"))
    second = again.latents.take(items, [Random(0)] * len(items))
    assert not again.latents.known  # no room in memory, either
    assert all(torch.equal(a.mean, b.mean) for a, b in zip(first, second, strict=True))
