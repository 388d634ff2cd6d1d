"""Reading hypernetworks: files by AUTOMATIC1111, and the older ones of NovelAI's layout.

A file has, for each width of context, the weights of two small networks (for keys and for values), and says how their
layers follow each other. NovelAI's say nothing, and call their two layers linear1 and linear2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fromnoise.checkpoints.adapter_files.embedding import tensors_in
from fromnoise.checkpoints.files import finite, read_object
from fromnoise.checkpoints.load import Faults
from fromnoise.errors import FileError

State = Mapping[str, Tensor]
OLD_LAYERS = {f"linear{i + 1}.{end}": f"linear.{i}.{end}" for i in (0, 1) for end in ("weight", "bias")}
USUAL = (1.0, 2.0, 1.0)
MAX_LAYERS = 64
KEY = re.compile(r"linear\.\d{1,3}\.(weight|bias)")


@dataclass(frozen=True)
class HypernetworkFile:
    """A hypernetwork's weights and how it is built."""

    weights: Mapping[int, tuple[State, State]]  # by width of context: for keys, for values
    structure: tuple[float, ...] = USUAL  # widths of layers, in units of the context's
    activation: str = "linear"
    layer_norm: bool = False
    activate_output: bool | None = (
        None  # None: the file doesn't say; AUTOMATIC1111 takes it for true, ComfyUI for false
    )
    dropout: tuple[float, ...] = ()  # shares after each width; they matter for the numbering of layers alone
    name: str | None = None
    step: int | None = None
    checkpoint: str | None = None  # the model that it was trained on

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(sorted(self.weights))


def read_hypernetwork(path: Path | str, *, allow_unmatched: bool = False) -> HypernetworkFile:
    """Of a .pt file. Raises FileError; UnmatchedKeys where it holds tensors besides its pairs of networks."""
    path = Path(path)
    tree = read_object(path)
    if not isinstance(tree, dict):
        raise FileError(f"{path} is no hypernetwork")
    weights = {}
    for width, pair in tree.items():
        if isinstance(width, int) and isinstance(pair, list) and len(pair) >= 2:
            weights[width] = (state_of(pair[0], path), state_of(pair[1], path))
    if not weights:
        raise FileError(f"{path} is no hypernetwork: it has no pairs of networks by width")
    rest = {key: value[2:] if key in weights else value for key, value in tree.items()}
    faults = Faults()
    faults.unknown += [name for name, _ in tensors_in(rest)]
    faults.check(path, allow_unmatched)
    structure = numbers(tree.get("layer_structure")) or USUAL
    if not 2 <= len(structure) <= MAX_LAYERS or structure[0] != 1 or structure[-1] != 1:
        raise FileError(f"{path}: its layers have the widths {list(structure)[:8]}; they must begin and end with 1")
    dropout = numbers(tree.get("dropout_structure"))
    if dropout is None and tree.get("use_dropout"):
        dropout = (0.0, *[0.3] * (len(structure) - 3), 0.3 if tree.get("last_layer_dropout") else 0.0, 0.0)
    output, step = tree.get("activate_output"), tree.get("step")
    return HypernetworkFile(
        weights,
        structure,
        str(tree.get("activation_func") or "linear").lower(),
        bool(tree.get("is_layer_norm")),
        output if isinstance(output, bool) else None,
        dropout or (),
        text_of(tree, "name"),
        step if isinstance(step, int) else None,
        text_of(tree, "sd_checkpoint_name"),
    )


def state_of(tree: object, path: Path) -> State:
    """A network's weights by layer."""
    state = {OLD_LAYERS.get(str(key), str(key)): value for key, value in tree.items()} if isinstance(tree, dict) else {}
    found = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not found or len(found) != len(state) or not all(KEY.fullmatch(key) for key in found):
        raise FileError(f"{path} is no hypernetwork that is known here: its layers are called {list(state)[:3]}")
    if not all(tensor.dtype != torch.bool and finite(tensor) for tensor in found.values()):
        raise FileError(f"{path} is damaged: its weights hold NaN or infinity; get the file again")
    return found


def numbers(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(n, (int, float)) for n in value):
        return None
    return tuple(float(n) for n in value)


def text_of(tree: Mapping[object, object], key: str) -> str | None:
    value = tree.get(key)
    return value if isinstance(value, str) else None
