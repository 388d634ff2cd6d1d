"""Where pictures and captions are: kohya's folders and its data-set files, and plain folders.

    data/10_mycat cat/     pictures, each repeated 10 times an epoch, captions beside them; "mycat cat" for the rest
    data/                  pictures with captions beside them

A data-set file (TOML or JSON) has [general], [[datasets]] and [[datasets.subsets]]; what stands lower wins.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fromnoise.engine.recipe import explain
from fromnoise.errors import FileError, UserError
from fromnoise.train.data.buckets import BucketRules
from fromnoise.train.data.captions import CaptionRules, Rate

SET_ASIDE = "set-aside"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif", ".jxl", ".tif", ".tiff")
CAPTIONS = (".txt", ".caption")  # looked for in this order where no ending is asked for


class Subset(CaptionRules):
    """A folder of pictures and how they are used; the names are kohya's."""

    image_dir: Path | None = Field(default=None, description="The folder with the pictures.")
    num_repeats: int = Field(default=1, ge=1, description="How often an epoch has each of them.")
    class_tokens: str = Field(default="", description="Said of pictures that have no caption.")
    caption_extension: str = Field(default="", description="Ending of captions' files; by default .txt, else .caption.")
    is_reg: bool = Field(
        default=False, description="Pictures of the class in general, to keep what the model knows of it."
    )
    flip_aug: bool = Field(default=False, description="Mirror pictures half of the time.")
    color_aug: bool = Field(default=False, description="Vary hue a little; latents can't be cached then.")
    random_crop: bool = Field(
        default=False, description="Cut anywhere instead of in the middle; no cached latents then."
    )
    face_crop_aug_range: tuple[float, float] | None = Field(
        default=None, description="Cut around the face that a picture's name tells, so many times as large as it."
    )
    alpha_mask: bool = Field(default=False, description="Where a picture is transparent its loss does not count.")
    conditioning_data_dir: Path | None = Field(
        default=None, description="Pictures of the same names that steer a ControlNet."
    )
    mask_dir: Path | None = Field(default=None, description="Pictures of the same names: black does not count.")
    metadata_file: Path | None = Field(default=None, description="Captions and tags of all pictures, as JSON.")
    cache_info: bool = Field(default=False, description="Remember captions and sizes in the folder.")
    custom_attributes: dict[str, Any] = Field(default_factory=dict, description="Taken along for other tools.")
    resize_interpolation: str | None = Field(default=None, description="How pictures are resized: lanczos, area, ...")

    @field_validator("face_crop_aug_range", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _in_order(self) -> "Subset":
        times = self.face_crop_aug_range
        if times is not None and not 0 < times[0] <= times[1]:
            raise ValueError("face_crop_aug_range: two numbers above 0, the smaller first, such as 2.0,4.0")
        return self


class Dataset(BaseModel):
    """Folders that share sizes and batches; the names are kohya's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subsets: tuple[Subset, ...] = Field(default=(), description="The folders.")
    batch_size: int = Field(default=1, ge=1, description="Pictures in a step.")
    resolution: int | tuple[int, int] = Field(default=512, description="Pixels: side of a square, or width and height.")
    enable_bucket: bool = Field(default=False, description="Keep about the pictures' own proportions.")
    min_bucket_reso: int = Field(default=256, ge=64, description="Shortest side.")
    max_bucket_reso: int = Field(default=1024, ge=64, description="Longest side.")
    bucket_reso_steps: int = Field(default=64, ge=8, description="Sides are multiples of it.")
    bucket_no_upscale: bool = Field(default=False, description="Never enlarge a picture.")
    validation_split: Rate = Field(default=0.0, description="Share of the pictures that is kept to measure on.")
    validation_seed: int | None = Field(default=None, description="Which ones they are.")
    network_multiplier: float = Field(default=1.0, description="Strength of the network in training.")
    resize_interpolation: str | None = Field(default=None, description="How pictures are resized: lanczos, area, ...")

    @model_validator(mode="after")
    def _whole_strength(self) -> "Dataset":
        if self.network_multiplier != 1:
            raise ValueError("network_multiplier is not done here: networks train at full strength; leave it out")
        return self

    @property
    def size(self) -> tuple[int, int]:
        return (self.resolution, self.resolution) if isinstance(self.resolution, int) else self.resolution

    @property
    def buckets(self) -> BucketRules:
        return BucketRules(
            self.size,
            self.enable_bucket,
            self.min_bucket_reso,
            self.max_bucket_reso,
            self.bucket_reso_steps,
            not self.bucket_no_upscale,
        )


@dataclass(frozen=True)
class Example:
    """A picture of a data set, and what belongs to it."""

    path: Path
    caption: str
    subset: Subset
    mask: Path | None = None
    control: Path | None = None

    @property
    def regular(self) -> bool:
        """Whether it shows the class in general (kohya's regularisation pictures)."""
        return self.subset.is_reg


@dataclass(frozen=True)
class Found:
    """The pictures of a folder, and what a person should know of it."""

    examples: tuple[Example, ...]
    warnings: tuple[str, ...] = ()


def read_dataset_file(path: Path, defaults: Mapping[str, Any] | None = None) -> tuple[Dataset, ...]:
    """The data sets in a TOML or JSON file; FileError or UserError names the field that is wrong.

    `defaults` stand below [general]: what the command line says for all.
    """
    content = parsed(path)
    if unknown := set(content) - {"general", "datasets"}:
        raise UserError(f"{path}: unknown part {sorted(unknown)[0]!r}; there are [general] and [[datasets]]")
    base = {**(defaults or {}), **content.get("general", {})}
    sets = content.get("datasets", [])
    if not isinstance(sets, list) or not sets:
        raise UserError(f"{path}: it names no data set; add [[datasets]] with [[datasets.subsets]]")
    return tuple(_dataset(path, number, base, one) for number, one in enumerate(sets, 1))


def parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise FileError(f"{path}: no such data-set file") from None
    except (OSError, ValueError) as error:  # both parsers' errors, and text that is not UTF-8
        raise FileError(f"{path}: can't be read as TOML or JSON ({error})") from error
    if not isinstance(content, dict):
        raise FileError(f"{path}: it should have [general] and [[datasets]]")
    return content


def _dataset(path: Path, number: int, base: Mapping[str, Any], given: Any) -> Dataset:
    where = f"{path}: data set {number}"
    if not isinstance(given, dict):
        raise UserError(f"{where} is not a table")
    own = {key: value for key, value in given.items() if key != "subsets"}
    known(where, {**base, **own}, {*Dataset.model_fields, *Subset.model_fields})
    subsets = []
    for index, part in enumerate(given.get("subsets", []), 1):
        known(f"{where}, subset {index}", part, set(Subset.model_fields))
        subsets.append({**only(base, Subset), **only(own, Subset), **part})
    fields = {**only(base, Dataset), **only(own, Dataset), "subsets": subsets}
    if not subsets:
        raise UserError(f"{where} has no [[datasets.subsets]]; add one with image_dir")
    made = valid(where, fields)
    if kinds(made) > 1:
        raise UserError(f"{where}: its subsets are of several methods; put each method into a data set of its own")
    return made


def valid(where: str, fields: Mapping[str, Any]) -> Dataset:
    try:
        return Dataset.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error)}") from error


