"""An autoencoder of the wrong family is told by how it shows colours; float16's overflow and NaN are noticed."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from fromnoise.checkpoints.detect import VAE_SCALES, Family
from fromnoise.checkpoints.fitting import WrongFamily
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.save import save_checkpoint, write
from fromnoise.engine import library
from fromnoise.engine.blame import BrokenWeights, Overflow
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model, assemble
from fromnoise.engine.memory import Placement, place
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.vae_family import COLOURS, Space, colour_fields, space_of
from fromnoise.nn.vae import AutoencoderKL
from tests.engine.models import tiny_model

CPU = Placement(torch.device("cpu"), torch.float32)
WHOLE = {"prompt": "x", "width": 64, "height": 64, "steps": 2, "sampler": "euler"}


@torch.no_grad()
def like(space: Space, seed: int = 0) -> AutoencoderKL:
    """A small autoencoder whose last layer was fitted so that its latents show colours as that family's do."""
    vae = tiny.filled(AutoencoderKL(tiny.VAE), torch.Generator().manual_seed(seed))
    seen: list[Tensor] = []
    hook = vae.encoder.conv_out.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    picture = colour_fields()
    vae.moments(picture)
    hook.remove()
    features = seen[0][0].flatten(1).T
    rows = torch.cat((features, torch.ones(len(features), 1)), dim=1)
    rgb = avg_pool2d(picture, 8)[0].flatten(1).T
    wanted = rgb @ torch.linalg.pinv(torch.tensor(COLOURS[space])) / VAE_SCALES[space]
    ridge = rows.T @ rows + 1e-3 * torch.eye(rows.shape[1])
    found = torch.linalg.solve(ridge, rows.T @ wanted)
    last = vae.encoder.conv_out
    last.weight.zero_()
    last.bias.zero_()
    last.weight[:4, :, 1, 1], last.bias[:4] = found[:-1].T, found[-1]
    vae.quant_conv.weight.copy_(torch.eye(8)[:, :, None, None])
    vae.quant_conv.bias.zero_()
    return vae


def space(vae: AutoencoderKL) -> Space | None:
    with torch.no_grad():
        return space_of(lambda image: vae.moments(image)[0], vae.config.downscale)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_two_are_told_apart(family: Space, seed: int) -> None:
    assert space(like(family, seed)) == family


@pytest.mark.parametrize("seed", range(25))
def test_random_autoencoders_are_of_neither(seed: int) -> None:
    assert space(tiny.filled(AutoencoderKL(tiny.VAE), torch.Generator().manual_seed(seed))) is None


def test_no_false_alarm() -> None:
    assert library.load("builtin", CPU).vae_fault == ""
    assert space(library.load("builtin", CPU).vae) is None
    for family in ("sd1", "sd2", "sdxl"):
        assert assemble("x", tiny.model(family), "0", CPU).vae_fault == ""
    assert tiny_model().vae_fault == ""


@pytest.mark.parametrize(("family", "other"), [("sd1", "sdxl"), ("sd2", "sdxl"), ("sdxl", "sd1")])
def test_the_wrong_one_is_refused(
    tmp_path: Path, family: Family, other: Space, caplog: pytest.LogCaptureFixture
) -> None:
    right: Space = "sdxl" if family == "sdxl" else "sd1"
    base = save_checkpoint(tmp_path / "base.safetensors", tiny.model(family))
    paths = {one: write(tmp_path / f"{one}.safetensors", like(one).state_dict(), None, {}) for one in (right, other)}
    library.load(Weights(str(base), vae=str(paths[right])), CPU)
    wrong = Weights(str(base), vae=str(paths[other]))
    with pytest.raises(WrongFamily, match=f"{other}.safetensors: its autoencoder is .*, which garbles pictures here"):
        library.load(wrong, CPU)
    with caplog.at_level(logging.WARNING):
        model = library.load(wrong, CPU, allow_unmatched=True)
        assert not caplog.records
        [model.decode(torch.zeros(1, 4, 8, 8)) for _ in range(2)]
    assert [record.getMessage() for record in caplog.records] == [f"{base}: {model.vae_fault}"]


def test_one_that_is_baked_in_is_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = tiny.model("sdxl")
    path = save_checkpoint(tmp_path / "merge.safetensors", replace(made, vae=like("sd1")))
    model = library.load(str(path), CPU)
    with caplog.at_level(logging.WARNING):
        [made.image for made in generate(model, [Recipe.make(**WHOLE)] * 2)]
    assert len(caplog.records) == 1
    assert "its autoencoder is SD 1.x and 2.x's, which garbles pictures here" in caplog.records[0].getMessage()


# float16


def overflowing(factor: float = 3e4) -> Checkpoint:
    """Sound weights whose activations leave float16's range within the decoder, and come back."""
    made = tiny.model("sdxl")
    assert made.vae is not None
    with torch.no_grad():
        made.vae.decoder.conv_in.weight.mul_(factor)
    return made


def test_an_overflow_is_noticed_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    model = assemble("xl", overflowing(), "0", place("cpu", "float16"))
    assert not torch.isfinite(model.vae.decode(latents.half())).all()
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        first, second = model.decode(latents), model.decode(latents)
        exact = assemble("xl", overflowing(), "0", CPU).decode(latents)
    assert [record.getMessage() for record in caplog.records] == [
        "the VAE of xl overflows in float16: it works in float32 from now on"
    ]
    assert torch.equal(first, second)
    assert (first - exact).abs().max() < 0.02 * exact.abs().max()


def test_without_overflow_float16_it_is(caplog: pytest.LogCaptureFixture) -> None:
    model = assemble("xl", tiny.model("sdxl"), "0", place("cpu", "float16"))
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        model.decode(model.encode(torch.zeros(1, 3, 64, 64)))
    assert not caplog.records
    assert not model.kept.wide


# NaN


PARTS = {"unet": "U-Net", "vae": "autoencoder", "text": "text encoder"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", PARTS)
def test_broken_weights_are_named(tmp_path: Path, part: str, value: float) -> None:
    made = tiny.model("sd1")
    assert made.vae is not None
    layers = {
        "unet": made.unet.out[2].bias,
        "vae": made.vae.decoder.conv_out.bias,
        "text": made.text[0].text_model.final_layer_norm.weight,
    }
    with torch.no_grad():
        layers[part][0] = value
    model = library.load(str(save_checkpoint(tmp_path / "broken.safetensors", made, dtype=None)), CPU)
    with pytest.raises(BrokenWeights, match=f"broken.safetensors: 1 weights of its {PARTS[part]} hold NaN or infinity"):
        list(generate(model, [Recipe.make(**WHOLE)]))


@pytest.mark.parametrize("factor", [1e5, 1e7])
def test_a_sound_network_that_overflows(factor: float) -> None:
    """In its sums, or already in its weights, which the file can hold."""
    made = tiny.model("sd1")
    with torch.no_grad():
        made.unet.out[2].weight.mul_(factor)
    model: Model = assemble("x", made, "0", place("cpu", "float16"))
    with pytest.raises(Overflow, match="its U-Net makes numbers that are none in float16; choose --dtype float32"):
        list(generate(model, [Recipe.make(**WHOLE)]))


def test_pictures_that_a_sampler_loses_are_nobodys_fault() -> None:
    """A question that is none has no answer: no network is blamed."""
    model = tiny_model()
    assert torch.isnan(model.decode(torch.full((1, 4, 8, 8), float("nan")))).any()
