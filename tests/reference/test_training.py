"""What is trained here is to diffusers, peft and LyCORIS what it is to us: outputs and gradients."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import transformers
from diffusers import ControlNetModel, StableDiffusionPipeline
from diffusers import T2IAdapter as PeersAdapter
from diffusers.loaders import TextualInversionLoaderMixin

from fromnoise.adapters.lora import LoRA
from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.nn.t2i_adapter import T2IAdapter, T2IAdapterConfig
from fromnoise.nn.unet import SD1
from fromnoise.text.tokenizer import build_vocabulary, read_merges
from fromnoise.train.blocks import Layout
from fromnoise.train.control import ControlNetTraining, ControlOptions, T2IAdapterTraining
from fromnoise.train.embedding import EmbeddingOptions, EmbeddingTraining
from fromnoise.train.factors import BEGINNINGS
from fromnoise.train.initialise import initialise
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import PRODUCTS, LoRAOptions
from tests.engine.models import tiny_model
from tests.reference import peers
from tests.reference.test_networks import pair, relative, shrunk
from tests.train.test_methods import shaken

peft = pytest.importorskip("peft")
lycoris = pytest.importorskip("lycoris")

CONFIG = replace(shrunk(SD1), channel_mult=(1, 2), depths=(1, 1, 0, 0), output_depths=(0, 0, 0, 1, 1, 1))
X, T, CONTEXT = torch.randn(2, 4, 8, 8), torch.tensor([7.0, 801.0]), torch.randn(2, 5, CONFIG.context_dim)


def models() -> tuple[Model, Any]:
    """A model around our U-Net, and diffusers' U-Net with the same weights."""
    torch.manual_seed(0)
    ours, theirs = pair(CONFIG)
    return replace(tiny_model("sd1"), unet=ours), theirs


def trained(on: Model, kind: str = "lora", **more: object) -> LoRATraining:
    fields = {"kind": kind, "rank": 4, "alpha": 2, "text": False, **more}
    training = LoRATraining(on, LoRAOptions.model_validate(fields), 0)
    shaken(training.module, 0.1)
    return training


def test_peft_has_our_outputs_and_gradients(tmp_path: Path) -> None:
    on, theirs = models()
    training = trained(on)
    path = save_checkpoint(tmp_path / "it.safetensors", training.tensors(), dtype=None)
    state, alphas = StableDiffusionPipeline.lora_state_dict(str(path), unet_config=theirs.config)
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=theirs, adapter_name="it")
    for name, parameter in theirs.named_parameters():
        parameter.requires_grad_("lora_" in name)
    with training.applied():
        ours = on.unet(X, T, CONTEXT)
    peers_answer = theirs(X, T, CONTEXT).sample
    assert relative(ours, peers_answer) < 2e-5
    ours.square().mean().backward()
    peers_answer.square().mean().backward()
    wanted = {n: p.grad for n, p in theirs.named_parameters() if "lora_" in n}
    compared = 0
    for site in training.sites:
        base = next(
            n for n in wanted if n.replace(".", "_").startswith(site.name.removeprefix("lora_unet_") + "_lora_A")
        )
        for slot, letter in (("lora_down", "A"), ("lora_up", "B")):
            gradient = wanted[base.replace("lora_A", f"lora_{letter}")]
            own = training.factors[site.name][slot].grad  # type: ignore[index]
            assert relative(own.reshape(gradient.shape), gradient) < 1e-3, (site.name, slot)
            compared += 1
    assert compared == 2 * len(training.sites) > 20


