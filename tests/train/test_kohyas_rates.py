"""Learning rates as kohya's scripts give them: by blocks of a whole U-Net, by text encoders, 0, in stretches."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fromnoise.cli.training_rates import factors
from fromnoise.cli.training_run import ordered
from fromnoise.errors import UserError
from fromnoise.train.full import FullOptions, FullTraining, part_of
from fromnoise.train.loop import LoopConfig
from fromnoise.train.optimizers import make_optimizer
from fromnoise.train.steppers import FusedBackward, factor_of, rest, steppers_of
from tests.train.test_lora import model

XL = 13  # blocks of the tiny SDXL U-Net: one, 4 down, 3 in the middle, 4 up, one


def kohyas_block(name: str) -> int:
    """The block of a parameter, as sdxl_train.py counts them: of SDXL 0, 1 to 9, 10 to 12, 13 to 21, 22."""
    first, second, *_ = name.split(".")
    starts = {"input_blocks": 1, "middle_block": 5, "output_blocks": 8}
    return starts[first] + int(second) if first in starts else XL - 1 if first == "out" else 0


def test_each_block_of_the_unet_learns_at_its_rate() -> None:
    rates = [0.0 if block in (2, 6) else (block + 1) * 1e-5 for block in range(XL)]
    options = FullOptions.model_validate({"block_lr": ",".join(map(str, rates)), "text": True})
    training = FullTraining(model("sdxl"), options, 0)
    slower = {name: rate / 1e-4 for name, rate in training.rates.items()}
    config = LoopConfig(10, learning_rate=1e-4, slower=slower)
    rest(training.module, config.slower)
    names = {id(parameter): name for name, parameter in training.module.named_parameters()}
    groups = [group for stepper in steppers_of(training.module, config) for group in stepper.param_groups]
    found = {names[id(p)]: 1e-4 * group["factor"] for group in groups for p in group["params"]}
    for name, parameter in training.module.named_parameters():
        wanted = 1e-4 if name.startswith("text") else rates[kohyas_block(name.removeprefix("unet."))]
        assert parameter.requires_grad == (wanted > 0) == (name in found), name
        assert wanted == 0 or found[name] == pytest.approx(wanted), name
    assert {kohyas_block(name.removeprefix("unet.")) for name in found if name.startswith("unet.")} == {
        block for block in range(XL) if rates[block]
    }


def test_a_block_at_rest_stays_as_it_was() -> None:
    training = FullTraining(model("sdxl"), FullOptions.model_validate({"block_lr": ",".join(["0"] * 12 + ["1"])}), 0)
    before = {name: p.detach().clone() for name, p in training.module.named_parameters()}
    config = LoopConfig(1, learning_rate=1e-2, slower=dict(training.rates), optimizer="SGDNesterov")
    rest(training.module, config.slower)
    fused = FusedBackward(training.module, config)
    sum(p.square().sum() for p in training.module.parameters()).backward()  # type: ignore[union-attr]
    fused.close()
    changed = {name for name, p in training.module.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all(name.startswith("unet.out.") for name in changed)


def test_what_can_not_be_of_blocks_is_said() -> None:
    with pytest.raises(UserError, match=r"block_lr has 2 numbers, and there are 13 blocks \(4 down, 3 in the middle"):
        FullTraining(model("sdxl"), FullOptions.model_validate({"block_lr": "1,2"}), 0)
    with pytest.raises(UserError, match="the U-Net does not learn"):
        FullTraining(model("sdxl"), FullOptions.model_validate({"block_lr": "1", "unet": False, "text": True}), 0)
    with pytest.raises(UserError, match="all learning rates are 0"):
        rest(nn.Linear(2, 2), {"": 0.0})
    assert (part_of("input_blocks.3.0.bias"), part_of("out.2.weight")) == ("input_blocks.3", "out")


def test_rates_of_blocks_reach_the_run(tmp_path: Path) -> None:
    made = ordered("finetune", tmp_path, {"block_lr": "0,1e-5", "learning_rate": 0.0, "name": "x"})
    assert made.options.model_dump()["block_lr"] == (0, 1e-5)
    assert made.loop.learning_rate == 1e-5  # what factors are taken of
    for given, message in (
        ({"block_lr": "1,2", "unet_lr": 1e-5}, "leave unet_lr out"), ({"block_lr": "1,x"}, "no list of numbers"),
        ({"learning_rate": 0.0}, "give rates above 0"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            ordered("finetune", tmp_path, {**given, "name": "x"})


def test_each_text_encoder_learns_at_its_rate(tmp_path: Path) -> None:
    both = factors({"text_encoder_lr": 2e-5, "second_lr": 4e-5}, 1e-4)
    assert factor_of("lora_te1_x.lora_up", both) == factor_of("text0.x", both) == pytest.approx(0.2)
    assert factor_of("lora_te2_x.lora_up", both) == factor_of("text1.x", both) == pytest.approx(0.4)
    apart = factors({"first_lr": 1e-5, "second_lr": 0.0}, 1e-4)
    assert factor_of("lora_te_x.lora_up", apart) == factor_of("text0.x", apart) == pytest.approx(0.1)
    assert factor_of("text1.x", apart) == 0
    config = tmp_path / "it.toml"
    config.write_text("text_encoder_lr = [1e-5, 2e-5]\nlearning_rate = 1e-4\n")
    slower = ordered("lora", tmp_path, {"config": config}).loop.slower
    assert factor_of("lora_te1_x.lora_up", slower) == pytest.approx(0.1)
    assert factor_of("lora_te2_x.lora_up", slower) == pytest.approx(0.2)
    config.write_text("text_encoder_lr = [1e-5, 2e-5, 3e-5]\n")
    with pytest.raises(UserError, match="one number or two"):
        ordered("lora", tmp_path, {"config": config})


def test_a_rate_of_0_leaves_a_network_out(tmp_path: Path) -> None:
    def options(method: str, **given: object) -> dict[str, object]:
        return ordered(method, tmp_path, {**given, "name": "x"}).options.model_dump()

    assert options("lora", text_encoder_lr=0.0)["text"] is False
    assert options("lora", unet_lr=0.0)["unet"] is False
    assert options("finetune", learning_rate_te1=1e-5, text_encoder_lr=0.0, text=True)["text"] is True
    assert options("finetune", text_encoder_lr=0.0, text=True)["text"] is False
    alone = ordered("lora", tmp_path, {"learning_rate": 0.0, "unet_lr": 1e-5})  # the rest has the learning rate
    assert (alone.options.model_dump()["text"], alone.loop.learning_rate) == (False, 1e-5)
    with pytest.raises(UserError, match="give rates above 0"):
        ordered("embedding", tmp_path, {"learning_rate": 0.0, "name": "x"})
    assert options("lora", text_encoder_lr=1e-5)["text"] is True


def test_a_rate_in_stretches_is_that_of_diffusers() -> None:
    from diffusers.optimization import get_piecewise_constant_schedule

    rules = "1:10,0.1:20,0.01:30,0.005"
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    theirs = get_piecewise_constant_schedule(optimizer, rules)
    ours = LoopConfig(
        40, learning_rate=0.5, schedule="piecewise_constant", warmup=0, scheduler_arguments={"step_rules": rules}
    )
    for step in range(40):
        assert ours.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"]), step
        optimizer.step()
        theirs.step()


def test_schedules_reach_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ordered("lora", tmp_path, {"schedule": "piecewise_constant", "lr_scheduler_args": ["step_rules=1:10,0.1"]})
    assert made.loop.rate(999) == pytest.approx(1e-5)
    with pytest.raises(UserError, match="no list such as 1:500"):
        ordered("lora", tmp_path, {"schedule": "piecewise_constant"})
    with pytest.raises(UserError, match="AdaFactor alone"):
        ordered("lora", tmp_path, {"schedule": "adafactor"})
    found = ordered("lora", tmp_path, {"schedule": "adafactor", "optimizer": "adafactor"}).loop
    assert (found.schedule, found.arguments["relative_step"]) == ("constant", True)
    assert "counts nothing" in capsys.readouterr().err


def test_adafactor_finds_its_rate() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    stepper = make_optimizer("AdaFactor", [{"params": [weight], "lr": 5.0, "factor": 1}], 5.0, {"relative_step": True})
    weight.sum().backward()
    stepper.step()
    assert float((1 - weight.detach()).abs().max()) < 0.1  # at most 1e-2 in the first steps, not 5
