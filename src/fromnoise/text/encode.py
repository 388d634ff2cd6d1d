"""Weighted pieces of a prompt to the states that steer the U-Net.

pieces = parse_weights("a (red:1.3) apple")
cond = encode(pieces, clip, Tokenizer(), layer=LAST)             # SD 1.x
cond = join(encode(..., layer=PENULTIMATE_RAW), encode(...))     # SDXL: CLIP-L, then bigG
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fromnoise.errors import UserError
from fromnoise.nn.clip import CLIPText
from fromnoise.text.chunks import Chunk, chunk_pieces
from fromnoise.text.prompt_weights import Dialect, Emphasis, Piece
from fromnoise.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LayerRule:
    """Which states to take: `from_end` 1 is the last layer, 2 the one before; with the final norm or without."""

    from_end: int = 1
    final_norm: bool = True


LAST = LayerRule()  # SD 1.x
PENULTIMATE = LayerRule(2)  # SD 2.x
PENULTIMATE_RAW = LayerRule(2, final_norm=False)  # SDXL, both encoders


def clip_skip(layers: int) -> LayerRule:
    """AUTOMATIC1111's numbers: 1 is the last layer, 2 leaves one out. diffusers says one less, ComfyUI minus this."""
    return LayerRule(layers)


class Encoded(NamedTuple):
    """An encoded prompt."""

    context: Tensor  # (1, 77 * chunks, d)
    pooled: Tensor  # (1, d'), the first chunk's, not weighted; projected where the encoder has a projection


