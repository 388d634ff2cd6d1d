"""Dynamic prompts: what may be chosen, how often, from which files, and that nothing runs away."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromnoise.text.prompt_random import MAX_LENGTH, expand


def outcomes(text: str, folder: Path | None = None, count: int = 200) -> set[str]:
    return {expand(text, seed, [folder] if folder else []).text for seed in range(count)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wildcards"
    (folder / "people").mkdir(parents=True)
    (folder / "colour.txt").write_text("\ufeffred\n# comment\n\n blue \n", "utf-8")
    (folder / "people" / "jobs.txt").write_text("a {tall|short} __people/trade__\n", "utf-8")
    (folder / "people" / "trade.txt").write_text("厨师\n", "utf-8")
    (folder / "loop.txt").write_text("__loop__ x __loop__\n", "utf-8")
    (folder / "bad.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "secret.txt").write_text("secret\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|green} hat", {"a red hat", "a green hat"}),
        ("{a|}", {"a", ""}),
        ("{only}", {"only"}),
        ("{a|{b|c}d}", {"a", "bd", "cd"}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$+$$a|b}", {"a", "b", "a+b", "b+a"}),
        ("{-1$$a|b}", {"a", "b"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0$$a|b}", {""}),
        ("{0::a|b}", {"b"}),
        (r"\{a\|b\} | c }", {"{a|b} | c }"}),
        ("cost $$5 {a$$b}", {"cost $$5 a$$b"}),
    ],
)
def test_choices(text: str, expected: set[str]) -> None:
    assert outcomes(text) == expected


def test_choices_follow_their_shares() -> None:
    counted = Counter(expand("{a|3::b}", seed).text for seed in range(2000))
    assert 0.7 < counted["b"] / 2000 < 0.8


def test_options_are_equally_likely() -> None:
    counted = Counter(expand("{a|b|c|d}", seed).text for seed in range(4000))
    assert all(850 < count < 1150 for count in counted.values())


def test_the_seed_fixes_the_text() -> None:
    text = "{a|b|c} {d|e|f} {2$$g|h|i}"
    assert expand(text, 5) == expand(text, 5)
    assert len(outcomes(text)) == 54


def test_wildcards(folder: Path) -> None:
    assert outcomes("a __colour__ hat", folder) == {"a red hat", "a blue hat"}
    assert outcomes("__people/jobs__", folder) == {"a tall 厨师", "a short 厨师"}


@pytest.mark.parametrize(
    "name", ["none", "../secret", "people/../../secret", "/etc/passwd", "people", "bad", "./../secret"]
)
def test_unknown_wildcards_stay_text(name: str, folder: Path) -> None:
    expanded = expand(f"a __{name}__", 0, [folder])
    assert expanded.text == f"a __{name}__"
    assert [w.position for w in expanded.warnings] == [2]


def test_without_a_folder_there_are_no_wildcards() -> None:
    assert expand("__colour__", 0).text == "__colour__"


def test_a_link_does_not_lead_out_of_the_folder(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    assert expand("__link__", 0, [folder]).text == "__link__"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_and_floods_are_no_wildcards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "pipe.txt")
    assert expand("__pipe__", 0, [folder]).text == "__pipe__"
    monkeypatch.setattr("fromnoise.text.prompt_random.MAX_BYTES", 3)
    assert expand("__colour__", 0, [folder]).text == "__colour__"


def test_files_that_name_themselves_end(folder: Path) -> None:
    expanded = expand("__loop__", 0, [folder])
    assert len(expanded.text) <= MAX_LENGTH
    assert "left out" in expanded.warnings[0].message


@pytest.mark.parametrize(
    ("text", "result", "position"),
    [("a {b|c", "a {b|c", 2), ("{a {b|b}", "{a b", 0), ("x {a|{b", "x {a|{b", 2)],
)
def test_open_braces_are_text(text: str, result: str, position: int) -> None:
    expanded = expand(text, 0)
    assert expanded.text == result
    assert expanded.warnings[0].position == position


BITS = ["{", "}", "|", "$$", "2$$", "1-2$$", "::", "0.5::", "__", "a", "__colour__", "__loop__", "\\", " ", "猫"]


@given(st.lists(st.sampled_from(BITS), max_size=40).map("".join) | st.text(), st.integers(0, 2**63))
@settings(max_examples=300, deadline=None)
def test_any_text_expands(text: str, seed: int) -> None:
    expanded = expand(text, seed)
    assert all(0 <= w.position < len(text) for w in expanded.warnings)
    if not set(text) & set("{}|\\_"):
        assert expanded.text == text


@pytest.mark.parametrize("bit", ["{", "{a|", "|", "_", "__a", "__a,", "{a|b}", "__loop__", "{9$$|", "{2::"])
def test_ten_kilobytes_expand_quickly(bit: str, folder: Path) -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        expand(text, 0, [folder])
        return time.process_time() - start

    text = (bit * 10_000)[:10_000]
    for case in (text, text[:5000] + "}" * 5000, "{9999$$" + text + "}"):
        assert any(seconds(case) < 0.15 for _ in range(5))
