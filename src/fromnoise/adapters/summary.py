"""What LoRAs, embeddings and hypernetworks are, at a glance: kinds, ranks, what they were made for, and how."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fromnoise.adapters.adapter import by_parameter
from fromnoise.adapters.weight_adapter import KINDS, DeltaAdapter, WeightAdapter
from fromnoise.checkpoints.adapter_files.embedding import EmbeddingFile, read_embedding
from fromnoise.checkpoints.adapter_files.family import CONTEXTS, LABELS, base_family
from fromnoise.checkpoints.adapter_files.hypernetwork import HypernetworkFile, read_hypernetwork
from fromnoise.checkpoints.adapter_files.lora import read_lora

MAX_TAGS = 8
MAX_JSON = 8 << 20  # characters
FOLDER = re.compile(r"\d+_(.+)")  # kohya's data sets: 10_sks dog
TRAINING = {  # metadata that says something to people
    "title": "modelspec.title",
    "author": "modelspec.author",
    "licence": "modelspec.license",
    "called": "ss_output_name",
    "trained on": "ss_sd_model_name",
    "pictures": "ss_num_train_images",
    "epochs": "ss_epoch",
    "steps": "ss_steps",
    "resolution": "ss_resolution",
    "comment": "ss_training_comment",
}


def lora_facts(path: Path) -> dict[str, str]:
    """Of a LoRA file, field by field. Raises FileError."""
    file = read_lora(path)
    adapters = [adapter for factors in file.layers.values() for _, adapter in by_parameter(factors)[0]]
    family = base_family(file)
    facts = {
        "kind": ", ".join(f"{name} ({count})" for name, count in kinds(adapters).most_common()) or "unknown",
        "made for": LABELS[family] if family else "unknown",
        "rank": spread(adapter.rank for adapter in adapters if adapter.rank),
        "alpha": spread(float(f["alpha"]) for f in file.layers.values() if "alpha" in f and f["alpha"].numel() == 1),
        "trigger words": ", ".join(trigger_words(file.metadata)),
        "embeddings": ", ".join(file.embeddings),
        **{label: file.metadata.get(key, "") for label, key in TRAINING.items()},
    }
    return {name: value for name, value in facts.items() if value not in ("", "None")}


def kinds(adapters: list[WeightAdapter]) -> Counter[str]:
    """How many layers there are of each kind."""
    names = {kind: name for name, kind in KINDS.items()}
    counted: Counter[str] = Counter()
    for adapter in adapters:
        dora = " with DoRA" if isinstance(adapter, DeltaAdapter) and adapter.magnitude is not None else ""
        counted[f"{names[type(adapter)]}{dora}"] += 1
    return counted


def spread(values: Any) -> str:
    """One number, or the least and the greatest."""
    found = sorted(set(values))
    if not found:
        return ""
    return f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"


def trigger_words(metadata: Mapping[str, str]) -> list[str]:
    """What brings a LoRA out: what its author says, else the names of its folders and the most frequent tags."""
    told = metadata.get("modelspec.trigger_phrase", "")
    if told:
        return [told]
    text = metadata.get("ss_tag_frequency", "")
    try:
        folders = json.loads(text) if text and len(text) <= MAX_JSON else {}
    except (ValueError, RecursionError):
        folders = {}
    words: list[str] = []
    counted: Counter[str] = Counter()
    for folder, tags in folders.items() if isinstance(folders, dict) else ():
        found = FOLDER.fullmatch(folder)
        words += [found[1]] if found else []
        if isinstance(tags, dict):
            counted.update({tag.strip(): n for tag, n in tags.items() if isinstance(n, int)})
    return list(dict.fromkeys([*words, *(tag for tag, _ in counted.most_common(MAX_TAGS))]))


def embedding_facts(path: Path) -> dict[str, str]:
    """Of a textual inversion. Raises FileError."""
    return facts_of_embedding(read_embedding(path, allow_unmatched=True))


def facts_of_embedding(file: EmbeddingFile) -> dict[str, str]:
    widths = [vectors.shape[1] for vectors in file.vectors]
    family = "sdxl" if len(widths) > 1 else CONTEXTS.get(widths[0])
    facts = {
        "vectors": str(file.count),
        "numbers in each": " and ".join(map(str, widths)),
        "made for": LABELS[family] if family else "unknown",
        "token": file.token or "",
        "steps": file.metadata.get("step", ""),
        "trained on": file.metadata.get("sd_checkpoint_name", ""),
    }
    return {name: value for name, value in facts.items() if value}


def hypernetwork_facts(path: Path) -> dict[str, str]:
    """Of a hypernetwork. Raises FileError."""
    return facts_of_hypernetwork(read_hypernetwork(path, allow_unmatched=True))


def facts_of_hypernetwork(file: HypernetworkFile) -> dict[str, str]:
    facts = {
        "widths": ", ".join(map(str, file.widths)),
        "layers": ", ".join(f"{times:g}" for times in file.structure),
        "activation": file.activation + (" (at the end, too)" if file.activate_output else ""),
        "layer norm": "yes" if file.layer_norm else "",
        "dropout": ", ".join(f"{share:g}" for share in file.dropout) if any(file.dropout) else "",
        "called": file.name or "",
        "steps": "" if file.step is None else str(file.step),
        "trained on": file.checkpoint or "",
    }
    return {name: value for name, value in facts.items() if value}
