"""What peft keeps beside the weights: scales, in `adapter_config.json` or, in diffusers' files, in the metadata."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fromnoise.errors import FileError

CONFIG = "adapter_config.json"
METADATA = "lora_adapter_metadata"  # {"unet.r": 4, "unet.lora_alpha": 8, ...}
MAX_BYTES = 1 << 20
MAX_NUMBER = 1 << 20
USABLE = ("LORA", "LOHA", "LOKR", "IA3", None)
SAVED = "base_model.model."


@dataclass(frozen=True)
class PeftConfig:
    """Settings of the networks whose layers' names begin as the keys do."""

    networks: Mapping[str, Mapping[str, Any]]

    def scale(self, layer: str) -> float | None:
        """alpha / rank of a layer, or alpha / sqrt(rank); None where nothing is known of it."""
        for prefix, config in self.networks.items():
            if not layer.startswith(prefix):
                continue
            name = layer.removeprefix(prefix).removeprefix(SAVED)
            alpha = of_layer(config, "alpha_pattern", name, config.get("lora_alpha", config.get("alpha")))
            rank = of_layer(config, "rank_pattern", name, config.get("r"))
            if alpha is None or not rank or rank <= 0:
                return None
            return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))
        return None


def peft_config(path: Path, metadata: Mapping[str, str]) -> PeftConfig:
    """The settings that belong to a file of weights; FileError for kinds that aren't known here."""
    beside = path.parent / CONFIG
    if METADATA in metadata:
        networks: dict[str, dict[str, Any]] = {}
        for key, value in table(metadata[METADATA], path).items():
            prefix, _, name = key.partition(".")
            networks.setdefault(f"{prefix}.", {})[name] = value
        return PeftConfig(networks)
    if path.stem == "adapter_model" and beside.is_file() and beside.stat().st_size <= MAX_BYTES:
        config = table(beside.read_text("utf-8", "replace"), beside)
        if config.get("peft_type") not in USABLE:
            raise FileError(f"{path.parent} is a {config['peft_type']} adapter of peft, which can't be used here")
        return PeftConfig({"": config})
    return PeftConfig({})


def table(text: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: its settings of peft are no JSON; get the file again") from error
    return found if isinstance(found, dict) else {}


def of_layer(config: Mapping[str, Any], pattern: str, layer: str, usual: Any) -> float | None:
    """A number for a layer: that of the first pattern which is the end of its name, else the usual one."""
    patterns = config.get(pattern)
    numbers = patterns if isinstance(patterns, dict) else {}
    for end, number in numbers.items():
        if usable(number) and ends_with(layer, str(end)):
            return float(number)
    return float(usual) if usable(usual) else None


def usable(number: object) -> bool:
    """Whether something is a number that a rank or an alpha can be."""
    return isinstance(number, (int, float)) and abs(number) <= MAX_NUMBER


def ends_with(layer: str, end: str) -> bool:
    """Plain ends only: patterns are regular expressions in peft, which a stranger's file doesn't get to run here."""
    plain = re.sub(r"\\(.)", r"\1", end.removeprefix("^").removesuffix("$"))
    return layer == plain or layer.endswith(f".{plain}")
