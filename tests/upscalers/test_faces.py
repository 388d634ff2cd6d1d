"""Faces made clear: the geometry, the mixing and the loading, with a stand-in detector and a tiny random network."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fromnoise.engine import face_restoring
from fromnoise.engine.enlarge import DEFAULTS
from fromnoise.engine.face_restoring import check_faces, network_path
from fromnoise.engine.generate import generate
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.postprocess import postprocessed
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_upscale import FaceRestoration, Postprocess
from fromnoise.errors import FileError
from fromnoise.settings import Settings
from fromnoise.upscalers import faces
from fromnoise.upscalers.faces import OUTSIDE, SIDE, TEMPLATE, Points, Restorer, feathered, finder, similarity
from fromnoise.upscalers.network import Network
from fromnoise.upscalers.work import CPU, Work
from tests.engine.models import tiny_model
from tests.upscalers.test_tiles import picture


def placed(scale: float, angle: float, shift: tuple[float, float]) -> Points:
    """A face's points somewhere in a picture."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray(TEMPLATE @ (scale * turn).T + shift)


def standing(*where: Points) -> faces.Find:
    return lambda pixels: list(where)


def same(face: Tensor, weight: float) -> Tensor:
    return face


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.int32)


@pytest.mark.parametrize(("scale", "angle"), [(0.5, 0.0), (0.3, 0.7), (1.4, -2.5)])
def test_a_similarity_is_found_again(scale: float, angle: float) -> None:
    found = similarity(placed(scale, angle, (40, 70)), TEMPLATE)
    assert np.allclose(placed(scale, angle, (40, 70)) @ found[:, :2].T + found[:, 2], TEMPLATE)
    assert np.linalg.det(found[:, :2]) == pytest.approx(1 / scale**2)
    mirrored = TEMPLATE * (-1, 1)
    assert np.linalg.det(similarity(mirrored, TEMPLATE)[:, :2]) > 0


def test_the_network_is_shown_the_face_upright() -> None:
    seen: list[Tensor] = []
    image = picture(700, 640)

    def note(face: Tensor, weight: float) -> Tensor:
        seen.append(face)
        return face

    Restorer(standing(placed(1.0, 0.0, (30, 20))), note)(image, 0.5, 1.0)
    (face,) = seen
    assert face.shape == (1, 3, SIDE, SIDE)
    there = np.asarray(image)[20 : 20 + SIDE, 30 : 30 + SIDE]
    assert np.abs((face[0].permute(1, 2, 0).numpy() + 1) * 127.5 - there).max() < 1.01
    Restorer(standing(placed(1.0, 0.0, (-600, -600))), note)(image, 0.5, 1.0)
    assert np.allclose((seen[1][0, :, 100, 100].numpy() + 1) * 127.5, OUTSIDE)


def test_what_is_drawn_the_same_leaves_the_picture_as_it_is() -> None:
    image = picture(300, 260)
    for angle in (0.0, 0.4):
        made = Restorer(standing(placed(0.4, angle, (60, 30))), same)(image, 0.5, 1.0)
        assert np.abs(levels(made) - levels(image)).mean() < 2
    assert np.array_equal(levels(Restorer(standing(), same)(image, 0.5, 1.0)), levels(image))


def test_faces_fade_into_the_picture_and_are_as_visible_as_asked() -> None:
    image, points = picture(300, 260), placed(0.3, 0.0, (70, 50))

    def white(face: Tensor, weight: float) -> Tensor:
        return torch.ones_like(face)

    made = levels(Restorer(standing(points), white)(image, 0.5, 1.0))
    before = levels(image)
    assert (made[120:130, 140:150] == 255).all()
    assert np.array_equal(made[:, :69], before[:, :69])
    assert np.array_equal(made[:48], before[:48])
    half = levels(Restorer(standing(points), white)(image, 0.5, 0.25))
    assert np.abs(half - (made * 0.25 + before * 0.75)).max() <= 1
    share = feathered()
    assert (share[256, 256], share[60, 60]) == (1, 1)
    assert share[0].max() < 0.02
    assert 0.4 < share[25, 256] < 0.6


def test_several_faces_weights_and_transparency() -> None:
    weights: list[float] = []

    def note(face: Tensor, weight: float) -> Tensor:
        weights.append(weight)
        return -face

    image = picture(200, 120).convert("RGBA")
    image.putalpha(77)
    made = Restorer(standing(placed(0.15, 0, (5, 10)), placed(0.15, 0, (110, 20))), note)(image, 0.8, 1.0)
    assert weights == [0.8, 0.8]
    assert made.getchannel("A").getextrema() == (77, 77)
    assert np.abs(levels(made) - levels(image))[:, 100:110].max() == 0


