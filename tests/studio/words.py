"""The page's own texts, for tests that go through an area in both languages."""

import json
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "studio/src"


def field(path: str, language: str) -> str:
    """What the field at a path of a recipe is called, such as "image_prompts[].weight"."""
    names: dict[str, list[str]] = json.loads((SOURCES / "recipe/names.json").read_text("utf-8"))
    both = names[path] if path in names else names[path.rpartition(".")[2]]
    return both[("en", "zh").index(language)]


class Words:
    """say = Words("gallery", "zh"); say("verify"); say("get.done", file="x"). Areas share "shell" and "forms"."""

    def __init__(self, area: str, language: str) -> None:
        shared = SOURCES / "text" / f"{area}.{language}.json"
        file = shared if shared.is_file() else SOURCES / "areas" / area / f"{language}.json"
        self.texts: dict[str, str] = json.loads(file.read_text("utf-8"))

    def __call__(self, key: str, **values: object) -> str:
        text = self.texts[key]
        one, _, many = text.partition(" | ")
        text = many or one if values.get("n", 1) != 1 else one
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text
