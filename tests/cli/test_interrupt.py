"""Ctrl-C as it really arrives: SIGINT to a process that draws."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import everything


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_in_one_line_and_leaves_nothing(folder: Path, checkpoint: Path) -> None:
    command = [sys.executable, "-m", "fromnoise", "x", "--model", str(checkpoint), "--size", "64", "--steps", "10000"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a parent may ignore it
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while not process.stderr.readline().startswith("seed "):  # then it draws
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, printed = process.stderr.read(), process.stdout.read()
    assert process.returncode == 2
    assert said == "fromnoise: stopped; nothing was written\n"
    assert printed == ""
    assert everything(folder) == []
