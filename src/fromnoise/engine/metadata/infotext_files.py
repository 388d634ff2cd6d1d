"""AUTOMATIC1111's fields of a VAE of its own, and ours of the other networks that a model is put together of."""

from collections.abc import Iterator
from pathlib import Path

from fromnoise.engine.metadata.draft import HASH, Draft
from fromnoise.engine.metadata.networks import ENDINGS, file_name
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import MAX_ENCODERS, WeightFile
from fromnoise.engine.recipe_files import OWN as OWN_VAE

SHORT = 10  # digits
VAE, UNET, ENCODER, EMA, VARIANT = "VAE", "U-Net", "Text encoder", "EMA weights", "Weights variant"
OWN = ("", "None", "Automatic", "Default", "Built in")  # what tools write for the checkpoint's own VAE


def file_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Names and hashes of the files, for the VAE as AUTOMATIC1111 writes them."""
    if recipe.vae and recipe.vae.name != OWN_VAE:
        yield from named(VAE, recipe.vae, ".safetensors")
    if recipe.unet:
        yield from named(UNET, recipe.unet)
    for number, encoder in enumerate(recipe.text_encoders, start=1):
        yield from named(f"{ENCODER} {number}", encoder)
    if recipe.ema:
        yield EMA, "True"
    if recipe.variant:
        yield VARIANT, recipe.variant


def named(key: str, file: WeightFile, ending: str = "") -> Iterator[tuple[str, str]]:
    if file.hash:
        yield f"{key} hash", file.hash[:SHORT]
    name = Path(file.name).name
    yield key, name if ENDINGS.search(name) else name + ending


def take_files(draft: Draft, fields: dict[str, str]) -> None:
    """The files that a picture's model was put together of, by their names alone."""
    if found := taken(draft, fields, VAE):
        draft.set("vae", found, VAE)
    if found := taken(draft, fields, UNET):
        draft.set("unet", found, UNET)
    encoders = [taken(draft, fields, f"{ENCODER} {number}") for number in range(1, MAX_ENCODERS + 1)]
    if any(encoders):
        draft.set("text_encoders", [one for one in encoders if one], ENCODER)
    if fields.pop(EMA, "") == "True":
        draft.set("ema", True, EMA)
    if variant := fields.pop(VARIANT, ""):
        draft.set("variant", variant, VARIANT)


def taken(draft: Draft, fields: dict[str, str], key: str) -> dict[str, str] | None:
    """The file of a field."""
    name, digest = fields.pop(key, ""), fields.pop(f"{key} hash", "")
    if name in OWN:
        return None
    short = file_name(name)
    if not short or short in (".", ".."):
        draft.keep(key, name)
        return None
    if HASH.fullmatch(digest) is None:
        return {"name": short}
    return {"name": short, "hash": digest.lower()}
