"""The tokenizer gives the ids of transformers' CLIPTokenizer, built here from the same merges, on awkward strings."""

import random
import unicodedata

import pytest

from fromnoise.assets.vocabulary import build_vocabulary, read_merges
from fromnoise.text.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789٣४Ⅻ½²",
    "一个红苹果放在桌子上的照片，日本語テキスト한국어",
    "éèüñßøÅİıſǅﬁ",
    "ÀàЖжΩωΣσςאבגدذر",
    "🍎🐱👩‍🚀🏳️‍🌈☕️🇨🇳",
    "\u0300\u0301\u0308\u20dd\u0327",
    "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "\t\n\r\x0b\x0c\u00a0\u2003\u3000\u2028\x85",
    "\x00\x01\x07\x1b\x7f\x80",
    ".,:;!?'\"()[]{}<>|\\/_-+=*&^%$#@~`",
    "ＡＢＣ１２３！",
]
PIECES = ["'s", "'T", "'re", "'VE", "'ll", "don't", "I'd've", "&amp;", "<lora:x:1>", "...", "8k", "1girl", "a" * 300]
SPECIALS = ["<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<|endoftext"]


def awkward(count: int) -> list[str]:
    rng = random.Random(0)
    texts = ["", " ", "\n\n", *PIECES, *SPECIALS, "<|endoftext|>cat<|endoftext|>", "wordword" * 100]
    while len(texts) < count:
        parts = []
        for _ in range(rng.randint(1, 12)):
            letters = rng.choice(ALPHABETS)
            word = "".join(rng.choice(letters) for _ in range(rng.randint(1, 12)))
            parts.append(rng.choice([word, word, word, rng.choice(PIECES), rng.choice(SPECIALS)]))
            parts.append(rng.choice(["", "", " ", "  ", "'", ", "]))
        texts.append("".join(parts))
    return [*texts, *(unicodedata.normalize("NFD", t) for t in texts[:100])]


@pytest.fixture(scope="module")
def peer():
    merges = read_merges()
    return transformers.CLIPTokenizer(vocab=build_vocabulary(merges), merges=merges)


def test_ids_equal_transformers(peer) -> None:
    ours = Tokenizer()
    for text in awkward(1500):
        assert ours.encode(text) == peer(text, add_special_tokens=False)["input_ids"], repr(text)


def test_windows_equal_transformers(peer) -> None:
    ours = Tokenizer()
    for text in awkward(200):
        theirs = peer(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
        assert ours.encode_window(text) == theirs, repr(text)


def test_decoding_equals_transformers(peer) -> None:
    ours = Tokenizer()
    for text in awkward(300):
        ids = ours.encode(text)
        assert ours.decode(ids) == peer.decode(ids, skip_special_tokens=True), repr(text)
