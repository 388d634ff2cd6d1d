"""What a recipe can't know without its models: whether they are the right ones, and have what it asks for."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from fromnoise.engine.enlarge import check_upscaler, latent_upscaler
from fromnoise.engine.face_restoring import check_faces
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights, named_files
from fromnoise.engine.recipe_guidance import GuidanceOptions
from fromnoise.engine.recipe_parts import Hires
from fromnoise.engine.room import check_second_copies
from fromnoise.engine.vae_family import SPACES
from fromnoise.engine.vae_pairing import settled
from fromnoise.errors import UserError
from fromnoise.nn import fp8, int8
from fromnoise.nn.hooks import transformer_blocks
from fromnoise.nn.step_reuse import most_blocks
from fromnoise.sampling.schedules import SCHEDULES
from fromnoise.text.prompt_source import read_source

LOG = logging.getLogger(__name__)
OF_TWO_ANSWERS = ("rescale", "projected", "thresholding", "zero_star", "perp_neg", "skip")


def check(model: Model, recipe: Recipe, refiner: Model | None = None) -> None:
    """What a recipe can't know without the models."""
    factor = model.vae.config.downscale
    for side in (recipe.width, recipe.height):
        if side % factor:
            raise UserError(f"{side} is not a multiple of {factor}, which {recipe.model} needs")
    check_hash(model, recipe.model, recipe.model_hash)
    check_files(model, recipe)
    check_start(recipe)
    check_guidance(model, recipe)
    check_regions(recipe)
    check_reuse(recipe, *filter(None, (model, refiner)))
    check_faster(model, recipe)
    if recipe.init_upscaler is not None:
        check_upscaler(recipe.init_upscaler, model.settings, latent=False)
    if recipe.enlarge is not None and model.facts.task != "upscale":
        raise UserError(f"{recipe.model} is no upscaling model, such as x4-upscaler-ema: leave out enlarge")
    if recipe.restore_faces is not None:
        check_faces(recipe.restore_faces, model.settings)
    if recipe.hires is not None:
        check_upscaler(recipe.hires.upscaler, model.settings)
        if recipe.hires.model is not None:
            check_second(model, recipe.hires, refiner)
    if recipe.refiner is None:
        return
    if refiner is None:
        raise UserError(f"the recipe is finished by the model {recipe.refiner.model}: load it, too")
    check_hash(refiner, recipe.refiner.model, recipe.refiner.model_hash)
    if refiner.vae.config.latent_channels != model.vae.config.latent_channels:
        raise UserError(f"{recipe.refiner.model} can't finish what {recipe.model} begins: their latents differ")


def check_options(recipe: Recipe) -> None:
    """Say which options its schedule, which it names, does not have."""
    schedule = SCHEDULES[str(recipe.schedule)]
    if lacking := [name for name in recipe.schedule_options if name not in schedule.options]:
        known = ", ".join(schedule.options) or "none"
        LOG.warning(f"the schedule {schedule.label} has no option {', '.join(lacking)}: it has {known}")


def check_second(model: Model, hires: Hires, second: Model | None) -> None:
    """UserError where another model can't make the second pass."""
    if second is None:
        raise UserError(f"the second pass is made by the model {hires.model}: load it, too")
    check_hash(second, str(hires.model), hires.model_hash)
    spaces = [(SPACES[one.facts.family], one.vae.config.latent_channels) for one in (model, second)]
    if latent_upscaler(hires.upscaler) and spaces[0] != spaces[1]:
        raise UserError(f"{hires.model} has other latents than the first pass: choose an upscaler of pictures")


def check_guidance(model: Model, recipe: Recipe) -> None:
    """UserError where the network has not what the recipe's guidance needs."""
    options = recipe.guidance or GuidanceOptions()
    if options.perturbed is not None:
        check_attention(model, "perturbed", options.perturbed.layers)
    if options.self_attention is not None:
        check_attention(model, "self_attention", ("middle_block",))
    if model.facts.task == "instruct":
        regional = ["regional"] if recipe.regional else []
        for name in (*(name for name in OF_TWO_ANSWERS if getattr(options, name)), *regional):
            raise UserError(f"{name}: instruct-pix2pix models have guidance of their own; leave it out")


