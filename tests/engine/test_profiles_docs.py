"""docs/profiles.md names every profile, and its examples run."""

import doctest
from pathlib import Path

from fromnoise.engine import choices, profiles
from fromnoise.engine.profiles import PROFILES


def test_examples_run(root: Path) -> None:
    assert doctest.testfile(str(root / "docs" / "profiles.md"), module_relative=False).failed == 0
    for module in (profiles, choices):
        assert doctest.testmod(module).failed == 0


def test_every_profile_has_a_column_and_a_line(root: Path) -> None:
    page = (root / "docs" / "profiles.md").read_text("utf-8")
    assert f"| | {' | '.join(PROFILES)} |" in page
    for name in PROFILES:
        assert f"* **{name}**" in page
