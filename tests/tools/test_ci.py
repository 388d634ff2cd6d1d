""".ci/run: all of its parts are run whatever becomes of the others, and it fails where any of them does."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")

PARTS = {  # in a command that belongs to it
    "tests": "launch.py test -n 2",
    "ruff check": "ruff check",
    "ruff format": "ruff format",
    "mypy": "mypy",
    "page: Node": "-m pip install",
    "page: build": "studio/build.py.",
    "page: types": "npm run --silent check",
    "page: lint": "npm run --silent lint",
    "page: tests": "npm run --silent test",
    "page: end to end": "-m studio and not slow and not alone",
    "page: in time": "-m studio and not slow and alone",
}
STAND_IN = """#!/bin/sh
said="$(basename "$0") $*."
echo "$said" >>"$SAID"
case "$said" in
*"import build"*) exit 1 ;; # there is no Node
*"$FAILING"*) exit 3 ;;
esac
echo "done: $said"
"""


class Ran(NamedTuple):
    status: int
    out: str
    commands: list[str]


def ci(root: Path, folder: Path, failing: str) -> Ran:
    """.ci/run in a folder where every program only tells how it was called, and one fails."""
    (folder / "tools/bin").mkdir(parents=True)
    (folder / "checkout/.ci").mkdir(parents=True)
    shutil.copy(root / ".ci/run", folder / "checkout/.ci/run")
    for name in ("python", "python3", "ruff", "mypy"):
        program = folder / "tools/bin" / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{folder / 'tools/bin'}{os.pathsep}{os.environ['PATH']}", "SAID": str(folder / "said"),
        "FROMNOISE_VENV": str(folder / "tools"), "FROMNOISE_CHROMIUM": "chromium", "FAILING": failing,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(folder / "checkout/.ci/run")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, (folder / "said").read_text().splitlines())


def test_it_runs_all_of_its_parts(root: Path, tmp_path: Path) -> None:
    ran = ci(root, tmp_path, "nothing of this kind")
    assert ran.status == 0, ran.out
    for part, command in PARTS.items():
        assert sum(command in line for line in ran.commands) >= 1, part
        assert f"== {part}\n" in ran.out
    result = ran.out.partition("== result\n")[2]
    assert "failed" not in result
    assert "  in all\n" in result
    assert "done: python3 launch.py test -n 2 --dist loadfile --no-loadscope-reorder." in result


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_fails_is_named_and_the_others_are_run(root: Path, tmp_path: Path, part: str) -> None:
    ran = ci(root, tmp_path, PARTS[part])
    assert ran.status == 1
    assert [line for line in ran.out.splitlines() if line.startswith("failed: ")] == [f"failed: {part}"]
    for other, command in PARTS.items():
        assert any(command in line for line in ran.commands), other
