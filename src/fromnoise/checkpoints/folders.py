"""Folders as diffusers writes them: a whole pipeline (`model_index.json`) or one of its networks (`config.json`).

Weights are in `unet`, `vae`, `text_encoder` and `text_encoder_2`, as one file or in shards that an index lists, in
variants such as `fp16`. What their configurations say and shapes cannot becomes metadata, as `detect` understands it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fromnoise.checkpoints.distilled import KEY as DISTILLED
from fromnoise.checkpoints.distilled import Distilled
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.names import State
from fromnoise.errors import FileError

PIPELINE, NETWORK = "model_index.json", "config.json"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
IMAGE_ENCODER, IMAGE_NORMALIZER = "image_encoder", "image_normalizer"  # unCLIP's
UNCLIP = "UnCLIP"  # in the class names of its pipelines
MAX_CONFIG = 1 << 20  # bytes
MAX_INDEX = 16 << 20
MAX_SHARDS = 200
FILE = re.compile(  # diffusers' and transformers' names of weights, alone or as an index of shards
    r"(diffusion_pytorch_model|pytorch_model|model)(\.(?P<before>[\w-]+))?\.(?P<suffix>safetensors|bin)"
    r"(?P<index>\.index(\.(?P<behind>[\w-]+))?\.json)?"
)
USUAL = "fp16"  # the variant to take where there is no plain one

EXPECTED: dict[str, dict[str, object]] = {  # what our networks are built for; anything else is refused
    "unet": {
        "act_fn": "silu",
        "norm_num_groups": 32,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "encoder_hid_dim": None,
        "attention_type": "default",
        "resnet_time_scale_shift": "default",
        "dual_cross_attention": False,
        "class_embeddings_concat": False,
    },
    "vae": {"act_fn": "silu", "shift_factor": None, "use_quant_conv": True, "use_post_quant_conv": True},
    "scheduler": {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
}
EXPECTED["upscaling scheduler"] = {**EXPECTED["scheduler"], "beta_start": 0.0001, "beta_end": 0.02}
UPSCALER_CHANNELS = 7
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


class Folder(NamedTuple):
    """What a folder holds, under the names of its files."""

    unet: State
    vae: State
    text: tuple[State, ...]
    metadata: Mapping[str, str]
    files: tuple[Path, ...]  # weights, to be hashed
    vision: State = MappingProxyType({})  # unCLIP's picture encoder
    statistics: State = MappingProxyType({})  # mean and std (1 d) of its embeddings


@dataclass(frozen=True)
class Found:
    """The weights of one network."""

    state: State
    files: tuple[Path, ...]


def is_folder(path: Path) -> bool:
    return (path / PIPELINE).is_file() or (path / NETWORK).is_file()


def read_folder(path: Path, variant: str | None = None) -> Folder:
    """A pipeline, or the one network that a folder holds; `variant`: which of several sets of weights.

    Raises FileError, which names the part that is missing or wrong.
    """
    if not (path / PIPELINE).is_file():
        return lone_network(path, variant)
    index = read_json(path / PIPELINE)
    unclip = (IMAGE_ENCODER, IMAGE_NORMALIZER) if UNCLIP in str(index.get("_class_name")) else ()
    parts = [part for part in ("unet", "vae", *TEXT_ENCODERS, *unclip) if is_used(index.get(part))]
    found = {part: weights_in(path / part, variant) for part in parts}
    configs = {part: read_json(path / part / NETWORK) for part in parts}
    texts = [part for part in TEXT_ENCODERS if part in found]
    told = unet_facts(configs.get("unet", {}), path) | vae_facts(configs.get("vae", {}), path)
    for i, part in enumerate(texts):
        told |= encoder_facts(configs[part], f"text{i}")
    if IMAGE_ENCODER in found:
        told |= encoder_facts(configs[IMAGE_ENCODER], "vision")
    if is_used(index.get("scheduler")):
        upscales = configs.get("unet", {}).get("in_channels") == UPSCALER_CHANNELS
        told |= scheduler_facts(read_json(path / "scheduler" / "scheduler_config.json"), path, upscales=upscales)
    empty = Found({}, ())
    return Folder(
        found.get("unet", empty).state,
        found.get("vae", empty).state,
        tuple(found[part].state for part in texts),
        told,
        tuple(file for part in parts for file in found[part].files),
        found.get(IMAGE_ENCODER, empty).state,
        found.get(IMAGE_NORMALIZER, empty).state,
    )


def is_used(entry: object) -> bool:
    """Whether a pipeline has the part: [library, class], with nulls where it is left out."""
    return isinstance(entry, list) and len(entry) == 2 and entry[1] is not None


def lone_network(path: Path, variant: str | None) -> Folder:
    """Of a folder such as `unet` by itself."""
    config, found = read_json(path / NETWORK), weights_in(path, variant)
    kind = str(config.get("_class_name") or next(iter(config.get("architectures") or [""])))
    if kind == "UNet2DConditionModel":
        return Folder(found.state, {}, (), unet_facts(config, path), found.files)
    if kind == "AutoencoderKL":
        return Folder({}, found.state, (), vae_facts(config, path), found.files)
    if kind in ("CLIPTextModel", "CLIPTextModelWithProjection"):
        return Folder({}, {}, (found.state,), encoder_facts(config, "text0"), found.files)
    raise FileError(f"{path} holds a {kind or 'network of no known kind'}, not a U-Net, autoencoder or text encoder")


def weights_in(folder: Path, variant: str | None) -> Found:
    """The weights in a folder, all shards together. Raises FileError."""
    choices: dict[str, dict[str, Path]] = {}  # by variant, then by suffix
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = FILE.fullmatch(file.name)
        if match:
            name = match["before"] or match["behind"] or ""
            choices.setdefault(name, {}).setdefault(match["suffix"] + ("/index" if match["index"] else ""), file)
    if not choices:
        raise FileError(f"{folder} holds no weights: this part of the model is missing; download it again")
    wanted = variant if variant is not None else next((name for name in ("", USUAL) if name in choices), None)
    if wanted is None and len(choices) == 1:
        wanted = next(iter(choices))
    if wanted is None or wanted not in choices:
        there = ", ".join(name or "the plain one" for name in sorted(choices))
        raise FileError(f"{folder} has no variant {wanted or ''!r}; there is {there}: choose one")
    suffixes = choices[wanted]
    kind = next(k for k in ("safetensors", "safetensors/index", "bin", "bin/index") if k in suffixes)
    if kind.endswith("/index"):
        return sharded(folder, suffixes[kind])
    return Found(read(suffixes[kind]), (suffixes[kind],))


def sharded(folder: Path, index: Path) -> Found:
    """Weights in several files. The index names files beside it and nothing else. Raises FileError."""
    table = read_json(index, MAX_INDEX).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(name, str) for name in table.values()):
        raise FileError(f"{index} cannot be used: it lists no weights; download it again")
    names = sorted(set(table.values()))
    for name in names:
        if FILE.fullmatch(re.sub(r"-\d{5}-of-\d{5}", "", name)) is None or name.endswith(".json"):
            raise FileError(f"{index} cannot be used: {name[:80]!r} is not the name of a file of weights beside it")
    if len(names) > MAX_SHARDS:
        raise FileError(f"{index} cannot be used: it lists {len(names):,} files")
    shards = {name: read(folder / name) for name in names}
    state = {name: tensor for shard in shards.values() for name, tensor in shard.items()}
    missing = [name for name, file in table.items() if name not in shards[file]]
    if missing:
        raise FileError(f"{folder / table[missing[0]]} lacks {missing[0]} and {len(missing) - 1} more of its weights")
    return Found(state, tuple(folder / name for name in names))


def read_json(path: Path, limit: int = MAX_CONFIG) -> dict[str, Any]:
    """A JSON object. Raises FileError."""
    try:
        if not path.is_file():
            raise FileError(f"{path} is missing; download it again")
        with path.open("rb") as file:
            text = file.read(limit + 1)
        table = json.loads(text) if len(text) <= limit else None
    except OSError as error:
        raise FileError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON; download it again") from error
    if not isinstance(table, dict):
        raise FileError(f"{path} holds no table; download it again")
    return table


def unet_facts(config: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Attention heads: `attention_head_dim` is their number, by a mistake that diffusers keeps up."""
    check_expected("unet", config, path)
    widths = config.get("block_out_channels")
    heads = config.get("num_attention_heads") or config.get("attention_head_dim")
    if heads is None:
        return {}
    if isinstance(heads, int):
        return {"fromnoise.unet.heads": str(heads)}
    kinds = config.get("down_block_types", [])
    if isinstance(heads, list) and isinstance(widths, list) and len(heads) == len(widths) == len(kinds):
        levels = zip(widths, heads, kinds, strict=True)
        sizes = {width / number for width, number, kind in levels if "CrossAttn" in str(kind)}
        if len(sizes) == 1 and (size := sizes.pop()).is_integer():
            return {"fromnoise.unet.heads": "null", "fromnoise.unet.head_dim": str(int(size))}
    raise FileError(f"{path}: its U-Net has attention heads of several sizes, which is not supported")


