"""A file becomes networks: every weight in its place, none copied, every stray name reported."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from fromnoise.checkpoints.detect import Family, NotDetected, Task
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.load import Checkpoint, UnmatchedKeys, build, convert, load_checkpoint, load_vae
from fromnoise.checkpoints.names import OPEN_CLIP_TEXT, ema_name, vae_to_diffusers
from fromnoise.checkpoints.parts import UNET, VAE, take_apart
from fromnoise.checkpoints.save import layout, save_checkpoint
from fromnoise.errors import FileError
from tests import tiny

FAMILIES = get_args(Family)


def weights_of(model: Checkpoint) -> dict[str, Tensor]:
    networks = {"unet": model.unet, "vae": model.vae, **{f"text{i}": text for i, text in enumerate(model.text)}}
    found = {}
    for name, network in networks.items():
        if network is not None:
            found |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
    return found


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(tensor.equal(b[name]) for name, tensor in a.items())


@pytest.fixture(scope="module")
def sd1() -> Checkpoint:
    return tiny.model("sd1")


def written(path: Path, state: dict[str, Tensor]) -> Path:
    return save_checkpoint(path / "model.safetensors", state, dtype=None)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_every_family(tmp_path: Path, family: Family, suffix: str) -> None:
    model = tiny.model(family)
    path = tmp_path / f"model.{suffix}"
    if suffix == "ckpt":
        torch.save({"state_dict": {name: tensor.contiguous() for name, tensor in layout(model).items()}}, path)
    else:
        save_checkpoint(path, model, dtype=None)
    loaded = load_checkpoint(path, prediction="eps")
    assert same(weights_of(loaded), weights_of(model))
    assert loaded.family == family
    assert loaded.facts == model.facts
    assert loaded.path == path
    for network in (loaded.unet, loaded.vae, *loaded.text):
        assert network is not None
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("task", ["inpaint", "instruct", "depth"])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_more_input_channels(tmp_path: Path, family: Family, task: Task) -> None:
    loaded = load_checkpoint(tiny.checkpoint(tmp_path / "model", family, task=task))
    assert loaded.facts.task == task
    assert loaded.unet.config.in_channels == tiny.CHANNELS[task]


def test_weights_stay_in_the_map(tmp_path: Path, sd1: Checkpoint) -> None:
    """Nothing is copied: the parameter and the file's tensor are the same memory."""
    path = save_checkpoint(tmp_path / "model", sd1, dtype=None)
    weights = read(path)
    unet, vae, text, _ = build(path, take_apart(weights), sd1.facts, allow_unmatched=False)
    for prefix, network in ((UNET, unet), (VAE, vae), ("cond_stage_model.transformer.", text[0])):
        assert network is not None
        for name, parameter in network.named_parameters():
            assert parameter.data_ptr() == weights[prefix + name].data_ptr()


def test_dtype_and_device(tmp_path: Path, sd1: Checkpoint) -> None:
    path = save_checkpoint(tmp_path / "model", sd1, dtype=None)
    loaded = load_checkpoint(path, dtype=torch.bfloat16, device="cpu")
    for name, tensor in weights_of(loaded).items():
        assert tensor.dtype == torch.bfloat16
        assert tensor.equal(weights_of(sd1)[name].bfloat16())
    kept = load_checkpoint(save_checkpoint(tmp_path / "half", sd1, dtype=torch.float16))
    assert {tensor.dtype for tensor in weights_of(kept).values()} == {torch.float16}


def test_convert_in_place(tmp_path: Path, sd1: Checkpoint) -> None:
    unet = load_checkpoint(save_checkpoint(tmp_path / "model", sd1, dtype=None)).unet
    before = dict(unet.named_parameters())
    assert convert(unet, dtype=torch.float16, channels_last=True) is unet
    for name, parameter in unet.named_parameters():
        assert parameter is before[name]
        assert parameter.dtype == torch.float16
        assert parameter.ndim != 4 or parameter.is_contiguous(memory_format=torch.channels_last)
        assert parameter.equal(sd1.unet.state_dict()[name].half())


