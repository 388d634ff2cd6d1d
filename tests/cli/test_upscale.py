"""`fromnoise upscale` and `fromnoise upscalers`."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from fromnoise.cli import upscale as module
from fromnoise.engine.metadata import own
from tests import tiny
from tests.upscalers.test_tiles import picture
from tests.upscalers.tiny import compact, saved

from .conftest import Run, everything

INFOTEXT = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64"


@pytest.fixture
def photo(folder: Path) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", INFOTEXT)
    picture(20, 12).save("photo.png", pnginfo=info)
    return Path("photo.png")


def test_a_picture_is_enlarged_four_times_with_what_it_carries(run: Run, photo: Path, folder: Path) -> None:
    ran = run("upscale", photo)
    assert (ran.status, ran.out) == (0, "outputs/photo-upscaled.png\n")
    made = Image.open(ran.paths[0])
    assert made.size == (80, 48)
    done = "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN AnimeVideo"
    assert made.text == {"parameters": INFOTEXT, "postprocessing": done, "extras": done}  # type: ignore[attr-defined]
    assert run("upscale", photo, "-q").out == "outputs/photo-upscaled-2.png\n"


def test_sizes(run: Run, photo: Path) -> None:
    for words, size in (
        (("--scale", "1.5"), (30, 18)),
        (("--scale", "2", "--max-side", "32"), (32, 19)),
        (("--size", "30x30"), (30, 30)),
        (("--size", "32x32", "--no-crop"), (53, 32)),
    ):
        [path] = run("upscale", photo, "--upscaler", "lanczos", "--out", "new.png", *words).paths
        assert (str(path), Image.open(path).size) == ("new.png", size)


def test_two_upscalers_are_mixed(run: Run, photo: Path) -> None:
    words = ("--scale", 2, "--upscaler", "Nearest", "--upscaler2", "Lanczos", "--visibility2", 0.25, "--out", "a.png")
    [path] = run("upscale", photo, *words).paths
    one, two = (picture(20, 12).resize((40, 24), rule) for rule in (Image.Resampling.NEAREST, Image.Resampling.LANCZOS))
    assert Image.open(path).tobytes() == Image.blend(one, two, 0.25).tobytes()
    assert Image.open(path).info["postprocessing"].endswith("upscaler: Nearest, Postprocess upscaler 2: Lanczos")


def test_folders_and_several_pictures(run: Run, photo: Path, folder: Path) -> None:
    (folder / "many").mkdir()
    picture(8, 8).save("many/b.webp")
    picture(8, 8).save("many/a.jpg")
    Path("many/notes.txt").write_text("x")
    ran = run("upscale", "many", photo, "--upscaler", "Lanczos", "--scale", 2, "--out", "large/")
    assert [path.name for path in ran.paths] == ["a-upscaled.png", "b-upscaled.png", "photo-upscaled.png"]
    assert all(Image.open(path).width in (16, 40) for path in ran.paths)
    ran = run("upscale", "many", "--upscaler", "Lanczos", "--out", "one.png")
    assert [path.name for path in ran.paths] == ["one-1.png", "one-2.png"]


def test_jpegs_and_our_own_pictures_keep_their_recipes(draw: Run, run: Run) -> None:
    [made] = draw("a red apple").paths
    [large] = run("upscale", made, "--scale", 2).paths
    assert own.recipe_in(large) == own.recipe_in(made)
    told = run("info", large).out
    assert "processed when it was finished, which its recipe does not make: Postprocess upscale by: 2" in told
    checked = run("verify", large)
    assert (checked.status, "not checked: it was enlarged or retouched" in checked.out) == (1, True)


def test_files_as_upscalers(run: Run, photo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "trees" / "upscale_models").mkdir(parents=True)
    saved(compact(), folder / "trees" / "upscale_models" / "2x-Sharp.pth")
    monkeypatch.setenv("FROMNOISE_MODELS", str(folder / "trees"))
    [path] = run("upscale", photo, "--upscaler", "2x-sharp", "--scale", 2, "--tile", 32, "--overlap", 8).paths
    assert Image.open(path).size == (40, 24)
    assert Image.open(path).info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: 2x-sharp"
    assert f"2x-Sharp\t{folder / 'trees' / 'upscale_models' / '2x-Sharp.pth'}" in run("upscalers").out


def test_the_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("upscalers").out.splitlines()
    assert {line.split("\t")[0] for line in lines} >= {"None", "Lanczos", "R-ESRGAN AnimeVideo", "Latent (bicubic)"}
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    assert "Lanczos\t平滑而快速，不添加细节。" in run("upscalers").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.png",), "missing.png: no such file"),
        (("photo.png", "--upscaler", "lanzcos"), "unknown upscaler 'lanzcos'; did you mean 'Lanczos'?"),
        (("photo.png", "--upscaler", "latent"), "unknown upscaler 'latent'"),
        (("photo.png", "--upscaler2", "R-ESRGAN 4x+"), "upscaler R-ESRGAN 4x+ is the file RealESRGAN_x4plus.pth"),
        (("photo.png", "--upscaler", "notes.pth"), "notes.pth"),
        (("notes.pth",), "notes.pth: not a readable picture"),
        (("empty",), "empty: no pictures in this folder"),
        (("photo.png", "--size", "big"), "--size big: give width and height"),
        (("photo.png", "--size", "4x9"), "size.0: input should be greater than or equal to 8"),
        (("photo.png", "--scale", "9"), "scale"),
        (("photo.png", "--out", "x.jpg"), "--out x.jpg: pictures are written as PNG; use x.png"),
        (("wide.png", "--scale", "8"), "24000x8 pixels are too many"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, photo: Path, folder: Path, words: tuple[str, ...], message: str
) -> None:
    Path("notes.pth").write_text("not weights")
    Path("empty").mkdir()
    Image.new("L", (3000, 1)).save("wide.png")
    before = everything(folder)
    ran = run("upscale", *words)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.last
    assert [path for path in everything(folder) if path.name != "outputs"] == before


def test_interrupted_pictures_are_left_out(run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    real = module.postprocessed

    def sometimes(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "postprocessed", sometimes)
    ran = run("upscale", photo, photo, "--out", "new/", "--upscaler", "Lanczos")
    assert (ran.status, ran.last) == (130, "fromnoise: stopped; 1 of 2 pictures are finished")
    assert ran.paths == [Path("new/photo-upscaled.png")]
    assert [path.name for path in Path("new").iterdir()] == ["photo-upscaled.png"]


def test_pictures_are_painted_anew_by_what_they_say(draw: Run, run: Run) -> None:
    [made] = draw("a red apple", "--size", "64x64", "--seed", 5).paths
    [large] = run("upscale", made, "--redraw", "overlap=8", "--upscaler", "Lanczos").paths
    recipe, own_recipe = own.recipe_in(large), own.recipe_in(made)
    assert Image.open(large).size == (128, 128)
    assert (recipe.prompt, recipe.seed, recipe.model_hash) == ("a red apple", 5, own_recipe.model_hash)
    assert (recipe.strength, recipe.init_upscaler, recipe.steps) == (0.3, "Lanczos", own_recipe.steps)
    assert recipe.redraw is not None
    assert (recipe.redraw.overlap, recipe.redraw.size) == (8, (128, 128))
    assert "identical" in run("verify", large).out
    words = ("--redraw", "chess", "--prompt", "a cat", "--strength", 0.5, "--steps", 2, "--seed", 9, "--size", "96x72")
    [other] = run("upscale", made, *words, "--upscaler", "Nearest").paths
    recipe = own.recipe_in(other)
    assert (recipe.prompt, recipe.strength, recipe.steps, recipe.seed) == ("a cat", 0.5, 2, 9)
    assert Image.open(other).size == (96, 72)
    [again] = run("again", other).paths
    assert Image.open(again).tobytes() == Image.open(other).tobytes()


def test_an_upscaling_model_paints_it_four_times_as_large(draw: Run, run: Run, folder: Path) -> None:
    vae = replace(tiny.VAE, channel_mult=(1, 1, 1), scale_factor=0.08333)
    model = tiny.checkpoint(folder / "x4.safetensors", "sd2", task="upscale", vae=vae)
    picture(20, 12).save("small.png")
    [path] = run("upscale", "small.png", "--model", model, "--prompt", "a cat", "--steps", 1, "--seed", 4).paths
    assert Image.open(path).size == (80, 48)
    recipe = own.recipe_in(path)
    assert recipe.enlarge is not None
    assert (recipe.prompt, recipe.seed, recipe.steps, recipe.init) == ("a cat", 4, 1, None)
    assert "has its own scale" in run("upscale", "small.png", "--model", model, "--scale", 2).err
    assert "is no upscaling model" in draw("a cat", "--enlarge", "small.png").err


def test_options_that_do_not_go_together(run: Run, photo: Path) -> None:
    for words, message in (
        (("--prompt", "a cat"), "--prompt goes with --redraw on"),
        (("--redraw", "on", "--upscaler2", "Lanczos"), "--upscaler2 and --max-side do not go with --redraw"),
        (("--redraw", "chess, seams=some"), "redraw.seams: input should be 'none', 'band'"),
        (("--redraw", "off"), "--redraw off: leave the option out instead"),
    ):
        ran = run("upscale", photo, *words)
        assert ran.status != 0
        assert message in ran.err
