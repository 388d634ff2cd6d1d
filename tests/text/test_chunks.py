"""Chunks of 77 tokens: ComfyUI's golden ids, AUTOMATIC1111's rules for commas, BREAK and embeddings."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromnoise.text.chunks import COMMA, Chunk, Vector, chunk_pieces, count_tokens
from fromnoise.text.prompt_weights import BREAK, Piece, parse_weights
from fromnoise.text.tokenizer import Tokenizer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/text/comfyui_prompts.json").read_text("utf-8"))
CLIP_L, OPENCLIP = Tokenizer(), Tokenizer(pad=0)
CAT, START, END = 2368, 49406, 49407


def cats(count: int) -> str:
    return " ".join(["cat"] * count)


def inner(chunk: Chunk) -> list[int]:
    return list(chunk.ids[1 : 1 + chunk.used])


@pytest.mark.parametrize("prompt", GOLDEN)
def test_comfyui_golden(prompt: str) -> None:
    expected = GOLDEN[prompt]
    tokenizer = OPENCLIP if isinstance(expected, list) else CLIP_L
    text = prompt.removeprefix("__sdxl_g_")
    chunks = chunk_pieces(parse_weights(text, "comfyui"), tokenizer, "comfyui")
    got = [list(zip(chunk.ids, chunk.weights, strict=True)) for chunk in chunks]
    assert got == [
        [tuple(slot) for slot in row] for row in (expected if isinstance(expected, list) else expected["tokens_l"])
    ]


def test_comma_is_the_token_after_which_chunks_break() -> None:
    assert CLIP_L.encode(",") == [COMMA]


@pytest.mark.parametrize("tokenizer", [CLIP_L, OPENCLIP])
def test_empty_prompt_is_one_chunk(tokenizer: Tokenizer) -> None:
    (chunk,) = chunk_pieces([Piece("")], tokenizer)
    assert chunk.ids == (START, END, *[tokenizer.pad] * 75)
    assert count_tokens([chunk]) == (0, 75)


def test_76_tokens_need_two_chunks() -> None:
    first, second = chunk_pieces([Piece(cats(76))], CLIP_L)
    assert first.ids == (START, *[CAT] * 75, END)
    assert inner(second) == [CAT]
    assert count_tokens([first, second]) == (76, 150)


@pytest.mark.parametrize(("tail", "moved"), [(18, 19), (19, 20), (20, 1), (30, 1)])
def test_text_after_a_late_comma_moves_to_the_next_chunk(tail: int, moved: int) -> None:
    prompt = cats(74 - tail) + ", " + cats(tail + 1)
    first, second = chunk_pieces([Piece(prompt)], CLIP_L)
    assert (first.used, second.used) == (76 - moved, moved)


def test_break_starts_a_chunk() -> None:
    chunks = chunk_pieces(parse_weights("cat BREAK cat cat BREAK BREAK (cat:2) BREAK"), CLIP_L)
    assert [chunk.used for chunk in chunks] == [1, 2, 0, 1]
    assert chunks[3].weights[:3] == (1.0, 2.0, 1.0)
    assert [chunk.used for chunk in chunk_pieces([BREAK], CLIP_L)] == [0]


def test_embeddings_by_bare_name_longest_first() -> None:
    (chunk,) = chunk_pieces(parse_weights("a (bad hands:1.2) bad"), CLIP_L, "a1111", {"bad": 1, "bad hands": 2})
    assert chunk.vectors == {2: Vector("bad hands", 0), 3: Vector("bad hands", 1), 4: Vector("bad", 0)}
    assert chunk.weights[1:5] == (1.0, 1.2, 1.2, 1.0)
    assert chunk.used == 4


def test_embedding_that_does_not_fit_starts_a_chunk() -> None:
    first, second = chunk_pieces([Piece(cats(70) + " style")], CLIP_L, embeddings={"style": 6})
    assert (first.used, second.used) == (70, 6)
    assert second.vectors == {1 + row: Vector("style", row) for row in range(6)}


def test_embedding_moves_with_the_text_after_a_comma() -> None:
    first, second = chunk_pieces([Piece(cats(68) + ", style " + cats(3))], CLIP_L, embeddings={"style": 4})
    assert (first.used, second.used) == (69, 7)
    assert set(second.vectors) == {1, 2, 3, 4}
    assert not first.vectors


def test_embedding_longer_than_a_chunk_continues_in_the_next() -> None:
    chunks = chunk_pieces([Piece("style")], CLIP_L, embeddings={"style": 80})
    assert [chunk.used for chunk in chunks] == [75, 5]
    assert chunks[1].vectors[1] == Vector("style", 75)


@pytest.mark.parametrize("dialect", ["native", "comfyui"])
@pytest.mark.parametrize("name", ["embedding:style", "embedding:style.pt", "embedding:style,"])
def test_embedding_by_prefix(name: str, dialect) -> None:
    (chunk,) = chunk_pieces(parse_weights(f"a {name} cat", dialect), CLIP_L, dialect, {"style": 2})
    rest = [COMMA, CAT] if name.endswith(",") else [CAT]
    assert inner(chunk) == [320, 0, 0, *rest]
    assert set(chunk.vectors) == {2, 3}


def test_comfyui_ignores_an_embedding_that_does_not_exist() -> None:
    (chunk,) = chunk_pieces(parse_weights("a embedding:none cat", "comfyui"), CLIP_L, "comfyui")
    assert inner(chunk) == [320, CAT]


def test_comfyui_keeps_short_segments_together() -> None:
    pieces = parse_weights(cats(72) + " (cat cat cat cat:1.2) cat", "comfyui")
    first, second = chunk_pieces(pieces, CLIP_L, "comfyui")
    assert (first.used, second.used) == (72, 5)
    pieces = parse_weights(cats(72) + f" ({cats(8)}:1.2) cat", "comfyui")
    assert [chunk.used for chunk in chunk_pieces(pieces, CLIP_L, "comfyui")] == [75, 6]


@given(
    st.lists(
        st.sampled_from(["cat", "cat,", "a cat, a dog,", "supercalifragilistic", "BREAK", "(cat:2)"]), max_size=120
    )
)
@settings(max_examples=100, deadline=None)
def test_chunks_lose_nothing(words: list[str]) -> None:
    pieces = parse_weights(" ".join(words))
    expected = [token for piece in pieces if piece != BREAK for token in CLIP_L.encode(piece.text)]
    for dialect in ("native", "comfyui"):
        chunks = chunk_pieces([p for p in pieces if dialect == "native" or p != BREAK], CLIP_L, dialect)
        assert [token for chunk in chunks for token in inner(chunk)] == expected
        assert all(len(chunk.ids) == len(chunk.weights) == 77 for chunk in chunks)
