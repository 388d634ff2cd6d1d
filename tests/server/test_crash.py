"""The crash test over HTTP: nothing is lost, done twice or made otherwise though servers and workers are killed."""

import sys
from pathlib import Path

import pytest

from tests.jobs.crash import pictures, undergo

from .http_crash import HttpCrash


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("jobs", "clients", "worker_kills", "server_kills", "steps"),
    [(4, 2, 1, 1, 60), pytest.param(200, 8, 20, 5, 8, marks=pytest.mark.slow)],
)
def test_nothing_is_lost_over_http(
    tmp_path: Path,
    jobs: int,
    clients: int,
    worker_kills: int,
    server_kills: int,
    steps: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path / 'data' / 'fromnoise.db'}"
    with capsys.disabled():
        test = HttpCrash(url, tmp_path, pictures(jobs, steps), clients, worker_kills, server_kills, say=print)
        verdict = undergo(test, patience=900)
    assert (verdict["jobs"], verdict["equal_bit_for_bit"]) == (jobs, jobs)
