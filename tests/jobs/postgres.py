"""A PostgreSQL of the tests' own: an empty cluster in a folder, on a socket there, gone afterwards."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),)  # where Debian keeps it


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs; the test is skipped where it is not installed."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, PLACES), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"PostgreSQL is not installed: there is no {name}")
    return found


def as_somebody(folder: Path) -> list[str]:
    """PostgreSQL does not run as root: what to put before its commands."""
    if os.name == "nt" or os.getuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups"]


@contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database."""
    pytest.importorskip("psycopg")
    initdb, postgres = program("initdb"), program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="fromnoise-pg-"))
    try:
        before, data = as_somebody(folder), folder / "data"
        command = [*before, initdb, "-D", str(data), "-U", "fromnoise", "--auth=trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True)
        options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
        with subprocess.Popen([*before, postgres, "-D", str(data), *options], stderr=subprocess.DEVNULL) as server:
            try:
                url = f"postgresql://fromnoise@/postgres?host={folder}"
                wait_until_it_answers(url)
                yield url
            finally:
                server.send_signal(signal.SIGINT)  # does not wait for those who are connected
                server.wait(180)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_answers(url: str) -> None:
    import psycopg

    end = time.monotonic() + 180
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def another(url: str) -> str:
    """The URL of a new database of the same cluster."""
    import psycopg

    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return url.replace("/postgres?", f"/{name}?")
