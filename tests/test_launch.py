"""launch.py: its decisions one by one, and (slow) a real installation in a folder with an awkward name."""

import ast
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import launch

PINS = "# torch==1.0\nnumpy==2.0\ntorch==2.13.0\ntorchsde==0.2.6\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that decide what is installed, taken for the checkout."""
    (tmp_path / "tests").mkdir()
    for name in ("pyproject.toml", "constraints.txt", launch.NODEPS):
        (tmp_path / name).write_text(f"# {name}\n")
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.delenv("FROMNOISE_VENV", raising=False)
    monkeypatch.delenv("FROMNOISE_PIP_ARGS", raising=False)
    return tmp_path


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `prepare` would have done, in order: "build" and "install:EXTRAS"."""
    done: list[str] = []

    def build(venv: Path, log: object) -> None:
        done.append("build")
        python = Path(launch.program(venv, "python"))
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(launch, "build", build)
    monkeypatch.setattr(launch, "install", lambda venv, extras, log: done.append("install:" + ",".join(extras)))
    return done


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(launch, "NVIDIA", ())


def test_old_pythons_can_read_the_file(root: Path) -> None:
    """They must get as far as the check of the version."""
    ast.parse((root / "launch.py").read_text("ascii"), feature_version=(3, 6))


def test_first_start_builds_and_installs_and_the_second_does_nothing(checkout: Path, work: list[str]) -> None:
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:"]
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", launch.NODEPS])
def test_a_changed_file_installs_again_without_building(checkout: Path, work: list[str], name: str) -> None:
    launch.prepare(checkout / ".venv", {"test"})
    (checkout / name).write_text("changed")
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:test", "install:test"]  # and keeps the extras that were there


def test_extras_are_added_once(checkout: Path, work: list[str]) -> None:
    for extras in (set(), {"test"}, set(), {"test"}):
        launch.prepare(checkout / ".venv", extras)
    assert work == ["build", "install:", "install:test"]


def test_another_python_or_folder_builds_again(
    checkout: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch.prepare(checkout / ".venv", set())
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    launch.prepare(checkout / ".venv", set())
    os.replace(checkout / ".venv", checkout / "moved")
    launch.prepare(checkout / "moved", set())
    assert work == ["build", "install:"] * 3


def test_reinstall_builds_again(checkout: Path, work: list[str]) -> None:
    launch.prepare(checkout / ".venv", {"test"})
    launch.prepare(checkout / ".venv", set(), reinstall=True)
    assert work == ["build", "install:test", "build", "install:"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, launch.SetupError("pip failed")])
def test_a_broken_off_installation_is_built_again(
    checkout: Path, work: list[str], monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise end

    launch.prepare(checkout / ".venv", set())
    (checkout / "constraints.txt").write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr(launch, "install", broken)
        with pytest.raises(type(end) if isinstance(end, Exception) else KeyboardInterrupt):
            launch.prepare(checkout / ".venv", set())
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:"] * 2


@pytest.mark.parametrize("stamp", ["", "half", "\x00\xff"])
def test_a_stamp_that_says_nothing_is_not_trusted(checkout: Path, work: list[str], stamp: str) -> None:
    launch.prepare(checkout / ".venv", set())
    (checkout / ".venv" / launch.STAMP).write_text(stamp, "latin-1")
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:"] * 2


def test_a_virtual_environment_without_python_is_built_again(checkout: Path, work: list[str]) -> None:
    launch.prepare(checkout / ".venv", set())
    os.remove(launch.program(checkout / ".venv", "python"))
    launch.prepare(checkout / ".venv", set())
    assert work == ["build", "install:"] * 2


def test_a_folder_of_someone_else_is_left_alone(checkout: Path, work: list[str]) -> None:
    treasure = checkout / ".venv" / "letters.txt"
    treasure.parent.mkdir()
    treasure.write_text("dear")
    with pytest.raises(launch.SetupError, match="was not made by"):
        launch.prepare(checkout / ".venv", set(), reinstall=True)
    assert treasure.read_text() == "dear"
    assert work == []


def test_build_empties_the_folder_but_for_the_log(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = checkout / ".venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "half").touch()
    (venv / "lib64").symlink_to("lib")
    monkeypatch.setattr(launch, "run", lambda title, command, log: 0)
    with (venv / launch.LOG).open("ab") as log:
        launch.build(venv, log)
    assert [path.name for path in venv.iterdir()] == [launch.LOG]


def test_a_python_without_venv_is_told_what_to_install(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else True)
    with (checkout / "log").open("ab") as log, pytest.raises(launch.SetupError, match="no venv module"):
        launch.build(checkout / ".venv", log)


@pytest.mark.usefixtures("no_gpu")
def test_linux_without_nvidia_asks_for_the_cpu_build() -> None:
    assert launch.torch_requirement(PINS, []) == ["torch==2.13.0+cpu"]
    assert launch.torch_requirement(PINS, ["--index-url", "https://mirror.example/simple"]) == ["torch==2.13.0+cpu"]


@pytest.mark.usefixtures("no_gpu")
def test_arguments_that_speak_of_torch_decide() -> None:
    assert launch.torch_requirement(PINS, ["torch==2.13.0"]) == []
    assert launch.torch_requirement(PINS, ["--extra-index-url", "https://mirror.example/torch/rocm"]) == []


@pytest.mark.usefixtures("no_gpu")
def test_nothing_is_asked_for_where_nothing_is_pinned() -> None:
    assert launch.torch_requirement("torchsde==0.2.6\n", []) == []


def test_nvidia_and_other_systems_take_the_ordinary_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "NVIDIA", (str(tmp_path),))
    monkeypatch.setattr(sys, "platform", "linux")
    assert launch.torch_requirement(PINS, []) == []
    monkeypatch.setattr(launch, "NVIDIA", ())
    monkeypatch.setattr(sys, "platform", "darwin")
    assert launch.torch_requirement(PINS, []) == []


def test_the_real_constraints_pin_torch_without_a_build(root: Path, no_gpu: None) -> None:
    [torch] = launch.torch_requirement((root / "constraints.txt").read_text(), [])
    assert torch.removeprefix("torch==").removesuffix("+cpu").replace(".", "").isdigit()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "WARNING: NewConnectionError(...)\nERROR: No matching distribution found for x",
            "is there a network",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "docs/install.md"),
        ("Collecting torch==2.13.0\nERROR: Could not build wheels for x", "pip failed"),
        ("ERROR: No space left on device", "pip failed"),
    ],
)
def test_what_pip_said_is_put_in_one_line(log: str, message: str) -> None:
    assert message in launch.diagnose(log)


@pytest.mark.parametrize(
    ("log", "unknown"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", True),
        ("ERROR: Cannot install torch==2.13.0+cpu because of conflicts", True),
        ("Collecting torch==2.13.0+cpu\nERROR: Could not build wheels for x", False),
        ("WARNING: NewConnectionError(...)\nERROR: No matching distribution found for torch==2.13.0+cpu", False),
    ],
)
def test_a_build_that_no_index_has_is_told_from_other_failures(log: str, unknown: bool) -> None:
    assert launch.unknown_build(log, ["torch==2.13.0+cpu"]) == unknown
    assert not launch.unknown_build(log, [])


def test_pip_failure_shows_the_end_of_the_log_and_its_name(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(title: str, command: list[str], log: object) -> int:
        (checkout / "log").write_text("\n".join(f"line {n}" for n in range(40)))
        return 1

    monkeypatch.setattr(launch, "run", fail)
    with (checkout / "log").open("ab") as log, pytest.raises(launch.SetupError, match="pip failed") as caught:
        launch.install(checkout / ".venv", [], log)
    shown = capsys.readouterr().err
    assert "line 39" in shown
    assert "line 10" not in shown
    assert str(checkout / "log") in str(caught.value)


def test_pip_gets_the_constraints_the_extras_and_the_users_arguments(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(launch, "run", lambda title, command, log: commands.append(command) or 0)
    monkeypatch.setenv("FROMNOISE_PIP_ARGS", "--find-links 'a folder'")
    with (checkout / "log").open("ab") as log:
        launch.install(checkout / ".venv", ["test"], log)
    project, peers = commands
    assert project[-2:] == ["-e", ".[test]"]
    assert project[project.index("-c") + 1] == "constraints.txt"
    assert project[-4:-2] == ["--find-links", "a folder"]
    assert peers[-3:] == ["--no-deps", "-r", launch.NODEPS]


def test_run_keeps_the_output_in_the_log_and_passes_the_status_on(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import os, sys; print(os.getcwd()); print('oops', file=sys.stderr); sys.exit(3)"
    with (checkout / "log").open("ab") as log:
        assert launch.run("working", [sys.executable, "-c", code], log) == 3
    assert (checkout / "log").read_text().split() == [str(checkout), "oops"]
    assert capfd.readouterr().err == "working ... 0 s\n"


def test_the_allocator_is_set_on_linux_unless_the_user_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    monkeypatch.setattr(sys, "platform", "linux")
    environment = launch.start_environment()
    assert (environment["MALLOC_MMAP_MAX_"], environment["MALLOC_TRIM_THRESHOLD_"]) == ("0", "7")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "MALLOC_MMAP_MAX_" not in launch.start_environment()


@pytest.mark.parametrize(
    ("arguments", "prepared", "command"),
    [
        ([], ({"server"}, False), ["fromnoise"]),
        (["--no-browser"], ({"server"}, False), ["fromnoise", "--no-browser"]),
        (["studio", "--port", "1"], ({"server"}, False), ["fromnoise", "studio", "--port", "1"]),
        (["serve"], ({"server"}, False), ["fromnoise", "serve"]),
        (["a red apple", "--seed", "1"], (set(), False), ["fromnoise", "a red apple", "--seed", "1"]),
        (["--help"], (set(), False), ["fromnoise", "--help"]),
        (["test", "-k", "x"], ({"test"}, False), ["python", "-m", "pytest", "-k", "x"]),
        (["--reinstall", "test"], ({"test"}, True), ["python", "-m", "pytest"]),
    ],
)
def test_arguments_find_their_command(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    prepared: tuple[set[str], bool],
    command: list[str],
) -> None:
    seen: list[object] = []
    monkeypatch.chdir(checkout)  # which main leaves for the tests
    monkeypatch.setenv("FROMNOISE_VENV", "else where")
    monkeypatch.setattr(launch, "prepare", lambda venv, *rest: seen.append((venv, rest)))
    monkeypatch.setattr(launch, "build_page", lambda venv: pages.append(venv))
    monkeypatch.setattr(launch, "become", seen.append)
    pages: list[Path] = []
    launch.main(arguments)
    venv = checkout / "else where"
    assert seen[:2] == [(venv, prepared), [launch.program(venv, command[0]), *command[1:]]]
    assert pages == ([venv] if arguments[:1] in ([], ["--no-browser"], ["studio"]) else [])


@dataclass
class Builder:
    """studio/build.py, as launch.py sees it."""

    stale: bool = True
    node: bool = True
    built: bool = False
    __file__: str = "build.py"

    def is_stale(self) -> bool:
        return self.stale

    def has_node(self) -> bool:
        return self.node

    def is_built(self) -> bool:
        return self.built


@pytest.fixture
def building(checkout: Path, work: list[str], monkeypatch: pytest.MonkeyPatch) -> Builder:
    """A page that is out of date, and a build that succeeds."""
    builder = Builder()

    def run(title: str, command: list[str], log: object) -> int:
        work.append(title)
        return 0

    monkeypatch.setattr(launch, "studio_builder", lambda: builder)
    monkeypatch.setattr(launch, "run", run)
    launch.prepare(checkout / ".venv", {"server"})
    work.clear()
    return builder


def test_a_page_that_is_up_to_date_needs_no_node(checkout: Path, work: list[str], building: Builder) -> None:
    building.stale = building.node = False
    launch.build_page(checkout / ".venv")
    assert work == []


def test_a_machine_without_node_is_given_one(checkout: Path, work: list[str], building: Builder) -> None:
    building.node = False
    launch.build_page(checkout / ".venv")
    assert work == ["install:page,server", "building the studio's page"]


def test_where_no_page_can_be_built_the_older_one_is_opened_and_none_is_a_failure(
    checkout: Path, building: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "run", lambda *_: 1)
    with pytest.raises(launch.SetupError, match="could not be built"):
        launch.build_page(checkout / ".venv")
    building.built = True
    launch.build_page(checkout / ".venv")
    assert "the one that was there is opened" in capsys.readouterr().err


def test_the_real_builder_is_found(root: Path) -> None:
    builder = launch.studio_builder()
    assert Path(builder.__file__) == root / "studio" / "build.py"
    assert builder.digest() == builder.digest()


@pytest.mark.parametrize(
    ("failure", "status", "line"),
    [
        (launch.SetupError("pip failed"), 2, "launch.py: pip failed\n"),
        (PermissionError(13, "Permission denied"), 2, "FROMNOISE_VENV can name another folder\n"),
        (
            OSError(28, "No space left on device"),
            2,
            "No space left on device; FROMNOISE_VENV can name another folder\n",
        ),
        (KeyboardInterrupt(), 130, "the next start sets up what is missing\n"),
    ],
)
def test_failures_end_in_one_line(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: BaseException,
    status: int,
    line: str,
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(launch, "prepare", fail)
    assert launch.main([]) == status
    shown = capsys.readouterr().err
    assert shown.endswith(line)
    assert len(shown.strip().splitlines()) == 1


STAND_IN = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"
[project]
name = "fromnoise"
version = "0.0"
[project.optional-dependencies]
test = []
[project.scripts]
fromnoise = "fromnoise:main"
[tool.hatch.build.targets.wheel]
packages = ["src/fromnoise"]
"""


