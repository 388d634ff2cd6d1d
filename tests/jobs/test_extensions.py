"""A package of somebody else's: its sampler, kind of work, panel and check work, in the worker alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.extensions import CHECKS, PANELS, Input, Panel
from fromnoise.jobs.worker.tasks import task
from fromnoise.sampling.samplers import SAMPLERS

from dataclasses import replace

SAMPLERS.add("euler_twin", replace(SAMPLERS._items["euler"], name="euler_twin", label="Euler twin", aliases=()))
PANELS.add("shout", Panel(title="Shout", work="shout", inputs=(Input(name="words", label="Words"),)))
CHECKS.add("red", lambda image, recipe: "it is red" if image.getpixel((0, 0)) == (255, 0, 0) else None)


@task("shout")
def shout(body, desk):
    yield 1, 2
    return [Result(media="application/json", data={"said": body["words"].upper()})]
"""
POINTS = "\n".join(
    f"[fromnoise.{group}]\nshouting = shouting\n" for group in ("samplers", "tasks", "panels", "picture_checks")
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """As pip would install it."""
    (tmp_path / "shouting.py").write_text(MODULE)
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return tmp_path


def run(package: Path, code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_tells_of_it(package: Path) -> None:
    code = "import json, fromnoise.jobs.worker.worker; from fromnoise.jobs.worker import extensions;"
    told = json.loads(run(package, f"{code} print(json.dumps(extensions.told()))"))
    assert [choice["name"] for choice in told["catalogue"]["samplers"]] == ["euler_twin"]
    assert told["kinds"] == ["shout"]
    assert (told["panels"][0]["title"], told["panels"][0]["inputs"][0]["name"]) == ("Shout", "words")
    assert "faults" not in told


def test_a_check_keeps_pictures_back(package: Path) -> None:
    code = """
from PIL import Image
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.worker.extensions import examine
examine(Image.new("RGB", (2, 2), "blue"), Recipe())
try:
    examine(Image.new("RGB", (2, 2), "red"), Recipe())
except UserError as error:
    print(error)
"""
    assert run(package, code) == "not given out: it is red\n"


def test_a_broken_package_is_told_of_and_the_rest_works(package: Path) -> None:
    (package / "shouting.py").write_text("1 / 0")
    code = "import json; from fromnoise.jobs.worker import extensions; print(json.dumps(extensions.told()))"
    told = json.loads(run(package, code))
    assert any("ZeroDivisionError" in fault for fault in told["faults"])
    assert "shout" not in told.get("kinds", [])


def test_the_server_imports_nothing_of_it(package: Path) -> None:
    code = "import sys, fromnoise.server.serve; print('shouting' in sys.modules)"
    assert run(package, code) == "False\n"
