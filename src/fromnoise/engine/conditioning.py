"""What steers the network, from a recipe's prompts: token states, and for SDXL sizes and pooled states.

A prompt may say other things at other steps, and several things at once (AND): `spoken` gives a list of `Prompts`, each
from one step on. Whatever is said twice is encoded once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from fromnoise.checkpoints.adapter_files.embedding import EmbeddingFile
from fromnoise.engine.embeddings import embeddings_in, for_encoders
from fromnoise.engine.image_vectors import image_vector
from fromnoise.engine.library import Model
from fromnoise.engine.low_res import level_vector
from fromnoise.engine.networks import encoding
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import NetworkUse, named
from fromnoise.engine.recipe_parts import Sizes
from fromnoise.errors import UserError
from fromnoise.nn.unet import timestep_embedding
from fromnoise.sampling.guidance import Cond
from fromnoise.text.encode import Encoded, LayerRule, encode_together, join, match_chunks
from fromnoise.text.prompt import Piece, Prompt, Timing, parse, schedule
from fromnoise.text.prompt_tree import changes
from fromnoise.text.tokenizer import Tokenizer

WINDOW = Tokenizer.window

Pieces: TypeAlias = tuple[Piece, ...]
Embeddings: TypeAlias = Sequence[Mapping[str, Tensor]]  # for each text encoder: name to vectors (n d)


@dataclass(frozen=True)
class Words:
    """What one pass is told, and what its steps are counted by."""

    prompt: str
    negative: str
    width: int  # pixels of the pass
    height: int
    steps: int
    first_pass: int | None = None  # steps of the pass before, if there is one
    networks: tuple[NetworkUse, ...] = ()  # LoRAs and the like: the recipe's, and those of the prompt's tags

    @classmethod
    def of(cls, recipe: Recipe) -> "Words":
        """Those of a recipe's first pass, counted by its steps."""
        networks = networks_named(recipe, recipe.prompt, recipe.steps)
        return cls(recipe.prompt, recipe.negative, recipe.width, recipe.height, recipe.steps, networks=networks)

    def over(self, steps: int) -> "Words":
        """The same, counted by that many steps."""
        return replace(self, steps=steps)

    def times(self, factor: int) -> "Words":
        """The same, with so many counts for each step."""
        return replace(self, steps=self.steps * factor, first_pass=self.first_pass and self.first_pass * factor)


@dataclass(frozen=True)
class Prompts:
    """Both sides of guidance from one step on."""

    conds: tuple[tuple[Cond, float], ...]  # what stands between ANDs, with its weight
    uncond: Cond
    start: int  # counted as in `words`
    words: Words  # what they were made of

    @property
    def cond(self) -> Cond:
        """The first subprompt, mostly the only one."""
        return self.conds[0][0]


def networks_named(recipe: Recipe, prompt: str, steps: int) -> tuple[NetworkUse, ...]:
    """The networks of a pass of so many steps that has this prompt."""
    return named(recipe.networks, prompt, PROFILES[recipe.profile].dialect, steps)


def encode_prompts(model: Model, recipe: Recipe) -> Prompts:
    """What the prompts of a recipe say at its first step."""
    return spoken(model, recipe, Words.of(recipe))[0]


def spoken(
    model: Model, recipe: Recipe, words: Words, *, refiner: bool = False, embeddings: Embeddings = ()
) -> list[Prompts]:
    """What `words` say from each step on at which they say something new, encoded for `model`.

    `refiner` marks the conds for the executor's second model, which `model` is then.
    """
    profile = PROFILES[recipe.profile]
    timing = _timing(recipe, words)
    positive, negative = both_parsed(words, profile)
    starts = sorted({start for prompt in (positive, negative) for start in _starts(prompt, timing)})
    networks = () if refiner else words.networks
    vectors = embeddings or for_encoders(model, embeddings_named(model, recipe, replace(words, networks=networks)))
    encoder = Encoder(model, recipe, profile, vectors, networks)
    told, told_not = (encoder.parts(prompt, timing, starts) for prompt in (positive, negative))
    sizes = recipe.sizes or Sizes()
    picture = None if refiner else image_vector(model, recipe)
    level = level_vector(model, recipe) if model.unet.config.classes else None

    def cond(encoded: Encoded, score: float, picture: Tensor | None = None) -> Cond:
        y = level if model.unet.config.classes else vector(model, encoded, words, sizes, score, picture)
        return Cond(encoded.context, y, timestep=profile.timestep, refiner=refiner)

    found = []
    for start in starts:
        subprompts = _at(positive, start, timing)
        states = [part[pieces] for part, (pieces, _) in zip(told, subprompts, strict=True)]
        without = told_not[0][_at(negative, start, timing)[0][0]]
        if profile.zero_empty_negative and not words.negative and model.facts.family.startswith("sdxl"):
            without = Encoded(*(torch.zeros_like(state) for state in without))
        *states, without = encoder.fitted([*states, without])
        conds = [
            (cond(state, sizes.aesthetic_score, picture), weight)
            for state, (_, weight) in zip(states, subprompts, strict=True)
        ]
        uncond = replace(cond(without, sizes.negative_aesthetic_score), negative=True)
        found.append(Prompts(tuple(conds), uncond, start, words))
    return found


