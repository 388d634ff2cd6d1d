"""Every layout of every family becomes every other, and nothing half-done is left behind."""

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fromnoise.checkpoints import opening, save
from fromnoise.checkpoints.convert import convert, prune
from fromnoise.checkpoints.deferred import Deferred, computed, deferred
from fromnoise.checkpoints.load import Checkpoint, UnmatchedKeys, load_checkpoint, load_vae
from fromnoise.checkpoints.names import ema_name
from fromnoise.checkpoints.save import NonFinite
from fromnoise.errors import FileError, UnknownName, UserError
from tests import tiny

KINDS: dict[str, dict[str, Any]] = {
    "sd1": {},
    "sd1 v zsnr": {"prediction": "v", "zero_snr": True},
    "sd1 inpaint": {"task": "inpaint"},
    "sd1 instruct": {"task": "instruct"},
    "sd2": {"prediction": "v"},
    "sd2 depth": {"task": "depth"},
    "sd2 unclip": {"task": "unclip"},
    "sdxl": {},
    "sdxl inpaint": {"task": "inpaint"},
    "sdxl_refiner": {},
    "sdxl koala": {"unet": replace(tiny.unet_config("sdxl"), middle_depth=-2)},
    "sdxl uneven": {
        "unet": replace(tiny.unet_config("sdxl"), depths=(0, 2), output_depths=(2, 1, 0, 0)),
    },
    "sd1 lcm": {"unet": replace(tiny.unet_config("sd1"), guidance_dim=16)},
}


def made(path: Path, name: str) -> Path:
    family: Any = name.split()[0]
    return tiny.checkpoint(path, family, **KINDS[name])


