"""IP-Adapter files of every kind and layout are recognised and loaded strictly."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fromnoise.checkpoints.detect import NotDetected
from fromnoise.checkpoints.ip_adapter import load_ip_adapter
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.save import write
from fromnoise.errors import FileError
from fromnoise.nn.image_projection import Kind
from fromnoise.nn.ip_adapter import IPAdapter
from fromnoise.nn.unet import UNet
from tests import tiny
from tests.tiny_pictures import ip_adapter

KINDS: list[Kind] = ["plain", "full", "plus", "face", "face_plus"]


@pytest.fixture(scope="module")
def unet() -> UNet:
    return tiny.filled(UNet(tiny.unet_config()), torch.Generator().manual_seed(0))


def same(loaded: IPAdapter, made: IPAdapter) -> bool:
    state = loaded.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in made.state_dict().items())


def tables(adapter: IPAdapter, projection: str, layers: str) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {projection: {}, layers: {}}
    for name, tensor in adapter.state_dict().items():
        table, _, rest = name.partition(".")
        found[projection if table == "image_proj" else layers][rest] = tensor
    return found


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_safetensors(unet: UNet, kind: Kind, rank: int, tmp_path: Path) -> None:
    made = ip_adapter(unet, kind, rank=rank)
    loaded = load_ip_adapter(write(tmp_path / "ip-adapter.safetensors", made.state_dict(), None, {}))
    assert loaded.config == made.config
    assert same(loaded, made)


@pytest.mark.parametrize("names", [("image_proj", "ip_adapter"), ("image_proj", "adapter_modules")])
def test_bin(unet: UNet, names: tuple[str, str], tmp_path: Path) -> None:
    made = ip_adapter(unet, "plus")
    torch.save(tables(made, *names), tmp_path / "ip-adapter.bin")
    assert same(load_ip_adapter(tmp_path / "ip-adapter.bin"), made)


def test_what_their_training_saves(unet: UNet, tmp_path: Path) -> None:
    made = ip_adapter(unet, "plain")
    state = {
        f"{table}.{name}": tensor
        for table, members in tables(made, "image_proj_model", "adapter_modules").items()
        for name, tensor in members.items()
    }
    assert same(load_ip_adapter(write(tmp_path / "model.safetensors", state, None, {})), made)


@pytest.mark.parametrize(
    ("name", "structured"), [("ip-adapter-faceid-plusv2_sd15.bin", True), ("ip-adapter-faceid-plus_sd15.bin", False)]
)
def test_the_second_version_of_face_plus_is_told_by_its_name(
    unet: UNet, name: str, structured: bool, tmp_path: Path
) -> None:
    torch.save(tables(ip_adapter(unet, "face_plus", rank=2), "image_proj", "ip_adapter"), tmp_path / name)
    assert load_ip_adapter(tmp_path / name).config.structured == structured


def test_faults_are_named(unet: UNet, tmp_path: Path) -> None:
    state = dict(ip_adapter(unet, "plain").state_dict())
    with pytest.raises(NotDetected, match="holds no IP-Adapter"):
        load_ip_adapter(write(tmp_path / "a.safetensors", {"x": torch.ones(1)}, None, {}))
    strange = write(tmp_path / "b.safetensors", {**state, "ip_adapter.1.strange.weight": torch.ones(1)}, None, {})
    with pytest.raises(UnmatchedKeys, match="strange"):
        load_ip_adapter(strange)
    load_ip_adapter(strange, allow_unmatched=True)
    missing = {name: tensor for name, tensor in state.items() if name != "ip_adapter.3.to_v_ip.weight"}
    with pytest.raises(UnmatchedKeys, match=r"ip_adapter\.3\.to_v_ip"):
        load_ip_adapter(write(tmp_path / "c.safetensors", missing, None, {}))
    narrow = {name: tensor[..., :-1] if "_ip" in name else tensor for name, tensor in state.items()}
    with pytest.raises(NotDetected, match="tokens of width"):
        load_ip_adapter(write(tmp_path / "d.safetensors", narrow, None, {}))
    odd = {name: tensor for name, tensor in state.items() if not name.startswith("image_proj")}
    with pytest.raises(NotDetected, match="of no kind"):
        load_ip_adapter(write(tmp_path / "e.safetensors", odd, None, {}))
    (tmp_path / "f.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(FileError):
        load_ip_adapter(tmp_path / "f.bin")
    torch.save({"image_proj": {"a": 3}, "ip_adapter": [torch.ones(2)]}, tmp_path / "g.bin")
    with pytest.raises(FileError):
        load_ip_adapter(tmp_path / "g.bin")
