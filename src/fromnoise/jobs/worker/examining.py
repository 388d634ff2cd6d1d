"""The machine examined as a job: `fromnoise doctor` on the worker's device, in a process of its own."""

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
    """`{"language": "zh"}`: what the machine is, and how long pictures take on it, as lines of text."""
    language = "zh" if body.get("language") == "zh" else "en"
    command = [sys.executable, "-m", "fromnoise", "doctor", "--device", str(desk.placement.device)]
    environment = {**os.environ, "FROMNOISE_LANG": language, "PYTHONUTF8": "1"}
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
    lines = said.read_text("utf-8").splitlines()
    return [Result(media="application/json", data={"lines": [line.rstrip() for line in lines if line.strip()]})]
