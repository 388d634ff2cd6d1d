"""File names from patterns, with the words of AUTOMATIC1111: `[date]/[number]-[seed]`.

Slashes in the pattern make folders; what a word stands for never does. `[number]` counts the files of a folder from 1.
A word that is unknown stays as it is. Needs no torch.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.job import ALONE, Member

DEFAULT = "[date]/[number]-[seed]"
NUMBER = "[number]"
WORD = re.compile(r"\[(\w+)((?:<[^>]*>)*)\]")
ARGUMENT = re.compile(r"<([^>]*)>")
FORBIDDEN = re.compile(r'[#<>:"/\\|?*\x00-\x1f\x7f]')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 128  # characters of a part between slashes; a file system takes 255 bytes
WORDS = 8  # of a prompt
HASH = 8  # digits


@dataclass(frozen=True)
class Named:
    """What names are made of."""

    recipe: Recipe
    moment: datetime
    user: str = ""
    image_hash: str = ""
    member: Member = ALONE


def name(pattern: str, named: Named) -> str:
    """The path below the folder of outputs, with slashes and without suffix; `[number]` is left in it."""
    values, filled, end = words(named), "", 0
    for match in WORD.finditer(pattern):
        word, arguments = match[1].lower(), ARGUMENT.findall(match[2])
        value = values[word](arguments) if word in values else match[0]
        if value is not None:
            filled += pattern[end : match.start()] + FORBIDDEN.sub("_", value)
        end = match.end()
    parts = [safe(part) for part in re.split(r"[/\\]", filled + pattern[end:])]
    parts = [part for part in parts if part]
    return "/".join(parts) if parts else NUMBER


def safe(part: str) -> str:
    """One part of a path: no characters that a file system forbids, not too long, not too special."""
    part = FORBIDDEN.sub("_", part)[:LONGEST].strip().rstrip(". ")
    while len(part.encode()) > 200:
        part = part[:-1]
    return f"_{part}" if RESERVED.fullmatch(part) or part.startswith(".") else part


def words(named: Named) -> Mapping[str, Callable[[list[str]], str | None]]:
    """What each word of a pattern stands for, given its arguments; None leaves out the text before it, too."""
    recipe, moment, member = named.recipe, named.moment, named.member
    batch = {
        "batch_number": None if member.batch == 1 else str(member.number % member.batch + 1),
        "generation_number": None if member.total == 1 else str(member.number + 1),
        "seed_last": None if member.batch == 1 else str(member.last_seed),
    }
    plain = {
        "seed": recipe.seed,
        "seed_first": recipe.seed if member.batch == 1 else member.first_seed,
        "steps": recipe.steps,
        "cfg": f"{recipe.guidance_scale:g}",
        "width": recipe.width,
        "height": recipe.height,
        "sampler": recipe.sampler,
        "scheduler": recipe.schedule or "",
        "sampler_scheduler": f"{recipe.sampler} {recipe.schedule or ''}".strip(),
        "model_hash": (recipe.model_hash or "")[:10],
        "model_name": PurePosixPath(recipe.model.replace("\\", "/")).stem if "." in recipe.model else recipe.model,
        "date": f"{moment:%Y-%m-%d}",
        "job_timestamp": f"{moment:%Y%m%d%H%M%S}",
        "prompt": recipe.prompt.strip(),
        "prompt_no_styles": recipe.prompt.strip(),
        "prompt_spaces": recipe.prompt.strip(),
        "prompt_words": " ".join(re.findall(r"\w+", recipe.prompt)[:WORDS]),
        "styles": "",
        "clip_skip": recipe.clip_skip or 1,
        "denoising": f"{recipe.strength:g}" if recipe.init else "",
        "batch_size": member.batch,
        "user": named.user,
        "vae_filename": "" if recipe.vae is None else PurePosixPath(recipe.vae.name.replace("\\", "/")).stem,
        "basename": "" if recipe.init is None else PurePosixPath(recipe.init.path.replace("\\", "/")).stem,
        "none": "",
    }
    texts = {
        "prompt_hash": recipe.prompt,
        "negative_prompt_hash": recipe.negative,
        "full_prompt_hash": f"{recipe.prompt} {recipe.negative}",
    }
    hashes = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}
    return {
        **{key: partial(constant, str(value)) for key, value in plain.items()},
        **{key: partial(constant, value) for key, value in batch.items()},
        **{key: partial(beginning, digest) for key, digest in hashes.items()},
        "image_hash": lambda a: named.image_hash[: length(a) if a else None],
        "datetime": partial(formatted, moment),
        "hasprompt": lambda a: "".join(present(choice, recipe.prompt) for choice in a),
    }


def constant(value: str | None, _arguments: list[str]) -> str | None:
    return value


def beginning(digest: str, arguments: list[str]) -> str:
    return digest[: length(arguments)]


def length(arguments: list[str]) -> int:
    return int(arguments[0]) if arguments and arguments[0].isdigit() else HASH


def formatted(moment: datetime, arguments: list[str]) -> str:
    """[datetime<%H-%M><Asia/Shanghai>]; what cannot be understood is left out."""
    try:
        if len(arguments) > 1:
            moment = moment.astimezone(ZoneInfo(arguments[1]))
        return moment.strftime(arguments[0] if arguments and arguments[0] else "%Y%m%d%H%M%S")
    except (ValueError, KeyError, OSError):
        return f"{moment:%Y%m%d%H%M%S}"


def present(choice: str, prompt: str) -> str:
    """[hasprompt<cat|animal>]: the word if the prompt has it, else what is after the bar."""
    word, _, otherwise = choice.partition("|")
    return word if word.lower() in prompt.lower() else otherwise


def free_name(root: Path, wanted: str, suffix: str, taken: Callable[[str], bool]) -> str:
    """A name like `wanted` that neither a file below `root` nor anybody else has; `[number]` in it is filled in.

    UserError where every one is taken.
    """
    if NUMBER not in wanted:
        candidates = (f"{wanted}{suffix}" if n == 1 else f"{wanted}-{n}{suffix}" for n in range(1, 100_000))
    else:
        first = next_number(root, wanted)
        candidates = (f"{wanted.replace(NUMBER, f'{n:05}')}{suffix}" for n in range(first, first + 100_000))
    for candidate in candidates:
        if not taken(candidate) and not (root / candidate).exists():
            return candidate
    raise UserError(f"{root / wanted}: every such name is taken; choose another pattern")


def next_number(root: Path, wanted: str) -> int:
    """One more than the highest number of the files that the pattern made before."""
    folder, _, own = wanted.rpartition("/")
    if NUMBER in folder:
        return 1
    before = own.split(NUMBER)[0]
    numbered = re.compile(rf"{re.escape(before)}(\d{{1,9}})\b")
    place = root / folder
    found = (numbered.match(path.name) for path in (place.iterdir() if place.is_dir() else ()))
    return 1 + max((int(match[1]) for match in found if match), default=0)
