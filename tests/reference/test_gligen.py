"""GLIGEN equals diffusers': one step of a gated U-Net, and a file that it saved."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fromnoise.adapters.gligen import Boxes
from fromnoise.checkpoints.gligen import load_gligen
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.checkpoints.save import write
from fromnoise.nn.gligen import MAX_BOXES, Gligen
from fromnoise.nn.unet import UNet
from tests import tiny
from tests.reference import peers
from tests.tiny_pictures import gligen

PLACES = [(0.1, 0.2, 0.5, 0.9), (0.5, 0.0, 1.0, 0.4)]


def gated(unet: UNet, network: Gligen) -> Any:
    """diffusers' U-Net with the weights of both. Its position net is always 512 wide inside."""
    plain = {name: value for name, value in peers.unet(unet.config).config.items() if not name.startswith("_")}
    theirs = UNet2DConditionModel(**{**plain, "attention_type": "gated"}).eval()
    rename = diffusers_unet(unet.config)
    state = {rename(name): weight for name, weight in unet.state_dict().items()}
    for name, weight in network.state_dict().items():
        if not name.startswith("position_net."):
            transformer, _, rest = name.partition(".transformer_blocks.")
            name = f"{rename(f'{transformer}.norm.weight').removesuffix('.norm.weight')}.transformer_blocks.{rest}"
        state[name] = weight
    theirs.load_state_dict(state, strict=True)
    return theirs


@pytest.fixture(scope="module")
def pair() -> tuple[UNet, Gligen, Any]:
    ours = tiny.filled(UNet(tiny.unet_config()), torch.Generator().manual_seed(0))
    network = gligen(ours)
    return ours, network, gated(ours, network)


def texts(unet: UNet) -> Tensor:
    return torch.randn(len(PLACES), unet.config.context_dim, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_step(pair: tuple[UNet, Gligen, Any], count: int) -> None:
    ours, network, theirs = pair
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1, 4, 8, 12, generator=generator)
    context, t = torch.randn(1, 7, ours.config.context_dim, generator=generator), torch.tensor([400])
    places, features = torch.zeros(1, MAX_BOXES, 4), torch.zeros(1, MAX_BOXES, ours.config.context_dim)
    masks = torch.zeros(1, MAX_BOXES)
    places[0, :count], features[0, :count] = torch.tensor(PLACES)[:count], texts(ours)[:count]
    masks[0, :count] = 1
    told = {"gligen": {"boxes": places, "positive_embeddings": features, "masks": masks}}
    boxes = Boxes(network, tuple(zip(PLACES, texts(ours), strict=True))[:count])
    with torch.no_grad():
        wanted = theirs(x, t, context, cross_attention_kwargs=told, return_dict=False)[0]
        with boxes.applied(ours, [boxes]):
            answer = ours(x, t, context)
        plain = ours(x, t, context)
    torch.testing.assert_close(answer, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(answer, plain, atol=1e-2)


@pytest.mark.parametrize("names", ["ours", "prefixed", "diffusers"])
def test_files(pair: tuple[UNet, Gligen, Any], names: str, tmp_path: Path) -> None:
    """Alone, in a whole checkpoint, and in a U-Net of diffusers."""
    ours, network, theirs = pair
    state = theirs.state_dict() if names == "diffusers" else network.state_dict()
    if names == "prefixed":
        state = {f"model.diffusion_model.{name}": tensor for name, tensor in {**state, **ours.state_dict()}.items()}
    loaded = load_gligen(write(tmp_path / "gligen.safetensors", state, None, {}))
    assert dict(loaded.config.blocks) == dict(network.config.blocks)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_what_matches_nothing_is_named(pair: tuple[UNet, Gligen, Any], tmp_path: Path) -> None:
    state = dict(pair[1].state_dict())
    block = next(name.partition(".fuser.")[0] for name in state if ".fuser." in name)
    for strange in ("position_net.strange.weight", f"{block}.fuser.strange.weight"):
        path = write(tmp_path / "gligen.safetensors", {**state, strange: torch.ones(1)}, None, {})
        with pytest.raises(UnmatchedKeys, match=re.escape(f"1 unknown: {strange}")):
            load_gligen(path)
        load_gligen(path, allow_unmatched=True)
