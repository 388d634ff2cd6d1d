"""Orders that only this machine's owner can give: signed with a key that lies in the folder of data.

Who can write to the database of a service, perhaps from another machine, can ask for pictures; what runs commands with
any file of this machine is asked for by who can read the key. Needs no torch.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "command.key"


def key_in(data: Path) -> bytes:
    """The key in a folder of data, which is made where there is none; only its owner can read it."""
    path = data / KEY
    try:
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(secrets.token_hex(32).encode())
    except FileExistsError:
        pass
    return path.read_bytes()


def signature(order: Mapping[str, Any], key: bytes) -> str:
    """Of an order's JSON, whatever the order of its names."""
    text = json.dumps(order, sort_keys=True, ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_signed(body: Mapping[str, Any], key: bytes) -> bool:
    """Whether the `signature` of a body is that of all else in it."""
    order = {name: value for name, value in body.items() if name != "signature"}
    return hmac.compare_digest(signature(order, key), str(body.get("signature")))
