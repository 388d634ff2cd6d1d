"""The small picture that upscaling models (Stable Diffusion x4) are shown, itself a little noised, and how much.

Ho et al. (2021), "Cascaded Diffusion Models", section 4: noise on the small picture keeps errors from piling up.
"""

import torch
from torch import Tensor

from fromnoise.engine.canvas import resized
from fromnoise.engine.images import opaque, to_tensor
from fromnoise.engine.library import UPSCALER_BETAS, Model
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_upscale import Enlarge
from fromnoise.engine.seeding import new_stream
from fromnoise.engine.start import open_reference
from fromnoise.errors import UserError
from fromnoise.sampling.noise import Purpose, philox_normal
from fromnoise.sampling.schedules import NoiseTable


def wanted(model: Model, recipe: Recipe) -> Enlarge:
    """What the model is to enlarge. UserError where the recipe does not say."""
    if recipe.enlarge is None:
        raise UserError(f"{recipe.model} is an upscaling model: give it a picture with --enlarge")
    return recipe.enlarge


def low_res_channels(model: Model, recipe: Recipe, size: tuple[int, int]) -> Tensor:
    """(1 3 h w) for latents of that height and width, which a small picture has pixels for."""
    enlarge, (height, width) = wanted(model, recipe), size
    mode = recipe.resize if recipe.resize != "latent" else "stretch"
    pixels = to_tensor(resized(opaque(open_reference(enlarge.image)), width, height, mode))
    signal = NoiseTable.ldm(*UPSCALER_BETAS).alphas_cumprod[enlarge.noise_level].float()
    return pixels * signal.sqrt() + noise(recipe, tuple(pixels.shape)) * (1 - signal).sqrt()


def noise(recipe: Recipe, shape: tuple[int, ...]) -> Tensor:
    """On the small picture: diffusers draws it before that of the latents."""
    profile = PROFILES[recipe.profile]
    if profile.name == "diffusers":
        return new_stream(profile.source, recipe.seed).randn(shape)
    return philox_normal(shape, recipe.seed, Purpose.CONDITIONING)


def level_vector(model: Model, recipe: Recipe) -> Tensor:
    """(1 d): what the network has for the noise level of the small picture."""
    table = model.unet.label_emb
    where = next(table.parameters()).device
    with torch.inference_mode():
        told: Tensor = table(torch.tensor([wanted(model, recipe).noise_level], device=where))
    return told
