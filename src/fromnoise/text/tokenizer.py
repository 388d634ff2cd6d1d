"""CLIP's byte-pair tokenizer: text to ids of the 49,408-token vocabulary shared by all Stable Diffusion text encoders.

Normalisation is Unicode NFC, white space to one space and lower case; nothing else is cleaned (no HTML, no ftfy).
Words are letters, single digits, runs of other signs, or English contractions (Radford et al., arXiv 2103.00020).
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from fromnoise.assets.vocabulary import END_OF_WORD, END_TEXT, START_TEXT, build_vocabulary, read_merges

if TYPE_CHECKING:
    import tokenizers

WORD = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """Text to CLIP token ids and back.

    `pad` fills the rest of a window: 49407 for CLIP-L (it repeats the end token), 0 for the OpenCLIP encoders (SD2's H
    and SDXL's bigG). Instances are cheap; the vocabulary is loaded once per process.

    >>> Tokenizer().encode("a photo of a cat")
    [320, 1125, 539, 320, 2368]
    """

    start = 49406
    end = 49407
    window = 77
    vocab_size = 49408

    def __init__(self, pad: int = end) -> None:
        self.pad = pad

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, any number of them, without start, end and padding."""
        ids: list[int] = _load().encode(_valid(text), add_special_tokens=False).ids
        return ids

    def encode_window(self, text: str) -> list[int]:
        """Exactly 77 ids: start, at most 75 of `text`'s (the rest is dropped), end, padding."""
        ids = [self.start, *self.encode(text)[: self.window - 2], self.end]
        return ids + [self.pad] * (self.window - len(ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, lower case, words apart; start and end tokens leave no trace."""
        text: str = _load().decode(list(ids), skip_special_tokens=True)
        return text.replace(END_OF_WORD, " ").strip()

    def token(self, index: int) -> str:
        """The vocabulary's own spelling of one token, such as `cat</w>`."""
        text: str | None = _load().id_to_token(index)
        if text is None:
            raise IndexError(f"token ids are 0 to {self.vocab_size - 1}, not {index}")
        return text


def _valid(text: str) -> str:
    """Lone surrogates, which no encoding of Unicode can carry, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


_IDEOGRAPH = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f])"
)


def separate_ideographs(text: str) -> str:
    """`text` as ComfyUI's tokenizer sees it: every Chinese character a word by itself, no invisible characters.

    This is what transformers 4 does where ftfy is not installed: BERT's cleaning (Devlin et al., arXiv 1810.04805).
    """
    if text.isascii() and text.isprintable():
        return text
    visible = (c for c in text if c in "\t\n\r" or (c != "\ufffd" and unicodedata.category(c)[0] != "C"))
    return _IDEOGRAPH.sub(r" \1 ", "".join(visible))


@cache
def _load() -> "tokenizers.Tokenizer":
    import tokenizers  # whoever only lists what there is, as a server does, needs none
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

    merges = read_merges()
    model = models.BPE(
        vocab=build_vocabulary(merges),
        merges=merges,
        end_of_word_suffix=END_OF_WORD,
        unk_token=END_TEXT,
        fuse_unk=False,
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in (START_TEXT, END_TEXT)])
    return tokenizer
