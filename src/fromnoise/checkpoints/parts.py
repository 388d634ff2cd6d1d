"""Which tensors of a checkpoint belong to which network, under our names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from fromnoise.checkpoints.diffusers_names import (
    is_text_encoder,
    is_unet,
    text_from_transformers,
    unet_from_diffusers,
)
from fromnoise.checkpoints.names import (
    OPEN_CLIP_TEXT,
    OPEN_CLIP_VISION,
    State,
    ema_name,
    square_convolutions,
    vae_from_diffusers,
)
from fromnoise.nn.quantized import SCALED_FLOAT8, Quantized

TextNames = Literal["clip", "open_clip"]

UNET = "model.diffusion_model."
VAE = "first_stage_model."
UNET_PREFIXES = (UNET, "diffusion_model.")
VAE_PREFIXES = (VAE, "vae.")
OPENAI_DIM, OPEN_CLIP_DIMS = 768, (1024, 1280)
SCALES = (".scale_weight", ".weight_scale")  # of float8 weights
SCALE_MARKERS = ("scaled_fp8", ".scale_input", ".input_scale", ".comfy_quant")
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
TEXT_PREFIXES: tuple[tuple[str, TextNames], ...] = (
    ("cond_stage_model.transformer.", "clip"),  # SD 1.x
    ("cond_stage_model.model.", "open_clip"),  # SD 2.x
    ("conditioner.embedders.0.transformer.", "clip"),  # SDXL, first
    ("conditioner.embedders.0.model.", "open_clip"),  # SDXL refiner
    ("conditioner.embedders.1.model.", "open_clip"),  # SDXL, second
)
VISION = "embedder.model."  # unCLIP: CLIP whole or without its text encoder
OPEN_CLIP_PICTURES = "visual."  # how OpenCLIP's and OpenAI's files begin the names of their picture encoder
PICTURES = ("vision_model.", "visual_projection.")
CLIP_BESIDE = re.compile(  # the other half of CLIP, in files that hold both
    r"(text_model|transformer|token_embedding|ln_final)\."
    r"|(text_projection|positional_embedding|logit_scale|logit_bias|input_resolution|context_length|vocab_size)\b"
)
MEAN, STD = "noise_augmentor.data_mean", "noise_augmentor.data_std"  # of unCLIP's embeddings, where a file has them
MARKERS = (  # keys that tell how the model was trained; the first two without content
    "v_pred",
    "ztsnr",
    "edm_mean",  # Playground 2.5: of each channel of the latents
    "edm_std",
    "edm_vpred.sigma_max",  # CosXL: the range of noise
    "edm_vpred.sigma_min",
)

HARMLESS = re.compile(  # what checkpoints carry beside the networks, and no picture depends on
    r"(.*\.)?(position_ids|logit_scale|attn_mask)$"
    r"|(model_ema|loss|first_stage_model\.(loss|model_ema)|embedding_manager|denoiser)\."
    r"|(betas|alphas_cumprod|alphas_cumprod_prev|sqrt_\w+|log_one_minus_\w+|posterior_\w+|lvlb_weights|logvar)$"
    r"|(v_pred|ztsnr|edm_mean|edm_std|edm_vpred\.sigma_(min|max)|scale_factor|global_step|iteration)$"
    r"|(noise_augmentor|low_scale_model|depth_model)\."  # known numbers; MiDaS
)


@dataclass(frozen=True)
class TextPart:
    """One text encoder's weights under our names."""

    prefix: str  # of their names in the file
    names: TextNames  # how the file names them
    state: State


@dataclass(frozen=True)
class Parts:
    """A checkpoint taken apart. A network that the file does not hold is an empty mapping."""

    unet: State
    vae: State
    text: tuple[TextPart, ...]
    rest: State  # what belongs to none of them, under the file's names
    vision: State = field(default_factory=dict)  # unCLIP's picture encoder

    @property
    def unknown(self) -> list[str]:
        """Names of `rest` that are not known to be harmless."""
        return [name for name in self.rest if not HARMLESS.match(name)]

    def with_ema(self) -> "Parts | None":
        """The same with the U-Net's running averages in place of its last weights; None where the file has none."""
        averages = {name: self.rest.get(ema_name(name)) for name in self.unet}
        found = {name: tensor for name, tensor in averages.items() if tensor is not None}
        return replace(self, unet=found) if len(found) == len(self.unet) and found else None


