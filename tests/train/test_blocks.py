"""Inner sizes and learning rates by block, as kohya's network_args have them."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints.files import read
from fromnoise.cli.app import run
from fromnoise.cli.training_run import ordered
from fromnoise.engine.library import load
from fromnoise.engine.memory import Placement
from fromnoise.errors import UserError
from fromnoise.nn.ops import patching
from fromnoise.train.blocks import BlockOptions, Blocks, Layout, Size
from fromnoise.train.loop import LoopConfig
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.steppers import steppers_of
from tests.tiny_pictures import noisy
from tests.train.test_lora import model
from tests.train.test_methods import answer, shaken

SD, XL = Layout(12, 1, 12, False), Layout(9, 3, 9, True)
PLAIN = Size(4, 1.0, 0, 1.0)


def training(family: str = "sd1", **blocks: object) -> LoRATraining:
    options = {"rank": 4, "alpha": 2, "text": False, "blocks": blocks}
    return LoRATraining(model(family), LoRAOptions.model_validate(options), 0)


def blocks(layout: Layout = SD, plain: Size = PLAIN, **said: object) -> Blocks:
    return Blocks(BlockOptions.model_validate(said), layout, plain)


@pytest.mark.parametrize(
    ("layout", "layer", "block"),
    [  # kohya's numbers of lora_unet_down_blocks_0_attentions_0, ..._down_blocks_2_downsamplers_0, and so on
        (SD, "input_blocks.1.1.proj_in", 1), (SD, "input_blocks.9.0.op", 9), (SD, "middle_block.1.proj_in", 12),
        (SD, "output_blocks.0.0.in_layers.2", 13), (SD, "output_blocks.5.2.conv", 18), (SD, "out.2", None),
        (SD, "time_embed.0", None), (XL, "time_embed.0", 0), (XL, "label_emb.0.0", 0), (XL, "input_blocks.0.0", 1),
        (XL, "input_blocks.8.1.proj_in", 9), (XL, "middle_block.2.in_layers.2", 12),
        (XL, "output_blocks.8.0.in_layers.2", 21), (XL, "out.2", 22),
    ],
)  # fmt: skip
def test_blocks_are_numbered_as_kohya_numbers_them(layout: Layout, layer: str, block: int | None) -> None:
    assert layout.block(layer) == block
    assert (SD.count, XL.count) == (25, 23)


def test_factors_are_kohyas() -> None:
    assert blocks(up_lr_weight="sine").factors[:13] == (1.0,) * 13
    twelve = blocks(down_lr_weight="sine").factors[:12]
    assert twelve == pytest.approx([torch.sin(torch.tensor(torch.pi / 2 * i / 11)).item() for i in range(12)])
    assert blocks(down_lr_weight="cosine").factors[:12] == pytest.approx(twelve[::-1])
    assert blocks(down_lr_weight="linear+.25").factors[:12] == pytest.approx([i / 11 + 0.25 for i in range(12)])
    assert blocks(up_lr_weight="reverse_linear").factors[13:] == pytest.approx([1 - i / 11 for i in range(12)])
    assert blocks(up_lr_weight="zeros+0.1").factors[13:] == pytest.approx((0.1,) * 12)
    three = blocks(down_lr_weight=",".join(["0.1", ""] * 6), mid_lr_weight="0.5", block_lr_zero_threshold="0.1")
    assert three.factors == (*(0.0,) * 12, 0.5, *(1.0,) * 12)
    assert blocks(XL, mid_lr_weight="0,1,2").factors == (*(1.0,) * 10, 0, 1, 2, *(1.0,) * 10)


def test_too_few_and_too_many_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert blocks(down_lr_weight="0.5,0.5").factors[:12] == (0.5, 0.5, *(1.0,) * 10)
        assert blocks(up_lr_weight=",".join(["2"] * 14)).factors[13:] == (2.0,) * 12
    assert "down_lr_weight has 2 numbers for 12 blocks; those that are missing are 1." in caplog.text
    assert "up_lr_weight has 14 numbers for 12 blocks; the others are left out." in caplog.text


def test_inner_sizes_of_each_block_are_in_the_file(tmp_path: Path) -> None:
    dims, conv = "1,2,3,4,5,6,7,8,9", "0,1,1,0,2,0,0,0,3"
    one = training(
        block_dims=dims, block_alphas="0,1,1,1,1,2,1,1,1", conv_block_dims=conv, conv_block_alphas="1," * 8 + "6"
    )
    found = {key: tensor for key, tensor in one.tensors().items() if key.endswith(("lora_down.weight", ".alpha"))}
    attention, deep = "lora_unet_down_blocks_0_attentions_0", "lora_unet_up_blocks_0_attentions_1"
    for name, rank, alpha in (
        (f"{attention}_transformer_blocks_0_attn1_to_q", 2, 1), (f"{attention}_proj_in", 2, 1),
        ("lora_unet_mid_block_attentions_0_proj_in", 5, 1), (f"{deep}_proj_in", 7, 1),
        ("lora_unet_down_blocks_0_resnets_0_time_emb_proj", 2, 1), ("lora_unet_up_blocks_0_attentions_0_proj_in", 6, 2),
        ("lora_unet_down_blocks_0_resnets_0_conv1", 1, 1), ("lora_unet_mid_block_resnets_0_conv1", 2, 1),
        ("lora_unet_up_blocks_1_resnets_1_conv1", 3, 6),
    ):  # fmt: skip
        assert len(found[f"{name}.lora_down.weight"]) == rank, name
        assert float(found[f"{name}.alpha"]) == alpha, name
    assert not [key for key in found if "up_blocks_0_resnets_0_conv1" in key]  # its inner size is 0
    told = one.metadata()
    assert told["ss_network_module"] == "networks.lora"
    assert json.loads(told["ss_network_args"])["block_dims"] == dims
    assert json.loads(told["ss_network_args"])["conv_block_dims"] == conv


def test_a_block_whose_rate_is_0_has_no_weights() -> None:
    every, some = training(), training(down_lr_weight="0,0,1,1", up_lr_weight="0.5,1,1,1", mid_lr_weight="0")
    names = {name.split(".")[0] for name in some.tensors()}
    left_out = {name.split(".")[0] for name in every.tensors()} - names
    assert left_out
    assert all(name.startswith(("lora_unet_down_blocks_0_attentions_0", "lora_unet_mid_block")) for name in left_out)
    assert json.loads(some.metadata()["ss_network_args"]) == {
        "down_lr_weight": "0,0,1,1", "mid_lr_weight": "0", "up_lr_weight": "0.5,1,1,1",
    }  # fmt: skip


@pytest.mark.parametrize(("family", "count"), [("sd1", 9), ("sdxl", 13)])
def test_its_file_does_what_it_did_in_training(family: str, count: int, tmp_path: Path) -> None:
    numbers = range(1, count + 1)
    one = training(
        family, block_dims=",".join(map(str, numbers)), conv_block_dims=",".join(str(n % 3) for n in numbers)
    )
    shaken(one.module)
    one.stored = torch.float32
    adapter = load_adapter(one.write(tmp_path / "it.safetensors", {}), one.networks)
    assert not adapter.unmatched
    on = one.model
    before = answer(on)
    with torch.no_grad(), one.applied():
        wanted = answer(on)
    with torch.no_grad(), patching(on.unet, adapter.patches("unet", Strengths())):
        found = answer(on)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(wanted, before, rtol=1e-2, atol=1e-2)


def rates(one: LoRATraining, **more: Any) -> dict[str, float]:
    """The learning rate of each parameter."""
    config = LoopConfig(10, learning_rate=1e-2, slower={**more.pop("slower", {}), **one.slower}, **more)
    names = {id(parameter): name for name, parameter in one.module.named_parameters()}
    steppers = steppers_of(one.module, config)
    groups = [group for stepper in steppers for group in stepper.param_groups]
    return {names[id(p)]: config.learning_rate * group["factor"] for group in groups for p in group["params"]}


@pytest.mark.parametrize("more", [{}, {"optimizer": "SGDNesterov"}, {"slower": {"lora_unet_*.lora_up": 4.0}}])
def test_each_block_learns_at_its_rate(more: dict[str, Any]) -> None:
    one = training("sdxl", down_lr_weight="1,0.5,1,0.25", up_lr_weight="2,1,1,1", mid_lr_weight="1,0.1,1")
    found = rates(one, **more)
    assert len(found) == len(list(one.module.parameters()))
    factors = {"input_blocks_1_": 0.5, "input_blocks_3_": 0.25, "middle_block_1_": 0.1, "output_blocks_0_": 2.0}
    for name, rate in found.items():
        wanted = next((factor for part, factor in factors.items() if f"lora_unet_{part}" in name), 1.0)
        plus = 4.0 if "slower" in more and name.endswith("lora_up") else 1.0
        assert rate == pytest.approx(1e-2 * wanted * plus), name


def test_what_can_not_be_is_said() -> None:
    with pytest.raises(
        UserError, match=r"block_dims has 2 numbers, and there are 9 blocks \(4 down, 1 in the middle, 4 up\)"
    ):
        training(block_dims="1,2")
    with pytest.raises(UserError, match=r"there are 13 blocks .* one before, one after"):
        training("sdxl", conv_block_alphas="1")
    with pytest.raises(UserError, match="ia3 has no inner size"):
        LoRATraining(model(), LoRAOptions.model_validate({"kind": "ia3", "blocks": {"block_dims": "1"}}), 0)
    both = LoRAOptions.model_validate({"dim_from_weights": True, "start": "x", "blocks": {"block_dims": "1"}})
    with pytest.raises(UserError, match="takes inner sizes from the file"):
        LoRATraining(model(), both, 0)


@pytest.mark.parametrize(
    ("word", "message"),
    [("block_dims=4,x", "no list of numbers"), ("block_dims=4,-1", "greater than or equal to 0"),
     ("down_lr_weight=sinus", "neither numbers such as 0,0.5,1 nor one of cosine, sine"),
     ("down_lr_weight=sine+x", "neither numbers"), ("block_dim=4", "did you mean 'block_dims'"),
     ("loraplus_lr_ratio=much", "'much' is not a number")],
)  # fmt: skip
def test_words_that_can_not_be_are_named(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ordered("lora", tmp_path, {"network_args": [word]})


def test_from_the_command_line_to_the_file(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "it.safetensors"
    folder.mkdir()
    noisy(folder, ["newword"] * 2)
    layout = Layout.of(load("builtin", Placement(torch.device("cpu"), torch.float32)))
    zeros, sizes = ",".join(["0"] * layout.down), ",".join(str(n + 1) for n in range(layout.count))
    assert run(["train", "lora", str(folder), "--name", "it", "--steps", "2", "--resolution", "64", "--keep", "0",
                "--no-text", "--folder", str(tmp_path / "run"), "--out", str(out), "--network_args",
                f"block_dims={sizes} down_lr_weight={zeros}"]) == 0  # fmt: skip
    file = read(out)
    assert not [key for key in file if "down_blocks" in key]
    assert len(file["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"]) == layout.down + 1
    assert json.loads(file.metadata["ss_network_args"])["down_lr_weight"] == zeros
