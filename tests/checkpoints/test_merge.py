"""Several models become one by each rule, in little memory, and what does not go together is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints import merge as merging
from fromnoise.checkpoints.deferred import computed
from fromnoise.checkpoints.fitting import WrongFamily
from fromnoise.checkpoints.load import Checkpoint, UnmatchedKeys, load_checkpoint
from fromnoise.checkpoints.merge import METHODS, Method, blocks_of, merge
from fromnoise.checkpoints.save import NonFinite, save_checkpoint
from fromnoise.engine.baking import baking
from fromnoise.errors import FileError, UnknownName, UserError
from fromnoise.nn.ops import patched, patching
from fromnoise.nn.unet import UNetConfig
from tests import tiny
from tests.adapters import files


def model(folder: Path, name: str, seed: int, family: Any = "sd1", **more: Any) -> Path:
    made = tiny.model(family, seed=seed, **more)
    save_checkpoint(folder / f"{name}.safetensors", made)
    return folder / f"{name}.safetensors"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [model(folder, name, seed) for seed, name in enumerate("abc")]


def tensors(path: Path) -> dict[str, Tensor]:
    loaded = load_checkpoint(path)
    networks = {"unet": loaded.unet, "vae": loaded.vae, **{f"text{i}": one for i, one in enumerate(loaded.text)}}
    return {
        f"{n}.{key}": t.double()
        for n, network in networks.items()
        if network
        for key, t in network.state_dict().items()
    }


def reference(method: Method, w: float, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """In float64."""
    if method == "difference":
        return a + w * (b - c)
    if method == "sigmoid":
        w = 3 * w**2 - 2 * w**3
    if method == "inverse-sigmoid":
        w = 0.5 - math.sin(math.asin(1 - 2 * w) / 3)
    if method == "slerp":
        cosine = float((a * b).sum() / (a.norm() * b.norm())) if a.norm() * b.norm() else 1.0
        if abs(cosine) <= 0.9995:
            angle = math.acos(cosine)
            return (math.sin((1 - w) * angle) * a + math.sin(w * angle) * b) / math.sin(angle)
    return (1 - w) * a + w * b


@pytest.mark.parametrize("method", METHODS)
def test_each_rule_is_that_of_float64(three: list[Path], tmp_path: Path, method: Method) -> None:
    used = three if method == "difference" else three[:2]
    out = merge(used, tmp_path / "out.safetensors", method=method, weights=[0.3], dtype="fp32").path
    a, b, c = map(tensors, three)
    made = tensors(out)
    assert set(made) == set(a)
    for name, tensor in made.items():
        wanted = reference(method, 0.3, a[name], b[name], c[name])
        torch.testing.assert_close(tensor, wanted, rtol=1e-5, atol=1e-6, msg=name)


def test_several_models_are_averaged(three: list[Path], tmp_path: Path) -> None:
    out = merge(three, tmp_path / "out.safetensors", weights=[1, 1, 2], dtype="fp32").path
    a, b, c = map(tensors, three)
    for name, tensor in tensors(out).items():
        torch.testing.assert_close(tensor, (a[name] + b[name] + 2 * c[name]) / 4, rtol=1e-5, atol=1e-6, msg=name)


def test_nothing_and_all_of_another_model(three: list[Path], tmp_path: Path) -> None:
    for weight, whose in ((0.0, three[0]), (1.0, three[1])):
        out = merge(three[:2], tmp_path / f"{weight}.safetensors", weights=[weight]).path
        made, wanted = tensors(out), tensors(whose)
        assert all(torch.allclose(made[name], wanted[name], atol=1e-6) for name in wanted)


def test_blocks_have_weights_of_their_own(three: list[Path], tmp_path: Path) -> None:
    names = blocks_of(load_checkpoint(three[0]).facts.unet)
    blocks = [0.0] * len(names)
    blocks[names.index("IN01")] = 1.0
    out = merge(three[:2], tmp_path / "out.safetensors", weights=[0.0], blocks=blocks, dtype="fp32").path
    a, b, made = tensors(three[0]), tensors(three[1]), tensors(out)
    for name, tensor in made.items():
        wanted = b if name.startswith("unet.input_blocks.1.") else a
        assert torch.equal(tensor, wanted[name].float().double()), name
    with pytest.raises(UserError, match=rf"--blocks takes {len(names)} numbers"):
        merge(three[:2], tmp_path / "x.safetensors", blocks=[0.5] * 3)


def test_full_size_models_have_the_known_numbers_of_blocks() -> None:
    assert len(blocks_of(UNetConfig())) == 25
    assert len(blocks_of(UNetConfig(channel_mult=(1, 2, 4)))) == 19


def test_an_autoencoder_is_put_in(three: list[Path], tmp_path: Path) -> None:
    out = merge(three[:2], tmp_path / "out.safetensors", vae=three[2], weights=[0.5]).path
    made, wanted = tensors(out), tensors(three[2])
    vae = [name for name in wanted if name.startswith("vae.")]
    assert all(torch.equal(made[name], wanted[name]) for name in vae)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_lora_that_is_baked_in_acts_as_it_did(tmp_path: Path, family: Any) -> None:
    path = model(tmp_path, "base", 3, family)
    base = load_checkpoint(path)
    wanted = {
        "unet": files.layers(base, "unet", torch.nn.Linear, r"attn\d\.to_|ff\.net"),
        **{f"text{i}": files.layers(base, f"text{i}", torch.nn.Linear, "mlp|self_attn") for i in range(len(base.text))},
    }
    made, _ = files.lora(base, files.kohya, "kohya", wanted, 1)
    files.saved(made, tmp_path / "lora.safetensors", None)
    strengths = Strengths(unet=0.7, text=0.4)
    out = merge(
        [path],
        tmp_path / "out.safetensors",
        weights=[],
        bake=baking([(tmp_path / "lora.safetensors", strengths)]),
        dtype="fp32",
    )
    networks = {"unet": base.unet, **{f"text{i}": encoder for i, encoder in enumerate(base.text)}}
    adapter = load_adapter(tmp_path / "lora.safetensors", networks)
    baked = load_checkpoint(out.path)
    for name, patches in adapter.patches("unet", strengths).items():
        assert torch.equal(baked.unet.get_parameter(name), patched(base.unet.get_parameter(name), patches)), name
    torch.manual_seed(0)
    x, time = torch.randn(1, 4, 8, 8), torch.tensor([500.0])
    context = torch.randn(1, 77, base.facts.unet.context_dim)
    y = torch.randn(1, base.facts.unet.vector_dim) if base.facts.unet.vector_dim else None
    with torch.inference_mode(), patching(base.unet, adapter.patches("unet", strengths)):
        through = base.unet.float()(x, time, context, y)
    torch.testing.assert_close(baked.unet(x, time, context, y), through, rtol=1e-4, atol=1e-4)
    tokens = torch.randint(0, 49_000, (1, 77))
    for i, encoder in enumerate(base.text):
        with torch.inference_mode(), patching(encoder, adapter.patches(f"text{i}", strengths)):
            told = encoder.float()(tokens).hidden_states[-1]
        torch.testing.assert_close(baked.text[i](tokens).hidden_states[-1], told, rtol=1e-4, atol=1e-4)


def test_it_says_what_it_was_made_of(three: list[Path], tmp_path: Path) -> None:
    out = merge(three[:2], tmp_path / "out.safetensors", weights=[0.3]).path
    with safe_open(out, "pt") as file:
        recipe, models = (json.loads(file.metadata()[f"sd_merge_{name}"]) for name in ("recipe", "models"))
    assert (recipe["interp_method"], recipe["multiplier"]) == ("Weighted sum", 0.3)
    assert [models[recipe[f"{slot}_model_hash"]]["name"] for slot in ("primary", "secondary")] == [
        "a.safetensors",
        "b.safetensors",
    ]


def test_the_base_decides_the_dtype_and_an_inpainting_base_keeps_its_channels(
    three: list[Path], tmp_path: Path
) -> None:
    inpaint = model(tmp_path, "inpaint", 5, task="inpaint")
    out = merge([inpaint, three[1]], tmp_path / "out.safetensors", weights=[1.0], dtype="fp32").path
    made, own, other = (load_checkpoint(path).unet.input_blocks[0][0].weight for path in (out, inpaint, three[1]))
    torch.testing.assert_close(made[:, :4], other.float(), atol=1e-6, rtol=0)
    assert torch.equal(made[:, 4:], own[:, 4:].float())
    with pytest.raises(WrongFamily, match="more channels"):
        merge([three[1], inpaint], tmp_path / "x.safetensors")


def test_only_one_tensor_is_there_at_a_time(three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = peak = 0

    def counted(tensor: Tensor) -> Tensor:
        nonlocal alive, peak
        import weakref

        made = computed(tensor).clone()
        size = made.numel()
        alive += size
        peak = max(peak, alive)

        def gone() -> None:
            nonlocal alive
            alive -= size

        weakref.finalize(made.untyped_storage(), gone)
        return made

    monkeypatch.setattr(merging, "computed", counted)
    merge(three[:2], tmp_path / "out.safetensors", weights=[0.5])
    largest = max(tensor.numel() for tensor in tensors(three[0]).values())
    assert peak <= 2 * largest


def test_large_tensors_are_mixed_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "AT_ONCE", 8)
    a, b = (torch.randn(7, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    most = 0

    def mix(rows: Any) -> Tensor:
        nonlocal most
        most = max(most, rows[0].numel())
        return rows[0] + rows[1]

    assert torch.equal(merging.in_rows(mix, [a, b], torch.float32), a + b)
    assert most == 6


def test_what_does_not_go_together_is_refused(three: list[Path], tmp_path: Path) -> None:
    xl = model(tmp_path, "xl", 0, "sdxl")
    out = tmp_path / "out.safetensors"
    with pytest.raises(WrongFamily, match=r"a\.safetensors \(sd1\) and .*xl\.safetensors \(sdxl\)"):
        merge([three[0], xl], out)
    for arguments, message in (
        ({"method": "slerp", "models": three}, "slerp takes two models, and 3 were given"),
        ({"method": "difference", "models": three[:2]}, "difference takes three models"),
        ({"models": three[:1]}, "two models or more, and 1 were given"),
        ({"models": three, "weights": [0.5]}, "3 models take a weight each, and 1 were given"),
        ({"models": three[:2], "weights": [math.nan]}, "finite"),
    ):
        given: dict[str, Any] = dict(arguments)
        with pytest.raises(UserError, match=message):
            merge(given.pop("models"), out, **given)
    with pytest.raises(UnknownName, match="method"):
        merge(three[:2], out, method="average")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="is the file that is read"):
        merge(three[:2], three[0], force=True)
    with pytest.raises(FileError):
        merge([three[0], tmp_path / "none.safetensors"], out)
    assert not out.exists()


def test_what_one_lacks_is_named(three: list[Path], tmp_path: Path) -> None:
    whole = load_checkpoint(three[1])
    bare = Checkpoint(whole.path, replace(whole.facts, vae=None), whole.unet, None, whole.text, {})
    save_checkpoint(tmp_path / "bare.safetensors", bare)
    with pytest.raises(UnmatchedKeys, match=r"missing: vae\."):
        merge([three[0], tmp_path / "bare.safetensors"], tmp_path / "out.safetensors")
    out = merge(
        [three[0], tmp_path / "bare.safetensors"], tmp_path / "out.safetensors", weights=[1.0], allow_unmatched=True
    )
    made, a, b = tensors(out.path), tensors(three[0]), tensors(three[1])
    assert all(torch.allclose(made[name], (a if name.startswith("vae.") else b)[name], atol=1e-6) for name in made)


def test_nan_is_named_and_nothing_is_left(three: list[Path], tmp_path: Path) -> None:
    broken = load_checkpoint(three[1])
    weight = broken.unet.out[2].weight
    weight.data = weight.data.clone()
    weight.data[0, 0, 0, 0] = math.nan
    save_checkpoint(tmp_path / "nan.safetensors", broken)
    with pytest.raises(NonFinite):
        merge([three[0], tmp_path / "nan.safetensors"], tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["nan.safetensors"]
