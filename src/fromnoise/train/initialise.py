"""Weights to begin training with; layers themselves are made without any."""

from typing import cast

import torch
from torch import nn

from fromnoise.nn.clip import CLIPText, Layer
from fromnoise.nn.ops import Conv2d, Embedding, GroupNorm, LayerNorm, Linear
from fromnoise.nn.unet import ResBlock, SpatialTransformer, UNet


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Glorot weights for convolutions and linear layers, ones for norms, 0.02-normal embeddings.

    The last layer of every residual branch of a U-Net starts at zero, so that the network starts as the identity
    (Ho et al., 2020; Dhariwal and Nichol, 2021).
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, (Linear, Conv2d)):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (GroupNorm, LayerNorm)):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, Embedding):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
    for layer in module.modules():
        if isinstance(layer, ResBlock):
            nn.init.zeros_(cast(Conv2d, layer.out_layers[3]).weight)
        elif isinstance(layer, SpatialTransformer):
            nn.init.zeros_(layer.proj_out.weight)
        elif isinstance(layer, UNet):
            nn.init.zeros_(cast(Conv2d, layer.out[2]).weight)
        elif isinstance(layer, CLIPText):
            scale_residuals(layer)


def scale_residuals(text: CLIPText) -> None:
    """Residual branches that start smaller the more layers there are (Radford et al., 2019, section 2.3)."""
    for block in text.text_model.encoder.layers:
        layer = cast(Layer, block)
        for end in (layer.self_attn.out_proj, layer.mlp.fc2):
            end.weight.mul_((2 * text.config.layers) ** -0.5)
