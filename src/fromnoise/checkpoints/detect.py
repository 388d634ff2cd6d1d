"""What a checkpoint is, from the names and shapes of its tensors; from its metadata where shapes cannot tell.

How v-prediction is told from eps, by the first rule that speaks: the caller; metadata (`modelspec.prediction_type`,
`modelspec.architecture`); a marker key (`v_pred`); for SD 2.x a `global_step` of 875000 (512-base, eps), then the
weights themselves (see `v_by_weights`); else eps.

What a file written by fromnoise needs beyond that is in its metadata as `fromnoise.unet.heads` and the like: a network
(unet, vae, text0, text1), a field of its configuration, and the value as JSON.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.parts import Parts, TextPart
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.clip_vision import VIT_BIGG, VIT_H, VIT_L, CLIPVisionConfig
from fromnoise.nn.unet import UNetConfig
from fromnoise.nn.vae import VAEConfig

Family = Literal["sd1", "sd2", "sdxl", "sdxl_refiner"]
Task = Literal["base", "inpaint", "instruct", "depth", "unclip", "upscale"]
Prediction = Literal["eps", "v", "edm"]
Source = Literal["caller", "metadata", "marker", "weights", "default"]

TASKS: dict[int, Task] = {
    4: "base",
    5: "depth",
    7: "upscale",
    8: "instruct",
    9: "inpaint",
}  # by the U-Net's input channels
VAE_SCALES: dict[Family, float] = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025, "sdxl_refiner": 0.13025}
HEAD_DIM = 64
PICTURE_ENCODERS = {config.dim: config for config in (VIT_L, VIT_H, VIT_BIGG)}
SD1_HEADS = 8
UPSCALER_SCALE = 0.08333  # of the x4 upscaler's latents
SD2_LAYERS = 24
PLAYGROUND_SIGMAS, PLAYGROUND_SCALE = (0.002, 80.0), 0.5
COSXL_SIGMAS = (0.002, 120.0)
MAX_SIGMA = 1e5
UNCLIP_DIMS = (1536, 2048)
REFINER_CONTEXT = 1280
CLASSES = "label_emb.weight"


class NotDetected(FileError):
    """Weights from which no configuration can be read."""


@dataclass(frozen=True)
class ModelFacts:
    """What one must know of a diffusion model to sample from it."""

    family: Family
    task: Task
    prediction: Prediction
    prediction_from: Source
    zero_snr: bool  # trained on pure noise too (Lin et al., 2023): the last timestep's signal is zero
    unet: UNetConfig
    vae: VAEConfig | None
    text: tuple[CLIPConfig, ...]
    vision: CLIPVisionConfig | None = None  # unCLIP's
    sigmas: tuple[float, float] | None = None  # trained on a continuous range of noise levels (EDM)

    @property
    def text_layer(self) -> int:
        """Which states of the text encoders the U-Net was trained on: 1 is the last layer, 2 the one before.

        SD 2.x files that went through diffusers lack the last layer, which is not used; there it is 1.
        """
        if self.family == "sd1" or (self.family == "sd2" and self.text and self.text[0].layers < SD2_LAYERS):
            return 1
        return 2

    @property
    def text_final_norm(self) -> bool:
        """Whether those states pass the encoder's final norm."""
        return self.family in ("sd1", "sd2")


def detect(
    parts: Parts, metadata: Mapping[str, str] | None = None, *, prediction: Prediction | None = None
) -> ModelFacts:
    """The facts of a checkpoint with a U-Net. Raises NotDetected."""
    metadata = metadata or {}
    if not parts.unet:
        raise NotDetected("it holds no U-Net, so it is not a checkpoint of a diffusion model")
    unet = overridden(unet_config(parts.unet), "unet", metadata)
    vision = overridden(vision_config(parts.vision), "vision", metadata) if parts.vision else None
    unclip = is_unclip(unet) or (vision is not None and unet.vector_dim == 2 * vision.projection_dim)
    family = family_of(unet, parts.text, unclip=unclip)
    vae = None
    if parts.vae:
        scale = UPSCALER_SCALE if TASKS.get(unet.in_channels) == "upscale" else VAE_SCALES[family]
        vae = overridden(vae_config(parts.vae, scale), "vae", metadata)
    text = tuple(overridden(clip_config(part), f"text{i}", metadata) for i, part in enumerate(parts.text))
    found, source = prediction_of(parts, metadata, family, unet) if prediction is None else (prediction, "caller")
    zero_snr = "ztsnr" in parts.rest or metadata.get("fromnoise.zero_snr") == "true"
    sigmas = noise_range(parts.rest, metadata)
    if vae is not None:
        vae = centred(vae, parts.rest)
    task: Task = "unclip" if unclip else TASKS.get(unet.in_channels, "base")
    return ModelFacts(family, task, found, source, zero_snr, unet, vae, text, vision, sigmas)


