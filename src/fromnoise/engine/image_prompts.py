"""Image prompts and boxes of a recipe, ready to go along with the network's calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.gligen import Boxes
from fromnoise.adapters.ip_adapter import PicturePrompt
from fromnoise.engine.conditioning import Words
from fromnoise.engine.guiding import StepOf
from fromnoise.engine.image_tokens import Reader, Tokens, wanted_vision
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_pictures import Box, Gligen, ImagePrompt
from fromnoise.engine.references import ImageRef
from fromnoise.engine.spans import Holds, span
from fromnoise.engine.start import open_reference, pixels_of
from fromnoise.errors import UserError
from fromnoise.nn.ip_adapter import IPAdapter, Site, sites
from fromnoise.sampling.areas import Place
from fromnoise.sampling.guidance import Attachment
from fromnoise.sampling.samplers import Evaluate
from fromnoise.text.ip_adapter_weights import layer_weights
from fromnoise.text.tokenizer import Tokenizer

LAYOUT_LAYER = 3  # SDXL's, where another picture for the layout is looked at
LATENT = 8  # pixels: ComfyUI's boxes have whole latents


@dataclass(frozen=True, eq=False)
class Steering:
    """A companion of calls (`sampling.guidance_companions`): one attachment for each side, in a part of the run."""

    holds: Holds
    positive: Attachment
    negative: Attachment

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        """What a call brings along at this question."""
        if not self.holds(ask):
            return ()
        return (self.negative if negative else self.positive,)

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        """The network's guess, as it is."""
        return denoised


def steerings(model: Model, recipe: Recipe, words: Words, step_of: StepOf) -> list[Steering]:
    """Those of a pass that is counted by the steps of `words`.

    FileError where a file is missing, has changed or can't be used, UserError where something doesn't fit.
    """
    profile = PROFILES[recipe.profile]
    found = []
    for prompt in recipe.image_prompts:
        if prompt.model is not None and prompt.weight:
            holds = span(profile, model.table, prompt.start, prompt.end, step_of, words.steps)
            found.append(Steering(holds, *looking(model, profile, prompt, words)))
    if recipe.boxes and recipe.gligen is not None:
        holds = span(profile, model.table, recipe.gligen.start, recipe.gligen.end, step_of, words.steps)
        found.append(Steering(holds, *boxed(model, profile, recipe, recipe.gligen)))
    return found


def looking(model: Model, profile: Profile, prompt: ImagePrompt, words: Words) -> tuple[PicturePrompt, PicturePrompt]:
    """An IP-Adapter's attachments, of the prompt's side and of the negative prompt's."""
    adapter, told = told_by(model, profile, prompt)
    places = sites(model.unet)
    by_layer = layer_weights(places, prompt.weight_type, prompt.weight, prompt.second_weight)
    others, elsewhere = other_tokens(told, by_layer.swapped, places)
    lora = prompt.lora if prompt.lora is not None else (0.0 if profile.name == "comfyui" else 1.0)
    scale: Literal["bilinear", "bicubic"] = "bicubic" if profile.name == "diffusers" else "bilinear"
    mask = None if prompt.mask is None else mask_of(prompt.mask, profile, words)

    def attachment(tokens: Tensor, elsewhere_tokens: Tensor | None) -> PicturePrompt:
        return PicturePrompt(
            adapter, tokens, by_layer.weights, elsewhere_tokens, elsewhere, mask, scale, prompt.scaling, lora
        )  # fmt: skip

    return attachment(told.positive, others[0]), attachment(told.negative, others[1])


def told_by(model: Model, profile: Profile, prompt: ImagePrompt) -> tuple[IPAdapter, Tokens]:
    """The adapter of a prompt, and what it says of the prompt's pictures."""
    assert prompt.model is not None
    files = model.pictures
    adapter = files.ip_adapter(files.find("ipadapter", prompt.model, prompt.model_hash))
    check_fits(model, adapter, prompt.model)
    wanted = wanted_vision(adapter.config.projection, prompt.model)
    encoder = None
    if wanted is not None:
        encoder = files.encoder(files.vision_path(prompt.vision, wanted, prompt.vision_hash))
    return adapter, Reader(files, adapter, prompt, profile, encoder).tokens()


def check_fits(model: Model, adapter: IPAdapter, name: str) -> None:
    """UserError where an adapter was made for U-Nets of another kind."""
    dims = tuple(site.dim for site in sites(model.unet))
    if dims != adapter.config.dims or adapter.config.projection.out_dim != model.unet.config.context_dim:
        raise UserError(
            f"{name}: made for another kind of model, with {len(adapter.config.dims)} cross-attentions of tokens "
            f"{adapter.config.projection.out_dim} wide; this one has {len(dims)} of {model.unet.config.context_dim}"
        )


def other_tokens(
    told: Tokens, swapped: Sequence[bool], places: Sequence[Site]
) -> tuple[tuple[Tensor | None, Tensor | None], tuple[bool, ...]]:
    """Tokens of both sides for some layers, and which: what is pushed away, or another picture for the layout."""
    if any(swapped):
        return (torch.zeros_like(told.positive), told.positive), tuple(swapped)
    if told.layout is None:
        return (None, None), ()
    layout = told.layout.repeat(1, told.positive.shape[1] // told.layout.shape[1], 1)
    return (layout, told.negative), tuple(site.number == LAYOUT_LAYER for site in places)


def mask_of(reference: ImageRef, profile: Profile, words: Words) -> Tensor:
    """(1 1 h w) in [0, 1]: where a picture acts."""
    mask = open_reference(reference).convert("L")
    if profile.name != "diffusers":
        return pixels_of(mask)
    return (pixels_of(mask.resize((words.width, words.height), Image.Resampling.LANCZOS)) >= 0.5).float()


def boxed(model: Model, profile: Profile, recipe: Recipe, wanted: Gligen) -> tuple[Boxes, Boxes]:
    """GLIGEN's attachments: with boxes, and without but for ComfyUI, which shows them to both sides."""
    files = model.pictures
    network = files.gligen(files.find("gligen", wanted.model, wanted.model_hash))
    blocks = {site.name: site.dim for site in sites(model.unet)}
    if dict(network.config.blocks) != blocks or network.config.text_dim != model.text[0].config.dim:
        raise UserError(f"{wanted.model}: made for another kind of model; GLIGEN models are mostly for SD 1.x")
    whole = (recipe.width, recipe.height)
    with torch.inference_mode():
        told = tuple((sides(box, whole, profile), text_state(model, box.text)) for box in recipe.boxes)
    boxes = Boxes(network, told)
    return boxes, boxes if profile.name == "comfyui" else Boxes(network, ())


def sides(box: Box, whole: tuple[int, int], profile: Profile) -> tuple[float, float, float, float]:
    """Left, top, right and bottom as shares of the picture."""
    width, height = whole
    x, y, across, down = box.x, box.y, box.width, box.height
    if profile.name == "comfyui":
        x, y, across, down = (side // LATENT * LATENT for side in (x, y, across, down))
    return x / width, y / height, (x + across) / width, (y + down) / height


def text_state(model: Model, text: str) -> Tensor:
    """(d): the first text encoder's last state at the end of a text, without projection or weights."""
    encoder = model.text[0]
    device = encoder.text_model.embeddings.token_embedding.weight.device
    tokens = torch.tensor([Tokenizer().encode_window(text)], device=device)
    last = encoder(tokens, dtype=model.placement.dtype).last[0]
    state: Tensor = last[tokens[0].argmax()]
    return state
