"""Lines for operators: what happens, each with its fields, as text or JSON on stderr. No secret is a field.

FROMNOISE_LOG=json   {"time": 1714.2, "part": "worker", "event": "done", "job": "018f...", "seconds": 2.1}
FROMNOISE_LOG=text   12:00:01 worker done job=018f... seconds=2.1
"""

import json
import os
import sys
import time

Value = str | int | float | bool | None


def log(part: str, event: str, **fields: Value) -> None:
    """Write a line, if FROMNOISE_LOG asks for lines."""
    form = os.environ.get("FROMNOISE_LOG", "")
    told = {name: value for name, value in fields.items() if value is not None}
    if form == "json":
        line = json.dumps({"time": round(time.time(), 3), "part": part, "event": event, **told}, ensure_ascii=False)
    elif form == "text":
        words = [f"{name}={' '.join(str(value).split())}" for name, value in told.items()]
        line = " ".join([time.strftime("%H:%M:%S"), part, event, *words])
    else:
        return
    print(line, file=sys.stderr, flush=True)
