"""Processes that are asked in lines of JSON: answered, ended in time, and told no secrets."""

import os
import sys
from pathlib import Path

import pytest

import launch
from fromnoise.errors import FileError
from fromnoise.jobs import clerk
from fromnoise.jobs.child import GLIBC_KEEPS_MEMORY, Child, keeping_memory
from fromnoise.jobs.clerk import Clerk

ECHO = """
import json, os, sys, time
for line in sys.stdin:
    order = json.loads(line)
    time.sleep(order.get("wait", 0))
    if order.get("die"):
        os._exit(3)
    print(json.dumps({"said": order["say"], "secrets": [name for name in os.environ if "TOKEN" in name]}), flush=True)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "echo_of_a_test.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return "echo_of_a_test"


def test_a_child_answers_dies_and_is_not_waited_for(module: str) -> None:
    child = Child.started(module, os.environ)
    assert child.ask({"say": "猫"}, 30) == {"said": "猫", "secrets": []}
    assert child.ask({"say": "x", "die": True}, 30) is None
    assert not child.is_there
    slow = Child.started(module, os.environ)
    assert slow.ask({"say": "x", "wait": 60}, 0.5) is None
    assert not slow.is_there


def test_the_clerk_begins_again_and_knows_no_secrets(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk, "MODULE", module)
    monkeypatch.setenv("FROMNOISE_TOKEN", "a secret of sixteen")
    ours = Clerk()
    try:
        child = ours.there()
        assert child.ask({"say": 1}, 30) == {"said": 1, "secrets": []}
        child.end()
        with pytest.raises(FileError, match="took too long, or failed"):
            ours.ask("read", {})  # the echo comes to grief over what has nothing to say
        assert ours.there().ask({"say": 2}, 30) == {"said": 2, "secrets": []}
    finally:
        ours.close()


def test_workers_keep_memory_as_the_launcher_asks_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    assert GLIBC_KEEPS_MEMORY == launch.GLIBC_KEEPS_MEMORY
    kept = keeping_memory()
    assert (kept["MALLOC_MMAP_MAX_"], kept["MALLOC_TRIM_THRESHOLD_"]) == ("0", "7")
