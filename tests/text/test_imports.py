"""Reading prompts and counting tokens needs no torch, so that servers can do it; docstrings are right."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import fromnoise.text

MODULES = [f"fromnoise.text.{module.name}" for module in pkgutil.iter_modules(fromnoise.text.__path__)]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith(".encode")])
def test_module_imports_without_torch(name: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import {name}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
