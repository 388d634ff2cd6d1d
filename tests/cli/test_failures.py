"""Every failure: its exit status, one line, no traceback, nothing left behind; in both languages."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from fromnoise.cli import make
from fromnoise.engine import library

from .conftest import Ran, Run, everything

CHINESE = re.compile("[\u4e00-\u9fff]")


def in_files(folder: Path) -> None:
    """What the command lines below refer to."""
    Image.new("RGB", (64, 64), "red").save(folder / "red.png")
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "pictures").mkdir()


# fmt: off
MISTAKES = [  # (arguments after the prompt, what the line says)
    (["--sampler", "euller"], "unknown sampler 'euller'; did you mean 'euler'"),
    (["--sampler", "qqqq"], "unknown sampler 'qqqq'. Known: "),
    (["--schedule", "karas"], "unknown schedule 'karas'; did you mean 'karras'"),
    (["--size", "100x64"], "width: 100 is not a multiple of 8; the nearest sizes are 96 and 104"),
    (["--size", "64x99999"], "height: input should be less than or equal to 16384"),
    (["--size", "0"], "width: input should be greater than or equal to 8"),
    (["--size", "big"], "--size big: give width and height in pixels, such as 512x768"),
    (["--model", "nowhere"], "no model 'nowhere': give its path, or one of builtin. Looked in models/checkpoints"),
    (["--init", "nothing.png"], "nothing.png: no such picture"),
    (["--init", "bad.png"], "bad.png: not a readable picture"),
    (["--init", "pictures"], "pictures is a folder, not a picture"),
    (["--init", "red.png", "--mask", "nothing.png"], "nothing.png: no such picture"),
    (["--mask", "red.png"], "recipe: a mask needs a start picture: give one with --init"),
    (["--strength", "0.5"], "--strength needs a start picture: give one with --init"),
    (["--out", "picture.jpg"], "--out picture.jpg: pictures are written as PNG; use picture.png"),
    (["--out", "red.png/x.png"], "can't write to red.png"),
    (["--out", "red.png/deep/"], "can't write to red.png/deep"),
    (["--out", "x" * 300], "can't write to . (File name too long"),
    (["--device", "tpu"], "no device 'tpu' here; this machine has "),
    (["--dtype", "int8"], "unknown dtype 'int8'; choose one of float32, bfloat16, float16"),
    (["--stepz", "3"], "No such option: --stepz (Possible options: "),
    (["--zzz"], "No such option: --zzz"),
    (["--steps"], "Option '--steps' requires an argument."),
    (["--steps", "0"], "Invalid value for '--steps': Input should be greater than or equal to 1"),
    (["--steps", "many"], "Invalid value for '--steps': Input should be a valid integer"),
    (["--seed", "18446744073709551616"], "seed: input should be less than or equal to 18446744073709551615"),
    (["--seed", "-2"], "Invalid value for '--seed': Input should be greater than or equal to -1"),
    (["--guidance", "101"], "Invalid value for '--guidance': Input should be less than or equal to 100"),
    (["--guidance", "much"], "Invalid value for '--guidance': Input should be a valid number"),
    (["two"], "Got unexpected extra argument(s) (two)"),
]
# fmt: on


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistakes are found before the model is loaded."""

    def load(name: str, placement: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(library, "load", load)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("arguments", "line"), MISTAKES, ids=[" ".join(words)[:30] for words, _ in MISTAKES])
