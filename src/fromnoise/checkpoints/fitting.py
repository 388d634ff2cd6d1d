"""What a file holds by the names of its tensors, and whether networks of several files go together."""

import re

from fromnoise.checkpoints.adapter_files.family import CONTEXTS, LABELS
from fromnoise.checkpoints.adapter_files.keys import is_lora
from fromnoise.checkpoints.detect import Family, ModelFacts
from fromnoise.checkpoints.parts import Parts
from fromnoise.errors import FileError

HOLDS = (  # by the first name that matches; the order matters, as some files hold several of these
    ("ControlNet", r"^(control_model\.|controlnet_cond_embedding\.|zero_convs\.|input_hint_block\.|lora_controlnet$)"),
    ("IP-Adapter", r"^(ip_adapter|image_proj)\."),
    ("T2I-Adapter", r"^(adapter\.)?body\.\d+\."),
    ("U-Net with diffusers' names", r"^(unet\.)?down_blocks\.\d+\.(resnets|attentions)\."),
    ("text encoder", r"^(text_model\.)?(encoder\.layers|embeddings)\.|^transformer\.resblocks\."),
    ("embedding", r"^(emb_params|clip_[lg]|string_to_param.*|<.*>)$"),
    ("upscaler", r"^(conv_first|model\.0|body\.0\.rdb1.*)\.weight$"),
)


INSTEAD = {  # what to say where something else than a checkpoint is given for one
    "VAE": "an autoencoder alone: give it with --vae, and a checkpoint with --model",
    "text encoder": "a text encoder alone: give it with --text-encoder, and a checkpoint with --model",
    "LoRA": "a LoRA: give it with --lora, and a checkpoint with --model",
    "ControlNet": "a ControlNet: give it with --control, and a checkpoint with --model",
    "T2I-Adapter": "a T2I-Adapter: give it with --control, and a checkpoint with --model",
    "IP-Adapter": "an IP-Adapter: give it with --image-prompt, and a checkpoint with --model",
    "embedding": "an embedding: write its name in the prompt, and give a checkpoint with --model",
    "upscaler": "an upscaler: use it with fromnoise upscale or --hires, and give a checkpoint with --model",
}
NOTHING = "no U-Net, so it is no checkpoint of a diffusion model; fromnoise info tells what is in it"
ENCODERS: dict[Family, str] = {
    "sd1": "CLIP ViT-L",
    "sd2": "OpenCLIP ViT-H",
    "sdxl": "two, CLIP ViT-L and OpenCLIP ViT-bigG",
    "sdxl_refiner": "OpenCLIP ViT-bigG",
}


class WrongFamily(FileError):
    """Networks of different families of models, which understand each other's numbers wrongly or not at all."""


def holds(parts: Parts) -> str:
    if parts.unet:
        return "checkpoint" if parts.text or parts.vae else "U-Net"
    if is_lora(parts.rest):
        return "LoRA"
    for kind, pattern in HOLDS:
        if any(re.search(pattern, name) for name in parts.rest):
            return kind
    return "VAE" if parts.vae else "text encoder" if parts.text else "unknown"


def misfit(facts: ModelFacts) -> str:
    """Why the networks of a model do not go together; nothing where they do, as far as shapes tell."""
    unet = facts.unet
    family = CONTEXTS.get(unet.context_dim, facts.family)  # which the wrong text encoder may have misled
    label = LABELS[family]
    told = sum(config.dim for config in facts.text)
    if facts.text and told != unet.context_dim:
        return (
            f"its U-Net, of {label}, reads prompts of width {unet.context_dim}, and its text encoders make {told}; "
            f"give the right ones with --text-encoder: {ENCODERS[family]}"
        )
    if facts.vae is not None and facts.vae.latent_channels != unet.out_channels:
        return (
            f"its U-Net, of {label}, draws latents of {unet.out_channels} channels, and its autoencoder has "
            f"{facts.vae.latent_channels}; give one of {label} with --vae"
        )
    return ""
