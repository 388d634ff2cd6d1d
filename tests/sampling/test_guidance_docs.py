"""docs/guidance.md names every feature, and every test that it names is there."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fromnoise.nn import hooks, int8, step_reuse, token_merging
from fromnoise.sampling import (
    guidance_attention,
    guidance_inversion,
    guidance_masks,
    guidance_parts,
    guidance_regions,
    guidance_rules,
    guidance_threshold,
)

FUNCTIONS: dict[ModuleType, tuple[str, ...]] = {  # that a caller chooses from; the others are their parts
    guidance_attention: ("perturbed", "self_attention"),
    guidance_inversion: ("inversion", "start_noise"),
    guidance_masks: ("changed", "differential", "keep_by_level", "keep_softly"),
    guidance_parts: ("composition", "linear", "negative_minimum_sigma", "perp_neg", "skip_early"),
    guidance_regions: ("regional", "opposed"),
    guidance_rules: ("rescaled", "projected", "zero_star", "zero_init"),
    guidance_threshold: ("thresholded",),
    hooks: (),
    int8: (),
    step_reuse: (),
    token_merging: (),
}
INNER = ("Kept", "Rounded", "Matching", "Remembered", "Site")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "guidance.md").read_text(encoding="utf-8")


def features() -> Iterator[str]:
    """The functions above and all classes of settings and variants."""
    for module, functions in FUNCTIONS.items():
        yield from (getattr(module, name).__name__ for name in functions)
        classes = (value for value in vars(module).values() if inspect.isclass(value))
        yield from (c.__name__ for c in classes if c.__module__ == module.__name__ and c.__name__ not in INNER)


def test_every_feature_is_documented(page: str) -> None:
    assert [name for name in features() if f"`{name}`" not in page] == []


def test_every_named_test_exists(page: str, root: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 15
    for path, name in named:
        tree = ast.parse((root / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_every_named_file_exists(page: str, root: Path) -> None:
    for path in re.findall(r"`((?:sampling|nn)/\w+\.py)`", page):
        assert (root / "src" / "fromnoise" / path).is_file(), path
