"""What can be chosen by name."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from fromnoise.engine.recipe_upscale import FACE_LABELS
from fromnoise.engine.shelves import Kind
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.sdapi import always_on, names, scripts
from fromnoise.server.sdapi.routes.common import enlargers, new_router, styles_of, upscalers_of
from fromnoise.server.sdapi.schedulers import SCHEDULERS

MARK = "controlnet m2m"  # a script of the extension, by which webuiapi tells that ControlNet is there

router = new_router()


class Row(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class SamplerRow(Row):
    name: str
    aliases: list[str]
    options: dict[str, str]


@router.get("/samplers")
def samplers(here: Here, who: Who) -> list[SamplerRow]:
    """Samplers by AUTOMATIC1111's labels."""
    return [
        SamplerRow(name=choice.label, aliases=[choice.name, *choice.aliases], options={
            "scheduler": choice.default_schedule, **({"second_order": "True"} if choice.evaluations == 2 else {})})
        for choice in here.catalogue.samplers
    ]  # fmt: skip


class SchedulerRow(Row):
    name: str
    label: str
    aliases: list[str] | None
    default_rho: float
    need_inner_model: bool


@router.get("/schedulers")
def schedulers(here: Here, who: Who) -> list[SchedulerRow]:
    """AUTOMATIC1111's schedules, and then ours that have no name there."""
    known = {one.ours for one in SCHEDULERS}
    more = [choice for choice in here.catalogue.schedules if choice.name not in known]
    return [
        *(SchedulerRow(name=one.name, label=one.label, aliases=list(one.aliases) or None, default_rho=one.rho,
                       need_inner_model=one.needs_model) for one in SCHEDULERS),
        *(SchedulerRow(name=choice.name, label=choice.label, aliases=None, default_rho=-1.0, need_inner_model=False)
          for choice in more),
    ]  # fmt: skip


class UpscalerRow(Row):
    name: str
    model_name: str | None
    model_path: str | None
    model_url: str | None
    scale: float


@router.get("/upscalers")
def upscalers(here: Here, who: Who) -> list[UpscalerRow]:
    """What enlarges pictures: built-in names, and the files on the shelf."""
    return [
        UpscalerRow(name=name, model_name=None, model_path=None, model_url=None, scale=4) for name in upscalers_of(here)
    ]


class NamedRow(Row):
    name: str


@router.get("/latent-upscale-modes")
def latent_upscale_modes(here: Here, who: Who) -> list[NamedRow]:
    """What enlarges latents in second passes."""
    return [NamedRow(name=name) for name in enlargers(here, latent=True)]


class RealesrganRow(Row):
    name: str
    path: str | None
    scale: int | None


@router.get("/realesrgan-models")
def realesrgan_models(here: Here, who: Who) -> list[RealesrganRow]:
    """Those that come with the package."""
    names = enlargers(here, latent=False)
    return [RealesrganRow(name=name, path=None, scale=4) for name in names if name.startswith("R-ESRGAN")]


class ModelRow(Row):
    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None


@router.get("/sd-models")
def sd_models(here: Here, who: Who) -> list[ModelRow]:
    """Checkpoints; hashes are told as soon as they are known."""
    return [
        ModelRow(title=known.title, model_name=known.name, hash=known.sha256[:10] if known.sha256 else None,
                 sha256=known.sha256, filename=known.filename, config=None)
        for known in names.files_of("checkpoints", here)
    ]  # fmt: skip


class FileRow(Row):
    model_name: str
    filename: str


@router.get("/sd-vae")
def sd_vae(here: Here, who: Who) -> list[FileRow]:
    """Autoencoders."""
    return files("vae", here)


@router.get("/sd-modules")
def sd_modules(here: Here, who: Who) -> list[FileRow]:
    """Forge's: autoencoders and text encoders."""
    return [*files("vae", here), *files("text_encoders", here)]


def files(kind: Kind, here: Context) -> list[FileRow]:
    return [FileRow(model_name=known.name, filename=known.filename) for known in names.files_of(kind, here)]


class PathRow(Row):
    name: str
    path: str


@router.get("/hypernetworks")
def hypernetworks(here: Here, who: Who) -> list[PathRow]:
    """Files of hypernetworks."""
    return [PathRow(name=known.name, path=known.filename) for known in names.files_of("hypernetworks", here)]


class LoraRow(Row):
    name: str
    alias: str
    path: str
    metadata: dict[str, Any]


@router.get("/loras")
def loras(here: Here, who: Who) -> list[LoraRow]:
    """Files of LoRAs."""
    return [
        LoraRow(name=known.name, alias=known.short, path=known.filename, metadata={})
        for known in names.files_of("loras", here)
    ]


class EmbeddingRow(Row):
    step: int | None
    sd_checkpoint: str | None
    sd_checkpoint_name: str | None
    shape: int
    vectors: int


class Embeddings(Row):
    loaded: dict[str, EmbeddingRow]
    skipped: dict[str, EmbeddingRow]


@router.get("/embeddings")
def embeddings(here: Here, who: Who) -> Embeddings:
    """Files of embeddings; their width and count are 0, for nothing is opened to tell them."""
    row = EmbeddingRow(step=None, sd_checkpoint=None, sd_checkpoint_name=None, shape=0, vectors=0)
    return Embeddings(loaded={known.short: row for known in names.files_of("embeddings", here)}, skipped={})


class FaceRow(Row):
    name: str
    cmd_dir: str | None


@router.get("/face-restorers")
def face_restorers(here: Here, who: Who) -> list[FaceRow]:
    """Those of CodeFormer and GFPGAN whose files are on the shelf."""
    there = [known.short.lower() for known in names.files_of("face_restore", here)]
    found = [label for name, label in FACE_LABELS.items() if any(name in file for file in there)]
    return [FaceRow(name=label, cmd_dir=None) for label in found]


class StyleRow(Row):
    name: str
    prompt: str | None
    negative_prompt: str | None


@router.get("/prompt-styles")
def prompt_styles(here: Here, who: Who) -> list[StyleRow]:
    """Of all files of styles."""
    return [StyleRow(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt) for s in styles_of(here)]


class Scripts(Row):
    txt2img: list[str]
    img2img: list[str]


@router.get("/scripts")
def list_scripts(who: Who) -> Scripts:
    """Always-on scripts, and those that can be chosen."""
    always = [*always_on.OFFERED, MARK]
    return Scripts(txt2img=[*always, *scripts.names("T")], img2img=[*always, *scripts.names("I")])


class Argument(Row):
    label: str | None
    value: Any
    minimum: Any
    maximum: Any
    step: Any
    choices: list[Any] | None


class ScriptRow(Row):
    name: str
    is_alwayson: bool
    is_img2img: bool
    args: list[Argument]


@router.get("/script-info")
def script_info(who: Who) -> list[ScriptRow]:
    """Scripts with their arguments in order."""
    return [
        ScriptRow(name=name, is_alwayson=always, is_img2img=tab == "I", args=[argument(*one) for one in arguments])
        for tab in ("T", "I")
        for name, always, arguments in scripts.described(tab, always_on.OFFERED)
    ]


def argument(label: str, value: Any, choices: list[Any] | None = None) -> Argument:
    return Argument(label=label, value=value, minimum=None, maximum=None, step=None, choices=choices)


class Extension(Row):
    name: str
    remote: str
    branch: str
    commit_hash: str
    commit_date: int
    version: str
    enabled: bool


@router.get("/extensions")
def extensions(who: Who) -> list[Extension]:
    """None: packages that add to fromnoise are installed with pip."""
    return []
