"""Every file that a recipe names, pictures and networks: where they are now, and what is gone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from fromnoise.checkpoints.adapter_files.lora import weights_of
from fromnoise.checkpoints.hashes import hashes
from fromnoise.engine import shelves
from fromnoise.engine.network_files import SHELVES, network_path
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FileError
from fromnoise.settings import Settings

CHANGED, GONE = "has changed since the picture was made", "is not there"
ANOTHER = "another file of that name is here"


@dataclass(frozen=True)
class Missing:
    """A file that the picture was made from, and that is not here."""

    field: str  # of the recipe: init, controls.0.image, networks.1
    path: str  # where it was, or its name
    sha256: str  # empty where the recipe does not say
    reason: str  # why it can't be used


@dataclass(frozen=True)
class NamedNetwork:
    """A file of weights by its name."""

    field: str
    kind: shelves.Kind
    name: str
    hash: str | None


def pictures(part: BaseModel, prefix: str = "") -> Iterator[tuple[str, ImageRef]]:
    """Every picture of a recipe, with the path of its field: `controls.0.mask`."""
    for name in type(part).model_fields:
        for path, value in listed(f"{prefix}{name}", getattr(part, name)):
            if isinstance(value, ImageRef):
                yield path, value
            elif isinstance(value, BaseModel):
                yield from pictures(value, f"{path}.")


def listed(path: str, value: object) -> Iterator[tuple[str, object]]:
    """A value, or those of a tuple, with their paths."""
    if isinstance(value, tuple):
        yield from ((f"{path}.{index}", one) for index, one in enumerate(value))
    else:
        yield path, value


def with_names_alone(recipe: Recipe) -> Recipe:
    """The recipe with the names of its pictures' files in the place of their paths, for others to see."""
    fields = recipe.model_dump(mode="json")
    found = list(pictures(recipe))
    for field, reference in found:
        put(fields, field, {"path": name_of(reference), "sha256": reference.sha256})
    return Recipe.make(**fields) if found else recipe


def name_of(reference: ImageRef) -> str:
    """Of a file, whatever system wrote its path."""
    return reference.path.replace("\\", "/").rpartition("/")[2]


def with_files(
    recipe: Recipe, *folders: Path, known: Mapping[str, Path] = MappingProxyType({})
) -> tuple[Recipe, tuple[Missing, ...]]:
    """The recipe with all of its pictures where they are now: in their place, in `folders`, or, by SHA-256, `known`."""
    missing: list[Missing] = []
    fields = recipe.model_dump(mode="json")
    for field, reference in pictures(recipe):
        here = [path for path in candidates(reference, folders, known) if path.is_file()]
        same = next((path for path in here if ImageRef.of(path).sha256 == reference.sha256), None)
        if same is None:
            missing.append(Missing(field, reference.path, reference.sha256, CHANGED if here else GONE))
        else:
            put(fields, field, {"path": str(same), "sha256": reference.sha256})
    return Recipe.make(**fields), tuple(missing)


def candidates(reference: ImageRef, folders: Sequence[Path], known: Mapping[str, Path]) -> list[Path]:
    """Where a file may be: as recorded, by its name in a folder, or in one that sorts by what names begin with."""
    name = name_of(reference)
    told = [known[reference.sha256]] if reference.sha256 in known else []
    return [
        *told,
        Path(reference.path),
        *(place for folder in folders for place in (folder / name, folder / name[:2] / name)),
    ]


def put(fields: dict[str, Any], path: str, value: object) -> None:
    """Set a value in nested tables and lists, by its path."""
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    holder: Any = fields
    for step in way:
        holder = holder[step]
    holder[last] = value


def networks(recipe: Recipe) -> Iterator[NamedNetwork]:
    """Every file of weights besides the checkpoint, and those that prompts name as far as the recipe notes them."""
    if recipe.refiner is not None:
        yield NamedNetwork("refiner", "checkpoints", recipe.refiner.model, recipe.refiner.model_hash)
    if recipe.hires is not None and recipe.hires.model is not None:
        yield NamedNetwork("hires", "checkpoints", recipe.hires.model, recipe.hires.model_hash)
    for index, use in enumerate(recipe.networks):
        yield NamedNetwork(f"networks.{index}", SHELVES[use.kind], use.name, use.hash)
    for index, control in enumerate(recipe.controls):
        if control.model is not None:
            yield NamedNetwork(f"controls.{index}", "controlnet", control.model, control.model_hash)
    for index, prompt in enumerate(recipe.image_prompts):
        if prompt.model is not None:
            yield NamedNetwork(f"image_prompts.{index}", "ipadapter", prompt.model, prompt.model_hash)
        if prompt.vision is not None:
            yield NamedNetwork(f"image_prompts.{index}.vision", "clip_vision", prompt.vision, prompt.vision_hash)
    if recipe.gligen is not None and recipe.boxes:
        yield NamedNetwork("gligen", "gligen", recipe.gligen.model, recipe.gligen.model_hash)


def missing_networks(recipe: Recipe, settings: Settings) -> tuple[Missing, ...]:
    """Those that are not on the shelves, or are other files than those of the recipe."""
    return tuple(filter(None, (lacking(one, settings) for one in networks(recipe))))


def lacking(one: NamedNetwork, settings: Settings) -> Missing | None:
    """What is wrong with a named file, if anything."""
    try:
        path = weights_of(network_path(one.kind, one.name, settings))
        same = one.hash is None or one.kind == "checkpoints" or hashes(path, settings.hashes).match(one.hash)
    except FileError as error:
        return Missing(one.field, one.name, one.hash or "", str(error))
    return None if same else Missing(one.field, one.name, one.hash or "", ANOTHER)