def both_parsed(words: Words, profile: Profile) -> tuple[Prompt, Prompt]:
    """The prompt and the negative prompt, where AUTOMATIC1111 leaves tags as text and others refuse them."""
    tags = profile.dialect != "a1111"
    negative = parse(words.negative, profile.dialect, compose=False, weights=profile.weights, tags=tags)
    refuse_networks(negative)
    return parse(words.prompt, profile.dialect, weights=profile.weights), negative


def embeddings_named(model: Model, recipe: Recipe, words: Words) -> dict[str, EmbeddingFile]:
    """The embeddings that `words` name at any step."""
    profile, timing = PROFILES[recipe.profile], _timing(recipe, words)
    prompts = both_parsed(words, profile)
    said = [pieces for prompt in prompts for pieces in _all_said(prompt, _starts(prompt, timing), timing)]
    return embeddings_in(model, words.networks, said, profile.dialect)


def refuse_networks(prompt: Prompt) -> None:
    """A UserError for tags such as <lora:name:0.8> in a negative prompt."""
    for network in prompt.networks:
        raise UserError(
            f"<{network.kind}:{network.name}> is in the negative prompt: a network acts on the whole picture, so write "
            "it in the prompt, with a negative strength if it is to act the other way"
        )


class Encoder:
    """A model's text encoders as one recipe wants them; remembers what it has encoded."""

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        profile: Profile,
        embeddings: Embeddings = (),
        networks: Sequence[NetworkUse] = (),
    ) -> None:
        self.model, self.profile, self.embeddings, self.networks = model, profile, embeddings, networks
        self.emphasis = recipe.emphasis or profile.emphasis
        self.layer = layer_rule(model, profile, recipe.clip_skip)
        self.known: dict[tuple[Pieces, ...], list[Encoded]] = {}

    def parts(self, prompt: Prompt, timing: Timing, starts: Sequence[int]) -> list[dict[Pieces, Encoded]]:
        """For each subprompt, the states of everything that it says at the steps `starts`."""
        if self.profile.emphasis_together:
            stages = [_stages(prompt, index, timing) for index in range(len(prompt.parts))]
            return [dict(zip(said, self.encode(*said), strict=True)) for said in stages]
        said_at = [_at(prompt, start, timing) for start in starts]
        return [
            {pieces: self.encode(pieces)[0] for pieces in dict.fromkeys(said[index][0] for said in said_at)}
            for index in range(len(prompt.parts))
        ]

    def encode(self, *stages: Pieces) -> list[Encoded]:
        """The states of some texts; where weights are restored over stages, together."""
        if stages not in self.known:
            self.known[stages] = self.model.enduring(lambda: self._encode(stages))
        return self.known[stages]

    def fitted(self, states: list[Encoded]) -> list[Encoded]:
        """Contexts of the conds and, last, of the uncond, made as long as they have to be."""
        if self.profile.pad_prompts:
            return match_chunks(states, self.encode((Piece(""),))[0])
        *conds, uncond = states
        if self.profile.dialect != "a1111":
            return states
        longest = max(state.context.shape[1] for state in conds)
        return [*(_last_repeated(state, longest) for state in conds), uncond]

    def _encode(self, stages: Sequence[Pieces]) -> list[Encoded]:
        by_encoder = []
        for index, encoder in enumerate(self.model.text):
            with encoding(self.model, self.networks, index):
                encoded = encode_together(
                    stages,
                    encoder,
                    Tokenizer(pad=Tokenizer.end if encoder.config.act == "quick_gelu" else 0),
                    layer=self.layer,
                    emphasis=self.emphasis,
                    dialect=self.profile.dialect,
                    embeddings=self.embeddings[index] if self.embeddings else None,
                    dtype=self.model.placement.dtype,
                )
            by_encoder.append([self._cut(state) for state in encoded])
        return [states[0] if len(states) == 1 else join(*states) for states in zip(*by_encoder, strict=True)]

    def _cut(self, encoded: Encoded) -> Encoded:
        return encoded._replace(context=encoded.context[:, :WINDOW]) if self.profile.first_chunk_only else encoded