class Tiny(nn.Module):
    """Answers as the real ones do: a picture and what lay between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.options: dict[str, object] = {}

    def forward(self, x: Tensor, **options: object) -> tuple[Tensor, None]:
        self.options = options
        return self.conv(x).tanh(), None


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GFPGAN", {"randomize_noise": False}), ("CodeFormer", {"weight": 0.7}), ("RestoreFormer", {})],
)
def test_each_network_is_run_as_its_authors_do(
    kind: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Tiny()
    network = Network(kind, module.requires_grad_(False), module, 1)
    monkeypatch.setattr(faces, "foreign", lambda state, path: network)
    torch.save({"x": torch.ones(1)}, tmp_path / "face.pth")
    draw = faces.drawer(tmp_path / "face.pth", Work(CPU))
    face = torch.rand(1, 3, SIDE, SIDE)
    assert torch.equal(draw(face, 0.7), module.conv(face).tanh())
    assert module.options == options
    faces.loaded.cache_clear()


def test_files_of_other_kinds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("SwinIR", Tiny(), Tiny(), 4)
    monkeypatch.setattr(faces, "foreign", lambda state, path: network)
    torch.save({"x": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(FileError, match="holds a network of the kind SwinIR, which restores no faces"):
        faces.drawer(tmp_path / "a.pth", Work(CPU))
    torch.save({"position_emb": torch.ones(1), "quantize.embedding.weight": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(FileError, match="needs the package spandrel_extra_arches: pip install"):
        faces.drawer(tmp_path / "b.pth", Work(CPU))
    (tmp_path / "yunet.onnx").write_bytes(b"nothing")
    with pytest.raises(FileError, match="not a face detector that OpenCV can read"):
        finder(tmp_path / "yunet.onnx")(np.zeros((40, 50, 3), np.uint8))


def test_what_the_detector_says_is_taken_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """YuNet's rows: a box, five points from the eye at the left on, a score."""
    row = np.concatenate(([1, 2, 3, 4], np.arange(10) + 10, [0.9])).astype(np.float32)
    sizes: list[tuple[int, int]] = []

    class Detector:
        def detect(self, image: np.ndarray) -> tuple[int, np.ndarray]:
            sizes.append((image.shape[1], image.shape[0]))
            return 1, row[None]

    real = faces.opencv()
    create = SimpleNamespace(create=lambda path, config, size, score: Detector())
    fake: Any = SimpleNamespace(FaceDetectorYN=create, resize=real.resize, error=real.error)
    monkeypatch.setattr(faces, "opencv", lambda: fake)
    (points,) = finder(Path("yunet.onnx"))(np.zeros((1280, 2560, 3), np.uint8))
    assert sizes == [(1280, 640)]
    assert np.allclose(points, (np.arange(10) + 10).reshape(5, 2) * 2)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    here = Settings(models=(tmp_path,))
    with pytest.raises(
        FileError, match=r"GFPGAN is the file GFPGANv1.4.pth, which is not here: put it into .*facerest"
    ):
        check_faces(FaceRestoration(by="gfpgan"), here)
    (tmp_path / "GFPGAN").mkdir()
    for name in ("GFPGANv1.3.pth", "GFPGANv1.4.pth"):
        torch.save({"x": torch.ones(1)}, tmp_path / "GFPGAN" / name)
    assert network_path(FaceRestoration(by="gfpgan"), here).name == "GFPGANv1.4.pth"
    with pytest.raises(FileError, match=r"faces are found by face_detection_yunet_2023mar.onnx"):
        check_faces(FaceRestoration(by="gfpgan"), here)


@pytest.fixture
def inverting(monkeypatch: pytest.MonkeyPatch) -> list[FaceRestoration]:
    """Restorers that turn the faces' colours round, and what was wanted of them."""
    wanted: list[FaceRestoration] = []

    def restorer(one: FaceRestoration, settings: Settings, work: Work) -> Restorer:
        wanted.append(one)
        return Restorer(standing(placed(0.1, 0, (2, 2))), lambda face, weight: -face)

    monkeypatch.setattr(face_restoring, "restorer", restorer)
    monkeypatch.setattr("fromnoise.engine.checks.check_faces", lambda *rest: None)
    return wanted


def test_extras_follow_automatic1111(inverting: Sequence[FaceRestoration]) -> None:
    both = (FaceRestoration(by="codeformer", weight=0.3), FaceRestoration(by="gfpgan", visibility=0.5))
    image, info = postprocessed(picture(40, 40), Postprocess(upscaler="Lanczos", scale=2, faces=both), DEFAULTS)
    assert [one.by for one in inverting] == ["gfpgan", "codeformer"]
    assert image.size == (80, 80)
    assert list(info.items())[-3:] == [
        ("GFPGAN visibility", "0.5"), ("CodeFormer visibility", "1"), ("CodeFormer weight", "0.3"),
    ]  # fmt: skip
    unseen = Postprocess(upscaler="None", faces=(FaceRestoration(visibility=0.0),))
    assert postprocessed(picture(40, 40), unseen)[1] == {}


def test_recipes_have_their_faces_restored(inverting: Sequence[FaceRestoration]) -> None:
    recipe = Recipe.make(prompt="a", width=64, height=64, steps=1, restore_faces={"by": "gfpgan"})
    model = tiny_model()
    (made,), (plain,) = (list(generate(model, [one])) for one in (recipe, recipe.but(restore_faces=None)))
    changed = np.abs(levels(made.image) - levels(plain.image)).max(axis=2)
    assert changed[20:40, 20:40].max() > 20
    assert changed[56:].max() == 0


@pytest.mark.parametrize("part", [{"by": "gfpgan"}, {"weight": 0.9, "visibility": 0.5}])
def test_the_infotext_says_so(part: dict[str, object]) -> None:
    recipe = Recipe.make(restore_faces=part, profile="a1111")
    text = parameters(recipe)
    assert "Seed: 0, Face restoration: " in text
    found = read_infotext(text)
    assert (found.recipe.restore_faces, found.not_understood) == (recipe.restore_faces, {})
    theirs = "a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Face restoration: CodeFormer, Size: 64x64"
    assert read_infotext(theirs).recipe.restore_faces == FaceRestoration()
