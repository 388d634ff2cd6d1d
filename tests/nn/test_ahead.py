"""Libraries are found by the next process, and by nobody who should not: whole, ours, of this source and machine."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.nn import ahead, kernels
from fromnoise.nn.ahead import Kind, Unsound, library_of

F32 = torch.float32
BUILT, OPERATORS = b"a library", b"{}"


@pytest.fixture
def kind() -> Kind:
    layer = nn.Linear(4, 3, device="meta")
    weights = (("weight", ((3, 4), (4, 1), F32)), ("bias", ((3,), (1,), F32)))
    return Kind("linear", (((5, 4), (4, 1), F32),), weights, "this machine", layer)


class ByHand:
    """A library that computes what `kind` does, times `factor`."""

    def __init__(self, kind: Kind, factor: float = 1.0) -> None:
        self.kind, self.factor = kind, factor

    def run(self, inputs: list[Tensor]) -> list[Tensor]:
        return [self.factor * ahead.Function(self.kind)((inputs[0],), tuple(inputs[1:]))]


class Compiler:
    """Writes files in place of libraries, and counts."""

    def __init__(self, kind: Kind, patch: pytest.MonkeyPatch) -> None:
        self.compilations, self.factor = 0, 1.0
        patch.setattr(ahead, "compiled_in", self.compiled_in)
        patch.setattr(ahead, "loaded", lambda path: self.loaded(path, kind))

    def compiled_in(self, room: Path, kind: Kind, weights: tuple[Tensor, ...]) -> Path:
        self.compilations += 1
        room.mkdir()
        (room / "abc.wrapper.json").write_bytes(OPERATORS)
        path = room / "abc.wrapper.so"
        path.write_bytes(BUILT)
        return path

    def loaded(self, path: Path, kind: Kind) -> ByHand:
        assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == (BUILT, OPERATORS), "never another"
        return ByHand(kind, self.factor)


@pytest.fixture
def compiler(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    ahead.tell_once.cache_clear()
    ahead.tell_unsafe.cache_clear()
    return Compiler(kind, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ahead, "_kept", tmp_path / "kept")
    return ahead.folder()


def test_what_was_compiled_is_found(
    kind: Kind, compiler: Compiler, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, again = library_of(kind, folder), library_of(kind, folder)
    assert compiler.compilations == 1
    given, weights = kind.sample_given(4), kind.sample_weights()
    for library in (first, again):
        assert torch.equal(library.run([*given, *weights])[0], nn.functional.linear(*given, *weights))
    assert [record.message for record in caplog.records] == [
        "the network is compiled first, which takes minutes; it is kept for the next time"
    ]
    assert [path.name for path in folder.iterdir()] == [kind.name], "nothing else is left there"


def test_another_source_machine_dtype_or_shape_is_another_name(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    (shape, strides, _), *_ = kind.given
    (name, layout), *others = kind.weights
    kinds = [
        kind, replace(kind, facts="other"), replace(kind, machine="other"),
        replace(kind, given=((shape, strides, torch.bfloat16),)), replace(kind, given=(((6, 4), strides, F32),)),
        replace(kind, given=((shape, (1, 5), F32),)), replace(kind, weights=(("other", layout), *others)),
        replace(kind, weights=((name, (layout[0], (1, 3), F32)), *others)),
    ]  # fmt: skip
    names = [one.name for one in kinds]
    assert len(set(names)) == len(names)
    assert replace(kind, outline=nn.Linear(4, 3, device="meta")).name == kind.name
    monkeypatch.setattr(ahead, "sources", lambda: "other")
    assert kind.name not in names
    assert ahead.machine(1, False) != ahead.machine(2, False)
    assert torch.__version__ in ahead.machine(1, False)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize("harm", [cut_off, changed, Path.unlink, lambda path: path.chmod(0o622)])
@pytest.mark.parametrize("name", [ahead.LIBRARY, ahead.OPERATORS, ahead.CONTENTS])
def test_what_is_not_whole_or_not_ours_is_told_and_compiled_anew(
    kind: Kind, compiler: Compiler, folder: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None],
    name: str,
) -> None:  # fmt: skip
    library_of(kind, folder)
    caplog.clear()
    harm(folder / kind.name / name)
    library_of(kind, folder)
    assert compiler.compilations == 2
    [line] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert line == f"{folder / kind.name} is broken, or others may write to it: it is compiled anew"
    library_of(kind, folder)
    assert compiler.compilations == 2


def test_what_answers_otherwise_is_not_kept(kind: Kind, compiler: Compiler, folder: Path) -> None:
    compiler.factor = 1.01
    with pytest.raises(Unsound, match="its answers differ"):
        library_of(kind, folder)
    assert not list(folder.iterdir())


def test_what_others_may_write_to_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ahead.tell_unsafe.cache_clear()
    monkeypatch.setattr(ahead, "_kept", tmp_path / "kept")
    assert ahead.folder() == tmp_path / "kept"
    (tmp_path / "kept").chmod(0o777)
    own = ahead.folder()
    assert own != tmp_path / "kept"
    assert kernels.is_safe(own)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'kept'} belongs to others, or others may write to it: what is compiled is not kept"
    ]


def test_what_killed_processes_left_goes_after_a_day(
    kind: Kind, compiler: Compiler, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = folder / "0.part"
    (left / "built").mkdir(parents=True)
    library_of(kind, folder)
    assert left.exists()
    monkeypatch.setattr(ahead, "STALE", -1)
    library_of(replace(kind, facts="other"), folder)
    assert not left.exists()


def test_rows_that_do_not_follow_each_other_are_copied() -> None:
    whole = torch.zeros(2, 3, 4)
    assert ahead.is_dense(whole)
    assert ahead.is_dense(whole[:1].expand(1, 3, 4))
    assert not ahead.is_dense(whole[:1].expand(5, 3, 4))
    assert not ahead.is_dense(torch.zeros(2, 6, 4)[:, :3])
    assert ahead.is_dense(torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