def check_files(model: Model, recipe: Recipe) -> None:
    """UserError where the model was put together of other files than the recipe's."""
    wanted = Weights.of(recipe)
    if wanted.automatic:
        wanted = settled(wanted, model.path, model.settings)
    if wanted != replace(model.made_of or Weights(""), model=recipe.model, automatic=False):
        raise UserError(
            f"{recipe.model} was loaded with other networks than the recipe names (unet, text_encoders, vae, ema, "
            "variant): load it with these"
        )
    for file, digest in zip(named_files(recipe), model.hashes, strict=False):  # one is more, if its VAE was found
        if file.hash is not None and not digest.startswith(file.hash.lower()):
            raise UserError(f"{file.name}: not the file of the recipe, whose hash is {file.hash}")


def check_start(recipe: Recipe) -> None:
    """UserError where a part needs a start picture: those of other tools are not in their pictures."""
    for name in ("outpaint", "inversion", "redraw"):
        if getattr(recipe, name) is not None and recipe.init is None:
            raise UserError(f"{name} needs a start picture: give one with --init")
    for number, control in enumerate(recipe.controls, start=1):
        if control.image is None and recipe.init is None:
            raise UserError(f"control {number} needs a picture: give one with --control, or a start picture")


def check_regions(recipe: Recipe) -> None:
    """UserError for tags such as <lora:name:0.8> in the prompt of a region."""
    for region in recipe.regional.regions if recipe.regional else ():
        for tag in read_source(region.prompt, PROFILES[recipe.profile].dialect).networks:
            raise UserError(
                f"<{tag.kind}:{tag.name}> is in a region's prompt: a network acts on the whole picture, so write it in "
                "the prompt"
            )


def check_reuse(recipe: Recipe, *models: Model) -> None:
    """UserError where a network has not as many blocks as are to run at each step."""
    for model in models if recipe.step_reuse else ():
        most = most_blocks(model.unet.config)
        if recipe.step_reuse and recipe.step_reuse.blocks > most:
            raise UserError(f"step_reuse: {model.name} has {most + 1} blocks: let at most {most} run at each step")


def check_faster(model: Model, recipe: Recipe) -> None:
    """UserError where the device has not the products that are wanted, or no room for a second copy of the weights."""
    device = model.placement.device
    wanted = [name for name in ("int8", "fp8", "compile") if getattr(recipe, name)]
    if len(wanted) > 1:
        raise UserError(f"{' and '.join(wanted)} don't go together: choose one")
    if recipe.int8 and (device.type != "cpu" or not int8.is_there()):
        raise UserError("int8 needs a processor with products of 8-bit integers, and the work on it: leave int8 out")
    if recipe.fp8 and not fp8.is_there(device):
        raise UserError("fp8 needs a GPU with products of 8-bit floats, as NVIDIA's have since Ada: leave fp8 out")
    if model.budget is not None:
        check_second_copies([recipe])
    if recipe.compile and model.budget is not None:
        raise UserError(
            "compile is for weights that stay in memory, and there is no room for all: leave it out, or the limit"
        )


def check_attention(model: Model, name: str, layers: Sequence[str]) -> None:
    try:
        transformer_blocks(model.unet, tuple(layers))
    except ValueError as error:
        raise UserError(f"{name}: {error}; choose others with layers=...") from None


def check_hash(model: Model, name: str, wanted: str | None) -> None:
    """UserError where `model` is not the one that `wanted`, a hash or the beginning of one, means."""
    if wanted is not None and not model.known_as(wanted):
        raise UserError(f"{name}: not the file of the recipe (its SHA-256 begins {model.sha256[:10]})")
