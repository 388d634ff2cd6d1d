"""What a recipe says about guidance reaches the network: each part equals the same put together by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model
from fromnoise.engine.passes import orders
from fromnoise.engine.plan import single_precision
from fromnoise.engine.prepare import Preparation
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.nn import compiled, fp8, int8
from fromnoise.nn.ahead import run
from fromnoise.nn.compiled import Compilable
from fromnoise.nn.fp8 import Fp8
from fromnoise.nn.hooks import AttentionMap, FreeU, PerturbedAttention, Seamless
from fromnoise.nn.int8 import Int8
from fromnoise.nn.token_merging import TokenMerging
from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Cond, Guidance, NetworkVariant, classifier_free, drive
from fromnoise.sampling.guidance_attention import perturbed, self_attention
from fromnoise.sampling.guidance_inversion import inversion, start_noise
from fromnoise.sampling.guidance_parts import (
    Rule,
    Skip,
    asking,
    contrasted,
    either,
    linear,
    negative_minimum_sigma,
    perp_neg,
    skip_early,
    varied,
)
from fromnoise.sampling.guidance_regions import Region, opposed, regional
from fromnoise.sampling.guidance_rules import Momentum, projected, rescaled, zero_init, zero_star
from fromnoise.sampling.guidance_threshold import Threshold, by_number, by_timestep, thresholded
from fromnoise.sampling.parametrization import sample_scalings, v_scalings
from fromnoise.sampling.resume import Recording
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import sigmas_for
from tests.engine.models import tiny_model

STEPS, SCALE = 5, 6.0


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def recipe(**changes: object) -> Recipe:
    base = {
        "prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": STEPS, "sampler": "euler",
        "seed": 2, "guidance_scale": SCALE,
    }  # fmt: skip
    return Recipe.make(**{**base, **changes})


def latents(model: Model, one: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, None))
    return dict(executor.run())[0]


def by_hand(model: Model, one: Recipe, guide: Guidance) -> Tensor:
    """The same noise and steps, another guide."""
    job = Job(model, one)
    prepared = Preparation(model, job.recipe).prepared(orders(job.recipe)[0])
    x = prepared.plan.start(prepared.starting, None)
    spec = SAMPLERS[one.sampler]
    executor = Executor[int](model)
    sampler = spec.start(x, prepared.plan.sigmas, prepared.steps, PROFILES[one.profile].options(spec.name, {}))
    executor.add(0, drive(sampler, guide))
    return dict(executor.run())[0]


def close(one: Tensor, other: Tensor) -> None:
    assert float((one - other).abs().max()) <= 1e-5 * float(other.std())


Sides = tuple[Cond, Cond]


def sides(model: Model, one: Recipe) -> Sides:
    prompts = encode_prompts(model, one)
    return prompts.cond, prompts.uncond


def ruled(make: Callable[[Model], Rule], skip: Skip | None = None) -> Callable[[Model, Cond, Cond], Guidance]:
    return lambda model, a, b: contrasted([(asking(a), 1.0)], asking(b), make(model), skip)


def on(*variants: NetworkVariant) -> Callable[[Model, Cond, Cond], Guidance]:
    return lambda model, a, b: varied(classifier_free(a, b, SCALE), *variants)


def plain(a: Cond, b: Cond) -> Guidance:
    return classifier_free(a, b, SCALE)


Case = tuple[dict[str, object], Callable[[Model, Cond, Cond], Guidance]]
CASES: dict[str, Case] = {
    "rescale": (
        {"guidance": {"rescale": {"share": 0.6}}},
        ruled(lambda model: rescaled(linear(SCALE), 0.6, v_scalings)),
    ),
    "rescale output": (
        {"guidance": {"rescale": {"of": "output"}}},
        ruled(lambda model: rescaled(linear(SCALE), 0.7, model.scalings)),
    ),
    "rescale a1111": (
        {"profile": "a1111", "guidance": {"rescale": {}}},
        ruled(lambda model: rescaled(linear(SCALE), 0.7, sample_scalings)),
    ),
    "projected": (
        {"guidance": {"projected": {"eta": 0.2, "threshold": 5, "momentum": 0}}},
        ruled(lambda model: projected(SCALE, 0.2, 5.0)),
    ),
    "projected with momentum": (
        {"guidance": {"projected": {}}},
        ruled(lambda model: projected(SCALE, 0.0, 15.0, Momentum(-0.5))),
    ),
    "projected, comfyui": (
        {"profile": "comfyui", "guidance": {"projected": {}}},
        ruled(lambda model: projected(SCALE + 1, 0.0, 15.0, Momentum(-0.5))),
    ),
    "projected, rescaled": (
        {"guidance": {"projected": {"momentum": 0}, "rescale": {}}},
        ruled(lambda model: rescaled(projected(SCALE, 0.0, 15.0), 0.7, v_scalings)),
    ),
    "zero star": ({"guidance": {"zero_star": {}}}, ruled(lambda model: zero_star(SCALE))),
    "zero star, comfyui": (
        {"profile": "comfyui", "guidance": {"zero_star": {}}},
        ruled(lambda model: zero_star(SCALE, "denoised")),
    ),
    "zero star that waits": (
        {"guidance": {"zero_star": {"wait": 1}}},
        lambda model, a, b: zero_init(ruled(lambda model: zero_star(SCALE))(model, a, b), 1),
    ),
    "thresholding": (
        {"guidance": {"thresholding": {"mimic_scale": 2, "mimic_mode": "linear down", "percentile": 0.9}}},
        ruled(
            lambda model: thresholded(
                SCALE, Threshold(2.0, 0.9, "linear down"), by_number(STEPS)
            )
        ),
    ),
    "thresholding, comfyui": (
        {"profile": "comfyui", "guidance": {"thresholding": {"mimic_scale": 2, "scale_mode": "cosine up"}}},
        ruled(
            lambda model: thresholded(
                SCALE, Threshold(2.0, scale_mode="cosine up"), by_timestep(model.table.timestep)
            )
        ),
    ),
    "NGMS": (
        {"guidance": {"skip": {"below": 5}}},
        ruled(lambda model: linear(SCALE), negative_minimum_sigma(5.0)),
    ),
    "skipping at both ends": (
        {"profile": "a1111", "guidance": {"skip": {"below": 2, "every_step": True, "early": 0.2}}},
        ruled(lambda model: linear(SCALE), either(negative_minimum_sigma(2.0, True), skip_early(0.2, STEPS))),
    ),
    "perturbed": (
        {"guidance": {"perturbed": {"scale": 2}}},
        lambda model, a, b: perturbed(plain(a, b), asking(a), PerturbedAttention(), 2.0),
    ),
    "self-attention": (
        {"guidance": {"self_attention": {"scale": 0.7, "blur": 1.5}}},
        lambda model, a, b: self_attention(plain(a, b), b, AttentionMap(), 0.7, 1.5),
    ),
    "both on a rule": (
        {"guidance": {"self_attention": {}, "perturbed": {}, "rescale": {}}},
        lambda model, a, b: perturbed(
            self_attention(
                ruled(lambda model: rescaled(linear(SCALE), 0.7))(model, a, b), b, AttentionMap(), 0.5
            ),
            asking(a),
            PerturbedAttention(),
            3.0,
        ),
    ),
    "free u": ({"free_u": {}}, on(FreeU())),
    "free u, version 1": ({"free_u": {"version": 1, "b1": 1.1}}, on(FreeU(b1=1.1, version=1))),
    "free u, diffusers": ({"profile": "diffusers", "free_u": {}}, on(FreeU(stages="level"))),
    "token merging": ({"token_merging": {"ratio": 0.4}}, on(TokenMerging(0.4))),
    "int8": ({"int8": True}, on(Int8())),
    "fp8": ({"fp8": True}, on(Fp8())),
    "seamless": ({"seamless": {"y": False}}, on(Seamless(y=False))),
    "changes of the network with PAG": (
        {"seamless": {}, "free_u": {}, "guidance": {"perturbed": {}}},
        lambda model, a, b: varied(
            perturbed(plain(a, b), asking(a), PerturbedAttention(), 3.0), FreeU(), Seamless()
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_part_of_the_recipe_is_the_guide_put_together_by_hand(
    model: Model, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "int8" and not int8.is_there():
        pytest.skip("no 8-bit products here")
    monkeypatch.setattr(int8, "FEW", 0)  # however small the network is
    monkeypatch.setattr(int8, "NARROW", 1)
    monkeypatch.setattr(fp8, "FEW", 0)
    monkeypatch.setattr(fp8, "NARROW", 16)
    monkeypatch.setattr(fp8, "is_there", lambda device: True)
    changes, guide = CASES[name]
    one = recipe(**changes)
    made = latents(model, one)
    close(made, by_hand(model, one, guide(model, *sides(model, one))))
    plain_recipe = recipe(**{key: value for key, value in changes.items() if key == "profile"})
    assert not torch.allclose(made, latents(model, plain_recipe), atol=1e-3)


def test_all_of_them_side_by_side_are_as_alone(model: Model) -> None:
    recipes = [recipe(**changes) for changes, _ in list(CASES.values())[::4]]
    executor = Executor[int](model, max_batch=16)
    for index, one in enumerate(recipes):
        executor.add(index, Job(model, one).picture(None, None))
    together = dict(executor.run())
    for index, one in enumerate(recipes):
        alone = latents(model, one)
        assert float((together[index] - alone).abs().max()) <= 5e-5 * float(alone.std())


def test_perp_neg(model: Model) -> None:
    one = recipe(guidance={"perp_neg": {"weight": 1.5}})
    cond, uncond = sides(model, one)
    empty = encode_prompts(model, recipe(prompt="", negative="")).cond
    guide = perp_neg(asking(cond), [(asking(uncond), 1.5)], asking(empty), SCALE)
    close(latents(model, one), by_hand(model, one, guide))


def test_a_scale_of_one_asks_no_negative_prompt(model: Model) -> None:
    for changes in ({}, {"guidance": {"rescale": {}}}, {"guidance": {"zero_star": {}}}):
        executor = Executor[int](model, max_batch=1)
        executor.add(0, Job(model, recipe(guidance_scale=1, **changes)).picture(None, None))
        list(executor.run())
        assert executor.batches == STEPS


@pytest.mark.parametrize(("sampler", "calls"), [("euler", 2 * STEPS - 1), ("ddim", 2 * (STEPS - 1) - 1)])
def test_ngms_counts_as_the_sampler_does(model: Model, sampler: str, calls: int) -> None:
    """AUTOMATIC1111's DDIM hands it timesteps: below 500 of them is another moment than below noise level 500."""
    below = {"euler": 1.2, "ddim": 500}[sampler]
    executor = Executor[int](model, max_batch=1)
    one = recipe(profile="a1111", sampler=sampler, guidance={"skip": {"below": below}})
    executor.add(0, Job(model, one).picture(None, None))
    list(executor.run())
    assert executor.batches == calls


