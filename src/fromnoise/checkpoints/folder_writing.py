"""Writing folders that diffusers' `from_pretrained` loads: a whole pipeline, or the folder of one network."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fromnoise.assets.vocabulary import build_vocabulary, read_merges
from fromnoise.checkpoints import diffusers_configs as configs
from fromnoise.checkpoints.detect import SD2_LAYERS, Family, ModelFacts
from fromnoise.checkpoints.diffusers_names import unet_to_diffusers
from fromnoise.checkpoints.folders import NETWORK, PIPELINE
from fromnoise.checkpoints.names import LAYERS, State, vae_to_diffusers
from fromnoise.checkpoints.parts import MEAN, STD, Parts
from fromnoise.checkpoints.save import NonFinite, Report, check_space, nothing, placed, write
from fromnoise.nn.clip import CLIPConfig
from fromnoise.nn.vae import VAEConfig

WEIGHTS, TRANSFORMERS_WEIGHTS = "diffusion_pytorch_model.safetensors", "model.safetensors"
TORCH = {"format": "pt"}  # metadata that transformers insists on
PROJECTION = "text_projection.weight"

Storing = Callable[[str, Tensor, str], torch.dtype]  # (name, tensor, part) to what the tensor is stored as


@dataclass(frozen=True)
class Component:
    """One network of a pipeline as its folder holds it."""

    folder: str
    file: str
    state: State
    config: configs.Json


def write_pipeline(
    path: Path,
    parts: Parts,
    facts: ModelFacts,
    storing: Storing,
    metadata: Mapping[str, str],
    report: Report,
    *,
    allow_non_finite: bool,
    before_it_counts: Callable[[], None] = nothing,
) -> Path:
    """The folder of a whole model. `metadata` is kept with the U-Net. Raises FileError, and NonFinite as `write`."""
    components = [*networks(parts, facts, storing)]
    index = configs.model_index(facts)
    with placed(path) as part:
        part.mkdir()
        write_components(part, path, components, storing, metadata, report, allow_non_finite)
        write_json(part / "scheduler" / "scheduler_config.json", configs.scheduler(facts))
        if facts.family != "sdxl_refiner":
            write_tokenizer(part / "tokenizer", open_clip=facts.family == "sd2")
        if facts.family.startswith("sdxl"):
            write_tokenizer(part / "tokenizer_2", open_clip=True)
        if facts.vision is not None:
            write_json(part / "feature_extractor" / "preprocessor_config.json", configs.feature_extractor(facts.vision))
            write_json(part / "image_noising_scheduler" / "scheduler_config.json", configs.noising_scheduler())
        write_json(part / PIPELINE, index)
        before_it_counts()
    return path


def write_network(
    path: Path,
    component: Component,
    storing: Storing,
    metadata: Mapping[str, str],
    report: Report,
    *,
    allow_non_finite: bool,
    before_it_counts: Callable[[], None] = nothing,
) -> Path:
    """The folder of one network."""
    with placed(path) as part:
        part.mkdir()
        write_components(part, path, [replace(component, folder=".")], storing, metadata, report, allow_non_finite)
        before_it_counts()
    return path


def write_components(
    path: Path,
    name: Path,
    components: list[Component],
    storing: Storing,
    metadata: Mapping[str, str],
    report: Report,
    allow_non_finite: bool,
) -> None:
    """Weights and configurations of what will be called `name`. `report` counts the bytes of all of them."""
    dtypes = [
        {key: storing(key, tensor, component.folder) for key, tensor in component.state.items()}
        for component in components
    ]
    sizes = [
        sum(tensor.numel() * stored[key].itemsize for key, tensor in component.state.items())
        for component, stored in zip(components, dtypes, strict=True)
    ]
    check_space(path, sum(sizes))
    before, broken = 0, list[str]()
    for component, stored, size in zip(components, dtypes, sizes, strict=True):
        folder = path / component.folder
        folder.mkdir(exist_ok=True)

        def counted(done: int, _: int, before: int = before) -> None:
            report(before + done, sum(sizes))

        told = TORCH | dict(metadata) if component.file == WEIGHTS and component.folder in ("unet", ".") else TORCH
        target = folder / component.file
        try:
            write(target, component.state, stored, told, report=counted, allow_non_finite=allow_non_finite)
        except NonFinite as error:
            broken += [f"{component.folder}/{key}" for key in error.names]
        write_json(folder / NETWORK, component.config)
        before += size
    if broken:
        raise NonFinite(name, broken)


def networks(parts: Parts, facts: ModelFacts, storing: Storing) -> Iterator[Component]:
    """What a pipeline holds."""
    yield unet_component(parts, facts)
    if facts.vae is not None:
        yield vae_component(parts.vae, facts.vae, facts.family)
    names = ("text_encoder_2",) if facts.family == "sdxl_refiner" else ("text_encoder", "text_encoder_2")
    for name, part, config in zip(names, parts.text, facts.text, strict=False):
        yield text_component(name, part.state, config, facts, storing)
    if facts.vision is not None:
        table = configs.vision(facts.vision, dtype=dtype_name(parts.vision, storing, "image_encoder"))
        yield Component("image_encoder", TRANSFORMERS_WEIGHTS, parts.vision, table)
        dim = facts.vision.projection_dim
        stats = {"mean": parts.rest.get(MEAN, torch.zeros(1, dim)), "std": parts.rest.get(STD, torch.ones(1, dim))}
        stats = {name: tensor.reshape(1, -1) for name, tensor in stats.items()}
        yield Component("image_normalizer", WEIGHTS, stats, configs.normalizer(dim))


def unet_component(parts: Parts, facts: ModelFacts) -> Component:
    state = unet_to_diffusers(parts.unet, facts.unet, class_embedding=facts.task == "unclip")
    return Component("unet", WEIGHTS, state, configs.unet(facts.unet, facts))


def vae_component(state: State, config: VAEConfig, family: Family) -> Component:
    theirs = vae_to_diffusers(state, len(config.channel_mult), config.res_blocks)
    return Component("vae", WEIGHTS, theirs, configs.vae(config, family))


def text_component(
    name: str, state: State, config: CLIPConfig, facts: ModelFacts | None, storing: Storing
) -> Component:
    """A text encoder. Pipelines of SD 2.x take the last layer's states, so theirs lack the last one, as is usual."""
    if facts is not None and facts.family == "sd2":
        layers = config.layers - (config.layers == SD2_LAYERS)
        dropped = (f"{LAYERS}{layers}.", PROJECTION)
        state = {key: tensor for key, tensor in state.items() if not key.startswith(dropped)}
        config = replace(config, layers=layers, projection_dim=None)
    projection = config.projection_dim is not None
    table = configs.text(config, projection=projection, dtype=dtype_name(state, storing, name))
    return Component(name, TRANSFORMERS_WEIGHTS, state, table)


def dtype_name(state: State, storing: Storing, part: str) -> str:
    """That of a network's first weight, as transformers names it; it can't build networks of float8."""
    name, tensor = next(iter(state.items()))
    dtype = storing(name, tensor, part)
    return str(dtype if dtype.itemsize > 1 else torch.float16).removeprefix("torch.")


def write_tokenizer(folder: Path, *, open_clip: bool) -> None:
    """CLIP's vocabulary, from which transformers makes a tokenizer."""
    merges = read_merges()
    write_json(folder / "vocab.json", build_vocabulary(merges), plain=True)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), "utf-8", newline="\n")
    write_json(folder / "tokenizer_config.json", configs.tokenizer(open_clip=open_clip))
    write_json(folder / "special_tokens_map.json", configs.special_tokens(open_clip=open_clip))


def write_json(path: Path, table: Mapping[str, object], *, plain: bool = False) -> None:
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(table, ensure_ascii=not plain, indent=None if plain else 2)
    path.write_text(text + "\n", "utf-8", newline="\n")