@pytest.mark.slow
def test_a_real_installation_is_fast_the_second_time(root: Path, tmp_path: Path) -> None:
    """With a stand-in for the package, so that no torch is fetched; pip fetches the build backend."""
    home = tmp_path / "a b" / "克隆"
    (home / "src" / "fromnoise").mkdir(parents=True)
    (home / "tests").mkdir()
    shutil.copy(root / "launch.py", home)
    (home / "pyproject.toml").write_text(STAND_IN)
    (home / "constraints.txt").touch()
    (home / launch.NODEPS).touch()
    (home / "src" / "fromnoise" / "__init__.py").write_text(
        "import os, sys\n\ndef main():\n    print(os.getcwd(), *sys.argv[1:])\n    return 7\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FROMNOISE_")}

    def start(*arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
        began = time.perf_counter()
        command = [sys.executable, str(home / "launch.py"), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
        )
        return done, time.perf_counter() - began

    first, _ = start("一个 apple", "--seed", "1")
    assert (first.returncode, first.stdout) == (7, f"{tmp_path} 一个 apple --seed 1\n"), first.stderr
    assert "making .venv" in first.stderr
    second, seconds = min((start("x") for _ in range(3)), key=lambda result: result[1])
    assert (second.returncode, second.stdout, second.stderr) == (7, f"{tmp_path} x\n", "")
    assert seconds < 1
    os.remove(home / ".venv" / launch.STAMP)  # as if the first had been killed while pip worked
    third, _ = start("x")
    assert third.returncode == 7
    assert "making .venv" in third.stderr