def family_of(unet: UNetConfig, text: tuple[TextPart, ...], *, unclip: bool = False) -> Family:
    """By structure, so that models of any width are told apart."""
    if unet.vector_dim and not unclip:
        one = len(text) == 1 and text[0].names == "open_clip"
        return "sdxl_refiner" if one or (not text and unet.context_dim == REFINER_CONTEXT) else "sdxl"
    return "sd2" if unet.linear_proj or any(part.names == "open_clip" for part in text) else "sd1"


def is_unclip(unet: UNetConfig) -> bool:
    return unet.vector_dim in UNCLIP_DIMS and unet.context_dim == 1024


def prediction_of(
    parts: Parts, metadata: Mapping[str, str], family: Family, unet: UNetConfig
) -> tuple[Prediction, Source]:
    """eps or v, and what told it; the order of rules is at the top of this file."""
    told = metadata.get("modelspec.prediction_type", "").lower()
    if told in ("v", "v_prediction", "v-prediction"):
        return "v", "metadata"
    if told in ("epsilon", "eps"):
        return "eps", "metadata"
    if told == "edm":
        return "edm", "metadata"
    if metadata.get("modelspec.architecture", "").startswith("stable-diffusion-v2-768-v"):
        return "v", "metadata"
    if "edm_mean" in parts.rest and "edm_std" in parts.rest:
        return "edm", "marker"
    if "v_pred" in parts.rest or "edm_vpred.sigma_max" in parts.rest:
        return "v", "marker"
    if TASKS.get(unet.in_channels) == "upscale":
        return "v", "default"
    if family == "sd2" and unet.in_channels == 4:
        if metadata.get("global_step") == "875000":
            return "eps", "metadata"
        v = v_by_weights(parts.unet)
        if v is not None:
            return ("v" if v else "eps"), "weights"
    return "eps", "default"


def noise_range(rest: State, metadata: Mapping[str, str]) -> tuple[float, float] | None:
    """Lowest and highest noise level of a network that was trained as EDM; None for a table of timesteps."""
    if "fromnoise.sigmas" in metadata:
        lowest, highest = told_numbers("fromnoise.sigmas", metadata["fromnoise.sigmas"])
    elif "edm_mean" in rest and "edm_std" in rest:
        lowest, highest = PLAYGROUND_SIGMAS
    elif "edm_vpred.sigma_max" in rest:
        names = ("edm_vpred.sigma_min", "edm_vpred.sigma_max")
        lowest, highest = (
            float(rest[name].flatten()[0]) if name in rest and rest[name].numel() else usual
            for name, usual in zip(names, COSXL_SIGMAS, strict=True)
        )
    else:
        return None
    if not 0 < lowest < highest < MAX_SIGMA:
        raise NotDetected(f"its range of noise, {lowest} to {highest}, is none")
    return lowest, highest


def centred(vae: VAEConfig, rest: State) -> VAEConfig:
    """With the statistics of the latents where the file has them (Playground 2.5)."""
    mean, std = rest.get("edm_mean"), rest.get("edm_std")
    if mean is None or std is None:
        return vae
    if mean.numel() != vae.latent_channels or std.numel() != vae.latent_channels:
        raise NotDetected(f"edm_mean and edm_std are not of {vae.latent_channels} channels")
    means, stds = (tuple(map(float, tensor.flatten())) for tensor in (mean, std))
    return replace(vae, mean=means, std=stds, scale_factor=PLAYGROUND_SCALE)


def told_numbers(key: str, text: str) -> tuple[float, ...]:
    """A short list of numbers in metadata. Raises NotDetected."""
    try:
        numbers = tuple(float(number) for number in json.loads(text))
    except (ValueError, TypeError, RecursionError):
        numbers = ()
    if not 0 < len(numbers) < 64 or not all(abs(number) < MAX_SIGMA for number in numbers):
        raise NotDetected(f"its metadata sets {key} to {text[:40]!r}")
    return numbers


def v_by_weights(unet: State) -> bool | None:
    """Stability's SD 2 models for v have a wider bias in the first norm of the last transformer than those for eps.

    ComfyUI's observation: its standard deviation is above 0.09. None where the U-Net has no such layer.
    """
    bias = unet.get(f"output_blocks.{count(unet, 'output_blocks') - 1}.1.transformer_blocks.0.norm1.bias")
    return None if bias is None else float(bias.float().std(correction=0)) > 0.09


