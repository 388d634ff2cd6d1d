"""ControlNets and T2I-Adapters in diffusers' files give what diffusers' networks give, for every family."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, MultiControlNetModel
from diffusers.models.adapter import MultiAdapter
from torch import Tensor, nn

from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.nn.controlnet import ControlNet, ControlNetConfig, UnionConfig
from fromnoise.nn.t2i_adapter import T2IAdapter, T2IAdapterConfig, places
from fromnoise.nn.unet import SD1, SD2, SDXL, UNet, UNetConfig
from tests.reference import peers
from tests.reference.test_networks import ours_with, relative, shrunk, small

TOLERANCE = 1e-5  # relative to the largest number
XL = shrunk(SDXL, depths=(0, 0, 2, 2, 1, 1), middle_depth=1, output_depths=(1, 1, 1, 2, 2, 2, 0, 0, 0))
UNION = ControlNetConfig(XL, union=UnionConfig(types=8, layers=2))
KINDS = {
    "sd1": ControlNetConfig(shrunk(SD1)),
    "sd1, grey hint": ControlNetConfig(shrunk(SD1), hint_channels=1, hint_widths=(16, 24, 48, 96)),
    "sd1, pooled": ControlNetConfig(shrunk(SD1), pooled=True),
    "sd1, inpainting U-Net": ControlNetConfig(shrunk(SD1, in_channels=9)),
    "sd2": ControlNetConfig(shrunk(SD2, head_dim=32)),
    "sdxl": ControlNetConfig(XL),
    "sdxl, without attention": ControlNetConfig(replace(XL, depths=(0,) * 6, middle_depth=-1)),
    "union": UNION,
}
ADAPTERS = {
    "full": T2IAdapterConfig(widths=(32, 64, 128, 128)),
    "full, grey": T2IAdapterConfig(hint_channels=1, widths=(32, 64, 128, 128), blocks=3),
    "light": T2IAdapterConfig(widths=(32, 64, 128, 128), blocks=4, light=True),
    "sdxl": T2IAdapterConfig(widths=(32, 64, 128, 128), xl=True),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def loaded(theirs: nn.Module, tmp_path: Path, pooled: bool = False) -> Any:
    """Our network of a file with their weights. What shapes can't tell, the heads, is set as theirs."""
    weights = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
    name = "shuffle.safetensors" if pooled else "control.safetensors"
    return load_control(save_checkpoint(tmp_path / name, weights, dtype=None))


def with_heads(network: ControlNet, config: UNetConfig) -> ControlNet:
    """The same weights with as many attention heads as `config` says: tiny ones are not as wide as real ones."""
    changed = ControlNet(
        replace(network.config, unet=replace(network.config.unet, heads=config.heads, head_dim=config.head_dim))
    )
    return ours_with(changed, network.state_dict())


class Inputs:
    """What networks of a configuration are given."""

    def __init__(self, config: UNetConfig, height: int = 8, width: int = 8) -> None:
        self.x, self.t = torch.randn(2, config.in_channels, height, width), torch.tensor([7.0, 801.0])
        self.context, self.y, self.added = torch.randn(2, 5, config.context_dim), None, {}
        if config.vector_dim:
            pooled, sizes = torch.randn(2, 24), torch.randint(0, 1024, (2, 6)).float()
            sinusoids = peers.sinusoids(sizes)
            self.y = torch.cat((pooled, sinusoids), dim=1)
            self.added = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}


def largest(ours: list[Tensor], theirs: Any) -> float:
    down, middle = theirs
    return max(relative(a, b) for a, b in zip(ours, (*down, middle), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 11)])
def test_controlnet(kind: str, height: int, width: int, tmp_path: Path) -> None:
    config = KINDS[kind]
    theirs = small(peers.controlnet(config))
    read = loaded(theirs, tmp_path, config.pooled)
    ours = with_heads(read, config.unet)
    given = Inputs(config.unet, height, width)
    hint = torch.rand(1, config.hint_channels, 8 * height, 8 * width).expand(2, -1, -1, -1)
    if config.union:
        types = torch.zeros(2, config.union.types)
        types[:, 3] = 1
        answer = theirs(given.x, given.t, given.context, [hint], types, [3], **given.added, return_dict=False)
        mine = ours(given.x, given.t, given.context, ours.guide([hint], [3]), given.y, types)
    else:
        answer = theirs(given.x, given.t, given.context, hint, **given.added, return_dict=False)
        mine = ours(given.x, given.t, given.context, ours.guide([hint]), given.y)
    if config.pooled:
        mine = [residual.mean(dim=(2, 3), keepdim=True) for residual in mine]
    assert largest(mine, answer) < TOLERANCE
    known = replace(config.unet, output_depths=(0,) * len(config.unet.output_depths))
    unseen = {"context_dim", "heads", "head_dim", "linear_proj"} if "without" in kind else {"heads", "head_dim"}
    for name in set(vars(known)) - unseen:
        assert getattr(read.config.unet, name) == getattr(known, name), name
    assert replace(read.config, unet=config.unet) == config


