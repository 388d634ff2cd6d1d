"""The load test of a server does what it says: a few clients for a few seconds."""

import json
import sys

import pytest

from bench import serving


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_under_load(capsys: pytest.CaptureFixture[str]) -> None:
    serving.main(["--minutes", "0.08", "--clients", "8", "--starts", "1", "--idle", "0"])
    told = capsys.readouterr()
    line = json.loads(told.out.splitlines()[-1])
    assert line["failures"] == 0, told.out
    assert line["holds"]["events"], line
    assert (line["clients"], line["listeners"], set(line["statuses"]) <= {"200", "201", "202"}) == (8, 2, True)
    assert line["calls"] > 5
    assert "| call | calls | median | p99 | most |" in told.out


def test_order_and_growth_are_told() -> None:
    every = [(number, "a", number) for number in range(1, 9)]
    assert serving.in_order([every[2:5], every[:8]], every)
    assert not serving.in_order([[every[0], every[2]]], every)
    assert not serving.in_order([every[2:4][::-1]], every)
    memory = [(float(second), 100e6 if second < 50 else 110e6) for second in range(100)]
    assert serving.growth(memory) == pytest.approx(0.1)
    assert serving.quantile([3.0, 1.0, 2.0], 0.99) == 3.0
