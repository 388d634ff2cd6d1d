"""The rules that hold the tree together: imports go down, files stay short, dangerous readers live in one place."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fromnoise"

LAYERS = (  # a file imports from lower lines and from its own package, never sideways or up
    {"__main__"},
    {"cli"},
    {"server"},
    {"cluster"},
    {"jobs"},
    {"nodes"},
    {"train"},
    {"engine"},
    {"adapters", "upscalers", "preprocessors", "captioners"},
    {"sampling"},
    {"text"},
    {"checkpoints"},
    {"nn"},
    {"assets"},
    {"registry", "settings", "allocator"},
    {"errors"},
)
RANK = {name: -depth for depth, names in enumerate(LAYERS) for name in names}

FILE_READER = "checkpoints/files.py"  # the one file that may open what a stranger made
UNPICKLER = "checkpoints/pickles.py"  # the half of it that knows pickles; nobody else imports it
UNPICKLERS = {
    "fromnoise.checkpoints.pickles",
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
}
WEIGHT_READERS = {
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.serialization.load",
    "safetensors.safe_open",
    "safetensors.deserialize",
    *(f"safetensors.{kind}.{name}" for kind in ("torch", "numpy") for name in ("load", "load_file", "load_model")),
    "safetensors.torch.safe_open",
}

NO_TORCH = ("fromnoise", "fromnoise.cli", "fromnoise.server", "fromnoise.jobs")  # packages with all that is below ...
TOP_ONLY = {"fromnoise", "fromnoise.cli"}  # ... or these alone: what is below is imported when it is needed
LIGHT = (
    "axis_values",
    "recipe",
    "recipe_parts",
    "profiles",
    "shelves",
    "picture_io",
    "metadata.carrier",
    "metadata.infotext_parse",
)  # modules of the engine that a server uses, too
MAY_IMPORT_TORCH = "fromnoise.jobs.worker."  # what begins so

MAX_LINES = 600
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:work|root|home|Users)/\w|\b[A-Z]:\\\\?Users\\")
REGISTRY_HOST = re.compile(  # written so that it does not find itself
    r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|yarnpk[g]\.com|debia[n]\.org|crate[s]\.io|proxy\.golan[g]\.org"
)
TORCH_INDEX = re.compile(r"download\.pytorc[h]\.org")  # users may be told of it, code does not name it


class Import(NamedTuple):
    line: int
    module: str  # what the statement names: fromnoise.nn, torch.nn.functional


def imports(tree: ast.Module, relative: str) -> Iterator[Import]:
    """Every module that the file `relative` (under src/fromnoise) imports, wherever in the file."""
    package = ["fromnoise", *Path(relative).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.split(".")[0] == "fromnoise":  # a name may be a module: from fromnoise import nn
                yield from (Import(node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield Import(node.lineno, module)


def layer_faults(source: str, relative: str) -> list[str]:
    """Imports in `source`, the file `relative` under src/fromnoise, that break the order of the layers."""
    own = Path(relative).parts[0].removesuffix(".py")
    if own != "__init__" and own not in RANK:
        return [f"{relative}: {own!r} has no place in LAYERS of {Path(__file__).name}"]
    faults = []
    for line, module in imports(ast.parse(source), relative):
        parts = module.split(".")
        target = parts[1] if parts[0] == "fromnoise" and len(parts) > 1 else None
        if module == "fromnoise":
            faults.append(f"{relative}:{line}: imports fromnoise itself: name the module that is meant")
        elif target is not None and target not in RANK and target != "__version__":
            faults.append(f"{relative}:{line}: {module} has no place in LAYERS of {Path(__file__).name}")
        elif target in RANK and own != "__init__" and target != own and RANK[target] >= RANK[own]:
            faults.append(f"{relative}:{line}: {own} imports {module}, which is not below it")
        elif own == "nn" and not allowed_in_nn(parts):
            faults.append(f"{relative}:{line}: nn imports {module}, which is neither torch nor its own nor standard")
        elif own == "sampling" and target == "nn":
            faults.append(f"{relative}:{line}: sampling imports {module}, but samplers know no network")
    return faults


def allowed_in_nn(parts: list[str]) -> bool:
    return parts[0] == "torch" or parts[:2] == ["fromnoise", "nn"] or parts[0] in sys.stdlib_module_names


def reader_faults(source: str, relative: str) -> list[str]:
    """Places in `source` that read pickles or weights by themselves."""
    tree = ast.parse(source)
    forbidden = set() if relative == UNPICKLER else UNPICKLERS
    faults = [
        f"{relative}:{line}: imports {module}: only {FILE_READER} reads what strangers made"
        for line, module in imports(tree, relative)
        if any(module == name or module.startswith(f"{name}.") for name in forbidden)
    ]
    for line, name in dotted_names(tree):
        if name in WEIGHT_READERS:
            faults.append(f"{relative}:{line}: uses {name}: only {FILE_READER} reads weights")
    return faults


def dotted_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of every imported name and of every attribute of an imported module, aliases resolved."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {a.asname: a.name for a in node.names if a.asname}
            known |= {top: top for a in node.names if not a.asname for top in [a.name.split(".")[0]]}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names)
    for node in ast.walk(tree):
        path: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        if path and isinstance(inner, ast.Name) and inner.id in known:
            yield inner.lineno, ".".join([known[inner.id], *path])


def chain_to_torch(*modules: str, heavy: Sequence[str] = ("torch",)) -> str:
    """The stack on which importing `modules` in a fresh process comes to what is heavy (or another failure), else "".

    In one process for all: whoever comes to it first ends it, and what an earlier one imported did not.
    """
    code = f"""
