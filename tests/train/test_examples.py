"""The scripts in `examples/` ask for what there is, and `python -m bench.train` measures each of them."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.train import LESSONS
from fromnoise.cli.app import run
from fromnoise.train.methods import METHODS
from fromnoise.train.run import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDER = """#!/usr/bin/env bash
{ printf '%s\\n' "$@"; echo ---; } >> "$ASKED"
if [ "$1" = preprocess ]; then
  for picture in "$@"; do
    case $picture in
      *.png) cp "$picture" "$HINTS/$(basename "${picture%.png}")-canny.png";;
    esac
  done
fi
"""


def test_every_example_is_measured() -> None:
    assert {lesson.script for lesson in LESSONS.values()} == {path.name for path in EXAMPLES.glob("train_*.sh")}


@pytest.mark.parametrize("method", list(LESSONS))
def test_an_example_asks_for_what_there_is(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, asked, hints = tmp_path / "recorder", tmp_path / "asked", tmp_path / "hints"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    environment = {**os.environ, "FROMNOISE": str(recorder), "ASKED": str(asked), "HINTS": str(hints)}
    script = str(EXAMPLES / LESSONS[method].script)
    subprocess.run(["bash", script, "--seed", "7"], cwd=tmp_path, env=environment, check=True)
    *before, last = [part.strip("\n").split("\n") for part in asked.read_text("utf-8").split("---\n") if part]
    made: list[Run] = []
    monkeypatch.setattr("fromnoise.cli.training_run.teach", lambda one, *_: made.append(one) or tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(last) == 0
    assert (made[0].method, made[0].seed) == (method, 7)
    assert METHODS[method].shelf in str(made[0].output)
    assert any(made[0].data.glob("*.png"))
    if before:
        assert {path.name for path in hints.iterdir()} == {path.name for path in made[0].data.glob("*.png")}
        assert made[0].rules.conditioning_data_dir == hints