def weights(model: Checkpoint) -> dict[str, Tensor]:
    """All of a model, without SD 2.x's last layer of text, which diffusers has no place for."""
    networks = {"unet": model.unet, "vae": model.vae, "vision": model.vision}
    networks |= {f"text{i}": encoder for i, encoder in enumerate(model.text)}
    found = {f"{n}.{key}": t for n, network in networks.items() if network for key, t in network.state_dict().items()}
    dropped = ("text0.text_model.encoder.layers.23.", "text0.text_projection")
    return {k: t for k, t in found.items() if model.family != "sd2" or not k.startswith(dropped)}


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    a, b = weights(one), weights(other)
    assert set(a) == set(b)
    assert [name for name in a if not torch.equal(a[name].float(), b[name].float())] == []
    text = (None, None) if one.family == "sd2" else (one.facts.text, other.facts.text)
    assert text[0] == text[1]
    facts = [replace(model.facts, text=(), prediction_from="caller") for model in (one, other)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("name", KINDS)
def test_there_and_back(tmp_path: Path, name: str) -> None:
    """original, diffusers, original again: the same model, and the same file where nothing was left out."""
    path = made(tmp_path / "a.safetensors", name)
    convert(path, tmp_path / "folder")
    assert_same(load_checkpoint(path), load_checkpoint(tmp_path / "folder"))
    convert(tmp_path / "folder", tmp_path / "b.safetensors")
    assert_same(load_checkpoint(path), load_checkpoint(tmp_path / "b.safetensors"))
    convert(path, tmp_path / "c.safetensors")
    if not name.startswith("sd2"):
        names = (load_file(tmp_path / f"{letter}.safetensors") for letter in "abc")
        for one, other in pairwise(names):
            assert set(one) == set(other)
            assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a.safetensors", "b.safetensors", "c.safetensors", "folder"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["sd1 v zsnr", "sd2", "sdxl", "sdxl_refiner"])
def test_networks_alone_and_together_again(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "a.safetensors", name)
    texts = {"sdxl": ["clip_l", "clip_g"]}.get(name, ["clip"])
    for layout in ("unet", "vae", *texts):
        convert(path, tmp_path / f"{layout}.safetensors", to=layout)
    assert all(
        key.startswith(("decoder.", "encoder.", "quant", "post_")) for key in load_file(tmp_path / "vae.safetensors")
    )
    convert(
        tmp_path / "unet.safetensors",
        tmp_path / "b.safetensors",
        vae=tmp_path / "vae.safetensors",
        text_encoders=[tmp_path / f"{text}.safetensors" for text in texts],
    )
    assert_same(load_checkpoint(path), load_checkpoint(tmp_path / "b.safetensors"))
    for layout in ("unet", "vae", *texts):  # each as a folder of its own, and back
        convert(tmp_path / f"{layout}.safetensors", tmp_path / layout)
        kind = layout if layout in ("unet", "vae") else "clip"
        convert(tmp_path / layout, tmp_path / f"{layout}2.safetensors", to=kind)
        one, other = load_file(tmp_path / f"{layout}.safetensors"), load_file(tmp_path / f"{layout}2.safetensors")
        names = set(one) - {"v_pred", "ztsnr"}  # a U-Net's own folder has no place for these
        assert names == set(other) - {"v_pred", "ztsnr"}
        assert all(torch.equal(one[key], other[key]) for key in names)
    scale = load_checkpoint(path).facts.vae.scale_factor  # type: ignore[union-attr]
    assert load_vae(tmp_path / "vae").config.scale_factor == scale


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sd1 v zsnr", "f32"),
        ("sd2", "f16"),
        ("sdxl", "bf16"),
        ("sdxl", "q8_0"),
        ("sd2", "q5_1"),
        ("sd1 v zsnr", "q4_0"),
    ],
)
def test_gguf(tmp_path: Path, name: str, kind: str) -> None:
    """A U-Net as near as the number format allows, with what its shapes don't tell."""
    path = made(tmp_path / "a.safetensors", name)
    convert(path, tmp_path / "u.gguf", dtype=kind.upper())
    ours, theirs = load_checkpoint(path), load_checkpoint(tmp_path / "u.gguf")
    assert replace(theirs.facts, prediction_from="caller", vae=ours.facts.vae, text=ours.facts.text) == replace(
        ours.facts, prediction_from="caller"
    )
    worst = 0.0
    for key, weight in ours.unet.state_dict().items():
        found = computed(theirs.unet.state_dict()[key].data).float()
        assert found.shape == weight.shape
        worst = max(worst, float((found - weight).norm() / weight.norm()))
    limits = {"f32": 0, "f16": 1e-3, "bf16": 4e-3, "q8_0": 0.01, "q5_1": 0.05, "q5_0": 0.06, "q4_1": 0.1, "q4_0": 0.12}
    assert worst <= limits[kind]
    if kind != "f32":
        assert (tmp_path / "u.gguf").stat().st_size < 0.6 * sum(w.nbytes for w in ours.unet.state_dict().values())
    convert(tmp_path / "u.gguf", tmp_path / "b.safetensors", vae=path, text_encoders=[path], dtype="fp32")
    again = load_checkpoint(tmp_path / "b.safetensors")
    assert again.facts.family == ours.facts.family
    assert again.facts.prediction == ours.facts.prediction


def test_what_gguf_cannot_make_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    with pytest.raises(UserError, match="not written as Q4_K_M; write f16 and pack that with llama-quantize"):
        convert(path, tmp_path / "u.gguf", dtype="Q4_K_M")
    with pytest.raises(UserError, match="not written as fp7"):
        convert(path, tmp_path / "u.gguf", dtype="fp7")


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("fp16", torch.float16), ("bfloat16", torch.bfloat16), ("fp32", torch.float32), ("FP8", torch.float8_e4m3fn)],
)
def test_dtypes(tmp_path: Path, dtype: str, stored: torch.dtype) -> None:
    path = made(tmp_path / "a.safetensors", "sdxl")
    convert(path, tmp_path / "b.safetensors", dtype=dtype)
    convert(path, tmp_path / "b", dtype=dtype)
    for model in (load_checkpoint(tmp_path / "b.safetensors"), load_checkpoint(tmp_path / "b")):
        blocks = model.unet.input_blocks[1][0]
        assert blocks.out_layers[3].weight.dtype == stored
        assert model.text[1].text_model.encoder.layers[0].mlp.fc1.weight.dtype == stored
        small = torch.float16 if stored.itemsize == 1 else stored
        assert model.unet.out[2].weight.dtype == blocks.in_layers[0].weight.dtype == small
        assert model.vae is not None
        assert model.vae.decoder.conv_in.weight.dtype == small
    with pytest.raises(UnknownName, match="unknown dtype 'fp17'; did you mean 'fp16'"):
        convert(path, tmp_path / "c.safetensors", dtype="fp17")