def count(state: Iterable[str], prefix: str) -> int:
    """How many numbered children `prefix` has: one more than the highest number."""
    start = prefix + "."
    numbers = (name.removeprefix(start).split(".")[0] for name in state if name.startswith(start))
    return max((int(number) + 1 for number in numbers if number.isdecimal() and len(number) < 6), default=0)


def shape(state: State, name: str, ndim: int) -> tuple[int, ...]:
    """The shape of a tensor that must be there, with `ndim` sizes that are not zero."""
    tensor = state.get(name)
    if tensor is None:
        raise NotDetected(f"{name} is missing")
    if tensor.ndim != ndim or not tensor.numel():
        raise NotDetected(f"{name} has the shape {list(tensor.shape)}, where {ndim} sizes belong")
    return tuple(tensor.shape)


def multiples(widths: Iterable[int], unit: int) -> tuple[int, ...]:
    widths = tuple(widths)
    if any(width % unit for width in widths):
        raise NotDetected(f"the widths {list(widths)} of its levels are no multiples of {unit}")
    return tuple(width // unit for width in widths)


def unet_config(unet: State) -> UNetConfig:
    """A U-Net's configuration. Raises NotDetected where the weights do not belong to one."""
    down = way_down(unet)
    if down.context_dim == 0:
        raise NotDetected("its U-Net has no cross-attention, so no prompt can steer it")
    blocks = range(len(down.channel_mult) * (down.res_blocks + 1))
    return replace(
        down,
        out_channels=shape(unet, "out.2.weight", 4)[0],
        output_depths=tuple(count(unet, f"output_blocks.{i}.1.transformer_blocks") for i in blocks),
    )


def way_down(unet: State) -> UNetConfig:
    """What the input blocks and the middle tell of a configuration; `context_dim` is 0 where nothing looks at a prompt.

    Raises NotDetected.
    """
    blocks = count(unet, "input_blocks")
    levels = 1 + sum(f"input_blocks.{i}.0.op.weight" in unet for i in range(blocks))
    res_blocks, odd = divmod(blocks - levels, levels)
    if odd or res_blocks < 1:
        raise NotDetected(f"its U-Net has {blocks} input blocks, which do not share out among {levels} levels")
    model_channels = shape(unet, "time_embed.0.weight", 2)[1]
    firsts = [1 + level * (res_blocks + 1) for level in range(levels)]
    widths = [shape(unet, f"input_blocks.{i}.0.out_layers.3.weight", 4)[0] for i in firsts]
    context = next((name for name in unet if name.endswith(".transformer_blocks.0.attn2.to_k.weight")), None)
    linear = context is None or unet[context.split(".transformer_blocks.")[0] + ".proj_in.weight"].ndim == 2
    classes = shape(unet, CLASSES, 2)[0] if CLASSES in unet else None
    vector, told = "label_emb.0.0.weight", "time_embed.cond_proj.weight"
    downs = [i for i in range(1, blocks) if f"input_blocks.{i}.0.op.weight" not in unet]
    return UNetConfig(
        in_channels=shape(unet, "input_blocks.0.0.weight", 4)[1],
        model_channels=model_channels,
        channel_mult=multiples(widths, model_channels),
        res_blocks=res_blocks,
        depths=tuple(count(unet, f"input_blocks.{i}.1.transformer_blocks") for i in downs),
        middle_depth=middle_depth(unet),
        output_depths=(0,) * (levels * (res_blocks + 1)),
        context_dim=shape(unet, context, 2)[1] if context else 0,
        heads=None
        if linear and classes is None
        else SD1_HEADS,  # not in the shapes: SD 1.x has 8 heads, its successors heads of 64
        head_dim=HEAD_DIM,
        vector_dim=shape(unet, vector, 2)[1] if vector in unet else None,
        linear_proj=linear,
        classes=classes,
        crossed=crossed_levels(unet, [range(first, first + res_blocks) for first in firsts]),
        guidance_dim=shape(unet, told, 2)[1] if told in unet else None,
    )


def crossed_levels(unet: State, levels: Iterable[range]) -> tuple[bool, ...]:
    """Whether self-attention reads the prompt, too, on each level; nothing where it does so nowhere."""
    attention = "input_blocks.{}.1.transformer_blocks.0.attn1"
    crossed = []
    for level in levels:
        names = [attention.format(i) for i in level if f"{attention.format(i)}.to_k.weight" in unet]
        widths = [shape(unet, f"{name}.{end}.weight", 2)[1] for name in names[:1] for end in ("to_q", "to_k")]
        crossed.append(len(set(widths)) > 1)
    return tuple(crossed) if any(crossed) else ()


def middle_depth(unet: State) -> int:
    """Transformer blocks in the middle; -1 where one residual block stands alone, -2 where there is no middle."""
    children = count(unet, "middle_block")
    return count(unet, "middle_block.1.transformer_blocks") if children > 1 else children - 2


def vae_config(vae: State, scale_factor: float) -> VAEConfig:
    """An autoencoder's configuration; the scale of its latents is not in the shapes. Raises NotDetected."""
    channels = shape(vae, "encoder.conv_in.weight", 4)[0]
    levels = count(vae, "encoder.down")
    widths = [shape(vae, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] for i in range(levels)]
    return VAEConfig(
        channels=channels,
        channel_mult=multiples(widths, channels),
        res_blocks=count(vae, "encoder.down.0.block"),
        latent_channels=shape(vae, "decoder.conv_in.weight", 4)[1],
        scale_factor=scale_factor,
    )


def clip_config(part: TextPart) -> CLIPConfig:
    """A text encoder's configuration. OpenAI's has heads of 64 and quick GELU, OpenCLIP's the exact one."""
    state = part.state
    vocab_size, dim = shape(state, "text_model.embeddings.token_embedding.weight", 2)
    projection = state.get("text_projection.weight")
    mlp_dim = shape(state, "text_model.encoder.layers.0.mlp.fc1.weight", 2)[0]
    return CLIPConfig(
        dim=dim,
        layers=count(state, "text_model.encoder.layers"),
        heads=max(1, dim // HEAD_DIM),
        act="gelu" if part.names == "open_clip" else "quick_gelu",
        projection_dim=None if projection is None else len(projection),
        vocab_size=vocab_size,
        max_tokens=shape(state, "text_model.embeddings.position_embedding.weight", 2)[0],
        mlp_dim=None if mlp_dim == 4 * dim else mlp_dim,
    )


def vision_config(state: State) -> CLIPVisionConfig:
    """A picture encoder's configuration. Heads and activation, not in the shapes, are those of the known sizes."""
    (dim,) = shape(state, "vision_model.embeddings.class_embedding", 1)
    patch = shape(state, "vision_model.embeddings.patch_embedding.weight", 4)[-1]
    tokens = shape(state, "vision_model.embeddings.position_embedding.weight", 2)[0]
    mlp_dim = shape(state, "vision_model.encoder.layers.0.mlp.fc1.weight", 2)[0]
    side = math.isqrt(tokens - 1)
    if side * side != tokens - 1:
        raise NotDetected(f"its {tokens} positions are not one more than a square, as for pictures")
    known = PICTURE_ENCODERS.get(dim)
    return CLIPVisionConfig(
        dim=dim,
        layers=count(state, "vision_model.encoder.layers"),
        heads=known.heads if known else max(1, dim // HEAD_DIM),
        act=known.act if known else "quick_gelu",
        projection_dim=shape(state, "visual_projection.weight", 2)[0],
        patch=patch,
        image_size=side * patch,
        mlp_dim=None if mlp_dim == 4 * dim else mlp_dim,
    )


Config = TypeVar("Config", UNetConfig, VAEConfig, CLIPConfig, CLIPVisionConfig)


def overridden(config: Config, network: str, metadata: Mapping[str, str]) -> Config:
    """`config` with the fields that the metadata sets for this network."""
    known = {field.name for field in fields(config)}
    for key, text in metadata.items():
        start, _, field = key.rpartition(".")
        if start == f"fromnoise.{network}" and field in known:
            config = replace(config, **{field: checked_value(key, text, getattr(config, field))})
    return config


def checked_value(key: str, text: str, now: object) -> Any:
    """The value that metadata gives: a positive number, a few numbers, or one of a configuration's own words."""
    if key in ("fromnoise.vae.mean", "fromnoise.vae.std"):
        return told_numbers(key, text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1 << 20
    if number and (isinstance(now, (int, float)) or now is None) and (isinstance(value, int) or isinstance(now, float)):
        return value
    if isinstance(now, str) and value in ("gelu", "quick_gelu"):
        return value
    if value is None and key == "fromnoise.unet.heads":
        return None
    raise NotDetected(f"its metadata sets {key} to {text[:40]!r}")


def differences(config: Config, detected: Config, network: str) -> dict[str, str]:
    """The metadata that `overridden` needs to make `config` of what was `detected`."""
    changed = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if getattr(config, field.name) != getattr(detected, field.name)
    }
    return {f"fromnoise.{network}.{name}": json.dumps(value) for name, value in changed.items()}
