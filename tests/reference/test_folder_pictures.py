"""Folders that diffusers writes make pictures from the command line, which name them and can be verified."""

import os
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.hashes import file_hash, model_hash
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.cli import main
from fromnoise.engine.metadata import own
from tests import tiny
from tests.reference import peers
from tests.reference.test_folders import BETAS, EPS
from tests.reference.test_networks import relative, small
from tests.reference.test_single_file import tokenizer
from tests.tiny_pictures import photo

V = DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    return tmp_path


def sd1(path: Path) -> Path:
    torch.manual_seed(0)
    StableDiffusionPipeline(
        unet=small(peers.unet(tiny.unet_config("sd1"))), vae=small(peers.vae(tiny.VAE)), scheduler=EPS,
        text_encoder=small(peers.text(tiny.CLIP_L)), tokenizer=tokenizer(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(path)  # fmt: skip
    return path


def unclip(path: Path) -> StableUnCLIPImg2ImgPipeline:
    torch.manual_seed(0)
    config = tiny.unet_config("sd2", "unclip")
    plain = {name: value for name, value in peers.unet(config).config.items() if not name.startswith("_")}
    unet = peers.UNet2DConditionModel(**{**plain, "addition_embed_type": None, "class_embed_type": "projection"})
    normalizer = StableUnCLIPImageNormalizer(tiny.VISION.projection_dim)
    torch.nn.init.normal_(normalizer.mean)
    torch.nn.init.uniform_(normalizer.std, 0.5, 2)
    made = StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessorPil(), image_encoder=small(peers.vision(tiny.VISION)),
        image_normalizer=normalizer, image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=tokenizer(), text_encoder=small(peers.text(tiny.TEXT["sd2"][0])), unet=small(unet), scheduler=V,
        vae=small(peers.vae(tiny.VAE)),
    )  # fmt: skip
    made.save_pretrained(path)
    return made


def test_a_folder_draws_and_its_picture_can_be_verified(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sd1(here / "models" / "checkpoints" / "drawing")
    options = ["--size", "64", "--steps", "2", "--seed", "3", "--device", "cpu"]
    assert main(["make", "a cat", "--model", "drawing", *options, "--out", "cat.png"]) == 0
    assert main(["make", "a cat", "--model", str(folder), *options, "--out", "by-path.png"]) == 0
    recipe = own.recipe_in(here / "cat.png")
    weights = sorted(folder.rglob("*.safetensors"))
    assert (recipe.model, recipe.model_hash, len(weights)) == ("drawing", model_hash(weights), 3)
    assert own.recipe_in(here / "by-path.png").model_hash == recipe.model_hash
    capsys.readouterr()
    assert main(["verify", "cat.png"]) == 0
    assert "identical" in capsys.readouterr().out
    assert main(["again", "cat.png", "--out", "again.png"]) == 0
    assert (here / "again.png").stat().st_size > 1000
    changed = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    os.utime(changed, (1, 1))
    assert main(["verify", "cat.png"]) != 0
    assert "is another model" in capsys.readouterr().out


def test_a_variant_of_a_folder(here: Path) -> None:
    folder = sd1(here / "drawing")
    StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float16, safety_checker=None).save_pretrained(
        folder, variant="fp16"
    )
    options = ["--model", "drawing", "--size", "64", "--steps", "2", "--seed", "3", "--device", "cpu"]
    assert main(["make", "a cat", *options, "--out", "plain.png"]) == 0
    assert main(["make", "a cat", *options, "--variant", "fp16", "--out", "half.png"]) == 0
    plain, half = (own.recipe_in(here / name) for name in ("plain.png", "half.png"))
    assert (plain.variant, half.variant) == (None, "fp16")
    assert half.model_hash == model_hash(sorted(folder.rglob("*.fp16.safetensors"))) != plain.model_hash
    assert main(["verify", "half.png"]) == 0
    assert main(["make", "a cat", *options, "--variant", "q8"]) == 2


def test_the_hash_of_a_folder(tmp_path: Path) -> None:
    """That of the file where there is one, else that of all of them, in whatever order they are found."""
    for name in "ab":
        (tmp_path / name).write_text(name)
    a, b = tmp_path / "a", tmp_path / "b"
    assert model_hash([a]) == file_hash(a)
    assert model_hash([a, b]) == model_hash([b, a]) not in (file_hash(a), file_hash(b))


def test_the_image_encoder_of_an_unclip_folder(here: Path) -> None:
    theirs = unclip(here / "unclip")
    loaded = load_checkpoint(here / "unclip")
    assert (loaded.family, loaded.facts.task, loaded.facts.prediction) == ("sd2", "unclip", "v")
    assert loaded.facts.vision == loaded.vision.config == tiny.VISION  # type: ignore[union-attr]
    rename = diffusers_unet(loaded.unet.config)
    state = theirs.unet.state_dict()
    assert len(state) == len(loaded.unet.state_dict())
    for name, weight in loaded.unet.state_dict().items():
        assert torch.equal(weight, state[rename(name).replace("add_embedding", "class_embedding")])
    assert loaded.vision_stats is not None
    assert torch.equal(loaded.vision_stats[0], theirs.image_normalizer.mean)
    assert torch.equal(loaded.vision_stats[1], theirs.image_normalizer.std)
    pixels = torch.randn(1, 3, tiny.VISION.image_size, tiny.VISION.image_size)
    with torch.no_grad():
        assert relative(loaded.vision(pixels).embedding, theirs.image_encoder(pixels).image_embeds) < 1e-5  # type: ignore[misc]
    assert describe(here / "unclip").unknown == ()
    photo(here / "photo.png")
    options = ["--model", "unclip", "--size", "64", "--steps", "2", "--seed", "3", "--device", "cpu"]
    assert main(["make", "x", *options, "--image-prompt", "photo.png", "--out", "seen.png"]) == 0
    assert main(["make", "x", *options, "--out", "unseen.png"]) == 0
    assert (here / "seen.png").read_bytes() != (here / "unseen.png").read_bytes()