def test_passes_count_their_own_evaluations(model: Model) -> None:
    """Skip Early CFG: a share of each pass."""
    one = recipe(hires={"strength": 0.99, "scale": 1.5}, guidance={"skip": {"early": 0.2}}, exact_steps=True)
    executor = Executor[int](model, max_batch=1)
    executor.add(0, Job(model, one).picture(None, None))
    list(executor.run())
    assert executor.batches == 2 * (2 * STEPS - 2)  # the first two of five, 0 / 5 and 1 / 5, in both passes


def test_token_merging_of_the_second_pass(model: Model) -> None:
    def made(**merging: object) -> Tensor:
        return latents(model, recipe(hires={"scale": 1.5}, token_merging=merging))

    none = latents(model, recipe(hires={"scale": 1.5}))
    assert torch.equal(made(ratio=0.0, hires_ratio=0.0), none)
    late = made(ratio=0.0, hires_ratio=0.5)
    assert not torch.allclose(late, none, atol=1e-3)
    assert not torch.allclose(late, made(ratio=0.5), atol=1e-3)


def test_a_resumed_picture_with_momentum_is_the_same(model: Model) -> None:
    one = recipe(guidance={"projected": {"momentum": -0.7}})
    recording, executor = Recording(), Executor[int](model)
    executor.add(0, Job(model, one).picture(None, recording))
    executor.step(), executor.step()
    again = Executor[int](model)
    again.add(0, Job(model, one).picture(None, recording))
    assert torch.equal(dict(again.run())[0], latents(model, one))


