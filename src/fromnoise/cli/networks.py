"""LoRAs and hypernetworks as options: as in a tag (ink:0.8:lbw=OUTALL), or as settings (ink, 0.8, blocks=OUTALL)."""

import re
from collections.abc import Sequence
from typing import Any

from fromnoise.cli import compact
from fromnoise.cli.messages import say
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import Kind, NetworkUse
from fromnoise.errors import UserError
from fromnoise.text.network_tags import read_tag

LORA, HYPERNETWORK = "--lora", "--hypernetwork"
TAGS: dict[Kind, str] = {"lora": "lora", "hypernetwork": "hypernet"}
SETTINGS = re.compile(r"[^,:]*,|\s*\w+\s*=")  # what begins so is no tag
NOT_TYPED = {"hash", "in_prompt"}  # filled in when the picture is made


def read_networks(loras: Sequence[str], hypernetworks: Sequence[str], steps: int) -> list[dict[str, Any]]:
    """The fields of the uses, not yet checked; moments in tags are those of so many steps."""
    found = [read_network(LORA, text, "lora", steps) for text in loras]
    return found + [read_network(HYPERNETWORK, text, "hypernetwork", steps) for text in hypernetworks]


def read_network(flag: str, text: str, kind: Kind, steps: int) -> dict[str, Any]:
    if SETTINGS.match(text):
        return {"kind": kind, **(compact.read_part(flag, text, NetworkUse) or {})}

    def fail(message: str) -> None:
        raise UserError(say("{flag} {text}: {reason}", flag=flag, text=text, reason=message))

    tag = read_tag(TAGS[kind], text, fail)
    assert tag is not None
    return NetworkUse.of_tag(tag, steps).model_dump() | {"in_prompt": False}


def typed_networks(recipe: Recipe) -> dict[str, list[str]]:
    """What to type for the networks that the recipe lists, by flag."""
    found: dict[str, list[str]] = {}
    for use in reversed([use for use in recipe.networks if not use.in_prompt]):
        flag = HYPERNETWORK if use.kind == "hypernetwork" and LORA not in found else LORA
        fields: dict[str, Any] = {"name": use.name}
        for name, value in use:
            if value != NetworkUse.model_fields[name].default and name not in (*NOT_TYPED, *fields):
                fields[name] = value
        if flag == HYPERNETWORK:
            fields.pop("kind", None)
        if use.schedule:
            fields["schedule"] = [f"{share!r}@{factor!r}" for share, factor in use.schedule]
        found.setdefault(flag, []).insert(0, compact.written(fields))
    return dict(reversed(found.items()))
