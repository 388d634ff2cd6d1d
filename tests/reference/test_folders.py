"""Folders that diffusers writes load strictly: every weight in its place, and the same answers."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EDMDPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor

from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.detect import Family, NotDetected
from fromnoise.checkpoints.load import Checkpoint, load_checkpoint, load_vae
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.errors import FileError
from fromnoise.nn.unet import UNetConfig, guidance_embedding, timestep_embedding
from tests import tiny
from tests.reference import peers
from tests.reference.test_networks import relative, small
from tests.reference.test_single_file import tokenizer

TOLERANCE = 1e-5  # relative to the largest number


def text(config: Any) -> Any:
    return replace(config, vocab_size=600)


TEXT: dict[Family, tuple[Any, ...]] = {
    "sd1": (text(tiny.CLIP_L),),
    "sd2": (replace(text(tiny.OPENCLIP), projection_dim=None, layers=4),),  # its last layer is left out
    "sdxl": (text(tiny.CLIP_L), text(tiny.OPENCLIP)),
    "sdxl_refiner": (text(tiny.OPENCLIP),),
}
LATENTS = {"mean": (-1.6574, 1.886, -1.383, 2.5155), "std": (8.4927, 5.9022, 6.5498, 5.2299)}
XL = tiny.unet_config("sdxl")


def pipeline(family: Family, unet: UNetConfig, vae: Any, scheduler: Any, kind: Any = None) -> Any:
    """A whole pipeline of random networks."""
    torch.manual_seed(5)
    networks = {"unet": small(peers.unet(unet)), "vae": small(peers.vae(vae))}
    networks["unet"].register_to_config(sample_size=64)
    texts = [small(peers.text(config)) for config in TEXT[family]]
    parts: dict[str, Any] = {"scheduler": scheduler, **networks}
    if family.startswith("sdxl"):
        refiner = family == "sdxl_refiner"
        kind = kind or (StableDiffusionXLImg2ImgPipeline if refiner else StableDiffusionXLPipeline)
        parts |= {"text_encoder": None if refiner else texts[0], "tokenizer": None if refiner else tokenizer()}
        return kind(**parts, text_encoder_2=texts[-1], tokenizer_2=tokenizer())
    kind = kind or StableDiffusionPipeline
    parts |= {"text_encoder": texts[0], "tokenizer": tokenizer(), "safety_checker": None, "feature_extractor": None}
    return kind(**parts, image_encoder=None, requires_safety_checker=False)


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
EPS = EulerDiscreteScheduler(**BETAS)
V = DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False)
V_ZSNR = DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False, rescale_betas_zero_snr=True)


def cut_down(middle: int, **changes: Any) -> UNetConfig:
    return replace(XL, middle_depth=middle, **changes)


Make = Callable[[], Any]
MODELS: dict[str, tuple[Family, UNetConfig, dict[str, Any], Any, Any]] = {
    "sd1": ("sd1", tiny.unet_config("sd1"), {}, EPS, None),
    "sd1 v zsnr": ("sd1", tiny.unet_config("sd1"), {}, V_ZSNR, None),
    "inpaint": ("sd1", tiny.unet_config("sd1", "inpaint"), {}, EPS, StableDiffusionInpaintPipeline),
    "pix2pix": ("sd1", tiny.unet_config("sd1", "instruct"), {}, EPS, StableDiffusionInstructPix2PixPipeline),
    "lcm": ("sd1", replace(tiny.unet_config("sd1"), guidance_dim=16), {}, LCMScheduler(), None),
    "sd2": ("sd2", tiny.unet_config("sd2"), {}, EPS, None),
    "sd2 v": ("sd2", tiny.unet_config("sd2"), {}, V, None),
    "sdxl": ("sdxl", XL, {}, EPS, None),
    "sdxl inpaint": ("sdxl", tiny.unet_config("sdxl", "inpaint"), {}, EPS, StableDiffusionXLInpaintPipeline),
    "refiner": ("sdxl_refiner", tiny.unet_config("sdxl_refiner"), {}, EPS, None),
    "playground": ("sdxl", XL, {**LATENTS, "scale_factor": 0.5}, EDMDPMSolverMultistepScheduler(), None),
    "ssd-1b": ("sdxl", cut_down(-1), {}, EPS, None),
    "koala": ("sdxl", cut_down(-2), {}, EPS, None),
}


def saved(path: Path, name: str) -> Any:
    family, unet, vae, scheduler, kind = MODELS[name]
    made = pipeline(family, unet, replace(tiny.VAE, **vae), scheduler, kind)
    made.save_pretrained(path)
    return made


@torch.no_grad()
def check_answers(ours: Checkpoint, theirs: Any) -> None:
    """The same numbers from every network."""
    torch.manual_seed(1)
    config = ours.unet.config
    x, t = torch.randn(2, config.in_channels, 8, 8), torch.tensor([3.0, 700.0])
    context, y, guidance, more = torch.randn(2, 5, config.context_dim), None, None, {}
    if config.vector_dim:
        pooled = torch.randn(2, tiny.OPENCLIP.dim)
        sizes = torch.randint(0, 1024, (2, (config.vector_dim - tiny.OPENCLIP.dim) // peers.SIZES)).float()
        y = torch.cat((pooled, timestep_embedding(sizes.flatten(), peers.SIZES).reshape(2, -1)), dim=1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    if config.guidance_dim:
        guidance = guidance_embedding(torch.tensor([1.0, 8.5]), config.guidance_dim)
        told = theirs.get_guidance_scale_embedding(torch.tensor([0.0, 7.5]), config.guidance_dim)
        torch.testing.assert_close(guidance, told, rtol=1e-5, atol=1e-5)
        more["timestep_cond"] = told
    answer = ours.unet(x, t, context, y, guidance=guidance)
    assert relative(answer, theirs.unet(x, t, context, **more).sample) < TOLERANCE
    assert ours.vae is not None
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    theirs_latents = theirs.vae.encode(image).latent_dist.mean
    vae = theirs.vae.config
    numbers = (vae.latents_mean or [0.0], vae.latents_std or [1.0])
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in numbers)
    assert relative(ours.vae.encode(image), (theirs_latents - mean) * vae.scaling_factor / std) < TOLERANCE
    assert relative(ours.vae.decode(ours.vae.encode(image)), theirs.vae.decode(theirs_latents).sample) < 10 * TOLERANCE
    tokens = torch.tensor([[598, 5, 60, 599, 599]])
    encoders = [e for e in (theirs.text_encoder, getattr(theirs, "text_encoder_2", None)) if e is not None]
    for ours_text, theirs_text in zip(ours.text, encoders, strict=True):
        out = theirs_text(tokens, output_hidden_states=True)
        for a, b in zip(ours_text(tokens).hidden_states, out.hidden_states, strict=True):
            assert relative(a, b) < TOLERANCE


@pytest.mark.parametrize("name", MODELS)
def test_every_family(tmp_path: Path, name: str) -> None:
    theirs = saved(tmp_path / "model", name)
    family, unet, vae, _, _ = MODELS[name]
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.family == family
    assert replace(loaded.unet.config, heads=unet.heads, head_dim=unet.head_dim) == unet
    assert loaded.facts.vae == replace(tiny.VAE, **{"scale_factor": tiny.VAE.scale_factor, **vae})
    assert (loaded.facts.prediction, loaded.facts.zero_snr) == {
        "sd1 v zsnr": ("v", True), "sd2 v": ("v", False), "playground": ("edm", False)
    }.get(name, ("eps", False))  # fmt: skip
    assert loaded.facts.sigmas == ((0.002, 80.0) if name == "playground" else None)
    assert loaded.facts.text_layer == (1 if family in ("sd1", "sd2") else 2)
    assert [config.act for config in loaded.facts.text] == [config.act for config in TEXT[family]]
    check_answers(loaded, theirs)
    described = describe(tmp_path / "model", check=True)
    assert (described.format, described.holds, described.unknown) == ("diffusers", "checkpoint", ())
    assert described.facts == loaded.facts
    assert described.size == sum(file.stat().st_size for file in (tmp_path / "model").rglob("*.safetensors"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = tmp_path_factory.mktemp("diffusers") / "sdxl"
    return path, saved(path, "sdxl")


@pytest.mark.parametrize("how", [{"safe_serialization": False}, {"variant": "fp16"}, {"max_shard_size": "200KB"}])
def test_other_ways_to_save(tmp_path: Path, model: tuple[Path, Any], how: dict[str, Any]) -> None:
    """As pickles, as a variant, in shards."""
    _, theirs = model
    theirs.save_pretrained(tmp_path, **how)
    if "max_shard_size" in how:
        assert len(list((tmp_path / "unet").glob("*-of-*.safetensors"))) > 2
    check_answers(load_checkpoint(tmp_path), theirs)


def test_variants(tmp_path: Path, model: tuple[Path, Any]) -> None:
    """The plain one if none is asked for; a name that is not there is refused with those that are."""
    _, theirs = model
    theirs.save_pretrained(tmp_path)
    half = pipeline("sdxl", XL, tiny.VAE, EPS).to(torch.float16)
    half.save_pretrained(tmp_path, variant="fp16")
    assert load_checkpoint(tmp_path).unet.out[2].weight.dtype == torch.float32
    assert load_checkpoint(tmp_path, variant="fp16").unet.out[2].weight.dtype == torch.float16
    with pytest.raises(FileError, match="no variant 'ema'; there is the plain one, fp16"):
        load_checkpoint(tmp_path, variant="ema")


def test_shards_of_a_variant(tmp_path: Path, model: tuple[Path, Any]) -> None:
    _, theirs = model
    theirs.save_pretrained(tmp_path, variant="fp16", max_shard_size="200KB")
    check_answers(load_checkpoint(tmp_path), theirs)


def test_networks_by_themselves(tmp_path: Path, model: tuple[Path, Any]) -> None:
    """A folder or file of one network serves for it: the U-Net, the autoencoder, either text encoder."""
    path, theirs = model
    other = tiny.checkpoint(tmp_path / "base.safetensors", "sdxl", seed=9, text=TEXT["sdxl"])
    for as_file in (False, True):
        names = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
        names["text_encoder_2"] = "model"
        parts = {part: path / part / (f"{name}.safetensors" if as_file else "") for part, name in names.items()}
        loaded = load_checkpoint(
            other,
            unet=parts["unet"],
            vae=parts["vae"],
            text_encoders=[parts["text_encoder_2"], parts["text_encoder"]],  # in any order
        )
        if as_file:  # nothing tells the scale of the latents
            assert loaded.facts.vae is not None
            assert loaded.facts.vae.scale_factor == 0.13025
            theirs.vae.register_to_config(scaling_factor=0.13025)
        check_answers(loaded, theirs)
        theirs.vae.register_to_config(scaling_factor=tiny.VAE.scale_factor)
        assert len(loaded.files) == 5
        assert load_vae(parts["vae"]).config.scale_factor == tiny.VAE.scale_factor
    lone = load_checkpoint(path / "unet")
    assert (lone.vae, lone.text) == (None, ())
    with pytest.raises(NotDetected, match="vae holds no U-Net; give a file that has one"):
        load_checkpoint(other, unet=path / "vae")


# Folders that are not whole, or not what they say.


@pytest.fixture
def broken(tmp_path: Path, model: tuple[Path, Any]) -> Path:
    shutil.copytree(model[0], tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_missing_parts_are_named(broken: Path) -> None:
    (broken / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(FileError, match="vae holds no weights: this part of the model is missing"):
        load_checkpoint(broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(FileError, match="vae holds no weights"):
        load_checkpoint(broken)
    edit(broken / "model_index.json", vae=[None, None])
    assert load_checkpoint(broken).vae is None
    (broken / "unet" / "config.json").unlink()
    with pytest.raises(FileError, match=r"unet.config\.json is missing"):
        load_checkpoint(broken)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet/config.json", {"norm_num_groups": 8}, "norm_num_groups of its unet is 8, where only 32"),
        ("unet/config.json", {"attention_head_dim": [3, 5]}, "heads of several sizes"),
        ("vae/config.json", {"shift_factor": 0.1}, "shift_factor"),
        ("vae/config.json", {"scaling_factor": "1e999"}, "sets fromnoise.vae.scale_factor"),
        ("vae/config.json", {"latents_mean": [1, "x"]}, "sets fromnoise.vae.mean"),
        ("text_encoder/config.json", {"hidden_act": "relu"}, "sets fromnoise.text0.act"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "predicts 'sample'"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "linear"}, "beta_schedule"),
    ],
)
def test_what_our_networks_do_not_do_is_refused(broken: Path, part: str, changes: dict[str, Any], message: str) -> None:
    edit(broken / part, **changes)
    with pytest.raises(FileError, match=message):
        load_checkpoint(broken)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b'{"a": ' + b" " * (2 << 20) + b"1}", b"\xff"])
def test_damaged_configurations(broken: Path, content: bytes) -> None:
    for part in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json"):
        before = (broken / part).read_bytes()
        (broken / part).write_bytes(content)
        with pytest.raises(FileError, match=r"is not JSON|holds no table"):
            load_checkpoint(broken)
        (broken / part).write_bytes(before)


@pytest.mark.parametrize(
    "name",
    [
        "../../vae/diffusion_pytorch_model.safetensors",
        "/etc/passwd",
        "C:\\diffusion_pytorch_model.safetensors",
        "sub/diffusion_pytorch_model.safetensors",
        "config.json",
        "diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model.safetensors\0",
        "",
        5,
    ],
)
def test_an_index_names_nothing_outside_its_folder(broken: Path, name: object) -> None:
    index = broken / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": name}}))
    with pytest.raises(FileError, match="cannot be used"):
        load_checkpoint(broken)


def test_missing_shards(broken: Path, model: tuple[Path, Any]) -> None:
    shutil.rmtree(broken / "unet")
    model[1].unet.save_pretrained(broken / "unet", max_shard_size="200KB")
    shards = sorted((broken / "unet").glob("*-of-*"))
    lost = shards[1].read_bytes()
    shards[1].unlink()
    with pytest.raises(FileError, match=f"{shards[1].name} does not exist"):
        load_checkpoint(broken)
    shards[1].write_bytes(shards[0].read_bytes())
    with pytest.raises(FileError, match=r"lacks .* more of its weights"):
        load_checkpoint(broken)
    shards[1].write_bytes(lost)
    load_checkpoint(broken)


def test_strange_weights_in_a_folder_are_reported(broken: Path, model: tuple[Path, Any]) -> None:
    state: dict[str, Tensor] = {**model[1].unet.state_dict(), "down_blocks.0.motion.weight": torch.ones(1)}
    save_checkpoint(broken / "unet" / "diffusion_pytorch_model.safetensors", state)
    with pytest.raises(FileError, match=r"1 unknown: .*down_blocks\.0\.motion\.weight"):
        load_checkpoint(broken)
    load_checkpoint(broken, allow_unmatched=True)
