"""kohya's command lines and files as they are: several words to an option, prompts in TOML, files, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fromnoise.checkpoints.files import read
from fromnoise.cli.app import run
from fromnoise.cli.training_lists import spread_out
from fromnoise.cli.training_run import ordered
from fromnoise.cli.training_samples import lines_of
from fromnoise.cli.training_table import ALWAYS, FLAGS, REFUSED
from fromnoise.engine.library import load
from fromnoise.engine.memory import Placement
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.train.run import SAMPLERS as KOHYAS
from fromnoise.train.run import samples
from fromnoise.train.saving import Saving
from tests.tiny_pictures import noisy

SCRIPTS = """
 adaptive_noise_scale alpha_mask async_upload base_weights base_weights_multiplier block_lr blocks_to_swap
 bucket_no_upscale bucket_reso_steps cache_info cache_latents cache_latents_to_disk cache_text_encoder_outputs
 cache_text_encoder_outputs_to_disk caption_dropout_every_n_epochs caption_dropout_rate caption_extension
 caption_extention caption_prefix caption_separator caption_suffix caption_tag_dropout_rate clip_skip color_aug
 cond_emb_dim conditioning_data_dir config_file console_log_file console_log_level console_log_simple
 controlnet_model_name_or_path cpu_offload_checkpointing dataset_class dataset_config dataset_repeats
 ddp_gradient_as_bucket_view ddp_static_graph ddp_timeout debiased_estimation_loss debug_dataset deepspeed
 diffusers_xformers dim_from_weights disable_mmap_load_safetensors dynamo_backend enable_bucket enable_wildcard
 face_crop_aug_range flip_aug fp16_master_weights_and_gradients fp8_base fp8_base_unet full_bf16 full_fp16
 fused_backward_pass fused_optimizer_groups gradient_accumulation_steps gradient_checkpointing highvram huber_c
 huber_scale huber_schedule huggingface_path_in_repo huggingface_repo_id huggingface_repo_type
 huggingface_repo_visibility huggingface_token in_json init_word initial_epoch initial_step ip_noise_gamma
 ip_noise_gamma_random_strength keep_tokens keep_tokens_separator learning_rate learning_rate_te learning_rate_te1
 learning_rate_te2 log_config log_prefix log_tracker_config log_tracker_name log_with logging_dir loss_type lowram
 lr_decay_steps lr_scheduler lr_scheduler_args lr_scheduler_min_lr_ratio lr_scheduler_num_cycles lr_scheduler_power
 lr_scheduler_timescale lr_scheduler_type lr_warmup_steps masked_loss max_bucket_reso max_data_loader_n_workers
 max_grad_norm max_timestep max_token_length max_train_epochs max_train_steps max_validation_steps mem_eff_attn
 metadata_author metadata_description metadata_is_negative_embedding metadata_license metadata_merged_from
 metadata_preprocessor metadata_tags metadata_thumbnail metadata_title metadata_trigger_phrase metadata_usage_hint
 min_bucket_reso min_snr_gamma min_timestep mixed_precision multires_noise_discount multires_noise_iterations
 network_alpha network_args network_dim network_dropout network_module network_train_text_encoder_only
 network_train_unet_only network_weights no_half_vae no_metadata no_token_padding noise_offset
 noise_offset_random_strength num_vectors_per_token offload_optimizer_device offload_optimizer_nvme_path
 offload_param_device offload_param_nvme_path optimizer_args optimizer_type output_config output_dir output_name
 persistent_data_loader_workers pretrained_model_name_or_path prior_loss_weight random_crop reg_data_dir
 resize_interpolation resolution resume resume_from_huggingface sample_at_first sample_every_n_epochs
 sample_every_n_steps sample_prompts sample_sampler save_every_n_epochs save_every_n_steps save_last_n_epochs
 save_last_n_epochs_state save_last_n_steps save_last_n_steps_state save_model_as save_n_epoch_ratio save_precision
 save_state save_state_on_train_end save_state_to_huggingface scale_v_pred_loss_like_noise_pred scale_weight_norms sdpa
 secondary_separator seed shuffle_caption skip_cache_check skip_until_initial_step stop_text_encoder_training
 text_encoder_lr token_string token_warmup_min token_warmup_step tokenizer_cache_dir torch_compile train_batch_size
 train_data_dir train_text_encoder training_comment unet_lr use_8bit_adam use_lion_optimizer use_object_template
 use_safetensors use_style_template v2 v_parameterization v_pred_like_loss vae vae_batch_size validate_every_n_epochs
 validate_every_n_steps validation_seed validation_split wandb_api_key wandb_run_name weighted_captions weights xformers
 zero3_init_flag zero3_save_16bit_model zero_stage zero_terminal_snr
