"""Weights in prompts: ComfyUI's golden numbers, AUTOMATIC1111's measured table, and properties for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromnoise.text.prompt_weights import BREAK, LIMIT, Dialect, Piece, parse_weights, read_weights

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/text/comfyui_prompts.json").read_text("utf-8"))
GOLDEN = {prompt: entry for prompt, entry in GOLDEN.items() if isinstance(entry, dict)}
DIALECTS: list[Dialect] = ["native", "a1111", "comfyui"]

A1111_TABLE = {  # measured with AUTOMATIC1111 1.10.1, except (a:1.5.2), which it cannot read
    "(a:1.5)": [("a", 1.5)],
    "(a: 1.5 )": [("a", 1.5)],
    "(a:1.5": [("a:1.5", 1.1)],
    "(a:+1)": [("a", 1.0)],
    "(a:-1)": [("a", -1.0)],
    "(a:.5)": [("a", 0.5)],
    "(a:1.5.2)": [("a:1.5.2", 1.1)],
    "(a,b:1.2:1.3)": [("a,b:1.2", 1.3)],
    "((a:1.2) b:1.3)": [("a", 1.56), (" b", 1.3)],
    "[a:0.5]": [("a:0.5", 1 / 1.1)],
    "[a]:1.2": [("a", 1 / 1.1), (":1.2", 1.0)],
    "a:1.5)": [("a:1.5)", 1.0)],
    "(a)(b:1.1)": [("ab", 1.1)],
    "x BREAK y": [("x", 1), ("BREAK", -1), ("y", 1)],
    "xBREAKy": [("xBREAKy", 1.0)],
    "()": [("", 1.0)],
    "normal text": [("normal text", 1.0)],
    r"\(literal\]": [("(literal]", 1.0)],
    r"a \\ b \x": [(r"a \ b x", 1.0)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ],
}


def same(pieces: list[Piece], expected: list) -> bool:
    texts = [text for text, _ in pieces] == [text for text, _ in expected]
    return texts and [w for _, w in pieces] == pytest.approx([w for _, w in expected], rel=1e-9)


@pytest.mark.parametrize("prompt", GOLDEN)
def test_comfyui_golden(prompt: str) -> None:
    expected = [(t.replace("\0\1", ")").replace("\0\2", "("), w) for t, w in GOLDEN[prompt]["weights"]]
    assert same(parse_weights(prompt, "comfyui"), expected)


@pytest.mark.parametrize("dialect", ["a1111", "native"])
@pytest.mark.parametrize("prompt", A1111_TABLE)
def test_a1111_table(prompt: str, dialect: Dialect) -> None:
    assert same(parse_weights(prompt, dialect), A1111_TABLE[prompt])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("(a (cat:1.2) b:0.8)", [("a ", 0.8), ("cat", 1.2), (" b", 0.8)]),
        ("((cat):0.8)", [("cat", 0.88)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:b:1.1)", [("a:b", 1.1)]),
        (r"\(a\) (b)", [("(a) ", 1.0), ("b", 1.1)]),
        ("a (b (c)", [("a ", 1.0), ("b ", 1.1), ("(c", 1.1)]),
        ("a) (b) (c)", [("a) (b) (c)", 1.0)]),
        ("a) (b (c:2)", [("a) (b ", 1.0), ("c", 2.0)]),
        ("(a:nan)", [("a:nan", 1.1)]),
    ],
)
def test_comfyui_rules(prompt: str, expected: list) -> None:
    assert same(parse_weights(prompt, "comfyui"), expected)


def test_break_inside_weights_is_a_word_in_a1111_and_a_break_in_native() -> None:
    assert parse_weights("(x BREAK y:1.2)", "a1111") == [("x", 1.2), ("BREAK", -1.2), ("y", 1.2)]
    assert parse_weights("(x BREAK y:1.2)", "native") == [("x", 1.2), BREAK, ("y", 1.2)]


def test_warnings_say_where() -> None:
    warnings = read_weights("cat (dog:1.2.3) (bird [fish) :(").warnings
    assert [(w.position, w.message.split()[0]) for w in warnings] == [(9, "'1.2.3'"), (22, "'['"), (30, "'('")]


def test_weights_stay_finite() -> None:
    pieces, warnings = read_weights("(a:99999999) " + "(" * 3000 + "b" + ")" * 3000)
    assert all(abs(piece.weight) <= LIMIT for piece in pieces)
    assert "limited" in warnings[0].message


SYNTAX = st.lists(
    st.sampled_from(
        ["(", ")", "[", "]", ":", "|", "\\", "a", "cat ", ", ", ":1.2)", ":0.5]", "BREAK", " ", "猫", "#", "{", "}"]
    ),
    max_size=60,
).map("".join)


def spell(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if piece != BREAK)


@given(SYNTAX | st.text(), st.sampled_from(DIALECTS))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read(text: str, dialect: Dialect) -> None:
    pieces, warnings = read_weights(text, dialect)
    assert all(abs(piece.weight) <= LIMIT for piece in pieces)
    assert all(0 <= w.position < len(text) for w in warnings)
    letters = [c for c in text if c.isalpha() and c not in "BREAK"]
    assert [c for c in spell(pieces) if c.isalpha() and c not in "BREAK"] == letters


@given(st.text(alphabet="ab ,", max_size=20), st.floats(0.1, 9.9).map(lambda w: round(w, 2)), st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_factors_multiply(text: str, weight: float, depth: int) -> None:
    prompt = "(" * depth + f"({text}:{weight})" + ")" * depth
    expected = min(weight * 1.1**depth, LIMIT)
    assert same(parse_weights(prompt), [(text, expected)] if text else [("", 1.0)])


@given(st.text(alphabet="ab()[]\\:.5", max_size=40))
@settings(max_examples=300, deadline=None)
def test_escaped_text_is_literal(text: str) -> None:
    escaped = "".join("\\" + c if c in "()[]\\" else c for c in text)
    assert parse_weights(escaped) == [(text, 1.0)]
