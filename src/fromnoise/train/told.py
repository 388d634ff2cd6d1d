"""What files say of how they were trained: kohya's `ss_` fields and ModelSpec's."""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fromnoise.checkpoints.hashes import file_hash, old_hash
from fromnoise.engine.library import Model
from fromnoise.train.data.batches import Pool, buckets

if TYPE_CHECKING:
    from fromnoise.train.run import Run

ARCHITECTURES = {"sd1": "stable-diffusion-v1", "sd2": "stable-diffusion-v2-512", "sdxl": "stable-diffusion-xl-v1-base"}
VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
NEEDED = ("ss_base_model_version", "ss_v2")  # by tools that read files, whatever else is told
KINDS = {"lora": "/lora", "lcm": "/lora", "custom": "/lora", "embedding": "/textual-inversion",
         "hypernetwork": "/hypernetwork", "controlnet": "/controlnet", "t2i-adapter": "/t2i-adapter"}  # fmt: skip


def base_version(model: Model) -> str:
    """kohya's name of what was trained on."""
    family = model.facts.family
    if family == "sd2" and model.facts.prediction == "v":
        return "sd_v2_v"
    return VERSIONS.get(family, family)


def architecture(model: Model, method: str) -> str:
    """ModelSpec's name of what came out."""
    family = model.facts.family
    name = ARCHITECTURES.get(family, family)
    if family == "sd2" and model.facts.prediction == "v":
        name = "stable-diffusion-v2-768-v"
    return name + KINDS.get(method, "")