def take_apart(weights: State) -> Parts:
    """Sort the tensors of a checkpoint, of a lone U-Net or of a lone autoencoder into their networks."""
    if weights and all(name.startswith("module.") for name in weights):  # what DataParallel adds
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    weights = with_scales(weights)
    rest = dict(weights)
    text = []
    for prefix, names in TEXT_PREFIXES:
        state = {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
        part = own_text_names(names, state)
        if part:
            text.append(TextPart(prefix, names, part))
            remove(rest, prefix)
    unet: State = next((found for prefix in UNET_PREFIXES if (found := remove(rest, prefix))), {})
    vae: State = next((found for prefix in VAE_PREFIXES if (found := remove(rest, prefix))), {})
    if not unet and "input_blocks.0.0.weight" in rest:
        unet, rest = rest, {}
    elif not unet and is_unet(rest):
        unet, rest = unet_from_diffusers(rest), {}
    elif not vae and {"encoder.conv_in.weight", "decoder.conv_in.weight"} & set(rest):
        vae, rest = rest, {}
    elif not text and (lone := lone_text_encoder(rest)):
        text, rest = [lone], {}
    vae, left = own_vae_names(vae)
    vision, unknown = picture_encoder(remove(rest, VISION))
    left |= {VISION + name: tensor for name, tensor in unknown.items()}
    return Parts(flat_projections(unet), vae, tuple(text), {**rest, **left}, vision)


def remove(rest: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors whose names begin with `prefix` out of `rest`; the result has names without it."""
    return {name.removeprefix(prefix): rest.pop(name) for name in list(rest) if name.startswith(prefix)}


def own_text_names(names: TextNames, state: State) -> State:
    """A text encoder under our names; nothing where `state` is another kind of encoder."""
    if names == "open_clip":
        state = OPEN_CLIP_TEXT.to_ours(state)
    elif "embeddings.token_embedding.weight" in state:  # NovelAI's file and its children leave the prefix out
        state = {name if name.startswith("text_") else f"text_model.{name}": state[name] for name in state}
    return without_harmless(state) if "text_model.embeddings.token_embedding.weight" in state else {}


def lone_text_encoder(state: State) -> TextPart | None:
    """The text encoder in a file of its own, under transformers' or OpenCLIP's names; None where it is none."""
    if is_text_encoder(state):
        ours = without_harmless(text_from_transformers(state))
        return TextPart("", kind_of_clip(ours), ours)
    ours = dict(own_text_names("open_clip", state))
    return TextPart("", "open_clip", ours) if ours else None


def kind_of_clip(state: State) -> TextNames:
    """OpenAI's encoder or OpenCLIP's, which names do not tell: by width, or by the projection of the latter."""
    dim = state["text_model.embeddings.token_embedding.weight"].shape[-1]
    if dim == OPENAI_DIM:
        return "clip"
    return "open_clip" if dim in OPEN_CLIP_DIMS or "text_projection.weight" in state else "clip"


def with_scales(weights: State) -> State:
    """float8 weights joined with the scales that ComfyUI keeps beside them; what else belongs to those is left out."""
    if not any(name.endswith(SCALES) for name in weights):
        return weights
    joined = {name: weights[name] for name in weights if not name.endswith((*SCALES, *SCALE_MARKERS))}
    for name in weights:
        layer = next((name.removesuffix(end) for end in SCALES if name.endswith(end)), "")
        if not layer:
            continue
        numbers, scale = weights.get(f"{layer}.weight"), weights[name]
        fits = numbers is not None and scale.is_floating_point() and scale.numel() in (1, len(numbers))
        if numbers is None or not fits or numbers.dtype not in FLOAT8:
            joined[name] = scale  # whoever loads it reports it
        else:
            joined[f"{layer}.weight"] = Quantized(SCALED_FLOAT8, (numbers, scale), numbers.shape)
    return joined


def flat_projections(unet: State) -> State:
    """SDXL's projections as linear layers, where a file has them as 1x1 convolutions (stable-diffusion.cpp)."""
    if "label_emb.0.0.weight" not in unet:
        return unet
    ends = (".proj_in.weight", ".proj_out.weight")
    return {name: t.flatten(1) if name.endswith(ends) and t.ndim == 4 else t for name, t in unet.items()}


def own_vae_names(state: State) -> tuple[State, dict[str, Tensor]]:
    """The autoencoder under our names, and what came with it that no picture depends on."""
    left = {VAE + name: tensor for name, tensor in state.items() if HARMLESS.match(VAE + name)}
    state = {name: tensor for name, tensor in state.items() if VAE + name not in left}
    if any(".mid_block." in name for name in state):
        return vae_from_diffusers(state), left
    return square_convolutions(state), left


def picture_encoder(weights: State) -> tuple[State, State]:
    """A picture encoder's weights under our names, empty where there is none, and what no part of CLIP is."""
    theirs = any(name.startswith(OPEN_CLIP_PICTURES) for name in weights)
    start = (OPEN_CLIP_PICTURES,) if theirs else PICTURES
    found = {name.removeprefix(OPEN_CLIP_PICTURES): weights[name] for name in weights if name.startswith(start)}
    rest = {name: weights[name] for name in weights if not name.startswith(start) and not CLIP_BESIDE.match(name)}
    return without_harmless(OPEN_CLIP_VISION.to_ours(found) if theirs else found), rest


def without_harmless(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not HARMLESS.match(name)}
