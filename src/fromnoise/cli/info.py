"""`fromnoise info FILE`: how a picture was made, or what is in a model file."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fromnoise import settings
from fromnoise.adapters.summary import embedding_facts, hypernetwork_facts, lora_facts
from fromnoise.checkpoints.describe import describe as describe_model
from fromnoise.checkpoints.folders import is_folder
from fromnoise.checkpoints.hashes import hashes, model_hash
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.opening import open_model
from fromnoise.checkpoints.sources import open_source
from fromnoise.cli.drafting import typed
from fromnoise.cli.hashing import rows
from fromnoise.cli.messages import say
from fromnoise.engine.images import open_image
from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.carrier import GRAPH_KEY, PARAMETERS_KEY, USER_COMMENT, read_texts
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError

FOREIGN_KEYS = (  # of other programs
    PARAMETERS_KEY, USER_COMMENT, GRAPH_KEY, "workflow", "invokeai_metadata", "Description", "Comment",
)  # fmt: skip
MODELS = ("checkpoint", "U-Net", "VAE", "text encoder")
OF_START_PICTURES = {"strength", "image_guidance_scale"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what strangers wrote must not steer the terminal
MAX_METADATA = 200  # characters
BY_KIND: Mapping[str, Callable[[Path], Mapping[str, str]]] = {
    "LoRA": lora_facts,
    "embedding": embedding_facts,
    "hypernetwork": hypernetwork_facts,
}


def describe(path: Path, check: bool = False) -> tuple[str, bool]:
    """What there is to know about a file or a diffusers folder, and whether `check` found nothing wrong with it.

    FileError where it is neither a picture nor weights.
    """
    if not path.is_file() and not (path.is_dir() and is_folder(path)):
        raise FileError(say("{path}: no such file", path=path))
    if path.is_file() and is_picture(path):
        return CONTROL.sub("\ufffd", describe_picture(path)), True
    facts = weight_facts(path)
    faults = faults_in(path, str(facts["holds"])) if check else {}
    if check and not faults:
        facts["checked"] = "whole, without NaN or infinity"
    return CONTROL.sub("\ufffd", "\n".join(table(facts | faults))), not faults


def faults_in(path: Path, held: str) -> dict[str, object]:
    """What is wrong with weights: names that match nothing, networks that are not whole, NaN. Reads all of them."""
    found: dict[str, object] = {}
    if held in MODELS:
        try:
            open_model(path)
        except UnmatchedKeys as error:
            kinds = {"missing": error.missing, "of another shape": error.misshapen, "unknown": error.unknown}
            found |= {kind: f"{len(names)}: {', '.join(names)}" for kind, names in kinds.items() if names}
        except FileError as error:
            found["fault"] = str(error)
    broken = describe_model(path, check=True).non_finite
    if broken:
        found["NaN or infinity"] = f"{len(broken)}: {', '.join(broken)}"
    return found


def hash_rows(path: Path) -> dict[str, object]:
    """A file's hashes; of a folder, the one that recipes know it by."""
    cache = settings.read().hashes
    if path.is_dir():
        return {"model hash": model_hash(open_source(path).files, cache)}
    return dict(rows(hashes(path, cache)))


def weight_facts(path: Path) -> dict[str, object]:
    """A weight file, field by field."""
    model = describe_model(path)
    facts: dict[str, object] = {"file": model.path, "format": model.format, "size": megabytes(model.size)}
    facts["holds"] = f"{model.holds} ({model.remark})" if model.remark else model.holds
    if model.facts:
        facts["family"] = f"{model.facts.family}, {model.facts.task}"
        facts["predicts"] = f"{model.facts.prediction}{', up to pure noise' if model.facts.zero_snr else ''}"
    facts |= BY_KIND[model.holds](path) if model.holds in BY_KIND else {}
    facts |= {f"parameters, {part}": f"{count:,}" for part, count in model.parameters.items()}
    facts["stored as"] = ", ".join(model.dtypes)
    if model.ema:
        facts["averages"] = "yes (EMA)"
    if model.unknown:
        facts["unknown names"] = f"{len(model.unknown)}: {', '.join(model.unknown[:3])} ..."
    facts |= hash_rows(path)
    return facts | {f"metadata, {name}": shortened(value) for name, value in model.metadata.items()}


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def shortened(text: str) -> str:
    """Trainers store whole configurations: a line of each is enough here."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_METADATA else line[: MAX_METADATA - 4] + " ..."


def is_picture(path: Path) -> bool:
    """Whether Pillow knows the format; the pixels are not read."""
    try:
        with Image.open(path):
            return True
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False


def describe_picture(path: Path) -> str:
    """The recipe in a picture, whichever tool wrote it, and the command that makes it; else the texts it carries."""
    image = open_image(path)
    size = f"{path}: {say('a picture of {width}x{height} pixels', width=image.width, height=image.height)}"
    try:
        found = read_any(path, Album.around(path))
    except FileError:
        embedded = embedding_in(path)
        if embedded:
            return "\n".join([size, *table({"holds": "embedding", **embedded})])
        texts = [f"{key}:\n{text}" for key, text in read_texts(path).items() if key in FOREIGN_KEYS]
        return "\n\n".join([size, *(texts or [say("It carries no recipe.")])])
    lines = [size, say("made by {tool}", tool=found.source), "", *table(facts(found.recipe))]
    if found.not_understood:
        lines += ["", say("not understood:"), *table(found.not_understood)]
    return "\n".join([*lines, *found.warnings, "", say("to make it again:"), command_of(found.recipe)])


def embedding_in(path: Path) -> Mapping[str, str]:
    """What there is to know about the embedding that a picture carries; nothing where it carries none."""
    try:
        return embedding_facts(path)
    except FileError:
        return {}


def facts(recipe: Recipe) -> dict[str, object]:
    """A recipe's fields that say something, by their names."""
    known = recipe.model_dump(exclude_none=True, exclude=set() if recipe.init else OF_START_PICTURES)
    paths = {name: known[name]["path"] for name in ("init", "mask") if name in known}
    return {name: value for name, value in (known | paths).items() if value not in ("", {})}


def table(rows: Mapping[str, object]) -> list[str]:
    width = max(map(len, rows))
    return [f"{name:<{width}}  {value}" for name, value in rows.items()]


def command_of(recipe: Recipe) -> str:
    """The command line that makes the same recipe."""
    return shlex.join(["fromnoise", "make", *typed(recipe), "--", recipe.prompt])
