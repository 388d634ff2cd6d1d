"""Our own recipe in a picture: JSON of the whole `Recipe`, nothing lost."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from fromnoise import __version__
from fromnoise.engine.company import Round
from fromnoise.engine.company import read as read_company
from fromnoise.engine.metadata.carrier import GRAPH_KEY, JSON_KEY, PARAMETERS_KEY, SOFTWARE_KEY, read_texts
from fromnoise.engine.metadata.comfyui_write import graph_json
from fromnoise.engine.metadata.draft import MAX_SHOWN, Draft, Imported, json_object
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError, UserError

OURS = "fromnoise"
BATCHES = "; batches "
MAX_THREADS = 256

SOFTWARE = re.compile(
    rf"{OURS} [^;]{{1,50}}; (?P<where>[^;]{{1,200}}?)(, (?P<threads>\d{{1,4}}) threads)?({BATCHES}(?P<company>[^;]+))?"
)


def texts(recipe: Recipe, device: torch.device | str = "cpu", company: str = "") -> dict[str, str]:
    """What a picture carries: our JSON, AUTOMATIC1111's `parameters`, ComfyUI's `prompt`, and how it was made.

    `company` are the batches that it was made in, as `Generated` tells.
    """
    return {
        JSON_KEY: recipe.to_json(),
        PARAMETERS_KEY: parameters(recipe),
        GRAPH_KEY: graph_json(recipe),
        SOFTWARE_KEY: f"{OURS} {__version__}; {environment(device)}{BATCHES}{company}".removesuffix(BATCHES),
    }


def environment(device: torch.device | str = "cpu") -> str:
    """What may change the last bit of a picture: PyTorch, and the processor or device it computes on."""
    kind = torch.device(device).type
    where = (
        torch.backends.cpu.get_cpu_capability() if kind == "cpu" else torch.get_device_module(kind).get_device_name()
    )
    threads = f", {torch.get_num_threads()} threads" if kind == "cpu" else ""
    return f"PyTorch {torch.__version__}, {platform.machine()} {kind} {where}{threads}"


@dataclass(frozen=True)
class MadeBy:
    """How a picture was made here, beyond its recipe: what the last bits of sums depend on."""

    environment: str = ""  # PyTorch, and the processor or device
    threads: int | None = None  # of a processor
    company: tuple[Round, ...] = ()  # the batches


def made_by(found: Mapping[str, str]) -> MadeBy:
    """What the texts of a picture say of that; as much as is understood."""
    known = SOFTWARE.fullmatch(found.get(SOFTWARE_KEY, ""))
    if known is None:
        return MadeBy()
    threads = int(known["threads"]) if known["threads"] else None
    company = read_company(known["company"] or "")
    return MadeBy(known["where"], threads if threads in range(1, MAX_THREADS + 1) else None, company)


def recipe_in(path: Path) -> Recipe:
    """The recipe of a picture made here; FileError where it has none."""
    found = read_texts(path)
    if JSON_KEY not in found:
        raise FileError(f"{path}: carries no fromnoise recipe; was it made, or saved again, by another program?")
    return read(found).recipe


def read(found: Mapping[str, str]) -> Imported:
    """The recipe; fields of newer versions are kept as not understood. FileError where it is no recipe."""
    text = found[JSON_KEY]
    try:
        return Imported(Recipe.from_json(text), OURS)
    except UserError:
        fields = json_object(text, "recipe")
    draft = Draft({name: value for name, value in fields.items() if name in Recipe.model_fields})
    for name in fields.keys() - Recipe.model_fields:
        draft.keep(name, fields[name])
        draft.warn(f"{name[:MAX_SHOWN]}: not understood; a newer fromnoise may have written it")
    return draft.build(OURS)
