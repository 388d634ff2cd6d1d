"""LoRA files of every dialect act on the layers they name, and what matches nothing is told."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fromnoise.adapters.adapter import Adapter, Strengths, UnmatchedLoRA, load_adapter
from fromnoise.adapters.lora import LoRA
from fromnoise.checkpoints.detect import Family
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.errors import FileError
from fromnoise.text.block_weights import ALL, parse_blocks
from tests import tiny
from tests.adapters import files
from tests.adapters.files import networks, saved

ATTENTION, TEXT = r"attn[12]\.to_", r"self_attn.out_proj|mlp"
DIALECTS: dict[str, tuple[files.Namer, str, tuple[Family, ...]]] = {
    "kohya": (files.kohya, "kohya", ("sd1", "sd2")),
    "kohya SDXL": (files.kohya_xl, "kohya", ("sdxl",)),
    "kohya OpenCLIP": (files.kohya_open_clip, "kohya", ("sd2",)),
    "diffusers": (files.diffusers_new, "diffusers", ("sd1", "sdxl")),
    "diffusers, peft names": (files.diffusers_new, "peft", ("sd1", "sdxl")),
    "diffusers, transformers 5": (files.diffusers_short, "peft", ("sd1", "sdxl")),
    "diffusers, old": (files.processors, "processors", ("sd1", "sdxl")),
    "peft": (files.peft, "peft", ("sd1", "sdxl")),
    "peft in memory": (files.peft, "peft in memory", ("sd1",)),
    "OneTrainer": (files.one_trainer, "kohya", ("sd1", "sdxl")),
    "original": (files.original, "kohya", ("sd1", "sdxl")),
    "ComfyUI": (files.comfyui, "kohya", ("sd1", "sdxl")),
    "SimpleTuner": (files.simple_tuner, "kohya", ("sd1", "sdxl")),
}
CASES = [(name, family) for name, (_, _, families) in DIALECTS.items() for family in families]


def small_model(family: Family) -> Checkpoint:
    """With two layers and a few tokens in each text encoder."""
    text = tuple(replace(config, layers=2, vocab_size=64) for config in tiny.TEXT[family])
    return tiny.model(family, text=text, with_vae=False)


@pytest.fixture(scope="module")
def models() -> dict[Family, Checkpoint]:
    return {family: small_model(family) for family in ("sd1", "sd2", "sdxl", "sdxl_refiner")}


def wanted(model: Checkpoint, dialect: str) -> dict[str, list[str]]:
    """Layers that a dialect can name."""
    everything = (nn.Linear, nn.Conv2d)
    if dialect == "diffusers, old":
        return {"unet": files.layers(model, "unet", nn.Linear, ATTENTION)}
    text = {f"text{i}": files.layers(model, f"text{i}", nn.Linear, TEXT) for i in range(len(model.text))}
    if dialect.startswith("peft"):  # in folders of their own, without a name
        text.pop("text1", None)
    return {"unet": files.layers(model, "unet", everything), **({} if dialect == "SimpleTuner" else text)}


@pytest.mark.parametrize(("dialect", "family"), CASES)
def test_every_dialect(models: dict[Family, Checkpoint], dialect: str, family: Family, tmp_path: Path) -> None:
    model = models[family]
    namer, sides, _ = DIALECTS[dialect]
    tensors, known = files.lora(model, namer, sides, wanted(model, dialect))
    adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    found = {
        f"{network}/{parameter.removesuffix('.weight')}": adapters
        for network, changes in adapter.changes.items()
        for parameter, adapters in changes.items()
    }
    assert found.keys() == known.keys()
    for name, (one,) in found.items():
        assert isinstance(one, LoRA)
        assert one.up.equal(known[name][0])
        assert one.down.equal(known[name][1])
    assert adapter.unmatched == ()


def test_a_fused_projection_is_cut_in_three(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sdxl"]
    up, down = torch.randn(192, 2), torch.randn(2, 64)
    name = "lora_te2_transformer_resblocks_1_attn_in_proj"
    tensors = {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
    changes = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model)).changes["text1"]
    block = "text_model.encoder.layers.1.self_attn."
    parts = [changes[f"{block}{side}_proj.weight"][0].merged(torch.zeros(64, 64)) for side in "qkv"]
    torch.testing.assert_close(torch.cat(parts), up @ down)


def test_the_refiners_encoder_is_the_second_of_sdxl(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sdxl_refiner"]
    layer = "text_model.encoder.layers.0.mlp.fc1"
    up, down = files.factors(model.text[0], layer, torch.Generator())
    tensors = {f"lora_te2_{layer.replace('.', '_')}.lora_{side}.weight": t for side, t in (("up", up), ("down", down))}
    adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    assert list(adapter.changes) == ["text0"]


def test_biases_and_norms(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sd1"]
    tensors = {
        "lora_unet_conv_in.diff": torch.randn(32, 4, 3, 3),
        "lora_unet_conv_in.diff_b": torch.randn(32),
        "lora_unet_conv_norm_out.w_norm": torch.randn(32),
        "lora_unet_conv_norm_out.b_norm": torch.randn(32),
        "diffusion_model.out.2.diff_b": torch.randn(4),
        "diffusion_model.out.2.set_weight": torch.randn(4, 32, 3, 3),
    }
    adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    names = {f"{layer}.{end}" for layer in ("input_blocks.0.0", "out.0", "out.2") for end in ("weight", "bias")}
    assert adapter.changes["unet"].keys() == names


def test_alpha_and_peft_settings(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    def scale(tensors: dict[str, torch.Tensor], name: str, metadata: dict[str, str] | None = None) -> list[float]:
        adapter = load_adapter(saved(tensors, tmp_path / f"{name}.safetensors", metadata), networks(models["sd1"]))
        return sorted(one.scale for some in adapter.changes["unet"].values() for one in some)  # type: ignore[attr-defined]

    up, down = torch.randn(64, 2), torch.randn(2, 64)
    layers = (
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_k",
    )
    kohya = {f"lora_unet_{layers[0].replace('.', '_')}.lora_{s}.weight": t for s, t in (("up", up), ("down", down))}
    assert scale(kohya, "none") == [1.0]
    alpha = {f"lora_unet_{layers[0].replace('.', '_')}.alpha": torch.tensor(3.0)}
    assert scale(kohya | alpha, "alpha") == [1.5]
    new = {f"unet.{layer}.lora_{side}.weight": t for layer in layers for side, t in (("B", up), ("A", down))}
    settings = '{"unet.r": 2, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_k": 3}}'
    assert scale(new, "diffusers", {"lora_adapter_metadata": settings}) == [1.5, 4.0]
    folder = {name.replace("unet.", "base_model.model."): tensor for name, tensor in new.items()}
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 4, "use_rslora": true}')
    assert scale(folder, "adapter_model") == [2.0, 2.0]
    for nonsense in ("1" + "0" * 400, "NaN", "1e999", "[2]", '"2"'):
        (tmp_path / "adapter_config.json").write_text(f'{{"r": 4, "lora_alpha": {nonsense}}}')
        assert scale(folder, "adapter_model") == [1.0, 1.0]
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "OFT", "r": 4}')
    with pytest.raises(FileError, match="OFT adapter of peft"):
        load_adapter(tmp_path, networks(models["sd1"]))


def test_what_matches_nothing_is_listed(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sd1"]
    tensors, _ = files.lora(model, files.kohya, "kohya", {"unet": ["middle_block.1.proj_in"]})
    first = next(iter(tensors))
    strange = {
        "lora_unet_nowhere.lora_up.weight": torch.ones(4, 2),
        "lora_unet_nowhere.lora_down.weight": torch.ones(2, 4),
        "something": torch.ones(1),
        f"{first.split('.')[0]}.dora_scale2": torch.ones(1),
    }
    path = saved(tensors | strange, tmp_path / "lora.safetensors")
    with pytest.raises(UnmatchedLoRA, match="4 of its keys match nothing in this model") as raised:
        load_adapter(path, networks(model))
    assert set(raised.value.unknown) == strange.keys()
    assert set(load_adapter(path, networks(model), allow_unmatched=True).unmatched) == strange.keys()


def test_a_lora_for_other_models_is_refused(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    tensors, _ = files.lora(models["sdxl"], files.kohya_xl, "kohya", wanted(models["sdxl"], "kohya SDXL"))
    path = saved(tensors, tmp_path / "lora.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    with pytest.raises(UnmatchedLoRA) as raised:
        load_adapter(path, networks(models["sd2"]))
    assert raised.value.misshapen
    with pytest.raises(UnmatchedLoRA):  # nothing fits at all: there is nothing to go on with
        load_adapter(saved({"lora_unet_x.diff": torch.ones(1)}, path), networks(models["sd1"]), allow_unmatched=True)


def test_the_message_names_the_family(tmp_path: Path) -> None:
    with torch.device("meta"):
        unet = tiny.UNet(tiny.UNetConfig())
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    tensors = {f"{key}.lora_down.weight": torch.ones(1, 2048), f"{key}.lora_up.weight": torch.ones(640, 1)}
    with pytest.raises(UnmatchedLoRA, match=r"made for SDXL, and this model is SD 1\.x"):
        load_adapter(saved(tensors, tmp_path / "xl.safetensors"), {"unet": unet})


def test_an_inpainting_model_takes_what_four_channels_learned(tmp_path: Path) -> None:
    model = tiny.model("sd1", task="inpaint")
    tensors = {
        "lora_unet_conv_in.lora_up.weight": torch.randn(32, 2, 1, 1),
        "lora_unet_conv_in.lora_down.weight": torch.randn(2, 4, 3, 3),
    }
    adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    (patch,) = adapter.patches("unet", Strengths())["input_blocks.0.0.weight"]
    before = model.unet.get_parameter("input_blocks.0.0.weight")
    after = patch(before)
    assert not after[:, :4].equal(before[:, :4])
    assert after[:, 4:].equal(before[:, 4:])


def test_damaged_factors_are_refused(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    tensors, _ = files.lora(models["sd1"], files.kohya, "kohya", {"unet": ["middle_block.1.proj_in"]})
    next(iter(tensors.values()))[0, 0] = torch.nan
    with pytest.raises(FileError, match="NaN"):
        load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(models["sd1"]))


def test_block_weights(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sd1"]
    tensors, _ = files.lora(model, files.kohya, "kohya", wanted(model, "kohya"))
    adapter: Adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    blocks = {**parse_blocks("NONE"), "IN01": 0.5, "M00": 2.0, "BASE": -1.0}
    strengths = Strengths(unet=0.8, text=0.4, blocks=tuple(blocks[name] for name in ALL))
    assert strengths.of("unet", "input_blocks.1.1.proj_in.weight") == 0.4
    assert strengths.of("unet", "middle_block.0.in_layers.2.weight") == 1.6
    assert strengths.of("text0", "text_model.encoder.layers.0.mlp.fc1.weight") == -0.4
    assert strengths.of("unet", "time_embed.0.weight") == 0.8  # in no block
    unet = adapter.patches("unet", strengths)
    assert {name.split(".")[0] for name in unet} == {"input_blocks", "middle_block", "time_embed", "out"}
    assert {name.split(".")[1] for name in unet if name.startswith("input_blocks")} == {"1"}
    assert adapter.patches("text0", Strengths(text=0)) == {}


def test_rank_can_be_limited(models: dict[Family, Checkpoint], tmp_path: Path) -> None:
    model = models["sd1"]
    layer = "middle_block.1.transformer_blocks.0.attn1.to_q"
    tensors, known = files.lora(model, files.kohya, "kohya", {"unet": [layer]})
    adapter = load_adapter(saved(tensors, tmp_path / "lora.safetensors"), networks(model))
    (patch,) = adapter.patches("unet", Strengths(rank=1))[f"{layer}.weight"]
    up, down = known[f"unet/{layer}"]
    torch.testing.assert_close(patch(torch.zeros(64, 64)), up[:, :1] @ down[:1])