"""  # of train_network, sdxl_train_network, train_db, fine_tune, sdxl_train, train_textual_inversion, train_control_net


SAMPLED = ("ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a", "dpmsolver", "dpmsolver++",
           "dpmsingle", "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return noisy(tmp_path / "data", ["newword"] * 4)


def test_every_option_of_the_scripts_is_known() -> None:
    known = {name.replace("-", "_") for flag in FLAGS for name in flag.names} | {*ALWAYS, *REFUSED}
    assert [name for name in SCRIPTS.split() if name not in known] == []


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("--network_args algo=loha conv_dim=4 data", "--network_args algo=loha --network_args conv_dim=4 data"),
        ("--network-args=algo=loha conv_dim=4 --seed 5",
         "--network_args algo=loha --network_args conv_dim=4 --seed 5"),
        ("--optimizer_args weight_decay=0.1 betas=0.9,0.99",
         "--optimizer_args weight_decay=0.1 --optimizer_args betas=0.9,0.99"),
        ("data --base_weights a.ckpt b.pt set.toml", "data --base_weights a.ckpt --base_weights b.pt set.toml"),
        ("--base_weights_multiplier 0.5 -0.5 data",
         "--base_weights_multiplier 0.5 --base_weights_multiplier -0.5 data"),
        ("--text_encoder_lr 1e-5 data", "--text_encoder_lr 1e-5 data"),
        ("--text_encoder_lr 1e-5 2e-5 data", "--learning_rate_te1 1e-5 --learning_rate_te2 2e-5 data"),
        ("--resolution=512,512 --resolution 640", "--resolution 512 --resolution 640"),
        ("data -- --network_args a=1 b=2", "data -- --network_args a=1 b=2"), ("--network_args", "--network_args"),
    ],
)  # fmt: skip
def test_options_of_several_words(typed: str, wanted: str) -> None:
    assert spread_out(typed.split()) == wanted.split()


def test_words_that_can_not_be_are_named() -> None:
    with pytest.raises(UserError, match="give the sides in a data-set file"):
        spread_out(["--resolution", "512,768"])
    with pytest.raises(UserError, match="3 rates for 2 text encoders"):
        spread_out(["--text_encoder_lr", "1", "2", "3"])


def seen(monkeypatch: pytest.MonkeyPatch, *typed: str) -> Any:
    made: list[Any] = []
    monkeypatch.setattr("fromnoise.cli.training_run.teach", lambda one, *_: made.append(one) or Path("x"))
    assert run(["train", *typed]) == 0
    return made[0]


def test_a_command_line_of_kohyas(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = seen(
        monkeypatch, "lora", "--train_data_dir", str(folder), "--output_dir", str(tmp_path), "--output_name", "it",
        "--network_module=lycoris.kohya", "--network_args", "algo=lokr", "conv_dim=4", "factor=8", "--network_dim=8",
        "--optimizer_type", "Lion", "--optimizer_args", "weight_decay=0.1", "betas=0.9,0.99", "--resolution=64,64",
        "--text_encoder_lr", "1e-5", "2e-5", "--learning_rate", "1e-4", "--logging_dir", str(tmp_path / "logs"),
        "--log_prefix", "a-", "--full_bf16", "--fused_optimizer_groups", "4", "--zero_stage", "2", "--use_safetensors",
    )  # fmt: skip
    options = made.options.model_dump()
    assert (options["kind"], options["conv_rank"], options["factor"], options["layers"]) == ("lokr", 4, 8, "all")
    assert made.loop.arguments == {"weight_decay": 0.1, "betas": (0.9, 0.99)}
    assert (made.resolution, made.loop.board, made.loop.board_folder) == (64, True, tmp_path / "logs/a-it")
    assert (made.base, made.loop.bfloat16, made.loop.fused_backward) == ("bfloat16", True, True)


def test_prompts_in_tables(tmp_path: Path) -> None:
    toml, told = tmp_path / "it.toml", tmp_path / "it.json"
    toml.write_text('[prompt]\nwidth = 64\nnegative_prompt = "dark"\n[[prompt.subset]]\nprompt = "a cat"\nseed = 3\n'
                    '[[prompt.subset]]\nprompt = "a dog"\nwidth = 96\nsample_steps = 2\nscale = 4.5\n')  # fmt: skip
    assert lines_of(toml) == ["a cat --n dark --w 64 --d 3", "a dog --n dark --w 96 --l 4.5 --s 2"]
    told.write_text(json.dumps([{"prompt": "a cat", "sample_sampler": "euler_a"}]))
    assert lines_of(told) == ["a cat --ss euler_a"]
    for text, error, message in (
        ('[{"prompt": "a", "size": 3}]', UserError, "unknown field 'size'"),
        ('{"a": 1}', FileError, "no list of prompts"), ("[", FileError, "not a text that can be read"),
    ):  # fmt: skip
        told.write_text(text)
        with pytest.raises(error, match=message):
            lines_of(told)
    plain = tmp_path / "it.txt"
    plain.write_text("# none\na cat --w 64\n\n")
    assert lines_of(plain) == ["a cat --w 64"]


@pytest.mark.parametrize("name", SAMPLED)
def test_kohyas_samplers_are_known(name: str) -> None:
    assert SAMPLERS.canonical(KOHYAS.get(name, name))


def test_samples_by_the_single_step_solver_are_without_noise(folder: Path) -> None:
    on = load("builtin", Placement(torch.device("cpu"), torch.float32))
    (sample,) = samples(ordered("lora", folder, {"sample": ["a cat --s 2"], "sample_sampler": "dpmsingle"}), on)
    assert (sample.sampler, sample.sampler_options, sample.steps) == ("dpmpp_2s_ancestral", {"eta": 0.0}, 2)


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("huggingface_repo_type", "zero_stage")])
def test_what_is_refused_may_stand_in_a_file_where_it_is_off(name: str, tmp_path: Path) -> None:
    config = tmp_path / "it.toml"
    for off in ("false", '""', "0"):
        config.write_text(f"{name} = {off}\n")
        assert ordered("lora", tmp_path, {"config": config})
    config.write_text(f'{name} = "x"\n')
    with pytest.raises(UserError, match=name):
        ordered("lora", tmp_path, {"config": config})
    with pytest.raises(UserError, match=f"--{name}: "):
        ordered("lora", tmp_path, {name: "x"})


def test_another_format_is_refused_in_a_file_too(tmp_path: Path) -> None:
    config = tmp_path / "it.toml"
    config.write_text('save_model_as = "ckpt"\n')
    with pytest.raises(UserError, match="fromnoise convert"):
        ordered("lora", tmp_path, {"config": config})
    config.write_text('save_model_as = ""\n')
    assert ordered("lora", tmp_path, {"config": config})


def test_what_forms_leave_empty_is_not_said(tmp_path: Path) -> None:
    config = tmp_path / "it.toml"
    empty = "".join(f'{name} = ""\n' for name in ("network_weights", "resume", "base_weights"))
    zeros = ("min_snr_gamma", "save_every_n_steps", "sample_every_n_steps", "v_pred_like_loss", "clip_skip")
    config.write_text(empty + "".join(f"{name} = 0\n" for name in zeros))
    made = ordered("lora", tmp_path, {"config": config, "steps": 50})
    assert (made.resume, made.objective.min_snr_gamma, made.savings, made.base_weights) == (None, None, (), ())
    assert (made.loop.save_every, made.loop.report_every, made.clip_skip) == (5, 10, None)
    assert ordered("lora", tmp_path, {"min_snr_gamma": 0.0}).objective.min_snr_gamma is None
    config.write_text("train_batch_size = 0\n")
    with pytest.raises(UserError, match="train_batch_size: 0 lies outside of 1 to 1024"):
        ordered("lora", tmp_path, {"config": config})


def test_a_picture_is_told_as_data(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "small.png"
    Image.new("RGB", (2, 2)).save(picture)
    notes = ordered("lora", folder, {"metadata_thumbnail": str(picture), "metadata_trigger_phrase": "newword"}).notes
    assert notes["modelspec.thumbnail"].startswith("data:image/png;base64,iVBOR")
    assert notes["modelspec.trigger_phrase"] == "newword"
    with pytest.raises(FileError, match="PNG, JPEG and WebP"):
        ordered("lora", folder, {"metadata_thumbnail": __file__})


def test_files_are_called_as_kohyas() -> None:
    out = Path("it.safetensors")
    steps, epochs = Saving(100, last=250), Saving(6, epochs=2, last=3)
    assert steps.path(out, 500) == Path("it-step00000500.safetensors")
    assert steps.outdated(out, 500) == Path("it-step00000200.safetensors")  # the 250 steps before stay
    assert steps.outdated(out, 300) is None
    assert epochs.path(out, 12) == Path("it-000004.safetensors")
    assert epochs.outdated(out, 24) == Path("it-000002.safetensors")
    assert (epochs.outdated(out, 18), Saving(5).outdated(out, 50)) == (None, None)
    assert [step for step in range(20) if epochs.due(step)] == [6, 12, 18]


def test_files_of_what_is_learnt_so_far(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/it.safetensors"
    places = ["--folder", str(tmp_path / "run"), "--out", str(out)]
    short = ["--steps", "8", "--rank", "2", "--resolution", "64", "--learning_rate", "0.01", "--keep", "0", "--no-text"]
    often = ["--save_every_n_epochs", "1", "--save_last_n_epochs", "2", "--save_every_n_steps", "5"]
    more = ["--batch", "2", "--sample_every_n_steps", "100"]
    assert run(["train", "lora", str(folder), "--name", "it", *places, *short, *often, *more]) == 0
    names = {path.stem for path in out.parent.iterdir()}
    assert names == {"it", "it-step00000005", "it-000002", "it-000003"}
    early, late = read(out.with_name("it-000002.safetensors")), read(out)
    assert early.keys() == late.keys()
    assert any(not early[name].equal(late[name]) for name in early)
    assert (early.metadata["ss_steps"], early.metadata["ss_epoch"], late.metadata["ss_steps"]) == ("4", "2", "8")


def test_how_often_files_are_written(folder: Path) -> None:
    one = ordered("lora", folder, {"save_n_epoch_ratio": 4, "steps": 48})  # 12 epochs of 4
    assert one.savings == (Saving(12, epochs=3),)
    assert one.loop.save_every == 12
    assert ordered("lora", folder, {"steps": 50}).savings == ()
    assert ordered("lora", folder, {"save_every_n_steps": 7, "save_last_n_steps": 20}).savings == (Saving(7, last=20),)


def test_an_embedding_goes_on(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    short = ["train", "embedding", str(folder), "--name", "newword", "--steps", "1", "--resolution", "64"]
    precise = ["--save_precision", "float", "--folder", str(tmp_path / "run")]
    assert run([*short, *precise, "--vectors", "3", "--out", str(first)]) == 0
    more = [*short, "--folder", str(tmp_path / "more"), "--save_precision", "float", "--weights", str(first)]
    assert run([*more, "--learning_rate", "1e-12", "--out", str(second)]) == 0
    assert read(second)["emb_params"].sub(read(first)["emb_params"]).abs().max() < 1e-6
    assert len(read(second)["emb_params"]) == 3
    assert run([*more, "--vectors", "2", "--out", str(second)]) != 0