CONVOLUTIONS: dict[str, object] = {"layers": "all", "conv_rank": 3, "conv_alpha": 2}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        *((kind, {}) for kind in BEGINNINGS),
        *((kind, CONVOLUTIONS) for kind in BEGINNINGS if kind not in ("lokr", "oft", "tlora")),  # which it can't read
        *((kind, {"dora": True}) for kind in ("lora", "loha", "lokr")),
        *((kind, {**CONVOLUTIONS, "tucker": True}) for kind in ("lora", "loha")),
        *((kind, {"rs_lora": True}) for kind in ("lora", "loha")),
        *((kind, {"rescaled": True}) for kind in ("oft", "boft")),
        ("lokr", {"decompose_both": True, "rank": 1}),
        ("lokr", {"full_matrix": True}),
        ("full", {"norms": True}),
        *((kind, {"scalar": True}) for kind in PRODUCTS),
        ("dylora", {"block_size": 2}),
        ("lora", {"frozen_down": True}),
        ("ia3", {"layers": "ia3"}),
    ],
    ids=str,
)
def test_lycoris_does_what_we_trained(kind: str, more: dict[str, object]) -> None:
    on, theirs = models()
    training = trained(on, kind, **more)
    plain = theirs(X, T, CONTEXT).sample
    apply_lycoris(training, theirs)
    with torch.no_grad(), training.applied():
        ours = on.unet(X, T, CONTEXT)
    answer = theirs(X, T, CONTEXT).sample
    assert relative(plain, answer) > 1e-3
    assert relative(ours, answer) < 5e-5


def apply_lycoris(training: LoRATraining, theirs: Any) -> None:
    tensors = {name.replace("lora_unet_", "lycoris_"): tensor for name, tensor in training.tensors().items()}
    if training.options.kind != "ia3":
        network, _ = lycoris.create_lycoris_from_weights(1.0, "", theirs, weights_sd=tensors)  # its prefix for any
        network.apply_to()
        assert len(network.loras) == len(training.sites)
        return
    by_name = {"lycoris_" + name.replace(".", "_"): module for name, module in theirs.named_modules()}
    for site in training.sites:  # its reader fails on the tensor that tells the side
        name = site.name.replace("lora_unet_", "lycoris_")
        on_input = bool(tensors[f"{name}.on_input"])
        module = lycoris.modules.ia3.IA3Module(name, by_name[name], 1.0, train_on_input=on_input)
        assert module.weight.shape == tensors[f"{name}.weight"].shape
        module.weight.data.copy_(tensors[f"{name}.weight"])
        module.apply_to()


OURS = {"scalar": "scalar", "dora_scale": "dora_scale", **{s: f"{s}.weight" for s in ("lora_up", "lora_down", "a1",
        "a2", "b1", "b2", "q_layer", "p_layer")}}  # fmt: skip
LEARNT: list[tuple[str, dict[str, object], str, dict[str, object]]] = [
    ("lora", {"scalar": True}, "LoConModule", {"use_scalar": True}),
    ("loha", {"scalar": True}, "LohaModule", {"use_scalar": True}),
    ("lokr", {"scalar": True, "factor": 4}, "LokrModule", {"use_scalar": True, "factor": 4}),
    ("glora", {"scalar": True}, "GLoRAModule", {"use_scalar": True}),
    ("lora", {"scalar": True, "dora": True}, "LoConModule", {"use_scalar": True, "weight_decompose": True}),
    ("lora", {"dora": True, "dora_columns": True}, "LoConModule", {"weight_decompose": True, "wd_on_out": False}),
    ("lokr", {"dora": True, "dora_columns": True}, "LokrModule", {"weight_decompose": True, "wd_on_out": False}),
    ("lokr", {"full_matrix": True}, "LokrModule", {"full_matrix": True}),
    ("lokr", {"unbalanced": True, "factor": 2}, "LokrModule", {"unbalanced_factorization": True, "factor": 2}),
    ("tlora", {}, "TLoraModule", {}),
]