def vae_facts(config: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Scale and, where there are any, mean and deviation of the latents; groups of channels."""
    check_expected("vae", config, path)
    names = {
        "scaling_factor": "scale_factor",
        "norm_num_groups": "groups",
        "latents_mean": "mean",
        "latents_std": "std",
    }
    told = {ours: config[theirs] for theirs, ours in names.items() if config.get(theirs) is not None}
    return {f"fromnoise.vae.{name}": json.dumps(value) for name, value in told.items()}


def encoder_facts(config: Mapping[str, Any], network: str) -> dict[str, str]:
    """Activation and heads of an encoder of CLIP."""
    told = {"act": config.get("hidden_act", "quick_gelu"), "heads": config.get("num_attention_heads")}
    return {f"fromnoise.{network}.{name}": str(value) for name, value in told.items() if value is not None}


def scheduler_facts(config: Mapping[str, Any], path: Path, *, upscales: bool = False) -> dict[str, str]:
    """What the network predicts, and up to which noise."""
    predicts = config.get("prediction_type", "epsilon")
    if predicts not in PREDICTIONS:
        raise FileError(f"{path}: its network predicts {str(predicts)[:40]!r}, which is not supported")
    if str(config.get("_class_name", "")).startswith("EDM"):
        sigmas = [config.get("sigma_min", 0.002), config.get("sigma_max", 80.0)]
        kind = "v" if predicts == "v_prediction" else "edm"
        return {"modelspec.prediction_type": kind, "fromnoise.sigmas": json.dumps(sigmas)}
    check_expected("upscaling scheduler" if upscales else "scheduler", config, path)
    told = {"modelspec.prediction_type": PREDICTIONS[predicts]}
    if made_quick := quick(config):
        told[DISTILLED] = made_quick
    return told | ({"fromnoise.zero_snr": "true"} if config.get("rescale_betas_zero_snr") is True else {})


def quick(config: Mapping[str, Any]) -> Distilled | None:
    """What the sampler that a pipeline names tells of how its network was made quick."""
    name = str(config.get("_class_name", ""))
    if name == "LCMScheduler":
        return "lcm"
    if name == "TCDScheduler":
        return "hyper"
    ancestral = name == "EulerAncestralDiscreteScheduler"  # SD Turbo and SDXL Turbo
    return "turbo" if ancestral and config.get("timestep_spacing") == "trailing" else None


def check_expected(part: str, config: Mapping[str, Any], path: Path) -> None:
    """FileError where a configuration asks for what our networks do not do."""
    for name, value in EXPECTED[part].items():
        if config.get(name, value) != value:
            told = str(config[name])[:40]
            raise FileError(f"{path}: the {name} of its {part} is {told}, where only {value} is supported")
