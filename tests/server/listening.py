"""Servers that listen on loopback, and how long tests wait for what a machine that is busy does late."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvicorn

PATIENCE = 180.0  # seconds
Found = TypeVar("Found")


def waited(ask: Callable[[], Found], every: float = 0.02) -> Found:
    """What it answers, once that is something."""
    end = time.monotonic() + PATIENCE
    while not (found := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(every)
    return found


@contextmanager
def listening(config: uvicorn.Config) -> Iterator[int]:
    """The port of a server in a thread. It has its socket from the beginning: nothing else can take its port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            waited(lambda: server.started or not thread.is_alive())
            assert server.started
            yield int(taken.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