@pytest.mark.parametrize(("kind", "more", "cls", "theirs"), LEARNT, ids=lambda value: str(value))
def test_lycoris_learns_the_same(kind: str, more: dict[str, object], cls: str, theirs: dict[str, object]) -> None:
    """Its modules with our factors: the same answers, gradients and names in files, of a linear layer and of a 3x3."""
    on, peer = models()
    wide = {} if kind == "tlora" else CONVOLUTIONS
    training = trained(on, kind, **more, **wide)
    modules = {name.replace(".", "_"): module for name, module in peer.named_modules()}
    for ending in ("attn1_to_q", "ff_net_2", *(["resnets_0_conv2"] if wide else [])):
        site = next(site for site in training.sites if site.name.endswith(ending))
        layer, rank, alpha = modules[site.name.removeprefix("lora_unet_")], *((3, 2) if "conv" in ending else (4, 2))
        module = getattr(lycoris.modules, cls)("it", layer, 1.0, rank, alpha, **theirs)
        factors = dict(training.factors[site.name].items())  # type: ignore[operator]
        own = dict(module.named_parameters())
        assert {OURS.get(slot, slot) for slot in factors} == own.keys()
        for slot, tensor in factors.items():
            own[OURS.get(slot, slot)].data = tensor.detach().clone()
        if kind == "tlora":
            assert relative(module.base_p @ (module.base_lambda.T * module.base_q), base(training, site.name)) < 1e-5
        files = {name.removeprefix(f"{site.name}.") for name in training.tensors() if name.startswith(f"{site.name}.")}
        assert files == set(module.state_dict())
        for name, tensor in module.state_dict().items():
            assert relative(training.tensors()[f"{site.name}.{name}"].view_as(tensor), tensor) < 1e-5, name
        module.apply_to()
        x = torch.randn(2, layer.in_channels, 6, 6) if "conv" in ending else torch.randn(2, 5, layer.in_features)
        with training.applied():
            ours = on.unet.get_submodule(site.layer)(x)
        answer = layer(x)
        assert relative(ours, answer) < 1e-5
        ours.square().mean().backward()
        answer.square().mean().backward()
        for slot, tensor in factors.items():
            assert relative(tensor.grad, own[OURS.get(slot, slot)].grad) < 1e-4, slot


def base(training: LoRATraining, name: str) -> torch.Tensor:
    held = training.fixed[name]
    return held["base_p"].flatten(1) @ (held["base_lambda"].T * held["base_q"].flatten(1))


def test_lycoris_shortens_a_dylora_as_we_do() -> None:
    """So many ranks of the same factors, of which the last learn; it divides by units, we by ranks: see docs."""
    on, peer = models()
    training = trained(on, "dylora", block_size=2)
    site = training.sites[0]
    layer = {name.replace(".", "_"): m for name, m in peer.named_modules()}[site.name.removeprefix("lora_unet_")]
    module = lycoris.modules.dylora.DyLoraModule("it", layer, 1.0, 4, 2, block_size=2)
    factors = dict(training.factors[site.name].items())  # type: ignore[operator]
    for i in range(2):
        module.up_list[i].data = factors["lora_up"].detach().flatten(1)[:, 2 * i : 2 * i + 2].clone()
        module.down_list[i].data = factors["lora_down"].detach().flatten(1)[2 * i : 2 * i + 2].clone()
    lora = training.changes[site.name]["weight"]
    assert isinstance(lora, LoRA)
    seen = set()
    for _ in range(12):
        short = training.dropouts.shortened(lora)
        ours, theirs = (
            short.delta(on.unet.get_submodule(site.layer).weight),
            module.get_diff_weight(rank=short.rank - 2)[0],
        )
        assert relative(2 * ours, theirs) < 1e-5
        gradients = torch.autograd.grad(ours.square().sum(), list(factors.values()))
        for slot, gradient in zip(factors, gradients, strict=True):
            rows = gradient.flatten(1) if slot == "lora_down" else gradient.flatten(1).T
            learning = [bool(row.abs().sum()) for row in rows]
            assert learning == [short.rank - 2 <= i < short.rank for i in range(4)], slot
        seen.add(short.rank)
    assert seen == {2, 4}
    with torch.no_grad():
        assert training.dropouts.shortened(lora) is lora


