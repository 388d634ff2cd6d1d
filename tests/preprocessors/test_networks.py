"""Preprocessors that are others' networks: what they make of answers, and what they say where something is missing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DPTConfig,
    DPTForDepthEstimation,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)

from fromnoise.errors import FileError, UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.depth import MEAN, normals
from fromnoise.preprocessors.detectors import DETECTORS
from fromnoise.preprocessors.lama import session
from fromnoise.preprocessors.palette import ade20k
from tests.preprocessors.test_preprocessors import photo

DPT = DPTConfig(
    hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16,
    backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
)  # fmt: skip
BACKBONE = {
    "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "out_indices": [1, 2, 3, 4], "reshape_hidden_states": False, "apply_layernorm": True,
}  # fmt: skip
SEGFORMER = SegformerConfig(
    hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8,
    num_labels=150,
)  # fmt: skip


def saved(model: Any, folder: Path) -> Any:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
    model.save_pretrained(str(folder))
    return model.eval()


def shown(image: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor((0.229, 0.224, 0.225))[:, None, None]


@torch.no_grad()
def test_depth_is_what_the_model_says(tmp_path: Path) -> None:
    model = saved(DPTForDepthEstimation(DPT), tmp_path / "depth_midas")
    image = photo(64, 96)
    hint = PREPROCESSORS["depth"](image, resolution=64, folders=[tmp_path])
    square = cv2.resize(image, (32, 32), interpolation=cv2.INTER_CUBIC)
    depth = model(pixel_values=shown(square)).predicted_depth[0]
    expected = (depth - depth.min()) / (depth.max() - depth.min()) * 255
    assert hint.shape == image.shape
    small = torch.nn.functional.interpolate(expected[None, None], (64, 96), mode="bilinear")[0, 0].numpy()
    assert np.abs(hint[..., 0] - small).max() < 4
    facing = PREPROCESSORS["normal_map"](image, resolution=64, folders=[tmp_path])
    assert facing.shape == image.shape


@torch.no_grad()
def test_depth_anything_sees_whole_patches(tmp_path: Path) -> None:
    config = DepthAnythingConfig(
        backbone_config=BACKBONE, patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    saved(DepthAnythingForDepthEstimation(config), tmp_path / "depth_anything")
    hint = PREPROCESSORS["depth_anything"](photo(60, 100), resolution=70, folders=[tmp_path])
    assert hint.shape == (70, 117, 3)
    assert hint.any()
    assert np.array_equal(hint[..., 0], hint[..., 2])


@torch.no_grad()
def test_areas_have_ade20ks_colours(tmp_path: Path) -> None:
    model = saved(SegformerForSemanticSegmentation(SEGFORMER), tmp_path / "seg_ofade20k")
    image = photo(64, 96)
    hint = PREPROCESSORS["seg_ofade20k"](image, resolution=64, folders=[tmp_path])
    logits = torch.nn.functional.interpolate(model(pixel_values=shown(image)).logits, (64, 96), mode="bilinear")
    assert np.array_equal(hint, ade20k()[logits[0].argmax(0).numpy()])
    assert (len(ade20k()), tuple(ade20k()[0]), tuple(ade20k()[149])) == (150, (120, 120, 120), (92, 0, 255))


def test_normals_face_as_the_surface_does() -> None:
    ramp = np.tile(np.linspace(0.5, 1, 40, dtype=np.float32), (40, 1))
    flat, right = normals(np.full((40, 40), 0.8, np.float32), 0.1), normals(ramp, 0.1)
    assert (flat[5:35, 5:35] == (127, 127, 255)).all()
    assert (right[5:35, 5:35, 0] > 180).all()
    assert (abs(right[5:35, 5:35, 1].astype(int) - 127) <= 1).all()
    assert (normals(ramp, 2.0) == (127, 127, 255)).all()


def test_a_missing_model_is_named_with_its_place(tmp_path: Path) -> None:
    for name in ("depth_midas", "depth_anything", "depth_zoe", "seg_ufade20k"):
        with pytest.raises(
            FileError, match=rf"{name} needs a model in .*{name}: its config.json and model.safetensors"
        ):
            PREPROCESSORS[name](photo(), folders=[tmp_path])
    (tmp_path / "depth_zoe").mkdir()
    (tmp_path / "depth_zoe" / "config.json").write_text("{}")
    with pytest.raises(FileError, match="not a model that can be read here"):
        PREPROCESSORS["depth_zoe"](photo(), folders=[tmp_path])


class FakeDetector:
    """As those of controlnet-aux are called; it draws what it was told."""

    loaded: str
    told: dict[str, Any]

    @classmethod
    def from_pretrained(cls, folder: str) -> "FakeDetector":
        FakeDetector.loaded = folder
        return cls()

    def __call__(self, image: np.ndarray, **options: Any) -> np.ndarray:
        FakeDetector.told = options
        import os

        assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
        return 255 - image


@pytest.fixture
def controlnet_aux(monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(**{detector.type: FakeDetector for detector in DETECTORS})
    monkeypatch.setitem(sys.modules, "controlnet_aux", package)


@pytest.mark.usefixtures("controlnet_aux")
@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_detectors_get_their_weights_and_options(detector: Any, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"{detector.name} needs {detector.files[0]}.* in "):
        PREPROCESSORS[detector.name](photo(), folders=[tmp_path])
    (tmp_path / "hed").mkdir()
    (tmp_path / "hed" / detector.files[0]).touch()
    image = photo(64, 96)
    hint = PREPROCESSORS[detector.name](image, resolution=64, folders=[tmp_path])
    assert np.array_equal(hint, 255 - image)
    assert FakeDetector.loaded == str(tmp_path / "hed")
    assert dict(detector.options).items() <= FakeDetector.told.items()
    assert not detector.instead or not PREPROCESSORS[detector.instead].needs


def test_a_missing_package_is_named_with_what_works_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)
    with pytest.raises(
        UserError, match="softedge_hed needs controlnet-aux: pip install controlnet-aux; softedge_classic"
    ):
        PREPROCESSORS["hed"](photo(), folders=[tmp_path])
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"OpenCV, which is not installed: pip install 'fromnoise\[control\]'"):
        PREPROCESSORS["canny"](photo())


class FakeSession:
    """Paints everything green."""

    def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert inputs["image"].shape == (1, 3, 512, 512)
        assert 0 <= inputs["image"].min() <= inputs["image"].max() <= 1
        assert set(np.unique(inputs["mask"])) == {0, 1}
        return [np.tile(np.array([0, 255, 0], np.float32)[None, :, None, None], (1, 1, 512, 512))]


def test_lama_paints_under_the_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = photo(channels=4)
    image[..., 3] = 0
    image[20:40, 30:60, 3] = 255
    with pytest.raises(FileError, match=r"needs lama_fp32.onnx .* in .*; inpaint_only needs nothing"):
        PREPROCESSORS["inpaint_only+lama"](image, folders=[tmp_path])
    (tmp_path / "lama_fp32.onnx").write_bytes(b"nothing")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        PREPROCESSORS["inpaint_only+lama"](image, folders=[tmp_path])
    session.cache_clear()
    made = SimpleNamespace(InferenceSession=lambda path, providers: FakeSession())
    monkeypatch.setitem(sys.modules, "onnxruntime", made)
    painted = PREPROCESSORS["inpaint_only+lama"](image, folders=[tmp_path])
    assert (painted[20:40, 30:60, :3] == (0, 255, 0)).all()
    assert np.array_equal(painted[:20], image[:20])
    assert np.array_equal(painted[..., 3], image[..., 3])
    session.cache_clear()
