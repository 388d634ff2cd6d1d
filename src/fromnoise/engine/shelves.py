"""Where the files of models are: every kind has its shelves, and a name is looked for on them.

    find("loras", "style/ink", settings)  # models/loras/style/ink.safetensors
    listed("vae", settings)

`Settings.models` names trees. A tree is a folder laid out as ComfyUI or AUTOMATIC1111 lay out theirs (the installation
or its folder `models`; the folder names of both are known), a plain folder of checkpoints, or a ComfyUI
`extra_model_paths.yaml`; the one in an installation is read as well. This module opens no weights and needs no torch.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import yaml

from fromnoise.errors import FileError, UnknownName
from fromnoise.settings import Settings

Kind = Literal[
    "checkpoints",
    "diffusion_models",
    "text_encoders",
    "vae",
    "loras",
    "embeddings",
    "hypernetworks",
    "controlnet",
    "t2i_adapter",
    "clip_vision",
    "ipadapter",
    "gligen",
    "style_models",
    "upscale_models",
    "face_restore",
    "taesd",
    "captioners",
    "preprocessors",
    "wildcards",
    "styles",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

FOLDERS: dict[Kind, tuple[str, ...]] = {  # in the folder of models, of either tool; new files go into the first
    "checkpoints": ("checkpoints", "Stable-diffusion"),
    "diffusion_models": ("diffusion_models", "unet"),
    "text_encoders": ("text_encoders", "clip", "text_encoder"),
    "vae": ("vae",),
    "loras": ("loras", "Lora", "LyCORIS"),
    "embeddings": ("embeddings",),
    "hypernetworks": ("hypernetworks",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "t2i_adapter": ("t2i_adapter", "controlnet"),
    "clip_vision": ("clip_vision",),
    "ipadapter": ("ipadapter", "controlnet"),
    "gligen": ("gligen",),
    "style_models": ("style_models",),
    "upscale_models": ("upscale_models", "ESRGAN", "RealESRGAN", "BSRGAN", "SwinIR", "DAT", "HAT", "ScuNET", "LDSR"),
    "face_restore": ("facerestore_models", "face_restore", "GFPGAN", "Codeformer"),
    "taesd": ("vae_approx", "VAE-taesd", "taesd"),
    "captioners": ("captioners", "BLIP", "deepbooru", "torch_deepdanbooru", "interrogators"),
    "preprocessors": ("preprocessors", "ControlNetPreprocessor", "annotators"),
    "wildcards": ("wildcards",),
    "styles": ("styles",),
}
ALL_FOLDERS = {name.lower() for names in FOLDERS.values() for name in names}
EXTENSION = "extensions/sd-webui-controlnet"
BESIDE: dict[Kind, tuple[str, ...]] = {  # in the installation, beside its folder of models
    "embeddings": ("embeddings",),
    "controlnet": (f"{EXTENSION}/models",),
    "t2i_adapter": (f"{EXTENSION}/models",),
    "ipadapter": (f"{EXTENSION}/models",),
    "preprocessors": (f"{EXTENSION}/annotator/downloads",),
    "wildcards": (
        "wildcards",
        "extensions/sd-dynamic-prompts/wildcards",
        "extensions/stable-diffusion-webui-wildcards",
    ),
    "styles": ("styles", "."),
}
YAML_KEYS: dict[str, Kind] = {  # in extra_model_paths.yaml, where they are not the name of a kind
    "unet": "diffusion_models",
    "clip": "text_encoders",
    "vae_approx": "taesd",
    "facerestore_models": "face_restore",
    "annotators": "preprocessors",
}
EXTRA_PATHS = "extra_model_paths.yaml"
VAE_MARK = ".vae"  # NAME.vae.pt lies beside NAME.ckpt, and is no checkpoint
MAX_YAML = 1 << 20
MAX_NODES = 10_000  # of the YAML, with a copy in place of each alias

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")  # of files alike but for it, the first
SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "embeddings": (*WEIGHTS, ".png", ".webp"),
    "captioners": (*WEIGHTS, ".onnx"),
    "preprocessors": (*WEIGHTS, ".onnx"),
    "wildcards": (".txt", ".yaml", ".yml"),
    "styles": (".csv",),
}
# a folder that holds one of these is one model
WHOLE = ("model_index.json", "config.json", "adapter_config.json", "selected_tags.csv")

BUILTIN = "builtin"
BUILTIN_BLOCKS = 13  # of its U-Net, as `checkpoints.merge` counts them
NOUNS: dict[Kind, str] = {
    "checkpoints": "model",
    "diffusion_models": "diffusion model",
    "text_encoders": "text encoder",
    "vae": "VAE",
    "loras": "LoRA",
    "embeddings": "embedding",
    "hypernetworks": "hypernetwork",
    "controlnet": "ControlNet",
    "t2i_adapter": "T2I-Adapter",
    "clip_vision": "image encoder",
    "ipadapter": "IP-Adapter",
    "gligen": "GLIGEN model",
    "style_models": "style model",
    "upscale_models": "upscaler",
    "face_restore": "face restorer",
    "taesd": "TAESD",
    "captioners": "captioner",
    "preprocessors": "preprocessor",
    "wildcards": "wildcard",
    "styles": "style",
}
MAX_SHOWN = 12  # names in a message


@dataclass(frozen=True)
class Shelf:
    """A folder that files of one kind are in, also in folders below it if it is `deep`."""

    folder: Path
    deep: bool = True


@dataclass(frozen=True)
class Item:
    """A file on a shelf, or a folder that is one model; its name is its path below the shelf, with slashes."""

    path: Path
    name: str

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name if self.path.is_dir() else self.name.removesuffix(self.path.suffix)


def builtin() -> Path:
    """The model that comes with the package."""
    return Path(str(files("fromnoise.assets").joinpath("emoji.safetensors")))


def kind_named(name: str) -> Kind:
    """The kind of a name, of one of its folders or of one thing of it: loras, Lora, LyCORIS. UnknownName."""
    wanted = name.lower()
    by_name = {kind.removesuffix("s"): kind for kind in KINDS} | {kind: kind for kind in KINDS}
    by_folder = {folder.lower(): kind for kind in reversed(KINDS) for folder in FOLDERS[kind]}
    by_noun = {noun.lower(): kind for kind, noun in NOUNS.items()}
    found = {**by_noun, **by_folder, **by_name}.get(wanted)
    if found is None:
        raise UnknownName("kind", name, KINDS)
    return found


def find(kind: Kind, name: str, settings: Settings) -> Path:
    """The file (or folder) that `name` stands for: a path that exists, or the name of something on the shelves.

    A name may leave out its suffix and the folders it is in, and has slashes of either kind; where nothing is called
    so, capitals don't matter. The same name on several shelves is the one on the first. FileError where nothing is
    called so, with near names and the folders that were looked in, or where several things are.
    """
    if kind == "checkpoints" and name == BUILTIN:
        return builtin()
    if settings.any_path and name and "\0" not in name and (Path(name).is_file() or is_whole(Path(name))):
        return Path(name)
    there = items(kind, settings)
    found = called(name, there)
    if len({item.path.resolve() for item in found}) > 1:
        several = ", ".join(repr(item.name) for item in found[:MAX_SHOWN])
        raise FileError(f"{NOUNS[kind]} {name!r} could be {several}: say which")
    if not found:
        raise FileError(missing(kind, name, there, settings))
    return found[0].path


def listed(kind: Kind, settings: Settings) -> list[Path]:
    """Everything of a kind, shelf by shelf, each file once."""
    return [item.path for item in items(kind, settings)]


def items(kind: Kind, settings: Settings) -> list[Item]:
    """What `listed` lists, with the names."""
    found: dict[Path, Item] = {}
    for shelf in shelves(kind, settings):
        for item in sorted(on_shelf(shelf, SUFFIXES.get(kind, WEIGHTS)), key=lambda item: item.name.lower()):
            if kind != "checkpoints" or not is_paired(item):
                found.setdefault(item.path.resolve(), item)
    for shelf in shelves("checkpoints", settings) if kind == "vae" else ():
        for item in sorted(filter(is_paired, on_shelf(shelf, WEIGHTS)), key=lambda item: item.name.lower()):
            found.setdefault(item.path.resolve(), item)
    return list(found.values())


def is_paired(item: Item) -> bool:
    """Whether it is the VAE of the checkpoint that it lies beside."""
    return item.stem.lower().endswith(VAE_MARK) and not item.path.is_dir()


def home(kind: Kind, settings: Settings) -> Path:
    """The folder that new files of a kind go into; it may not exist yet."""
    for tree in settings.models:
        if tree.suffix.lower() not in (".yaml", ".yml"):
            known = list(known_folders(kind, tree))
            return known[0] if known else models_folder(tree) / FOLDERS[kind][0]
    return Settings.models[0] / FOLDERS[kind][0]


def shelves(kind: Kind, settings: Settings) -> list[Shelf]:
    """The folders of a kind that exist, in the order of the trees."""
    found: dict[Path, Shelf] = {}
    for tree in settings.models:
        for shelf in of_tree(kind, tree):
            if shelf.folder.is_dir():
                found.setdefault(shelf.folder.resolve(), shelf)
    return list(found.values())


def of_tree(kind: Kind, tree: Path) -> Iterator[Shelf]:
    """The shelves of one tree, which may be missing."""
    if tree.suffix.lower() in (".yaml", ".yml"):
        yield from (Shelf(folder) for folder in extra_folders(kind, tree))
        return
    if tree.name.lower() in ALL_FOLDERS:  # it is no tree but a shelf
        if tree.name.lower() in lowered(FOLDERS[kind]):
            yield Shelf(tree)
        return
    yield from (Shelf(folder, deep=folder != installation(tree)) for folder in known_folders(kind, tree))
    extra = installation(tree) / EXTRA_PATHS
    if extra.is_file():
        yield from (Shelf(folder) for folder in extra_folders(kind, extra))
    if kind == "checkpoints":  # files that lie about, and a folder that knows no kinds
        yield Shelf(models_folder(tree), deep=ALL_FOLDERS.isdisjoint(below(models_folder(tree))))


def models_folder(tree: Path) -> Path:
    """The folder of models of an installation; the tree itself if it has none."""
    return tree / "models" if (tree / "models").is_dir() else tree


def installation(tree: Path) -> Path:
    """The folder that a folder called `models` belongs to; else the tree itself."""
    return tree.parent if tree.name.lower() == "models" else tree


def known_folders(kind: Kind, tree: Path) -> Iterator[Path]:
    """The folders of a tree that have a name of the kind, in whatever capitals."""
    there, beside = below(models_folder(tree)), installation(tree)
    for name in lowered(FOLDERS[kind]):
        yield from there.get(name, ())
    for name in BESIDE.get(kind, ()):
        if (beside / name).is_dir():
            yield beside / name


def below(folder: Path) -> dict[str, list[Path]]:
    """What is in a folder, if there is one, by its name in small letters."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found.setdefault(path.name.lower(), []).append(path)
    return found


