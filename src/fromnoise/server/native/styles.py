"""Styles and wildcards: texts that are put around prompts, and lists that choices are made from."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.recipe import Recipe
from fromnoise.engine.shelves import home, items, shelves
from fromnoise.errors import FileError, UnknownName
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.parts import new_part
from fromnoise.text.prompt_random import expand
from fromnoise.text.prompt_styles import Style, add_styles, read_styles, write_styles

OWN = "styles.csv"  # where styles from clients are written
MOST_STYLES = 5000
MOST_LINES = 10_000  # of a wildcard that is shown
LONGEST = 100_000  # characters

router = new_part()


class StyleView(BaseModel):
    """A named text for prompts."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    prompt: str = Field(default="", max_length=LONGEST, description="{prompt} stands for the prompt, else it follows.")
    negative: str = Field(default="", max_length=LONGEST)


class WildcardView(BaseModel):
    """A list that __name__ takes a line of."""

    name: str
    lines: int


class Lines(BaseModel):
    """The lines of a wildcard."""

    name: str
    lines: list[str]


class Raw(BaseModel):
    """A prompt with choices in it."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=LONGEST)
    seed: int = Field(default=0, ge=0, lt=2**64)


class ExpandedView(BaseModel):
    """The prompt after its choices."""

    text: str
    warnings: list[str]


@router.get("/styles")
def list_styles(here: Here, who: Who) -> list[StyleView]:
    """All styles, in the order of their files; of two with the same name the first counts."""
    return [StyleView(name=s.name[:200], prompt=s.prompt[:LONGEST], negative=s.negative_prompt[:LONGEST])
            for s in known_styles(here) if s.name]  # fmt: skip


def known_styles(here: Context) -> list[Style]:
    """From every file on the shelves; one that can't be read is left to whoever looks after it."""
    found: dict[str, Style] = {}
    for item in items("styles", here.settings):
        if item.path.suffix.lower() == ".csv":
            try:
                found = {style.name: style for style in read_styles(item.path)} | found
            except FileError:
                continue
    return list(found.values())[:MOST_STYLES]


def styled(recipe: Recipe, names: Sequence[str], here: Context) -> Recipe:
    """The recipe with the texts of styles in its prompts. UnknownName."""
    known = {style.name: style for style in known_styles(here)}
    for name in names:
        if name not in known:
            raise UnknownName("style", name, known)
    chosen = [known[name] for name in names]
    return recipe.but(
        prompt=add_styles(recipe.prompt, [style.prompt for style in chosen]),
        negative=add_styles(recipe.negative, [style.negative_prompt for style in chosen]),
    )


@router.put("/styles/{name}")
def save_style(name: str, wanted: StyleView, here: Here, who: Admin) -> StyleView:
    """Keep a style under a name, in place of the one that had it."""
    if wanted.name != name:
        raise ApiError(422, "request", "name: it is another one in the address")
    own = [style for style in own_styles(here) if style.name != name]
    store_styles([*own, Style(name, wanted.prompt, wanted.negative)], here)
    return wanted


@router.delete("/styles/{name}", status_code=204)
def delete_style(name: str, here: Here, who: Admin) -> None:
    """Forget a style that was made here; those in other files stay."""
    own = own_styles(here)
    if name not in [style.name for style in own]:
        raise ApiError(404, "not-found", f"no style {name!r} was made here; others are in files of their own")
    store_styles([style for style in own if style.name != name], here)


def own_file(here: Context) -> Path:
    return home("styles", here.settings) / OWN


def own_styles(here: Context) -> list[Style]:
    """FileError where the file can't be read: it is not written over."""
    return read_styles(own_file(here)) if own_file(here).is_file() else []


def store_styles(styles: list[Style], here: Context) -> None:
    path = own_file(here)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_styles(part, styles)
        part.replace(path)
    except OSError as error:
        raise FileError(f"the styles can't be written ({error.strerror})") from error


@router.get("/wildcards")
def list_wildcards(here: Here, who: Who) -> list[WildcardView]:
    """The lists that prompts can choose from."""
    return [WildcardView(name=name, lines=len(lines_of(path))) for name, path in wildcard_files(here).items()]


@router.get("/wildcards/{name:path}")
def get_wildcard(name: str, here: Here, who: Who) -> Lines:
    """The lines of one."""
    path = wildcard_files(here).get(name)
    if path is None:
        raise ApiError(404, "not-found", f"there is no wildcard {name!r}")
    return Lines(name=name, lines=lines_of(path))


def wildcard_files(here: Context) -> dict[str, Path]:
    """The files by the names that prompts call them by."""
    found: dict[str, Path] = {}
    for item in items("wildcards", here.settings):
        if item.path.suffix.lower() == ".txt":
            found.setdefault(item.stem, item.path)
    return found


def lines_of(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")][:MOST_LINES]


@router.post("/prompts/expand")
def expand_prompt(wanted: Raw, here: Here, who: Who) -> ExpandedView:
    """What {red|green} and __wildcard__ become with a seed, as an order with `choices` would have it."""
    found = expand(wanted.text, wanted.seed, [shelf.folder for shelf in shelves("wildcards", here.settings)])
    return ExpandedView(text=found.text, warnings=[str(warning.message) for warning in found.warnings])
