"""How progress looks on a terminal, and elsewhere."""

import pytest

from fromnoise.cli import progress
from fromnoise.cli.progress import Lines


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "en")


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_tell_the_rate_and_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for done in range(1, 11):
        clock.now = done / 2
        lines(done, 10)
    assert capsys.readouterr().err.splitlines() == [
        "step 3/10, 2.00 it/s, 4 s left",
        "step 5/10, 2.00 it/s, 2 s left",
        "step 8/10, 2.00 it/s, 1 s left",
        "step 10/10, 2.00 it/s, 0 s left",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with progress.progress(quiet=False) as report:
        for done in range(1, 4):
            report(done, 3)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "3/3" in shown
    assert "it/s" in shown
    assert "0:00:00" in shown


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(quiet=True) as report:
        report(1, 1)
    progress.note("loading", quiet=True)
    assert capsys.readouterr() == ("", "")