def lowered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def extra_folders(kind: Kind, file: Path) -> list[Path]:
    """The folders of a kind that a ComfyUI extra_model_paths.yaml names; those of default sections first. FileError."""
    first: list[Path] = []
    then: list[Path] = []
    for name, section in sections(file).items():
        if not isinstance(section, dict):
            raise FileError(f"{file}: section {name!r} is not a table of folders; see docs/library.md")
        given = section.get("base_path") or "."
        if not isinstance(given, str):
            raise FileError(f"{file}: base_path of section {name!r} is not the name of a folder; see docs/library.md")
        base = file.parent / expanded(given)
        for key, value in section.items():
            if YAML_KEYS.get(key, key) == kind and isinstance(value, str):
                folders = [base / expanded(line.strip()) for line in value.splitlines() if line.strip()]
                (first if section.get("is_default") else then).extend(folders)
    return first + then


def sections(file: Path) -> dict[str, object]:
    """A YAML file that is a table. FileError."""
    try:
        if file.exists() and not file.is_file():
            raise FileError(f"{file} is not a regular file; check FROMNOISE_MODELS")
        if file.stat().st_size > MAX_YAML:
            raise FileError(f"{file} is too large for a list of folders")
        content = parsed(file.read_text("utf-8"))
    except OSError as error:
        raise FileError(f"{file} cannot be read ({error.strerror}); check FROMNOISE_MODELS") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileError(f"{file} is not YAML ({' '.join(str(error).split())}); see docs/library.md") from error
    if not isinstance(content or {}, dict):
        raise FileError(f"{file} is not a table of folders; see docs/library.md")
    return content or {}


