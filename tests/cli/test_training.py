"""`fromnoise train METHOD`: options are declared once, kohya's among them, and documented from there."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from fromnoise.cli import app
from fromnoise.cli.training import HELP
from fromnoise.cli.training_run import ordered
from fromnoise.cli.training_table import ALWAYS, FLAGS, by_name, flags
from fromnoise.errors import UserError
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.loop import LoopConfig
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.run import Run

from .conftest import Ran
from .conftest import Run as Command

ROOT = Path(__file__).parents[2]
KOHYA = (  # what tutorials type
    "pretrained_model_name_or_path train_data_dir reg_data_dir output_dir output_name resolution train_batch_size "
    "max_train_steps max_train_epochs learning_rate unet_lr text_encoder_lr lr_scheduler lr_warmup_steps "
    "lr_scheduler_num_cycles lr_scheduler_power network_module network_dim network_alpha network_dropout network_args "
    "network_train_unet_only network_train_text_encoder_only optimizer_type optimizer_args max_grad_norm min_snr_gamma "
    "noise_offset multires_noise_iterations multires_noise_discount ip_noise_gamma adaptive_noise_scale "
    "zero_terminal_snr debiased_estimation_loss loss_type huber_c huber_schedule prior_loss_weight masked_loss "
    "caption_dropout_rate caption_tag_dropout_rate caption_dropout_every_n_epochs caption_extension shuffle_caption "
    "keep_tokens enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps bucket_no_upscale flip_aug color_aug "
    "random_crop clip_skip max_token_length mixed_precision fp8_base gradient_checkpointing fused_backward_pass "
    "gradient_accumulation_steps save_every_n_steps sample_every_n_steps sample_prompts seed config_file "
    "dataset_config max_data_loader_n_workers min_timestep max_timestep v_parameterization validation_split "
    "cache_latents xformers sdpa persistent_data_loader_workers v2 save_model_as no_half_vae lowram"
)


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_table", ROOT / "tools/training_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_have_the_tables_as_they_are() -> None:
    table = tool()
    for language, path in table.DOCS.items():
        text = (ROOT / path).read_text("utf-8")
        assert table.renewed(text, language) == text, f"{path}: run tools/training_table.py"


def test_forms_are_told_of_the_options_as_they_are() -> None:
    """Where this fails: python tools/training_table.py."""
    table = tool()
    assert (ROOT / table.SCHEMA).read_text("utf-8") == table.written()


def test_every_method_has_a_command_and_help() -> None:
    assert set(HELP) == set(METHODS)
    assert set(HELP) <= set(get_command(app.whole()).commands["train"].commands)


def test_every_option_sets_something_that_there_is() -> None:
    models = {"objective": Objective, "noising": Noising, "rules": Subset, "sizes": Dataset}
    for flag in FLAGS:
        part, _, field = flag.place.partition(".")
        if part in models:
            assert field in models[part].model_fields, flag
        elif part == "loop":
            assert field in LoopConfig.__dataclass_fields__, flag
        elif part == "run":
            assert field in Run.__dataclass_fields__, flag
        elif part == "options":
            owners = {m for m in METHODS if field in METHODS[m].options.model_fields}
            assert flag.methods, flag
            assert set(flag.methods) <= owners, flag


@pytest.mark.parametrize("method", list(METHODS))
def test_every_choice_of_a_method_can_be_typed(method: str) -> None:
    typed = {flag.place.removeprefix("options.") for flag in flags(method)}
    missing = set(METHODS[method].options.model_fields) - typed
    if method == "lcm":  # of its LoRA only what a plain one has
        missing -= {"kind", "dora", "norms", "factor", "block_size", "constraint", "unet", "text", "tucker",
                    "decompose_both", "rescaled", "dora_columns", "block_count", "full_matrix", "unbalanced", "scalar",
                    "bypass", "frozen_down"}  # fmt: skip
    assert missing <= {"unet", "blocks"}  # --no-unet, --network_args


def test_kohyas_names_are_known() -> None:
    known = {name for flag in FLAGS for name in flag.names} | set(ALWAYS)
    assert [name for name in KOHYA.split() if name not in known] == []


def test_a_configuration_file_and_what_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text(
        '[model]\npretrained_model_name_or_path = "builtin"\n[network]\nnetwork_module = "lycoris.kohya"\n'
        'network_args = ["algo=lokr", "conv_dim=4", "factor=8"]\nnetwork_dim = 8\n[training]\nmax_train_steps = 400\n'
        'resolution = "128,128"\nlr_warmup_steps = 0.1\nlr_scheduler = "cosine"\nunet_lr = 2e-4\n'
        "text_encoder_lr = 1e-5\n"
        'learning_rate = 1e-4\nmin_snr_gamma = 5\nxformers = true\noptimizer_type = "Lion"\noptimizer_args = '
        '["weight_decay=0.1", "betas=0.9,0.99"]\nshuffle_caption = true\n'
    )
    run = ordered("lora", tmp_path, {"config": path, "rank": 6, "name": "it"})
    assert run.options.model_dump()["kind"] == "lokr"
    assert (run.options.rank, run.options.conv_rank, run.options.factor) == (6, 4, 8)  # type: ignore[attr-defined]
    assert (run.loop.steps, run.loop.warmup, run.loop.schedule, run.loop.optimizer) == (400, 40, "cosine", "Lion")
    assert run.loop.arguments == {"weight_decay": 0.1, "betas": (0.9, 0.99)}
    assert run.loop.slower["lora_unet_"] == pytest.approx(2)
    assert run.loop.slower["lora_te"] == pytest.approx(0.1)
    assert (run.resolution, run.rules.shuffle_caption, run.objective.min_snr_gamma) == (128, True, 5)


def test_a_file_as_kohyas_notebooks_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(KOHYA_FILE)
    monkeypatch.setattr("fromnoise.cli.training_run.epoch_length", lambda *_: 25)
    run = ordered("lora", tmp_path, {"config": path})
    assert (run.loop.steps, run.loop.report_every, run.loop.save_every) == (250, 25, 50)
    assert (run.loop.optimizer, run.loop.bfloat16, run.precision, run.sampler) == ("AdamW8bit", None, "bf16", "ddim")
    assert (run.options.model_dump()["rank"], run.rules.caption_extension, run.max_tokens) == (32, ".txt", 225)
    assert run.notes == {"ss_training_comment": "mine", "modelspec.title": "My cat"}
    assert "fp16" in capsys.readouterr().err


KOHYA_FILE = """
[model_arguments]
v2 = false
v_parameterization = false
pretrained_model_name_or_path = "builtin"
vae = ""
[additional_network_arguments]
no_metadata = false
unet_lr = 1e-4
text_encoder_lr = 5e-5
network_module = "networks.lora"
network_dim = 32
network_alpha = 16
network_train_unet_only = false
training_comment = "mine"
metadata_title = "My cat"
[optimizer_arguments]
use_8bit_adam = true
learning_rate = 1e-4
max_grad_norm = 1.0
lr_scheduler = "cosine_with_restarts"
lr_warmup_steps = 0
lr_scheduler_num_cycles = 3
[dataset_arguments]
cache_latents = true
debug_dataset = false
vae_batch_size = 4
caption_extention = ".txt"
[training_arguments]
output_dir = "out"
output_name = "mycat"
save_precision = "bf16"
save_every_n_epochs = 2
save_last_n_epochs = 3
train_batch_size = 4
max_token_length = 225
mem_eff_attn = false
xformers = true
max_train_epochs = 10
max_data_loader_n_workers = 2
persistent_data_loader_workers = true
seed = 42
gradient_checkpointing = false
gradient_accumulation_steps = 1
mixed_precision = "fp16"
clip_skip = 2
logging_dir = "logs"
log_prefix = "mycat"
log_with = "tensorboard"
lowram = true
[sample_prompt_arguments]
sample_every_n_epochs = 1
sample_sampler = "ddim"
[dreambooth_arguments]
prior_loss_weight = 1.0
[saving_arguments]
save_model_as = "safetensors"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_train_step = 5", "unknown key 'max_train_step'; did you mean 'max_train_steps'?"),
        ('max_train_steps = "many"', "max_train_steps should be int, not 'many'"),
        ("network_args = ['algos=loha']", "unknown 'algos=loha'; did you mean 'algo'?"),
        ("network_module = 'networks.other'", "unknown network_module 'networks.other'"),
        ("mixed_precision = 'fp8'", "choose bf16, fp16 or no"),
        ("save_precision = 'int8'", "unknown precision 'int8'"),
        ("full_fp16 = true", "full_fp16: gradients in fp16 vanish"),
        ("lr_scheduler = 'cosin'", "did you mean 'cosine'"),
        ("optimizer_type = 'AdamZ'", "did you mean 'AdamW'"),
        ("base = 'int4'", "unknown base 'int4'"),
        ("[x", "not a TOML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        ordered("lora", tmp_path, {"config": path})
    assert message in str(caught.value)


def test_names_take_both_dashes(run: Command, tmp_path: Path) -> None:
    for dash in ("-", "_"):
        ran: Ran = run("train", "lora", str(tmp_path), "--name", "x", f"--max{dash}train{dash}steps", "3")
        assert ran.status == 2
        assert "no pictures" in ran.err


def test_an_optimizer_that_finds_its_rate_is_left_alone(tmp_path: Path) -> None:
    assert ordered("lora", tmp_path, {"optimizer": "Prodigy"}).loop.learning_rate == 1
    free = ordered("lora", tmp_path, {"optimizer": "AdamWScheduleFree"}).loop
    assert (free.schedule, free.warmup) == ("constant", 0)
    assert ordered("embedding", tmp_path, {"name": "cat"}).loop.learning_rate == METHODS["embedding"].rate


def test_a_learning_rate_of_each_part_goes_where_it_should() -> None:
    from fromnoise.cli.training_rates import factors
    from fromnoise.train.steppers import factor_of

    slower = factors({"unet_lr": 2e-4, "text_encoder_lr": 5e-5, "loraplus": 16.0}, 1e-4)
    assert factor_of("lora_unet_x.lora_down", slower) == pytest.approx(2)
    assert factor_of("lora_te1_x.lora_up", slower) == pytest.approx(8)
    apart = factors({"loraplus": 16.0, "loraplus_text": 2.0}, 1e-4)
    assert factor_of("lora_unet_x.lora_up", apart) == pytest.approx(16)
    assert factor_of("lora_te_x.lora_up", apart) == pytest.approx(2)
    assert factor_of("lora_te_x.lora_down", apart) == 1
    assert by_name("lora")["network_dim"].place == "options.rank"


def test_zero_is_a_value_like_any_other(monkeypatch: pytest.MonkeyPatch, run: Command, tmp_path: Path) -> None:
    seen: list[Run] = []
    monkeypatch.setattr("fromnoise.cli.training_run.teach", lambda made, *_: seen.append(made) or tmp_path)
    config = tmp_path / "train.toml"
    config.write_text("prior_loss_weight = 0.0\nmasked_loss = false\n", encoding="utf-8")
    run("train", "lora", str(tmp_path), "--name", "x", "--out", str(tmp_path / "x.safetensors"),
              "--keep", "0", "--diverged", "0", "--max_grad_norm", "0", "--config", str(config))  # fmt: skip
    (made,) = seen
    assert (made.keep, made.loop.diverged, made.loop.clip_norm, made.objective.prior_loss_weight) == (0, 0, 0, 0)
