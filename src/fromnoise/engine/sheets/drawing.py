"""Pictures side by side on one labelled sheet."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from fromnoise.engine.sheets.fonts import Font, font_for, unreadable
from fromnoise.engine.sheets.grids import Grid
from fromnoise.errors import UserError

BACKGROUND, INK = "white", "black"
PADDING = 6  # pixels about a label
MAX_PIXELS = 400_000_000
MAX_LABEL_LINES = 4
LONGEST_LABEL = 400  # characters
ROW_LABELS_SHARE = 0.75  # of a picture's width


def draw_sheet(
    images: Sequence[Image.Image],
    columns: Sequence[str],
    rows: Sequence[str] = ("",),
    *,
    title: str = "",
    margin: int = 0,
    font: Path | None = None,
) -> Image.Image:
    """A sheet of `images`, row by row, with labels above the columns and beside the rows.

    Pictures of different sizes stand in the middle of equal cells. `margin` is the white between cells in pixels.
    Labels that the system has a font for are drawn in any script: `missing_characters` tells what has none.
    UserError where the sheet would be too large.
    """
    assert len(images) == len(columns) * len(rows)
    width, height = max(i.width for i in images), max(i.height for i in images)
    face = font_for("".join((*columns, *rows, title)), font_size(width), font)
    left = round(width * ROW_LABELS_SHARE) if any(rows) else 0
    heads = [wrapped(label, face, width - 2 * PADDING) for label in columns]
    sides = [wrapped(label, face, left - 2 * PADDING) for label in rows]
    head, line = block_height(heads, face), line_height(face)
    top = (line + 2 * PADDING if title else 0) + head
    size = left + len(columns) * (width + margin) - margin, top + len(rows) * (height + margin) - margin
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(f"a sheet of {size[0]}x{size[1]} pixels is too large; draw fewer or smaller pictures")
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw_label(draw, wrapped(title, face, size[0] - 2 * PADDING)[:1], face, (size[0] / 2, line / 2 + PADDING))
    for i, label in enumerate(heads):
        draw_label(draw, label, face, (left + i * (width + margin) + width / 2, top - head / 2))
    for i, label in enumerate(sides):
        draw_label(draw, label, face, (left / 2, top + i * (height + margin) + height / 2))
    for place, image in enumerate(images):
        row, column = divmod(place, len(columns))
        x = left + column * (width + margin) + (width - image.width) // 2
        y = top + row * (height + margin) + (height - image.height) // 2
        sheet.paste(image.convert("RGB"), (x, y))
    return sheet


def draw_grid(grid: Grid, images: Sequence[Image.Image], *, margin: int = 0, font: Path | None = None) -> Image.Image:
    """The sheet of a grid whose pictures are in the order of its cells; layers stand side by side."""
    size = len(grid.columns) * len(grid.rows)
    layers = [
        draw_sheet(images[i * size : (i + 1) * size], grid.columns, grid.rows, title=label, margin=margin, font=font)
        for i, label in enumerate(grid.layers)
    ]
    return layers[0] if len(layers) == 1 else draw_sheet(layers, [""] * len(layers), margin=4 * PADDING)


def missing_characters(labels: Iterable[str], font: Path | None = None) -> str:
    """The characters that no font found here can draw."""
    text = "".join(labels)
    return unreadable(text, font_for(text, 16, font))


def font_size(width: int) -> int:
    """Pixels, for cells of `width`."""
    return max(11, min(40, width // 18))


def wrapped(label: str, font: Font, width: float) -> list[str]:
    """Lines no longer than `width` pixels: broken between words, and within words that are longer, as Chinese is."""
    lines, line = [], ""
    for piece in pieces(label[:LONGEST_LABEL]):
        if line and font.getlength(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    lines.append(line.rstrip())
    return (
        lines if len(lines) <= MAX_LABEL_LINES else [*lines[: MAX_LABEL_LINES - 1], lines[MAX_LABEL_LINES - 1] + " …"]
    )


def pieces(text: str) -> list[str]:
    """What a line may be broken after: words with the blanks behind them, cut into dozens; single letters of scripts
    without blanks."""
    found: list[str] = []
    for letter in text.replace("\n", " "):
        joined = found and found[-1][-1].isascii() and found[-1][-1] != " " and letter.isascii() and len(found[-1]) < 12
        if joined or (letter == " " and found):
            found[-1] += letter
        else:
            found.append(letter)
    return found


def line_height(font: Font) -> int:
    box = font.getbbox("Ág图")
    return round((box[3] - box[1]) * 1.25)


def block_height(labels: Sequence[Sequence[str]], font: Font) -> int:
    """Of the tallest of some wrapped labels; 0 where all are empty."""
    lines = max((len(label) for label in labels if any(label)), default=0)
    return lines * line_height(font) + 2 * PADDING if lines else 0


def draw_label(draw: ImageDraw.ImageDraw, lines: Sequence[str], font: Font, centre: tuple[float, float]) -> None:
    """Centred lines."""
    height = line_height(font)
    for i, line in enumerate(lines):
        y = centre[1] + (i - (len(lines) - 1) / 2) * height
        draw.text((centre[0], y), line, INK, font, anchor="mm")
