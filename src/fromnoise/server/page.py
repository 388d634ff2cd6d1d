"""The studio: files that were built into `static/`, and for every other address its one page."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
HASHED = "assets/"  # file names that hold a hash of the content
FOR_EVER = "public, max-age=31536000, immutable"
MEDIA = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
    ".woff2": "font/woff2",
}
NOT_THE_PAGE = ("api/", "sdapi/", "internal/", "v1/", HASHED)
WITHOUT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>fromnoise</title>
<p>The server is running. The studio was not built into this installation; the interfaces under /api/v1, /sdapi/v1 and
/v1 work.</p>
<p lang="zh-CN">服务器正在运行。此安装未包含网页界面；/api/v1、/sdapi/v1 和 /v1 接口可用。</p></html>
"""


def is_built(static: Path = STATIC) -> bool:
    """Whether there is a page at all: a checkout has none until python launch.py builds it."""
    return (static / "index.html").is_file()


def add_to(app: FastAPI, static: Path = STATIC) -> None:
    """Serve the page at `/` and at every address that no route has."""
    unknown = app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        found = page(static, scope) if scope["type"] == "http" else None
        await (found or unknown)(scope, receive, send)

    app.router.default = default


def page(static: Path, scope: Scope) -> Response | None:
    """The answer to a call; None where it is none for a page."""
    path = str(scope["path"]).lstrip("/")
    if scope["method"] not in ("GET", "HEAD"):
        return None
    root = static.resolve()
    if path and "\0" not in path:
        try:
            file = (root / path).resolve()
            found = file.is_relative_to(root) and file.is_file()
        except OSError:  # a name that is too long
            return None
        if found:
            kept = FOR_EVER if path.startswith(HASHED) else "no-cache"
            return FileResponse(file, media_type=MEDIA.get(file.suffix), headers={"Cache-Control": kept})
    if path.startswith(NOT_THE_PAGE):
        return None
    if not is_built(root):
        return HTMLResponse(WITHOUT) if not path else None
    return FileResponse(root / "index.html", media_type="text/html", headers={"Cache-Control": "no-cache"})
