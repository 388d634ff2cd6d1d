"""The doctor's figures: what they are computed from, and how they are told."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.cli import doctor, probes
from fromnoise.cli.probes import CALLS, COSTS, STEPS, TOKENS, Cost, Piece, Speeds, measure, operations, speed
from fromnoise.engine import library
from fromnoise.engine.memory import Placement
from fromnoise.nn.clip import CLIP_L, OPENCLIP_G, OPENCLIP_H
from fromnoise.nn.unet import SD1, SD2, SDXL, UNet
from fromnoise.nn.vae import SD_VAE, Decoder

from .conftest import Run

NETWORKS = {"SD 1.5": (SD1, [CLIP_L]), "SD 2.1": (SD2, [OPENCLIP_H]), "SDXL": (SDXL, [CLIP_L, OPENCLIP_G])}
CPU = Placement(torch.device("cpu"), torch.float32)


def tera(network: nn.Module, *shapes: tuple[int, ...]) -> float:
    with FlopCounterMode(display=False) as counter:
        network(*(torch.empty(shape) for shape in shapes))
    return counter.get_total_flops() / 1e12


@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.label)
def test_costs_are_those_of_the_networks(cost: Cost) -> None:
    config, encoders = NETWORKS[cost.label]
    side = cost.size // SD_VAE.downscale
    with torch.device("meta"):
        unet = UNet(config)
        y = [(1, config.vector_dim)] if config.vector_dim else []
        assert tera(unet, (1, 4, side, side), (1,), (1, TOKENS, config.context_dim), *y) == pytest.approx(
            cost.unet, 1e-3
        )
        assert tera(Decoder(SD_VAE), (1, 4, side, side)) == pytest.approx(cost.decoder, 1e-3)
    assert (cost.facts.unet, list(cost.facts.text)) == (config, encoders)


def test_operations_of_a_layer_are_known() -> None:
    assert operations(Piece(lambda: nn.Linear(8, 16), ((4, 8),))) == 2 * 4 * 8 * 16


def test_speed_is_operations_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "seconds", lambda piece, placement: 0.5)
    layer = Piece(lambda: nn.Linear(1000, 1000), ((500, 1000),))
    assert speed([layer, layer], CPU) == pytest.approx(2e9 / 1.0 / 1e12)


def test_every_family_is_measured_on_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one small piece in place of the real ones, whose time is the machine's."""
    for name in ("SD1_PIECES", "SDXL_PIECES", "DECODER_PIECES"):
        monkeypatch.setattr(probes, name, (Piece(lambda: nn.Conv2d(8, 8, 3), ((1, 8, 16, 16),)),))
    speeds = measure(CPU)
    assert speeds.decoder > 0
    assert all(speeds.seconds(cost) > 0 for cost in COSTS)


def test_a_picture_costs_its_steps_and_its_decoding() -> None:
    cost = Cost("x", 512, unet=2.0, decoder=3.0, facts=COSTS[0].facts, pieces="sd1")
    assert Speeds({"sd1": 4.0}, decoder=6.0).seconds(cost) == STEPS * CALLS * 0.5 + 0.5


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.94, "0.9 seconds"), (42.4, "42 seconds"), (600, "10 minutes"), (9000, "150 minutes")]
)
def test_durations_are_told_in_plain_words(monkeypatch: pytest.MonkeyPatch, seconds: float, told: str) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    assert doctor.human(seconds) == told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_doctor_tells_device_memory_and_times(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", language)
    monkeypatch.setattr(doctor, "measure", lambda placement: Speeds({"sd1": 0.1, "sdxl": 0.1}, decoder=0.1))
    monkeypatch.setattr(library, "builtin", lambda: checkpoint)
    monkeypatch.setattr(doctor, "total", lambda device: 1_000_000_000)
    ran = run("doctor", "--device", "cpu")
    assert ran.status == 0
    assert torch.__version__ in ran.out
    assert torch.backends.cpu.get_cpu_capability() in ran.out
    families = ran.out.splitlines()[-3:]
    assert [cost.label in line for cost, line in zip(COSTS, families, strict=True)] == [True] * 3
    assert "built-in model" in ran.out.lower() or "内置模型" in ran.out
    too_much, minutes = ("too much here", "minutes") if language == "en" else ("这台机器不够", "分钟")
    assert [too_much in line for line in families] == [False, False, True]
    assert minutes in families[2]


def test_as_json_each_line_is_told_in_both_languages(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Placement] = []
    speeds = Speeds({"sd1": 1.0, "sdxl": 1.0}, decoder=1.0)
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    monkeypatch.setattr(doctor, "measure", lambda placement: measured.append(placement) or speeds)
    monkeypatch.setattr(library, "builtin", lambda: folder / "none.safetensors")
    lines = [json.loads(line) for line in run("doctor", "--json", "--device", "cpu").out.splitlines()]
    assert len(measured) == 1
    assert all(
        cost.label in line["en"] and cost.label in line["zh"] for cost, line in zip(COSTS, lines[-3:], strict=True)
    )
    assert all("takes" in line["en"] and "占用内存" in line["zh"] for line in lines[-3:])
    assert lines[1]["en"].startswith("Computes on: cpu")
    assert lines[1]["zh"].startswith("计算设备：cpu")


def test_without_the_built_in_model_the_rest_is_told(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "measure", lambda placement: Speeds({"sd1": 1.0, "sdxl": 1.0}, decoder=1.0))
    monkeypatch.setattr(library, "builtin", lambda: folder / "none.safetensors")
    out = run("doctor", "--device", "cpu").out
    assert "Built-in" not in out
    assert "SDXL" in out


@pytest.mark.parametrize(("load", "said"), [(0.1, False), (64.0, True)])
def test_a_busy_processor_is_mentioned(monkeypatch: pytest.MonkeyPatch, load: float, said: bool) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(doctor, "cores", lambda: 2)
    assert any("busy" in line for line in doctor.facts(CPU)) == said