def known(where: str, given: Mapping[str, Any], names: set[str]) -> None:
    """UserError for a name that is none of `names`, with the nearest of them."""
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{where}: unknown key {name!r}{hint}")


def only(fields: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in model.model_fields}


def kinds(dataset: Dataset) -> int:
    """How many methods the subsets of a data set belong to."""
    return len({(bool(s.metadata_file), bool(s.conditioning_data_dir)) for s in dataset.subsets})


def kohya_subsets(folder: Path, rules: Subset, *, regular: bool = False) -> tuple[list[Subset], list[str]]:
    """The subsets in a folder whose folders are named "10_mycat cat"; and warnings about those that are not.

    A folder with pictures and no such folders is one subset by itself.
    """
    if not folder.is_dir():
        raise FileError(f"{folder}: no such folder of pictures")
    subsets, warnings = [], []
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        count, _, words = inner.name.partition("_")
        if not count.isdecimal() or int(count) < 1:
            warnings.append(f"{inner} is left out: its name should be a count, _ and words, such as 10_mycat")
            continue
        named = {"image_dir": inner, "num_repeats": int(count), "class_tokens": words, "is_reg": regular}
        subsets.append(rules.model_copy(update=named))
    if subsets:
        if loose := sum(1 for _ in pictures_in(folder)):
            warnings.append(f"{folder}: {loose} pictures beside the folders are left out; put them into one")
        return subsets, warnings
    if any(pictures_in(folder)):
        return [rules.model_copy(update={"image_dir": folder, "is_reg": regular})], warnings
    raise FileError(f"{folder}: no pictures and no folders such as 10_mycat in it; put pictures there")