import importlib, sys, traceback
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name in {tuple(heavy)!r}:
            raise SystemExit("".join(traceback.format_stack()))  # which no `except ImportError` hides
sys.meta_path.insert(0, Guard())
for module in {modules!r}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stderr if done.returncode else ""


def package_files() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def tracked_text() -> Iterator[tuple[str, str]]:
    """(name, text) of every text file that git tracks."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout: nothing says which files belong to it")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.stat().st_size < 2_000_000:
            data = path.read_bytes()
            if b"\0" not in data:
                yield name, data.decode(errors="replace")


def light_modules() -> list[str]:
    """The modules that exist today among those that must come without torch."""
    found = []
    for name in NO_TORCH:
        folder = PACKAGE.joinpath(*name.split(".")[1:])
        files = [folder / "__init__.py"] if name in TOP_ONLY else sorted(folder.rglob("*.py"))
        for file in files:
            parts = ["fromnoise", *file.relative_to(PACKAGE).with_suffix("").parts]
            if file.is_file():
                found.append(".".join(part for part in parts if part != "__init__"))
    found += [f"fromnoise.engine.{name}" for name in LIGHT]
    return [name for name in found if not name.startswith(MAY_IMPORT_TORCH)]


@pytest.mark.parametrize("relative", package_files())
def test_imports_go_down(relative: str) -> None:
    assert layer_faults((PACKAGE / relative).read_text("utf-8"), relative) == []


@pytest.mark.parametrize("relative", [name for name in package_files() if name != FILE_READER])
def test_only_one_file_reads_weights(relative: str) -> None:
    assert reader_faults((PACKAGE / relative).read_text("utf-8"), relative) == []


def test_imports_without_torch() -> None:
    assert len(light_modules()) > 50
    assert chain_to_torch(*light_modules()) == ""


def test_the_server_starts_light() -> None:
    """What takes a tenth of the time to its first answer, or of its memory, waits until a call needs it."""
    heavy = ("torch", "numpy", "tokenizers", "alembic", "sqlalchemy.dialects.postgresql")
    assert chain_to_torch("fromnoise.server.serve", "fromnoise.cli.app", heavy=heavy) == ""
    assert "marking.py" in chain_to_torch("fromnoise.jobs.worker.marking", heavy=("numpy",))


def test_files_are_short() -> None:
    lengths = {name: len((PACKAGE / name).read_text("utf-8").splitlines()) for name in package_files()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_machine_path_or_registry_host_in_tracked_files() -> None:
    faults = [fault for name, text in tracked_text() for fault in address_faults(name, text)]
    assert faults == []


def address_faults(name: str, text: str) -> list[str]:
    patterns = [MACHINE_PATH, REGISTRY_HOST, *([] if name.endswith(".md") else [TORCH_INDEX])]
    return [f"{name}: {match[0]}" for pattern in patterns for match in pattern.finditer(text)]


# The checks find what they are for.


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("sampling/a.py", "import fromnoise.engine.generate"),
        ("sampling/a.py", "from fromnoise.nn.unet import UNet"),
        ("sampling/a.py", "def f():\n    from ..nn import unet"),
        ("text/a.py", "from fromnoise import sampling"),
        ("adapters/a.py", "from fromnoise.upscalers.esrgan import load"),
        ("registry.py", "from fromnoise.settings import Settings"),
        ("errors.py", "import fromnoise.registry"),
        ("nn/a.py", "import numpy as np"),
        ("nn/a.py", "from fromnoise.errors import UserError"),
        ("text/a.py", "import fromnoise"),
        ("utils.py", "import math"),
        ("engine/a.py", "from fromnoise.utils import f"),
    ],
)
def test_a_broken_layer_is_found(relative: str, source: str) -> None:
    assert len(layer_faults(source, relative)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("cli/a.py", "from fromnoise import __version__\nfrom fromnoise.engine.generate import generate"),
        ("nn/a.py", "import math\nimport torch.nn as tn\nfrom .ops import Linear\nfrom fromnoise.nn import ops"),
        ("registry.py", "from fromnoise.errors import UnknownName"),
        ("engine/b/c.py", "from ..recipe import Recipe\nfrom ...sampling import samplers"),
    ],
)
def test_a_sound_layer_passes(relative: str, source: str) -> None:
    assert layer_faults(source, relative) == []


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load as f",
        "import pickle",
        "from pickle import loads",
        "from fromnoise.checkpoints.pickles import read_pickle",
        "from fromnoise.checkpoints import pickles",
        "import safetensors.torch\nsafetensors.torch.load_file('x')",
        "import safetensors.torch as st\nst.load_file('x')",
        "from safetensors import safe_open",
        "from safetensors import torch as st\nst.load('x')",
    ],
)
def test_a_second_reader_is_found(source: str) -> None:
    assert len(reader_faults(source, "engine/a.py")) == 1


def test_an_import_of_torch_is_found() -> None:
    assert "fromnoise/nn/ops.py" in chain_to_torch("fromnoise.nn.ops").replace("\\", "/")


def test_the_unpickler_is_excused_from_nothing_but_pickle() -> None:
    assert reader_faults("import pickle", UNPICKLER) == []
    assert len(reader_faults("import torch\ntorch.load('x')", UNPICKLER)) == 1


def test_writers_are_no_readers() -> None:
    assert reader_faults("from safetensors.torch import save_file\nimport json\njson.load(f)", "train/a.py") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "open('/ho" + "me/me/model')"),
        ("a.md", "C:\\Us" + "ers\\me"),
        ("a.txt", "https://files.python" + "hosted.org/x"),
        ("a.py", "https://download.py" + "torch.org/whl"),
    ],
)
def test_an_address_is_found(name: str, text: str) -> None:
    assert len(address_faults(name, text)) == 1


def test_ordinary_paths_and_addresses_pass() -> None:
    text = "~/work/a  docs/home/b  https://example.org/home/c  ${X}/root/y"
    assert address_faults("a.md", text + " https://download.py" + "torch.org/whl/cpu") == []
