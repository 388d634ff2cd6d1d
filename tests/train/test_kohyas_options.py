"""What kohya's options do besides: what is merged before, bounded, stopped, skipped, measured, told."""

import json
import math
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints.adapter_files.lora import read_lora
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.cli.app import run
from fromnoise.engine.library import Model
from fromnoise.errors import FileError, UserError
from fromnoise.nn.ops import patching
from fromnoise.train.base import compiled, merge
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.dropouts import Dropouts
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.loop import STATE, LoopConfig, train
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.rates import rates_of
from fromnoise.train.run import taken_over
from tests.tiny_pictures import noisy
from tests.train.test_lora import answer, model
from tests.train.test_methods import shaken

PLAIN = {"rank": 2, "alpha": 2.0}
SHORT = ["--steps", "2", "--rank", "2", "--resolution", "64", "--learning_rate", "0.01", "--keep", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noisy(tmp_path_factory.mktemp("pictures"), [f"newword, (number:{number + 1}.5)" for number in range(4)])


def task(folder: Path, on: Model | None = None, *, held_out: float = 0.0, lesson: dict[str, Any] | None = None,
         **more: object) -> FineTuneTask:  # fmt: skip
    on = on or model()
    training = LoRATraining(on, LoRAOptions.model_validate({**PLAIN, **more}), 0)
    dataset = Dataset(subsets=(Subset(image_dir=folder),), batch_size=2, resolution=64, validation_split=held_out)
    schedule = Schedule((gathered(dataset),), seed=0)
    return FineTuneTask(on, training, Lesson(schedule, 100, Objective(), Noising(), **(lesson or {})))


def trained(one: FineTuneTask, place: Path, **more: Any) -> nn.Module:
    plain: dict[str, Any] = {"steps": 4, "learning_rate": 1e-2, "warmup": 0, "average": 0.0, "bfloat16": False}
    with one.applied():
        return train(one, LoopConfig(**{**plain, "log_every": 1, **more}), place)


def lines(place: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (place / "log.jsonl").read_text("utf-8").splitlines()]


def written(path: Path, on: Model, **more: object) -> Path:
    training = LoRATraining(on, LoRAOptions.model_validate({**PLAIN, **more}), 0)
    shaken(training.module)
    training.stored = torch.float32
    return training.write(path, {})


def test_loras_become_part_of_the_model_before_it_learns(tmp_path: Path) -> None:
    path = written(tmp_path / "before.safetensors", model())
    on, other = model(), model()
    plain = answer(on)
    adapter = load_adapter(path, {"unet": other.unet, "text0": other.text[0]})
    with patching(other.unet, adapter.patches("unet", Strengths(0.5, 0.5))):
        wanted = answer(other)
    merge(on, [path], [0.5])
    assert not torch.allclose(answer(on), plain, atol=1e-3)
    torch.testing.assert_close(answer(on), wanted)
    assert not any(parameter.requires_grad for parameter in on.unet.parameters())
    with pytest.raises(UserError, match="2 strengths for 1 files"):
        merge(on, [path], [1.0, 1.0])


def test_inner_sizes_come_from_the_file_that_is_gone_on_from(tmp_path: Path) -> None:
    on = model()
    path = written(tmp_path / "start.safetensors", on, layers="attention", text=False)
    some = {key: tensor for key, tensor in read(path).items() if "to_q" not in key}
    start = save_checkpoint(tmp_path / "some.safetensors", some, dtype=None, metadata={})
    training = LoRATraining(on, LoRAOptions(rank=64, start=start, dim_from_weights=True), 0)
    assert {site.name for site in training.sites} == set(read_lora(start).layers)
    for name, tensor in training.tensors().items():
        torch.testing.assert_close(tensor, some[name].view_as(tensor))
    assert training.metadata()["ss_network_dim"] == "Dynamic"
    with pytest.raises(UserError, match="dim_from_weights takes sizes"):
        LoRATraining(on, LoRAOptions(dim_from_weights=True), 0)


def test_norms_of_what_layers_change_are_bounded(folder: Path, tmp_path: Path) -> None:
    one = task(folder, scale_weight_norms=0.02, alpha=1.0, text=False)
    trained(one, tmp_path / "run", learning_rate=0.1)
    training = cast(LoRATraining, one.trainable)
    norms = []
    for name in training.changes:
        factors = cast(dict[str, Tensor], training.factors[name])
        up, down = (factors[slot].detach().flatten(1) for slot in ("lora_up", "lora_down"))
        norms.append(float((up @ down).norm()) / 2)  # alpha / rank
    assert max(norms) == pytest.approx(0.02, rel=1e-4)
    last = lines(tmp_path / "run")[-1]
    assert last["keys_scaled"] > 0
    assert last["max_key_norm"] == pytest.approx(0.02)
    assert 0 < last["average_key_norm"] <= last["max_key_norm"]
    with pytest.raises(UserError, match="scale_weight_norms"):
        task(folder, scale_weight_norms=1.0, kind="loha")


def test_parts_of_the_inner_size_and_layers_are_left_out_by_chance(folder: Path) -> None:
    one = torch.ones(4, 5, 200)
    torch.manual_seed(0)
    left = Dropouts(ranks=0.25).applied(one, -1)
    assert left.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float((left[:, 0] > 0).float().mean()) == pytest.approx(0.75, abs=0.05)
    assert torch.equal(left, left[:, :1].expand_as(left))  # the same for all tokens of a picture
    assert not torch.equal(left[0], left[1])
    assert sum(Dropouts(modules=0.3).skips() for _ in range(400)) == pytest.approx(120, abs=40)
    with torch.no_grad():
        assert torch.equal(Dropouts(0.5, 0.5, 0.5).applied(one, -1), one)
        assert not any(Dropouts(modules=0.9).skips() for _ in range(20))
    plain, some, none = (task(folder, **more) for more in ({}, {"rank_dropout": 0.5}, {"module_dropout": 0.99}))
    for each in (plain, some, none):
        shaken(each.trainable.module)
    losses = [float(each.loss(0)[0].detach()) for each in (plain, some, none, task(folder))]
    assert len({round(loss, 6) for loss in losses[:3]}) == 3
    assert losses[1] == float(some.loss(0)[0].detach())  # the step's own chance
    assert abs(losses[2] - losses[3]) < abs(losses[0] - losses[3])


def test_text_encoders_stop_where_they_should(folder: Path, tmp_path: Path) -> None:
    def text(one: nn.Module) -> list[Tensor]:
        return [p.detach().clone() for name, p in one.named_parameters() if name.startswith("lora_te_")]

    stopped = trained(task(folder), tmp_path / "stopped", steps=4, stop_text=2, schedule="constant")
    short = trained(task(folder), tmp_path / "short", steps=2, schedule="constant")
    longer = trained(task(folder), tmp_path / "longer", steps=4, schedule="constant")
    assert text(short)
    for a, b, c in zip(text(stopped), text(short), text(longer), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert not torch.equal(a, c)
    unet = [n for n, _ in stopped.named_parameters() if n.startswith("lora_unet_")]
    assert any(not torch.equal(stopped.get_parameter(n), short.get_parameter(n)) for n in unet)


def test_steps_before_the_first_are_left_out(folder: Path, tmp_path: Path) -> None:
    trained(task(folder), tmp_path / "whole", learning_rate=0.0)
    trained(task(folder), tmp_path / "late", learning_rate=0.0, first=2)
    whole, late = ({line["step"]: line["loss"] for line in lines(tmp_path / name)} for name in ("whole", "late"))
    assert list(late) == [3, 4]
    assert all(whole[step] == loss for step, loss in late.items())
    assert LoopConfig(10, first=4, warmup=4).rate(4) == LoopConfig(6, warmup=4).rate(0)
    with pytest.raises(UserError, match="initial_step 4 is not below"):
        trained(task(folder), tmp_path / "none", first=4)


def test_what_is_held_out_is_measured_as_often_as_asked(folder: Path, tmp_path: Path) -> None:
    one = task(folder, held_out=0.75, lesson={"most_held_out": 1})
    trained(one, tmp_path / "run", measure_every=2, report_every=100)
    assert [line["step"] for line in lines(tmp_path / "run") if "held_out_loss" in line] == [2, 4]
    taken: list[int] = []
    real = one.latents.take
    one.latents.take = lambda items, *rest: (taken.append(len(items)), real(items, *rest))[1]  # type: ignore[method-assign]
    one.held_out()
    assert sum(taken) == 2  # of three: one batch


def test_weights_in_captions(folder: Path) -> None:
    plain, weighted = task(folder), task(folder, lesson={"weighted": True})
    a, b = (one.states(["a (cat:1.5)", "a cat"]) for one in (plain, weighted))
    assert [piece.weight for piece in weighted.pieces("a (cat:1.5)")] == [1.0, 1.5]
    assert [piece.text for piece in plain.pieces("a (cat:1.5)")] == ["a (cat:1.5)"]
    assert not torch.allclose(a[0].context, b[0].context, atol=1e-3)
    torch.testing.assert_close(a[1].context, b[1].context)
    without = weighted.states(["a cat"])[0].context
    assert not torch.allclose(b[0].context, without, atol=1e-3)


def test_states_end_with_the_longest_caption(folder: Path) -> None:
    whole, cut = task(folder), task(folder, lesson={"padding": False})
    captions = ["a cat", "a cat and a dog"]
    before, after = whole.states(captions), cut.states(captions)
    assert [state.context.shape[1] for state in after] == [7, 7]  # five words, begin and end
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a.context[:, :7], b.context)
    assert math.isfinite(float(cut.loss(0)[0].detach()))


def test_a_compiled_network_learns_the_same(folder: Path) -> None:
    plain, on = task(folder), model()
    compiled(on, "eager")
    other = task(folder, on)
    for one in (plain, other):
        shaken(one.trainable.module)
    with plain.applied(), other.applied():
        a, b = plain.loss(0)[0], other.loss(0)[0]
        assert on.unet._compiled_call_impl is not None  # type: ignore[attr-defined]
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(gradient(plain, a), gradient(other, b))
    with pytest.raises(UserError, match="unknown dynamo_backend 'fast'"):
        compiled(on, "fast")


@pytest.mark.slow  # PyTorch's compiler takes a minute or more
@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_inductor_learns_the_same(kind: str, folder: Path) -> None:
    plain, on = task(folder, kind=kind), model()
    compiled(on, "inductor")
    other = task(folder, on, kind=kind)
    for one in (plain, other):
        shaken(one.trainable.module)
    with plain.applied(), other.applied():
        for step in range(2):
            a, b = plain.loss(step)[0], other.loss(step)[0]
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
            for mine, theirs in zip(gradient(plain, a), gradient(other, b), strict=True):
                torch.testing.assert_close(theirs, mine, rtol=2e-3, atol=1e-5)


def gradient(one: FineTuneTask, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(one.trainable.module.parameters())))