def examples(subset: Subset) -> Found:
    """The pictures of a subset with their captions, in the order of their names. FileError where there are none."""
    if subset.metadata_file is not None:
        return described(subset, subset.metadata_file)
    folder = subset.image_dir
    if folder is None or not folder.is_dir():
        raise FileError(f"{folder}: no such folder of pictures; image_dir names one")
    found, silent = [], 0
    for path in pictures_in(folder):
        caption = caption_of(path, subset)
        silent += caption is None
        found.append(Example(path, subset.class_tokens if caption is None else caption, subset, *beside(path, subset)))
    if not found:
        raise FileError(f"{folder}: no pictures in it ({', '.join(PICTURES[:4])}, ...)")
    warnings = []
    if silent and not subset.class_tokens:
        warnings.append(f"{folder}: {silent} of {len(found)} pictures have no caption; nothing is said of them")
    return Found(tuple(found), tuple(warnings))


def described(subset: Subset, metadata: Path) -> Found:
    """The pictures that a metadata file names, with its captions and tags."""
    found = []
    for key, entry in parsed(metadata).items():
        if not isinstance(entry, dict):
            raise FileError(f"{metadata}: {key!r} has no caption and no tags")
        path = located(key, subset.image_dir)
        if path is None:
            raise FileError(f"{metadata}: no picture {key!r} in {subset.image_dir}; image_dir names their folder")
        said = [str(entry[name]) for name in ("caption", "tags") if entry.get(name)]
        found.append(Example(path, f"{subset.caption_separator} ".join(said), subset, *beside(path, subset)))
    if not found:
        raise FileError(f"{metadata}: it names no pictures")
    return Found(tuple(found))


def located(key: str, folder: Path | None) -> Path | None:
    """The picture that a key of a metadata file stands for: its path, or its name with or without an ending."""
    for start in (Path(key), *([folder / key] if folder else [])):
        for path in (start, *(start.with_name(start.name + ending) for ending in PICTURES)):
            if path.is_file():
                return path
    return None


def parts_of(folder: Path) -> list[Path]:
    """The folder and those in it, without what was set aside."""
    inner = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [folder, *sorted(path for path in inner if path.name != SET_ASIDE)]


def picture_files(folder: Path) -> Iterator[Path]:
    """The files of a data set's pictures, in order."""
    for part in parts_of(folder):
        yield from pictures_in(part)


def pictures_in(folder: Path) -> Iterator[Path]:
    return iter(sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file()))


def caption_of(path: Path, subset: Subset) -> str | None:
    """What stands in the file beside the picture; None without one."""
    for ending in (subset.caption_extension,) if subset.caption_extension else CAPTIONS:
        text = path.with_suffix(ending)
        if text.is_file():
            try:
                return text.read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise FileError(f"{text}: not a caption in UTF-8 ({error})") from error
    return None


def beside(path: Path, subset: Subset) -> tuple[Path | None, Path | None]:
    """The mask and the steering picture of a picture; FileError where one is missing."""
    return tuple(_partner(path, folder) for folder in (subset.mask_dir, subset.conditioning_data_dir))  # type: ignore[return-value]


def _partner(path: Path, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    for ending in (path.suffix, *PICTURES):
        other = folder / (path.stem + ending)
        if other.is_file():
            return other
    raise FileError(f"{folder}: no picture {path.stem} there, which belongs to {path}")


def with_regular(found: Sequence[Example], regular: Sequence[Example]) -> list[Example]:
    """Examples repeated, then as many regular ones, over and over in turn, as kohya balances them."""
    own = [example for example in found for _ in range(example.subset.num_repeats)]
    once = [example for example in regular for _ in range(example.subset.num_repeats)]
    return own + [once[i % len(once)] for i in range(len(own))] if once else own