PEFT: dict[str, tuple[str, dict[str, object], dict[str, str]]] = {
    "loha": ("LoHaConfig", {"r": 2, "alpha": 2},
             {name: name for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")}),
    "lokr": ("LoKrConfig", {"r": 2, "alpha": 2, "decompose_factor": 4},
             {name: name for name in ("lokr_w1", "lokr_w2_a", "lokr_w2_b", "lokr_w2")}),
    "dora": ("LoraConfig", {"r": 2, "lora_alpha": 2, "use_dora": True},
             {"lora_down": "lora_A.default", "lora_up": "lora_B.default",
              "dora_scale": "lora_magnitude_vector.default"}),
    "ia3": ("IA3Config", {"feedforward_modules": []}, {"weight": "ia3_l"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PEFT)
def test_peft_does_what_we_trained(kind: str) -> None:
    on, theirs = models()
    for unet in (on.unet, theirs):
        for name, parameter in unet.named_parameters():
            if name.endswith("to_out.0.bias"):
                parameter.data.zero_()  # which peft's IA3 multiplies as well
    config, more, names = PEFT[kind]
    training = trained(
        on, "lora" if kind == "dora" else kind, layers="attention", factor=4, rank=2, dora=kind == "dora"
    )
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    peer = peft.get_peft_model(theirs, getattr(peft, config)(target_modules=targets, **more))
    known = dict(peer.named_parameters())
    pairs = []
    for site in training.sites:
        base = site.name.removeprefix("lora_unet_") + "_base_layer"
        stem = next(n for n in known if n.removeprefix("base_model.model.").replace(".", "_").startswith(base))
        for slot, name in names.items():
            if slot not in training.factors[site.name]:  # type: ignore[operator]
                continue
            mine = training.factors[site.name][slot]  # type: ignore[index]
            found = next(p for n, p in known.items() if n.startswith(stem.partition("base_layer")[0] + name))
            found.data.copy_((mine + 1 if kind == "ia3" else mine).detach().view_as(found))
            pairs.append((mine, found.requires_grad_(True)))
    with training.applied():
        ours = on.unet(X, T, CONTEXT)
    answer = peer(X, T, CONTEXT).sample
    assert relative(ours, answer) < 5e-5
    ours.square().mean().backward()
    answer.square().mean().backward()
    assert len(pairs) >= len(training.sites) > 10
    for mine, found in pairs:  # peft takes the lengths that DoRA divides by as constants
        assert kind == "dora" or relative(mine.grad.view_as(found.grad), found.grad) < 1e-3


def test_diffusers_reads_our_words(tmp_path: Path) -> None:
    """Its loader takes {token: vectors}, or AUTOMATIC1111's tree, from torch.load or safetensors."""
    on = tiny_model("sd1")
    training = EmbeddingTraining(on, EmbeddingOptions(token="newword", vectors=2), 0)
    encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=49408
    ))  # fmt: skip
    for ending in (".safetensors", ".pt"):
        training.write(tmp_path / f"newword{ending}", {})
        loader = Loader()
        loader.tokenizer, loader.text_encoder = tokenizer(tmp_path), encoder
        loader.load_textual_inversion(str(tmp_path), weight_name=f"newword{ending}", token=f"<w{ending[1]}>")
        ids = loader.tokenizer.convert_tokens_to_ids([f"<w{ending[1]}>", f"<w{ending[1]}>_1"])
        found = encoder.get_input_embeddings().weight[ids]
        torch.testing.assert_close(found, training.tensors()["emb_params"], rtol=1e-2, atol=1e-3)


def test_diffusers_loads_our_text_encoders_too(tmp_path: Path) -> None:
    """A LoRA of U-Net and text encoder, through `load_lora_weights`."""
    on = tiny_model("sd1")
    training = LoRATraining(on, LoRAOptions.model_validate({"rank": 4, "alpha": 2}), 0)
    shaken(training.module, 0.1)
    path = training.write(tmp_path / "it.safetensors", {})
    theirs = peers.text(on.facts.text[0])
    theirs.load_state_dict({n.removeprefix("text_model."): t for n, t in on.text[0].state_dict().items()}, strict=False)
    state, alphas = StableDiffusionPipeline.lora_state_dict(str(path))
    said = {name for name in state if name.startswith("text_encoder.")}
    assert len(said) == 2 * sum(site.network == "text0" for site in training.sites) > 0
    StableDiffusionPipeline.load_lora_into_text_encoder(
        state, network_alphas=alphas, text_encoder=theirs, prefix="text_encoder", adapter_name="it"
    )
    ids = torch.randint(0, 49_000, (2, 77))
    with torch.no_grad(), training.applied():
        ours = on.text[0](ids).last
    assert relative(ours, theirs(ids).last_hidden_state) < 1e-3  # the file is in float16
    assert relative(on.text[0](ids).last, ours) > 1e-2


def test_diffusers_loads_our_controlnet(tmp_path: Path) -> None:
    on, _ = models()
    training = ControlNetTraining(on, ControlOptions(), 0)
    shaken(training.module, 0.02)
    path = training.write(tmp_path / "it.safetensors", {})
    peers.controlnet(training.network.config).save_config(str(tmp_path / "config"))
    theirs = ControlNetModel.from_single_file(str(path), config=str(tmp_path / "config"), local_files_only=True)
    hint = torch.rand(2, 3, 64, 64)
    down, middle = theirs(X, T, CONTEXT, controlnet_cond=hint, return_dict=False)
    ours = training.network(X, T, CONTEXT, training.network.guide([hint]))
    assert max(relative(a, b) for a, b in zip(ours, (*down, middle), strict=True)) < 1e-2  # the file is in float16


@pytest.mark.parametrize("xl", [False, True])
def test_diffusers_loads_our_adapter(xl: bool, tmp_path: Path) -> None:
    on, _ = models()
    training = T2IAdapterTraining(on, ControlOptions(), 0)
    training.network = T2IAdapter(T2IAdapterConfig(widths=(32, 64, 64, 64), xl=xl))
    initialise(training.network, 0)
    path = training.write(tmp_path / "diffusion_pytorch_model.safetensors", {})
    theirs, hint = PeersAdapter.from_pretrained(str(tmp_path)), torch.rand(2, 3, 64, 64)
    pairs = list(zip(training.network(hint), theirs(hint), strict=True))
    assert max(relative(a, b) for a, b in pairs) < 1e-2  # the file is in float16
    again = load_control(path)
    assert max(relative(a, b) for a, b in zip(again(hint), training.network(hint), strict=True)) < 1e-2


class Loader(TextualInversionLoaderMixin):
    """What diffusers' mix-in wants of a pipeline."""

    tokenizer: Any
    text_encoder: Any
    components: ClassVar[dict[str, Any]] = {}
    hf_device_map = None


def tokenizer(folder: Path) -> Any:
    """CLIP's, of our vocabulary."""
    merges = read_merges()
    (folder / "vocab.json").write_text(json.dumps(build_vocabulary(merges)))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges))
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def test_diffusers_reads_other_sizes_in_each_block(tmp_path: Path) -> None:
    """kohya's block_dims, through `load_lora_into_unet`."""
    on, theirs = models()
    count = Layout.of(on).count
    dims = ",".join(str(number % 3 + 1) for number in range(count))
    training = trained(on, "lora", text=False, blocks={"block_dims": dims})
    training.stored = torch.float32
    path = training.write(tmp_path / "it.safetensors", {})
    state, alphas = StableDiffusionPipeline.lora_state_dict(str(path), unet_config=theirs.config)
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=theirs, adapter_name="it")
    ranks = {len(t) for name, t in theirs.named_parameters() if ".lora_A." in name}
    assert ranks == {len(t) for name, t in training.tensors().items() if name.endswith("lora_down.weight")}
    assert len(ranks) > 1
    with torch.no_grad(), training.applied():
        ours = on.unet(X, T, CONTEXT)
    assert relative(ours, theirs(X, T, CONTEXT).sample) < 5e-5