def layer_rule(model: Model, profile: Profile, skip: int | None) -> LayerRule:
    """Which states the U-Net is given: those it was trained on, or, counted from the end, those of clip skip."""
    facts = model.facts
    if skip is None or facts.family not in profile.clip_skip_families:
        return LayerRule(facts.text_layer, facts.text_final_norm)
    missing = facts.family == "sd2" and facts.text_layer == 1  # the file has no last layer
    return LayerRule(max(1, skip - missing), facts.text_final_norm)


def vector(
    model: Model, encoded: Encoded, words: Words, sizes: Sizes, aesthetic_score: float, picture: Tensor | None = None
) -> Tensor | None:
    """SDXL's y (1 v): pooled states, then original size, crop and target size, or the refiner's aesthetic score.

    Podell et al. (2023), section 2.2: each number as 256 sinusoids. `picture` takes the place of the pooled states.
    unCLIP's is the picture's vector alone, zeros where there is none.
    """
    if model.unet.config.vector_dim is None:
        return None
    if model.facts.task == "unclip":
        return torch.zeros(1, model.unet.config.vector_dim) if picture is None else picture
    here = words.width, words.height
    (width, height), (left, top), (target_width, target_height) = (
        sizes.original or here,
        sizes.crop,
        sizes.target or here,
    )
    last = [aesthetic_score] if model.facts.family == "sdxl_refiner" else [target_height, target_width]
    numbers = torch.tensor([height, width, top, left, *last], dtype=torch.float32, device=encoded.pooled.device)
    pooled = encoded.pooled if picture is None else picture.to(encoded.pooled)
    return torch.cat((pooled.float(), timestep_embedding(numbers, 256).reshape(1, -1)), 1)


def _timing(recipe: Recipe, words: Words) -> Timing:
    if recipe.old_prompt_timing:  # it knows no second pass
        return Timing(words.first_pass or words.steps, None, True)
    return Timing(words.steps, words.first_pass)


def _starts(prompt: Prompt, timing: Timing) -> list[int]:
    found = schedule(prompt, timing.steps, first_pass=timing.first_pass, old_rule=timing.old_rule)
    return [start for start, _ in found]


def _at(prompt: Prompt, step: int, timing: Timing) -> list[tuple[Pieces, float]]:
    said = prompt.at(step, timing.steps, first_pass=timing.first_pass, old_rule=timing.old_rule)
    return [(subprompt.pieces, subprompt.weight) for subprompt in said]


def _all_said(prompt: Prompt, starts: Sequence[int], timing: Timing) -> set[Pieces]:
    """Every text that a prompt says at some step."""
    at_starts = {pieces for start in starts for pieces, _ in _at(prompt, start, timing)}
    return at_starts.union(*(_stages(prompt, index, timing) for index in range(len(prompt.parts))))


def _stages(prompt: Prompt, index: int, timing: Timing) -> list[Pieces]:
    """What the subprompt `index` says between its changes, in order."""
    inside = {change for change in changes(prompt.parts[index].tree, timing) if 1 <= change <= timing.steps}
    return [_at(prompt, step, timing)[index][0] for step in sorted(inside | {timing.steps})]


def _last_repeated(encoded: Encoded, length: int) -> Encoded:
    """The context lengthened by its last vector, as AUTOMATIC1111 stacks subprompts."""
    missing = length - encoded.context.shape[1]
    return encoded._replace(context=torch.cat((encoded.context, encoded.context[:, -1:].expand(-1, missing, -1)), 1))
