"""Work on models and data sets, as administrators ask for it: training, merging, converting, describing."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine import shelves
from fromnoise.engine.recipe_cut import Cut
from fromnoise.server.context import Context
from fromnoise.train.data import sets
from fromnoise.train.schema import TrainingSchema

Name = Annotated[str, Field(min_length=1, max_length=500)]
NewName = Annotated[str, Field(min_length=1, max_length=150, description="A name, no path; the file's ending follows.")]
Weight = Annotated[float, Field(ge=-100, le=100)]


class Work(BaseModel):
    """What all have in common."""

    model_config = ConfigDict(extra="forbid")


class Train(Work):
    """A model learns from a data set. Skipped, it writes its file with what it has learnt so far.

    How it goes: /jobs/ID/training. The first result's data say which file on which shelf came out.
    """

    kind: Literal["train"]
    method: str = Field(max_length=100, description="One of /training.")
    dataset: str = Field(max_length=200, description="One of /datasets.")
    name: NewName
    model: Name = Field(default="builtin", description="The checkpoint that learns.")
    settings: dict[str, Any] = Field(default={}, max_length=200, description="By the names of /training, or kohya's.")
    replace: bool = Field(default=False, description="Take the place of a file of that name.")


class Rewritten(Work):
    """What merging, converting and pruning have in common."""

    out: NewName
    dtype: str | None = Field(default=None, max_length=20, description="fp32, fp16, bf16, fp8; GGUF: f16, q8_0, ...")
    ema: bool = Field(default=False, description="Take the averages (EMA) of the U-Net's weights.")
    allow_unmatched: bool = Field(default=False, description="Leave out weights that match nothing.")
    allow_non_finite: bool = Field(default=False, description="Write weights that are no numbers, too.")
    replace: bool = Field(default=False, description="Take the place of a file of that name.")


class MergedLora(BaseModel):
    """A LoRA that is put in."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    weight: Weight = 1.0
    text_weight: Weight | None = Field(default=None, description="Of the text encoders; by default the same.")


class Merge(Rewritten):
    """Models mixed by a rule, with LoRAs and an autoencoder put in."""

    kind: Literal["merge"]
    models: list[Name] = Field(min_length=1, max_length=16, description="Of one family; the first is the base.")
    method: Literal["sum", "difference", "sigmoid", "inverse-sigmoid", "slerp"] = "sum"
    weights: list[Weight] | None = Field(
        default=None, max_length=16, description="How much of the second; of more models one each. 0.5."
    )
    blocks: list[Weight] | None = Field(
        default=None, max_length=100, description="For each block of the U-Net: 25 numbers, or 19 for SDXL."
    )
    loras: list[MergedLora] = Field(default=[], max_length=16)
    vae: Name | None = Field(default=None, description="An autoencoder that is put in.")
    to: Literal["original", "diffusers"] | None = None


class Convert(Rewritten):
    """A model in another layout or dtype, or with parts of other files."""

    kind: Literal["convert"]
    model: Name
    to: Literal["original", "diffusers", "gguf", "unet", "vae", "clip", "clip_l", "clip_g"] | None = None
    unet: Name | None = None
    text_encoders: list[Name] = Field(default=[], max_length=3)
    vae: Name | None = None
    variant: str | None = Field(default=None, max_length=50, description="Which of a folder's sets of weights.")


class Prune(Rewritten):
    """A checkpoint without what no picture needs."""

    kind: Literal["prune"]
    model: Name


class CaptionSet(Work):
    """A caption beside each picture of a data set."""

    kind: Literal["caption-set"]
    dataset: str = Field(max_length=200)
    by: str = Field(default="wd14", max_length=200, description="A captioner of the catalogue.")
    model: str | None = Field(default=None, max_length=500, description="Name of its files on the shelf captioners.")
    pictures: list[str] = Field(default=[], max_length=20_000, description="Only these; empty: all.")
    existing: Literal["keep", "append", "replace"] = Field(
        default="keep", description="What becomes of captions that are there."
    )
    threshold: float = Field(default=0.35, ge=0, le=1, description="wd14: least probability of a tag.")
    character_threshold: float = Field(default=0.85, ge=0, le=1)
    first: str = Field(default="", max_length=1000, description="What every caption begins with: a trigger word.")
    undesired: str = Field(default="", max_length=10_000, description="wd14: tags to leave out, parted by commas.")
    begin: str = Field(default="", max_length=1000, description="blip: how a sentence begins.")
    chinese: bool = Field(default=False, description="Tags in Chinese where they are known.")


class ExamineSet(Work):
    """Which pictures of a data set are broken, small, or there twice: broken, small, same, spare in the result."""

    kind: Literal["examine-set"]
    dataset: str = Field(max_length=200)
    smallest: int = Field(default=256, ge=1, le=10_000, description="A shorter side below it is too small; pixels.")


class CutSet(Work):
    """A data set's pictures cut into a new data set, with their captions: count in the result."""

    kind: Literal["cut-set"]
    dataset: str = Field(max_length=200)
    out: NewName = Field(description="The new data set.")
    settings: Cut = Cut()


AdminWork = Train | Merge | Convert | Prune | CaptionSet | ExamineSet | CutSet
HEAVY = 50.0  # what such work costs beside a picture of 512x512 in 20 steps, where owners take turns


def check_work(work: AdminWork, here: Context) -> None:
    """UnknownName, UserError and FileError while whoever asked is still listening."""
    if isinstance(work, Train):
        schema = TrainingSchema.shipped()
        schema.checked(schema.method(work.method).name, work.settings)
        sets.checked_name(work.name, "training")
        check_models(here, work.model)
    elif isinstance(work, Rewritten):
        sets.checked_name(work.out, "model")
        check_models(here, *(work.models if isinstance(work, Merge) else [work.model]))
    if isinstance(work, (Train, CaptionSet, ExamineSet, CutSet)):
        sets.folder_of(work.dataset, here.settings)
    if isinstance(work, CutSet):
        sets.check_new(work.out, here.settings)
    if isinstance(work, CaptionSet):
        here.catalogue.other("captioners", work.by)


def check_models(here: Context, *names: str) -> None:
    for name in names:
        shelves.find("checkpoints", name, here.settings)


def body_of(work: AdminWork) -> dict[str, Any]:
    """What the job is given."""
    return work.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