def test_harmless_leftovers(tmp_path: Path, sd1: Checkpoint) -> None:
    """Old full checkpoints carry the schedule, the loss, positions and more; no picture depends on them."""
    junk = [
        "alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "posterior_mean_coef1",
        "betas",
        "logvar",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.logit_scale",
        "first_stage_model.loss.discriminator.main.0.weight",
        "first_stage_model.model_ema.decay",
        "model_ema.decay",
        "model_ema.num_updates",
        "denoiser.sigmas",
        "embedding_manager.embedder.transformer.text_model.embeddings.position_ids",
    ]
    path = written(tmp_path, {**layout(sd1), **{name: torch.zeros(3) for name in junk}})
    assert same(weights_of(load_checkpoint(path)), weights_of(sd1))


def test_unknown_names_are_reported(tmp_path: Path, sd1: Checkpoint) -> None:
    stray = [UNET + "input_blocks.1.9.weight", VAE + "extra", "cond_stage_model.transformer.odd", "scaled_fp8"]
    many = [f"control_model.{i}" for i in range(9)]
    path = written(tmp_path, {**layout(sd1), **{name: torch.zeros(3) for name in stray + many}})
    with pytest.raises(UnmatchedKeys, match=r"13 unknown: .*, \.\.\.\).*allow_unmatched") as error:
        load_checkpoint(path)
    assert sorted(error.value.unknown) == sorted(stray + many)
    assert str(path) in str(error.value)
    assert same(weights_of(load_checkpoint(path, allow_unmatched=True)), weights_of(sd1))


def test_missing_and_misshapen_weights_are_reported(tmp_path: Path, sd1: Checkpoint) -> None:
    state = layout(sd1)
    del state[UNET + "out.0.bias"], state[VAE + "decoder.conv_out.bias"]
    state[UNET + "out.2.bias"] = torch.zeros(5)
    state[UNET + "time_embed.2.bias"] = torch.zeros(128, dtype=torch.int32)
    path = written(tmp_path, state)
    for allow in (False, True):
        with pytest.raises(UnmatchedKeys, match=r"2 missing: .*; 2 of another shape: .*damaged") as error:
            load_checkpoint(path, allow_unmatched=allow)
        assert error.value.missing == [UNET + "out.0.bias", VAE + "decoder.conv_out.bias"]
        assert sorted(error.value.misshapen) == [UNET + "out.2.bias", UNET + "time_embed.2.bias"]


def test_running_averages(tmp_path: Path, sd1: Checkpoint) -> None:
    """A full checkpoint has both; the caller chooses."""
    averages = {ema_name(name): tensor + 1 for name, tensor in sd1.unet.state_dict().items()}
    assert "model_ema.diffusion_modelinput_blocks00weight" in averages
    path = written(tmp_path, {**layout(sd1), **averages, "model_ema.decay": torch.tensor(0.9999)})
    assert same(weights_of(load_checkpoint(path)), weights_of(sd1))
    averaged = load_checkpoint(path, ema=True).unet.state_dict()
    assert all(averaged[name].equal(tensor + 1) for name, tensor in sd1.unet.state_dict().items())
    bare = written(tmp_path, layout(sd1))
    with pytest.raises(FileError, match="holds no EMA weights"):
        load_checkpoint(bare, ema=True)


def test_data_parallel_prefix(tmp_path: Path, sd1: Checkpoint) -> None:
    path = written(tmp_path, {f"module.{name}": tensor for name, tensor in layout(sd1).items()})
    assert same(weights_of(load_checkpoint(path)), weights_of(sd1))


def test_text_encoder_without_its_prefix(tmp_path: Path, sd1: Checkpoint) -> None:
    """As NovelAI's file and its children have it."""
    path = written(tmp_path, {name.replace(".text_model.", "."): tensor for name, tensor in layout(sd1).items()})
    assert same(weights_of(load_checkpoint(path)), weights_of(sd1))


def test_fused_projections_are_views(tmp_path: Path) -> None:
    model = tiny.model("sd2")
    path = save_checkpoint(tmp_path / "model", model, dtype=None)
    encoder = load_checkpoint(path).text[0]
    attention: Any = encoder.text_model.encoder.layers[0].self_attn  # type: ignore[union-attr]
    q, k = attention.q_proj.weight, attention.k_proj.weight
    assert k.data_ptr() - q.data_ptr() == q.numel() * q.element_size()


def test_another_kind_of_encoder_is_not_taken_for_clip(tmp_path: Path, sd1: Checkpoint) -> None:
    state = {name: tensor for name, tensor in layout(sd1).items() if not name.startswith("cond_stage_model")}
    path = written(tmp_path, {**state, "cond_stage_model.model.cls_token": torch.zeros(1, 1, 4)})
    with pytest.raises(UnmatchedKeys, match="cls_token"):
        load_checkpoint(path)


