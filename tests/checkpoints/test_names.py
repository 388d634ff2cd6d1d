"""OpenCLIP's names mean what we take them for, and every renaming has a way back."""

import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.names import (
    OPEN_CLIP_TEXT,
    diffusers_unet,
    diffusers_vae,
    vae_from_diffusers,
    vae_to_diffusers,
)
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.unet import SD1, SDXL
from tests import tiny


class Block(nn.Module):
    """A layer as OpenCLIP builds it, with the names of its files."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=mask)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class OpenCLIPText(nn.Module):
    """The text half of OpenCLIP (Cherti et al., 2022)."""

    def __init__(self, width: int, layers: int, heads: int, vocabulary: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.randn(77, width))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, width) * width**-0.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        mask = torch.full((tokens.shape[1],) * 2, float("-inf")).triu(1)
        for block in self.transformer.resblocks:  # type: ignore[union-attr]
            x = block(x, mask)
        last = self.ln_final(x)
        return last, last[torch.arange(len(tokens)), tokens.argmax(dim=-1)] @ self.text_projection


def test_an_open_clip_encoder() -> None:
    torch.manual_seed(0)
    theirs = OpenCLIPText(width=64, layers=3, heads=1, vocabulary=49408).eval()
    for parameter in theirs.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ours = CLIPText(tiny.OPENCLIP).eval().requires_grad_(False)
    ours.load_state_dict(OPEN_CLIP_TEXT.to_ours(theirs.state_dict()), strict=True)
    tokens = torch.randint(0, 49406, (2, 12))
    tokens[0, 7:], tokens[1, 11] = 49407, 49407
    last, pooled = theirs(tokens)
    out = ours(tokens)
    torch.testing.assert_close(out.last, last, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out.pooled, pooled, rtol=1e-5, atol=1e-5)
    back = OPEN_CLIP_TEXT.to_theirs(ours.state_dict())
    assert {name: tensor.tolist() for name, tensor in back.items()} == {
        name: tensor.tolist() for name, tensor in theirs.state_dict().items()
    }


def test_layers_and_parameters() -> None:
    rename = diffusers_unet(SD1)
    pairs = {
        "input_blocks.0.0.weight": "conv_in.weight",
        "input_blocks.1.0.in_layers.2": "down_blocks.0.resnets.0.conv1",
        "input_blocks.3.0.op.bias": "down_blocks.0.downsamplers.0.conv.bias",
        "input_blocks.8.1.transformer_blocks.0.attn2.to_out.0": (
            "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_out.0"
        ),
        "middle_block.1.norm.weight": "mid_block.attentions.0.norm.weight",
        "middle_block.2.emb_layers.1.bias": "mid_block.resnets.1.time_emb_proj.bias",
        "output_blocks.2.1.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight": "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.11.0.skip_connection": "up_blocks.3.resnets.2.conv_shortcut",
        "out.2": "conv_out",
    }
    assert {ours: rename(ours) for ours in pairs} == pairs
    assert {rename.inverse(theirs): theirs for theirs in pairs.values()} == pairs
    assert diffusers_unet(SDXL)("label_emb.0.2.bias") == "add_embedding.linear_2.bias"
    assert diffusers_vae(4, 2)("decoder.up.3.upsample.conv") == "decoder.up_blocks.0.upsamplers.0.conv"


def test_no_such_layer() -> None:
    for name in ("input_blocks.12.0.in_layers.2", "encoder", ""):
        with pytest.raises(KeyError):
            diffusers_unet(SD1)(name)


def test_an_autoencoder_there_and_back() -> None:
    ours = tiny.model("sd1").vae
    assert ours is not None
    state = ours.state_dict()
    back = vae_from_diffusers(vae_to_diffusers(state, levels=4, res_blocks=1))
    assert set(back) == set(state)
    assert all(back[name].equal(tensor) for name, tensor in state.items())
