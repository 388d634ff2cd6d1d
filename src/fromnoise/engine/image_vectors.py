"""Pictures in the pooled vector: what unCLIP models are told, and SDXL in place of the prompt's pooled state."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fromnoise.engine.image_tokens import seen_in
from fromnoise.engine.library import Model
from fromnoise.engine.picture_files import Wanted
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_pictures import ImagePrompt
from fromnoise.engine.seeding import new_stream
from fromnoise.engine.start import LATENTS
from fromnoise.engine.vision import Resampling
from fromnoise.errors import UserError
from fromnoise.nn.unclip import LEVELS, noised
from fromnoise.sampling.noise import Purpose, TorchStream, philox_normal

MERGED = 0.05  # noise level of several pictures' sum, as in ComfyUI
SEEDS = 1 << 64


def image_vector(model: Model, recipe: Recipe) -> Tensor | None:
    """(1 2d) what the recipe's pictures tell an unCLIP model, or (1 d) SDXL; None where no picture is told so.

    FileError where a file is missing or has changed, UserError where the model takes no such picture.
    """
    prompts = own_way(model, recipe)
    if not prompts:
        return None
    width = embedding_width(model)
    if width is None:
        raise UserError(f"{recipe.model} takes no image prompt by itself: name an IP-Adapter with model=")
    told = [(prompt, embedding) for prompt in prompts for embedding in embeddings(model, recipe, prompt, width)]
    stats = model.vision_stats or (None, None)
    with torch.inference_mode():
        vectors = [
            noised(embedding, at_level(prompt.noise_level), augmentation(recipe, i, width), *stats) * prompt.weight
            for i, (prompt, embedding) in enumerate(told)
        ]
        if len(vectors) > 1:
            mixed = torch.stack(vectors).sum(0)[:, :width]
            noise = philox_normal((1, width), recipe.seed, Purpose.CONDITIONING, draw=len(vectors))
            vectors = [noised(mixed, at_level(MERGED), noise, *stats)]
    return vectors[0] if model.facts.task == "unclip" else vectors[0][:, :width]


def own_way(model: Model, recipe: Recipe) -> list[ImagePrompt]:
    """Image prompts that need no adapter; AUTOMATIC1111 tells unCLIP models of the start picture."""
    found = [prompt for prompt in recipe.image_prompts if prompt.model is None]
    pictured = recipe.init is not None and not recipe.init.path.endswith(LATENTS)
    if not found and recipe.init is not None and pictured and (model.facts.task, recipe.profile) == ("unclip", "a1111"):
        return [ImagePrompt(image=recipe.init, crop=False)]
    return found


def embedding_width(model: Model) -> int | None:
    """Numbers of the embeddings that a model takes by itself; None where it takes none."""
    vector_dim = model.unet.config.vector_dim
    if vector_dim is not None and model.facts.task == "unclip":
        return vector_dim // 2
    if model.facts.family == "sdxl":
        return model.text[-1].config.projection_dim
    return None


def embeddings(model: Model, recipe: Recipe, prompt: ImagePrompt, width: int) -> Sequence[Tensor]:
    """Each (1 width)."""
    files = model.pictures
    path = files.vision_path(prompt.vision, Wanted(recipe.model, embedding=width), prompt.vision_hash)
    encoder = files.encoder(path)
    resampling: Resampling = "torch" if recipe.profile == "comfyui" else "pil"
    return [seen_in(files, encoder, image, prompt.crop, resampling).embedding for image in prompt.images]


def at_level(share: float) -> int:
    return round((LEVELS - 1) * share)


def image_noise(model: Model, recipe: Recipe) -> tuple[int, int] | None:
    """The shape of the noise that diffusers draws for an unCLIP model's picture before that of the latents."""
    width = embedding_width(model)
    told = width is not None and PROFILES[recipe.profile].name == "diffusers" and own_way(model, recipe)
    return (1, width) if told and width is not None else None


def augmentation(recipe: Recipe, index: int, width: int) -> Tensor:
    """(1 width) unit noise for the recipe's picture of that number, counted from 0."""
    profile: Profile = PROFILES[recipe.profile]
    if profile.name == "comfyui":
        return TorchStream((recipe.seed - 10) % SEEDS).randn((1, width))
    if profile.name == "diffusers" and index == 0:
        return new_stream(profile.source, recipe.seed).randn((1, width))
    return philox_normal((1, width), recipe.seed, Purpose.CONDITIONING, draw=index)
