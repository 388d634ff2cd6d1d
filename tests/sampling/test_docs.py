"""docs/samplers.md says what the registries say."""

from pathlib import Path

from fromnoise.sampling.docs import page
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m fromnoise.sampling.docs > docs/samplers.md"


def test_the_page_names_everything() -> None:
    text = page()
    for spec in SAMPLERS.values():
        assert f"**{spec.label}**<br>`{spec.name}`" in text
        assert all(f"`{name}={default!r}`" in text for name, default in spec.options.items())
    assert all(f"`{name}`" in text for name in SCHEDULES)
