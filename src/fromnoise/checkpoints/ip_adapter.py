"""IP-Adapters from files: the authors' layout (safetensors, or .bin with tables in a table), and diffusers'.

adapter = load_ip_adapter("ip-adapter-plus_sd15.safetensors")
adapter.config.projection.kind  # "plus"
"""

import re
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fromnoise.checkpoints.detect import HEAD_DIM, NotDetected, count, shape
from fromnoise.checkpoints.files import read, read_object
from fromnoise.checkpoints.ip_adapter_diffusers import from_diffusers
from fromnoise.checkpoints.load import Faults, convert
from fromnoise.checkpoints.names import State
from fromnoise.errors import FileError
from fromnoise.nn.image_projection import ProjectionConfig
from fromnoise.nn.ip_adapter import IPAdapter, IPAdapterConfig

PROJECTION, LAYERS = "image_proj.", "ip_adapter."
TRAINED = {"image_proj_model.": PROJECTION, "adapter_modules.": LAYERS}  # as their training script saves them
STRUCTURED = re.compile(r"plus[-_]?v2")  # in the name of a file: its tensors are like those of version 1


def load_ip_adapter(
    path: Path | str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    allow_unmatched: bool = False,
) -> IPAdapter:
    """The adapter in a file, whatever its kind.

    Weights stay in the file's memory map unless `dtype` or `device` asks for copies. Raises FileError for a bad file,
    NotDetected and UnmatchedKeys for weights that make no IP-Adapter.
    """
    path = Path(path)
    state = named(read_tables(path))
    if not any(name.startswith(LAYERS) for name in state):
        raise NotDetected(f"{path} holds no IP-Adapter")
    try:
        config = ip_adapter_config(state, path.name)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    faults = Faults()
    adapter = faults.filled(partial(IPAdapter, config), state, "")
    faults.check(path, allow_unmatched)
    return convert(adapter, dtype=dtype, device=device)


def read_tables(path: Path) -> State:
    """The tensors of a file whose table may hold tables, under names joined by dots."""
    try:
        return read(path)
    except FileError as error:
        tree = read_object(path)
        tables = tree.items() if isinstance(tree, dict) else ()
        found = {
            f"{outer}.{inner}": tensor
            for outer, table in tables
            if isinstance(table, dict)
            for inner, tensor in table.items()
            if isinstance(tensor, Tensor)
        }
        if not found:
            raise error
        return found


def named(weights: State) -> State:
    """Under the authors' names."""
    if any("processor.to_k_ip" in name for name in weights):
        return from_diffusers(weights)
    ours = {}
    for name, tensor in weights.items():
        for theirs, own in TRAINED.items():
            name = own + name.removeprefix(theirs) if name.startswith(theirs) else name
        ours[name] = tensor
    return ours


def ip_adapter_config(state: State, file_name: str = "") -> IPAdapterConfig:
    """An adapter's configuration; the name of its file tells version 2 of the face adapters. Raises NotDetected."""
    numbers = range(1, 2 * count(state, LAYERS.removesuffix(".")), 2)
    dims = [shape(state, f"{LAYERS}{n}.to_k_ip.weight", 2) for n in numbers if f"{LAYERS}{n}.to_k_ip.weight" in state]
    projection = projection_config(
        {name.removeprefix(PROJECTION): state[name] for name in state if name.startswith(PROJECTION)}
    )
    if not dims or {token_dim for _, token_dim in dims} != {projection.out_dim}:
        raise NotDetected(f"its layers do not take the tokens of width {projection.out_dim} that its projection makes")
    lora = state.get(f"{LAYERS}0.to_q_lora.down.weight")
    return IPAdapterConfig(
        projection,
        tuple(dim for dim, _ in dims),
        rank=0 if lora is None else len(lora),
        structured=projection.kind == "face_plus" and STRUCTURED.search(file_name.lower()) is not None,
    )


def projection_config(state: State) -> ProjectionConfig:
    """Which kind of projection it is, and its sizes, from names under `image_proj.`. Raises NotDetected."""
    if "proj.weight" in state:
        (out_dim,) = shape(state, "norm.weight", 1)
        rows, in_dim = shape(state, "proj.weight", 2)
        return ProjectionConfig("plain", out_dim, in_dim, tokens=rows // out_dim)
    if "proj.3.weight" in state:
        out_dim, in_dim = shape(state, "proj.2.weight", 2)
        return ProjectionConfig("full", out_dim, in_dim, tokens=0)
    if "latents" in state:
        return plus_config(state)
    if "proj.2.weight" not in state:
        raise NotDetected("its projection is of no kind that is known")
    (out_dim,) = shape(state, "norm.weight", 1)
    rows, hidden_dim = shape(state, "proj.2.weight", 2)
    face = ProjectionConfig(
        "face", out_dim, shape(state, "proj.0.weight", 2)[1], tokens=rows // out_dim, hidden_dim=hidden_dim
    )
    resampler = "perceiver_resampler."
    return with_resampler(face, state, resampler) if f"{resampler}proj_in.weight" in state else face


def plus_config(state: State) -> ProjectionConfig:
    _, tokens, dim = shape(state, "latents", 3)
    in_dim, out_dim = shape(state, "proj_in.weight", 2)[1], shape(state, "proj_out.weight", 2)[0]
    return ProjectionConfig(
        "plus",
        out_dim,
        in_dim,
        tokens=tokens,
        dim=dim,
        heads=max(1, shape(state, "layers.0.0.to_q.weight", 2)[0] // HEAD_DIM),
        layers=count(state, "layers"),
        mlp_ratio=max(1, shape(state, "layers.0.1.1.weight", 2)[0] // dim),
    )


def with_resampler(face: ProjectionConfig, state: State, prefix: str) -> ProjectionConfig:
    return ProjectionConfig(
        "face_plus",
        face.out_dim,
        face.in_dim,
        tokens=face.tokens,
        heads=max(1, shape(state, f"{prefix}layers.0.0.to_q.weight", 2)[0] // HEAD_DIM),
        layers=count(state, f"{prefix}layers"),
        vision_dim=shape(state, f"{prefix}proj_in.weight", 2)[1],
        hidden_dim=face.hidden_dim,
        mlp_ratio=max(1, shape(state, f"{prefix}layers.0.1.1.weight", 2)[0] // face.out_dim),
    )
