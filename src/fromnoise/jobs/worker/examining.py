"""The machine examined as a job: `fromnoise doctor` on the worker's device, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from fromnoise.errors import FromnoiseError
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.tasks import Desk, Task, task

LOOK = 0.5  # seconds
LONGEST = 900.0


@task("doctor")
def doctor(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{}`: what the machine is, and how long pictures take on it, as lines of text in English and Chinese."""
    command = [sys.executable, "-m", "fromnoise", "doctor", "--json", "--device", str(desk.placement.device)]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    desk.kept.mkdir(parents=True, exist_ok=True)
    said = desk.kept / "doctor.txt"
    with said.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment)
    try:
        end = time.monotonic() + LONGEST
        while process.poll() is None:
            yield 0, 0
            if time.monotonic() > end:
                raise FromnoiseError("examining the machine took too long; it is very busy")
            time.sleep(LOOK)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise FromnoiseError("examining the machine failed: fromnoise doctor on the command line says why")
    lines = [json.loads(line) for line in said.read_text("utf-8").splitlines() if line.startswith("{")]
    data = {"lines": [line["en"] for line in lines], "lines_zh": [line["zh"] for line in lines]}
    return [Result(media="application/json", data=data)]
