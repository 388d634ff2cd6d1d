"""Every kind of LoRA equals LyCORIS 4, on random tensors: merged, and in a forward pass."""

from collections.abc import Iterable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from fromnoise.adapters.weight_adapter import KINDS, WeightAdapter, read_slots
from fromnoise.nn.ops import Conv2d, Linear, patching

lycoris = pytest.importorskip("lycoris.modules")
functional = pytest.importorskip("lycoris.functional.general")

MODULES: dict[str, tuple[str, dict[str, object]]] = {
    "lora": ("LoConModule", {}),
    "lora core": ("LoConModule", {"use_tucker": True}),
    "lora rank-stabilised": ("LoConModule", {"rs_lora": True}),
    "dora": ("LoConModule", {"weight_decompose": True}),
    "dora columns": ("LoConModule", {"weight_decompose": True, "wd_on_out": False}),
    "lora scalar": ("LoConModule", {"use_scalar": True}),
    "loha": ("LohaModule", {}),
    "loha scalar": ("LohaModule", {"use_scalar": True}),
    "loha core": ("LohaModule", {"use_tucker": True}),
    "loha dora": ("LohaModule", {"weight_decompose": True}),
    "lokr": ("LokrModule", {"factor": 4}),
    "lokr core": ("LokrModule", {"factor": 4, "use_tucker": True}),
    "lokr whole": ("LokrModule", {"full_matrix": True}),
    "lokr both": ("LokrModule", {"factor": 16, "decompose_both": True}),
    "lokr dora": ("LokrModule", {"factor": 4, "weight_decompose": True}),
    "lokr scalar": ("LokrModule", {"factor": 4, "use_scalar": True}),
    "lokr unbalanced": ("LokrModule", {"factor": 4, "unbalanced_factorization": True}),
    "glora": ("GLoRAModule", {}),
    "glora scalar": ("GLoRAModule", {"use_scalar": True}),
    "ia3": ("IA3Module", {}),
    "ia3 on input": ("IA3Module", {"train_on_input": True}),
    "full": ("FullModule", {}),
    "oft": ("DiagOFTModule", {"lora_dim": 8}),
    "oft constrained": ("DiagOFTModule", {"lora_dim": 8, "constraint": 0.05}),
    "oft rescaled": ("DiagOFTModule", {"lora_dim": 8, "rescaled": True}),
    "tlora": ("TLoraModule", {}),
    "boft": ("ButterflyOFTModule", {"lora_dim": 8}),
    "boft constrained": ("ButterflyOFTModule", {"lora_dim": 8, "constraint": 0.05}),
    "boft rescaled": ("ButterflyOFTModule", {"lora_dim": 8, "rescaled": True}),
}
OWN_STRENGTH = {"dora", "dora columns", "loha dora", "lokr dora", "oft rescaled"}  # LyCORIS's modules weaken them anew
FORWARD_ONLY = ("loha", "lokr", "full")  # its `get_merged_weight` scales these twice, or takes them for whole weights
TOLERANCE = {"atol": 2e-6, "rtol": 2e-5}


def peer(name: str, layer: nn.Module) -> nn.Module:
    cls, options = MODULES[name]
    torch.manual_seed(0)
    module = getattr(lycoris, cls)("layer", layer, 1.0, **{"lora_dim": 4, "alpha": 2, **options})
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if key == "rescale":
                parameter.copy_(1 + 0.1 * torch.randn_like(parameter))
            elif key == "dora_scale":
                parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
            else:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return {"linear": nn.Linear(32, 48), "conv": nn.Conv2d(32, 64, 3, padding=1), "1x1": nn.Conv2d(32, 48, 1)}


def layer_for(name: str, shape: str) -> nn.Module:
    layer = nn.Linear(32, 64) if name.startswith("boft") and shape == "linear" else layers()[shape]
    return nn.Conv2d(32, 64, 1) if name.startswith("boft") and shape == "1x1" else layer


