"""Pictures of InvokeAI, Fooocus and NovelAI become recipes."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.metadata.novelai import weighted
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.errors import FileError

from .written import NOW, fields, png

INVOKE = {
    "generation_mode": "txt2img", "positive_prompt": "a cat", "negative_prompt": "dog", "width": 512, "height": 640,
    "seed": 3293022630, "rand_device": "cpu", "cfg_scale": 8.0, "cfg_rescale_multiplier": 0.0, "steps": 35,
    "scheduler": "dpmpp_2m_sde_k", "clip_skip": 1, "app_version": "5.4.2", "seamless_x": False,
    "model": {"key": "x", "hash": "blake3:1234", "name": "dreamshaper", "base": "sd-1", "type": "main"},
    "loras": [{"model": {"name": "paint"}, "weight": 0.75}],
}  # fmt: skip


def test_invokeai(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, {"invokeai_metadata": json.dumps(INVOKE), "invokeai_graph": "{}"}))
    assert read.source == "InvokeAI"
    assert fields(read, "prompt", "negative", "width", "height", "seed", "guidance_scale", "steps", "clip_skip") == (
        "a cat", "dog", 512, 640, 3293022630, 8.0, 35, 2,
    )  # fmt: skip
    assert fields(read, "sampler", "schedule", "model", "model_hash") == ("dpmpp_2m_sde", "karras", "dreamshaper", None)
    assert read.recipe.networks == (NetworkUse(name="paint", strength=0.75),)
    assert set(read.not_understood) == {"model.hash"}


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("euler_a", "euler_ancestral"), ("kdpm_2_a", "dpm_2_ancestral"), ("unipc", "uni_pc"), ("pndm", "plms"),
     ("lms_k", "lms"),
     ("ddim", "ddim"), ("er_sde", "er_sde"), ("dpmpp_sde_k", "dpmpp_sde"), ("deis_k", "deis"), ("lcm", "lcm")],
)  # fmt: skip
def test_invokeai_schedulers(tmp_path: Path, name: str, sampler: str) -> None:
    read = read_any(png(tmp_path, {"invokeai_metadata": json.dumps({**INVOKE, "scheduler": name})}))
    assert read.recipe.sampler == sampler


def test_invokeai_of_old(tmp_path: Path) -> None:
    image = {
        "prompt": [{"prompt": "a cat [dog] on a mat", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512,
        "width": 512, "seed": 42, "type": "txt2img", "sampler": "k_lms",
    }  # fmt: skip
    old = {"model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "app_version": "2.3.1", "image": image}
    read = read_any(png(tmp_path, {"sd-metadata": json.dumps(old), "Dream": "ignored"}))
    assert fields(read, "prompt", "negative", "sampler", "seed") == ("a cat  on a mat", "dog", "lms", 42)
    read = read_any(png(tmp_path, {"Dream": '"a cat [dog]" -s 50 -S 42 -W 640 -H512 -C7.5 -A k_euler_a'}))
    assert fields(read, "prompt", "negative", "steps", "seed", "width", "sampler") == (
        "a cat", "dog", 50, 42, 640, "euler_ancestral",
    )  # fmt: skip


FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689",
    "clip_skip": 2, "full_negative_prompt": ["bad"], "full_prompt": ["cinematic still a cat . sad", "a cat, fine"],
    "guidance_scale": 4, "lora_combined_1": "offset : 0.1", "loras": [["offset", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus", "negative_prompt": "", "performance": "Speed", "prompt": "a cat",
    "refiner_model": "None", "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras",
    "seed": "8201387472842", "sharpness": 2, "steps": 30, "styles": "['Fooocus V2']", "version": "Fooocus v2.3.0",
}  # fmt: skip


def test_fooocus_json(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"}))
    assert read.source == "Fooocus"
    assert fields(read, "prompt", "width", "height", "seed", "steps", "guidance_scale", "sampler", "schedule") == (
        "cinematic still a cat . sad, a cat, fine", 1152, 896, 8201387472842, 30, 4.0, "dpmpp_2m_sde", "karras",
    )  # fmt: skip
    assert fields(read, "model", "model_hash", "clip_skip") == ("juggernautXL_v8Rundiffusion", "aeb7e9e689", 2)
    assert read.not_understood["prompt"] == "a cat"
    assert read.recipe.networks == (NetworkUse(name="offset", strength=0.1, hash="4852686128"),)
    assert "sharpness" in read.not_understood


def test_fooocus_infotext_and_exif(tmp_path: Path) -> None:
    text = (
        'a cat, fine\nNegative prompt: bad\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 82, Size: 1152x896, '
        'CFG scale: 4, '
        'Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernautXL, Model hash: aeb7e9e689, Performance: '
        "Speed, "
        "Scheduler: karras, VAE: Default (model), Raw prompt: a cat, Version: Fooocus v2.3.0"
    )  # fmt: skip
    tags = Image.Exif()
    tags[0x9286], tags[0x927C] = text, "a1111"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=tags)
    for path in (tmp_path / "a.jpg", png(tmp_path, {"parameters": text, "fooocus_scheme": "a1111"})):
        read = read_any(path)
        assert (read.source, *fields(read, "sampler", "schedule", "width")) == (
            "Fooocus",
            "dpmpp_2m_sde",
            "karras",
            1152,
        )


NOVELAI = {
    "steps": 28, "sampler": "k_euler_ancestral", "seed": 1234, "scale": 11.0, "uc": "lowres, [bad]", "height": 768,
    "width": 512, "noise_schedule": "native", "sm": True, "n_samples": 1, "strength": 0.7, "noise": 0.2,
}  # fmt: skip


def novelai_texts(comment: Mapping[str, object]) -> dict[str, str]:
    return {
        "Title": "AI generated image", "Description": "{1girl}, cat", "Software": "NovelAI",
        "Source": "Stable Diffusion 81274D13", "Comment": json.dumps(comment),
    }  # fmt: skip


def test_novelai(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, novelai_texts(NOVELAI)))
    assert read.source == "NovelAI"
    assert fields(read, "prompt", "negative") == ("(1girl:1.05), cat", "lowres, (bad:0.952381)")
    assert fields(read, "steps", "seed", "guidance_scale", "width", "height", "sampler", "schedule") == (
        28, 1234, 11.0, 512, 768, "euler_ancestral", "normal",
    )  # fmt: skip
    assert {"sm", "noise", "Source"} <= set(read.not_understood)


def test_novelai_captions(tmp_path: Path) -> None:
    whole = {"base_caption": "a park", "char_captions": [{"char_caption": "girl"}, {"char_caption": "boy"}]}
    read = read_any(png(tmp_path, novelai_texts({**NOVELAI, "v4_prompt": {"caption": whole}})))
    assert read.recipe.prompt == "a park, girl, boy"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("{{a}}", "((a:1.05):1.05)"), ("a} {b", "a (b:1.05)"), ("(c)", r"\(c\)"), ("[{a]}", "((a:1.05):0.952381)")],
)
def test_novelai_weights(theirs: str, ours: str) -> None:
    assert weighted(theirs) == ours


def hide(text: bytes, mark: bytes, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture with text in its alpha channel, column by column."""
    bits = np.unpackbits(np.frombuffer(mark + (8 * len(text)).to_bytes(4, "big") + text, np.uint8))
    alpha = np.full(size, 255, np.uint8).reshape(-1)
    alpha[: len(bits)] = 254 | bits
    image = Image.new("RGBA", size)
    image.putalpha(Image.fromarray(alpha.reshape(size).T.copy()))
    return image


def test_hidden_texts(tmp_path: Path) -> None:
    hide(gzip.compress(json.dumps(novelai_texts(NOVELAI)).encode()), b"stealth_pngcomp").save(tmp_path / "n.png")
    assert read_any(tmp_path / "n.png").source == "NovelAI"
    hide(b"a\nSteps: 9, Sampler: Euler, CFG scale: 7, Seed: 1", b"stealth_pnginfo").save(tmp_path / "f.png")
    assert read_any(tmp_path / "f.png").recipe.steps == 9
    hide(gzip.compress(b"0" * 50_000_000), b"stealth_pngcomp", (1024, 1024)).save(tmp_path / "bomb.png")
    with pytest.raises(FileError):
        read_any(tmp_path / "bomb.png")


def test_a1111_in_jpeg_in_either_byte_order(tmp_path: Path) -> None:
    for order in ("utf-16-be", "utf-16-le"):
        tags = Image.Exif()
        tags.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + NOW.encode(order)
        Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=tags)
        assert read_any(tmp_path / "a.jpg").recipe.seed == 1234567890
