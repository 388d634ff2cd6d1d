"""What a JPEG or a lossy WebP lost of its picture: the same losses done to another, so that the two can be compared.

A JPEG tells its quantisation tables. A WebP does not tell its quality; the one whose file is as long is the one, for
what other encoders do besides is as good as the same.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

Kind = Literal["JPEG", "WebP"]
TABLE, MOST_TABLES, MOST_STEP = 64, 4, 65535  # numbers of a quantisation table, tables of a file, the largest number
FULL = 0  # chroma in full resolution, as Pillow counts
BEST = 100  # quality of WebP
LOSSY_DATA = b"VP8 "
BLOCK = 16  # pixels of a side: what a lossy file spreads an error over
CLEARLY = 4.0  # times the largest squared error of a block by compression: more is another picture there


@dataclass(frozen=True)
class Losses:
    """How a file was compressed."""

    kind: Kind
    tables: tuple[tuple[int, ...], ...] = ()  # of a JPEG: 64 numbers each
    sampling: int = FULL  # of its chroma, as Pillow counts
    size: int = 0  # bytes of a WebP's picture

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Of a picture's file; None where it loses nothing."""
        with Image.open(path) as picture:
            if isinstance(picture, JpegImagePlugin.JpegImageFile):
                sampling = JpegImagePlugin.get_sampling(picture)
                tables = tuple(tuple(table) for _, table in sorted(picture.quantization.items()))
                return cls("JPEG", tables, sampling if sampling >= 0 else FULL)
            if picture.format != "WEBP":
                return None
        size = lossy_size(path.read_bytes())
        return cls("WebP", size=size) if size else None

    @classmethod
    def told(cls, table: dict[str, Any]) -> Self:
        """From JSON, as `dataclasses.asdict` makes it."""
        return cls(**{**table, "tables": tuple(tuple(one) for one in table.get("tables", ()))})

    def done_to(self, image: Image.Image) -> Image.Image:
        """The picture after the same losses."""
        image = image.convert("RGB")
        if self.kind == "JPEG":
            tables = {number: list(table) for number, table in enumerate(self.tables)}
            return decoded(encoded(image, "JPEG", qtables=tables, subsampling=self.sampling))
        low, high = 0, BEST
        while low < high:  # the lowest quality whose file is as long
            middle = (low + high) // 2
            if lossy_size(encoded(image, "WEBP", quality=middle)) < self.size:
                low = middle + 1
            else:
                high = middle
        return decoded(encoded(image, "WEBP", quality=low))


def encoded(image: Image.Image, form: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def lossy_size(data: bytes) -> int:
    """Bytes of the lossy picture in a WebP file (RFC 9649); 0 where there is none."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == LOSSY_DATA:
            return length
        at += 8 + length + length % 2
    return 0


def psnr(one: NDArray[np.float64], other: NDArray[np.float64], span: float = 255) -> float:
    """Peak signal-to-noise ratio in dB of pictures whose numbers span so much; infinite where they are the same."""
    error = float(np.mean((one - other) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(span**2 / error))


def beyond(stored: NDArray[np.float64], made: NDArray[np.float64], lossy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(h w) where `stored` is farther from `made` than the worst block of `lossy`, which is `made` after losses."""
    usual = float(block_errors(lossy, made).max())
    found = block_errors(stored, made) > CLEARLY * max(usual, 1.0)
    rows, columns = stored.shape[:2]
    return np.kron(found, np.ones((BLOCK, BLOCK), dtype=bool))[:rows, :columns]


def block_errors(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference of each block of pictures (h w 3)."""
    square = ((one - other) ** 2).mean(axis=2)
    rows, columns = (-(-side // BLOCK) for side in square.shape)
    padded = np.pad(square, ((0, rows * BLOCK - square.shape[0]), (0, columns * BLOCK - square.shape[1])), "edge")
    found: NDArray[np.float64] = padded.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3))
    return found
