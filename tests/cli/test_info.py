"""What `fromnoise info` tells about pictures and weights."""

import shlex
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import load_file, save_file

from fromnoise.cli.info import command_of, shortened
from fromnoise.engine.metadata import own
from fromnoise.engine.recipe import Recipe

from .conftest import Run


def test_a_picture_shows_its_recipe(draw: Run, run: Run) -> None:
    [path] = draw("a cat", "--sampler", "euler").paths
    ran = run("info", path)
    rows = dict(line.split(maxsplit=1) for line in ran.out.split("\n\n")[1].splitlines())
    assert ran.status == 0
    assert (rows["prompt"], rows["seed"], rows["sampler"], rows["width"]) == ("a cat", "7", "euler", "64")
    assert "strength" not in rows


def test_the_command_in_it_makes_the_same_picture(draw: Run, run: Run, folder: Path) -> None:
    Image.new("RGB", (80, 70), "red").save("start 1.png")
    Image.new("L", (64, 64), "white").save("mask.png")
    [path] = draw("it's a (cat:1.2)\n\"big\"", "--negative", "--dog", "--init", "start 1.png", "--mask", "mask.png",
                  "--strength", 0.6, "--clip-skip", 2, "--guidance", 3.25, "--sampler", "Euler a").paths  # fmt: skip
    command = run("info", path).out.rstrip("\n").split("to make it again:\n")[1]
    [program, *arguments] = shlex.split(command)
    assert program == "fromnoise"
    [again] = run(*arguments).paths
    assert again != path
    assert own.recipe_in(again) == own.recipe_in(path)
    assert Image.open(again).tobytes() == Image.open(path).tobytes()


def test_the_built_in_model_needs_no_name() -> None:
    words = shlex.split(command_of(Recipe.make(prompt="-x", seed=3)))
    assert "--model" not in words
    assert words[-2:] == ["--", "-x"]


def with_text(path: Path, text: str) -> Path:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", text)
    Image.new("RGB", (32, 24)).save(path, pnginfo=texts)
    return path


def test_what_another_program_wrote_is_understood(run: Run, folder: Path) -> None:
    text = "a cat\nSteps: 9, Sampler: Euler a, CFG scale: 5, Seed: 3, Size: 32x24, Odd thing: 7, Version: v1.10.1"
    out = run("info", with_text(folder / "other.png", text)).out
    assert "a picture of 32x24 pixels" in out
    assert "made by AUTOMATIC1111" in out
    assert "Odd thing" in out.split("not understood:")[1]
    command = out.rstrip("\n").split("to make it again:\n")[1]
    assert "--seed 3 --size 32x24 --steps 9 --guidance 5.0 --sampler euler_ancestral" in command


def test_what_nobody_understands_is_shown_as_it_is(run: Run, folder: Path) -> None:
    out = run("info", with_text(folder / "other.png", "it was a dark and stormy night")).out
    assert "it was a dark and stormy night" in out


def test_what_strangers_wrote_does_not_steer_the_terminal(run: Run, folder: Path) -> None:
    out = run("info", with_text(folder / "other.png", "a\x1b[2Jb\x9bc\nSteps: 9, Sampler: Euler")).out
    assert "a\ufffd[2Jb\ufffdc" in out
    assert "\x1b" not in out


def test_a_picture_without_a_recipe_says_so(run: Run, folder: Path) -> None:
    Image.new("RGB", (30, 20)).save("plain.jpg")
    assert run("info", "plain.jpg").out == "plain.jpg: a picture of 30x20 pixels\n\nIt carries no recipe.\n"


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_a_checkpoint_shows_its_family(run: Run, folder: Path, family: tiny.Family) -> None:
    tiny.checkpoint(folder / "model.safetensors", family, prediction="v", dtype=torch.float16)
    out = run("info", "model.safetensors").out
    assert f"{family}, base" in out
    assert "float16" in out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("predicts")] == ["v"]


def test_a_lora_is_named(run: Run, folder: Path) -> None:
    names = (f"lora_unet_down_blocks_0_attentions_0_proj_in.lora_{side}.weight" for side in ("up", "down"))
    save_file({name: torch.ones(4, 4) for name in names}, "lora.safetensors", {"ss_output_name": "x" * 500})
    lines = run("info", "lora.safetensors").out.splitlines()
    assert any(line.startswith("holds") and "LoRA" in line for line in lines)
    assert lines[-1].endswith("x ...") or lines[-1].endswith(" ...")
    assert len(shortened("word " * 100)) <= 200


def test_garbage_is_a_mistake(run: Run, folder: Path) -> None:
    (folder / "junk.bin").write_bytes(b"\x00junk" * 100)
    ran = run("info", "junk.bin")
    assert (ran.status, ran.out) == (2, "")
    assert "junk.bin" in ran.last
    assert ran.err.count("\n") == 1


def test_a_folder_and_what_is_wrong_with_models(run: Run, folder: Path) -> None:
    from fromnoise.checkpoints.convert import convert

    path = tiny.checkpoint(folder / "model.safetensors", "sdxl")
    convert(path, folder / "model")
    ran = run("info", "model", "--check")
    rows = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in ran.out.splitlines()}
    assert (ran.status, rows["format"], rows["holds"]) == (0, "diffusers", "checkpoint")
    assert (rows["family"], rows["checked"]) == ("sdxl, base", "whole, without NaN or infinity")
    assert len(rows["model hash"]) == 64
    state = load_file(path)
    lost = "model.diffusion_model.out.2.bias"
    state["first_stage_model.quant_conv.bias"].fill_(float("nan"))
    state["odd.weight"] = state.pop(lost)
    save_file(state, "broken.safetensors")
    assert run("info", "broken.safetensors").status == 0
    ran = run("info", "broken.safetensors", "--check")
    assert ran.status == 1
    for name, row in {
        lost: "missing",
        "odd.weight": "unknown",
        "first_stage_model.quant_conv.bias": "NaN or infinity",
    }.items():
        assert any(line.startswith(row) and line.endswith(f"1: {name}") for line in ran.out.splitlines())