# --- regions ----------------------------------------------------------------------------------------------------------


def test_regions_are_put_together_as_comfyui_does(model: Model, tmp_path: Path) -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[:, 24:] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    one = recipe(
        regional={
            "base": 0.5,
            "regions": [
                {"prompt": "a dog", "left": 0.5, "width": 0.5, "strength": 2.0},
                {"prompt": "a cat", "mask": ImageRef.of(tmp_path / "mask.png").model_dump(), "start": 0.25, "end": 0.9},
                {"prompt": "rain", "negative": True, "height": 0.5},
            ],
        }
    )
    cond, uncond = sides(model, one)
    dog, cat, rain = (sides(model, recipe(prompt=prompt))[0] for prompt in ("a dog", "a cat", "rain"))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1
    levels = [float(model.table.sigma(torch.tensor(999 * (1 - share)))) for share in (0.25, 0.9)]
    positive, negative = opposed(
        [
            Region(cond, strength=0.5),
            Region(dog, Area(0, 4, 8, 4), strength=2.0),
            Region(cat, mask=mask, first=levels[0], last=levels[1]),
        ],
        [Region(uncond), Region(rain, Area(0, 0, 4, 8))],
    )
    guide = contrasted([(regional(positive), 1.0)], regional(negative), linear(SCALE))
    close(latents(model, one), by_hand(model, one, guide))


