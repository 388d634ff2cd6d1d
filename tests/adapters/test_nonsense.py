"""LoRAs that are nonsense are refused by name; what is passed over is said; missing files are found first."""

import logging
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from fromnoise.adapters.adapter import load_adapter
from fromnoise.checkpoints.adapter_files.lora import read_lora
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.save import layout, write
from fromnoise.cli import main
from fromnoise.errors import FileError

LAYER = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"


def lora(rank: int = 2, **more: Tensor) -> dict[str, Tensor]:
    factors = {"lora_down.weight": torch.ones(rank, 32), "lora_up.weight": torch.ones(32, rank), **more}
    return {f"{LAYER}.{name}": tensor for name, tensor in factors.items()}


NONSENSE: dict[str, tuple[dict[str, Tensor], str]] = {
    "rank 0": (lora(0), "holds no numbers: its rank is 0"),
    "huge rank": (lora(20_000), "a rank of 20,000"),
    "nan": (lora(alpha=torch.tensor(float("nan"))), "holds NaN or infinity"),
    "inf": ({**lora(), f"{LAYER}.lora_up.weight": torch.full((32, 2), float("inf"))}, "holds NaN or infinity"),
    "huge alpha": (lora(alpha=torch.tensor(1e20)), "is 1e+20"),
    "several alphas": (lora(alpha=torch.ones(3)), "is no single number"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(tmp_path: Path, name: str) -> None:
    weights, message = NONSENSE[name]
    path = write(tmp_path / "x.safetensors", weights, None, {})
    with pytest.raises(FileError) as error:
        read_lora(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_what_is_passed_over_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = tiny.model("sd1")
    path = write(tmp_path / "x.safetensors", {**lora(), "lora_unet_nowhere.lora_up.weight": torch.ones(1, 1)}, None, {})
    checkpoint = write(tmp_path / "c.safetensors", {**layout(made), "what.is.this": torch.ones(1)}, None, {})
    with caplog.at_level(logging.WARNING):
        adapter = load_adapter(path, {"unet": made.unet, "text0": made.text[0]}, allow_unmatched=True)
        load_checkpoint(checkpoint, allow_unmatched=True)
    assert adapter.unmatched == ("lora_unet_nowhere.lora_up.weight",)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 of its keys match nothing (lora_unet_nowhere.lora_up.weight): done without them",
        f"{checkpoint}: 1 of its keys match nothing (what.is.this): done without them",
    ]


def test_it_is_said_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    tiny.checkpoint(tmp_path / "m.safetensors", "sd1")
    write(tmp_path / "x.safetensors", {**lora(), "lora_unet_nowhere.lora_up.weight": torch.ones(1, 1)}, None, {})
    options = ["make", "x", "--model", "m.safetensors", "--size", "64", "--steps", "1", "--device", "cpu"]
    assert main([*options, "--lora", "x.safetensors"]) == 2
    assert "--allow-unmatched does without them" in capsys.readouterr().err
    assert main([*options, "--lora", "x.safetensors", "--allow-unmatched"]) == 0
    said = "x.safetensors: 1 of its keys match nothing (lora_unet_nowhere.lora_up.weight): done without them"
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.parametrize(
    "missing",
    [
        ["x", "--lora", "nowhere"],
        ["x <lora:nowhere:1>"],
        ["x <hypernet:nowhere:1>"],
        ["x", "--hypernetwork", "nowhere"],
    ],
)
def test_missing_files_are_found_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    assert main(["make", *missing, "--size", "64", "--steps", "1", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "nowhere" in said
    assert "loading" not in said
