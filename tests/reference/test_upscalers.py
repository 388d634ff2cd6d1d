"""Upscaling networks against spandrel's, and spandrel's other networks as upscalers."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fromnoise.upscalers.foreign as foreign_module
from fromnoise.checkpoints.upscale_models import upscaler_of
from fromnoise.errors import FileError
from fromnoise.upscalers.files import FileUpscaler, applied, loaded, stamp
from fromnoise.upscalers.foreign import normalised, torchvision_if_missing
from fromnoise.upscalers.work import CPU, Work
from tests.upscalers.test_tiles import largest_difference, picture, same
from tests.upscalers.tiny import stirred

if importlib.util.find_spec("spandrel") is None or importlib.util.find_spec("einops") is None:
    pytest.skip("spandrel is not installed", allow_module_level=True)

with torchvision_if_missing():
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.DAT import DAT
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.HAT import HAT
    from spandrel.architectures.LaMa import LaMa
    from spandrel.architectures.SCUNet import SCUNet
    from spandrel.architectures.SwinIR import SwinIR

OURS: dict[str, Callable[[], Any]] = {
    "ESRGAN x4": lambda: ESRGAN(num_filters=16, num_blocks=2, scale=4),
    "ESRGAN x1": lambda: ESRGAN(num_filters=16, num_blocks=1, scale=1),
    "ESRGAN x8": lambda: ESRGAN(num_filters=16, num_blocks=1, scale=8),
    "ESRGAN+": lambda: ESRGAN(num_filters=16, num_blocks=1, scale=4, plus=True),
    "Real-ESRGAN x2": lambda: ESRGAN(in_nc=12, num_filters=16, num_blocks=1, scale=4, shuffle_factor=2),
    "Real-ESRGAN x1": lambda: ESRGAN(in_nc=48, num_filters=16, num_blocks=1, scale=4, shuffle_factor=4),
    "compact x4": lambda: Compact(num_feat=16, num_conv=3, upscale=4),
    "compact x1": lambda: Compact(num_feat=16, num_conv=3, upscale=1),
    "compact, grey": lambda: Compact(num_in_ch=1, num_out_ch=1, num_feat=16, num_conv=3, upscale=3),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "SwinIR": lambda: SwinIR(
        embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2, upsampler="nearest+conv", img_size=16
    ),
    "DAT": lambda: DAT(
        embed_dim=32, depth=[2], num_heads=[2], split_size=[8, 8], expansion_factor=2.0, upscale=2, img_size=16
    ),
    "HAT": lambda: HAT(
        embed_dim=12, depths=(1,), num_heads=(2,), window_size=8, upscale=2, img_size=16, squeeze_factor=3, num_feat=64
    ),
    "SCUNet": lambda: SCUNet(config=[1, 1, 1, 1, 1, 1, 1], dim=64),
}


@pytest.mark.parametrize("kind", OURS)
def test_own_networks_equal_spandrels(kind: str) -> None:
    theirs = stirred(OURS[kind]())
    ours = upscaler_of(theirs.state_dict(), Path("model.pth"))
    assert ours is not None
    x = torch.rand(1, 1 if "grey" in kind else 3, 13, 18)
    with torch.no_grad():
        wanted: Tensor = theirs(x)
        torch.testing.assert_close(ours(x), wanted, atol=1e-6, rtol=1e-5)
    assert float(wanted.std()) > 0.01


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_are_upscalers(kind: str, tmp_path: Path) -> None:
    theirs = stirred(OTHERS[kind]())
    path = tmp_path / f"{kind}.pth"
    torch.save({"params": theirs.state_dict()}, path)
    network = loaded(path, stamp(path), CPU, torch.float32)
    assert network.name == kind
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.run(x), theirs(x).clamp(0, 1), atol=1e-6, rtol=1e-5)
    made = FileUpscaler(path)(picture(21, 18), 42, 36, Work())
    assert made.size == (42, 36)
    whole, parts = (applied(network, picture(70, 50), Work(tile=tile)) for tile in (0, 64))
    assert whole.size == parts.size
    assert largest_difference(whole, parts) <= 40  # windows lie elsewhere, and these weights are noise


def test_networks_that_compute_no_float16_get_float32(tmp_path: Path) -> None:
    path = tmp_path / "swinir.pth"
    torch.save(stirred(OTHERS["SwinIR"]()).state_dict(), path)
    assert loaded(path, stamp(path), CPU, torch.bfloat16).dtype(torch.bfloat16) == torch.bfloat16
    halves, floats = (
        FileUpscaler(path)(picture(16, 16), 32, 32, Work(dtype=d)) for d in (torch.float16, torch.float32)
    )
    assert same(halves, floats)


def test_networks_that_fill_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lama.pth"
    torch.save(LaMa().state_dict(), path)
    with pytest.raises(FileError, match=r"lama\.pth holds a network of the kind LaMa, which fills masks"):
        FileUpscaler(path)(picture(16, 16), 32, 32, Work())


def test_unknown_and_damaged_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(FileError, match=r"other\.pth holds a network of a kind that is not known here or to spandrel"):
        FileUpscaler(path)(picture(16, 16), 32, 32, Work())
    state = stirred(OTHERS["DAT"]()).state_dict()
    del state["conv_last.bias"]
    torch.save(state, path)
    with pytest.raises(FileError, match=r"other\.pth cannot be used: spandrel fails on it"):
        FileUpscaler(path)(picture(16, 16), 32, 32, Work())


def test_without_spandrel_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dat.pth"
    torch.save(stirred(OTHERS["DAT"]()).state_dict(), path)
    monkeypatch.setattr(foreign_module, "find_spec", lambda name: None)
    with pytest.raises(FileError, match=r"need the package spandrel: pip install --no-deps spandrel einops"):
        FileUpscaler(path)(picture(16, 16), 32, 32, Work())


def test_torchvision_is_lent_and_taken_back() -> None:
    if importlib.util.find_spec("torchvision"):
        pytest.skip("torchvision is installed")
    with torchvision_if_missing():
        assert "torchvision.transforms.functional" in sys.modules
    assert not any(name.startswith("torchvision") for name in sys.modules)


def test_normalised_is_torchvisions() -> None:
    image = torch.rand(2, 3, 4, 5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.4, 0.2]
    made = normalised(image, mean, std)
    for channel in range(3):
        wanted = (image[:, channel] - mean[channel]) / std[channel]
        assert torch.allclose(made[:, channel], wanted)
    assert normalised(image, mean, std, inplace=True) is image
    assert torch.equal(image, made)
