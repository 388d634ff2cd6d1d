#!/usr/bin/env python3
"""Set up fromnoise and start it, in one command.

    python launch.py "a red apple"     installs into .venv beside this file, then makes the picture
    python launch.py test [ARGS]       installs the test extras as well, then runs pytest with ARGS
    python launch.py --reinstall ...   builds .venv anew first
    python launch.py                   builds the studio's page where it has changed, and opens it

All else goes to the `fromnoise` command. Only the first start installs. FROMNOISE_VENV puts the environment elsewhere,
FROMNOISE_PIP_ARGS adds arguments for pip (docs/install.md). A set-up that fails ends in one line and exit status 2.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # Python 3.6 and later can read this file far enough to say so
    sys.stderr.write("launch.py: Python 3.11 or newer is needed, and this is " + sys.version.split()[0] + "\n")
    sys.exit(2)

import contextlib
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parent
STAMP, LOG, NODEPS = "launch-stamp.txt", "install.log", "tests/requirements-nodeps.txt"
NO_NETWORK = re.compile("NewConnectionError|NameResolutionError|ConnectTimeoutError|ProxyError|Read timed out")
NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
# glibc maps a U-Net's large temporaries anew at each call: 12 % of a step, 36 % of a decode (bf16 on a CPU, 512 x 512).
GLIBC_KEEPS_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(32 << 30)}


class SetupError(Exception):
    """A failure of the set-up, in one line that names the remedy."""


def main(arguments: list[str]) -> int:  # SyntaxError here? launch.py needs Python 3.11 or newer
    """Install what is missing, then become `fromnoise` or pytest; returns an exit status only if that failed."""
    reinstall = arguments[:1] == ["--reinstall"]
    arguments = arguments[1:] if reinstall else arguments
    testing = arguments[:1] == ["test"]
    opening = arguments[:1] in ([], ["studio"], ["--no-browser"])
    extras = {"test"} if testing else {"server"} if opening or arguments[:1] == ["serve"] else set()
    venv = Path(os.path.abspath(os.environ.get("FROMNOISE_VENV") or ROOT / ".venv"))
    try:
        prepare(venv, extras, reinstall)
        if opening:
            build_page(venv)
        if testing:
            os.chdir(ROOT)
            become([program(venv, "python"), "-m", "pytest", *arguments[1:]])
        become([program(venv, "fromnoise"), *arguments])
    except SetupError as error:
        print(f"launch.py: {error}", file=sys.stderr)
    except OSError as error:
        print(f"launch.py: cannot set up {venv}: {error}; FROMNOISE_VENV can name another folder", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nlaunch.py: interrupted; the next start sets up what is missing", file=sys.stderr)
        return 130
    return 2


def prepare(venv: Path, extras: set[str], reinstall: bool = False) -> None:
    """Bring `venv` to what this checkout asks for; without work to do this reads four small files.

    The stamp is away while anything changes, and without one all is built anew: half an installation is never used.
    """
    wanted = fingerprint(ROOT, venv)

    def ready(stamp: list[str]) -> bool:
        return not reinstall and stamp[:2] == wanted and extras <= set(stamp[2:])

    if ready(read_stamp(venv)):
        return
    if venv.is_dir() and any(venv.iterdir()) and not (venv / LOG).exists():
        raise SetupError(f"{venv} was not made by launch.py: remove it, or name another folder in FROMNOISE_VENV")
    venv.mkdir(parents=True, exist_ok=True)
    with (venv / LOG).open("ab") as log:
        lock(log)
        stamp = read_stamp(venv)
        if ready(stamp):
            return  # another start installed it while this one waited
        log.truncate(0)
        (venv / STAMP).unlink(missing_ok=True)
        if reinstall or stamp[:1] != wanted[:1]:
            stamp = []
            build(venv, log)
        together = sorted(extras.union(stamp[2:]))
        install(venv, together, log)
        (venv / "new-stamp").write_text("\n".join([*wanted, *together]), "utf-8")
        os.replace(venv / "new-stamp", venv / STAMP)


def fingerprint(root: Path, venv: Path) -> list[str]:
    """Digests of what a virtual environment is bound to (Python, folders) and of what decides its contents."""
    bound = os.fsencode(f"{sys.implementation.cache_tag} {root} {venv}")
    contents = b"\0".join((root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", NODEPS))
    return [hashlib.sha256(data).hexdigest() for data in (bound, contents)]


def read_stamp(venv: Path) -> list[str]:
    """The fingerprint and then the extras of the last finished installation; [] where there is none to trust."""
    try:
        return (venv / STAMP).read_text("utf-8").split() if os.path.exists(program(venv, "python")) else []
    except (OSError, ValueError):
        return []


def lock(log: IO[bytes]) -> None:
    """One start installs at a time. pip inherits the log and with it the lock, and so holds it to its own end."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(log, fcntl.LOCK_EX)


