"""TAESD's decoder under the keys of its author, of ComfyUI and of diffusers."""

from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import save_file

from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.tiny_decoder import load_tiny_decoder
from fromnoise.errors import FileError
from fromnoise.nn.taesd import TAESDDecoder

LATENTS = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(1)) * 3


def drawn(width: int = 8, latent_channels: int = 4) -> TAESDDecoder:
    decoder = TAESDDecoder(latent_channels, width)
    tiny.filled(decoder, torch.Generator().manual_seed(0))
    return decoder


def test_it_has_the_keys_of_the_authors_file() -> None:
    """Of taesd_decoder.pth: a clamp without weights, blocks of three convolutions, three times twice the size."""
    names = set(TAESDDecoder().state_dict())
    blocks = [3, 4, 5, 8, 9, 10, 13, 14, 15, 18]
    wanted = {f"{n}.conv.{i}.{part}" for n in blocks for i in (0, 2, 4) for part in ("weight", "bias")}
    wanted |= {"1.weight", "1.bias", "7.weight", "12.weight", "17.weight", "19.weight", "19.bias"}
    assert names == wanted
    assert sum(p.numel() for p in TAESDDecoder().parameters()) == 1_222_531
    assert drawn()(LATENTS).shape == (1, 3, 48, 40)


@pytest.mark.parametrize("form", ["author", "comfyui", "diffusers"])
def test_every_form_is_read(form: str, tmp_path: Path) -> None:
    decoder = drawn()
    state = decoder.state_dict()
    if form == "comfyui":
        state = {f"taesd_decoder.{name}": tensor for name, tensor in state.items()}
    path = tmp_path / "taesd_decoder.safetensors"
    if form == "diffusers":
        named = [(name.split(".", 1), tensor) for name, tensor in state.items()]
        state = {f"decoder.layers.{int(number) - 1}.{rest}": tensor for (number, rest), tensor in named}
        state["encoder.layers.0.weight"] = torch.zeros(1)
        path = tmp_path / "taesd"
        path.mkdir()
    save_file(state, path / "diffusion_pytorch_model.safetensors" if path.is_dir() else path)
    with torch.no_grad():
        assert torch.equal(load_tiny_decoder(path)(LATENTS), decoder(LATENTS))


def test_others_are_refused_by_name(tmp_path: Path) -> None:
    save_file({"conv_in.weight": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(FileError, match=r"x\.safetensors holds no decoder of TAESD"):
        load_tiny_decoder(tmp_path / "x.safetensors")
    state = drawn().state_dict()
    del state["7.weight"]
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(UnmatchedKeys, match=r"7\.weight"):
        load_tiny_decoder(tmp_path / "half.safetensors")
