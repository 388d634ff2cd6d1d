"""docs/preprocessors.md says what the registry says."""

from pathlib import Path

from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.docs import page

PAGE = Path(__file__).parents[2] / "docs" / "preprocessors.md"


def test_the_page_is_up_to_date() -> None:
    told = "run: python -m fromnoise.preprocessors.docs > docs/preprocessors.md"
    assert PAGE.read_text(encoding="utf-8") == page(), told


def test_the_page_names_everything_once_with_what_it_needs() -> None:
    text = page()
    for spec in PREPROCESSORS.values():
        assert text.count(f"| **{spec.name}**") == 1
        assert not spec.needs or (f"pip install {spec.needs}`" in text and spec.weights)
        assert all(f"`{name}`" in text for name in (*spec.weights, *spec.aliases))
        assert all(f"`{one.name}={one.default:g}`" in text for one in spec.parameters)