def test_regions_alone_and_around_their_masks(model: Model, tmp_path: Path) -> None:
    drawn = np.zeros((32, 32), np.uint8)
    drawn[8:, 4:] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    mask = ImageRef.of(tmp_path / "mask.png").model_dump()
    one = recipe(width=128, height=128, regional={"base": 0, "regions": [{"mask": mask, "bounds": True}, {}]})
    executor = Executor[int](model, max_batch=1)
    executor.add(0, Job(model, one).picture(None, None))
    shapes = {tuple(call.x.shape[2:]) for _, calls in executor.waiting.values() for call in calls}
    assert shapes == {(16, 16), (12, 14)}


def test_a_mask_that_changed_is_named(model: Model, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    reference = ImageRef.of(tmp_path / "mask.png").model_dump()
    Image.new("L", (8, 8), 3).save(tmp_path / "mask.png")
    with pytest.raises(FileError, match=r"mask\.png: has changed"):
        latents(model, recipe(regional={"regions": [{"mask": reference}]}))


def test_prompts_of_regions_change_with_time_and_have_subprompts(model: Model) -> None:
    def made(prompt: str) -> Tensor:
        return latents(model, recipe(regional={"regions": [{"prompt": prompt, "width": 0.5}]}))

    assert not torch.allclose(made("[a dog:a cat:0.5]"), made("a dog"), atol=1e-3)
    assert not torch.allclose(made("a dog AND a cat :0.5"), made("a dog"), atol=1e-3)
    assert torch.equal(made("a dog AND a cat :-1"), made("a dog"))


# --- the whole picture ------------------------------------------------------------------------------------------------


def test_seamless_pictures_tile(model: Model) -> None:
    """A picture of noise rolled round is the picture rolled round, autoencoder included."""
    one = recipe(seamless={})
    job = Job(model, one)
    done = latents(model, one)
    whole = np.asarray(job.finish(done)).astype(int)
    rolled = np.asarray(job.finish(done.roll((3, 2), (2, 3)))).astype(int)
    assert np.abs(rolled - np.roll(whole, (24, 16), (0, 1))).max() <= 1
    apart = np.asarray(Job(model, recipe()).finish(done)).astype(int)
    assert np.abs(apart - whole).max() > 8
    assert job.model.vae is model.vae
    assert model.vae_changes == ()


def saved(path: Path, pixels: np.ndarray) -> dict[str, object]:
    Image.fromarray(pixels).save(path)
    return ImageRef.of(path).model_dump()


def photo(width: int = 64, height: int = 64) -> np.ndarray:
    """Smooth, so that the tiny autoencoder knows it again."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack((x, y, (x + y) / 2), -1) * 255).astype(np.uint8)


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize(("profile", "strength"), [("native", 1.0), ("a1111", 0.6)])
def test_inversion_finds_the_noise(model: Model, tmp_path: Path, adjusted: bool, profile: str, strength: float) -> None:
    options = {"prompt": "a dog", "negative": "", "steps": 4, "guidance_scale": 2, "adjusted": adjusted}
    one = recipe(
        init=saved(tmp_path / "photo.png", photo()), strength=strength, inversion={**options, "randomness": 0.25},
        profile=profile,
    )  # fmt: skip
    job = Job(model, one)
    assert job.latents is not None
    prepared = Preparation(model, job.recipe).prepared(orders(job.recipe)[0], job.start)
    table = single_precision(model.table) if profile == "a1111" else model.table
    sigmas = sigmas_for("normal", table, 4).flip(0)
    told = encode_prompts(model, one.but(prompt="a dog", negative=""))
    executor = Executor[str](model)
    guide = classifier_free(told.cond, told.uncond, 2.0)
    executor.add("noise", drive(inversion(job.latents, sigmas, adjusted), guide))
    found = dict(executor.run())["noise"]
    noise = start_noise(found, prepared.starting, job.latents, sigmas[-1], 0.25)
    x = prepared.plan.start(noise, job.latents)
    executor.add("picture", drive(SAMPLERS["euler"].start(x, prepared.plan.sigmas, None), plain(*sides(model, one))))
    close(latents(model, one), dict(executor.run())["picture"])


def test_inversion_is_counted_and_mixed(model: Model, tmp_path: Path) -> None:
    one = recipe(init=saved(tmp_path / "photo.png", photo()), inversion={"steps": 7, "randomness": 1.0})
    seen = []
    list(generate(model, [one], watch=lambda _, step: seen.append((step.index, step.count))))
    assert seen == [(i, 7 + STEPS) for i in range(7 + STEPS)]
    fewer = one.but(inversion={"steps": 3, "randomness": 1.0})  # nothing is left of what was found
    close(latents(model, one), latents(model, fewer))


@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui"])
def test_outpainting(model: Model, tmp_path: Path, profile: str) -> None:
    pixels = photo(56, 64)
    init = saved(tmp_path / "photo.png", pixels)
    one = recipe(
        init=init, outpaint={"left": 8, "right": 32, "feather": 16}, width=96, height=64, profile=profile, strength=0.9
    )
    (made,) = generate(model, [one])
    image = np.asarray(made.image).astype(int)
    assert image.shape == (64, 96, 3)
    inside = image[:, 8 + 16 : 8 + 56 - 16]
    kept = pixels[:, 16:-16].astype(int)
    if profile == "comfyui":  # which decodes what it kept
        assert np.abs(inside - kept).max() > 0
    else:
        assert (inside == kept).all()
    stretched = np.repeat(pixels[:, -1:].astype(int), 32, 1)
    assert np.abs(image[:, -32:] - stretched).max() > 16  # something was painted there


def test_outpainting_with_a_mask_paints_both(model: Model, tmp_path: Path) -> None:
    pixels = photo()
    hole = np.zeros((64, 64), np.uint8)
    hole[:16, :16] = 255
    one = recipe(
        init=saved(tmp_path / "photo.png", pixels), mask=saved(tmp_path / "mask.png", hole), width=96,
        outpaint={"right": 32, "feather": 0}, strength=1.0,
    )  # fmt: skip
    (made,) = generate(model, [one])
    changed = (np.asarray(made.image)[:, :64] != pixels).any(-1)
    assert changed[:16, :16].mean() > 0.9
    assert not changed[16:].any()
    assert not changed[:, 16:].any()


def test_soft_inpainting_keeps_what_has_not_moved(model: Model, tmp_path: Path) -> None:
    """The composite follows how far latents have moved, not the mask."""
    pixels = photo()
    grey = np.tile(np.linspace(-255, 255, 64).clip(0).astype(np.uint8), (64, 1))
    one = recipe(
        init=saved(tmp_path / "photo.png", pixels), mask=saved(tmp_path / "mask.png", grey), inpaint={"soft": {}},
        strength=0.8, profile="a1111",
    )  # fmt: skip
    job = Job(model, one)
    assert job.start is not None
    assert (np.asarray(job.finish(job.start.latents)) == pixels).all()
    done = latents(model, one)
    image = np.asarray(job.finish(done)).astype(int)
    difference = np.abs(image - pixels).max(-1).mean(0)
    assert 10 * difference[:8].max() < difference[-8:].min()  # blurred by 4 pixels
    everything = Job(model, one.but(inpaint={"soft": {"difference_threshold": 0.0}})).finish(done)
    bare = Job(model, one.but(mask=None, inpaint=None)).finish(done)
    assert (np.asarray(everything) == np.asarray(bare))[:, 40:].mean() > 0.9


# --- what can't be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance": {"projected": {}, "zero_star": {}}}, "guidance: projected and zero_star are different rules"),
        ({"guidance": {"perp_neg": {}, "rescale": {}}}, "guidance: perp_neg asks for three answers"),
        (
            {"guidance": {"thresholding": {"mimic_mode": "up"}}},
            "guidance.thresholding.mimic_mode: input should be",
        ),
        ({"regional": {"regions": [{"left": 2}]}}, "regional.regions.0.left: input should be less than or equal to 1"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        recipe(**changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["outpaint", "inversion"])
def test_what_needs_a_start_picture_says_so(model: Model, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} needs a start picture: give one with --init$"):
        Job(model, recipe(**{name: {}}))


def test_layers_that_are_not_there_are_named(model: Model) -> None:
    one = recipe(guidance={"perturbed": {"layers": ["input_blocks.99"]}})
    with pytest.raises(UserError, match=r"perturbed: this network has no self-attention in input_blocks\.99"):
        Job(model, one)


def test_instruct_pix2pix_has_its_own_guidance(tmp_path: Path) -> None:
    other = tiny_model(in_channels=8)
    other = replace(other, facts=replace(other.facts, task="instruct"))
    init = saved(tmp_path / "photo.png", photo())
    with pytest.raises(UserError, match="rescale: instruct-pix2pix models have guidance of their own"):
        Job(other, recipe(init=init, guidance={"rescale": {}}))
    made = [latents(other, recipe(init=init, **changes)) for changes in ({}, {"guidance": {"perturbed": {}}})]
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_what_is_faster_needs_its_device_and_room(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(model, budget=10**9)
    with pytest.raises(UserError, match="fp8 needs a GPU"):
        Job(model, recipe(fp8=True))
    monkeypatch.setattr(fp8, "is_there", lambda device: True)
    monkeypatch.setattr(int8, "is_there", lambda: True)
    for name in ("int8", "fp8"):
        with pytest.raises(UserError, match=f"{name} keeps the U-Net's weights a second time"):
            Job(short, recipe(**{name: True}))
    with pytest.raises(UserError, match="compile is for weights that stay in memory"):
        Job(short, recipe(compile=True))
    with pytest.raises(UserError, match="int8 and compile don't go together"):
        Job(model, recipe(compile=True, int8=True))
    monkeypatch.setattr(int8, "is_there", lambda: False)
    with pytest.raises(UserError, match="int8 needs a processor"):
        Job(model, recipe(int8=True))


def test_a_recipe_has_its_network_compiled(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, ran = latents(model, recipe()), []

    def by_hand(block: Compilable, given: tuple[Tensor, ...], weights: dict[str, Tensor]) -> Tensor:
        ran.append(block)
        return run(block.outline, weights, *given)

    monkeypatch.setattr(compiled, "compiled", by_hand)
    close(latents(model, recipe(compile=True)), wanted)
    assert ran
