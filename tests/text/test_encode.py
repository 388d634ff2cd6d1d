"""Encoding: layers, emphasis, chunks, embeddings and the pair of SDXL, on tiny random encoders."""

import pytest
import torch
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.text.encode import (
    LAST,
    PENULTIMATE,
    PENULTIMATE_RAW,
    Emphasis,
    Encoded,
    clip_skip,
    encode,
    join,
    match_chunks,
)
from fromnoise.text.prompt_weights import Piece, parse_weights
from fromnoise.text.tokenizer import Tokenizer


def tiny(dim: int = 32, projection: int | None = None) -> CLIPText:
    torch.manual_seed(0)
    network = CLIPText(CLIPConfig(dim=dim, layers=3, heads=2, projection_dim=projection)).requires_grad_(False)
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3)
        if "norm" in name and name.endswith("weight"):
            parameter += 1
    return network


clip_l, big_g = tiny(), tiny(48, projection=24)
L, G = Tokenizer(), Tokenizer(pad=0)


def states(prompt: str, **options) -> Tensor:
    return encode(parse_weights(prompt), clip_l, L, **options).context


def test_plain_prompt_is_the_encoders_own_answer() -> None:
    output = clip_l(torch.tensor([L.encode_window("a cat")]))
    encoded = encode([Piece("a cat")], clip_l, L)
    assert torch.equal(encoded.context, output.last)
    assert torch.equal(encoded.pooled, output.pooled)


@pytest.mark.parametrize("rule", [PENULTIMATE, PENULTIMATE_RAW, clip_skip(3)])
def test_layers(rule) -> None:
    hidden = clip_l(torch.tensor([L.encode_window("a cat")])).hidden_states[-rule.from_end]
    expected = clip_l.text_model.final_layer_norm(hidden) if rule.final_norm else hidden
    assert torch.equal(states("a cat", layer=rule), expected)


def test_clip_skip_counts_from_one() -> None:
    assert clip_skip(1) == LAST
    for layers in (0, 4):
        with pytest.raises(UserError, match="has 3 layers"):
            states("a cat", layer=clip_skip(layers))


@pytest.mark.parametrize("emphasis", ["native", "comfyui", "no norm", "ignore"])
def test_weights_of_one_change_nothing(emphasis: Emphasis) -> None:
    assert torch.equal(states("(a cat:1.0)", emphasis=emphasis), states("a cat"))


def test_ignore_drops_weights() -> None:
    assert torch.equal(states("a (cat:1.7)", emphasis="ignore"), states("a cat"))


def test_no_norm_scales_the_token_alone() -> None:
    expected = states("a cat")
    expected[0, 2] *= 1.7
    torch.testing.assert_close(states("a (cat:1.7)", emphasis="no norm"), expected)


def test_native_keeps_the_mean_of_each_chunk() -> None:
    plain = states("a cat BREAK a dog")
    got = states("a (cat:1.7) BREAK a (dog:0.4)")
    for chunk in (slice(0, 77), slice(77, 154)):
        torch.testing.assert_close(got[:, chunk].mean(), plain[:, chunk].mean(), rtol=1e-4, atol=1e-6)
    ratio = got[0, 2] / plain[0, 2] / (got[0, 1] / plain[0, 1])
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1.7), rtol=1e-4, atol=1e-4)


def test_comfyui_moves_away_from_the_empty_prompt() -> None:
    plain, empty = states("a cat"), states("")
    got = states("a (cat:1.7)", emphasis="comfyui")
    torch.testing.assert_close(got[0, 2], empty[0, 2] + 1.7 * (plain[0, 2] - empty[0, 2]))
    assert torch.equal(got[0, 3:], plain[0, 3:])
    torch.testing.assert_close(states("(a cat:0)", emphasis="comfyui")[0, 1:3], empty[0, 1:3])


def test_long_prompts_are_chunks_side_by_side() -> None:
    long, first = encode([Piece("cat " * 80)], clip_l, L), encode([Piece("cat " * 75)], clip_l, L)
    assert long.context.shape == (1, 154, 32)
    torch.testing.assert_close(long.context[:, :77], first.context)
    torch.testing.assert_close(long.context[:, 77:], states("cat cat cat cat cat"))
    torch.testing.assert_close(long.pooled, first.pooled)


def test_match_chunks_adds_empty_chunks() -> None:
    long, short, empty = (encode([Piece(t)], clip_l, L) for t in ("cat " * 160, "a cat", ""))
    first, second = match_chunks([long, short], empty)
    assert first is long
    assert torch.equal(second.context, torch.cat([short.context, empty.context, empty.context], dim=1))
    assert match_chunks([short, empty], empty) == [short, empty]


def test_sdxl_pair() -> None:
    pieces = parse_weights("a (red:1.3) cat")
    left = encode(pieces, clip_l, L, layer=PENULTIMATE_RAW)
    right = encode(pieces, big_g, G, layer=PENULTIMATE_RAW)
    pair = join(left, right)
    assert pair.context.shape == (1, 77, 80)
    assert torch.equal(pair.context[..., :32], left.context)
    assert torch.equal(pair.pooled, right.pooled)
    assert pair.pooled.shape == (1, 24)


def test_embedding_takes_the_place_of_tokens_and_leaves_no_trace() -> None:
    before = states("a style cat")
    table = clip_l.text_model.embeddings.token_embedding
    words = table.weight[[L.encode("red")[0], L.encode("hat")[0]]]
    got = states("a style cat", embeddings={"style": words})
    torch.testing.assert_close(got, states("a red hat cat"))
    assert torch.equal(states("a style cat"), before)
    assert not table._forward_hooks


def test_embedding_hook_is_removed_after_a_failure() -> None:
    with pytest.raises(RuntimeError):
        states("a style cat", embeddings={"style": torch.zeros(1, 7)})
    assert not clip_l.text_model.embeddings.token_embedding._forward_hooks


def test_computing_in_another_dtype() -> None:
    got = states("a (cat:1.7)", dtype=torch.bfloat16)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), states("a (cat:1.7)"), rtol=0.1, atol=0.1)


def test_encoded_is_a_pair() -> None:
    context, pooled = Encoded(torch.zeros(1, 77, 4), torch.zeros(1, 4))
    assert context.shape[0] == pooled.shape[0]
