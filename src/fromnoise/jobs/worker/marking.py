"""What an operator adds to finished pictures: a mark that is not seen, and a signed note of where they come from.

    marked(image, "studio.lan")     the text in the pixels; it stands JPEG, but neither resizing nor cropping
    read_mark(image)                the text, or None
    sign(path, certificate, key)    C2PA's manifest: made by an algorithm, with the operator's signature

The mark is quantisation index modulation (Chen and Wornell 2001) of one coefficient of the brightness of each block of
8x8 pixels; every bit is in many blocks, shuffled, and read from all of them.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn

from fromnoise import __version__
from fromnoise.errors import UserError
from fromnoise.jobs.options import LONGEST_MARK

LONGEST = LONGEST_MARK  # bytes of a mark's text
BITS = 8 * (LONGEST + 2)  # with a checksum
LEAST = 2 * BITS  # blocks
BLOCK, PLACE = 8, (1, 2)  # pixels; the coefficient
STEP = 30.0  # of its lattice: a pixel changes by at most 4 of 255
HEADROOM = 4
BRIGHTNESS = np.array([0.299, 0.587, 0.114])
SHUFFLE = 20_260_101
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
Blocks = NDArray[np.float64]


def marked(image: Image.Image, text: str) -> Image.Image:
    """An RGB picture with the text in it. UserError where either does not fit."""
    bits = spread(to_bits(text), count_of(image))
    pixels = np.clip(np.asarray(image.convert("RGB"), np.float64), HEADROOM, 255 - HEADROOM)
    inner = pixels[: image.height // BLOCK * BLOCK, : image.width // BLOCK * BLOCK]
    blocks = blocks_of(inner @ BRIGHTNESS)
    found = dctn(blocks, axes=(1, 2), norm="ortho")
    value = found[:, *PLACE]
    changes = np.zeros_like(found)
    changes[:, *PLACE] = STEP * (np.round(value / STEP - bits / 2) + bits / 2) - value
    whole = joined(idctn(changes, axes=(1, 2), norm="ortho"), inner.shape[0], inner.shape[1])
    inner += whole[..., None]
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def read_mark(image: Image.Image) -> str | None:
    """The text that `marked` put in; None where there is none that can be read."""
    if image.width // BLOCK * (image.height // BLOCK) < LEAST:
        return None
    pixels = np.asarray(image.convert("RGB"), np.float64)
    blocks = blocks_of((pixels @ BRIGHTNESS)[: image.height // BLOCK * BLOCK, : image.width // BLOCK * BLOCK])
    value = dctn(blocks, axes=(1, 2), norm="ortho")[:, *PLACE]
    votes = np.zeros(BITS)
    np.add.at(votes, order(len(value)), np.cos(2 * np.pi * value / STEP))
    data = np.packbits(votes < 0).tobytes()
    if checksum(data[:LONGEST]) != data[LONGEST:]:
        return None
    return data[:LONGEST].rstrip(b"\0").decode("utf-8", "replace") or None


def to_bits(text: str) -> NDArray[np.uint8]:
    data = text.encode()
    if not data or len(data) > LONGEST or b"\0" in data:
        raise UserError(f"the watermark {text!r} is too long: {LONGEST} bytes of UTF-8 fit")
    data = data.ljust(LONGEST, b"\0")
    return np.unpackbits(np.frombuffer(data + checksum(data), np.uint8))


def checksum(data: bytes) -> bytes:
    return (zlib.crc32(data) & 0xFFFF).to_bytes(2, "big")


def count_of(image: Image.Image) -> int:
    """Blocks of a picture. UserError where they are too few."""
    count = image.width // BLOCK * (image.height // BLOCK)
    if count < LEAST:
        raise UserError(f"a picture of {image.width}x{image.height} is too small for the operator's watermark: 128x128")
    return count


def order(count: int) -> NDArray[np.intp]:
    """Which bit each block has."""
    return np.random.default_rng(SHUFFLE).permutation(count) % BITS


def spread(bits: NDArray[np.uint8], count: int) -> Blocks:
    return bits[order(count)].astype(np.float64)


def blocks_of(plane: Blocks) -> Blocks:
    """(h, w) -> (h/8 w/8, 8, 8)."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    return plane.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)


def joined(blocks: Blocks, height: int, width: int) -> Blocks:
    rows, columns = height // BLOCK, width // BLOCK
    return blocks.reshape(rows, columns, BLOCK, BLOCK).swapaxes(1, 2).reshape(height, width)


@dataclass(frozen=True)
class Marks:
    """What an operator wants on every picture that leaves."""

    watermark: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def on(self, image: Image.Image) -> Image.Image:
        """The picture with the watermark, if there is one. UserError where it does not fit."""
        return marked(image, self.watermark) if self.watermark else image

    def sign(self, path: Path) -> None:
        """Sign a file, if there is a certificate. UserError where that can't be."""
        if self.certificate is not None and self.key is not None:
            sign(path, self.certificate, self.key)


def sign(path: Path, certificate: Path, key: Path) -> None:
    """Give a PNG a manifest of C2PA that says that it was made by a model. UserError where that can't be."""
    try:
        import c2pa
    except ImportError as error:
        raise UserError("C2PA needs c2pa-python: pip install fromnoise[c2pa]") from error
    manifest = {
        "claim_generator_info": [{"name": "fromnoise", "version": __version__}], "title": path.name,
        "format": "image/png",
        "assertions": [{"label": "c2pa.actions", "data": {
            "actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]}}],
    }  # fmt: skip
    part = path.with_name(f".{path.name}.signed.part")
    try:
        chain, secret = certificate.read_bytes(), key.read_bytes()
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=secret, ta_url=None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder.from_json(manifest) as builder:
            builder.sign_file(str(path), str(part), signer)
        part.replace(path)
    except OSError as error:
        raise UserError(f"C2PA: {error.filename or part.name} can't be read or written ({error.strerror})") from error
    except c2pa.C2paError as error:
        raise UserError(f"C2PA: the certificate or its key can't sign ({error}); both are PEM, of ES256") from error
    finally:
        part.unlink(missing_ok=True)
