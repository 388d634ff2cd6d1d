"""The process: reads its station, enlists, works, and ends when it is told to or nobody is left to tell it.

It listens before it imports torch, which takes seconds: one that is not wanted any more shall not live so long.
"""

import importlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Buried, Limits
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.station import Station

if TYPE_CHECKING:
    from fromnoise.jobs.worker.worker import Worker

DRAIN = "drain"
GONE, TAKEN = 4, 5  # exit statuses: whoever started it is gone; it was declared dead


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches everybody; ours is told by `drain`
    station = Station.from_json(sys.stdin.readline())
    with suppress(AttributeError, OSError):  # Windows has no such thing
        os.nice(station.nice)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=listen, args=(stop,), daemon=True).start()
    worker = prepared(sys.argv[1], station)
    for task in (obey, pulse):
        threading.Thread(target=task, args=(worker, stop), daemon=True).start()
    try:
        worker.run()
    except Buried as error:
        die(TAKEN, str(error))


def prepared(identity: str, station: Station) -> "Worker":
    """A worker that is enlisted."""
    from fromnoise.engine.memory import place
    from fromnoise.jobs.traces import Traces
    from fromnoise.jobs.worker.easel import Easel
    from fromnoise.jobs.worker.extensions import are_examined
    from fromnoise.jobs.worker.kept import Kept
    from fromnoise.jobs.worker.pulse import told
    from fromnoise.jobs.worker.worker import Worker

    for module in station.plugins:
        importlib.import_module(module)
    placement = place(station.device, station.dtype)
    limits = Limits(deaths=station.deaths)
    leases = Leases(Database.open(station.database), limits, station.lease, station.patience)
    easel = Easel(
        placement, station.settings, Kept(station.kept), station.max_batch, station.memory,
        0.0 if are_examined() else station.preview_every,  # what is to be examined is not shown before
        traces=Traces(station.traces) if station.traces and not are_examined() else None,
    )  # fmt: skip
    leases.enlist(identity, str(placement.device), told(placement) | places(station))
    return Worker(identity, leases, station, easel)


def places(station: Station) -> dict[str, object]:
    """Where it works, for programs of the same machine; clients are not told."""
    shelves = [str(tree.absolute()) for tree in station.settings.models]
    return {"outputs": str(station.outputs.absolute()), "shelves": shelves}


def listen(stop: threading.Event) -> None:
    """Wait for the word to stop; the end of the input means that nobody is left."""
    for line in sys.stdin:
        if line.strip() == DRAIN:
            stop.set()
    die(GONE, "whoever started it is gone")


def obey(worker: "Worker", stop: threading.Event) -> None:
    """Stop the worker when the word has come, however early it came."""
    stop.wait()
    worker.stop()


def pulse(worker: "Worker", _stop: threading.Event) -> None:
    """Renew the lease while the loop is at something long, and tell how the worker is."""
    from fromnoise.jobs.worker.pulse import told

    while True:
        time.sleep(worker.leases.lease / 4)
        try:
            worker.leases.beat(worker.id, told(worker.easel.placement, worker.easel) | places(worker.station))
        except Buried as error:
            die(TAKEN, str(error))
        except Exception as error:  # the database may come back before the lease runs out
            print(f"fromnoise worker: {error}", file=sys.stderr, flush=True)


def die(status: int, why: str) -> None:
    """End the process at once, whatever its threads are at."""
    print(f"fromnoise worker: {why}", file=sys.stderr, flush=True)
    os._exit(status)


if __name__ == "__main__":
    main()
