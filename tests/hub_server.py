"""A hub on this machine: the part of huggingface.co's protocol that fetching models needs."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".ckpt", ".bin", ".gguf")
FIRST, SECOND = "a" * 40, "b" * 40  # commits


@dataclass
class Repo:
    """What a repository holds at each of its revisions."""

    files: dict[str, bytes]
    card: dict[str, object] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    commit: str = FIRST
    older: dict[str, bytes] | None = None  # at the commit SECOND, tagged "old"
    gated: bool = False
    break_after: int | None = None  # bytes of a file after which the connection is cut, once for each file
    lies: bool = False  # sends other bytes than it says

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision in ("main", self.commit):
            return self.commit, self.files
        return (SECOND, self.older) if revision in ("old", SECOND) and self.older is not None else None


@dataclass
class Hub:
    """A running server: its repositories, and what it was asked."""

    repos: dict[str, Repo]
    address: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    cut: set[str] = field(default_factory=set)

    def sent(self, name: str) -> list[str | None]:
        """The ranges in which a file was fetched."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(name)]


def checksum(name: str, content: bytes) -> str:
    """As the hub's ETag: SHA-256 of large files, git's SHA-1 of small ones."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sibling(name: str, content: bytes) -> dict[str, object]:
    told: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": checksum("", content)}
    if name.endswith(LARGE):
        told["lfs"] = {"sha256": checksum(name, content), "size": len(content), "pointerSize": 134}
    return told


@contextmanager
def running(repos: dict[str, Repo]) -> Iterator[Hub]:
    """A hub that serves `repos`."""
    hub = Hub(repos)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range")))
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                self.tell(found[1], found[2] or "main")
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self.send_file(found[1], found[2], found[3], body)
            else:
                self.fail(404, "EntryNotFound")

        def repo(self, name: str) -> Repo | None:
            repo = hub.repos.get(name)
            if repo is None:
                self.fail(401, "RepoNotFound")
            elif repo.gated and self.headers.get("Authorization") != "Bearer mine":
                self.fail(403, "GatedRepo")
                return None
            return repo

        def tell(self, name: str, revision: str) -> None:
            if (repo := self.repo(name)) is None:
                return
            if (found := repo.at(revision)) is None:
                self.fail(404, "RevisionNotFound")
                return
            commit, files = found
            siblings = [sibling(file, content) for file, content in files.items()]
            told = {"id": name, "modelId": name, "sha": commit, "private": False, "tags": list(repo.tags)}
            content = json.dumps({**told, "cardData": repo.card, "siblings": siblings}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def send_file(self, name: str, revision: str, file: str, body: bool) -> None:
            if (repo := self.repo(name)) is None:
                return
            found = repo.at(revision)
            if found is None or file not in found[1]:
                self.fail(404, "EntryNotFound" if found else "RevisionNotFound")
                return
            content, etag = found[1][file], checksum(file, found[1][file])
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0]) if self.headers.get("Range") else 0
            sent = bytes(255 - byte for byte in content[start:]) if repo.lies else content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(sent)))
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", found[0])
            self.end_headers()
            if body and repo.break_after is not None and file not in hub.cut:
                hub.cut.add(file)
                self.wfile.write(sent[: repo.break_after])
                self.wfile.flush()
                self.connection.close()
                self.close_connection = True
            elif body:
                self.wfile.write(sent)

        def fail(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
