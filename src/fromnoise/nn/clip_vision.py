"""CLIP's picture encoders: OpenAI's ViT-L/14 and OpenCLIP's ViT-H/14 and ViT-bigG/14.

Module names are Hugging Face's CLIP keys, which the files in people's clip_vision folders use.
Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision", section 2.4.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fromnoise.nn.clip import Activation, Encoder
from fromnoise.nn.ops import Conv2d, Embedding, LayerNorm, Linear, tokens_from

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pixels that CLIP was trained on, red, green and blue in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class CLIPVisionConfig:
    """Everything that fixes a picture encoder. The defaults are ViT-L/14."""

    dim: int = 1024
    layers: int = 24
    heads: int = 16
    act: Activation = "quick_gelu"
    projection_dim: int = 768
    patch: int = 14  # pixels along a side
    image_size: int = 224  # pixels along a side
    mlp_dim: int | None = None  # width within a layer; None: 4 dim

    @property
    def tokens(self) -> int:
        """Of a picture: one for each patch, and one for the whole."""
        return (self.image_size // self.patch) ** 2 + 1


VIT_L = CLIPVisionConfig()
VIT_H = CLIPVisionConfig(dim=1280, layers=32, act="gelu", projection_dim=1024)
VIT_BIGG = CLIPVisionConfig(dim=1664, layers=48, act="gelu", projection_dim=1280, mlp_dim=8192)


class CLIPVisionOutput(NamedTuple):
    """What a picture encoder tells about pictures (b 3 h w)."""

    hidden_states: list[Tensor]  # the embeddings after the first norm, then the output of each layer; each (b n d)
    embedding: Tensor  # (b projection_dim), of the last layer's token for the whole picture

    @property
    def penultimate(self) -> Tensor:
        """(b n d): what IP-Adapters of the plus kind are trained on."""
        return self.hidden_states[-2]


class Embeddings(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(config.dim))
        self.patch_embedding = Conv2d(3, config.dim, config.patch, stride=config.patch, bias=False)
        self.position_embedding = Embedding(config.tokens, config.dim)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = tokens_from(self.patch_embedding(pixels))
        whole = self.class_embedding.to(patches).expand(len(patches), 1, -1)
        return torch.cat((whole, patches), dim=1) + self.position_embedding.weight.to(patches)


class VisionModel(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = LayerNorm(config.dim)  # spelt so in the files
        self.encoder = Encoder(config, causal=False)
        self.post_layernorm = LayerNorm(config.dim)


class CLIPVision(nn.Module):
    """Pictures to the states and the embedding that steer the U-Net."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = VisionModel(config)
        self.visual_projection = Linear(config.dim, config.projection_dim, bias=False)

    def forward(self, pixels: Tensor) -> CLIPVisionOutput:
        """pixels (b 3 image_size image_size), normalised by MEAN and STD."""
        model = self.vision_model
        states = [model.pre_layrnorm(model.embeddings(pixels))]
        for layer in model.encoder.layers:
            states.append(layer(states[-1]))
        return CLIPVisionOutput(states, self.visual_projection(model.post_layernorm(states[-1][:, 0])))