def test_a_mistake_ends_in_one_line_before_anything_is_loaded(
    draw: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    in_files(folder)
    before = everything(folder)
    ran = draw("x", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith(f"fromnoise: {line}")
    assert everything(folder) == before
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    translated = draw("x", *arguments)
    assert translated.status == 2
    assert CHINESE.search(translated.err)
    assert not re.search(r"\b(the|is|of|give|should)\b", translated.err.replace(str(folder), ""))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["info", "nothing"], "nothing: no such file"),
        (["info"], "Missing argument 'FILE'. (see fromnoise info --help)"),
        (["train"], "Missing command. (see fromnoise train --help)"),
        (["train", "nothing"], "No such command 'nothing'."),
        (["doctor", "--device", "tpu"], "no device 'tpu' here"),
        (["samplers", "more"], "Got unexpected extra argument(s) (more)"),
    ],
)
def test_other_commands_fail_as_clearly(run: Run, arguments: list[str], line: str) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"fromnoise: {line}")
    assert ran.err.count("\n") == 1


def test_a_file_that_is_no_model_is_a_mistake(draw: Run, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no model")
    ran = draw("x", "--model", "model.safetensors")
    assert ran.status == 2
    assert ran.last.startswith("fromnoise: ")
    assert "model.safetensors" in ran.last
    assert "Traceback" not in ran.err


FAILURES = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "out of memory; try a smaller --size"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), "out of memory; try a sm"),
    (RuntimeError("MPS backend out of memory (allocated: 9 GB)"), "out of memory; try a smaller --size"),
    (MemoryError(), "out of memory; try a smaller --size"),
    (RuntimeError("shapes\ndiffer"), "unexpected failure: RuntimeError: shapes differ; set FROMNOISE_DEBUG=1 for de"),
    (ZeroDivisionError(), "unexpected failure: ZeroDivisionError; set FROMNOISE_DEBUG=1 for details"),
]


@pytest.fixture(params=FAILURES, ids=[f"{type(error).__name__}-{i}" for i, (error, _) in enumerate(FAILURES)])
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine fails; the value is what is to be said."""
    error, line = request.param

    def generate(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(make, "generate", generate)
    return str(line)


def test_a_failure_of_the_machine_or_of_ours_has_status_1(draw: Run, folder: Path, failure: str) -> None:
    ran = draw("x")
    assert (ran.status, ran.out) == (1, "")
    assert ran.last.startswith(f"fromnoise: {failure}")
    assert "Traceback" not in ran.err
    assert everything(folder) == []


def test_debugging_shows_where_it_happened(draw: Run, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_DEBUG", "1")
    ran = draw("x")
    assert "Traceback" in ran.err
    assert ran.last.startswith(f"fromnoise: {failure}")


def test_a_file_that_the_system_refuses_is_a_mistake(draw: Run) -> None:
    ran = draw("x", "--init", "x" * 300)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"fromnoise: {'x' * 300}: File name too long\n"


def test_a_full_disk_leaves_no_half_picture(draw: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = draw("x")
    assert (ran.status, ran.out) == (2, "")
    assert "No space left on device" in ran.last
    assert [path for path in everything(folder) if path.is_file()] == []


def test_ctrl_c_while_drawing_leaves_nothing(draw: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "generate", interrupted)
    ran = draw("x")
    assert (ran.status, ran.out, ran.last) == (130, "", "fromnoise: stopped; nothing was written")
    assert everything(folder) == []


def test_ctrl_c_in_a_batch_keeps_what_is_finished(draw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make.generate
    calls: list[object] = []

    def second_group_interrupted(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return made(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(make, "generate", second_group_interrupted)
    ran = draw("x", "--batch", 6, "--steps", 1)
    assert (ran.status, ran.last) == (130, "fromnoise: stopped; 4 of 6 pictures are finished")
    assert all(Image.open(path).size == (64, 64) for path in ran.paths)
    assert len(ran.paths) == 4


def test_ctrl_c_elsewhere_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fromnoise.cli.listing.print_samplers", interrupted)
    ran = run("samplers")
    assert (ran.status, ran.err) == (130, "fromnoise: stopped\n")


def test_a_real_process_reports_a_mistake_the_same_way(start: Callable[..., Ran]) -> None:
    ran = start("x", "--sampler", "euller")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("fromnoise: unknown sampler 'euller'")
    assert ran.err.count("\n") == 1
