"""The page's own texts, for tests that go through an area in both languages."""

import json
from pathlib import Path

AREAS = Path(__file__).resolve().parents[2] / "studio/src/areas"


class Words:
    """say = Words("gallery", "zh"); say("verify"); say("get.done", file="x")"""

    def __init__(self, area: str, language: str) -> None:
        self.texts: dict[str, str] = json.loads((AREAS / area / f"{language}.json").read_text("utf-8"))

    def __call__(self, key: str, **values: object) -> str:
        text = self.texts[key]
        one, _, many = text.partition(" | ")
        text = many or one if values.get("n", 1) != 1 else one
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text
