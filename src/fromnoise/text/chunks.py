"""Weighted pieces to chunks of 77 token ids: a start token, at most 75 of the prompt's, an end token, padding.

A prompt of any length becomes one chunk or more; each is encoded by itself and the results are joined. Needs no torch,
so that a server can count tokens.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fromnoise.text.prompt_weights import BREAK, Dialect, Piece
from fromnoise.text.tokenizer import Tokenizer, separate_ideographs

SIZE = Tokenizer.window - 2  # tokens of the prompt in one chunk
COMMA = 267  # the token `,</w>`
BACKTRACK = 20  # a full chunk ends at its last comma if that is at most this many tokens before its end
UNSPLIT = 8  # ComfyUI: segments shorter than this are never cut


class Vector(NamedTuple):
    """A place in a chunk that holds row `row` of the embedding `name` instead of a token."""

    name: str
    row: int


class Slot(NamedTuple):
    """One place in a chunk."""

    token: int | Vector
    weight: float


@dataclass(frozen=True)
class Chunk:
    """Input of the text encoder: 77 ids, 77 weights (1 for start, end and padding), vectors by position."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    vectors: Mapping[int, Vector] = field(default_factory=dict)
    used: int = 0  # tokens of the prompt in it, 0 to 75


def chunk_pieces(
    pieces: Iterable[Piece],
    tokenizer: Tokenizer,
    dialect: Dialect = "native",
    embeddings: Mapping[str, int] | None = None,
) -> list[Chunk]:
    """The chunks of `pieces`, at least one. `embeddings` gives the number of vectors of each embedding by its name.

    `native` and `a1111` start a new chunk at BREAK, and move what follows the last comma on to the next chunk if that
    is less than 20 tokens; embeddings are found by their bare name. `comfyui` keeps segments of less than 8 tokens
    together, and finds `embedding:name`; `native` understands both ways to name one.
    """
    known = embeddings or {}
    if dialect == "comfyui":
        filled = _fill_comfy([_comfy_segments(piece, tokenizer, known) for piece in pieces])
    else:
        names = _Names(tokenizer, known)
        runs = [None if piece == BREAK else list(_runs(piece, tokenizer, names, dialect)) for piece in pieces]
        filled = _fill(runs)
    return [_close(slots, tokenizer) for slots in filled or [[]]]


def count_tokens(chunks: list[Chunk]) -> tuple[int, int]:
    """Tokens used, chunks that are followed by others counting as full, and room for them: `(81, 150)`."""
    return (len(chunks) - 1) * SIZE + chunks[-1].used, len(chunks) * SIZE


def _close(slots: list[Slot], tokenizer: Tokenizer) -> Chunk:
    padding = SIZE - len(slots)
    ids = [0 if isinstance(slot.token, Vector) else slot.token for slot in slots]
    weights = [slot.weight for slot in slots]
    return Chunk(
        ids=(tokenizer.start, *ids, tokenizer.end, *[tokenizer.pad] * padding),
        weights=(1.0, *weights, 1.0, *[1.0] * padding),
        vectors={i + 1: slot.token for i, slot in enumerate(slots) if isinstance(slot.token, Vector)},
        used=len(slots),
    )


# --- native and a1111 -------------------------------------------------------------------------------------------------

_NAMED = re.compile(r"\bembedding:(\S+)")


class _Names:
    """Embeddings by the token ids of their names, the longest first."""

    def __init__(self, tokenizer: Tokenizer, embeddings: Mapping[str, int]) -> None:
        self.embeddings = embeddings
        self.by_first: dict[int, list[tuple[list[int], str]]] = {}
        for name in embeddings:
            ids = tokenizer.encode(name)
            if ids:
                self.by_first.setdefault(ids[0], []).append((ids, name))
        for found in self.by_first.values():
            found.sort(key=lambda item: -len(item[0]))

    def at(self, ids: list[int], index: int) -> tuple[str, int] | None:
        """The embedding whose name starts at `index`, with the number of tokens of its name."""
        for name_ids, name in self.by_first.get(ids[index], ()):
            if ids[index : index + len(name_ids)] == name_ids:
                return name, len(name_ids)
        return None


def _vectors(name: str, count: int, weight: float) -> list[Slot]:
    return [Slot(Vector(name, row), weight) for row in range(count)]


def _runs(piece: Piece, tokenizer: Tokenizer, names: _Names, dialect: Dialect) -> Iterable[list[Slot]]:
    """Slots that stay together: one token, or all vectors of an embedding."""
    position = 0
    if dialect == "native":
        for match in _NAMED.finditer(piece.text):
            found = find_embedding(match[1], names.embeddings)
            if found:
                yield from _token_runs(piece._replace(text=piece.text[position : match.start()]), tokenizer, names)
                yield _vectors(found[0], names.embeddings[found[0]], piece.weight)
                position = match.start(1) + found[1]
    yield from _token_runs(piece._replace(text=piece.text[position:]), tokenizer, names)


