"""The prompt language: AUTOMATIC1111's measured tables, what native does instead, networks, comments, any text."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromnoise.text.prompt import (
    BREAK,
    Dialect,
    Network,
    Piece,
    Prompt,
    Subprompt,
    Timing,
    parse,
    schedule,
)
from fromnoise.text.prompt_tree import MAX_DEPTH

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/text/a1111_editing.json").read_text("utf-8"))
DIALECTS: list[Dialect] = ["native", "a1111", "comfyui"]


def said(parts: tuple[Subprompt, ...]) -> list[tuple[str, float]]:
    return [("".join(piece.text for piece in part.pieces), part.weight) for part in parts]


def runs(prompt: Prompt, steps: int, **timing) -> list[list]:
    """First step and text of each stretch of steps, asked for step by step."""
    found: list[list] = []
    for step in range(steps):
        ((text, _),) = said(prompt.at(step, steps, **timing))
        if not found or found[-1][1] != text:
            found.append([step, text])
    return found


# --- editing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", GOLDEN)
def test_a1111_editing(text: str) -> None:
    """Measured with AUTOMATIC1111's grammar for 6 steps: first pass; second pass after 4 steps; old rule."""
    prompt = parse(text, "a1111", compose=False, weights=False)
    for expected, timing in zip(GOLDEN[text], ({}, {"first_pass": 4}, {"old_rule": True}), strict=True):
        assert runs(prompt, 6, **timing) == expected
        assert [[step, said(parts)[0][0]] for step, parts in schedule(prompt, 6, **timing)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a:b:0.5]", [[0, "a"], [5, "b"]]),
        ("[a:b:3]", [[0, "a"], [3, "b"]]),
        ("[a:b:0]", [[0, "b"]]),
        ("[a:b:-1]", [[0, "b"]]),
        ("[a:b:1.0]", [[0, "a"]]),
        ("[a:b:1e999]", [[0, "a"]]),
        ("[a:b:-1e999]", [[0, "b"]]),
        ("x[b:3]", [[0, "x"], [3, "xb"]]),
        ("x[a::3]", [[0, "xa"], [3, "x"]]),
        ("[a:[b:c:6]:3]", [[0, "a"], [3, "b"], [6, "c"]]),
        ("[[a|b]:c:3]", [[0, "a"], [1, "b"], [2, "a"], [3, "c"]]),
        ("[(a:b:1.2):c:3]", [[0, "a:b"], [3, "c"]]),
        ("a | [b:c:3]", [[0, "a | b"], [3, "a | c"]]),
        ("[(a|b):c:3]", [[0, "a|b"], [3, "c"]]),
        (r"[a\:b:c:3]", [[0, "a:b"], [3, "c"]]),
        ("[a:b:c:3]", [[0, "a:b:c:3"]]),
        ("(a [b:c:3]", [[0, "a b"], [3, "a c"]]),
    ],
)
def test_native_editing(text: str, expected: list) -> None:
    assert runs(parse(text), 10) == expected
    assert [[step, said(parts)[0][0]] for step, parts in schedule(parse(text), 10)] == expected


def test_native_alternates_every_step() -> None:
    assert [said(parse("[a|b:c|]").at(step, 6))[0][0] for step in range(6)] == ["a", "b:c", "", "a", "b:c", ""]


def test_moments_of_the_second_pass() -> None:
    assert runs(parse("[a:b:0.5]"), 10, first_pass=20) == [[0, "b"]]
    assert runs(parse("[a:b:1.5]"), 10, first_pass=20) == [[0, "a"], [5, "b"]]
    assert runs(parse("[a:b:24]"), 10, first_pass=20) == [[0, "a"], [4, "b"]]


def test_weight_can_be_edited() -> None:
    changes = schedule(parse("(a:[0.5:1.5:3])"), 10)
    assert [(step, parts[0].pieces) for step, parts in changes] == [(0, (Piece("a", 0.5),)), (3, (Piece("a", 1.5),))]


def test_edits_too_deep_are_text() -> None:
    depth = MAX_DEPTH + 20
    prompt = parse("[a:" * depth + "b" + ":3]" * depth)
    assert any(str(MAX_DEPTH) in warning.message for warning in prompt.warnings)
    assert prompt.at(0, 10)


def test_timing_is_public() -> None:
    assert Timing(20).first_pass is None


# --- composition ------------------------------------------------------------------------------------------------------