def slots_of(module: nn.Module) -> dict[str, Tensor]:
    """Under our names: those of the file without `.weight`, and blocks with four axes are BOFT's."""
    found = {key.removesuffix(".weight"): tensor.clone() for key, tensor in module.state_dict().items()}
    if "oft_blocks" in found and found["oft_blocks"].ndim == 4:
        found["boft_blocks"] = found.pop("oft_blocks")
    return found


def adapter_of(module: nn.Module) -> WeightAdapter:
    slots = slots_of(module)
    slots.pop("diff_b", None)
    (adapter,), left = read_slots(slots)
    assert left == []
    return adapter


def strengths(name: str) -> tuple[float, ...]:
    return (1.0,) if name in OWN_STRENGTH else (1.0, 0.7, -1.3)


def of(names: Iterable[str], *shapes: str) -> list[tuple[str, str]]:
    """Kinds with shapes of layers; LyCORIS's T-LoRA can't compute 3x3 convolutions."""
    return [(name, shape) for name in names for shape in shapes if (name, shape) != ("tlora", "conv")]


@pytest.mark.parametrize(
    ("name", "shape"), of([n for n in MODULES if not n.startswith(FORWARD_ONLY)], "linear", "conv", "1x1")
)
@torch.no_grad()
def test_merged_weights(name: str, shape: str) -> None:
    layer = layer_for(name, shape)
    module = peer(name, layer)
    weight = layer.weight.detach()
    before = weight.clone()
    adapter = adapter_of(module)
    for strength in strengths(name):
        wanted = module.get_merged_weight(strength)[0]
        assert (wanted - weight).abs().max() > 1e-2
        torch.testing.assert_close(adapter.merged(weight, strength), wanted, **TOLERANCE)
    assert weight.equal(before)


@pytest.mark.parametrize(("name", "shape"), of(MODULES, "linear", "conv"))
@torch.no_grad()
def test_forward(name: str, shape: str) -> None:
    theirs = layer_for(name, shape)
    ours = Linear(32, 64) if shape == "linear" else Conv2d(32, 64, 3, padding=1)
    ours = Linear(32, theirs.weight.shape[0]) if shape == "linear" else ours
    ours.load_state_dict(theirs.state_dict())
    module = peer(name, theirs)
    x = torch.randn(2, 5, 32) if shape == "linear" else torch.randn(2, 32, 6, 6)
    plain = ours(x)
    module.apply_to()
    parts = {"weight": adapter_of(module)}
    if name == "full":
        parts["bias"] = read_slots({"diff": module.state_dict()["diff_b"].clone()})[0][0]
    for strength in strengths(name):
        module.multiplier = strength
        with patching(ours, {key: [partial(part.merged, strength=strength)] for key, part in parts.items()}):
            torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)
    assert ours(x).equal(plain)


@pytest.mark.parametrize("columns", [False, True])
@torch.no_grad()
def test_dora_at_a_strength(columns: bool) -> None:
    layer = layers()["linear"]
    module = peer("dora columns" if columns else "dora", layer)
    delta = module.get_diff_weight()[0]
    wanted = functional.weight_decompose(layer.weight + 0.7 * delta, module.dora_scale, 0.7, not columns)
    torch.testing.assert_close(adapter_of(module).merged(layer.weight, 0.7), wanted, **TOLERANCE)


@torch.no_grad()
def test_a_norm() -> None:
    for norm in (nn.GroupNorm(4, 32), nn.LayerNorm(32)):
        module = lycoris.NormModule("norm", norm)
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
        for name, (weight, wanted) in {
            "w_norm": (norm.weight, module.get_merged_weight(0.7)[0]),
            "b_norm": (norm.bias, module.get_merged_weight(0.7)[1]),
        }.items():
            (adapter,), _ = read_slots({"diff": module.state_dict()[name]})
            torch.testing.assert_close(adapter.merged(weight, 0.7), wanted)


def test_every_kind_has_its_peer() -> None:
    covered = {type(adapter_of(peer(name, layer_for(name, "linear")))) for name in MODULES}
    assert covered == set(KINDS.values()) - {KINDS["set"]}
