"""What steers the network, from a recipe's prompts: token states, and for SDXL sizes and pooled states."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.nn.unet import timestep_embedding
from fromnoise.sampling.guidance import Cond
from fromnoise.text.encode import Encoded, LayerRule, clip_skip, encode, join, match_chunks
from fromnoise.text.prompt_weights import parse_weights
from fromnoise.text.tokenizer import Tokenizer

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5  # what the refiner's cond and uncond ask for


@dataclass(frozen=True)
class Prompts:
    """Both sides of classifier-free guidance."""

    cond: Cond
    uncond: Cond

    def with_concat(self, concat: Tensor) -> "Prompts":
        """Both with extra input channels (1 c h w)."""
        return Prompts(replace(self.cond, concat=concat), replace(self.uncond, concat=concat))


def encode_prompts(model: Model, recipe: Recipe) -> Prompts:
    """The prompt and the negative prompt, with contexts of equal length so that they share batches."""
    cond, uncond, empty = (encode_text(model, text, recipe.clip_skip) for text in (recipe.prompt, recipe.negative, ""))
    cond, uncond = match_chunks([cond, uncond], empty)
    return Prompts(
        Cond(cond.context, vector(model, cond, recipe, AESTHETIC_SCORE)),
        Cond(uncond.context, vector(model, uncond, recipe, NEGATIVE_AESTHETIC_SCORE)),
    )


def encode_text(model: Model, text: str, skip: int | None) -> Encoded:
    """One prompt through all of the model's text encoders."""
    pieces = parse_weights(text)
    states = []
    for encoder in model.text:
        tokenizer = Tokenizer(pad=Tokenizer.end if encoder.config.act == "quick_gelu" else 0)
        rule = clip_skip(skip) if skip else layer_rule(model)
        states.append(encode(pieces, encoder, tokenizer, layer=rule, dtype=model.placement.dtype))
    return states[0] if len(states) == 1 else join(*states)


def layer_rule(model: Model) -> LayerRule:
    """Which layer the U-Net was trained on."""
    return LayerRule(model.facts.text_layer, model.facts.text_final_norm)


def vector(model: Model, encoded: Encoded, recipe: Recipe, aesthetic_score: float) -> Tensor | None:
    """SDXL's y (1 v): pooled states, then original size, crop and target size, or the refiner's aesthetic score.

    Podell et al. (2023), section 2.2: each number as 256 sinusoids.
    """
    if model.unet.config.vector_dim is None:
        return None
    height, width = float(recipe.height), float(recipe.width)
    numbers = [height, width, 0.0, 0.0]
    numbers += [aesthetic_score] if model.facts.family == "sdxl_refiner" else [height, width]
    pooled = encoded.pooled.float()
    return torch.cat((pooled, timestep_embedding(torch.tensor(numbers, device=pooled.device), 256).reshape(1, -1)), 1)
