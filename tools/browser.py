"""A real server with the built-in model, and Debian's chromium: for tests of the page and for pictures of it."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tools.ports import free_port

SOURCES = Path(__file__).resolve().parents[1] / "src"
THREADS = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
PATIENCE = 900.0  # seconds until a server answers, on a machine that is busy ...
ENDING = 300.0  # ... and until it has ended
NAMES = ("chromium", "chromium-browser", "google-chrome")
ELSEWHERE = "studio.test"  # a name of this machine that the browser takes for another one's


class NoBrowser(RuntimeError):
    """There is no chromium; the message says how to get one."""


def chromium() -> str:
    """Where it is; FROMNOISE_CHROMIUM overrides."""
    found = os.environ.get("FROMNOISE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowser("tests of the page need chromium: apt-get install chromium, or name one in FROMNOISE_CHROMIUM")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless, and killed at the end."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
            ],
        )
        try:
            yield started
        finally:
            started.close()


@dataclass
class Studio:
    """A server in a process of its own, which can be stopped and started again with what it has kept."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()  # of the command that serves
    packages: tuple[Path, ...] = ()  # folders of further packages

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """RuntimeError where it does not answer in time."""
        command = [sys.executable, "-m", "fromnoise", "studio", "--no-browser", "--port", str(self.port),
                   "--outputs", str(self.folder / "outputs"), "--device", "cpu", *self.options]  # fmt: skip
        self.models.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if self.is_ready():
                return
            time.sleep(0.2)
        self.stop(kill=True)
        raise RuntimeError(f"the server did not start:\n{(self.folder / 'server.log').read_text('utf-8')}")

    def environment(self) -> dict[str, str]:
        """In which its commands run: with what it keeps, and nothing of ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FROMNOISE_")}
        path = os.pathsep.join(map(str, (SOURCES, *self.packages)))
        return {**kept, "FROMNOISE_DATA": str(self.folder / "data"), "FROMNOISE_MODELS": str(self.models),
                "FROMNOISE_LANG": "en", "PYTHONPATH": path, **THREADS}  # fmt: skip

    def add_user(self, name: str, password: str, *options: str) -> None:
        command = [sys.executable, "-m", "fromnoise", "users", "add", name, *options]
        subprocess.run(command, cwd=self.folder, env=self.environment(), input=f"{password}\n", text=True, check=True)

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def is_ready(self) -> bool:
        """With a worker."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=30) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    def stop(self, *, kill: bool = False) -> None:
        """As Ctrl-C would, or at once."""
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextmanager
def studio(folder: Path) -> Iterator[Studio]:
    """A server that runs, with its files below `folder`."""
    found = Studio(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()