def full(path: Path) -> dict[str, Tensor]:
    """A checkpoint as a trainer leaves it: averages, buffers, optimizer states."""
    state = load_file(path)
    ema = {ema_name(n.removeprefix("model.diffusion_model.")): t + 1 for n, t in state.items() if "model.diff" in n}
    return {**state, **ema, "model_ema.decay": torch.tensor(0.9), "betas": torch.ones(5)}


def test_prune(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    plain, whole = load_file(path), full(path)
    optimizer = {"state": {0: {"exp_avg": torch.ones(100_000)}}}
    torch.save({"state_dict": whole, "optimizer_states": [optimizer], "epoch": 3}, tmp_path / "full.ckpt")
    for ema in (False, True):
        written = prune(tmp_path / "full.ckpt", tmp_path / f"{ema}.safetensors", ema=ema)
        pruned = load_file(written.path)
        assert set(pruned) == set(plain)
        for name, tensor in pruned.items():
            shift = float(ema and name.startswith("model.diffusion_model."))
            assert torch.equal(tensor, plain[name] + shift), name
        assert {"model_ema.decay", "betas"} <= set(written.left_out)
    half = prune(tmp_path / "full.ckpt", tmp_path / "half.safetensors", dtype="fp16").path
    assert half.stat().st_size < 0.55 * path.stat().st_size
    with pytest.raises(FileError, match="holds no EMA weights; leave --ema out"):
        prune(path, tmp_path / "b.safetensors", ema=True)


def test_nothing_is_dropped_silently(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    state = load_file(path)
    save_file({**state, "odd.weight": torch.ones(2)}, tmp_path / "odd.safetensors")
    with pytest.raises(UnmatchedKeys, match=r"1 unknown: odd\.weight"):
        convert(tmp_path / "odd.safetensors", tmp_path / "b.safetensors")
    written = convert(tmp_path / "odd.safetensors", tmp_path / "b.safetensors", allow_unmatched=True)
    assert written.left_out == ("odd.weight",)
    state.pop("first_stage_model.quant_conv.bias")
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(UnmatchedKeys, match=r"1 missing: first_stage_model\.quant_conv\.bias"):
        convert(tmp_path / "less.safetensors", tmp_path / "c.safetensors", allow_unmatched=True)
    assert not (tmp_path / "c.safetensors").exists()


@pytest.mark.parametrize("out", ["b.safetensors", "folder", "u.gguf"])
def test_nan_is_refused_by_name(tmp_path: Path, out: str) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    state = load_file(path)
    for name in ("model.diffusion_model.out.2.bias", "model.diffusion_model.out.0.bias"):
        state[name] = torch.full_like(state[name], torch.nan)
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(NonFinite, match=r"2 of its tensors hold NaN .*bias.*--allow-nan") as error:
        convert(tmp_path / "nan.safetensors", tmp_path / out)
    assert len(error.value.names) == 2
    assert not (tmp_path / out).exists()
    assert len(list(tmp_path.iterdir())) == 2
    convert(tmp_path / "nan.safetensors", tmp_path / out, allow_non_finite=True)
    assert (tmp_path / out).exists()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(b"mine")
    os.link(path, tmp_path / "link.safetensors")
    for out, message in {
        "a.safetensors": "is the file that is read",
        "link.safetensors": "is the file that is read",
        "taken.safetensors": "exists; give another name, or replace it with --force",
        "nowhere/b.safetensors": "nowhere is no folder",
        "b.pt": r"give it a name that ends in \.safetensors",
        ".": "lie in each other",
    }.items():
        with pytest.raises(UserError, match=message):
            convert(path, tmp_path / out)
    with pytest.raises(UserError, match="is the file that is read"):
        convert(path, path, force=True)
    with pytest.raises(UserError, match="unknown layout"):
        convert(path, tmp_path / "b.safetensors", to="onnx")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"ends in \.gguf"):
        convert(path, tmp_path / "b.safetensors", to="gguf")
    assert taken.read_bytes() == b"mine"
    convert(path, taken, force=True)
    assert_same(load_checkpoint(path), load_checkpoint(taken))


def test_folders_are_replaced_only_where_they_hold_a_model(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    with pytest.raises(FileError, match="holds other things than a model"):
        convert(path, tmp_path / "photos", force=True)
    convert(path, tmp_path / "model")
    (tmp_path / "model" / "old").write_text("")
    convert(path, tmp_path / "model", force=True)
    assert not (tmp_path / "model" / "old").exists()
    (tmp_path / "model").rename(tmp_path / "m.safetensors")
    with pytest.raises(FileError, match=r"m\.safetensors is a folder"):
        convert(path, tmp_path / "m.safetensors", force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file is a file"):
        convert(path, tmp_path / "file", force=True)


@pytest.mark.parametrize("out", ["b.safetensors", "folder", "u.gguf"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")

    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(save.Path, "replace", full)
        with pytest.raises(FileError, match=r"cannot be written .No space left on device"):
            convert(path, tmp_path / out)
    with monkeypatch.context() as patch:
        patch.setattr(save.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000}))
        with pytest.raises(FileError, match="MB, and 0 MB are free; make room"):
            convert(path, tmp_path / out)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")

    def touch(done: int, total: int) -> None:
        os.utime(path, ns=(1, done))

    with pytest.raises(FileError, match="changed while it was read"):
        convert(path, tmp_path / "b.safetensors", report=touch)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_model(tmp_path: Path) -> None:
    lora = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{s}.weight": torch.ones(4, 4) for s in ("up", "down")}
    save_file(lora, tmp_path / "lora.safetensors")
    with pytest.raises(FileError, match=r"another kind .LoRA.; give a checkpoint"):
        convert(tmp_path / "lora.safetensors", tmp_path / "b.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(FileError, match="nothing that is known"):
        convert(tmp_path / "x.safetensors", tmp_path / "b.safetensors")
    path = made(tmp_path / "xl.safetensors", "sdxl")
    with pytest.raises(FileError, match="two text encoders; say which"):
        convert(path, tmp_path / "b.safetensors", to="clip")
    convert(path, tmp_path / "vae.safetensors", to="vae")
    with pytest.raises(FileError, match="holds no U-Net"):
        convert(tmp_path / "vae.safetensors", tmp_path / "b.safetensors", to="unet")
    convert(path, tmp_path / "unet.safetensors", to="unet")
    with pytest.raises(FileError, match="holds no autoencoder, which diffusers needs; give one with --vae"):
        convert(tmp_path / "unet.safetensors", tmp_path / "folder", text_encoders=[path])


def test_progress_and_metadata(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", "sd1")
    state = load_file(path)
    save_file(state, path, {"modelspec.title": "題", "fromnoise.x": "1", "ss_tag": "t", "secret": "no"})
    reports: list[tuple[int, int]] = []
    convert(path, tmp_path / "folder", report=lambda *report: reports.append(report))
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1][0] == reports[-1][1] == sum(tensor.nbytes for tensor in state.values())
    written = convert(path, tmp_path / "b.safetensors")
    assert written.source.metadata == {"modelspec.title": "題", "ss_tag": "t"}
    told = load_checkpoint(tmp_path / "b.safetensors").metadata
    assert (told["modelspec.title"], told["ss_tag"], "secret" in told) == ("題", "t", False)
    index = json.loads((tmp_path / "folder" / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"


def test_deferred_tensors_wait() -> None:
    made: list[int] = []

    def make() -> Tensor:
        made.append(1)
        return torch.arange(6.0).view(2, 3)

    later = deferred(make, (2, 3), torch.float32)
    joined = torch.cat((later, later)).T[:, :, None, None][:, :, 0, 0].detach()
    assert isinstance(joined, Deferred)
    assert (made, joined.shape) == ([], (3, 4))
    assert computed(joined).equal(torch.cat((make(), make())).T)
    assert float(later.sum()) == 15.0


def test_nothing_of_a_model_is_in_memory(tmp_path: Path) -> None:
    """Opened, a model is a table of views: none of its tensors is joined or copied."""
    opened = opening.open_model(made(tmp_path / "a.safetensors", "sdxl"))
    assert all(isinstance(tensor, Deferred) for tensor in opened.parts.unet.values())
