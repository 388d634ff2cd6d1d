"""Model files: what is on the shelves, with hashes, previews and trigger words."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from fastapi import Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from fromnoise.engine import licences
from fromnoise.engine.companions import Companions, companions
from fromnoise.engine.recipe import BUILTIN
from fromnoise.engine.shelves import BUILTIN_BLOCKS, NOUNS, Kind
from fromnoise.errors import without_folders
from fromnoise.jobs.index import Entry, Facts
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.parts import new_part

SHORT = 10  # digits of a hash that other tools show
TENSORS = 12
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}

ModelKind = Literal[
    "checkpoints", "diffusion_models", "text_encoders", "vae", "loras", "embeddings", "hypernetworks", "controlnet",
    "t2i_adapter", "clip_vision", "ipadapter", "gligen", "style_models", "upscale_models", "face_restore", "taesd",
    "captioners", "preprocessors",
]  # fmt: skip
KINDS: tuple[ModelKind, ...] = get_args(ModelKind)

router = new_part("/models")


class ModelCard(BaseModel):
    """A model file, and what is known of it."""

    kind: ModelKind
    name: str = Field(description="What recipes and prompts call it.")
    file: str = Field(description="Its path below the shelf.")
    size: int = Field(description="Bytes.")
    changed: float = Field(description="Seconds since 1970.")
    created: float = Field(description="The same, when it came to be where it is.")
    was_read: bool = Field(description="If not, what follows is not known yet.")
    sha256: str | None
    short_hash: str | None = Field(description="As AUTOMATIC1111 shows it.")
    tensors_hash: str | None = Field(description="Of the weights alone: how AUTOMATIC1111 knows LoRAs.")
    old_hash: str | None
    family: str | None = Field(description="sd1, sd2, sdxl, ...")
    task: str | None
    prediction: str | None
    holds: str | None = Field(description="What is in it, in a word or two.")
    parameters: int
    dtypes: list[str]
    title: str
    author: str
    licence: str
    licence_page: str
    licence_terms: str
    licence_terms_zh: str
    base: str = Field(description="The model that it was trained on.")
    trigger_words: list[str]
    negative: str = Field(description="What its notes want in the negative prompt.")
    weight: float | None = Field(description="The weight that its notes recommend.")
    description: str
    notes: str
    page: str = Field(description="In the web, as its notes say.")
    source: str = Field(description="Where it was downloaded from.")
    remark: str
    blocks: int = Field(description="Of its U-Net: so many weights mix it block by block; 0 where none are known.")
    fault: str | None = Field(description="Why it can't be read.")
    preview: str | None = Field(description="Of a picture that lies beside it.")


class ModelCards(BaseModel):
    """What is on the shelves."""

    models: list[ModelCard]
    unread: int = Field(description="Files that nobody has looked into yet; a process in the background does.")


class ShelfView(BaseModel):
    """A kind of model files."""

    kind: ModelKind
    noun: str
    count: int


@router.get("")
def list_models(
    here: Here,
    who: Who,
    kind: ModelKind | None = None,
    search: Annotated[str, Query(max_length=500, description="Words of names, titles and trigger words.")] = "",
) -> ModelCards:
    """Model files of one kind or of all, the built-in model first."""
    found = [entry for entry in here.index.entries(here.settings, kind) if entry.kind in KINDS]
    words = search.lower().split()
    built_in = [builtin()] if kind in (None, "checkpoints") else []
    cards = [card for card in [*built_in, *map(of, found)] if all(word in searched(card) for word in words)]
    return ModelCards(models=cards, unread=sum(not card.was_read for card in cards))


@router.get("/kinds")
def list_model_kinds(here: Here, who: Who) -> list[ShelfView]:
    """The kinds of model files, and how many there are."""
    kinds = [entry.kind for entry in here.index.entries(here.settings)]
    return [ShelfView(kind=kind, noun=NOUNS[kind], count=kinds.count(kind) + (kind == "checkpoints")) for kind in KINDS]


@router.post("/refresh")
def refresh_models(here: Here, who: Admin) -> ModelCards:
    """Look at the shelves again; what is new is read in the background."""
    here.index.refresh(here.settings)
    return list_models(here, who)


@router.get("/{kind}/{name:path}/preview", response_class=FileResponse)
def get_model_preview(kind: ModelKind, name: str, here: Here, who: Who) -> Response:
    """The picture that lies beside a model file."""
    own = (kind, name) == ("checkpoints", BUILTIN)
    found = companions(place_of_builtin() if own else entry_named(kind, name, here).place).preview
    if found is None or found.suffix.lower() not in MEDIA:
        raise ApiError(404, "not-found", "no picture lies beside that model")
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(found, media_type=MEDIA[found.suffix.lower()], headers=headers)


@router.get("/{kind}/{name:path}")
def get_model(kind: ModelKind, name: str, here: Here, who: Who) -> ModelCard:
    """One model file by its path below the shelf."""
    if (kind, name) == ("checkpoints", BUILTIN):
        return builtin()
    return of(entry_named(kind, name, here))


def entry_named(kind: ModelKind, name: str, here: Context) -> Entry:
    """ApiError 404."""
    for entry in here.index.entries(here.settings, kind):
        if entry.name == name:
            return entry
    raise ApiError(404, "not-found", f"no such file is on the shelf {kind}")


def of(entry: Entry) -> ModelCard:
    """What clients are told of a file."""
    facts, digests, beside = entry.facts or Facts(""), entry.digests, companions(entry.place)
    said = entry.source.licences if entry.source else ()
    licence = licences.known(facts.licence, *said) or licences.of_family(facts.family, entry.name)
    kind: Kind = entry.kind
    return ModelCard(
        kind=kind,  # type: ignore[arg-type]  # its callers leave out the others
        name=stem(entry), file=entry.name, size=entry.stamp.size, changed=entry.stamp.changed / 1e9,
        created=created(entry.place, entry.stamp.changed / 1e9), was_read=entry.was_read,
        sha256=digests.sha256 if digests else None,
        short_hash=digests.sha256[:SHORT] if digests else None,
        tensors_hash=digests.tensors[:TENSORS] if digests and digests.tensors else None,
        old_hash=digests.old if digests else None, family=facts.family, task=facts.task,
        prediction=facts.prediction, holds=facts.holds or None, parameters=facts.parameters,
        dtypes=list(facts.dtypes), title=beside.title or facts.title, author=facts.author,
        licence=licence.name if licence else ", ".join(said) or facts.licence,
        licence_page=licence.address if licence else "", licence_terms=licence.terms if licence else "",
        licence_terms_zh=licence.terms_zh if licence else "", base=beside.base or facts.base,
        trigger_words=list(beside.trigger_words or facts.trigger_words), negative=beside.negative,
        weight=beside.weight, description=beside.description, notes=beside.notes, page=safe(beside.page),
        source=entry.source.repo if entry.source else "", remark=facts.remark, blocks=facts.blocks,
        fault=entry.fault and without_folders(entry.fault),
        preview=preview_of(entry.kind, entry.name, beside),
    )  # fmt: skip


def builtin() -> ModelCard:
    """The model that comes with the package."""
    place = place_of_builtin()
    status = place.stat()
    return ModelCard(
        kind="checkpoints", name=BUILTIN, file=BUILTIN, size=status.st_size, changed=status.st_mtime,
        created=created(place, status.st_mtime), was_read=True,
        sha256=None, short_hash=None, tensors_hash=None, old_hash=None, family="sd1", task="text", prediction="v",
        holds="checkpoint", parameters=0, dtypes=[], title="Emoji", author="fromnoise", licence="Apache-2.0",
        licence_page="", licence_terms="", licence_terms_zh="", base="", trigger_words=[], negative="", weight=None,
        description="Draws emoji from English and Chinese prompts. Comes with the package.", notes="", page="",
        source="", remark="", blocks=BUILTIN_BLOCKS, fault=None,
        preview=preview_of("checkpoints", BUILTIN, companions(place)),
    )  # fmt: skip


def created(place: Path, changed: float) -> float:
    """When a file was born; where the system does not say, when it came to its place, as AUTOMATIC1111 takes it."""
    try:
        status = place.stat()
    except OSError:  # it went away meanwhile
        return changed
    return float(getattr(status, "st_birthtime", status.st_ctime))


def place_of_builtin() -> Path:
    from fromnoise.engine.shelves import builtin

    return builtin()


def stem(entry: Entry) -> str:
    """The name without its suffix."""
    return entry.name if entry.place.is_dir() else entry.name.removesuffix(Path(entry.name).suffix)


def preview_of(kind: str, name: str, beside: Companions) -> str | None:
    from urllib.parse import quote

    if beside.preview is None:
        return None
    return f"/api/v1/models/{kind}/{quote(name)}/preview?v={int(beside.preview.stat().st_mtime)}"


def safe(page: str) -> str:
    """An address that a page may link to; nothing that runs."""
    return page if page.startswith(("https://", "http://")) else ""


def searched(card: ModelCard) -> str:
    return " ".join([card.name, card.title, card.author, card.base, *card.trigger_words]).lower()
