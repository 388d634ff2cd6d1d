"""LoRA files act on our networks as on diffusers' and transformers', which their own loaders put them on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_kohya
from safetensors.torch import save_file
from torch import Tensor

from fromnoise.adapters.adapter import Adapter, Strengths, load_adapter
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.ops import patching
from fromnoise.nn.unet import SD1, SDXL, UNet
from tests.reference import peers
from tests.reference.test_networks import ours_with, pair, relative, shrunk, small

peft = pytest.importorskip("peft")

TOLERANCE = 2e-5
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
EVERYTHING = [
    *ATTENTION,
    "proj_in",
    "proj_out",
    "net.0.proj",
    "net.2",
    "conv1",
    "conv2",
    "conv_shortcut",
    "time_emb_proj",
]
UNET = replace(shrunk(SD1), channel_mult=(1, 2), depths=(1, 1, 0, 0), output_depths=(0, 0, 0, 1, 1, 1))
UNET_XL = replace(
    shrunk(SDXL), channel_mult=(1, 2), depths=(0, 0, 2, 2), output_depths=(2, 2, 2, 0, 0, 0), middle_depth=2
)
X, T = torch.randn(2, 4, 8, 8), torch.tensor([7.0, 801.0])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@torch.no_grad()
def stirred(network: Any) -> None:
    """Random numbers for what an adapter added."""
    for name, parameter in network.named_parameters():
        if any(word in name for word in ("lora_", "hada_", "lokr_", "ia3_")):
            if "magnitude" in name or "ia3_" in name:
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.normal_(std=0.15)


@torch.no_grad()
def answers(ours: UNet, theirs: Any, adapter: Adapter, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    context, y, added = torch.randn(2, 5, ours.config.context_dim), None, None
    if ours.config.vector_dim:
        pooled, sizes = torch.randn(2, 24), torch.randint(0, 1024, (2, (ours.config.vector_dim - 24) // 256)).float()
        y, added = torch.cat((pooled, peers.sinusoids(sizes)), 1), {"text_embeds": pooled, "time_ids": sizes}
    plain = ours(X, T, context, y)
    with patching(ours, adapter.patches("unet", Strengths(unet=strength))):
        changed = ours(X, T, context, y)
    assert relative(changed, plain) > 0.01
    return changed, theirs(X, T, context, added_cond_kwargs=added).sample


def configs() -> dict[str, Any]:
    lora = {"r": 4, "target_modules": EVERYTHING}
    return {
        "lora": peft.LoraConfig(lora_alpha=2, **lora),
        "rank-stabilised": peft.LoraConfig(lora_alpha=2, use_rslora=True, **lora),
        "patterns": peft.LoraConfig(lora_alpha=2, rank_pattern={"to_q": 2}, alpha_pattern={"attn2.to_k": 6}, **lora),
        "dora": peft.LoraConfig(lora_alpha=2, use_dora=True, **lora),
        "loha": peft.LoHaConfig(alpha=2, **lora),
        "loha with cores": peft.LoHaConfig(alpha=2, use_effective_conv2d=True, **lora),
        "lokr": peft.LoKrConfig(alpha=2, decompose_factor=4, **lora),
        "lokr with cores": peft.LoKrConfig(alpha=2, use_effective_conv2d=True, decompose_both=True, **lora),
        "ia3": peft.IA3Config(target_modules=[*ATTENTION, "net.2", "conv1"], feedforward_modules=["net.2"]),
    }


@pytest.mark.parametrize("name", configs())
def test_folders_of_peft(name: str, tmp_path: Path) -> None:
    ours, theirs = pair(UNET)
    model = peft.get_peft_model(theirs, configs()[name])
    stirred(model)
    model.save_pretrained(tmp_path)
    adapter = load_adapter(tmp_path, {"unet": ours})
    if name == "ia3":  # peft scales biases as well
        for layer, parameter in model.named_parameters():
            if layer.endswith("base_layer.bias"):
                parameter.data.zero_()
        for layer, parameter in ours.named_parameters():
            if layer.endswith(".bias") and f"{layer.removesuffix('.bias')}.weight" in adapter.changes["unet"]:
                parameter.data.zero_()
    assert relative(*answers(ours, model, adapter)) < TOLERANCE


def trained(theirs: Any) -> dict[str, Tensor]:
    """A U-Net of diffusers with a LoRA on it, and the LoRA's weights."""
    theirs.add_adapter(peft.LoraConfig(r=4, lora_alpha=8, target_modules=EVERYTHING))
    stirred(theirs)
    return dict(peft.get_peft_model_state_dict(theirs))


