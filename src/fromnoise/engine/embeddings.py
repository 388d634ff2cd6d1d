"""Textual inversions that prompts name: found on the shelves, and read where a text encoder can take them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from fromnoise.checkpoints.adapter_files.embedding import PICTURES, EmbeddingFile
from fromnoise.engine import shelves
from fromnoise.engine.library import Model
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPText
from fromnoise.text.chunks import bare, find_embedding, mentioned, named
from fromnoise.text.prompt_weights import Dialect, Piece
from fromnoise.text.tokenizer import Tokenizer

Source = Path | EmbeddingFile  # a file, or what a LoRA brought along


def embeddings_in(
    model: Model, uses: Iterable[NetworkUse], said: Iterable[tuple[Piece, ...]], dialect: Dialect
) -> dict[str, EmbeddingFile]:
    """The embeddings that texts name, by the name they use, of those that this model's text encoders can take.

    A name that stands for itself is a word like any other where its embedding was made for other models. FileError
    where `embedding:name` names none, or one that doesn't fit.
    """
    sources: dict[str, Source] = {**model.networks.embeddings()}
    for use in uses:
        sources |= model.networks.lora(use).embeddings if use.kind == "lora" else {}
    names = dict.fromkeys(sources, 1)
    found: dict[str, EmbeddingFile] = {}
    for pieces in said:
        for word in (word for piece in pieces for word in named(piece.text, dialect)):
            name, source = explicit(model, word, names, sources, dialect)
            found[name] = checked(loaded(model, source), name, model, dialect)
        for name in mentioned(pieces, Tokenizer(), dialect, names) - found.keys():
            embedding = as_word(model, sources[name])
            if embedding is not None and takes(model, embedding, dialect):
                found[name] = embedding
    return found


def explicit(
    model: Model, word: str, names: Mapping[str, int], sources: Mapping[str, Source], dialect: Dialect
) -> tuple[str, Source]:
    """What a word after `embedding:` names. FileError with near names where it is nothing."""
    commas_only = dialect == "comfyui"
    known = find_embedding(word, names, commas_only=commas_only)
    if known is not None:
        return known[0], sources[known[0]]
    name = bare(word, commas_only=commas_only)
    return name, shelves.find("embeddings", name, model.settings)


def loaded(model: Model, source: Source) -> EmbeddingFile:
    return model.networks.embedding(source) if isinstance(source, Path) else source


def as_word(model: Model, source: Source) -> EmbeddingFile | None:
    """None for pictures that carry no embedding: they may lie there for other reasons."""
    try:
        return loaded(model, source)
    except FileError:
        if isinstance(source, Path) and source.suffix.lower() in PICTURES:
            return None
        raise


def takes(model: Model, embedding: EmbeddingFile, dialect: Dialect) -> bool:
    """Whether the model's text encoders can take an embedding: each of them, or in ComfyUI one."""
    fitting = [vectors_for(encoder, index, embedding) is not None for index, encoder in enumerate(model.text)]
    return any(fitting) if dialect == "comfyui" else all(fitting)


def checked(embedding: EmbeddingFile, name: str, model: Model, dialect: Dialect) -> EmbeddingFile:
    if not takes(model, embedding, dialect):
        widths = " and ".join(str(vectors.shape[1]) for vectors in embedding.vectors)
        wanted = " and ".join(str(encoder.config.dim) for encoder in model.text)
        raise FileError(f"embedding {name!r} is for other models: it has {widths} numbers, {model.name} takes {wanted}")
    return embedding


def for_encoders(model: Model, embeddings: Mapping[str, EmbeddingFile]) -> list[dict[str, Tensor]]:
    """The vectors (n d) by name, for each text encoder."""
    return [
        {
            name: vectors
            for name, embedding in embeddings.items()
            if (vectors := vectors_for(encoder, index, embedding)) is not None
        }
        for index, encoder in enumerate(model.text)
    ]


def vectors_for(encoder: CLIPText, index: int, embedding: EmbeddingFile) -> Tensor | None:
    """Those of the encoder's place where the file has them for each, else those of its width."""
    own = embedding.vectors[index] if index < len(embedding.vectors) else None
    if own is not None and own.shape[1] == encoder.config.dim:
        return own
    return embedding.of_width(encoder.config.dim)