def test_parts_of_a_checkpoint(tmp_path: Path, sd1: Checkpoint) -> None:
    """A U-Net alone, with and without the prefix; a checkpoint without its autoencoder."""
    for prefix in ("", UNET, "diffusion_model."):
        state = {prefix + name: tensor for name, tensor in sd1.unet.state_dict().items()}
        loaded = load_checkpoint(written(tmp_path, state))
        assert (loaded.vae, loaded.text) == (None, ())
        assert same(dict(loaded.unet.state_dict()), dict(sd1.unet.state_dict()))
    bare = load_checkpoint(tiny.checkpoint(tmp_path / "bare", with_vae=False))
    assert bare.vae is None


def test_what_is_no_checkpoint(tmp_path: Path, sd1: Checkpoint) -> None:
    assert sd1.vae is not None
    path = written(tmp_path, dict(sd1.vae.state_dict()))
    with pytest.raises(NotDetected, match=f"{path} holds an autoencoder alone: give it with --vae"):
        load_checkpoint(path)
    with pytest.raises(NotDetected, match="holds no autoencoder"):
        load_vae(written(tmp_path, dict(sd1.unet.state_dict())))


def as_linear(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor[:, :, 0, 0] if ".attn_1." in name and tensor.ndim == 4 else tensor
        for name, tensor in state.items()
    }


@pytest.mark.parametrize(
    "names", ["ours", "with prefix", "diffusers", "old diffusers", "linear attention", "with loss"]
)
def test_an_autoencoder_of_its_own(tmp_path: Path, sd1: Checkpoint, names: str) -> None:
    assert sd1.vae is not None
    ours = dict(sd1.vae.state_dict())
    theirs = vae_to_diffusers(ours, levels=4, res_blocks=1)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {
        "ours": ours,
        "with prefix": {VAE + name: tensor for name, tensor in ours.items()},
        "diffusers": theirs,
        "old diffusers": {
            next((name.replace(f".{new}.", f".{was}.") for new, was in old.items() if f".{new}." in name), name): tensor
            for name, tensor in theirs.items()
        },
        "linear attention": as_linear(ours),
        "with loss": {**ours, "loss.logvar": torch.zeros(()), "model_ema.decay": torch.zeros(())},
    }[names]
    vae = load_vae(written(tmp_path, state), scale_factor=0.5)
    assert same(dict(vae.state_dict()), ours)
    assert vae.config == replace(sd1.vae.config, scale_factor=0.5)


def test_strange_names_in_an_autoencoder_are_reported(tmp_path: Path, sd1: Checkpoint) -> None:
    assert sd1.vae is not None
    theirs = vae_to_diffusers(sd1.vae.state_dict(), levels=4, res_blocks=1)
    with pytest.raises(UnmatchedKeys, match=r"1 unknown: first_stage_model\.encoder\.what"):
        load_vae(written(tmp_path, {**theirs, "encoder.what.weight": torch.ones(1)}))


def test_with_another_autoencoder(tmp_path: Path, sd1: Checkpoint) -> None:
    """The latents' scale is the family's, whatever the file is."""
    assert sd1.vae is not None
    path = written(tmp_path, dict(sd1.vae.state_dict()))
    xl = load_checkpoint(tiny.checkpoint(tmp_path / "xl", "sdxl", seed=3)).with_vae(path)
    assert xl.vae is not None
    assert xl.facts.vae == xl.vae.config
    assert xl.vae.config.scale_factor == 0.13025
    assert same(dict(xl.vae.state_dict()), dict(sd1.vae.state_dict()))


def test_the_same_answers_after_the_trip(tmp_path: Path) -> None:
    """SDXL's second encoder goes through OpenCLIP's names and back."""
    model = tiny.model("sdxl")
    loaded = load_checkpoint(save_checkpoint(tmp_path / "model", model, dtype=None))
    tokens = torch.tensor([[49406, 320, 1125, 49407]])
    with torch.inference_mode():
        for ours, theirs in zip(loaded.text, model.text, strict=True):
            torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-5, atol=1e-6)
    names = OPEN_CLIP_TEXT.to_theirs(model.text[1].state_dict())
    assert names["text_projection"].equal(model.text[1].text_projection.weight.T)
