"""A command that a worker has started: it ends with the worker, and stops when it is told to.

With FROMNOISE_LEASH in its environment it listens at its standard input. The line `stop` is Ctrl-C; the end of the
input means that nobody is left who wants it.
"""

import os
import signal
import sys
import threading

LEASH = "FROMNOISE_LEASH"
STOP = "stop"
GONE = 4  # exit status


def held() -> bool:
    """Whether a worker waits for this command; from now on it is listened to."""
    if not os.environ.get(LEASH):
        return False
    if not any(thread.name == LEASH for thread in threading.enumerate()):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a server in the background may ignore Ctrl-C
        threading.Thread(target=listen, name=LEASH, daemon=True).start()
    return True


def listen() -> None:
    for line in sys.stdin:
        if line.strip() == STOP:
            signal.raise_signal(signal.SIGINT)
    os._exit(GONE)
