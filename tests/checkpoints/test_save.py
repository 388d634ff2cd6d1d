"""Written files are whole, in the original layout, readable by others, and give back the model that was written."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors
import safetensors.torch
import torch

from fromnoise.checkpoints import save
from fromnoise.checkpoints.detect import Family
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.save import layout, save_checkpoint
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.vae import VAEConfig
from tests import tiny

FAMILIES = get_args(Family)
MARKS = {  # a few names of each family's published files
    "sd1": ["cond_stage_model.transformer.text_model.final_layer_norm.weight"],
    "sd2": [
        "cond_stage_model.model.transformer.resblocks.23.attn.in_proj_weight",
        "cond_stage_model.model.ln_final.bias",
    ],
    "sdxl": [
        "conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc1.weight",
        "conditioner.embedders.1.model.text_projection",
        "conditioner.embedders.1.model.positional_embedding",
        "model.diffusion_model.label_emb.0.0.weight",
    ],
    "sdxl_refiner": ["conditioner.embedders.0.model.transformer.resblocks.2.mlp.c_fc.weight"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layout_of_the_original_files(tmp_path: Path, family: Family) -> None:
    """safetensors' own reader agrees; every tensor is float16 and nothing else is in the folder."""
    model = tiny.model(family)
    path = save_checkpoint(tmp_path / "model.safetensors", model, metadata={"modelspec.title": "題"})
    theirs = safetensors.torch.load_file(path)
    assert set(theirs) == set(layout(model))
    assert {tensor.dtype for tensor in theirs.values()} == {torch.float16}
    assert all(tensor.equal(layout(model)[name].half()) for name, tensor in theirs.items())
    assert {*MARKS[family], "first_stage_model.quant_conv.weight", "model.diffusion_model.out.2.bias"} <= set(theirs)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"modelspec.title": "題", "modelspec.prediction_type": "epsilon"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("prediction", "zero_snr"), [("eps", False), ("v", True)])
def test_there_and_back(tmp_path: Path, family: Family, prediction: Any, zero_snr: bool) -> None:
    model = tiny.model(family, prediction=prediction, zero_snr=zero_snr)
    facts = load_checkpoint(save_checkpoint(tmp_path / "model", model)).facts
    assert replace(facts, prediction_from="caller") == model.facts
    names = set(safetensors.torch.load_file(tmp_path / "model"))
    assert ({"v_pred", "ztsnr"} <= names) == zero_snr


def test_what_shapes_cannot_tell(tmp_path: Path) -> None:
    """Heads, groups, scales and activations that differ from the families' are in the metadata."""
    unet = replace(tiny.unet_config("sd1"), heads=4)
    vae = VAEConfig(channels=32, channel_mult=(1, 1), res_blocks=1, groups=8, scale_factor=0.9, latent_channels=3)
    text = CLIPConfig(dim=32, layers=1, heads=4, act="gelu", mlp_dim=48)
    model = tiny.model("sd1", unet=unet, vae=vae, text=(text,))
    loaded = load_checkpoint(save_checkpoint(tmp_path / "model", model))
    assert (loaded.facts.unet, loaded.facts.vae, loaded.facts.text) == (unet, vae, (text,))
    assert loaded.metadata == {
        "modelspec.prediction_type": "epsilon",
        "fromnoise.unet.heads": "4",
        "fromnoise.vae.scale_factor": "0.9",
        "fromnoise.vae.groups": "8",
        "fromnoise.text0.heads": "4",
        "fromnoise.text0.act": '"gelu"',
    }
    heads_by_size = tiny.model("sd1", unet=replace(unet, heads=None, head_dim=16))
    again = load_checkpoint(save_checkpoint(tmp_path / "model", heads_by_size))
    assert again.facts.unet == heads_by_size.facts.unet


def test_without_an_autoencoder(tmp_path: Path) -> None:
    loaded = load_checkpoint(save_checkpoint(tmp_path / "model", tiny.model("sd1", with_vae=False)))
    assert loaded.vae is None


def test_a_table_of_tensors(tmp_path: Path) -> None:
    """Any names; whole numbers and float8 stay what they are, odd layouts are straightened."""
    state = {
        "a": torch.arange(6.0).view(2, 3).T,
        "ids": torch.arange(3),
        "scalar": torch.tensor(2.5),
        "none": torch.empty(0),
        "fp8": torch.ones(3).to(torch.float8_e4m3fn),
        "flag": torch.tensor([True]),
    }
    save_checkpoint(tmp_path / "model", state, dtype=torch.bfloat16)
    theirs = safetensors.torch.load_file(tmp_path / "model")
    assert theirs["a"].equal(state["a"].bfloat16())
    assert theirs["scalar"].equal(state["scalar"].bfloat16())
    assert {name: tensor.dtype for name, tensor in theirs.items()} == {
        "a": torch.bfloat16,
        "ids": torch.int64,
        "scalar": torch.bfloat16,
        "none": torch.bfloat16,
        "fp8": torch.float8_e4m3fn,
        "flag": torch.bool,
    }


def test_overwriting_the_file_one_reads_from(tmp_path: Path) -> None:
    """The weights of a loaded model lie in the file that is replaced; both stay right."""
    path = tiny.checkpoint(tmp_path / "model.safetensors")
    loaded = load_checkpoint(path)
    assert save_checkpoint(path, loaded, dtype=torch.float16) == path
    again = load_checkpoint(path)
    for name, tensor in loaded.unet.state_dict().items():
        assert again.unet.state_dict()[name].equal(tensor.half())


def test_a_failure_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"what was there before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save.os, "fsync", full)
    with pytest.raises(FileError, match=f"{path} cannot be written .No space left on device.; check the folder"):
        save_checkpoint(path, {"a": torch.ones(2)})
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileError, match="cannot be written"):
        save_checkpoint(tmp_path / "nowhere" / "model", {"a": torch.ones(2)})


def test_numbers_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a has numbers that are too large for float16; choose bfloat16"):
        save_checkpoint(tmp_path / "model", {"a": torch.tensor([1e6])})
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(tmp_path / "model", {"a": torch.tensor([1e6])}, dtype=torch.bfloat16)
