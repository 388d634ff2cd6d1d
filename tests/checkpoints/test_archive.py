"""The process that reads pickles: what it says is checked, and it could do nothing if it were taken over."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fromnoise.checkpoints import archive
from fromnoise.checkpoints.files import read, read_object
from fromnoise.errors import FileError

# The same process with its unpickler replaced by Python's own, which runs whatever a file names. Modules are imported
# before it is confined, as it cannot import any afterwards.
TAKEN_OVER = f"""
import os, pickle, socket, subprocess, ctypes, pathlib, sys, time
source = {str(archive.READER)!r}
code = {{"__name__": "reader"}}
exec(compile(open(source).read(), source, "exec"), code)
code["InertUnpickler"].find_class = pickle.Unpickler.find_class
code["HARMLESS_EVENTS"] += ("pickle.find_class",) + tuple(sys.argv[2:])
code["MAX_SECONDS"] = 1
code["main"]()
"""


class Runs:
    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.args


def taken_over(path: Path, canary: Path, *allowed: str) -> dict[str, Any]:
    """What a reader says that runs the code in a file; `allowed`: events that its watch lets pass."""
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-c", TAKEN_OVER, str(canary), *allowed], stdin=file, capture_output=True, timeout=60
        )
    return json.loads(done.stdout) if done.stdout else {"died": done.returncode}


def attacks(canary: Path) -> dict[str, Runs]:
    return {
        "shell": Runs(os.system, f"touch {canary}"),
        "open": Runs(open, str(canary), "w"),
        "mkdir": Runs(os.mkdir, str(canary)),
        "touch": Runs(Path.touch, canary),
        "exec": Runs(exec, f"open({str(canary)!r}, 'w')"),
        "process": Runs(subprocess.call, ["touch", str(canary)]),
        "socket": Runs(__import__("socket").socket),
    }


ATTACKS = list(attacks(Path()))


def test_a_reader_that_runs_code_would_read(tmp_path: Path) -> None:
    """The frame of these tests is sound."""
    torch.save({"a": Runs(int, "5")}, tmp_path / "model")
    assert taken_over(tmp_path / "model", tmp_path / "canary")["nodes"] == [["dict", [["a", 5]]]]


@pytest.mark.parametrize("name", ATTACKS)
def test_code_that_runs_can_do_nothing(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    torch.save({"a": attacks(canary)[name]}, tmp_path / "model")
    assert "entered what it must not" in taken_over(tmp_path / "model", canary)["error"]
    assert not canary.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
@pytest.mark.parametrize(("name", "event"), [("open", "open"), ("socket", "socket.__new__")])
def test_nor_where_the_watch_is_asleep(tmp_path: Path, name: str, event: str) -> None:
    canary = tmp_path / "canary"
    torch.save({"a": attacks(canary)[name]}, tmp_path / "model")
    assert "OSError" in taken_over(tmp_path / "model", canary, event)["error"]
    assert not canary.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold all limits")
def test_its_memory_and_time_are_limited(tmp_path: Path) -> None:
    torch.save({"a": Runs(bytearray, 3 << 30)}, tmp_path / "model")
    assert "MemoryError" in taken_over(tmp_path / "model", tmp_path / "canary")["error"]
    torch.save({"a": Runs(sum, range(1 << 60))}, tmp_path / "model")
    assert taken_over(tmp_path / "model", tmp_path / "canary")["died"] in (-signal.SIGKILL, -signal.SIGXCPU)


def answering(monkeypatch: pytest.MonkeyPatch, told: object) -> None:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    monkeypatch.setattr(archive, "answer_of", lambda file: text)


def tensor(**changes: Any) -> dict[str, Any]:
    """The answer for one tensor of two numbers, at the end of a file of 64 bytes or more."""
    fields = {"dtype": "float32", "key": "0", "nbytes": 8, "offset": 0, "shape": [2], "strides": [1], **changes}
    return {"root": [0], "nodes": [["dict", [["a", [1]]]], ["tensor", *fields.values()]], "regions": {"0": [8, 8, 0]}}


def test_a_true_answer_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "model")
    answering(monkeypatch, tensor())
    assert read(tmp_path / "model")["a"].shape == (2,)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"", "too much time or memory"),
        (b"{", "too much time or memory"),
        (b"[" * 100_000, "too much time or memory"),
        (b"5", "wrong answer"),
        ({}, "wrong answer"),
        ({"root": [0], "nodes": [], "regions": {}}, "wrong answer"),
        ({"root": [0], "nodes": [["what"]], "regions": {}}, "wrong answer"),
        ({"root": [0], "nodes": [["dict", [["a", [7]]]]], "regions": {}}, "wrong answer"),
        ({"root": [0], "nodes": [["dict", [[[0], 1]]]], "regions": {}}, "wrong answer"),
        ({"error": "its \x1b[2J" + "x" * 1000}, r"its \?\[2Jx{100,200};"),
        ({**tensor(), "regions": {"0": [8, 1 << 30, 0]}}, "outside the file"),
        ({**tensor(), "regions": {"0": [-8, 8, 0]}}, "other than sizes"),
        ({**tensor(), "regions": {"0": "ab"}}, "not a list"),
        ({**tensor(), "regions": {"0": [8, 8]}}, "wrong answer"),
        ({**tensor(), "regions": {}}, "not in the file"),
        ({**tensor(), "regions": 5}, "wrong answer"),
        (tensor(dtype="float31"), "wrong answer"),
        (tensor(nbytes=9), "outside its storage"),
        (tensor(offset=1), "outside its storage"),
        (tensor(offset=-1), "other than sizes"),
        (tensor(offset="1"), "other than sizes"),
        (tensor(shape=[3]), "outside its storage"),
        (tensor(shape=[9], strides=[0]), "larger than what is stored"),
        (tensor(shape=None), "not a list"),
        (tensor(strides=[1, 1]), "more strides"),
    ],
)
def test_a_false_answer_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: object, message: str) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "model")
    answering(monkeypatch, told)
    for reader in (read, read_object):
        with pytest.raises(FileError, match=message):
            reader(tmp_path / "model")


def test_an_endless_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "model")
    (tmp_path / "reader.py").write_text("import os\nwhile True: os.write(1, b' ' * 65536)")
    monkeypatch.setattr(archive, "READER", tmp_path / "reader.py")
    monkeypatch.setattr(archive, "MAX_ANSWER", 1 << 20)
    with pytest.raises(FileError, match="wrong answer"):
        read(tmp_path / "model")


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "model")
    (tmp_path / "reader.py").write_text("import time\ntime.sleep(100)")
    monkeypatch.setattr(archive, "READER", tmp_path / "reader.py")
    monkeypatch.setattr(archive, "MAX_WAIT", 0.2)
    start = time.monotonic()
    with pytest.raises(FileError, match="too much time"):
        read(tmp_path / "model")
    assert time.monotonic() - start < 20


def test_no_pickle_is_read_here(tmp_path: Path) -> None:
    """Reading a checkpoint imports the module that knows pickles in no process but its own."""
    torch.save({"a": torch.ones(1)}, tmp_path / "model")
    code = (
        f"import sys; from fromnoise.checkpoints.files import read; read({str(tmp_path / 'model')!r})['a']; "
        "print([name for name in sys.modules if 'pickles' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_appears_twice_is_one_thing(tmp_path: Path) -> None:
    shared = [1]
    tree = {"a": shared, "b": shared, ("c", (2, b"x")): {3.5, None, "d"}, 5: bytes(range(256))}
    torch.save(tree, tmp_path / "model", pickle_protocol=4)
    found = read_object(tmp_path / "model")
    assert found == tree
    assert isinstance(found, dict)
    assert found["a"] is found["b"]
