"""What the recipe of a finished picture says of its files: the hashes of all that it and its prompts name."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fromnoise.engine.conditioning import Words, embeddings_named
from fromnoise.engine.library import Model
from fromnoise.engine.passes import orders
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import OWN, WeightFile, Weights
from fromnoise.engine.recipe_networks import NetworkUse


def noted(model: Model, recipe: Recipe) -> tuple[NetworkUse, ...]:
    """The networks of a recipe with their hashes; first its list, then notes of what its prompts name.

    UserError where the recipe knows another hash; FileError where a file can't be found.
    """
    files = model.networks
    known = {(use.kind, use.name): use.hash for use in recipe.networks if use.in_prompt}
    found = [files.noted(use) for use in recipe.networks if not use.in_prompt]
    notes: dict[tuple[str, str], NetworkUse] = {}
    for order in orders(recipe):
        for use in (*(use for use in order.words.networks if use.in_prompt), *embeddings(model, recipe, order.words)):
            key = use.kind, use.name
            if key not in notes:
                notes[key] = files.noted(use.model_copy(update={"hash": known.get(key)}))
    return (*found, *notes.values())


def noted_files(model: Model, recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that name the files its model is put together of, with their hashes."""
    digests = iter(model.hashes)
    vae = recipe.vae
    if vae is None or vae.name == OWN:
        found = model.made_of.vae if model.made_of and Weights.of(recipe).automatic else None
        vae = WeightFile(name=found) if found else None
    unet, *others = (
        [None if one is None else one.model_copy(update={"hash": next(digests)}).model_dump() for one in row]
        for row in ((recipe.unet,), recipe.text_encoders, (vae,))
    )
    texts, autoencoder = others
    return {"unet": unet[0], "text_encoders": texts, "vae": autoencoder[0]}


def embeddings(model: Model, recipe: Recipe, words: Words) -> Iterator[NetworkUse]:
    """Those that the prompts of a pass and its regions name, but for what a LoRA brings along."""
    regions = recipe.regional.regions if recipe.regional else ()
    for prompt in (words.prompt, *(region.prompt for region in regions)):
        for name, embedding in embeddings_named(model, recipe, replace(words, prompt=prompt)).items():
            if embedding.path is not None:
                yield NetworkUse(name=name, kind="embedding", in_prompt=True)
