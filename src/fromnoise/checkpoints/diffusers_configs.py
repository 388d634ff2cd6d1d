"""The JSON files of a diffusers folder: what its classes need to be built as our networks are.

Every function returns the content of one file. What diffusers' own defaults say already is left out where no reader
of ours or theirs asks for it.
"""

from typing import Any

from fromnoise.assets.vocabulary import END_TEXT, START_TEXT
from fromnoise.checkpoints.detect import Family, ModelFacts, NotDetected, Task
from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.clip_vision import CLIPVisionConfig
from fromnoise.nn.unet import UNetConfig
from fromnoise.nn.vae import VAEConfig

Json = dict[str, Any]

VERSION = "0.35.0"  # of diffusers, whose format this is
PIPELINES: dict[tuple[bool, Task], str] = {  # by: is SDXL
    (False, "base"): "StableDiffusionPipeline",
    (False, "inpaint"): "StableDiffusionInpaintPipeline",
    (False, "instruct"): "StableDiffusionInstructPix2PixPipeline",
    (False, "depth"): "StableDiffusionDepth2ImgPipeline",
    (False, "unclip"): "StableUnCLIPImg2ImgPipeline",
    (True, "base"): "StableDiffusionXLPipeline",
    (True, "inpaint"): "StableDiffusionXLInpaintPipeline",
    (True, "instruct"): "StableDiffusionXLInstructPix2PixPipeline",
}
REFINER = "StableDiffusionXLImg2ImgPipeline"
SIDES: dict[Family, int] = {"sd1": 64, "sd2": 64, "sdxl": 128, "sdxl_refiner": 128}  # of latents, that pictures have
SD2_V_SIDE = 96
TIME_SIZES = 256  # sinusoids for each number that SDXL is told
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
PAD_FIRST = "!"  # token 0, with which OpenCLIP fills up
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def model_index(facts: ModelFacts) -> Json:
    """`model_index.json`. Raises NotDetected where there is no pipeline for such a model."""
    xl = facts.family.startswith("sdxl")
    refiner = facts.family == "sdxl_refiner"
    name = REFINER if refiner else PIPELINES.get((xl, facts.task))
    if name is None:
        raise NotDetected(f"diffusers has no pipeline for {facts.task} models of {facts.family}")
    index: Json = {"_class_name": name, "_diffusers_version": VERSION}
    one = ["transformers", "CLIPTextModel"]
    index |= {
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": [None, None] if refiner else one,
        "tokenizer": [None, None] if refiner else ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", scheduler(facts)["_class_name"]],
    }
    if xl:
        index |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "force_zeros_for_empty_prompt": not refiner,
        }
        if facts.task == "instruct":
            return index | {"is_cosxl_edit": facts.sigmas is not None}
        return index | {"image_encoder": [None, None], "feature_extractor": [None, None]} | aesthetic(facts)
    if facts.task == "unclip":
        del index["tokenizer"], index["text_encoder"]
        return index | {
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
            "image_normalizer": ["stable_diffusion", "StableUnCLIPImageNormalizer"],
            "image_noising_scheduler": ["diffusers", "DDPMScheduler"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "text_encoder": one,
        }
    if facts.task == "depth":  # MiDaS goes by other names there, and is given by whoever loads the folder
        return index | {"depth_estimator": [None, None], "feature_extractor": [None, None]}
    unchecked = {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    return index | unchecked | {"image_encoder": [None, None]}


def aesthetic(facts: ModelFacts) -> Json:
    """What the pictures-to-pictures pipelines of SDXL tell the network besides."""
    if facts.family == "sdxl_refiner" or facts.task == "inpaint":
        return {"requires_aesthetics_score": facts.family == "sdxl_refiner"}
    return {}


def unet(config: UNetConfig, facts: ModelFacts) -> Json:
    """`unet/config.json`. Raises NotDetected where diffusers can't have such a U-Net."""
    per_level, levels = config.res_blocks, len(config.channel_mult)
    widths = [config.model_channels * multiple for multiple in config.channel_mult]
    down = [config.depths[level * per_level : (level + 1) * per_level] for level in range(levels)]
    up = [config.output_depths[level * (per_level + 1) : (level + 1) * (per_level + 1)] for level in range(levels)]
    for depths in (*down, *up):
        if 0 in depths and any(depths):
            raise NotDetected("some blocks of a level of its U-Net have no transformer, which diffusers can't express")
    table: Json = {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": VERSION,
        "act_fn": "silu",
        "attention_head_dim": config.heads or [max(1, width // config.head_dim) for width in widths],
        "block_out_channels": widths,
        "center_input_sample": False,
        "cross_attention_dim": config.context_dim,
        "down_block_types": ["CrossAttnDownBlock2D" if depths[0] else "DownBlock2D" for depths in down],
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": config.in_channels,
        "layers_per_block": per_level,
        "mid_block_type": middle(config.middle_depth),
        "norm_eps": 1e-05,
        "norm_num_groups": 32,
        "out_channels": config.out_channels,
        "sample_size": SD2_V_SIDE if (facts.family, facts.prediction) == ("sd2", "v") else SIDES[facts.family],
        "time_cond_proj_dim": config.guidance_dim,
        "up_block_types": ["CrossAttnUpBlock2D" if depths[0] else "UpBlock2D" for depths in up],
        "use_linear_projection": config.linear_proj,
    }
    return table | depths_of(down, up, config.middle_depth) | vector(config, facts)


def middle(depth: int) -> str | None:
    return {-2: None, -1: "UNetMidBlock2D"}.get(depth, "UNetMidBlock2DCrossAttn")


def depths_of(down: list[tuple[int, ...]], up: list[tuple[int, ...]], middle_depth: int) -> Json:
    """How many transformer blocks each block has. The middle has as many as the last level says."""
    last = down[-1][0]
    if middle_depth > 0 and last not in (0, middle_depth):
        raise NotDetected("the middle of its U-Net is deeper than its last level, which diffusers can't express")
    even = all(len(set(depths)) == 1 for depths in (*down, *up))
    if even and [depths[0] for depths in down] == [depths[0] for depths in reversed(up)]:
        deepest = max(1, middle_depth)
        return {"transformer_layers_per_block": [depths[0] or deepest for depths in down]}
    filled = [[depth or max(1, middle_depth) for depth in depths] for depths in down]
    return {
        "transformer_layers_per_block": filled,
        "reverse_transformer_layers_per_block": [[depth or 1 for depth in depths] for depths in up],
    }


def vector(config: UNetConfig, facts: ModelFacts) -> Json:
    """How the network takes its vector: SDXL's sizes or unCLIP's embedding."""
    if config.vector_dim is None:
        return {}
    if facts.task == "unclip":
        return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": config.vector_dim}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME_SIZES,
        "projection_class_embeddings_input_dim": config.vector_dim,
    }


def vae(config: VAEConfig, family: Family) -> Json:
    """`vae/config.json`."""
    levels = len(config.channel_mult)
    return {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": VERSION,
        "act_fn": "silu",
        "block_out_channels": [config.channels * multiple for multiple in config.channel_mult],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "force_upcast": family.startswith("sdxl"),
        "in_channels": 3,
        "latent_channels": config.latent_channels,
        "latents_mean": list(config.mean) if config.mean else None,
        "latents_std": list(config.std) if config.std else None,
        "layers_per_block": config.res_blocks,
        "norm_num_groups": config.groups,
        "out_channels": 3,
        "sample_size": SIDES[family] * config.downscale,
        "scaling_factor": config.scale_factor,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def text(config: CLIPConfig, *, projection: bool, dtype: str) -> Json:
    """`config.json` of a text encoder; `projection`: whether its pooled output is projected."""
    return {
        "architectures": ["CLIPTextModelWithProjection" if projection else "CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": config.vocab_size - 2,
        "dropout": 0.0,
        "eos_token_id": config.vocab_size - 1,
        "hidden_act": config.act,
        "hidden_size": config.dim,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": config.mlp_dim or 4 * config.dim,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": config.max_tokens,
        "model_type": "clip_text_model",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "pad_token_id": 1,
        "projection_dim": config.projection_dim or config.dim,
        "torch_dtype": dtype,
        "vocab_size": config.vocab_size,
    }


def vision(config: CLIPVisionConfig, *, dtype: str) -> Json:
    """`image_encoder/config.json`."""
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "attention_dropout": 0.0,
        "hidden_act": config.act,
        "hidden_size": config.dim,
        "image_size": config.image_size,
        "intermediate_size": config.mlp_dim or 4 * config.dim,
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": config.heads,
        "num_channels": 3,
        "num_hidden_layers": config.layers,
        "patch_size": config.patch,
        "projection_dim": config.projection_dim,
        "torch_dtype": dtype,
    }


def feature_extractor(config: CLIPVisionConfig) -> Json:
    """`feature_extractor/preprocessor_config.json`: how pictures are made ready for the picture encoder."""
    side = config.image_size
    return {
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(CLIP_MEAN),
        "image_processor_type": "CLIPImageProcessor",
        "image_std": list(CLIP_STD),
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": side},
    }


def scheduler(facts: ModelFacts) -> Json:
    """`scheduler/scheduler_config.json`: the sampler that people begin with, and what the network predicts."""
    predicts = "v_prediction" if facts.prediction == "v" else "epsilon"
    if facts.sigmas is not None:
        lowest, highest = facts.sigmas
        cos = facts.prediction == "v"
        return {
            "_class_name": "EDMEulerScheduler" if cos else "EDMDPMSolverMultistepScheduler",
            "_diffusers_version": VERSION,
            "num_train_timesteps": 1000,
            "prediction_type": predicts,
            "sigma_data": 1.0 if cos else 0.5,
            "sigma_max": highest,
            "sigma_min": lowest,
            "sigma_schedule": "exponential" if cos else "karras",
        }
    table: Json = {"_class_name": "", "_diffusers_version": VERSION, **BETAS, "prediction_type": predicts}
    table |= {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    if facts.zero_snr:
        return table | {
            "_class_name": "DDIMScheduler",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
    if facts.unet.guidance_dim:
        return table | {"_class_name": "LCMScheduler", "original_inference_steps": 50}
    if facts.family.startswith("sdxl"):
        return table | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}
    if facts.prediction == "v":
        return table | {"_class_name": "DDIMScheduler"}
    return table | {"_class_name": "PNDMScheduler", "skip_prk_steps": True}


def noising_scheduler() -> Json:
    """`image_noising_scheduler/scheduler_config.json` of unCLIP."""
    return {
        "_class_name": "DDPMScheduler",
        "_diffusers_version": VERSION,
        "beta_schedule": "squaredcos_cap_v2",
        "num_train_timesteps": 1000,
    }


def normalizer(dim: int) -> Json:
    """`image_normalizer/config.json` of unCLIP."""
    return {"_class_name": "StableUnCLIPImageNormalizer", "_diffusers_version": VERSION, "embedding_dim": dim}


def tokenizer(*, open_clip: bool) -> Json:
    """`tokenizer_config.json`; OpenCLIP's encoders are filled up with another token."""

    def special(content: str) -> Json:
        return {
            "__type": "AddedToken",
            "content": content,
            "lstrip": False,
            "normalized": True,
            "rstrip": False,
            "single_word": False,
        }

    return {
        "add_prefix_space": False,
        "bos_token": special(START_TEXT),
        "do_lower_case": True,
        "eos_token": special(END_TEXT),
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": PAD_FIRST if open_clip else END_TEXT,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": special(END_TEXT),
    }


def special_tokens(*, open_clip: bool) -> Json:
    """`special_tokens_map.json`."""

    def special(content: str) -> Json:
        return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    return {
        "bos_token": special(START_TEXT),
        "eos_token": special(END_TEXT),
        "pad_token": PAD_FIRST if open_clip else END_TEXT,
        "unk_token": special(END_TEXT),
    }
