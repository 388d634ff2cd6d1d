"""docs/picture-prompts.md knows every setting, weight type and test, and its example runs."""

import re
from pathlib import Path

from fromnoise.engine.recipe_pictures import Box, Depth, Gligen, ImagePrompt
from fromnoise.text.ip_adapter_weights import WEIGHT_TYPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/picture-prompts.md").read_text(encoding="utf-8")


def test_every_setting_and_weight_type_is_there() -> None:
    fields = {name for part in (ImagePrompt, Gligen) for name in part.model_fields}
    for name in (*fields, *WEIGHT_TYPES, "estimator"):
        assert f"`{name}`" in PAGE, name
    assert set(Box.model_fields) == {"x", "y", "width", "height", "text"}
    assert set(Depth.model_fields) == {"image", "estimator"}


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert all((ROOT / path).is_file() for path in named)


def test_links_lead_somewhere() -> None:
    headings = {anchor(line) for line in PAGE.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (ROOT / "docs" / target).is_file(), target


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    told: dict[str, object] = {}
    exec(compile(code, "docs/picture-prompts.md", "exec"), told)
    recipe = told["recipe"]
    assert recipe.image_prompts[0].weight_type == "linear"  # type: ignore[attr-defined]
