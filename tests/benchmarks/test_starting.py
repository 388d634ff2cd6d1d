"""The bench of starting: what it starts, and what it says of it."""

import json
from pathlib import Path

import pytest

from bench import report, starting
from bench.starting import Took


def test_a_process_is_timed(tmp_path: Path) -> None:
    took = starting.started(["--version"], tmp_path)
    assert 0 < took.busy < 60
    assert took.seconds > 0


@pytest.mark.parametrize(("picture", "status"), [(5.9, 0), (6.1, 1)])
def test_medians_are_held_to_their_bounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], picture: float, status: int
) -> None:
    runs = {"help": [Took(0.1, 0.1), Took(0.2, 0.1), Took(9.0, 0.1)], "picture": [Took(picture, 3.0)]}
    monkeypatch.setattr(starting, "measured", lambda rounds, steps: runs)
    assert starting.main([]) == status
    table, line = capsys.readouterr().out.rsplit("\n{", 1)
    assert "| fromnoise --help | 0.20 s | 0.10 s | 0.3 s |" in table
    assert json.loads("{" + line)["picture"] == picture


def test_what_starting_took_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "LINES", tmp_path / "results.jsonl")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RESULTS.md")
    monkeypatch.setattr(
        starting, "measured", lambda rounds, steps: {"help": [Took(0.1, 0.1)], "picture": [Took(4.0, 3.0)]}
    )
    for _ in range(2):
        starting.main(["--rounds", "3", "--keep"])
    (kept,) = (tmp_path / "results.jsonl").read_text().splitlines()
    page = (tmp_path / "RESULTS.md").read_text()
    assert "`python -m bench start --rounds 3`" in page
    assert starting.table(json.loads(kept)) in page
    assert "; `python" in page
