"""k-diffusion for the tests that compare with it."""

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def k_diffusion() -> Iterator[types.SimpleNamespace]:
    """k_diffusion.sampling and .external, imported without the package's heavy dependencies."""
    spec = importlib.util.find_spec("k_diffusion") if importlib.util.find_spec("torchdiffeq") else None
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("k-diffusion is not installed")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    stubs = {"k_diffusion": package}
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        stub = types.ModuleType(name)
        stub.__spec__ = importlib.machinery.ModuleSpec(name, None)
        stubs[name] = stub
    stubs["torchvision"].transforms = stubs["torchvision.transforms"]  # type: ignore[attr-defined]
    stubs["torchvision.transforms"].functional = stubs["torchvision.transforms.functional"]  # type: ignore[attr-defined]
    before = {name: module for name, module in sys.modules.items() if name.startswith(("k_diffusion", "torchvision"))}
    sys.modules.update(stubs)
    try:
        yield types.SimpleNamespace(
            sampling=importlib.import_module("k_diffusion.sampling"),
            external=importlib.import_module("k_diffusion.external"),
        )
    finally:
        for name in [name for name in sys.modules if name.startswith(("k_diffusion", "torchvision"))]:
            del sys.modules[name]
        sys.modules.update(before)