@pytest.mark.parametrize("weights", [(), (0.3, 1.0, 1.7)])
def test_union_with_several_hints(weights: tuple[float, ...], tmp_path: Path) -> None:
    theirs = small(peers.controlnet(UNION))
    ours, given = with_heads(loaded(theirs, tmp_path), XL), Inputs(XL)
    hints = [torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1) for _ in range(3)]
    which = [0, 4, 7]
    types = torch.zeros(2, 8)
    types[:, which] = 1
    scales = list(weights) or 1.0
    answer = theirs(given.x, given.t, given.context, hints, types, which, scales, **given.added, return_dict=False)
    mine = ours(given.x, given.t, given.context, ours.guide(hints, which, weights), given.y, types)
    assert largest(mine, answer) < TOLERANCE


def unets(config: UNetConfig) -> tuple[UNet, Any]:
    theirs = small(peers.unet(config))
    rename = diffusers_unet(config).inverse
    return ours_with(UNet(config), {rename(name): tensor for name, tensor in theirs.state_dict().items()}), theirs


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_whole_step_under_several_controlnets(family: str, tmp_path: Path) -> None:
    config, scales = KINDS[family], [0.7, 1.3]
    unet, their_unet = unets(config.unet)
    nets = [small(peers.controlnet(config)) for _ in scales]
    given = Inputs(config.unet)
    hints = [torch.rand(2, 3, 64, 64) for _ in scales]
    down, middle = MultiControlNetModel(nets)(
        given.x, given.t, given.context, hints, scales, **given.added, return_dict=False
    )
    answer = their_unet(
        given.x, given.t, given.context, **given.added,
        down_block_additional_residuals=down, mid_block_additional_residual=middle,
    ).sample  # fmt: skip
    total: list[Tensor] | None = None
    for i, (net, hint, scale) in enumerate(zip(nets, hints, scales, strict=True)):
        (tmp_path / str(i)).mkdir()
        ours = with_heads(loaded(net, tmp_path / str(i)), config.unet)
        mine = [r * scale for r in ours(given.x, given.t, given.context, ours.guide([hint]), given.y)]
        total = mine if total is None else [a + b for a, b in zip(total, mine, strict=True)]
    assert relative(unet(given.x, given.t, given.context, given.y, control=total), answer) < TOLERANCE


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("size", [(64, 64), (128, 192)])
def test_adapter(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    config = ADAPTERS[kind]
    theirs = small(peers.adapter(config))
    ours = loaded(theirs, tmp_path)
    assert ours.config == config
    hint = torch.rand(2, config.hint_channels, *size)
    pairs = list(zip(ours(hint), theirs(hint), strict=True))
    assert max(relative(a, b) for a, b in pairs) < TOLERANCE


@pytest.mark.parametrize("kind", ["full", "light", "sdxl"])
def test_a_whole_step_under_several_adapters(kind: str, tmp_path: Path) -> None:
    config, weights = ADAPTERS[kind], [0.4, 0.9]
    base = XL if config.xl else shrunk(SD1)
    unet, their_unet = unets(base)
    nets = [small(peers.adapter(config)) for _ in weights]
    given = Inputs(base, 16, 16)
    hints = [torch.rand(2, 3, 128, 128) for _ in weights]
    features: dict[int, Tensor] = {}
    for i, (net, hint, weight) in enumerate(zip(nets, hints, weights, strict=True)):
        (tmp_path / str(i)).mkdir()
        ours: T2IAdapter = loaded(net, tmp_path / str(i))
        for place, feature in zip(places(config, base), ours(hint), strict=True):
            features[place] = features.get(place, torch.zeros(())) + feature * weight
    state = MultiAdapter(nets)(hints, weights)
    answer = their_unet(given.x, given.t, given.context, **given.added, down_intrablock_additional_residuals=state)
    mine = unet(given.x, given.t, given.context, given.y, features=features)
    assert relative(mine, answer.sample) < TOLERANCE


def test_the_original_layout_is_what_diffusers_reads_too(tmp_path: Path) -> None:
    """diffusers' own conversion of an LDM file gives the network that we load from it."""
    config = KINDS["sd1"]
    theirs = small(peers.controlnet(config))
    ours = loaded(theirs, tmp_path)
    path = save_checkpoint(
        tmp_path / "ldm.safetensors", {f"control_model.{k}": v for k, v in ours.state_dict().items()}, dtype=None
    )
    folder = tmp_path / "config"
    theirs.save_config(str(folder))
    again = ControlNetModel.from_single_file(str(path), config=str(folder), local_files_only=True)
    assert all(tensor.equal(theirs.state_dict()[name]) for name, tensor in again.state_dict().items())
    assert len(again.state_dict()) == len(theirs.state_dict())
    reread = load_control(path)
    assert all(tensor.equal(ours.state_dict()[name]) for name, tensor in reread.state_dict().items())
