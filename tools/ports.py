"""Ports for servers that are processes of their own."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Below those that a system gives to whoever calls out: none is taken between this and the server's start."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 200):
        with suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("there is no free port from 20000 to 31999")
