"""Upscalers' files: keys of all years, what is wrapped around them, and damaged ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fromnoise.checkpoints.detect import NotDetected
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.upscale_models import load_upscaler
from fromnoise.errors import FileError
from fromnoise.nn.rrdb import RRDBConfig
from fromnoise.nn.srvgg import CompactConfig
from tests.upscalers.tiny import COMPACT, RRDB, compact, middle_names, old_names, rrdb, saved

CONFIGS = [
    RRDB,
    replace(RRDB, blocks=3, width=12),
    replace(RRDB, doublings=0),
    replace(RRDB, doublings=1),
    replace(RRDB, doublings=3),
    replace(RRDB, plus=True),
    replace(RRDB, in_channels=12, unshuffle=2),
    replace(RRDB, in_channels=48, unshuffle=4),
    replace(RRDB, in_channels=1, out_channels=1),
]
COMPACTS = [
    COMPACT,
    replace(COMPACT, scale=4, width=6),
    replace(COMPACT, scale=1),
    replace(COMPACT, in_channels=1, out_channels=1, scale=3, convolutions=1),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_esrgan_under_the_keys_of_all_years(tmp_path: Path, config: RRDBConfig) -> None:
    network = rrdb(config)
    picture = torch.rand(1, config.in_channels // config.unshuffle**2, 7, 9)
    wanted = network(picture)
    assert wanted.shape[-2:] == (7 * config.scale, 9 * config.scale)
    for names in (dict, old_names, middle_names):
        state = names(network.state_dict()) if names is dict else names(network)  # type: ignore[operator]
        torch.save(state, tmp_path / "model.pth")
        found = load_upscaler(tmp_path / "model.pth")
        assert found.config == config
        assert torch.equal(found(picture), wanted)


@pytest.mark.parametrize("config", COMPACTS)
def test_compact(tmp_path: Path, config: CompactConfig) -> None:
    network = compact(config)
    found = load_upscaler(saved(network, tmp_path / "model.pth", "params"))
    assert found.config == config
    picture = torch.rand(1, config.in_channels, 7, 9)
    assert torch.equal(found(picture), network(picture))


@pytest.mark.parametrize("wrapped", ["params_ema", "params-ema", "params", "model", "anything", None])
@pytest.mark.parametrize("prefix", ["", "module.", "netG."])
def test_what_is_wrapped_around(tmp_path: Path, wrapped: str | None, prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in compact().state_dict().items()}
    torch.save({wrapped: state} if wrapped else state, tmp_path / "model.pth")
    assert load_upscaler(tmp_path / "model.pth").config == COMPACT


def test_averages_come_first(tmp_path: Path) -> None:
    last, average = compact(seed=1).state_dict(), compact(seed=2).state_dict()
    torch.save({"params": dict(last), "params_ema": dict(average)}, tmp_path / "model.pth")
    assert torch.equal(load_upscaler(tmp_path / "model.pth").body[0].weight, average["body.0.weight"])


def test_safetensors(tmp_path: Path) -> None:
    save_file(dict(rrdb().state_dict()), tmp_path / "model.safetensors")
    assert load_upscaler(tmp_path / "model.safetensors").config == RRDB


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"conv_first.weight": None}, NotDetected, "conv_first.weight is missing"),
        ({"conv_hr.bias": None}, UnmatchedKeys, "1 missing: conv_hr.bias"),
        ({"conv_hr.weight": torch.zeros(3, 8, 3, 3)}, UnmatchedKeys, "1 of another shape: conv_hr.weight"),
        ({"extra.weight": torch.zeros(1)}, UnmatchedKeys, "1 unknown: extra.weight"),
        ({"conv_last.weight": torch.zeros(5, 8, 3, 3)}, NotDetected, "makes 5 channels of 3"),
        ({"conv_first.weight": torch.zeros(8)}, NotDetected, "has the shape"),
        ({"body.99999.rdb1.conv1.weight": torch.zeros(1)}, NotDetected, "have gaps"),
        ({"conv_up1.weight": None, "conv_up2.weight": None, "conv_first.weight": torch.zeros(8, 12, 3, 3)},
         NotDetected, "smaller"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(
    tmp_path: Path, changes: dict[str, torch.Tensor | None], error: type[Exception], message: str
) -> None:
    state = {**rrdb().state_dict(), **changes}
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "model.pth")
    with pytest.raises(error, match=message) as raised:
        load_upscaler(tmp_path / "model.pth")
    assert "model.pth" in str(raised.value)


def test_other_files(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(NotDetected, match=r"other\.pth holds neither an ESRGAN nor"):
        load_upscaler(tmp_path / "other.pth")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    with pytest.raises(FileError, match="holds no table of named weights"):
        load_upscaler(tmp_path / "numbers.pth")
    with pytest.raises(FileError, match="does not exist"):
        load_upscaler(tmp_path / "missing.pth")


def test_compact_of_no_picture(tmp_path: Path) -> None:
    state = dict(compact().state_dict())
    state["body.6.weight"], state["body.6.bias"] = torch.zeros(7, 8, 3, 3), torch.zeros(7)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(NotDetected, match="7 channels"):
        load_upscaler(tmp_path / "model.pth")
