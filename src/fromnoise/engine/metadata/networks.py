"""LoRAs, hypernetworks and embeddings in other tools' metadata: AUTOMATIC1111's fields and those of its extensions."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fromnoise.engine.metadata.draft import MAX_SHOWN, Draft
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import MAX_NETWORKS, Kind, NetworkUse, tag_of
from fromnoise.text.prompt_source import read_source

HASHES: Mapping[str, Kind] = {"Lora hashes": "lora", "TI hashes": "embedding"}
CIVITAI = "Hashes"  # JSON: {"model": ..., "lora:name": ..., "embed:name": ...}
CIVITAI_KINDS: Mapping[str, Kind] = {"lora": "lora", "lyco": "lora", "embed": "embedding", "hypernet": "hypernetwork"}
SHORT = 12  # digits
ADD_NET = re.compile(
    r"AddNet (Model|Module|Weight A|Weight B|Weight) (\d{1,2})"
)  # of the extension Additional Networks
NAMED = re.compile(r"(.*?)\s*\(([0-9a-fA-F]{8,64})\)")
LISTED = "Listed networks"  # ours: so many of the tags at the end of the prompt are not in it
TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]{1,500}>", re.IGNORECASE)
TAIL = re.compile(r"(?:\s*<(?:lora|lyco|hypernet):[^<>]{1,500}>){1,100}\s*\Z", re.IGNORECASE)
HASH = re.compile(r"[0-9a-fA-F]{8,64}")
ENDINGS = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin)$", re.IGNORECASE)
MAX_PAIRS = 100


def with_tags(recipe: Recipe) -> str:
    """The prompt, and tags for the networks that the recipe lists, which is how others name them."""
    tags = [tag_of(use, recipe.steps) for use in recipe.networks if not use.in_prompt]
    return " ".join([recipe.prompt, *tags]) if tags else recipe.prompt


def hash_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The hashes of what a picture was made with, as AUTOMATIC1111 writes them."""
    if listed := sum(not use.in_prompt for use in recipe.networks):
        yield LISTED, str(listed)
    for key, kind in HASHES.items():
        found = {
            re.sub("[:,]", "", use.name): use.hash[:SHORT]
            for use in recipe.networks
            if use.kind == kind and use.hash is not None
        }
        if found:
            yield key, ", ".join(f"{name}: {digest}" for name, digest in found.items())


def take_networks(draft: Draft, fields: dict[str, str], *, ours: bool) -> None:
    """Hashes, and networks that stand in fields of their own; `ours` says which tags are a list."""
    count = fields.pop(LISTED, "")
    if count.isdecimal() or (draft.fields.get("profile") == "comfyui" and not ours):
        take_listed(draft, min(int(count or MAX_PAIRS), MAX_PAIRS))
    take_add_net(draft, fields)
    if name := fields.pop("Hypernet", ""):  # before version 1.0
        use = {"kind": "hypernetwork", "name": name, "strength": fields.pop("Hypernet strength", "1")}
        if digest := fields.pop("Hypernet hash", ""):
            use["hash"] = digest
        add_network(draft, use, "Hypernet")
    for key, kind in HASHES.items():
        for pair in fields.pop(key, "").split(",")[:MAX_PAIRS]:
            name, *rest = (part.strip() for part in pair.split(":"))
            if len(rest) == 2:  # Fooocus: with the strength, as it has no tags
                add_network(draft, {"name": name, "hash": rest[0], "strength": rest[1]}, key)
            elif rest:
                note_hash(draft, kind, name, rest[0], key)
    take_civitai(draft, fields)


def take_listed(draft: Draft, count: int) -> None:
    """The last tags of a prompt, so many of them, become a list."""
    prompt = str(draft.fields.get("prompt", ""))
    tail = TAIL.search(prompt)
    found = list(TAG.finditer(prompt, tail.start())) if tail else []
    if not found or not count:
        return
    steps = draft.fields.get("steps", Recipe.model_fields["steps"].default)
    for match in found[-count:]:
        for tag in read_source(match[0], "native").networks:
            use = NetworkUse.of_tag(tag, steps if isinstance(steps, int) else 20)
            add_network(draft, use.model_dump() | {"in_prompt": False}, "Prompt")
    draft.set("prompt", prompt[: found[-count:][0].start()].removesuffix(" "), "Prompt")


def take_add_net(draft: Draft, fields: dict[str, str]) -> None:
    """`AddNet Model 1: name(hash), AddNet Weight A 1: 0.8, AddNet Weight B 1: 0.5`: A is the U-Net's, B the text's."""
    if fields.pop("AddNet Enabled", "True") != "True":
        return
    found: dict[str, dict[str, str]] = {}
    for key in list(fields):
        if match := ADD_NET.fullmatch(key):
            found.setdefault(match[2], {})[match[1]] = fields.pop(key)
    for number, parts in found.items():
        if parts.get("Module", "LoRA") != "LoRA" or "Model" not in parts:
            draft.keep(f"AddNet {number}", parts)
            continue
        named = NAMED.fullmatch(parts["Model"])
        use: dict[str, Any] = {"name": named[1], "hash": named[2]} if named else {"name": parts["Model"]}
        weight = parts.get("Weight", "1")
        use |= {"strength": parts.get("Weight A", weight), "text_strength": parts.get("Weight B", weight)}
        add_network(draft, use, f"AddNet Model {number}")


def take_civitai(draft: Draft, fields: dict[str, str]) -> None:
    try:
        table = json.loads(fields.get(CIVITAI, ""))
    except (ValueError, RecursionError):
        return
    if not isinstance(table, dict):
        return
    for key in list(table)[:MAX_PAIRS]:
        kind, _, name = str(key).partition(":")
        if kind in CIVITAI_KINDS and name and isinstance(table[key], str):
            note_hash(draft, CIVITAI_KINDS[kind], name, table.pop(key), key)
    fields[CIVITAI] = json.dumps(table, ensure_ascii=False)
    if not table:
        del fields[CIVITAI]


def add_network(draft: Draft, use: Mapping[str, Any], key: str) -> bool:
    """List one more network, by its file's name alone: a stranger's picture doesn't choose folders of this machine."""
    try:
        made = NetworkUse.model_validate({**use, "name": file_name(str(use.get("name", "")))})
    except ValueError:
        draft.keep(key, dict(use))
        return False
    listed = known(draft)
    if len(listed) >= MAX_NETWORKS:
        draft.keep(key, dict(use))
        return False
    draft.fields["networks"] = (*listed, made)
    return True


def note_hash(draft: Draft, kind: Kind, name: str, digest: str, key: str) -> None:
    """The hash of a listed network, or of one that the prompt names."""
    listed = known(draft)
    name = file_name(name)
    if HASH.fullmatch(digest) is None or not name:
        draft.keep(f"{key} {name}"[:MAX_SHOWN], digest)
        return
    for index, use in enumerate(listed):
        if (use.kind, use.name) == (kind, name):
            changed = use.model_copy(update={"hash": digest})
            draft.fields["networks"] = (*listed[:index], changed, *listed[index + 1 :])
            return
    add_network(draft, {"kind": kind, "name": name, "hash": digest, "in_prompt": True}, key)


def known(draft: Draft) -> tuple[NetworkUse, ...]:
    found = draft.fields.get("networks", ())
    return found if isinstance(found, tuple) else ()


def file_name(name: str) -> str:
    """The name of a file, or what a tag called it, without folders and ending."""
    return ENDINGS.sub("", re.split(r"[/\\]", name.strip())[-1])