COMPOSITION = {  # text: what a1111 says, what native says
    "cat:2": ([("cat", 2.0)], [("cat:2", 1.0)]),
    "a photo, 16:9": ([("a photo, 16", 9.0)], [("a photo, 16:9", 1.0)]),
    "a AND b :-1": ([("a", 1.0), (" b", -1.0)], [("a", 1.0), (" b", -1.0)]),
    "a:.5 AND b : 2. ": ([("a", 0.5), (" b", 2.0)], [("a", 0.5), (" b", 2.0)]),
    "a AND": ([("a", 1.0), ("", 1.0)], [("a", 1.0)]),
    "(a AND b)": ([("a", 1.0), (" b)", 1.0)], [("a AND b", 1.0)]),
    "[a AND b:c:0]": ([("a", 1.0), (" b:c:0]", 1.0)], [("c", 1.0)]),
    "(a AND b": ([("a", 1.0), (" b", 1.0)], [("a", 1.0), (" b", 1.0)]),
    "SAND AND_b and c": ([("SAND AND_b and c", 1.0)], [("SAND AND_b and c", 1.0)]),
    "AND AND": ([("", 1.0)] * 3, [("", 1.0)]),
}


@pytest.mark.parametrize("text", COMPOSITION)
@pytest.mark.parametrize("index", [0, 1], ids=["a1111", "native"])
def test_composition(text: str, index: int) -> None:
    assert said(parse(text, ("a1111", "native")[index]).at(1, 10)) == COMPOSITION[text][index]


@pytest.mark.parametrize("dialect", ["native", "a1111"])
def test_negative_prompts_are_not_composed(dialect: Dialect) -> None:
    assert said(parse("a AND b:2", dialect, compose=False).at(0, 1)) == [("a AND b:2", 1.0)]


def test_parts_change_by_themselves() -> None:
    changes = schedule(parse("[a:b:2] AND [c:d:4]:0.5"), 10)
    assert [(step, said(parts)) for step, parts in changes] == [
        (0, [("a", 1.0), (" c", 0.5)]),
        (2, [("b", 1.0), (" c", 0.5)]),
        (4, [("b", 1.0), (" d", 0.5)]),
    ]


# --- tags and comments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "a1111"])
@pytest.mark.parametrize(
    ("tag", "network"),
    [
        ("<lora:paint>", Network("lora", "paint")),
        ("<lora:paint:0.8>", Network("lora", "paint", 0.8, 0.8)),
        ("<lora:paint:0.8:0.3>", Network("lora", "paint", 0.8, 0.3)),
        ("<lora:paint:0.8:0.3:16>", Network("lora", "paint", 0.8, 0.3, 16)),
        ("<lora:paint:te=0.2:unet=-1>", Network("lora", "paint", 0.2, -1.0)),
        ("<lora:paint:0.5:dyn=4>", Network("lora", "paint", 0.5, 0.5, 4)),
        ("<lyco:paint:0.8>", Network("lora", "paint", 0.8, 0.8)),
        ("<hypernet:anime v2:0.4>", Network("hypernet", "anime v2", 0.4, 0.4)),
        ("<lora:厚涂 风格:0.7>", Network("lora", "厚涂 风格", 0.7, 0.7)),
    ],
)
def test_network_tags(tag: str, network: Network, dialect: Dialect) -> None:
    prompt = parse(f"a {tag}cat", dialect)
    assert prompt.networks == (network,)
    assert said(prompt.at(0, 1)) == [("a cat", 1.0)]
    assert not prompt.warnings


def test_bad_tags_are_told() -> None:
    prompt = parse("<lora:a:x> <wat:b> a < b <lora:c")
    assert prompt.networks == (Network("lora", "a"),)
    assert [w.position for w in prompt.warnings] == [0, 11]
    assert said(prompt.at(0, 1)) == [("  a < b <lora:c", 1.0)]


def test_comments() -> None:
    text = "# whole line (\na cat, # a note <lora:x:1>\na dog"
    for dialect in ("native", "a1111"):
        prompt = parse(text, dialect)
        assert "".join(said(prompt.at(0, 1))[0][0]).split() == ["a", "cat,", "a", "dog"]
        assert not prompt.networks
    assert said(parse(r"colour \#ff0000").at(0, 1)) == [("colour #ff0000", 1.0)]


def test_warnings_point_into_the_text_as_it_was_given() -> None:
    text = "# note\n<lora:a:1> cat <lora:b:1> [dog AND bird) (fish"
    assert [text[w.position] for w in parse(text).warnings] == ["[", ")", "("]


def test_comfyui_knows_weights_alone() -> None:
    text = "[a:b:3] AND c <lora:x:1> # BREAK"
    prompt = parse(text, "comfyui")
    assert said(prompt.at(0, 10)) == [(text, 1.0)]
    assert schedule(prompt, 10) == [(0, prompt.at(0, 10))]
    assert prompt.networks == ()


