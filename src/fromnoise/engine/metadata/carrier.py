"""Text in picture files: PNG chunks, EXIF of JPEG and WebP, JPEG comments. Read with bounds, written atomically."""

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from fromnoise.engine.picture_io import open_image, save_png, write_whole
from fromnoise.errors import FileError

MAX_TEXT = 2_000_000  # characters of one text
JSON_KEY, PARAMETERS_KEY, GRAPH_KEY, SOFTWARE_KEY = "fromnoise", "parameters", "prompt", "Software"
POSTPROCESSING_KEY = "postprocessing"  # what AUTOMATIC1111 did with the picture when it was finished
USER_COMMENT, MAKER_NOTE, SCHEME = "UserComment", "MakerNote", "fooocus_scheme"

EXIF_IFD, TAG_USER_COMMENT, TAG_MAKER_NOTE = 0x8769, 0x9286, 0x927C
TAG_MAKE, TAG_MODEL, TAG_SOFTWARE = 0x010F, 0x0110, 0x0131
UNICODE = b"UNICODE\0"  # EXIF 2.3, table 9: codes of UserComment
OWN_MARK = b"fromnoise\0"

JPEG_COMMENT, JPEG_SCAN, JPEG_START = 0xFE, 0xDA, b"\xff\xd8"
MAX_SEGMENT = 65_500  # bytes in a JPEG segment, of 65533
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def read_texts(path: Path) -> dict[str, str]:
    """Every text in a picture by its key: PNG keywords, `UserComment`, `MakerNote`, and ours as `fromnoise`.

    Texts longer than MAX_TEXT are left out. FileError where there is no picture.
    """
    image = open_image(path)
    found = {key: decoded(value) for key, value in image.info.items() if isinstance(key, str) and key not in BINARY}
    found |= exif_texts(image)
    if comments := jpeg_comments(path):
        own = b"".join(part.removeprefix(OWN_MARK) for part in comments if part.startswith(OWN_MARK))
        found |= {JSON_KEY: decoded(own)} if own else {}
    return {key: text for key, text in found.items() if text and len(text) <= MAX_TEXT}


BINARY = {"exif", "icc_profile", "xmp", "photoshop", "mpinfo"}


def decoded(value: object) -> str:
    """Text of any encoding; empty for what is no text."""
    if isinstance(value, str):
        return str(value)  # Pillow's own subclass carries a language
    if isinstance(value, bytes) and len(value) <= 4 * MAX_TEXT:
        return value.decode("utf-8", "replace").rstrip("\0")
    return ""


def exif_texts(image: Image.Image) -> dict[str, str]:
    """UserComment and MakerNote, and what ComfyUI hides in Make and Model ("prompt:...", "workflow:...")."""
    try:
        tags = image.getexif()
        inner = {**tags, **tags.get_ifd(EXIF_IFD)}
    except Exception:  # Pillow raises many kinds of errors on broken EXIF, and the picture is fine without it
        return {}
    found = {USER_COMMENT: user_comment(inner.get(TAG_USER_COMMENT)), SOFTWARE_KEY: decoded(inner.get(TAG_SOFTWARE))}
    note = inner.get(TAG_MAKER_NOTE)
    if isinstance(note, bytes) and note.startswith(OWN_MARK):
        found[JSON_KEY] = decoded(note.removeprefix(OWN_MARK))
    else:
        found[MAKER_NOTE] = decoded(note)
    for tag in (TAG_MODEL, TAG_MAKE):
        key, colon, rest = decoded(inner.get(tag)).partition(":")
        if colon and key.lower() in (GRAPH_KEY, "workflow"):
            found[key.lower()] = rest
    return {key: text for key, text in found.items() if text}


def user_comment(value: object) -> str:
    """EXIF UserComment: eight bytes name the code. UTF-16 is written in either order; the zeros of ASCII tell which."""
    if isinstance(value, str) or not isinstance(value, bytes):
        return decoded(value)
    code, rest = value[:8], value[8 : 8 + 4 * MAX_TEXT]
    if code == UNICODE:
        little = rest[1::2].count(0) > rest[0::2].count(0)
        return rest.decode("utf-16-le" if little else "utf-16-be", "replace").rstrip("\0")
    return decoded(rest if code in (b"ASCII\0\0\0", bytes(8)) else value)


def save_picture(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
    """Write a PNG, JPEG or lossless WebP whole or not at all, with `texts`; the suffix says which.

    PNG carries every text. JPEG and WebP carry ours, and AUTOMATIC1111's as UserComment where it fits; WebP ComfyUI's
    graph too. FileError for other suffixes.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        save_png(image, path, texts)
    elif suffix in (".jpg", ".jpeg"):
        write_whole(path, as_jpeg(image.convert("RGB"), texts))
    elif suffix == ".webp":
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True, exact=True, exif=exif(texts, own=True, graph=True))
        write_whole(path, buffer.getvalue())
    else:
        raise FileError(f"{path}: pictures are written as {', '.join(SUFFIXES)}; choose one of these endings")


def exif(texts: Mapping[str, str], *, own: bool, graph: bool) -> Image.Exif:
    """EXIF tags for `texts`: UserComment as AUTOMATIC1111 writes it, Model as ComfyUI does, MakerNote for ours."""
    tags = Image.Exif()
    inner = tags.get_ifd(EXIF_IFD)
    if PARAMETERS_KEY in texts:
        inner[TAG_USER_COMMENT] = UNICODE + texts[PARAMETERS_KEY].encode("utf-16-be")
    if own and JSON_KEY in texts:
        inner[TAG_MAKER_NOTE] = OWN_MARK + texts[JSON_KEY].encode()
    if graph and GRAPH_KEY in texts:
        tags[TAG_MODEL] = f"{GRAPH_KEY}:{texts[GRAPH_KEY]}"
    if SOFTWARE_KEY in texts:
        tags[TAG_SOFTWARE] = texts[SOFTWARE_KEY]
    return tags


def as_jpeg(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """A JPEG file. EXIF ends at 64 KiB, so that ours goes into as many comment segments as it takes."""
    tags = exif(texts, own=False, graph=False)
    if len(tags.tobytes()) > MAX_SEGMENT:
        tags = exif({SOFTWARE_KEY: texts.get(SOFTWARE_KEY, "")}, own=False, graph=False)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0, exif=tags)
    own = texts.get(JSON_KEY, "").encode()
    size = MAX_SEGMENT - len(OWN_MARK)
    parts = [OWN_MARK + own[start : start + size] for start in range(0, len(own), size)]
    segments = [b"\xff\xfe" + (len(part) + 2).to_bytes(2, "big") + part for part in parts]
    data = buffer.getvalue()
    end = 2
    while 0xE0 <= data[end + 1] <= 0xEF:  # JFIF and EXIF come first
        end += 2 + int.from_bytes(data[end + 2 : end + 4], "big")
    return b"".join([data[:end], *segments, data[end:]])


def jpeg_comments(path: Path) -> list[bytes]:
    """The comment segments of a JPEG file before its pixels, in order; none for other files."""
    comments: list[bytes] = []
    with path.open("rb") as file:
        if file.read(2) != JPEG_START:
            return comments
        total = 0
        while total <= 4 * MAX_TEXT:
            head = file.read(4)
            length = int.from_bytes(head[2:], "big") - 2
            if len(head) < 4 or head[0] != 0xFF or head[1] == JPEG_SCAN or length < 0:
                break
            content = file.read(length)
            total += length
            if head[1] == JPEG_COMMENT:
                comments.append(content)
    return comments
