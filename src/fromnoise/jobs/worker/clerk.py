"""The process of a `Clerk`: reads questions as lines of JSON, and answers each with one."""

import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fromnoise.errors import FileError, FromnoiseError
from fromnoise.jobs.clerk import LONGEST_TEXT, MOST_TEXTS

IDLE = 120.0  # seconds without a question after which it ends

Answer = Mapping[str, Any]
ERRANDS: dict[str, Callable[[Mapping[str, Any]], Answer]] = {}


def errand(run: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Mapping[str, Any]], Answer]:
    ERRANDS[run.__name__] = run
    return run


@errand
def read(body: Mapping[str, Any]) -> Answer:
    """The recipe in a picture, and the texts that are written in it."""
    from dataclasses import asdict

    from fromnoise.engine.losses import Losses
    from fromnoise.engine.metadata.carrier import read_texts
    from fromnoise.engine.metadata.read import read_any

    path = Path(str(body["path"]))
    texts = {str(k)[:200]: str(v)[:LONGEST_TEXT] for k, v in list(read_texts(path).items())[:MOST_TEXTS]}
    lost = Losses.of(path)
    losses = None if lost is None else asdict(lost)
    try:
        found = read_any(path)
    except FileError as error:
        words = str(error).removeprefix(f"{path}: ")
        return {"source": None, "recipe": None, "not_understood": {}, "warnings": [words], "texts": texts,
                "losses": losses}  # fmt: skip
    return {
        "source": found.source, "recipe": found.recipe.model_dump(mode="json", exclude_none=True),
        "not_understood": dict(found.not_understood), "warnings": list(found.warnings), "texts": texts,
        "losses": losses,
    }  # fmt: skip


@errand
def read_text(body: Mapping[str, Any]) -> Answer:
    """The recipe in a text that was copied from another tool."""
    from fromnoise.engine.metadata.infotext_read import read_infotext

    found = read_infotext(str(body["text"])[:LONGEST_TEXT])
    return {
        "source": found.source, "recipe": found.recipe.model_dump(mode="json", exclude_none=True),
        "not_understood": dict(found.not_understood), "warnings": list(found.warnings),
    }  # fmt: skip


@errand
def thumbnail(body: Mapping[str, Any]) -> Answer:
    """The small picture of a large one, kept by its hash."""
    from fromnoise.jobs.thumbnails import thumbnail as kept

    return {"path": str(kept(Path(str(body["folder"])), str(body["sha256"]), Path(str(body["path"]))))}


@errand
def plan(body: Mapping[str, Any]) -> Answer:
    """The recipes that a script makes of one, with their labels."""
    from fromnoise.jobs.worker.sheets import planned

    return planned(body)


@errand
def route(body: Mapping[str, Any]) -> Answer:
    """What an extension answers a call."""
    from fromnoise.jobs.worker.routes import answered

    found = answered(body)
    if "fault" in found:
        print(f"fromnoise: the extension at {body['route']}: {found['fault']}", file=sys.stderr, flush=True)
    return found


def answer(line: str) -> Answer:
    """The answer, or why there is none."""
    question = json.loads(line)
    try:
        return ERRANDS[question["task"]](question["body"])
    except FromnoiseError as error:
        return {"error": str(error), "file": isinstance(error, FileError)}
    except Exception as error:
        print(f"fromnoise clerk: {question['task']}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return {"error": "that file could not be read", "file": True}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches everybody
    warnings.simplefilter("ignore")
    asked = [time.monotonic()]

    def watch() -> None:
        while time.monotonic() - asked[0] < IDLE:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        asked[0] = time.monotonic() + 10 * IDLE  # while it is at it
        print(json.dumps(answer(line)), file=out, flush=True)
        asked[0] = time.monotonic()


if __name__ == "__main__":
    main()
