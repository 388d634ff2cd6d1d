"""What can be said of a training, declared once: each option with its names, kohya's among them, and what it sets.

The command line, configuration files and the tables of docs/training.md are made of this. Nothing here costs torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fromnoise.cli.messages import say

DATA, TIME, NETWORK, LOSS, NOISE, RUN = (
    say("Pictures and captions"), say("How long and how fast"), say("What learns"), say("What counts"),
    say("Noise"), say("The run"),
)  # fmt: skip
LORAS, FULL, WORDS = ("lora", "lcm"), ("finetune", "dreambooth"), ("embedding", "custom")
CONTROLS = ("controlnet", "t2i-adapter")
TOLD = {  # what is typed, and the field of the file
    "training_comment": "ss_training_comment", "metadata_title": "modelspec.title",
    "metadata_author": "modelspec.author", "metadata_description": "modelspec.description",
    "metadata_license": "modelspec.license", "metadata_tags": "modelspec.tags",
}  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """An option. `place` is what it sets: a field of a part of `train.run.Run`, or a word that `training_run` knows."""

    place: str
    names: tuple[str, ...]  # as typed, without --; ours first
    text: str
    kind: Any
    panel: str
    methods: tuple[str, ...] = ()  # that have it; all where empty
    metavar: str | None = None
    least: float | None = None
    most: float | None = None

    def belongs_to(self, method: str) -> bool:
        return not self.methods or method in self.methods


def of(panel: str, place: str, names: str, text: str, kind: Any, methods: tuple[str, ...] = (),
       least: float | None = None, most: float | None = None) -> Flag:  # fmt: skip
    metavar = {int: "N", float: "X", Path: "PATH"}.get(kind)
    return Flag(place, tuple(names.split()), text, kind, panel, methods, metavar, least, most)


FLAGS: tuple[Flag, ...] = (
    # pictures and captions
    of(DATA, "data", "train_data_dir", say("The folder of pictures, where DATA is not given."), Path),
    of(DATA, "dataset_config", "dataset_config", say("A data-set file, where DATA is not given."), Path),
    of(DATA, "run.regular", "regular reg_data_dir", say("Pictures of the class in general, to keep them."), Path),
    of(DATA, "run.class_prompt", "class_prompt",
       say("What is said of those; without --regular the model draws them first."), str),
    of(DATA, "run.class_pictures", "class_pictures num_class_images", say("How many it draws; 100."), int, least=1),
    of(DATA, "rules.class_tokens", "instance_prompt class_tokens", say("Said of pictures without a caption."), str),
    of(DATA, "rules.conditioning_data_dir", "conditioning_data_dir",
       say("Pictures of the same names that steer a control network."), Path, CONTROLS),
    of(DATA, "rules.mask_dir", "mask_dir", say("Pictures of the same names: black does not count."), Path),
    of(DATA, "rules.metadata_file", "in_json metadata_file",
       say("A JSON file of the captions and tags of all pictures in DATA, as kohya's fine_tune.py has it."), Path),
    of(DATA, "run.resolution", "resolution", say("Side in pixels; by default the model's own."), int, (), 64, 4096),
    of(DATA, "run.batch", "batch train_batch_size", say("Pictures in a step."), int, (), 1, 1024),
    of(DATA, "rules.num_repeats", "repeats num_repeats dataset_repeats",
       say("How often an epoch has each picture."), int, (), 1),
    of(DATA, "sizes.enable_bucket", "enable_bucket",
       say("Keep about the pictures' own proportions; so it is anyway for folders."), bool),
    of(DATA, "no_bucket", "no_bucket", say("Cut every picture to a square."), bool),
    of(DATA, "sizes.min_bucket_reso", "min_bucket_reso", say("Shortest side of a bucket."), int, (), 64),
    of(DATA, "sizes.max_bucket_reso", "max_bucket_reso", say("Longest side of a bucket."), int, (), 64),
    of(DATA, "sizes.bucket_reso_steps", "bucket_reso_steps", say("Sides of buckets are multiples of it."), int, (), 8),
    of(DATA, "sizes.bucket_no_upscale", "bucket_no_upscale", say("Never enlarge a picture."), bool),
    of(DATA, "rules.caption_extension", "caption_extension caption_extention",
       say("Ending of captions' files: .txt, else .caption."), str),
    of(DATA, "rules.shuffle_caption", "shuffle_caption", say("Put tags into another order each time."), bool),
    of(DATA, "rules.keep_tokens", "keep_tokens", say("So many tags at the front stay."), int, (), 0),
    of(DATA, "rules.keep_tokens_separator", "keep_tokens_separator", say("What stands before it stays."), str),
    of(DATA, "rules.caption_separator", "caption_separator", say("Parts tags."), str),
    of(DATA, "run.weighted_captions", "weighted_captions", say("(word:1.2) in captions weighs it."), bool),
    of(DATA, "no_padding", "no_token_padding",
       say("States of captions end where the longest of a batch ends."), bool, ("lora", *FULL)),
    of(DATA, "rules.secondary_separator", "secondary_separator", say("Joins tags that stay together."), str),
    of(DATA, "rules.enable_wildcard", "enable_wildcard", say("Choose among {a|b} and the lines of a caption."), bool),
    of(DATA, "rules.caption_prefix", "caption_prefix", say("Said before every caption."), str),
    of(DATA, "rules.caption_suffix", "caption_suffix", say("Said after every caption."), str),
    of(DATA, "rules.caption_dropout_rate", "caption_dropout_rate",
       say("Share of pictures of which nothing is said."), float, (), 0, 1),
    of(DATA, "rules.caption_dropout_every_n_epochs", "caption_dropout_every_n_epochs",
       say("Nothing is said in every so manieth epoch."), int, (), 0),
    of(DATA, "rules.caption_tag_dropout_rate", "caption_tag_dropout_rate",
       say("Share of tags that are left out."), float, (), 0, 1),
    of(DATA, "rules.token_warmup_min", "token_warmup_min", say("Tags at the first step of a warm-up."), int, (), 0),
    of(DATA, "rules.token_warmup_step", "token_warmup_step",
       say("Steps until all tags are said; below 1 a share of all steps."), float, (), 0),
    of(DATA, "rules.flip_aug", "flip_aug", say("Mirror pictures half of the time."), bool),
    of(DATA, "rules.color_aug", "color_aug", say("Vary hue a little; latents are not cached then."), bool),
    of(DATA, "rules.random_crop", "random_crop", say("Cut anywhere; latents are not cached then."), bool),
    of(DATA, "rules.face_crop_aug_range", "face_crop_aug_range",
       say("Cut 2.0,4.0 times as large as the face whose place a picture's name tells; latents are not cached then."),
       str),
    of(DATA, "rules.alpha_mask", "alpha_mask", say("What is transparent does not count."), bool),
    of(DATA, "rules.resize_interpolation", "resize_interpolation",
       say("How pictures are resized: lanczos, area, ..."), str),
    of(DATA, "sizes.validation_split", "validation_split",
       say("Share of the pictures kept to measure on."), float, (), 0, 1),
    of(DATA, "sizes.validation_seed", "validation_seed", say("Which ones they are."), int, (), 0),
    of(DATA, "loop.measure_every", "validate_every_n_steps",
       say("Steps between measures on them, besides those with samples."), int, (), 1),
    of(DATA, "validate_epochs", "validate_every_n_epochs", say("The same in epochs."), int, (), 1),
    of(DATA, "run.most_held_out", "max_validation_steps", say("Batches of them that are measured; all."), int, (), 1),
    of(DATA, "run.workers", "workers max_data_loader_n_workers",
       say("Processes that open pictures; 0: none."), int, (), 0, 64),
    of(DATA, "run.strict", "strict", say("A picture that can't be read is an error."), bool),
    # what learns
    of(NETWORK, "options.kind", "kind", say("lora, loha, lokr, ia3, glora, full, oft or boft."), str, ("lora",)),
    of(NETWORK, "options.rank", "rank network_dim", say("Inner size."), int, LORAS, 1, 1024),
    of(NETWORK, "options.alpha", "alpha network_alpha", say("Strength times the rank."), float, LORAS),
    of(NETWORK, "options.conv_rank", "conv_rank conv_dim", say("Inner size in convolutions; 0: none."), int, LORAS, 0),
    of(NETWORK, "options.conv_alpha", "conv_alpha", say("Strength there, times the rank."), float, LORAS),
    of(NETWORK, "options.layers", "layers",
       say("attention, transformer, all; or of cross-attention all (cross), or keys_values."), str, LORAS),
    of(NETWORK, "options.dora", "dora dora_wd", say("Give rows a length of their own (DoRA)."), bool, ("lora",)),
    of(NETWORK, "options.norms", "norms train_norm", say("Train the norms as well."), bool, ("lora",)),
    of(NETWORK, "options.dropout", "dropout network_dropout",
       say("Share of what comes out of the inner size that is dropped."), float, LORAS, 0, 0.99),
    of(NETWORK, "options.rank_dropout", "rank_dropout",
       say("Share of the parts of the inner size that a picture leaves out."), float, LORAS, 0, 0.99),
    of(NETWORK, "options.module_dropout", "module_dropout",
       say("Share of layers that a step leaves out."), float, LORAS, 0, 0.99),
    of(NETWORK, "options.factor", "factor",
       say("LoKr: how sides are split; -1 as square as can be."), int, ("lora",), -1),
    of(NETWORK, "options.block_size", "block_size",
       say("OFT and BOFT: sides of the rotated blocks."), int, ("lora",), 2),
    of(NETWORK, "options.constraint", "constraint",
       say("OFT and BOFT: the greatest rotation; 0 for any."), float, ("lora",), 0),
    of(NETWORK, "network_module", "network_module",
       say("kohya's: networks.lora, lycoris.kohya and others."), str, ("lora",)),
    of(NETWORK, "network_args", "network_args",
       say("kohya's name=value, such as algo=lokr conv_dim=4; can be repeated."), list, LORAS),
    of(NETWORK, "no_text", "no-text network_train_unet_only", say("The text encoders do not learn."), bool, LORAS),
    of(NETWORK, "no_unet", "no-unet network_train_text_encoder_only",
       say("The U-Net does not learn."), bool, ("lora", *FULL)),
    of(NETWORK, "options.text", "text train_text_encoder", say("The text encoders learn, too."), bool, ("lora", *FULL)),
    of(NETWORK, "options.token", "token token_string", say("The new word; by default the name."), str, WORDS),
    of(NETWORK, "options.init_word", "init_word", say("A word of like meaning to begin with."), str, WORDS),
    of(NETWORK, "options.vectors", "vectors num_vectors_per_token",
       say("How many vectors the word is."), int, WORDS, 1, 75),
    of(NETWORK, "options.template", "template",
       say("Sentences around the word: auto, object, style or captions."), str, ("embedding",)),
    of(NETWORK, "object_template", "use_object_template", say("The same as --template object."), bool, ("embedding",)),
    of(NETWORK, "style_template", "use_style_template", say("The same as --template style."), bool, ("embedding",)),
    of(NETWORK, "options.structure", "structure layer_structure",
       say("Widths of the layers in units of the context, such as 1,2,1."), str, ("hypernetwork",)),
    of(NETWORK, "options.activation", "activation",
       say("Between layers: linear, relu, swish, ..."), str, ("hypernetwork",)),
    of(NETWORK, "options.layer_norm", "layer_norm", say("A norm after each layer."), bool, ("hypernetwork",)),
    of(NETWORK, "options.widths", "widths",
       say("Widths of context that are acted on; by default all."), str, ("hypernetwork",)),
    of(NETWORK, "options.start", "start controlnet_model_name_or_path",
       say("A network of the same kind to go on from."), Path, CONTROLS),
    of(NETWORK, "options.queries", "queries",
       say("All of cross-attention learns, not keys and values alone."), bool, ("custom",)),
    of(NETWORK, "options.least_guidance", "least_guidance",
       say("The least guidance that is built in."), float, ("lcm",), 0),
    of(NETWORK, "options.most_guidance", "most_guidance",
       say("The most guidance that is built in."), float, ("lcm",), 0),
    of(NETWORK, "options.teacher_steps", "teacher_steps",
       say("Steps of the teacher, one of which is learnt."), int, ("lcm",), 2, 1000),
    of(NETWORK, "options.huber", "huber", say("Where the loss turns from square to straight."), float, ("lcm",)),
    of(NETWORK, "options.precision", "precision save_precision",
       say("Numbers in the file: float, fp16 or bf16."), str, FULL),
    of(NETWORK, "run.precision", "precision save_precision",
       say("Numbers in the file: float, fp16 or bf16."), str, (*LORAS, *WORDS, *CONTROLS)),
    of(NETWORK, "options.start", "start network_weights",
       say("A LoRA of the same kind and size to go on from."), Path, LORAS),
    of(NETWORK, "options.dim_from_weights", "dim_from_weights",
       say("Take layers and inner sizes from the LoRA that is gone on from."), bool, LORAS),
    of(NETWORK, "options.scale_weight_norms", "scale_weight_norms",
       say("The greatest norm of what a layer changes; 1 is usual, 0: any."), float, LORAS, 0),
    of(NETWORK, "run.base_weights", "base_weights",
       say("A LoRA that is made part of the model before it learns; can be repeated."), list),
    of(NETWORK, "run.base_weights_multiplier", "base_weights_multiplier",
       say("Its strength, 1; can be repeated."), list),
    # how long and how fast
    of(TIME, "loop.steps", "steps max_train_steps", say("How long to train."), int, (), 1),
    of(TIME, "epochs", "epochs max_train_epochs", say("The same in epochs."), int, (), 1),
    of(TIME, "loop.learning_rate", "learning_rate",
       say("How fast to train; by default what suits method and optimizer."), float),
    of(TIME, "unet_lr", "unet_lr", say("Of the U-Net alone."), float, ("lora", *FULL)),
    of(TIME, "text_encoder_lr", "text_encoder_lr", say("Of the text encoders alone."), float, ("lora", *FULL)),
    of(TIME, "loraplus", "loraplus_lr_ratio", say("LoRA+: how much faster the second factor learns."), float, LORAS),
    of(TIME, "loop.schedule", "schedule lr_scheduler",
       say("What the rate does: constant, linear, cosine, rex, ..."), str),
    of(TIME, "warmup", "warmup lr_warmup_steps", say("Steps of its rise; below 1 a share of all."), float, (), 0),
    of(TIME, "decay", "decay lr_decay_steps",
       say("Steps of its fall at the end; below 1 a share of all."), float, (), 0),
    of(TIME, "loop.cycles", "cycles lr_scheduler_num_cycles", say("Restarts of the schedule."), int, (), 1),
    of(TIME, "loop.power", "power lr_scheduler_power", say("Of a polynomial schedule."), float, (), 0),
    of(TIME, "loop.timescale", "lr_scheduler_timescale",
       say("Steps after which inverse_sqrt begins to fall; those of the rise."), int, (), 1),
    of(TIME, "loop.scheduler", "lr_scheduler_type",
       say("A scheduler in place of --schedule: a class of PyTorch's, or module.Class."), str),
    of(TIME, "scheduler_args", "lr_scheduler_args",
       say("Its name=value, such as T_max=1000; can be repeated."), list),
    of(TIME, "loop.stop_text", "stop_text_encoder_training",
       say("The step from which on text encoders stay as they are; -1: from the first."), int, ("lora", *FULL), -1),
    of(TIME, "initial_step", "initial_step",
       say("The step to begin with, with --skip_until_initial_step."), int, (), 0),
    of(TIME, "initial_epoch", "initial_epoch", say("The same as an epoch, from 1."), int, (), 1),
    of(TIME, "skip", "skip_until_initial_step", say("Leave out the steps before it and their pictures."), bool),
    of(TIME, "loop.floor", "floor lr_scheduler_min_lr_ratio",
       say("Share of the rate that is left at the end."), float, (), 0, 1),
    of(TIME, "loop.optimizer", "optimizer optimizer_type",
       say("AdamW, Lion, Prodigy, AdaFactor, ... or module.Class."), str),
    of(TIME, "eight_bits", "use_8bit_adam", say("The same as --optimizer AdamW8bit."), bool),
    of(TIME, "lion", "use_lion_optimizer", say("The same as --optimizer Lion."), bool),
    of(TIME, "optimizer_args", "optimizer_args",
       say("Its name=value, such as weight_decay=0.1; can be repeated."), list),
    of(TIME, "loop.weight_decay", "weight_decay", say("AdamW's; 0.01."), float, (), 0),
    of(TIME, "loop.clip_norm", "max_grad_norm", say("The largest norm of a gradient; 0: any."), float, (), 0),
    of(TIME, "loop.accumulate", "accumulate gradient_accumulation_steps",
       say("Batches that make one step."), int, (), 1),
    of(TIME, "loop.average", "ema",
       say("Decay of the weights' moving average, such as 0.999; 0: none."), float, (), 0, 0.99999),
    of(TIME, "loop.diverged", "diverged",
       say("Stop where the loss is so many times its lowest; 0: never."), float, (), 0),
    # what counts
    of(LOSS, "objective.loss_type", "loss_type", say("How distance counts: l2, l1, huber or smooth_l1."), str),
    of(LOSS, "objective.huber_c", "huber_c", say("Where huber turns from square to straight."), float),
    of(LOSS, "objective.huber_schedule", "huber_schedule", say("How that changes: constant, exponential or snr."), str),
    of(LOSS, "objective.huber_scale", "huber_scale", say("Times huber_c."), float),
    of(LOSS, "objective.min_snr_gamma", "min_snr_gamma",
       say("Weigh noise levels by their SNR, up to it; 5 is usual."), float),
    of(LOSS, "objective.debiased_estimation_loss", "debiased_estimation_loss", say("Count by 1/sqrt(SNR)."), bool),
    of(LOSS, "objective.scale_v_pred_loss_like_noise_pred", "scale_v_pred_loss_like_noise_pred",
       say("v: count noise levels as for eps."), bool),
    of(LOSS, "objective.v_pred_like_loss", "v_pred_like_loss",
       say("eps: add the loss that v would have, this much."), float),
    of(LOSS, "objective.prior_loss_weight", "prior_loss_weight",
       say("How much pictures of the class count."), float, (), 0),
    of(LOSS, "run.keep", "keep",
       say("How much it counts that pictures without the trigger stay as they are; 0: nothing."), float, (), 0),
    of(LOSS, "objective.masked_loss", "masked_loss", say("Only what masks show counts."), bool),
    of(LOSS, "objective.zero_terminal_snr", "zero_terminal_snr",
       say("The last timestep is pure noise; for v-prediction."), bool),
    # noise
    of(NOISE, "noising.noise_offset", "noise_offset", say("For very dark or bright pictures."), float, (), 0),
    of(NOISE, "noising.noise_offset_random_strength", "noise_offset_random_strength",
       say("A random share of it each time."), bool),
    of(NOISE, "noising.adaptive_noise_scale", "adaptive_noise_scale",
       say("Added to it for each unit of the latents' mean."), float),
    of(NOISE, "noising.multires_noise_iterations", "multires_noise_iterations",
       say("Octaves of coarser noise."), int, (), 0, 16),
    of(NOISE, "noising.multires_noise_discount", "multires_noise_discount",
       say("How much each octave counts of the one before."), float, (), 0, 1),
    of(NOISE, "noising.ip_noise_gamma", "ip_noise_gamma",
       say("Disturb the input by so much noise besides."), float, (), 0),
    of(NOISE, "noising.ip_noise_gamma_random_strength", "ip_noise_gamma_random_strength",
       say("A random share of it each time."), bool),
    of(NOISE, "noising.min_timestep", "min_timestep", say("The least noise to train on."), int, (), 0, 999),
    of(NOISE, "noising.max_timestep", "max_timestep", say("Above the most noise to train on."), int, (), 1, 1000),
    # the run
    of(RUN, "name", "name output_name", say("What it is called."), str),
    of(RUN, "model", "model pretrained_model_name_or_path", say("The model that learns."), str),
    of(RUN, "run.vae", "vae", say("A VAE in place of the model's own, by name or path."), str),
    of(RUN, "out", "out",
       say("The file; by default on the shelf of its kind, such as models/loras/NAME.safetensors."), Path),
    of(RUN, "output_dir", "output_dir", say("The folder of the file, in place of --out."), Path),
    of(RUN, "folder", "folder", say("For what a stopped run goes on from; runs/NAME."), Path),
    of(RUN, "config", "config config_file", say("A TOML file with any of these; what is typed wins."), Path),
    of(RUN, "output_config", "output_config", say("Write what is asked for into the file of --config, and end."), bool),
    of(RUN, "log_config", "log_config", say("Write what is asked for into the folder of the run."), bool),
    of(RUN, "run.only_look", "debug_dataset",
       say("Write what each step would be given into the folder of the run, and end."), bool),
    of(RUN, "run.resume", "resume",
       say("The folder of another run to go on from; a run goes on from its own by itself."), Path),
    of(RUN, "compile", "torch_compile", say("Compile the U-Net by torch.compile."), bool),
    of(RUN, "run.backend", "dynamo_backend", say("What compiles it: inductor, eager, ..."), str),
    of(RUN, "untold", "no_metadata", say("The file does not tell how it was trained."), bool),
    of(RUN, "run.prediction", "prediction", say("What the model predicts where its file does not say: eps or v."), str),
    of(RUN, "v", "v_parameterization", say("The same as --prediction v."), bool),
    of(RUN, "run.clip_skip", "clip_skip", say("Text states so far from the end."), int, (), 1, 12),
    of(RUN, "run.max_tokens", "max_token_length",
       say("Tokens of a caption that are read: 75, 150, 225; by default all."), int, (), 75),
    of(RUN, "mixed_precision", "mixed_precision",
       say("Compute in bf16 or not (no); by default, and for fp16, in bf16 where it is fast."), str),
    of(RUN, "run.base", "base", say("Numbers that frozen weights are kept in: float32, bfloat16 or fp8."), str),
    of(RUN, "fp8_base", "fp8_base fp8_base_unet", say("The same as --base fp8."), bool),
    of(RUN, "run.recompute", "gradient_checkpointing", say("Less memory for more time."), bool),
    of(RUN, "loop.fused_backward", "fused_backward_pass",
       say("Step each weight as soon as its gradient is known."), bool),
    of(RUN, "sample", "sample", say("A picture to draw on the way; can be repeated."), list),
    of(RUN, "sample_prompts", "sample_prompts",
       say("A file with a line for each of them; kohya's --n, --w and so on work."), Path),
    of(RUN, "loop.report_every", "sample_every_n_steps", say("Steps between samples; a fifth of all."), int, (), 1),
    of(RUN, "sample_epochs", "sample_every_n_epochs", say("The same in epochs."), int, (), 1),
    of(RUN, "loop.report_first", "sample_at_first", say("Samples before the first step, too."), bool),
    of(RUN, "run.sampler", "sample_sampler", say("What samples are drawn with; kohya's names work."), str),
    of(RUN, "loop.save_every", "save_every_n_steps",
       say("Steps between saves of the state; a tenth of all."), int, (), 1),
    of(RUN, "save_epochs", "save_every_n_epochs", say("The same in epochs."), int, (), 1),
    of(RUN, "loop.log_every", "log_every", say("Steps between lines of the log."), int, (), 1),
    of(RUN, "loop.board", "tensorboard", say("Also write TensorBoard's events, where it is installed."), bool),
    of(RUN, "log_with", "log_with", say("kohya's: tensorboard or all is the same as --tensorboard."), str),
    *(of(RUN, name, name, say("Told in the file."), str) for name in TOLD),
    of(RUN, "run.seed", "seed", say("Decides all that is random."), int, (), 0),
)  # fmt: skip

ALWAYS = (  # kohya's options that ask for what is so in any case, or for what has no meaning here
    "cache_latents", "cache_latents_to_disk", "cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk",
    "sdpa", "xformers", "mem_eff_attn", "persistent_data_loader_workers", "lowram", "highvram", "no_half_vae",
    "save_state", "v2", "sdxl", "vae_batch_size", "logging_dir", "log_prefix", "save_model_as", "skip_cache_check",
    "save_state_on_train_end", "full_bf16", "cache_info", "tokenizer_cache_dir", "log_tracker_name",
    "ddp_timeout", "save_n_epoch_ratio", "save_last_n_epochs", "save_last_n_epochs_state", "save_last_n_steps",
    "save_last_n_steps_state",
)  # fmt: skip
VALUED = ("vae_batch_size", "logging_dir", "log_prefix", "save_model_as", "tokenizer_cache_dir",
          "log_tracker_name", "ddp_timeout", "save_n_epoch_ratio", "save_last_n_epochs", "save_last_n_epochs_state",
          "save_last_n_steps", "save_last_n_steps_state")  # fmt: skip
REFUSED = {  # kohya's options that are not done, each with the reason: a file may say that they are not wanted
    "huggingface_repo_id": say("files are not sent anywhere; give the finished file to huggingface-cli upload"),
    "deepspeed": say("several devices train through accelerate launch or torchrun, without DeepSpeed"),
    "full_fp16": say("gradients in fp16 vanish; --base bfloat16 or fp8 keeps frozen weights small"),
    "dataset_class": say("data sets are read by fromnoise alone; a data-set file describes them (docs/datasets.md)"),
    "wandb_run_name": say("losses are told in files and to TensorBoard (--tensorboard), not to Weights & Biases"),
    "wandb_api_key": say("losses are told in files and to TensorBoard (--tensorboard), not to Weights & Biases"),
}  # fmt: skip


def flags(method: str) -> Iterator[Flag]:
    """Those of a method."""
    return (flag for flag in FLAGS if flag.belongs_to(method))


def by_name(method: str) -> dict[str, Flag]:
    """By every name that they have in files."""
    return {name.replace("-", "_"): flag for flag in flags(method) for name in flag.names}
