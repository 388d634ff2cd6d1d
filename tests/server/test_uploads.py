"""Pictures of strangers: what is none is refused, what is one is decoded elsewhere and kept as clean pixels."""

import base64
import hashlib
import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from fromnoise.server import decode, decoder, uploads
from fromnoise.server.decoder import Decoder
from fromnoise.server.errors import ApiError


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def kept(data: bytes, folder: Path) -> Image.Image:
    upload = uploads.keep(data, folder)
    path = uploads.find(upload.sha256, folder)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == upload.sha256
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (upload.width, upload.height))
        return image


def gradient(mode: str, size: tuple[int, int] = (9, 5)) -> Image.Image:
    image = Image.new("RGB", size)
    image.putdata([(x * 20, x * 7 % 256, 255 - x) for x in range(size[0] * size[1])])
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_the_pixels_stay(mode: str, tmp_path: Path) -> None:
    image = gradient(mode)
    found = kept(saved(image), tmp_path)
    assert found.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()
    assert found.mode in decode.MODES


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"quality": 30}, {"lossless": True}, {"exact": True, "progressive": True}])
def test_other_formats_are_read(form: str, options: dict[str, Any], tmp_path: Path) -> None:
    data = saved(gradient("RGB"), form, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert kept(data, tmp_path).tobytes() == image.convert("RGB").tobytes()
        assert uploads.size_of(data) == image.size


def test_webp_of_every_kind_is_measured() -> None:
    for image in (gradient("RGB"), gradient("RGBA")):
        for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}):
            assert uploads.size_of(saved(image, "WEBP", **options)) == (9, 5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = kept(saved(gradient("RGB"), exif=exif), tmp_path)
    assert found.size == ((9, 5) if orientation < 5 else (5, 9))
    assert not found.getexif()


def test_nothing_but_pixels_is_kept(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a secret prompt")
    data = saved(gradient("RGB"), pnginfo=texts, icc_profile=b"profile") + b"<script>alert(1)</script>PK\3\4"
    path = uploads.find(uploads.keep(data, tmp_path).sha256, tmp_path)
    assert b"secret" not in path.read_bytes()
    assert b"script" not in path.read_bytes()
    assert set(kept(data, tmp_path).info) == set()


def test_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for form in ("PNG", "WEBP"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
        assert kept(data, tmp_path).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_the_same_picture_is_kept_once_and_found_by_what_was_sent(tmp_path: Path) -> None:
    data = saved(gradient("RGB"), "WEBP", lossless=True)
    first, second = uploads.keep(data, tmp_path), uploads.keep(data, tmp_path)
    assert first == second
    assert uploads.find(hashlib.sha256(data).hexdigest(), tmp_path) == uploads.find(first.sha256, tmp_path)
    assert len(list(tmp_path.rglob("*.png"))) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_holes_are_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 4), (9, 9, 9, 255))
    image.putpixel((1, 2), (0, 0, 0, 0))
    path = uploads.find(uploads.keep_hole(saved(image), tmp_path).sha256, tmp_path)
    with Image.open(path) as mask:
        assert (mask.mode, mask.getpixel((1, 2)), mask.getpixel((0, 0))) == ("L", 255, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes, data: bytes | None = None) -> bytes:
    body = zlib.compress(bytes((width + 1) * height)) if data is None else data
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return uploads.PNG + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "tiff": b"II*\0" + bytes(100),
    "a signature": uploads.PNG,
    "half a header": uploads.PNG + b"\0\0\0\rIHDR\0\0",
    "a bomb": png_of(40_000, 40_000, data=zlib.compress(b"\0" * 1000)),
    "a thin bomb": png_of(1, 1_000_000_000, data=b""),
    "no width": png_of(0, 8, data=b""),
    "the largest": png_of(2**32 - 1, 2**32 - 1, data=b""),
    "too little data": png_of(64, 64, data=zlib.compress(bytes(10))),
    "not compressed": png_of(8, 8, data=b"not zlib"),
    "a bomb of text": png_of(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))),
    "JPEG without end": b"\xff\xd8\xff\xe0" + b"\xff\xff" + bytes(70_000),
    "JPEG of nothing": b"\xff\xd8\xff\xd9",
    "JPEG header alone": b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01",
    "WebP of lies": b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff",
    "short WebP": b"RIFF\x04\0\0\0WEBP",
    "WebP without picture": b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x07\0\0\x07\0\0" + bytes(8),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ApiError) as refused:
        uploads.keep(HOSTILE[name], tmp_path)
    assert refused.value.status in (413, 422)
    assert str(tmp_path) not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_many_texts_and_a_polyglot_are_harmless(tmp_path: Path) -> None:
    texts = [chunk(b"tEXt", b"key%d\0value" % i) for i in range(10_000)]
    assert kept(png_of(8, 8, *texts), tmp_path).info == {}
    assert len(uploads.texts(png_of(8, 8, *texts), tmp_path)) == 10_000


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    with pytest.raises(ApiError) as refused:
        uploads.keep(saved(gradient("RGB", (90, 90))), tmp_path)
    assert refused.value.status == 413


def test_a_process_that_hangs_or_dies_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decoder, "TOGETHER", 1)
    ours = Decoder()
    picture, large = tmp_path / "a", tmp_path / "b"
    picture.write_bytes(saved(gradient("RGB")))
    large.write_bytes(saved(gradient("RGB", (3000, 3000)), compress_level=0))
    assert ours.decode(picture, tmp_path, "picture")["width"] == 9
    child = ours.idle.get()
    assert child is not None
    child.process.kill()
    child.process.wait()
    ours.idle.put(child)
    assert ours.decode(picture, tmp_path, "picture")["width"] == 9
    monkeypatch.setattr(ours, "patience", 0.0)
    began = time.monotonic()
    with pytest.raises(ApiError, match="more memory or time"):
        ours.decode(large, tmp_path, "picture")
    assert time.monotonic() - began < 20
    monkeypatch.setattr(ours, "patience", 30.0)
    assert ours.decode(picture, tmp_path, "picture")["width"] == 9
    ours.close()


def test_texts_are_read_elsewhere(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("parameters", "a cat 猫\nSteps: 2")
    assert uploads.texts(saved(gradient("RGB"), pnginfo=texts), tmp_path) == {"parameters": "a cat 猫\nSteps: 2"}


@pytest.mark.parametrize("wrap", ["{}", "data:image/png;base64,{}", "  {}\n", "DATA:image/png;base64,{}"])
def test_base64_as_clients_write_it(wrap: str) -> None:
    assert uploads.from_base64(wrap.format(base64.b64encode(b"picture").decode())) == b"picture"


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1/x.png", "HTTPS://localhost/x", "file:///etc/passwd", "gopher://x", "ftp://x/y", "%%%", "abc!def",
     "/etc/passwd", "data:image/png;base64,http://x"],
)  # fmt: skip
def test_addresses_and_junk_are_no_base64(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        uploads.from_base64(text)
    assert refused.value.status == 422
