"""Commands that were typed while a server runs, carried out in their turn: `fromnoise merge ...`, where it was typed.

{"words": ["merge", "a", "b", "--out", "c.safetensors"], "folder": "...", "language": "en", "signature": "..."}

What the command says comes with its events, line by line: `said` of stderr, `out` of stdout, in the end its `status`.
"""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fromnoise.errors import STOPPED, FromnoiseError, UserError
from fromnoise.jobs.job import COMMAND, Result
from fromnoise.jobs.signing import is_signed, key_in
from fromnoise.jobs.worker.held import Child, Line, environment, name_of
from fromnoise.jobs.worker.tasks import Desk, Moment, Skipped, Task, task

MOST_LINES = 10_000
LONGEST = 2000  # characters


@task(COMMAND)
def carry_out(body: Mapping[str, Any], desk: Desk) -> Task:
    """Run it; skipped, it is told of Ctrl-C, and ends as it then does. UserError where it does."""
    if desk.settings.data is None or not is_signed(body, key_in(desk.settings.data)):
        raise UserError("this command was not typed on the machine whose worker took it; --local works there")
    words, folder = [str(word) for word in body["words"]], Path(str(body["folder"]))
    if not folder.is_dir():
        raise UserError("the folder in which this command was typed is gone")
    desk.make_room()
    around = environment(desk, any_path=True, language=str(body["language"]))
    child = Child([sys.executable, "-m", "fromnoise", *words], around, folder)
    moment, count, skipped = Moment(0, 0), 0, False
    try:
        for line in child.lines():
            count += 1
            told = moment_of(line, moment)
            moment = Moment(told.step, told.steps)
            try:
                if count <= MOST_LINES:
                    yield told
            except Skipped:  # the wish stays while the command ends, which a second Ctrl-C would disturb
                if not skipped:
                    child.tell()
                skipped = True
    finally:
        child.stop()
    if child.status == 0:
        return [Result(media="application/json")]
    status = child.status if child.status > 0 else FromnoiseError.exit_code
    yield Moment(moment.step, moment.steps, {"status": float(status)})
    if skipped and status == STOPPED:
        raise Skipped
    why = child.why if child.status > 0 else f"the command was ended by {name_of(-child.status)}"
    raise (UserError if status == UserError.exit_code else FromnoiseError)(why)


def moment_of(line: Line, before: Moment) -> Moment:
    """How far it is, or what it says."""
    found: Any = None
    if line.stream == "out" and line.text.startswith("{"):
        with suppress(ValueError):
            found = json.loads(line.text)
    if isinstance(found, dict) and ("step" in found or "steps" in found):
        return Moment(int(found.get("step", before.step)), int(found.get("steps", before.steps)))
    figures: dict[str, float | str] = {line.stream: line.text[:LONGEST]} if line.text else {}
    return Moment(before.step, before.steps, figures)
