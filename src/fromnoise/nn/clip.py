"""CLIP text encoders: OpenAI's ViT-L and OpenCLIP's H and bigG.

Module names are Hugging Face's CLIP keys, which SD 1.x files use under `cond_stage_model.transformer.`.
Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Embedding, LayerNorm, Linear, attention

Activation: TypeAlias = Literal["quick_gelu", "gelu"]


@dataclass(frozen=True)
class CLIPConfig:
    """Everything that fixes a text encoder. The defaults are ViT-L, the encoder of Stable Diffusion 1.x."""

    dim: int = 768
    layers: int = 12
    heads: int = 12
    act: Activation = "quick_gelu"
    projection_dim: int | None = None
    vocab_size: int = 49408
    max_tokens: int = 77
    mlp_dim: int | None = None  # width within a layer; None: 4 dim


CLIP_L = CLIPConfig()
OPENCLIP_H = CLIPConfig(dim=1024, layers=24, heads=16, act="gelu", projection_dim=1024)
OPENCLIP_G = CLIPConfig(dim=1280, layers=32, heads=20, act="gelu", projection_dim=1280)


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


class CLIPOutput(NamedTuple):
    """What a text encoder tells about tokens (b n)."""

    hidden_states: list[Tensor]  # the embeddings, then the output of each layer; each (b n d)
    last: Tensor  # (b n d) output of the last layer after the final layer norm
    pooled: Tensor  # (b d), of `last` at the end-of-text token, projected where the encoder has a projection


class EncoderConfig(Protocol):
    """What fixes the layers of an encoder, of texts or of pictures."""

    @property
    def dim(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def act(self) -> Activation: ...
    @property
    def mlp_dim(self) -> int | None: ...


class Attention(nn.Module):
    def __init__(self, config: EncoderConfig, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = config.heads, causal
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (Linear(config.dim, config.dim) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, causal=self.causal)
        out: Tensor = self.out_proj(h)
        return out


class MLP(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.act = ACTIVATIONS[config.act]
        inner = config.mlp_dim or config.dim * 4
        self.fc1, self.fc2 = Linear(config.dim, inner), Linear(inner, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Layer(nn.Module):
    def __init__(self, config: EncoderConfig, causal: bool) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config, causal), MLP(config)
        self.layer_norm1, self.layer_norm2 = LayerNorm(config.dim), LayerNorm(config.dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Embeddings(nn.Module):
    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.token_embedding = Embedding(config.vocab_size, config.dim)
        self.position_embedding = Embedding(config.max_tokens, config.dim)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        out: Tensor = self.token_embedding(tokens) + self.position_embedding(positions)
        return out


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig, *, causal: bool) -> None:
        """causal: each token sees those before it alone."""
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, causal) for _ in range(config.layers))


class TextModel(nn.Module):
    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config, causal=True)
        self.final_layer_norm = LayerNorm(config.dim)


class CLIPText(nn.Module):
    """Token ids to the states that steer the U-Net."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextModel(config)
        if config.projection_dim:
            self.text_projection = Linear(config.dim, config.projection_dim, bias=False)

    def forward(self, tokens: Tensor, dtype: torch.dtype | None = None) -> CLIPOutput:
        """tokens (b n) int64, n <= max_tokens; `dtype`: what to compute in, by default the stored dtype."""
        model = self.text_model
        embedded = model.embeddings(tokens)
        states = [embedded if dtype is None else embedded.to(dtype)]
        for layer in model.encoder.layers:
            states.append(layer(states[-1]))
        last = model.final_layer_norm(states[-1])
        end = tokens.argmax(dim=-1)  # the first end-of-text token: no id is higher
        pooled = last[torch.arange(len(tokens), device=last.device), end]
        return CLIPOutput(states, last, self.text_projection(pooled) if self.config.projection_dim else pooled)
