"""Textual inversion: vectors that stand for a new word, and nothing else, are learnt.

Gal et al. (2022), arXiv 2208.01618. SDXL has a set of vectors for each of its two text encoders.
"""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.engine.images import write_whole
from fromnoise.engine.library import Model
from fromnoise.errors import FileError, UserError
from fromnoise.nn.clip import CLIPText
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.pickled import pickled
from fromnoise.train.trainable import Trainable, write_hashed

OBJECT = ("a photo of {}", "a picture of {}", "{}", "a close-up of {}", "one {} by itself", "a clear view of {}",
          "a bright photo of {}", "a dark photo of {}", "an image that shows {}", "this is {}")  # fmt: skip
STYLE = ("a picture in the style of {}", "a painting in the style of {}", "a drawing in the style of {}",
         "art by {}", "{} style", "a scene as {} shows it")  # fmt: skip
TEMPLATES = {"object": OBJECT, "style": STYLE}
SDXL = ("clip_l", "clip_g")


class EmbeddingOptions(BaseModel):
    """Options of textual inversion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(default="", description="The new word; by default the name.")
    init_word: str = Field(default="", description="A word that means something like it, to begin with.")
    vectors: int = Field(default=1, ge=1, le=75, description="How many vectors the word is.")
    start: Path | None = Field(default=None, description="An embedding to go on from, which tells how many vectors.")
    template: Literal["auto", "object", "style", "captions"] = Field(
        default="auto", description="Sentences around the word; auto takes captions that have the word as they are."
    )


class EmbeddingTraining(Trainable):
    """Vectors of one word."""

    trains_text = True

    def __init__(self, model: Model, options: EmbeddingOptions, seed: int) -> None:
        if not options.token.strip():
            raise UserError("a word to learn is missing: give one with --token, or a --name")
        self.model, self.options, self.token = model, options, options.token.strip()
        generator = torch.Generator().manual_seed(seed)
        if options.start is None:
            vectors = [beginning(encoder, options, generator) for encoder in model.text]
        else:
            vectors = gone_on_from(options.start, model, options)
        self.module = nn.ParameterDict({f"text{i}": nn.Parameter(one) for i, one in enumerate(vectors)})

    def embeddings(self) -> tuple[Mapping[str, Tensor], ...]:
        return tuple({self.token: self.module.get_parameter(f"text{i}")} for i in range(len(self.model.text)))

    def said(self, caption: str, random: Random) -> str:
        template = self.options.template
        if template == "captions" or (template == "auto" and self.token in caption):
            return caption
        sentence = random.choice(TEMPLATES["style" if template == "style" else "object"]).format(self.token)
        return f"{sentence}, {caption}" if caption and template == "auto" else sentence

    def tensors(self) -> dict[str, Tensor]:
        vectors = [self.module.get_parameter(f"text{i}").detach() for i in range(len(self.model.text))]
        return {"emb_params": vectors[0]} if len(vectors) == 1 else dict(zip(SDXL, vectors, strict=True))

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        """Safetensors with kohya's names; a .pt is AUTOMATIC1111's."""
        if path.suffix != ".pt":
            return write_hashed(path, self.tensors(), {**self.metadata(), **told}, self.stored)
        tensors = {name: tensor.float().cpu() for name, tensor in self.tensors().items()}
        if len(tensors) == 1:
            tree: dict[object, object] = {
                "string_to_token": {"*": 265}, "string_to_param": {"*": tensors["emb_params"]}, "name": path.stem,
                "step": int(told.get("ss_steps", 0)), "sd_checkpoint": told.get("ss_new_sd_model_hash", "")[:10],
                "sd_checkpoint_name": told.get("ss_sd_model_name"),
            }  # fmt: skip
        else:
            tree = {name: tensor for name, tensor in tensors.items()}  # noqa: C416
        write_whole(path, pickled(tree))
        return path


def gone_on_from(path: Path, model: Model, options: EmbeddingOptions) -> list[Tensor]:
    """The vectors of a file (n d), for each text encoder. FileError where they are another model's, or not as many."""
    found = read_embedding(path).vectors
    tables = [encoder.text_model.embeddings.token_embedding.weight for encoder in model.text]
    if [one.shape[1] for one in found] != [table.shape[1] for table in tables]:
        raise FileError(f"{path} is an embedding for another family of models; take one that was made for this")
    count = len(found[0])
    if "vectors" in options.model_fields_set and options.vectors != count:
        raise FileError(f"{path} has {count} vectors, not {options.vectors}; leave --vectors out")
    return [one.float().to(table.device).clone() for one, table in zip(found, tables, strict=True)]


@torch.no_grad()
def beginning(encoder: CLIPText, options: EmbeddingOptions, generator: torch.Generator) -> Tensor:
    """The vectors to begin with (n d): those of a word, over and over; or the mean of all words, shaken a little."""
    table = encoder.text_model.embeddings.token_embedding.weight.float()
    ids = Tokenizer().encode(options.init_word)
    if ids:
        return table[[ids[i % len(ids)] for i in range(options.vectors)]].clone()
    shape = options.vectors, table.shape[1]
    return table.mean(0) + 0.3 * table.std(0) * torch.randn(shape, generator=generator).to(table)
