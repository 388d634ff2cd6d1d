"""CLIP's tokenizer: known ids, windows, decoding, and that loading it is cheap."""

import subprocess
import sys

import pytest

from fromnoise.assets.vocabulary import build_vocabulary, read_merges
from fromnoise.text.tokenizer import Tokenizer, separate_ideographs

tokenizer = Tokenizer()


def test_known_ids() -> None:
    assert tokenizer.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert tokenizer.encode("") == []


def test_case_and_white_space_do_not_matter() -> None:
    assert tokenizer.encode("  A\n Photo\tOF a CAT ") == tokenizer.encode("a photo of a cat")


def test_vocabulary_has_the_size_of_the_embedding_table() -> None:
    vocabulary = build_vocabulary(read_merges())
    assert len(vocabulary) == Tokenizer.vocab_size
    assert sorted(vocabulary.values()) == list(range(Tokenizer.vocab_size))
    assert (vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]) == (Tokenizer.start, Tokenizer.end)


@pytest.mark.parametrize("pad", [49407, 0])
def test_window_has_start_end_and_padding(pad: int) -> None:
    assert Tokenizer(pad).encode_window("a cat") == [49406, 320, 2368, 49407] + [pad] * 73


def test_window_cuts_long_text() -> None:
    window = tokenizer.encode_window("cat " * 200)
    assert window == [49406] + [2368] * 75 + [49407]


def test_decode_spaces_words_and_drops_the_frame() -> None:
    assert tokenizer.decode(tokenizer.encode_window("A photo of 42 Cats, 日本 ☕")) == "a photo of 4 2 cats , 日本 ☕"


def test_every_token_has_a_spelling() -> None:
    assert tokenizer.token(2368) == "cat</w>"
    with pytest.raises(IndexError, match="49408"):
        tokenizer.token(49408)


def test_lone_surrogates_are_read_as_question_marks() -> None:
    assert tokenizer.encode("a \ud800 cat") == tokenizer.encode("a ? cat")


def test_loading_needs_no_torch_and_little_time() -> None:
    code = (
        "import sys, time; t = time.process_time()\n"
        "from fromnoise.text.tokenizer import Tokenizer; Tokenizer().encode('a cat')\n"
        "print(time.process_time() - t, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    seconds, *imported = min(run.stdout.split() for run in runs)
    assert imported == ["False", "False"]
    assert float(seconds) < 0.15


def test_comfyui_reads_chinese_characters_one_by_one() -> None:
    assert separate_ideographs("a 红苹果, ひらがな").split() == ["a", "红", "苹", "果", ",", "ひらがな"]
    assert separate_ideographs("a\u200d\x00 c\tat") == "a c\tat"
    assert separate_ideographs("plain text") == "plain text"