def test_brackets_can_be_left_as_text() -> None:
    assert parse("(a:1.2) BREAK b", weights=False).at(0, 1) == (Subprompt((Piece("(a:1.2) BREAK b"),)),)
    assert parse("(a:1.2) BREAK b").at(0, 1)[0].pieces == (Piece("a", 1.2), BREAK, Piece("b"))


def test_prompts_are_values() -> None:
    assert parse("a [b:c:3] AND d") == parse("a [b:c:3] AND d")
    assert hash(parse("a [b|c]")) == hash(parse("a [b|c]"))


# --- any text ---------------------------------------------------------------------------------------------------------

WORDS = [
    "(",
    ")",
    "[",
    "]",
    ":",
    "|",
    "\\",
    "a",
    "cat ",
    ", ",
    ":1.2)",
    ":0.5]",
    ":3]",
    "[a:",
    "[b|c]",
    " AND ",
    "BREAK",
    " ",
]
WORDS += ["\n", "#", "<", ">", "<lora:x:1>", "猫", "{", "}", "__", "::", "-1", "1e9", "\0", "\ud800"]
ANY_TEXT = st.lists(st.sampled_from(WORDS), max_size=60).map("".join) | st.text()


def check_any_text(text: str, dialect: Dialect, steps: int) -> None:
    prompt = parse(text, dialect)
    assert all(0 <= w.position < len(text) for w in prompt.warnings)
    changes = schedule(prompt, steps)
    assert changes[0][0] == 0
    current = changes[0][1]
    for step in range(steps):
        current = dict(changes).get(step, current)
        assert prompt.at(step, steps) == current
    assert all(abs(part.weight) <= 1e4 and part.pieces is not None for part in current)


@given(ANY_TEXT, st.sampled_from(DIALECTS), st.integers(1, 8))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_prompt(text: str, dialect: Dialect, steps: int) -> None:
    check_any_text(text, dialect, steps)


@pytest.mark.slow
@given(ANY_TEXT, st.sampled_from(DIALECTS), st.integers(1, 8))
@settings(max_examples=10_000, deadline=None)
def test_any_text_is_a_prompt_at_length(text: str, dialect: Dialect, steps: int) -> None:
    check_any_text(text, dialect, steps)


@given(st.lists(st.sampled_from(["a", "b, ", "(c:1.2)", "[d]", " "]), max_size=10).map("".join))
@settings(max_examples=300, deadline=None)
def test_text_without_edits_never_changes(text: str) -> None:
    for dialect in DIALECTS:
        assert len(schedule(parse(text, dialect), 20)) == 1


HOSTILE = [
    "(",
    "[",
    ")",
    "((a:1.1)",
    "[a:",
    "[a|",
    "(AND",
    "a AND ",
    "a:1",
    "\\",
    "<a:",
    "#\n",
    "BREAK ",
    "[a:b:3]",
    "[(a|b",
    ": ",
]
HOSTILE += ["[a:b:.5", "<lora:a:1>", "(a)", "[a|b]", "9", ":9", "[[a|b]:c:3]", "猫", "a) (b"]


def hostile_texts(length: int) -> Iterator[str]:
    for pattern in HOSTILE:
        text = (pattern * length)[:length]
        balanced = "".join({"(": ")", "[": "]"}.get(c, "") for c in reversed(text[: length // 2]))
        yield text
        yield (text[: length // 2] + balanced)[:length]


def calls_to_read(text: str, dialect: Dialect) -> int:
    """Functions called while reading `text`: a measure of work that no busy machine disturbs."""
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(seen)
    try:
        parse(text, dialect).at(0, 20)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("dialect", DIALECTS)
def test_twice_the_text_is_twice_the_work(dialect: Dialect) -> None:
    for short, long in zip(hostile_texts(2_000), hostile_texts(4_000), strict=True):
        assert calls_to_read(long, dialect) <= 2.2 * calls_to_read(short, dialect) + 200, short[:20]


@pytest.mark.slow  # by the clock, so only on a machine with nothing else to do
@pytest.mark.parametrize("dialect", DIALECTS)
def test_ten_kilobytes_take_fifty_milliseconds(dialect: Dialect) -> None:
    """The best of five tries counts."""

    def seconds(text: str) -> float:
        start = time.process_time()
        parse(text, dialect).at(0, 20)
        return time.process_time() - start

    for text in hostile_texts(10_000):
        assert any(seconds(text) < 0.05 for _ in range(5)), text[:20]
