"""Print the schema of all HTTP interfaces: `python -m fromnoise.server.openapi > openapi.json`.

With `--native` only what is under `/api/v1`, which the studio's types are made from.
"""

import json
import sys
from typing import Any

from fastapi import FastAPI

from fromnoise import __version__
from fromnoise.server import errors, native
from fromnoise.server.parts import add_routes


def native_schema() -> dict[str, Any]:
    """Of our own interface alone."""
    app = FastAPI(title="fromnoise", version=__version__)
    errors.add_to(app)
    add_routes(app, native.ROUTERS)
    return app.openapi()


def schema() -> dict[str, Any]:
    """Of all interfaces."""
    from fromnoise.server.app import with_routes

    return with_routes().openapi()


if __name__ == "__main__":
    found = native_schema() if "--native" in sys.argv[1:] else schema()
    print(json.dumps(found, ensure_ascii=False, indent=1))
