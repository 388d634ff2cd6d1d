"""Files of control networks become networks, each layout of them; what fits nothing is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.detect import NotDetected
from fromnoise.checkpoints.load import Checkpoint, UnmatchedKeys
from fromnoise.checkpoints.save import layout
from fromnoise.errors import FileError
from fromnoise.nn.control_lllite import LLLite
from fromnoise.nn.controlnet import ControlNet, UnionConfig
from fromnoise.nn.t2i_adapter import StyleAdapter, T2IAdapter
from fromnoise.nn.unet import UNet
from tests import tiny, tiny_control
from tests.tiny_control import control_lora, controlnet, difference, lllite, written


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def base(request: pytest.FixtureRequest) -> Checkpoint:
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def unet() -> UNet:
    return tiny.model("sd1").unet


def same(a: nn.Module, b: nn.Module, tolerance: float = 0.0) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return set(ours) == set(theirs) and all(float((ours[n] - theirs[n]).abs().max()) <= tolerance for n in ours)


def answers(network: ControlNet, seed: int = 0) -> list[Tensor]:
    unet, generator = network.config.unet, torch.Generator().manual_seed(seed)
    y = torch.randn(1, unet.vector_dim, generator=generator) if unet.vector_dim else None
    x, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 5, unet.context_dim, generator=generator)
    hint = torch.rand(1, 3, 64, 64, generator=generator)
    return network(x, torch.tensor([500.0]), context, network.guide([hint]), y)


def test_the_original_layout(base: Checkpoint, tmp_path: Path) -> None:
    network = controlnet(base.unet)
    for prefix in ("", "control_model."):
        loaded = load_control(written(tmp_path / f"a{prefix}safetensors", network, prefix))
        assert isinstance(loaded, ControlNet)
        assert same(loaded, network)
        assert loaded.config.hint_widths == tiny_control.WIDTHS


def test_a_checkpoint_around_it_is_left_alone(unet: UNet, tmp_path: Path) -> None:
    network = controlnet(unet)
    whole = {**layout(tiny.model("sd1")), **{f"control_model.{n}": w for n, w in network.state_dict().items()}}
    assert same(load_control(written(tmp_path / "control_sd15_canny.safetensors", whole)), network)


def test_a_torch_file(unet: UNet, tmp_path: Path) -> None:
    network = controlnet(unet)
    torch.save({"state_dict": {f"control_model.{n}": w for n, w in network.state_dict().items()}}, tmp_path / "a.pth")
    assert same(load_control(tmp_path / "a.pth"), network)


def test_a_difference_is_added_to_the_model(base: Checkpoint, tmp_path: Path) -> None:
    network = controlnet(base.unet, seed=3)
    before = {name: weight.clone() for name, weight in base.unet.state_dict().items()}
    loaded = load_control(written(tmp_path / "diff.safetensors", difference(base.unet, network)), base.unet)
    assert same(loaded, network, tolerance=1e-6)
    assert all(weight.equal(before[name]) for name, weight in base.unet.state_dict().items())


def test_a_control_lora_shares_the_weights_of_the_model(base: Checkpoint, tmp_path: Path) -> None:
    state, expected = control_lora(base.unet, controlnet(base.unet, seed=4))
    loaded = load_control(written(tmp_path / "lora.safetensors", state), base.unet)
    assert isinstance(loaded, ControlNet)
    for a, b in zip(answers(loaded), answers(expected), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    shared = loaded.input_blocks[1][0].in_layers[2].weight
    assert shared.data_ptr() == base.unet.input_blocks[1][0].in_layers[2].weight.data_ptr()
    assert not any(getattr(module, "patches", ()) for module in base.unet.modules())


def test_what_holds_only_differences_needs_a_model(unet: UNet, tmp_path: Path) -> None:
    network = controlnet(unet)
    for state in (difference(unet, network), control_lora(unet, network)[0]):
        path = written(tmp_path / "a.safetensors", state)
        with pytest.raises(FileError, match="load it together with a checkpoint"):
            load_control(path)
    other = tiny.model("sd2").unet
    with pytest.raises(FileError, match="belongs to another kind of model: its model_channels is 32"):
        load_control(written(tmp_path / "b.safetensors", difference(unet, network)), other)
    with pytest.raises(UnmatchedKeys, match="unknown: "):
        load_control(written(tmp_path / "c.safetensors", control_lora(unet, network)[0]), other)


def test_shuffle_is_told_by_its_name(unet: UNet, tmp_path: Path) -> None:
    network = controlnet(unet)
    for name, pooled in (("control_v11e_sd15_shuffle", True), ("control_v11p_sd15_canny", False)):
        path = written(tmp_path / f"{name}.safetensors", network)
        for asked, expected in ((None, pooled), (True, True), (False, False)):
            loaded = load_control(path, pooled=asked)
            assert isinstance(loaded, ControlNet)
            assert loaded.config.pooled == expected


def test_union(tmp_path: Path) -> None:
    network = controlnet(tiny.model("sdxl").unet, union=UnionConfig(types=8, layers=1))
    loaded = load_control(written(tmp_path / "promax.safetensors", network))
    assert isinstance(loaded, ControlNet)
    assert loaded.config.union == UnionConfig(8, 1)
    assert same(loaded, network)


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_original_adapters(unet: UNet, tmp_path: Path, light: bool, wrapped: bool) -> None:
    network = tiny_control.adapter(unet, light=light)
    state = dict(network.state_dict())
    torch.save({"adapter": state} if wrapped else state, tmp_path / "t2iadapter_canny_sd14v1.pth")
    loaded = load_control(tmp_path / "t2iadapter_canny_sd14v1.pth")
    assert isinstance(loaded, T2IAdapter)
    assert loaded.config == network.config
    assert same(loaded, network)


class PublishedStyleAdapter(nn.Module):
    """As the paper's authors define it, on PyTorch's own attention."""

    def __init__(self, width: int, context_dim: int, layers: int, tokens: int) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.randn(1, tokens, width))
        self.proj = nn.Parameter(torch.randn(width, context_dim))
        self.transformer_layes = nn.Sequential(*(PublishedLayer(width) for _ in range(layers)))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = tokens

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((x, self.style_embedding.expand(len(x), -1, -1)), dim=1)
        x = self.transformer_layes(self.ln_pre(x))
        return self.ln_post(x[:, -self.tokens :]) @ self.proj


class PublishedLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 8, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.Module())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        h = self.mlp.c_fc(self.ln_2(x))
        return x + self.mlp.c_proj(h * torch.sigmoid(1.702 * h))


@torch.no_grad()
def test_the_style_adapter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = PublishedStyleAdapter(64, 32, 2, 8)
    loaded = load_control(written(tmp_path / "t2iadapter_style_sd14v1.safetensors", theirs))
    assert isinstance(loaded, StyleAdapter)
    states = torch.randn(2, 17, 64)
    torch.testing.assert_close(loaded(states), theirs(states), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_lllite(tmp_path: Path, depth: int) -> None:
    unet = tiny.model("sdxl").unet
    state = lllite(unet, depth=depth)
    loaded = load_control(written(tmp_path / "lllite.safetensors", state))
    assert isinstance(loaded, LLLite)
    assert {name: weight.shape for name, weight in loaded.state_dict().items()} == {
        n: w.shape for n, w in state.items()
    }
    assert set(loaded.targets.values()) <= {name for name, _ in unet.named_modules()}
    assert "middle_block.1.transformer_blocks.0.attn1.to_q" in loaded.targets.values()


Broken = Callable[[dict[str, Tensor]], dict[str, Tensor]]
BROKEN: dict[str, tuple[str, Broken]] = {
    "one too many": ("unknown: middle_block.0.wrong", lambda s: {**s, "middle_block.0.wrong": torch.ones(1)}),
    "one too few": (
        "missing: zero_convs.1.0.bias",
        lambda s: {n: w for n, w in s.items() if n != "zero_convs.1.0.bias"},
    ),
    "misshapen": ("of another shape: zero_convs.1.0.bias", lambda s: {**s, "zero_convs.1.0.bias": torch.ones(3)}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_every_stray_weight_is_named(unet: UNet, tmp_path: Path, fault: str) -> None:
    expected, change = BROKEN[fault]
    path = written(tmp_path / "a.safetensors", change(dict(controlnet(unet).state_dict())))
    with pytest.raises(UnmatchedKeys, match=expected):
        load_control(path)
    if fault == "one too many":
        assert isinstance(load_control(path, allow_unmatched=True), ControlNet)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lllite_unet_up_blocks_0.down.0.weight", (4, 4)), ("something.else", (2,)), ("body.0.in_conv.weight", (3,))],
)
def test_other_files_are_refused(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    path = written(tmp_path / "a.safetensors", {name: torch.ones(shape)})
    with pytest.raises((NotDetected, UnmatchedKeys), match=r"a\.safetensors"):
        load_control(path)


def test_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    with pytest.raises(FileError, match="a picture"):
        load_control(tmp_path / "a.safetensors")
