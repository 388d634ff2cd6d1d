"""diffusers' and transformers' networks of the same shape as ours."""

from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.unet import UNetConfig
from fromnoise.nn.vae import VAEConfig

SIZES = 256  # sinusoids for each number in SDXL's y


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
    return UNet2DConditionModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)),
        mid_block_type="UNetMidBlock2DCrossAttn" if config.middle_depth > 0 else "UNetMidBlock2D",
        block_out_channels=tuple(widths),
        layers_per_block=per_level,
        cross_attention_dim=config.context_dim,
        transformer_layers_per_block=tuple(depth or config.middle_depth for depth in depths[:levels]),
        attention_head_dim=config.heads or tuple(max(1, width // config.head_dim) for width in widths),
        use_linear_projection=config.linear_proj,
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
