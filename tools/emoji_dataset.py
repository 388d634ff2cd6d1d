"""Build a data set of emoji pictures in five drawing styles, with English and Chinese labels.

    python tools/emoji_dataset.py --out DIR [--size 128] [--objects FILE] [--all] [--sheet FILE.png]

Writes DIR/images.npy, uint8 (N, size, size, 4), straight (un-premultiplied) RGBA, and DIR/index.json, whose pictures[i]
describes images[i], the chosen objects first. Needs the npm command.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Json = dict[str, Any]
Drawing = str | bytes  # SVG text or the content of a WebP file
Task = tuple[str, Drawing, int]  # name for messages, drawing, size in pixels
Labels = dict[str, dict[str, str]]  # hexcode -> {"en": name, "zh": name}

RESAMPLE = Image.Resampling.LANCZOS
STYLES = ("noto", "twemoji", "flat", "fluent", "3d")
MIN_STYLES = 3  # an object drawn in fewer styles is left out
FILL = 0.84  # longest side of the drawing, as a share of the canvas
HELD_OUT_SHARE = 0.05  # share of (object, style) pairs never trained on
ALPHA_FLOOR = 12  # alpha, of 255, below which a pixel does not count for the framing
DEFAULT_OBJECTS = Path(__file__).with_name("emoji_objects.txt")
FLAT_PACKAGE = "@iconify-json/fluent-emoji-flat"
ICONIFY_PACKAGES = {"noto": "@iconify-json/noto", "twemoji": "@iconify-json/twemoji", "flat": FLAT_PACKAGE,
                    "fluent": "@iconify-json/fluent-emoji"}  # fmt: skip
WEBP_PACKAGE = "@lobehub/fluent-emoji-3d"
LABEL_PACKAGE = "emojibase-data"
MICROSOFT = "Microsoft Corporation (Fluent Emoji)"
SOURCE_KEYS = ("package", "version", "licence", "url", "credit")
SOURCES: tuple[tuple[str, str, str, str, str], ...] = (
    ("@iconify-json/noto", "1.2.9", "Apache-2.0", "https://github.com/googlefonts/noto-emoji", "Google Inc (Noto)"),
    ("@iconify-json/twemoji", "1.2.5", "CC-BY-4.0", "https://github.com/jdecked/twemoji", "Twitter, Inc (Twemoji)"),
    (FLAT_PACKAGE, "1.2.6", "MIT", "https://github.com/microsoft/fluentui-emoji", MICROSOFT),
    ("@iconify-json/fluent-emoji", "1.2.7", "MIT", "https://github.com/microsoft/fluentui-emoji", MICROSOFT),
    (WEBP_PACKAGE, "1.1.0", "MIT", "https://github.com/lobehub/fluent-emoji", f"{MICROSOFT}; packaged by LobeHub"),
    (LABEL_PACKAGE, "17.0.0", "MIT", "https://github.com/milesj/emojibase", "Miles Johnson (Emojibase)"),
)
KEPT_SYMBOLS = {"26A0", "2622", "2623", "267B", "1F531", "269C"}  # pictorial signs kept from the 'symbols' group
LEFT_OUT = {"1F4AF", "1F4A4", "1F5EF", "1F441-200D-1F5E8", "1F471", "1F46A", "1F310"}  # signs, blond hair, family
CLOCKS = range(0x1F550, 0x1F568)
TONES_AND_HAIR = {f"{c:X}" for c in [*range(0x1F3FB, 0x1F400), *range(0x1F9B0, 0x1F9B4)]}
NEUTRAL = {"1F466": "1F9D2", "1F467": "1F9D2", "1F468": "1F9D1", "1F469": "1F9D1", "1F474": "1F9D3", "1F475": "1F9D3",
           "1F385": "1F9D1-200D-1F384", "1F936": "1F9D1-200D-1F384", "1F934": "1FAC5", "1F478": "1FAC5",
           "1F930": "1FAC4", "1FAC3": "1FAC4"}  # fmt: skip
XML_NAMES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


class DatasetError(Exception):
    """Bad input: the message is shown as one line and the exit code is 2."""


@dataclass
class Emoji:
    """One object with its labels and its drawings by style."""

    hexcode: str
    group: str
    subgroup: str
    label: dict[str, str]
    tags: dict[str, list[str]]
    chosen: bool = False
    drawings: dict[str, Drawing] = field(default_factory=dict)


def normal_hexcode(text: str) -> str:
    """Hexcode in upper case, four digits at least for each code point, without the variation selector FE0F."""
    return "-".join(p.upper().zfill(4) for p in text.strip().split("-") if p.upper() != "FE0F")


def fetch_package(name: str, version: str, cache: Path) -> Path:
    """Path of the package's archive in `cache`, downloaded by `npm pack` if it is not there yet."""
    archive = cache / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if not archive.exists():
        command = ["npm", "pack", f"{name}@{version}", "--loglevel=error", "--pack-destination", str(cache)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise DatasetError(f"npm is not installed, and {archive.name} is not in the package cache") from None
        if done.returncode or not archive.exists():
            raise DatasetError(f"npm could not fetch {name}@{version}: {' '.join(done.stderr.split())[:200]}")
    return archive


def read_members(archive: Path, pattern: str) -> dict[str, bytes]:
    """Files of the archive whose path below `package/` matches `pattern` in full."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix("package/")
                stream = tar.extractfile(member) if member.isfile() and re.fullmatch(pattern, name) else None
                if stream is not None:
                    found[name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{archive} is not a readable package ({error}): delete it and run again") from None
    if not found:
        raise DatasetError(f"{archive} has no file {pattern}")
    return found


def read_json(archive: Path, name: str) -> Any:
    """The parsed JSON file `name` of the archive."""
    return json.loads(read_members(archive, re.escape(name))[name])


def iconify_drawings(icons: Json, chars: dict[str, str]) -> dict[str, Drawing]:
    """Hexcode -> drawing of an Iconify icon set; `chars` maps code points to icon names."""
    out: dict[str, Drawing] = {}
    for code, slug in chars.items():
        if icon := icons["icons"].get(slug):
            left, top, width, height = (icon.get(k, icons.get(k, 0)) for k in ("left", "top", "width", "height"))
            box = f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}"'
            out[normal_hexcode(code)] = f"<svg {XML_NAMES} {box}>{icon['body']}</svg>"
    return out


def all_drawings(archives: dict[str, Path]) -> dict[str, dict[str, Drawing]]:
    """Style -> hexcode -> drawing, for every style of STYLES."""
    out: dict[str, dict[str, Drawing]] = {}
    for style, package in ICONIFY_PACKAGES.items():
        chars = read_json(archives[FLAT_PACKAGE if style == "fluent" else package], "chars.json")  # fluent has none
        out[style] = iconify_drawings(read_json(archives[package], "icons.json"), chars)
    files = read_members(archives[WEBP_PACKAGE], r"assets/[0-9a-f-]+\.webp")
    return out | {"3d": {normal_hexcode(Path(name).stem): data for name, data in files.items()}}


def is_wanted(hexcode: str, group: str, subgroup: str, known: set[str]) -> bool:
    """Whether the object belongs in the data set; `known` holds every hexcode there is."""
    parts = hexcode.split("-")
    several_persons = len(re.findall(r"1F46[6-9]|1F9D[12]", hexcode)) > 1
    if group in {"component", "flags"} or subgroup in {"family", "keycap"} or several_persons or hexcode in LEFT_OUT:
        return False
    if (group == "symbols" and hexcode not in KEPT_SYMBOLS) or int(parts[0], 16) in CLOCKS:
        return False
    if TONES_AND_HAIR & set(parts) or parts[-1] == "27A1":  # 27A1: the same person, facing right
        return False
    return neutral_form(hexcode) not in known - {hexcode}


def neutral_form(hexcode: str) -> str:
    """Hexcode of the form of the same object that shows no gender; the hexcode itself if there is no other."""
    plain = re.sub(r"-200D-264[02]", "", hexcode)
    if plain != hexcode or plain in NEUTRAL:
        return NEUTRAL.get(plain, plain)
    return re.sub(r"^1F46[89](?=-)", "1F9D1", plain)


def load_objects(labels: Path) -> list[Emoji]:
    """Every wanted object of emojibase, in its order, without drawings."""
    names = read_json(labels, "meta/groups.json")
    english, chinese = (
        {normal_hexcode(e["hexcode"]): e for e in read_json(labels, f"{lang}/data.json") if "group" in e}
        for lang in ("en", "zh")
    )
    out = []
    for code, entry in sorted(english.items(), key=lambda item: int(item[1]["order"])):
        group, subgroup = names["groups"][str(entry["group"])], names["subgroups"][str(entry["subgroup"])]
        if is_wanted(code, group, subgroup, set(english)):
            both = {"en": entry, "zh": chinese[code]}
            label, tags = ({k: e.get(key, []) for k, e in both.items()} for key in ("label", "tags"))
            out.append(Emoji(code, group, subgroup, label, tags))
    return out


def load(archives: dict[str, Path]) -> list[Emoji]:
    """Every wanted object that is drawn in MIN_STYLES styles or more, with its drawings."""
    try:
        drawings, objects = all_drawings(archives), load_objects(archives[LABEL_PACKAGE])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"a package does not have the expected content: {error!r}") from None
    for emoji in objects:
        emoji.drawings = {s: drawings[s][emoji.hexcode] for s in STYLES if emoji.hexcode in drawings[s]}
    if drawn := [emoji for emoji in objects if len(emoji.drawings) >= MIN_STYLES]:
        return drawn
    raise DatasetError("the packages hold no object that is drawn in enough styles")


def read_list(path: Path) -> Labels:
    """Names by hexcode of a list file: one `hexcode TAB english TAB chinese` a line; # starts a comment."""
    out: Labels = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3 or not all(columns) or not re.fullmatch("[0-9A-Fa-f-]{4,}", columns[0]):
            raise DatasetError(f"{path}, line {number}: not 'hexcode TAB english TAB chinese'")
        code = normal_hexcode(columns[0])
        if code in out:
            raise DatasetError(f"{path}, line {number}: {code} is there twice")
        out[code] = {"en": columns[1], "zh": columns[2]}
    if not out:
        raise DatasetError(f"the object list {path} is empty")
    return out


def choose(objects: list[Emoji], listed: Labels | None) -> list[Emoji]:
    """Objects with the listed ones first, in the list's order and with its labels; all are chosen if it is None."""
    by_code = {emoji.hexcode: emoji for emoji in objects}
    listed = {emoji.hexcode: emoji.label for emoji in objects} if listed is None else listed
    if unknown := [code for code in listed if code not in by_code]:
        raise DatasetError(f"unknown or left-out hexcode in the object list: {', '.join(unknown[:10])}")
    for code, label in listed.items():
        by_code[code].chosen, by_code[code].label = True, label
    return [by_code[code] for code in listed] + [emoji for emoji in objects if not emoji.chosen]


def held_out_style(hexcode: str) -> str | None:
    """The style in which the object is held out, or None; depends on the hexcode and the style names alone."""
    digest, style = min((hashlib.sha256(f"{hexcode}:{style}".encode()).digest(), style) for style in STYLES)
    threshold = 1 - (1 - HELD_OUT_SHARE * len(STYLES)) ** (1 / len(STYLES))  # met by 1 - (1 - t)^5 of the objects
    return style if int.from_bytes(digest[:8], "big") / 2**64 < threshold else None


def frame(picture: Image.Image, size: int) -> Pixels:
    """RGBA picture of any size -> uint8 (size, size, 4), straight alpha.

    The drawing is centred, its longest side FILL of the canvas. Pixels are averaged with alpha as their weight, so that
    no dark fringe appears; the RGB of fully transparent pixels is 0.
    """
    rgba = picture.convert("RGBA")
    box = rgba.getchannel("A").point(lambda a: 255 if a >= ALPHA_FLOOR else 0).getbbox()
    if box is None:
        raise DatasetError("a drawing is empty")
    side = max(box[2] - box[0], box[3] - box[1]) / FILL
    margin = int(np.ceil(side)) + 1
    padded = Image.new("RGBA", (rgba.width + 2 * margin, rgba.height + 2 * margin))
    padded.paste(rgba, (margin, margin))
    left, top = (box[0] + box[2] - side) / 2 + margin, (box[1] + box[3] - side) / 2 + margin
    weighted = padded.convert("RGBa").resize((size, size), RESAMPLE, box=(left, top, left + side, top + side))
    pixels: Pixels = np.array(weighted.convert("RGBA"), dtype=np.uint8)
    pixels[pixels[..., 3] < 2] = 0
    return pixels


def render(task: Task) -> Pixels:
    """One task -> framed uint8 (size, size, 4); SVG is drawn at three times the size first."""
    name, drawing, size = task
    try:
        if isinstance(drawing, str):
            drawing = resvg_py.svg_to_bytes(svg_string=drawing, width=3 * size, height=3 * size, skip_system_fonts=True)
        return frame(Image.open(io.BytesIO(drawing)), size)
    except (DatasetError, ValueError, OSError) as error:
        raise DatasetError(f"cannot draw {name}: {error}") from None


def write_images(tasks: list[Task], path: Path) -> None:
    """Render every task into the array file `path`, uint8 (len(tasks), size, size, 4)."""
    shape = (len(tasks), tasks[0][2], tasks[0][2], 4)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for i, pixels in enumerate(pool.map(render, tasks, chunksize=16)):
            out[i] = pixels


def write_sheet(out: Path, index: Json, path: Path, cell: int = 64, blocks: int = 5) -> None:
    """Contact sheet of the chosen objects in `blocks` blocks: an object a row, a style a column of `cell` pixels."""
    images = np.load(out / "images.npy", mmap_mode="r")
    count, width = sum(o["chosen"] for o in index["objects"]), len(STYLES) * cell + cell // 2
    rows = -(-count // blocks)
    sheet = Image.new("RGB", (blocks * width, rows * cell), (190, 200, 210))
    for pixels, picture in zip(images, index["pictures"], strict=True):
        block, row = divmod(picture["object"], rows)
        if picture["object"] < count:
            small = Image.fromarray(pixels).resize((cell, cell), RESAMPLE)
            sheet.paste(small, (block * width + STYLES.index(picture["style"]) * cell, row * cell), small)
    sheet.save(path, format="PNG")


def build(out: Path, size: int, listed: Labels | None) -> Json:
    """Write DIR/images.npy and DIR/index.json, each complete or not at all, and return the index."""
    (cache := out / "packages").mkdir(parents=True, exist_ok=True)
    objects = choose(load({name: fetch_package(name, version, cache) for name, version, *_ in SOURCES}), listed)
    pairs = [(i, emoji, style) for i, emoji in enumerate(objects) for style in emoji.drawings]
    index: Json = {
        "version": 1,
        "size": size,
        "styles": list(STYLES),
        "sources": [dict(zip(SOURCE_KEYS, source, strict=True)) for source in SOURCES],
        "objects": [{k: v for k, v in vars(emoji).items() if k != "drawings"} for emoji in objects],
        "pictures": [{"object": i, "style": s, "held_out": held_out_style(e.hexcode) == s} for i, e, s in pairs],
    }
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out) as new:
        write_images([(f"{e.hexcode} in {s}", e.drawings[s], size) for _, e, s in pairs], Path(new, "images.npy"))
        Path(new, "index.json").write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
        (out / "index.json").unlink(missing_ok=True)  # so that an old index never stands beside new pictures
        for name in ("images.npy", "index.json"):
            Path(new, name).replace(out / name)
    return index


def summary(index: Json, seconds: float) -> str:
    """One line of counts."""
    objects, pictures = index["objects"], index["pictures"]
    styles = ", ".join(f"{style} {sum(p['style'] == style for p in pictures)}" for style in STYLES)
    chosen = [p for p in pictures if objects[p["object"]]["chosen"]]
    return (
        f"{len(objects)} objects, {len(pictures)} pictures ({styles}); "
        f"chosen: {sum(o['chosen'] for o in objects)} objects, {len(chosen)} pictures; held out: "
        f"{sum(p['held_out'] for p in pictures)}, of the chosen {sum(p['held_out'] for p in chosen)}; {seconds:.0f} s"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 on success, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Build a data set of emoji pictures in five styles.")
    parser.add_argument("--out", type=Path, required=True, help="folder for images.npy, index.json and packages/")
    parser.add_argument("--size", type=int, default=128, help="side of each picture in pixels (16 to 1024)")
    parser.add_argument("--objects", type=Path, default=DEFAULT_OBJECTS, help="list of the chosen objects")
    parser.add_argument("--all", action="store_true", help="choose every object")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet of the chosen objects")
    args, start = parser.parse_args(argv), time.monotonic()
    try:
        if not 16 <= args.size <= 1024:
            raise DatasetError("--size must be from 16 to 1024")
        index = build(args.out, args.size, None if args.all else read_list(args.objects))
        if args.sheet:
            write_sheet(args.out, index, args.sheet)
    except (DatasetError, OSError, UnicodeDecodeError) as error:
        print(f"emoji_dataset: {error}", file=sys.stderr)
        return 2
    print(summary(index, time.monotonic() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