def encode(
    pieces: Sequence[Piece],
    encoder: CLIPText,
    tokenizer: Tokenizer,
    *,
    layer: LayerRule = LAST,
    emphasis: Emphasis = "native",
    dialect: Dialect = "native",
    embeddings: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> Encoded:
    """Encode `pieces`, of any length, in one call of `encoder`.

    `embeddings`: name to vectors (n, d) of this encoder's width; `dtype`: what to compute in, else the stored one.
    """
    vectors = {name: v.reshape(-1, v.shape[-1]) for name, v in (embeddings or {}).items()}
    chunks = chunk_pieces(pieces, tokenizer, dialect, {name: len(v) for name, v in vectors.items()})
    return encode_chunks(chunks, encoder, tokenizer, layer=layer, emphasis=emphasis, vectors=vectors, dtype=dtype)


def encode_together(
    prompts: Sequence[Sequence[Piece]],
    encoder: CLIPText,
    tokenizer: Tokenizer,
    *,
    layer: LayerRule = LAST,
    emphasis: Emphasis = "native",
    dialect: Dialect = "native",
    embeddings: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> list[Encoded]:
    """Encode what a prompt says at its stages in one call of `encoder`, each as long as the longest.

    This is how AUTOMATIC1111 encodes an edited prompt. It restores the mean over all stages, so that they touch each
    other where weights are used. A single stage comes out as from `encode`.
    """
    vectors = {name: v.reshape(-1, v.shape[-1]) for name, v in (embeddings or {}).items()}
    sizes = {name: len(v) for name, v in vectors.items()}
    stages = [chunk_pieces(pieces, tokenizer, dialect, sizes) for pieces in prompts]
    empty = chunk_pieces([], tokenizer, dialect)
    longest = max(map(len, stages))
    chunks = [chunk for stage in stages for chunk in [*stage, *empty * (longest - len(stage))]]
    encoded = encode_chunks(
        chunks, encoder, tokenizer, layer=layer, emphasis=emphasis, vectors=vectors, dtype=dtype, prompts=len(stages)
    )
    contexts = encoded.context.reshape(len(stages), -1, encoded.context.shape[-1])
    return [Encoded(contexts[i : i + 1], encoded.pooled[i : i + 1]) for i in range(len(stages))]


def encode_chunks(
    chunks: Sequence[Chunk],
    encoder: CLIPText,
    tokenizer: Tokenizer,
    *,
    layer: LayerRule = LAST,
    emphasis: Emphasis = "native",
    vectors: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    prompts: int = 1,
) -> Encoded:
    """Encode chunks made by `chunk_pieces`; the rest as in `encode`.

    `prompts` of them may follow each other, with equally many chunks: then their states do, and there is a pooled
    state of each.
    """
    device = encoder.text_model.embeddings.token_embedding.weight.device
    weights = torch.tensor([chunk.weights for chunk in chunks], device=device)[..., None]
    weighted = emphasis != "ignore" and bool((weights != 1).any())
    rows = [chunk.ids for chunk in chunks]
    if weighted and emphasis == "comfyui":
        rows.append(tuple(tokenizer.encode_window("")))
    with _replaced(encoder, chunks, vectors or {}):
        output = encoder(torch.tensor(rows, device=device), dtype=dtype)
    states = _take(encoder, output.hidden_states, output.last, layer)
    states, empty = states[: len(chunks)], states[len(chunks) :]
    if weighted:
        states = _emphasise(states, weights, emphasis, empty, prompts)
    pooled = output.pooled[: len(chunks) : len(chunks) // prompts]
    return Encoded(states.reshape(1, -1, states.shape[-1]), pooled)


def join(first: Encoded, second: Encoded) -> Encoded:
    """Two encoders as SDXL takes them: contexts side by side, `second`'s (bigG's) pooled states.

    The encoders may have cut the prompt differently; the longer context loses its end, as everywhere.
    """
    length = min(first.context.shape[1], second.context.shape[1])
    return Encoded(torch.cat([first.context[:, :length], second.context[:, :length]], dim=-1), second.pooled)


def match_chunks(prompts: Sequence[Encoded], empty: Encoded) -> list[Encoded]:
    """`prompts` with the context lengthened to the longest's by that of the empty prompt, one chunk after the other."""
    longest = max(prompt.context.shape[1] for prompt in prompts)
    return [
        prompt._replace(context=torch.cat([prompt.context, empty.context.repeat(1, missing, 1)], dim=1))
        if (missing := (longest - prompt.context.shape[1]) // empty.context.shape[1])
        else prompt
        for prompt in prompts
    ]


def _take(encoder: CLIPText, hidden_states: list[Tensor], last: Tensor, layer: LayerRule) -> Tensor:
    layers = len(hidden_states) - 1
    if not 1 <= layer.from_end <= layers:
        raise UserError(f"clip skip {layer.from_end}: this text encoder has {layers} layers; take 1 to {layers}")
    if layer == LAST:
        return last
    states = hidden_states[-layer.from_end]
    normed: Tensor = encoder.text_model.final_layer_norm(states) if layer.final_norm else states
    return normed


def _emphasise(states: Tensor, weights: Tensor, emphasis: Emphasis, empty: Tensor, prompts: int) -> Tensor:
    """states (chunks, 77, d), weights (chunks, 77, 1), empty (1, 77, d) or none; in float32 at least."""
    z = states.to(torch.promote_types(states.dtype, torch.float32))
    if emphasis == "comfyui":
        z = torch.where(weights == 1, z, empty + (z - empty) * weights)
    else:
        before = _chunk_means(z, prompts)
        z = z * weights
        after = _chunk_means(z, prompts)
        if emphasis == "native":
            z = z * torch.where(after == 0, torch.ones_like(after), before / after)
    return z.to(states.dtype)


def _chunk_means(z: Tensor, prompts: int) -> Tensor:
    """(chunks, 1, 1): the mean of each chunk together with those at the same place in the other prompts."""
    means: Tensor = z.reshape(prompts, -1, *z.shape[1:]).mean(dim=(0, 2, 3))
    return means.repeat(prompts)[:, None, None]


@contextmanager
def _replaced(encoder: CLIPText, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the encoder's token embeddings at the chunks' vector positions are rows of `vectors`."""
    places = [(row, at, vectors[v.name][v.row]) for row, chunk in enumerate(chunks) for at, v in chunk.vectors.items()]

    def put(_module: nn.Module, _inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        embedded = embedded.clone()
        for row, at, vector in places:
            embedded[row, at] = vector.to(embedded)
        return embedded

    if not places:
        yield
        return
    handle = encoder.text_model.embeddings.token_embedding.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()