def parsed(text: str) -> Any:
    """What YAML says, if its aliases do not unfold to more than a list of folders could be. YAMLError, ValueError."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if unfolded(root, {}) > MAX_NODES:
            raise ValueError("its aliases unfold to too much")
        return loader.construct_document(root)
    finally:
        loader.dispose()


def unfolded(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many nodes there would be without aliases; those within themselves are endless."""
    if node not in known:
        known[node] = MAX_NODES + 1
        value = node.value if isinstance(node, yaml.CollectionNode) else ()
        below = [part for item in value for part in (item if isinstance(item, tuple) else (item,))]
        known[node] = min(MAX_NODES + 1, 1 + sum(unfolded(part, known) for part in below))
    return known[node]


def expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()


def on_shelf(shelf: Shelf, suffixes: tuple[str, ...]) -> Iterator[Item]:
    """Files with one of the suffixes and folders that are one model; links are followed, but not in circles."""
    seen: set[Path] = set()
    for place, folders, names in os.walk(shelf.folder, followlinks=True):
        folder = Path(place)
        real = folder.resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if folder != shelf.folder and is_whole(folder):
            folders.clear()
            yield Item(folder, folder.relative_to(shelf.folder).as_posix())
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if shelf.deep else []
        for name in names:
            path = folder / name
            if path.suffix.lower() in suffixes and not name.startswith(".") and path.is_file():
                yield Item(path, path.relative_to(shelf.folder).as_posix())


