"""What an operator adds to pictures: a mark that survives JPEG, a signature that others read, and what can't be."""

import datetime
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.memory import place
from fromnoise.engine.picture_io import save_png
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Work
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.options import Options
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker import extensions
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.extensions import Check, Replaced
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.marking import marked, read_mark, sign
from fromnoise.jobs.worker.worker import Worker
from fromnoise.registry import Registry
from fromnoise.settings import Settings


def picture(side: int = 256) -> Image.Image:
    """Smooth, with noise and a white part."""
    random = np.random.default_rng(1)
    slope = np.linspace(0, 255, side)[None, :, None] + np.linspace(-60, 60, side)[:, None, None]
    pixels = np.clip(slope + random.normal(0, 12, (side, side, 3)), 0, 255)
    pixels[: side // 3] = 255
    return Image.fromarray(pixels.astype(np.uint8))


def again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("text", ["studio.lan", "画室", "x" * 14])
def test_a_mark_is_read_also_from_a_jpeg(text: str) -> None:
    plain = picture()
    found = marked(plain, text)
    assert read_mark(found) == text
    assert read_mark(again(found, 85)) == text
    assert abs(np.asarray(found, int) - np.asarray(plain, int)).max() <= 8


def test_what_has_no_mark_has_none() -> None:
    assert read_mark(picture()) is None
    assert read_mark(Image.new("RGB", (32, 32))) is None
    assert read_mark(marked(picture(), "studio").resize((200, 200))) is None


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match="14 bytes"):
        marked(picture(), "much too long for it")
    with pytest.raises(UserError, match="too small"):
        marked(Image.new("RGB", (64, 64)), "studio")


def certificates(folder: Path) -> tuple[Path, Path]:
    """Of an authority of our own, as PEM: the chain and the key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )

    now = datetime.datetime.now(datetime.UTC)
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def made(subject: str, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        uses = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        uses |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
        builder = (
            x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("root"))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.KeyUsage(**uses), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )  # fmt: skip
        if not authority:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(root, hashes.SHA256())

    pem = serialization.Encoding.PEM
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(
        made("operator", own, authority=False).public_bytes(pem) + made("root", root, authority=True).public_bytes(pem)
    )
    plain = serialization.NoEncryption()
    key.write_bytes(own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return chain, key


def test_a_signed_picture_is_valid_and_keeps_its_texts(tmp_path: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    path = tmp_path / "apple.png"
    save_png(picture(64), path, {"parameters": "a red apple"})
    sign(path, *certificates(tmp_path))
    with c2pa.Reader(str(path)) as reader:
        told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    assert told["validation_state"] == "Valid"
    assert manifest["signature_info"]["common_name"] == "operator"
    assert "trainedAlgorithmicMedia" in json.dumps(manifest["assertions"])
    with Image.open(path) as image:
        assert image.info["parameters"] == "a red apple"
        assert np.array_equal(np.asarray(image), np.asarray(picture(64)))
    assert [one.name for one in tmp_path.glob(".*")] == []

    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 40] ^= 1
    (tmp_path / "changed.png").write_bytes(data)
    with c2pa.Reader(str(tmp_path / "changed.png")) as reader:
        assert json.loads(reader.json())["validation_state"] == "Invalid"


def test_what_can_not_sign_is_said_and_leaves_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    path, broken = tmp_path / "apple.png", tmp_path / "broken.pem"
    save_png(picture(64), path, {})
    before = path.read_bytes()
    broken.write_text("no certificate")
    with pytest.raises(UserError, match="can't sign"):
        sign(path, broken, broken)
    with pytest.raises(UserError, match="can't be read"):
        sign(path, tmp_path / "gone.pem", broken)
    assert path.read_bytes() == before


def test_a_worker_replaces_marks_and_signs_what_it_makes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa")
    checks: Registry[Check] = Registry("check")
    checks.add("grey", lambda image, recipe: Replaced(Image.new("RGB", image.size, "gray"), "it is too colourful"))
    monkeypatch.setattr(extensions, "CHECKS", checks)
    chain, key = certificates(tmp_path)
    station = Station(
        "", tmp_path / "outputs", tmp_path / "kept", watermark="studio.lan", certificate=chain, key=key,
        settings=Settings(any_path=False),
    )  # fmt: skip
    assert Station.from_json(station.to_json()) == station
    leases, queue = Leases(database), Queue(database)
    leases.enlist("w", "cpu")
    worker = Worker("w", leases, station, Easel(place("cpu", "float32"), station.settings, Kept(station.kept)))
    (job,) = queue.submit([Work.picture(Recipe.make(prompt="a red apple", seed=1, steps=1, width=128, height=128))])
    while not queue.get(job.id).is_finished:
        worker.turn()
    assert queue.get(job.id).state == "done", queue.get(job.id).error
    (result,) = queue.results(job.id)
    path = station.outputs / str(result.path)
    assert result.data["replaced"] == ["it is too colourful"]
    with Image.open(path) as image:
        assert read_mark(image) == "studio.lan"
        assert abs(np.asarray(image, int) - 128).max() <= 8
        assert "Seed: 1" in image.info["parameters"]
    assert_marked_and_signed(path)
    reference = {"path": str(path), "sha256": str(result.sha256)}
    upscaled = {"picture": reference, "settings": {"upscaler": "Lanczos", "scale": 1.5}}
    turn = Recipe.make(prompt="a red apple", steps=1, width=128, height=128).model_dump(mode="json", exclude_none=True)
    more = [
        Work("upscale", upscaled),
        Work("sheet", {"images": [reference, reference]}),
        Work("loopback", {"cells": [turn]}),
    ]
    jobs = queue.submit(more)
    while not all(queue.get(one.id).is_finished for one in jobs):
        worker.turn()
    for one in jobs:
        assert queue.get(one.id).state == "done", queue.get(one.id).error
        for made in queue.results(one.id):
            assert_marked_and_signed(station.outputs / str(made.path))
    with Image.open(station.outputs / str(queue.results(jobs[-1].id)[-1].path)) as image:
        assert abs(np.asarray(image, int) - 128).max() <= 8  # it was examined, too


def assert_marked_and_signed(path: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    with Image.open(path) as image:
        assert read_mark(image) == "studio.lan"
    with c2pa.Reader(str(path)) as reader:
        assert json.loads(reader.json())["validation_state"] == "Valid"


def test_the_setting_counts_bytes() -> None:
    assert Options(watermark="画室.lan").watermark == "画室.lan"
    with pytest.raises(ValueError, match="15 bytes of UTF-8 are too long: 14 fit"):
        Options(watermark="画室画室画")