def told(run: "Run", model: Model, pools: Sequence[Pool], began: float, steps: int) -> dict[str, str]:
    """All of it, as text."""
    now, loop, objective, noising = time.time(), run.loop, run.objective, run.noising
    side = run.side(model)
    items = [item for pool in pools for item in pool.items]
    own = [item for item in items if not item.example.regular]
    batches = sum(-(-n // pool.batch_size) for pool in pools for n in buckets(pool).values())
    sizes = dict(sorted(Counter(item.fit.bucket for item in items).items()))
    rules = run.rules
    fields: Mapping[str, object] = {
        "ss_output_name": run.name,
        "ss_training_started_at": f"{began:.3f}",
        "ss_training_finished_at": f"{now:.3f}",
        "ss_session_id": random.Random(f"{run.seed}/{began}").getrandbits(32),
        "ss_learning_rate": loop.learning_rate,
        "ss_unet_lr": rate_of(run, "lora_unet_"),
        "ss_text_encoder_lr": rate_of(run, "lora_te"),
        "ss_num_train_images": len(own),
        "ss_num_reg_images": len(items) - len(own),
        "ss_num_validation_images": sum(len(pool.held_out) for pool in pools),
        "ss_num_batches_per_epoch": batches,
        "ss_num_epochs": math.ceil(loop.steps * loop.accumulate / max(1, batches)),
        "ss_epoch": math.ceil(steps * loop.accumulate / max(1, batches)),
        "ss_steps": steps,
        "ss_max_train_steps": loop.steps,
        "ss_gradient_checkpointing": run.recompute,
        "ss_gradient_accumulation_steps": loop.accumulate,
        "ss_lr_warmup_steps": loop.warmup,
        "ss_lr_scheduler": loop.schedule,
        "ss_mixed_precision": {None: "auto", True: "bf16", False: "no"}[loop.bfloat16],
        "ss_optimizer": loop.optimizer + (f"({loop.arguments})" if loop.arguments else ""),
        "ss_max_grad_norm": loop.clip_norm,
        "ss_seed": run.seed,
        "ss_clip_skip": run.clip_skip,
        "ss_max_token_length": run.max_tokens,
        "ss_cache_latents": True,
        "ss_lowram": False,
        "ss_full_fp16": False,
        "ss_fp8_base": run.base == "fp8",
        "ss_v2": model.facts.family == "sd2",
        "ss_base_model_version": base_version(model),
        "ss_noise_offset": noising.noise_offset or None,
        "ss_noise_offset_random_strength": noising.noise_offset_random_strength,
        "ss_adaptive_noise_scale": noising.adaptive_noise_scale or None,
        "ss_multires_noise_iterations": noising.multires_noise_iterations or None,
        "ss_multires_noise_discount": noising.multires_noise_discount,
        "ss_ip_noise_gamma": noising.ip_noise_gamma or None,
        "ss_ip_noise_gamma_random_strength": noising.ip_noise_gamma_random_strength,
        "ss_zero_terminal_snr": objective.zero_terminal_snr,
        "ss_min_snr_gamma": objective.min_snr_gamma,
        "ss_debiased_estimation": objective.debiased_estimation_loss,
        "ss_scale_weight_norms": getattr(run.options, "scale_weight_norms", None),
        "ss_prior_loss_weight": objective.prior_loss_weight,
        "ss_loss_type": objective.loss_type,
        "ss_huber_schedule": objective.huber_schedule,
        "ss_huber_scale": objective.huber_scale,
        "ss_huber_c": objective.huber_c,
        "ss_caption_dropout_rate": rules.caption_dropout_rate,
        "ss_caption_dropout_every_n_epochs": rules.caption_dropout_every_n_epochs,
        "ss_caption_tag_dropout_rate": rules.caption_tag_dropout_rate,
        "ss_shuffle_caption": rules.shuffle_caption,
        "ss_keep_tokens": rules.keep_tokens,
        "ss_flip_aug": rules.flip_aug,
        "ss_color_aug": rules.color_aug,
        "ss_random_crop": rules.random_crop,
        "ss_face_crop_aug_range": rules.face_crop_aug_range,
        "ss_resize_interpolation": run.sizes.get("resize_interpolation"),
        "ss_validation_split": run.sizes.get("validation_split", 0.0),
        "ss_validation_seed": run.sizes.get("validation_seed"),
        "ss_validate_every_n_steps": loop.measure_every or None,
        "ss_max_validation_steps": run.most_held_out,
        "ss_resolution": f"({side}, {side})",
        "ss_batch_size_per_device": run.batch,
        "ss_total_batch_size": run.batch * loop.accumulate,
        "ss_enable_bucket": len(sizes) > 1,
        "ss_bucket_no_upscale": run.sizes.get("bucket_no_upscale", False),
        "ss_min_bucket_reso": min((min(size) for size in sizes), default=None),
        "ss_max_bucket_reso": max((max(size) for size in sizes), default=None),
        "ss_bucket_info": json.dumps({"buckets": {
            str(i): {"resolution": list(size), "count": count} for i, (size, count) in enumerate(sizes.items())
        }}),
        "ss_dataset_dirs": json.dumps(folders(pools, regular=False)),
        "ss_reg_dataset_dirs": json.dumps(folders(pools, regular=True)),
        "ss_tag_frequency": json.dumps(tags(pools)),
        "ss_sd_model_name": model.path.name,
        "ss_sd_model_hash": old_hash(model.path) if model.path.is_file() else None,
        "ss_new_sd_model_hash": model.sha256,
        "ss_vae_name": Path(run.vae).name or None,
        "ss_vae_hash": old_hash(run.vae) if Path(run.vae).is_file() else None,
        "ss_new_vae_hash": file_hash(run.vae) if Path(run.vae).is_file() else None,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": architecture(model, run.method),
        "modelspec.implementation": "fromnoise",
        "modelspec.title": run.name,
        "modelspec.date": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.prediction_type": "v" if model.facts.prediction == "v" else "epsilon",
        "modelspec.timestep_range": f"{noising.min_timestep},{noising.max_timestep}",
    }  # fmt: skip
    return {**{name: str(value) for name, value in fields.items()}, **run.notes}


def rate_of(run: "Run", begins: str) -> float:
    """The learning rate of a network, by how names of its layers begin in files."""
    return run.loop.learning_rate * run.loop.slower.get(begins, 1.0)


def folders(pools: Sequence[Pool], *, regular: bool) -> dict[str, dict[str, int]]:
    """Repeats and pictures of each folder."""
    found: dict[str, dict[str, int]] = {}
    for path, example in {i.example.path: i.example for pool in pools for i in pool.items}.items():
        if example.regular == regular:
            one = found.setdefault(path.parent.name, {"n_repeats": example.subset.num_repeats, "img_count": 0})
            one["img_count"] += 1
    return found


def tags(pools: Sequence[Pool]) -> dict[str, dict[str, int]]:
    """How often captions of each folder have each tag."""
    found: dict[str, Counter[str]] = {}
    for path, example in {i.example.path: i.example for pool in pools for i in pool.items}.items():
        words = (tag.strip() for tag in example.caption.split(example.subset.caption_separator))
        found.setdefault(path.parent.name, Counter()).update(tag for tag in words if tag)
    return {name: dict(counts.most_common()) for name, counts in found.items()}
