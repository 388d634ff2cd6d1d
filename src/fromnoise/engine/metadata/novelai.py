"""NovelAI: `Comment` is JSON of the settings, `Description` the prompt; both may hide in the alpha channel instead.

Hidden text (also Forge's): the lowest bits of alpha, column after column, hold `stealth_pngcomp` or `stealth_pnginfo`,
the length in bits as 32-bit big-endian, and the text, gzipped in the first case.
"""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fromnoise.engine.images import open_image
from fromnoise.engine.metadata.carrier import MAX_TEXT, PARAMETERS_KEY
from fromnoise.engine.metadata.draft import Draft, Imported, json_object

SOURCE = "NovelAI"
COMMENT, DESCRIPTION, SOFTWARE, MODEL = "Comment", "Description", "Software", "Source"
PLAIN = {"steps": "steps", "scale": "guidance_scale", "seed": "seed"}
SAMPLERS = {"ddim_v3": "ddim", "nai_smea": "euler_ancestral", "nai_smea_dyn": "euler_ancestral"}
SCHEDULES: Mapping[str, str | None] = {"native": "normal"}
SILENT = {
    "prompt", "uc", "width", "height", "sampler", "noise_schedule", "strength", "signed_hash", "version", "n_samples",
    "request_type", "hide_debug_overlay",
}  # fmt: skip
BRACE, BRACKET = 1.05, 1 / 1.05  # what {words} and [words] weigh

COMPRESSED, PLAIN_TEXT = b"stealth_pngcomp", b"stealth_pnginfo"


def fits(texts: Mapping[str, str]) -> bool:
    comment = texts.get(COMMENT, "").lstrip()
    return comment.startswith("{") and (SOURCE in texts.get(SOFTWARE, "") or '"uc"' in comment)


def read(texts: Mapping[str, str]) -> Imported:
    """The recipe; FileError where its JSON is broken."""
    data, draft = json_object(texts[COMMENT], COMMENT), Draft()
    draft.profile("a1111")
    draft.set("prompt", weighted(prompt_of(data, "v4_prompt", "prompt") or texts.get(DESCRIPTION, "")), "prompt")
    draft.set("negative", weighted(prompt_of(data, "v4_negative_prompt", "uc")), "uc")
    for key, field in PLAIN.items():
        if data.get(key) is not None:
            draft.set(field, data[key], key)
    if isinstance(data.get("width"), int) and isinstance(data.get("height"), int):
        draft.sides(data["width"], data["height"], "size")
    if isinstance(data.get("sampler"), str):
        draft.sampler(data["sampler"], "sampler", SAMPLERS)
    if isinstance(data.get("noise_schedule"), str):
        draft.schedule(data["noise_schedule"], "noise_schedule", SCHEDULES)
    if data.get("request_type") == "Img2ImgRequest" and data.get("strength") is not None:
        draft.strength(data["strength"], "strength")
    if MODEL in texts:
        draft.keep(MODEL, texts[MODEL])
        draft.warn("NovelAI's models are not public: choose one of yours with --model")
    for key, value in data.items():
        if key not in SILENT | PLAIN.keys() and value not in (None, [], "", 0, False):
            draft.keep(key, value)
    return draft.build(SOURCE)


def prompt_of(data: Mapping[str, Any], caption: str, plain: str) -> str:
    """Version 4 has a caption for the whole and one for each character."""
    try:
        whole = data[caption]["caption"]
        parts = [whole["base_caption"], *(c["char_caption"] for c in whole.get("char_captions") or [])]
    except (KeyError, TypeError, AttributeError):
        parts = [data.get(plain) or ""]
    return ", ".join(part for part in parts if isinstance(part, str) and part)


def weighted(prompt: str) -> str:
    """NovelAI's {stronger} and [weaker] in the language of this program.

    >>> weighted("{{a}}, [b] (c)")
    '((a:1.05):1.05), (b:0.952381) \\\\(c\\\\)'
    """
    closing = {"{": "}", "[": "]"}
    weights = {"}": BRACE, "]": BRACKET}
    text: list[str] = []
    opened: list[str] = []
    for piece in re.findall(r"[{}\[\]()]|[^{}\[\]()]+", prompt):
        if piece in closing:
            opened.append(closing[piece])
            text.append("(")
        elif opened and piece == opened[-1]:
            text.append(f":{weights[opened.pop()]:.6g})")
        elif piece in ("(", ")"):
            text.append("\\" + piece)
        elif piece not in weights:
            text.append(piece)
    text += [f":{weights[bracket]:.6g})" for bracket in reversed(opened)]  # open to the end
    return "".join(text)


def hidden_texts(path: Path) -> dict[str, str]:
    """Texts in the alpha channel; empty where there are none, or where they are broken."""
    image = open_image(path)
    if image.mode != "RGBA":
        return {}
    alpha = np.asarray(image.getchannel("A")).T  # column after column
    head = np.packbits(first_bits(alpha, 8 * (len(COMPRESSED) + 4))).tobytes()
    mark, length = head[: len(COMPRESSED)], int.from_bytes(head[len(COMPRESSED) :], "big")
    if mark not in (COMPRESSED, PLAIN_TEXT) or length > 8 * MAX_TEXT:
        return {}
    data = np.packbits(first_bits(alpha, 8 * len(head) + length)[8 * len(head) :]).tobytes()
    text = unzipped(data) if mark == COMPRESSED else data.decode("utf-8", "replace")
    if not text.startswith("{"):
        return {PARAMETERS_KEY: text}
    found = json_object(text, "hidden text")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def first_bits(alpha: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The lowest bits of the first `count` pixels of `alpha` (columns, rows)."""
    columns = -(-count // max(1, alpha.shape[1]))
    return alpha[:columns].reshape(-1)[:count] & np.uint8(1)


def unzipped(data: bytes) -> str:
    """gzip, MAX_TEXT bytes of it at most: more would be a bomb."""
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, MAX_TEXT).decode("utf-8", "replace")
    except zlib.error:
        return ""