@pytest.mark.parametrize("settings", [False, True])
def test_files_of_diffusers(settings: bool, tmp_path: Path) -> None:
    ours, theirs = pair(UNET)
    weights = trained(theirs)
    metadata = {"unet_lora_adapter_metadata": theirs.peft_config["default"].to_dict()} if settings else {}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=weights, **metadata)
    adapter = load_adapter(tmp_path, {"unet": ours})
    strength = 1.0 if settings else 2.0  # without settings alpha is the rank, here as in diffusers
    assert relative(*answers(ours, theirs, adapter, strength)) < TOLERANCE
    theirs.set_adapters(["default"], [0.3])
    assert relative(*answers(ours, theirs, adapter, 0.3 * strength)) < TOLERANCE


def test_files_of_kohya_from_diffusers(tmp_path: Path) -> None:
    ours, theirs = pair(UNET)
    weights = {f"unet.{name}": tensor for name, tensor in trained(theirs).items()}
    kohya = {name.replace("unet_", "lora_unet_", 1) if name.startswith("unet") else name: tensor
             for name, tensor in convert_state_dict_to_kohya(weights).items()}  # fmt: skip
    for name in [name for name in kohya if name.endswith(".alpha")]:
        kohya[name] = torch.tensor(8.0)
    save_file(kohya, tmp_path / "kohya.safetensors")
    adapter = load_adapter(tmp_path / "kohya.safetensors", {"unet": ours})
    assert relative(*answers(ours, theirs, adapter)) < TOLERANCE


def test_kohya_files_of_sdxl_as_diffusers_reads_them(tmp_path: Path) -> None:
    ours, theirs = pair(UNET_XL)
    generator, tensors = torch.Generator().manual_seed(1), {}
    for name, module in ours.named_modules():
        if name.endswith((".proj_in", "attn1.to_q", "attn2.to_v", "ff.net.2", "to_out.0")):
            out, inner = module.weight.shape
            key = f"lora_unet_{name.replace('.', '_')}"
            tensors[f"{key}.lora_up.weight"] = torch.randn(out, 4, generator=generator) * 0.3
            tensors[f"{key}.lora_down.weight"] = torch.randn(4, inner, generator=generator) * 0.3
            tensors[f"{key}.alpha"] = torch.tensor(3.0)
    save_file(tensors, tmp_path / "xl.safetensors")
    adapter = load_adapter(tmp_path / "xl.safetensors", {"unet": ours})
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(
        tmp_path, weight_name="xl.safetensors", unet_config=theirs.config
    )
    StableDiffusionXLPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=theirs)
    assert relative(*answers(ours, theirs, adapter)) < TOLERANCE


@pytest.mark.parametrize("number", [0, 1])
@torch.no_grad()
def test_text_encoders(number: int, tmp_path: Path) -> None:
    config = CLIPConfig(dim=64, layers=3, heads=4, act="gelu", projection_dim=48, vocab_size=100, max_tokens=16)
    theirs = small(peers.text(config))
    weights = {name: tensor for name, tensor in theirs.state_dict().items() if "position_ids" not in name}
    ours: CLIPText = ours_with(CLIPText(config), weights)
    theirs.add_adapter(peft.LoraConfig(r=4, lora_alpha=6, target_modules=TEXT))
    stirred(theirs)
    which = ("text_encoder", "text_encoder_2")[number]
    layers = {f"{which}_lora_layers": peft.get_peft_model_state_dict(theirs)}
    metadata = {f"{which}_lora_adapter_metadata": theirs.peft_config["default"].to_dict()}
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, **layers, **metadata)
    with torch.device("meta"):
        unet = UNet(UNET)
    adapter = load_adapter(tmp_path, {"unet": unet, f"text{1 - number}": ours, f"text{number}": ours})
    tokens = torch.randint(0, 98, (2, 16))
    tokens[:, 10] = 99
    with patching(ours, adapter.patches(f"text{number}", Strengths())):
        states = ours(tokens).hidden_states[-1]
    assert relative(states, theirs(tokens, output_hidden_states=True).hidden_states[-1]) < TOLERANCE
    assert relative(states, ours(tokens).hidden_states[-1]) > 0.05


def test_old_attention_processors(tmp_path: Path) -> None:
    """What diffusers saved before 0.17 says the same in other words."""
    ours, theirs = pair(UNET)
    theirs.add_adapter(peft.LoraConfig(r=4, lora_alpha=4, target_modules=ATTENTION))
    stirred(theirs)
    weights = peft.get_peft_model_state_dict(theirs)
    old = {}
    for name, tensor in weights.items():
        name = name.replace("to_out.0", "to_out").replace(".lora_A.weight", "_lora.down.weight")
        name = name.replace(".lora_B.weight", "_lora.up.weight")
        head, _, tail = name.rpartition(".to_")
        old[f"{head}.processor.to_{tail}"] = tensor.contiguous()
    save_file(old, tmp_path / "pytorch_lora_weights.safetensors")
    adapter = load_adapter(tmp_path, {"unet": ours})
    assert relative(*answers(ours, theirs, adapter)) < TOLERANCE
