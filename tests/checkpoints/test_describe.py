"""`describe` tells what any weight file holds, also of those that cannot be loaded as a model."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.detect import Family
from fromnoise.checkpoints.names import diffusers_unet, ema_name
from fromnoise.checkpoints.parts import UNET
from fromnoise.checkpoints.save import layout, save_checkpoint
from fromnoise.errors import FileError
from tests import tiny


@pytest.mark.parametrize("family", get_args(Family))
def test_checkpoints(tmp_path: Path, family: Family) -> None:
    model = tiny.model(family, prediction="v", zero_snr=True)
    path = save_checkpoint(tmp_path / "model.safetensors", model, metadata={"modelspec.title": "t"})
    found = describe(path, check=True)
    assert found.holds == "checkpoint"
    assert found.facts is not None
    assert (found.facts.family, found.facts.prediction, found.facts.zero_snr) == (family, "v", True)
    assert found.format == "safetensors"
    assert found.size == path.stat().st_size
    networks = {"unet": model.unet, "vae": model.vae} | {f"text encoder {i}": t for i, t in enumerate(model.text, 1)}
    assert found.parameters == {
        name: sum(p.numel() for p in network.parameters()) for name, network in networks.items() if network is not None
    }
    assert found.dtypes == {"float16": found.parameter_count}
    assert (found.ema, found.unknown, found.non_finite, found.remark) == (False, (), (), "")
    assert found.metadata["modelspec.title"] == "t"


def test_a_full_checkpoint(tmp_path: Path) -> None:
    model = tiny.model("sd1")
    averages = {ema_name(name): tensor for name, tensor in model.unet.state_dict().items()}
    state = {**layout(model), **averages, "what.is.this": torch.ones(2)}
    state[UNET + "out.2.bias"] = torch.tensor([1.0, float("nan"), 1.0, 1.0])
    torch.save({"state_dict": state, "global_step": 5}, tmp_path / "model.ckpt")
    found = describe(tmp_path / "model.ckpt", check=True)
    assert (found.format, found.ema, found.unknown) == ("torch", True, ("what.is.this",))
    assert found.non_finite == (UNET + "out.2.bias",)
    assert found.metadata == {"global_step": "5"}
    assert found.parameters["other"] == 2


UNET_STATE = tiny.model("sd1").unet.state_dict()
ONE = torch.ones(2, 2)


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        (["lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight", "lora_unet_x.alpha"], "LoRA"),
        (["unet.down_blocks.0.attentions.0.to_q.lora_A.weight"], "LoRA"),
        (["lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"], "LoRA"),
        (["lora_te_x.lokr_w1", "lora_te_x.lokr_w2_a"], "LoRA"),
        (["unet.a.processor.to_q_lora.down.weight"], "LoRA"),
        (["emb_params"], "embedding"),
        (["clip_l", "clip_g"], "embedding"),
        (["<cat>"], "embedding"),
        (["control_model.zero_convs.0.0.weight"], "ControlNet"),
        (["controlnet_cond_embedding.conv_in.weight"], "ControlNet"),
        (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "IP-Adapter"),
        (["body.0.block1.weight", "conv_in.weight"], "T2I-Adapter"),
        (["conv_first.weight"], "upscaler"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "text encoder"),
        (list(map(diffusers_unet(tiny.unet_config("sd1")), UNET_STATE)), "U-Net"),
        (["something", "else"], "unknown"),
    ],
)
def test_other_kinds(tmp_path: Path, names: list[str], holds: str) -> None:
    path = save_checkpoint(tmp_path / "file.safetensors", dict.fromkeys(names, ONE))
    found = describe(path)
    assert (found.holds, found.facts, found.parameter_count) == (holds, None, 4 * len(names))


def test_lone_networks(tmp_path: Path) -> None:
    model = tiny.model("sd1")
    assert model.vae is not None
    assert describe(save_checkpoint(tmp_path / "vae", dict(model.vae.state_dict()))).holds == "VAE"
    unet = describe(save_checkpoint(tmp_path / "unet", dict(model.unet.state_dict())))
    assert unet.holds == "U-Net"
    assert unet.facts is not None


@pytest.mark.parametrize(
    ("tree", "holds", "numbers"),
    [
        ({"string_to_token": {"*": 265}, "string_to_param": {"*": ONE}, "name": "cat"}, "embedding", 4),
        ({320: ({"linear.0.weight": ONE}, {"linear.0.weight": ONE + 1}), "name": "h"}, "hypernetwork", 8),
        ([ONE, "x"], "unknown", 4),
        ("text", "unknown", 0),
    ],
)
def test_torch_objects(tmp_path: Path, tree: Any, holds: str, numbers: int) -> None:
    torch.save(tree, tmp_path / "file.pt")
    found = describe(tmp_path / "file.pt", check=True)
    assert (found.holds, found.parameter_count, found.non_finite) == (holds, numbers, ())
    assert bool(found.remark) == (holds == "unknown")


def test_a_broken_model_is_described_all_the_same(tmp_path: Path) -> None:
    state = layout(tiny.model("sd1"))
    del state[UNET + "time_embed.0.weight"]
    found = describe(save_checkpoint(tmp_path / "model", state))
    assert (found.holds, found.facts) == ("checkpoint", None)
    assert found.remark == "time_embed.0.weight is missing"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"<html>")
    with pytest.raises(FileError, match="web page"):
        describe(tmp_path / "model.ckpt")
