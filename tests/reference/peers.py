"""diffusers' and transformers' networks of the same shape as ours."""

from typing import Any

from diffusers import AutoencoderKL, ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fromnoise.nn import clip_vision
from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.controlnet import ControlNetConfig
from fromnoise.nn.t2i_adapter import T2IAdapterConfig
from fromnoise.nn.unet import UNetConfig, timestep_embedding
from fromnoise.nn.vae import VAEConfig

SIZES = 256  # sinusoids for each number in SDXL's y
MIDDLES = {1: "UNetMidBlock2DCrossAttn", -1: "UNetMidBlock2D", -2: None}


def unet(config: UNetConfig) -> Any:
    """diffusers' U-Net; `config` must have the same transformer depth throughout each level."""
    levels, per_level = len(config.channel_mult), config.res_blocks
    depths = config.depths[::per_level]
    widths = [config.model_channels * mult for mult in config.channel_mult]
    vector = {}
    if config.vector_dim:
        vector = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SIZES,
            "projection_class_embeddings_input_dim": config.vector_dim,
        }
    if config.classes:
        vector = {"num_class_embeds": config.classes, "only_cross_attention": list(config.crossed) or False}
    return UNet2DConditionModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)),
        mid_block_type=MIDDLES[min(config.middle_depth, 1)],
        block_out_channels=tuple(widths),
        layers_per_block=per_level,
        cross_attention_dim=config.context_dim,
        transformer_layers_per_block=tuple(depth or max(1, config.middle_depth) for depth in depths[:levels]),
        attention_head_dim=config.heads or tuple(max(1, width // config.head_dim) for width in widths),
        use_linear_projection=config.linear_proj,
        time_cond_proj_dim=config.guidance_dim,
        **vector,
    )


def vae(config: VAEConfig) -> Any:
    levels = len(config.channel_mult)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(config.channels * mult for mult in config.channel_mult),
        layers_per_block=config.res_blocks,
        latent_channels=config.latent_channels,
        norm_num_groups=config.groups,
        scaling_factor=config.scale_factor,
        latents_mean=config.mean,
        latents_std=config.std,
    )


def text(config: CLIPConfig) -> Any:
    theirs = CLIPTextConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.dim,
        intermediate_size=config.mlp_dim or 4 * config.dim,
        projection_dim=config.projection_dim or config.dim,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.max_tokens,
        hidden_act=config.act,
        bos_token_id=config.vocab_size - 2,
        eos_token_id=config.vocab_size - 1,
    )
    return (CLIPTextModelWithProjection if config.projection_dim else CLIPTextModel)(theirs)


def controlnet(config: ControlNetConfig) -> Any:
    """diffusers' ControlNet, or its union ControlNet."""
    base = unet(config.unet).config
    shared = (
        "in_channels", "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim",
        "transformer_layers_per_block", "attention_head_dim", "use_linear_projection", "addition_embed_type",
        "addition_time_embed_dim", "projection_class_embeddings_input_dim",
    )  # fmt: skip
    options = {name: base[name] for name in shared}
    options |= {
        "conditioning_channels": config.hint_channels,
        "conditioning_embedding_out_channels": config.hint_widths,
        "global_pool_conditions": config.pooled,
    }
    if config.union is None:
        return ControlNetModel(**options, mid_block_type=base["mid_block_type"])
    width = config.unet.model_channels
    return ControlNetUnionModel(
        **{**options, "addition_time_embed_dim": SIZES},
        num_control_type=config.union.types,
        num_trans_layer=config.union.layers,
        num_trans_channel=width,
        num_proj_channel=width,
    )


def adapter(config: T2IAdapterConfig) -> Any:
    kind = "light_adapter" if config.light else "full_adapter_xl" if config.xl else "full_adapter"
    return T2IAdapter(
        in_channels=config.hint_channels,
        channels=list(config.widths[:-1] if config.light else config.widths),
        num_res_blocks=config.blocks,
        downscale_factor=config.unshuffle,
        adapter_type=kind,
    )


def sinusoids(sizes: Tensor) -> Tensor:
    """SDXL's numbers (b n) as it sees them (b n * SIZES)."""
    return timestep_embedding(sizes.flatten(), SIZES).reshape(len(sizes), -1)


def vision(config: clip_vision.CLIPVisionConfig) -> Any:
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=config.dim,
            intermediate_size=config.mlp_dim or 4 * config.dim,
            projection_dim=config.projection_dim,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            image_size=config.image_size,
            patch_size=config.patch,
            hidden_act=config.act,
        )
    ).eval()