def test_rates_of_any_scheduler() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.1)
    wanted = []
    for _ in range(5):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    told: dict[str, Any] = {"milestones": [2, 3], "gamma": 0.1}
    assert rates_of("MultiStepLR", told, 0.5, 5) == tuple(wanted)
    config = LoopConfig(
        5, learning_rate=0.5, scheduler="torch.optim.lr_scheduler.MultiStepLR", scheduler_arguments=told
    )
    assert [config.rate(step) for step in range(5)] == wanted
    for path, arguments, message in [
        ("MultiStepRL", {}, "did you mean 'MultiStepLR'"), ("no.Such", {}, "unknown scheduler 'no.Such'"),
        ("StepLR", {}, "does not go with its arguments"), ("ReduceLROnPlateau", {}, "does not go with its arguments"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=message):
            rates_of(path, arguments, 0.5, 5)


def test_an_inverse_square_root_is_that_of_transformers() -> None:
    from transformers.optimization import get_inverse_sqrt_schedule

    for warmup, scale in ((0, 0), (5, 0), (5, 20), (3, 2)):
        weight = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        theirs = get_inverse_sqrt_schedule(optimizer, warmup, timescale=scale or None)
        ours = LoopConfig(50, learning_rate=1.0, schedule="inverse_sqrt", warmup=warmup, timescale=scale)
        for step in range(40):
            if step > warmup:  # they rise from 0, we from the first step's share
                assert ours.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"]), (warmup, scale, step)
            optimizer.step()
            theirs.step()


def test_a_run_goes_on_from_the_state_of_another(folder: Path, tmp_path: Path) -> None:
    whole = trained(task(folder), tmp_path / "whole", steps=4, schedule="constant")
    trained(task(folder), tmp_path / "first", steps=2, schedule="constant")
    taken_over(tmp_path / "first", tmp_path / "second")
    second = trained(task(folder), tmp_path / "second", steps=4, schedule="constant")
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    size = (tmp_path / "second" / STATE).read_bytes()
    taken_over(tmp_path / "first", tmp_path / "second")  # it has a state of its own
    assert (tmp_path / "second" / STATE).read_bytes() == size
    with pytest.raises(FileError, match="no run of fromnoise to go on from"):
        taken_over(tmp_path, tmp_path / "third")


def place(folder: Path, tmp_path: Path, *more: str) -> list[str]:
    places = ["--folder", str(tmp_path / "run"), "--out", str(tmp_path / "it.safetensors")]
    return ["train", "lora", str(folder), "--name", "it", *SHORT, *places, *more]


def test_a_file_tells_all_that_kohyas_tell(folder: Path, tmp_path: Path) -> None:
    """docs: the fields that sd-scripts write of every training, without what is its own (its commit, TOML files)."""
    assert run(place(folder, tmp_path, "--unet_lr", "1e-3", "--no-text", "--base", "fp8")) == 0
    told = read(tmp_path / "it.safetensors").metadata
    wanted = """session_id training_started_at training_finished_at output_name learning_rate text_encoder_lr unet_lr
        num_train_images num_validation_images num_reg_images num_batches_per_epoch num_epochs gradient_checkpointing
        gradient_accumulation_steps max_train_steps lr_warmup_steps lr_scheduler network_module network_dim
        network_alpha network_args mixed_precision full_fp16 v2 base_model_version clip_skip max_token_length
        cache_latents seed lowram noise_offset multires_noise_iterations multires_noise_discount adaptive_noise_scale
        zero_terminal_snr optimizer max_grad_norm caption_dropout_rate caption_dropout_every_n_epochs
        caption_tag_dropout_rate face_crop_aug_range prior_loss_weight min_snr_gamma scale_weight_norms ip_noise_gamma
        debiased_estimation noise_offset_random_strength ip_noise_gamma_random_strength loss_type huber_schedule
        huber_scale huber_c fp8_base resize_interpolation steps epoch sd_model_name sd_model_hash new_sd_model_hash
        vae_name vae_hash new_vae_hash tag_frequency dataset_dirs reg_dataset_dirs batch_size_per_device
        total_batch_size resolution color_aug flip_aug random_crop shuffle_caption enable_bucket bucket_no_upscale
        min_bucket_reso max_bucket_reso keep_tokens bucket_info"""
    assert not {f"ss_{name}" for name in wanted.split()} - set(told)
    assert float(told["ss_unet_lr"]) == 1e-3
    assert told["ss_fp8_base"] == "True"
    assert len(told["ss_sd_model_hash"]) == 8


def test_a_sample_before_the_first_step_and_a_file_that_tells_nothing(folder: Path, tmp_path: Path) -> None:
    assert run(place(folder, tmp_path, "--sample_at_first", "--sample", "newword --s 1", "--no_metadata",
                     "--log_config", "--training_comment", "mine")) == 0  # fmt: skip
    assert (tmp_path / "run/sample-000000.png").exists()
    told = read(tmp_path / "it.safetensors").metadata
    assert {"ss_network_dim", "ss_network_alpha", "ss_network_module", "ss_base_model_version"} <= set(told)
    assert not {"ss_learning_rate", "ss_tag_frequency", "ss_training_comment", "modelspec.title"} & set(told)
    options = (tmp_path / "run/options.toml").read_text("utf-8")
    assert 'training_comment = "mine"' in options
    assert "rank = 2" in options


def test_a_configuration_is_written_and_does_what_was_typed(folder: Path, tmp_path: Path) -> None:
    from fromnoise.cli.training_run import ordered

    config = tmp_path / "it.toml"
    typed = ["train", "lora", "--train_data_dir", str(folder), "--config", str(config), "--output_config",
             "--network_dim", "3", "--network_args", "conv_dim=4", "--name", "it", "--no_metadata"]  # fmt: skip
    assert run(typed) == 0
    made = ordered("lora", None, {"config": config})
    assert (made.options.model_dump()["rank"], made.options.model_dump()["conv_rank"]) == (3, 4)
    assert (made.data, made.name, made.told) == (folder, "it", False)
    assert run(typed) != 0  # it is there already


def test_what_would_be_trained_on_is_written_and_nothing_is_trained(folder: Path, tmp_path: Path) -> None:
    assert run(place(folder, tmp_path, "--debug_dataset", "--shuffle_caption")) == 0
    text = (tmp_path / "run/dataset.txt").read_text("utf-8")
    assert "batch 1, epoch 1" in text
    assert "64x64 cut to 64x64: " in text
    assert "newword" in text
    assert not (tmp_path / "it.safetensors").exists()
    assert not (tmp_path / "run" / STATE).exists()


def test_captions_from_a_metadata_file(folder: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.json"
    about.write_text(json.dumps({"0": {"caption": "a red box", "tags": "red, box"}, "1.png": {"tags": "blue"}}))
    assert run(place(folder, tmp_path, "--debug_dataset", "--in_json", str(about), "--dataset_repeats", "2")) == 0
    text = (tmp_path / "run/dataset.txt").read_text("utf-8")
    assert text.count("'a red box, red, box'") == 2
    assert text.count("'blue'") == 2
    assert "2.png" not in text


def test_another_vae_makes_the_latents(folder: Path, tmp_path: Path) -> None:
    from fromnoise.engine.library import load
    from fromnoise.engine.memory import Placement

    own = load("builtin", Placement(torch.device("cpu"), torch.float32)).vae.state_dict()
    other = {f"first_stage_model.{name}": tensor.clone() for name, tensor in own.items()}
    other["first_stage_model.quant_conv.bias"] += 1
    path = save_checkpoint(tmp_path / "other.safetensors", other, dtype=None, metadata={"fromnoise.vae.groups": "8"})
    assert run(place(folder, tmp_path)) == 0
    shutil.copytree(tmp_path / "run/latents", tmp_path / "before")
    shutil.rmtree(tmp_path / "run")
    assert run(place(folder, tmp_path, "--vae", str(path))) == 0
    before, after = (sorted(p.name for p in (tmp_path / d).iterdir()) for d in ("before", "run/latents"))
    assert not set(before) & set(after)
    assert read(tmp_path / "it.safetensors").metadata["ss_vae_name"] == "other.safetensors"
    means = [torch.stack([read(p)["mean"] for p in (tmp_path / d).iterdir()]).mean() for d in ("before", "run/latents")]
    assert float((means[1] - means[0]).abs()) > 0.1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--deepspeed"], "without DeepSpeed"), (["--huggingface_repo_id", "me/it"], "not sent anywhere"),
        (["--full_fp16"], "gradients in fp16 vanish"), (["--dataset_class", "my.Set"], "docs/datasets.md"),
        (["--wandb_api_key", "x"], "Weights & Biases"), (["--log_with", "wandb"], "Weights & Biases"),
        (["--stop_text_encoder_training", "5", "--no-unet"], "text encoders alone learn"),
        (["--base_weights_multiplier", "much"], "'much' is not a number"),
        (["--lr_scheduler_type", "CosinLR"], "unknown scheduler"), (["--output_config"], "--config"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_with_a_reason(
    folder: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place(folder, tmp_path, *more)) != 0
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_words_of_a_command_line_reach_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fromnoise.cli.training_run import ordered

    made = ordered("lora", folder, {
        "base_weights": ["a.safetensors", "b.safetensors"], "base_weights_multiplier": ["0.5"], "log_with": "all",
        "stop_text_encoder_training": 7, "torch_compile": True, "initial_step": 5, "skip_until_initial_step": True,
        "scheduler_args": [], "validate_every_n_steps": 3, "no_token_padding": True, "weighted_captions": True,
        "lr_scheduler_type": "CosineAnnealingLR", "lr_scheduler_args": ["T_max=10 eta_min=1e-6"],
    })  # fmt: skip
    assert (made.base_weights, made.base_weights_multiplier) == ((Path("a.safetensors"), Path("b.safetensors")), (0.5,))
    assert (made.loop.board, made.loop.stop_text, made.backend, made.loop.first) == (True, 7, "inductor", 5)
    assert (made.loop.measure_every, made.token_padding, made.weighted_captions) == (3, False, True)
    assert made.loop.scheduler_arguments == {"T_max": 10, "eta_min": 1e-6}
    assert not ordered("lora", folder, {"dynamo_backend": "eager"}).backend
    assert ordered("lora", folder, {"stop_text_encoder_training": -1}).options.model_dump()["text"] is False
    assert METHODS["lora"].options.model_fields["text"].default is True
    capsys.readouterr()
    assert ordered("lora", folder, {"initial_step": 5}).loop.first == 0
    assert "change nothing" in capsys.readouterr().err


def test_lycoris_words_reach_the_run(folder: Path) -> None:
    from fromnoise.cli.training_run import ordered

    made = ordered("lora", folder, {"network_module": "lycoris.kohya", "network_args": [
        "algo=lokr preset=unet-transformer-only use_cp=True decompose_both=True rs_lora=1",
    ]}).options.model_dump()  # fmt: skip
    assert (made["kind"], made["layers"], made["text"]) == ("lokr", "transformer", False)
    assert made["tucker"] is made["decompose_both"] is made["rs_lora"] is True
    more = ordered("lora", folder, {"network_module": "lycoris.kohya", "rank": 8, "alpha": 4.0, "network_args": [
        "algo=lokr full_matrix=True unbalanced_factorization=1 use_scalar=yes",
        "dora_wd=1 wd_on_output=0 bypass_mode=no",
    ]}).options.model_dump()  # fmt: skip
    assert more["full_matrix"] is more["unbalanced"] is more["scalar"] is more["dora_columns"] is True
    assert more["bypass"] is False
    assert (more["layers"], more["conv_rank"], more["conv_alpha"]) == ("all", 8, 4.0)  # LyCORIS's preset full
    for module, wanted in (("networks.dylora", {"kind": "dylora", "block_size": 4}),
                           ("networks.lora_fa", {"kind": "lora", "frozen_down": True})):  # fmt: skip
        args = ["unit=4"] if "block_size" in wanted else []
        found = ordered("lora", folder, {"network_module": module, "network_args": args}).options.model_dump()
        assert wanted.items() <= found.items()
    oft = ordered("lora", folder, {"network_module": "networks.oft", "rank": 4, "alpha": 0.01, "network_args": [
        "enable_all_linear=True enable_conv=True"]}).options.model_dump()  # fmt: skip
    wanted = {
        "kind": "oft",
        "block_count": 4,
        "constraint": 0.01,
        "layers": "transformer",
        "conv_rank": 1,
        "text": False,
    }
    assert wanted.items() <= oft.items()
    lin = ordered("lora", folder, {"network_args": ["preset=full-lin"]}).options.model_dump()
    assert (lin["layers"], lin["conv_rank"]) == ("all", 0)
    blocks = ordered("lora", folder, {"network_args": ["preset=unet-convblock-only conv_dim=3"]}).options.model_dump()
    assert (blocks["layers"], blocks["conv_rank"], blocks["text"]) == ("convolutions", 3, False)
    chosen = ordered("lora", folder, {"layers": "all", "network_args": ["preset=attn-only"]}).options.model_dump()
    assert chosen["layers"] == "all"  # what is said by itself counts
    for word, message in (
        ("preset=attn", "unknown preset 'attn'; there are full, full-lin"), ("preset=my.toml", "presets are not read"),
        ("enable_conv=True", "networks.oft alone"), ("train_t5xxl=True", "no such part"),
        ("wd_on_output=x", "True or False"), ("use_scalr=1", "'use_scalar'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            ordered("lora", folder, {"network_args": [word]})
    assert ordered("lora", folder, {"network_args": ["train_t5xxl=False"]})