def _token_runs(piece: Piece, tokenizer: Tokenizer, names: _Names) -> Iterable[list[Slot]]:
    ids = tokenizer.encode(piece.text)
    index = 0
    while index < len(ids):
        found = names.at(ids, index)
        if found:
            name, length = found
            yield _vectors(name, names.embeddings[name], piece.weight)
            index += length
        else:
            yield [Slot(ids[index], piece.weight)]
            index += 1


def _fill(pieces: list[list[list[Slot]] | None]) -> list[list[Slot]]:
    chunks: list[list[Slot]] = [[]]
    after_comma = -1  # where in the last chunk the text after its last comma starts
    for runs in pieces:
        if runs is None:
            chunks.append([])
            after_comma = -1
            continue
        for run in runs:
            chunk = chunks[-1]
            is_comma = run[0].token == COMMA
            if not is_comma and len(chunk) == SIZE and after_comma > 0 and SIZE - after_comma < BACKTRACK:
                chunks[-1:] = [chunk[:after_comma], chunk[after_comma:]]
                after_comma = -1
            room = SIZE - len(chunks[-1])
            if len(run) > room and (room == 0 or len(run) <= SIZE):
                chunks.append([])
                after_comma = -1
            _extend(chunks, run)
            if is_comma:
                after_comma = len(chunks[-1])
    return chunks if chunks[-1] else chunks[:-1]


def _extend(chunks: list[list[Slot]], run: list[Slot]) -> None:
    while run:
        room = SIZE - len(chunks[-1])
        if room == 0:
            chunks.append([])
            continue
        chunks[-1] += run[:room]
        run = run[room:]


# --- comfyui ----------------------------------------------------------------------------------------------------------

_SEGMENT = re.compile(r"(?:^|[ \n])embedding:")


def _comfy_segments(piece: Piece, tokenizer: Tokenizer, embeddings: Mapping[str, int]) -> list[list[Slot]]:
    """`piece` cut before each ` embedding:`; an embedding that does not exist leaves nothing."""
    starts = [match.start() for match in _SEGMENT.finditer(piece.text)]
    segments = []
    for start, end in zip([0, *starts], [*starts, len(piece.text)], strict=True):
        text = piece.text[start:end]
        if start in starts:
            name, space, rest = text.lstrip(" \n").removeprefix("embedding:").strip("\n").partition(" ")
            found = find_embedding(name, embeddings, commas_only=True)
            if found:
                segments.append(_vectors(found[0], embeddings[found[0]], piece.weight))
                name = name[found[1] :]
            else:
                name = ""
            text = name + space + rest
        segments.append([Slot(token, piece.weight) for token in tokenizer.encode(separate_ideographs(text))])
    return segments


def _fill_comfy(pieces: list[list[list[Slot]]]) -> list[list[Slot]]:
    chunks: list[list[Slot]] = [[]]
    for segment in (segment for segments in pieces for segment in segments):
        if len(segment) >= UNSPLIT:
            _extend(chunks, segment)
        elif len(chunks[-1]) + len(segment) > SIZE:
            chunks.append(segment)
        else:
            chunks[-1] += segment
    return chunks


# --- names of embeddings ----------------------------------------------------------------------------------------------

_ENDING = re.compile(r"\.(?:safetensors|pt|bin)$", re.IGNORECASE)


def find_embedding(text: str, embeddings: Mapping[str, int], *, commas_only: bool = False) -> tuple[str, int] | None:
    """The embedding that `text`, a word after `embedding:`, names, and how many of its characters do so.

    The file ending may be given or not; punctuation after the name (for `commas_only` commas alone) is no part of it.
    """
    for word in (text, bare(text, commas_only=commas_only)):
        for name in (word, _ENDING.sub("", word)):
            if name in embeddings:
                return name, len(word)
    return None


def bare(word: str, *, commas_only: bool = False) -> str:
    """A word after `embedding:` without the punctuation that is no part of the name."""
    return word.rstrip("," if commas_only else ",.;:!?)]}")


def named(text: str, dialect: Dialect) -> list[str]:
    """The words after `embedding:`, known or not; `a1111` has no such way to name one."""
    if dialect == "native":
        return _NAMED.findall(text)
    if dialect == "a1111":
        return []
    return [text[match.end() :].partition(" ")[0].strip("\n") for match in _SEGMENT.finditer(text)]


def mentioned(pieces: Iterable[Piece], tokenizer: Tokenizer, dialect: Dialect, names: Mapping[str, int]) -> set[str]:
    """Those of `names` that `pieces` name."""
    chunks = chunk_pieces(pieces, tokenizer, dialect, names)
    return {vector.name for chunk in chunks for vector in chunk.vectors.values()}