def build(venv: Path, log: IO[bytes]) -> None:
    """Make an empty virtual environment in `venv`, whatever a broken-off start left there."""
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        raise SetupError("this Python has no venv module; on Debian and Ubuntu: apt install python3-venv")
    for child in venv.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != LOG:
            child.unlink()
    python = getattr(sys, "_base_executable", sys.executable)  # sys.executable may have just been removed
    if run(f"making {venv.name}", [python, "-m", "venv", str(venv)], log) != 0:
        raise SetupError(f"no virtual environment could be made; the whole log: {log.name}")


def install(venv: Path, extras: list[str], log: IO[bytes]) -> None:
    """Install this checkout, editable, with the versions of constraints.txt."""
    more = shlex.split(os.environ.get("FROMNOISE_PIP_ARGS", ""), posix=os.name == "posix")
    torch = torch_requirement((ROOT / "constraints.txt").read_text("utf-8"), more)
    pip = [program(venv, "python"), "-m", "pip", "install", "--no-input", "-c", "constraints.txt", *more]
    project = f".[{','.join(extras)}]" if extras else "."
    status = run(" and ".join(["installing fromnoise", *torch]), [*pip, "-e", project, *torch], log)
    if status != 0 and unknown_build(Path(log.name).read_text("utf-8", errors="replace"), torch):
        print("pip knows no CPU build of torch: taking the ordinary one (over 2 GB; docs/install.md)", file=sys.stderr)
        log.truncate(0)
        status = run("installing fromnoise", [*pip, "-e", project], log)
    if status == 0 and "test" in extras:
        status = run("installing the packages that tests compare with", [*pip, "--no-deps", "-r", NODEPS], log)
    if status != 0:
        text = Path(log.name).read_text("utf-8", errors="replace")
        print(*text.splitlines()[-12:], sep="\n", file=sys.stderr)
        raise SetupError(f"{diagnose(text)}; the whole log: {log.name}")


def build_page(venv: Path) -> None:
    """Build the studio's page where it is missing or older than its sources; an older one is better than none."""
    page = studio_builder()
    if not page.is_stale():
        return
    if not page.has_node():
        prepare(venv, {"server", "page"})
    with (venv / LOG).open("ab") as log:
        lock(log)
        if not page.is_stale():
            return  # another start built it while this one waited
        log.truncate(0)
        if run("building the studio's page", [program(venv, "python"), page.__file__], log) == 0:
            return
        said = Path(log.name).read_text("utf-8", errors="replace")
        print(*said.splitlines()[-12:], sep="\n", file=sys.stderr)
    if not page.is_built():
        raise SetupError(f"the studio's page could not be built; the whole log: {venv / LOG}")
    print("launch.py: the page could not be built anew; the one that was there is opened", file=sys.stderr)


def studio_builder() -> Any:
    """studio/build.py as a module."""
    specification = importlib.util.spec_from_file_location("studio_build", ROOT / "studio" / "build.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def torch_requirement(constraints: str, pip_arguments: list[str]) -> list[str]:
    """On Linux the ordinary torch brings gigabytes of CUDA, so without an NVIDIA GPU ask for the CPU build by name.

    Arguments for pip that speak of torch (an index of its builds, a version) have decided already.
    """
    pinned = re.search(r"^torch==\S+", constraints, re.MULTILINE)
    decided = sys.platform != "linux" or any(map(os.path.exists, NVIDIA)) or any("torch" in a for a in pip_arguments)
    return [] if pinned is None or decided else [pinned[0] + "+cpu"]


def unknown_build(log: str, torch: list[str]) -> bool:
    """Whether pip failed because none of its indexes has the build of torch that it was asked for."""
    errors = [line for line in log.splitlines() if "ERROR:" in line]
    return not NO_NETWORK.search(log) and any(build in line for build in torch for line in errors)


def diagnose(log: str) -> str:
    """What the output of a pip that failed comes to."""
    if NO_NETWORK.search(log):
        return "pip cannot reach its package index (is there a network?)"
    if any("ERROR: No matching distribution found for torch" in line for line in log.splitlines()):
        return "pip finds no torch for this Python: docs/install.md says how to choose a build"
    return "pip failed"


def run(title: str, command: list[str], log: IO[bytes]) -> int:
    """Run `command` with its output in `log` and one line with the elapsed time on the terminal; its exit status."""
    began, again = time.monotonic(), f"\r{title} ..." if sys.stderr.isatty() else ""
    print(f"{title} ...", end="", file=sys.stderr, flush=True)
    environment = {**start_environment(), "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            if again:
                print(f"{again} {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
    print(f"{again} {time.monotonic() - began:.0f} s", file=sys.stderr)
    return process.returncode


def start_environment() -> dict[str, str]:
    """The user's environment, with UTF-8 everywhere and an allocator that keeps memory; what is set already stays."""
    return {"PYTHONUTF8": "1", **(GLIBC_KEEPS_MEMORY if sys.platform == "linux" else {}), **os.environ}


def program(venv: Path, name: str) -> str:
    return str(venv / "Scripts" / (name + ".exe") if os.name == "nt" else venv / "bin" / name)


def become(command: list[str]) -> NoReturn:
    """Replace this process by `command`; Windows cannot, so there its exit status is passed on."""
    if os.name == "posix":
        os.execve(command[0], command, start_environment())
    sys.exit(subprocess.call(command, env=start_environment()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