def is_whole(folder: Path) -> bool:
    """Whether a folder is one model, as diffusers, transformers and peft save them."""
    return any((folder / name).is_file() for name in WHOLE)


def called(name: str, there: list[Item]) -> list[Item]:
    """The items that `name` stands for, by the strictest rule that any of them meets; more than one is ambiguous."""
    wanted = name.replace("\\", "/").strip("/")
    for fold in (str, str.casefold):
        word = fold(wanted)
        for whole in (True, False):  # its path below the shelf; only the end of it
            for exact in (True, False):  # with its suffix; without
                found = [
                    item
                    for item in there
                    for given in [fold(item.name if exact else item.stem)]
                    if given == word or (not whole and given.endswith(f"/{word}"))
                ]
                if found:
                    return [best(found)] if whole and fold is str else alternatives(found)
    return []


def best(found: list[Item]) -> Item:
    """Of items with the same name: the one on the first shelf; there, of the safest format."""
    shelf = found[0].path.parent
    return min((item for item in found if item.path.parent == shelf), key=preference)


def preference(item: Item) -> int:
    suffix = item.path.suffix.lower()
    return WEIGHTS.index(suffix) if suffix in WEIGHTS else len(WEIGHTS)


def alternatives(found: list[Item]) -> list[Item]:
    """One item for each name without suffix."""
    alike: dict[str, list[Item]] = {}
    for item in found:
        alike.setdefault(item.stem, []).append(item)
    return [best(group) for group in alike.values()]


def missing(kind: Kind, name: str, there: Iterable[Item], settings: Settings) -> str:
    """What to say where nothing is called `name`."""
    noun, place = NOUNS[kind], home(kind, settings)
    looked = ", ".join(str(shelf.folder) for shelf in shelves(kind, settings)) or place
    stems = [*([BUILTIN] if kind == "checkpoints" else []), *(item.stem for item in there)]
    short = {PurePosixPath(stem).name.lower(): stem for stem in reversed(stems)}
    near = get_close_matches(PurePosixPath(name.replace("\\", "/").lower()).stem, short, n=3, cutoff=0.6)
    if near:
        return f"no {noun} {name!r}; did you mean {' or '.join(repr(short[key]) for key in near)}? Looked in {looked}"
    if not stems:
        return f"no {noun} {name!r}: put its file into {place} or give its path"
    known = ", ".join(stems[:MAX_SHOWN]) + (f" and {len(stems) - MAX_SHOWN} more" if len(stems) > MAX_SHOWN else "")
    return f"no {noun} {name!r}: give its path, or one of {known}. Looked in {looked}"
