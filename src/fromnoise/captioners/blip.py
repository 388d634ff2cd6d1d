"""BLIP captions: a sentence about a picture, through transformers. Li et al. (2022), arXiv 2201.12086.

A folder as transformers saves it: config.json, model.safetensors, the tokenizer's and the preprocessor's files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption
from fromnoise.errors import FileError, UserError

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's pictures
NEEDED = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class SentenceRules:
    """How a sentence is looked for."""

    prompt: str = ""  # how it begins, such as "a picture of"
    search: Literal["beam", "sample"] = "beam"
    beams: int = 3
    top_p: float = 0.9
    shortest: int = 5  # tokens
    longest: int = 75
    seed: int = 0  # of sampling


DEFAULT_RULES = SentenceRules()


@dataclass(frozen=True)
class Blip:
    """`blip` in the registry."""

    label = "BLIP sentence"
    label_zh = "BLIP 句子描述"

    def load(self, folder: Path, rules: SentenceRules = DEFAULT_RULES) -> "LoadedBlip":
        for name in NEEDED:
            if not (folder / name).is_file():
                raise FileError(
                    f"{folder} has no {name}: put a BLIP model as transformers saves it there, "
                    "such as Salesforce/blip-image-captioning-base"
                )
        try:
            from transformers import AutoTokenizer, BlipForConditionalGeneration
        except ImportError:
            raise UserError("BLIP needs transformers: pip install fromnoise[caption]") from None
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = BlipForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # transformers raises what its parts raise
            raise FileError(f"{folder}: not a BLIP model that can be read ({error})") from error
        return LoadedBlip(model.eval(), tokenizer, rules)


class LoadedBlip:
    """BLIP with its model: pictures to sentences."""

    def __init__(self, model: Any, tokenizer: Any, rules: SentenceRules) -> None:
        self.model, self.tokenizer, self.rules = model, tokenizer, rules
        self.side = int(model.config.vision_config.image_size)

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Image.Image]) -> list[Caption]:
        rules = self.rules
        pixels = torch.from_numpy(np.stack([prepared(picture, self.side) for picture in pictures]))
        told: dict[str, Any] = {}
        if rules.prompt:
            begun = self.tokenizer([rules.prompt] * len(pictures), return_tensors="pt")
            told = {"input_ids": begun["input_ids"], "attention_mask": begun["attention_mask"]}
        if rules.search == "beam":
            told |= {"num_beams": rules.beams, "do_sample": False}
        else:
            torch.manual_seed(rules.seed)
            told |= {"do_sample": True, "top_p": rules.top_p, "repetition_penalty": 1.1}
        tokens = self.model.generate(pixel_values=pixels, min_length=rules.shortest, max_length=rules.longest, **told)
        begin = self.model.config.text_config.bos_token_id  # [DEC], which some tokenizers take for a word
        said = [[token for token in row if token != begin] for row in tokens.tolist()]
        return [Caption(text.strip()) for text in self.tokenizer.batch_decode(said, skip_special_tokens=True)]


def prepared(picture: Image.Image, side: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(3 side side), of CLIP's mean and deviation."""
    resized = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
    return pixels.transpose(2, 0, 1).astype(np.float32)


CAPTIONERS.add("blip", Blip(), aliases=("blip-base", "blip-large", "sentence"))
