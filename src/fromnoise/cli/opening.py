"""Opening the studio in a browser, once it answers."""

import json
import threading
import time
import urllib.error
import urllib.request
import webbrowser

PATIENCE = 60.0  # seconds until nobody waits for the server any more
LOOK_EVERY = 0.2


def reachable(host: str) -> str:
    """What a browser on this machine calls a server that listens at `host`.

    >>> reachable("0.0.0.0"), reachable("::1"), reachable("studio.lan")
    ('127.0.0.1', '[::1]', 'studio.lan')
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def answers(address: str) -> bool:
    """Whether a server of ours is at that address; one that wants to know who asks counts as well."""
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=2) as answer:
            return bool(json.load(answer) == {"status": "ok"})
    except (OSError, ValueError):
        return False


def show(address: str) -> None:
    """In the person's browser; a machine without one is no failure."""
    webbrowser.open(address)


def show_when_ready(address: str, patience: float = PATIENCE) -> threading.Thread:
    """Show it as soon as the server answers; a thread does the waiting."""

    def wait() -> None:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if answers(address):
                show(address)
                return
            time.sleep(LOOK_EVERY)

    thread = threading.Thread(target=wait, name="opens the browser", daemon=True)
    thread.start()
    return thread
