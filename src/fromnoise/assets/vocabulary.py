"""CLIP's vocabulary, which comes with the package: byte pairs, and the tokens that they make."""

import lzma
from importlib.resources import files

END_OF_WORD = "</w>"
START_TEXT, END_TEXT = "<|startoftext|>", "<|endoftext|>"


def read_merges() -> list[tuple[str, str]]:
    """The 48,894 pairs of CLIP's byte-pair code, in the order in which they apply."""
    data = files("fromnoise.assets").joinpath("clip/merges.txt.xz").read_bytes()
    return [
        (first, second) for first, _, second in (m.partition(" ") for m in lzma.decompress(data).decode().split("\n"))
    ]


def build_vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Token to id: bytes, bytes that end a word, one token for each merge, start and end."""
    alphabet = byte_alphabet()
    words = [*alphabet, *(c + END_OF_WORD for c in alphabet), *(a + b for a, b in merges), START_TEXT, END_TEXT]
    return {word: index for index, word in enumerate(words)}


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes: printable ones as themselves, then U+0100 and on for the rest."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in printable] + [chr(0x100 + n) for n in range(256 - len(printable))]
