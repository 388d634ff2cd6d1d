"""Profiles: what each tool does with seeds, noise levels, steps and masks, by its own rules written out again here."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.images import to_image
from fromnoise.engine.library import Model
from fromnoise.engine.plan import Plan, make_plan
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_parts import Noise, Variation
from fromnoise.engine.seeding import Seeding, slerp
from fromnoise.sampling.noise import NvStream
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable
from tests.engine.models import tiny_model

SHAPE = (1, 4, 8, 8)
TABLE = NoiseTable.ldm()
A1111, COMFYUI, DIFFUSERS, NATIVE = (PROFILES[name] for name in ("a1111", "comfyui", "diffusers", "native"))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def recipe(**changes: object) -> Recipe:
    return Recipe.make(
        **{"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "sampler": "euler", **changes}
    )


def latents(model: Model, one: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, None))
    ((_, done),) = executor.run()
    return done


def drawn(seed: int, *draws: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in draws]


def plan(profile: str, sampler: str, schedule: str, steps: int, strength: float | None = None, **more: bool) -> Plan:
    return make_plan(PROFILES[profile], TABLE, SAMPLERS[sampler], schedule, steps, strength, **more)


# --- noise ------------------------------------------------------------------------------------------------------------


def test_comfyui_starts_the_stream_again_for_the_steps() -> None:
    seeding = Seeding(COMFYUI, 7, SHAPE)
    sigmas = torch.tensor([2.0, 1.0, 0.0])
    first, second = drawn(7, SHAPE, SHAPE)
    assert torch.equal(seeding.starting(), first)
    noise = seeding.steps(SAMPLERS["euler_ancestral"], sigmas, sigmas)
    assert torch.equal(noise(0, sigmas[0], sigmas[1]), first)
    assert torch.equal(noise(1, sigmas[0], sigmas[1]), second)


@pytest.mark.parametrize("index", [0, 2])
def test_comfyui_draws_for_the_whole_batch(index: int) -> None:
    seeding = Seeding(COMFYUI, 7, SHAPE, Noise(index=index, batch=3))
    first, second = drawn(7, (3, 4, 8, 8), (3, 4, 8, 8))
    assert torch.equal(seeding.starting()[0], first[index])
    noise = seeding.steps(SAMPLERS["euler_ancestral"], TABLE.sigmas[:2], TABLE.sigmas[:2])
    noise(0, TABLE.sigmas[1], TABLE.sigmas[0])
    assert torch.equal(noise(1, TABLE.sigmas[1], TABLE.sigmas[0])[0], second[index])


def test_a1111_goes_on_with_the_stream_of_the_picture() -> None:
    seeding = Seeding(A1111, 7, SHAPE, Noise(source="cpu"))
    first, second = drawn(7, SHAPE, SHAPE)
    assert torch.equal(seeding.starting(), first)
    noise = seeding.steps(SAMPLERS["euler_ancestral"], TABLE.sigmas[:2], TABLE.sigmas[:2])
    assert torch.equal(noise(0, TABLE.sigmas[1], TABLE.sigmas[0]), second)


def test_a1111_draws_on_a_gpu_where_nothing_is_said() -> None:
    assert torch.equal(Seeding(A1111, 7, SHAPE).starting(), NvStream(7).randn(SHAPE))


def test_a1111_adds_to_the_seed_of_the_steps() -> None:
    seeding = Seeding(A1111, 7, SHAPE, Noise(source="cpu", seed_delta=31337))
    assert torch.equal(seeding.starting(), drawn(7, SHAPE)[0])
    noise = seeding.steps(SAMPLERS["euler_ancestral"], TABLE.sigmas[:2], TABLE.sigmas[:2])
    assert torch.equal(noise(0, TABLE.sigmas[1], TABLE.sigmas[0]), drawn(7 + 31337, SHAPE)[0])


def test_a1111_mixes_a_variation_in_by_columns() -> None:
    seeding = Seeding(A1111, 7, SHAPE, Noise(source="cpu"), Variation(seed=9, strength=0.3))
    (low,), (high,) = drawn(7, SHAPE), drawn(9, SHAPE)
    mixed = seeding.starting()
    for channel in range(4):
        for x in range(8):
            a, b = low[0, channel, :, x], high[0, channel, :, x]
            angle = math.acos(float(a @ b / (a.norm() * b.norm())))
            wanted = (math.sin(0.7 * angle) * a + math.sin(0.3 * angle) * b) / math.sin(angle)
            assert torch.allclose(mixed[0, channel, :, x], wanted, atol=1e-5)


def test_a1111_mixes_nearly_equal_noise_backwards() -> None:
    same = Seeding(A1111, 7, SHAPE, Noise(source="cpu"), Variation(seed=7, strength=0.3)).starting()
    assert torch.allclose(same, drawn(7, SHAPE)[0])


@pytest.mark.parametrize("name", PROFILES)
def test_a_variation_leads_from_one_seed_to_the_other(name: str) -> None:
    def noise(strength: float) -> Tensor:
        return Seeding(PROFILES[name], 7, SHAPE, Noise(), Variation(seed=9, strength=strength)).starting()

    plain = Seeding(PROFILES[name], 7, SHAPE).starting()
    assert torch.equal(noise(0.0), plain)
    distances = [float((noise(strength) - plain).norm()) for strength in (0.0, 0.1, 0.5, 1.0)]
    assert distances == sorted(distances)
    assert 0.8 < float(noise(0.5).std()) < 1.2  # still unit noise


def test_slerp_keeps_the_length_and_ends_where_it_should() -> None:
    low, high = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(slerp(low, high, 0.5), torch.tensor([[0.5**0.5, 0.5**0.5]]))
    assert torch.allclose(slerp(low, high, 1.0), high)
    assert torch.equal(slerp(low, low, 0.4), low)


@pytest.mark.parametrize("size", [(128, 64), (32, 32), (64, 64), (32, 128)])
def test_noise_of_another_size_lies_in_the_middle(size: tuple[int, int]) -> None:
    noise = Seeding(A1111, 7, SHAPE, Noise(source="cpu", from_size=size)).starting()
    width, height = size[0] // 8, size[1] // 8
    (small,) = drawn(7, (1, 4, height, width))
    (large,) = drawn(7, SHAPE)
    assert torch.equal(noise[..., 4, 4], small[..., 4 + (height - 8) // 2, 4 + (width - 8) // 2])
    if width < 8 and height < 8:
        assert torch.equal(noise[..., 0, :], large[..., 0, :])
        assert torch.equal(noise[..., 2:6, 2:6], small)


def test_native_noise_of_a_second_pass_is_its_own() -> None:
    first, second = Seeding(NATIVE, 7, SHAPE), Seeding(NATIVE, 7, SHAPE, second_pass=True)
    assert not torch.equal(first.starting(), second.starting())
    steps = [s.steps(SAMPLERS["euler_ancestral"], TABLE.sigmas[:2], TABLE.sigmas[:2]) for s in (first, second)]
    one, two = (noise(0, TABLE.sigmas[1], TABLE.sigmas[0]) for noise in steps)
    assert not torch.equal(one, two)


def test_brownian_paths_span_all_planned_steps_in_a1111_only() -> None:
    spec = SAMPLERS["dpmpp_2m_sde"]
    planned = plan("a1111", "dpmpp_2m_sde", "karras", 10).sigmas
    taken = planned[4:]

    def drawn_by(name: str, cut: Tensor) -> Tensor:
        noise = Seeding(PROFILES[name], 7, SHAPE, Noise(source="cpu")).steps(spec, cut, planned)
        return noise(0, cut[0], cut[1])

    assert torch.equal(drawn_by("a1111", taken), Seeding(A1111, 7, SHAPE, Noise(source="cpu")).steps(
        spec, planned, planned
    )(0, taken[0], taken[1]))  # fmt: skip
    assert not torch.equal(drawn_by("a1111", taken), drawn_by("comfyui", taken))


# --- noise levels -----------------------------------------------------------------------------------------------------


def test_scale_of_the_starting_noise() -> None:
    highest = TABLE.sigma_max
    assert plan("a1111", "euler", "normal", 10).scale == pytest.approx(highest, rel=1e-5)
    for name in ("native", "comfyui"):
        assert plan(name, "euler", "normal", 10).scale == pytest.approx(math.hypot(1, highest))
    low = float(SCHEDULES["ddim_uniform"](TABLE, 10)[0])  # starts below the highest level
    assert plan("comfyui", "euler", "ddim_uniform", 10).scale == pytest.approx(low)
    assert plan("native", "euler", "ddim_uniform", 10).scale == pytest.approx(math.hypot(1, low))
    assert plan("comfyui", "euler", "normal", 10, 1.0).scale == pytest.approx(math.hypot(1, highest))
    assert plan("native", "euler", "normal", 10, 1.0).scale == pytest.approx(highest)


@pytest.mark.parametrize(("strength", "steps"), [(0.75, 16), (0.5, 11), (0.02, 1), (1.0, 20)])
def test_a1111_counts_steps_by_strength(strength: float, steps: int) -> None:
    """int(min(strength, 0.999) * 20) + 1."""
    made = plan("a1111", "euler", "normal", 20, strength)
    assert made.steps == steps
    assert torch.equal(made.sigmas, made.planned[-(steps + 1) :])


def test_a1111_takes_exactly_the_steps_when_asked_to() -> None:
    made = plan("a1111", "euler", "normal", 20, 0.5, exact_steps=True)
    assert (made.steps, len(made.planned)) == (20, 41)


@pytest.mark.parametrize(("strength", "planned"), [(0.6, 10), (0.5, 12), (1.0, 6)])
def test_comfyui_plans_more_steps(strength: float, planned: int) -> None:
    made = plan("comfyui", "euler", "normal", 6, strength)
    assert (made.steps, len(made.planned)) == (6, planned + 1)


def test_diffusers_takes_fewer_steps() -> None:
    assert plan("diffusers", "euler", "leading", 20, 0.75).steps == 15
    assert plan("diffusers", "euler", "leading", 20, 0.01).steps == 0


@pytest.mark.parametrize("sampler", ["dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde", "uni_pc", "euler"])
def test_who_leaves_the_last_but_one_level_out(sampler: str) -> None:
    full, longer = SCHEDULES["karras"](TABLE, 10), SCHEDULES["karras"](TABLE, 11)
    dropped = torch.cat((longer[:-2], longer[-1:]))
    expected = {
        "comfyui": ("dpm_2", "dpm_2_ancestral", "uni_pc"),
        "a1111": ("dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde"),
    }
    for name, samplers in expected.items():
        if name == "a1111" and sampler == "uni_pc":
            continue  # walks timesteps
        made = plan(name, sampler, "karras", 10).sigmas
        assert torch.allclose(made, dropped if sampler in samplers else full, rtol=1e-4)


@pytest.mark.parametrize(("steps", "levels"), [(20, 20), (15, 16), (30, 31), (75, 77), (150, 167)])
def test_a1111_ddim_walks_whole_timesteps(steps: int, levels: int) -> None:
    made = plan("a1111", "ddim", "normal", steps)
    stride = 1000 // steps
    timesteps = [min(t + 1, 999) for t in range(0, 1000, stride)]
    assert len(made.sigmas) == levels
    assert torch.allclose(made.sigmas, TABLE.sigmas[timesteps[::-1]], rtol=1e-4)
    assert made.scale == pytest.approx(math.hypot(1, float(made.sigmas[0])), rel=1e-5)
    assert made.end_scale == pytest.approx(1 / math.hypot(1, float(TABLE.sigmas[1])), rel=1e-5)


def test_a1111_ddim_noises_a_picture_for_the_next_timestep() -> None:
    made = plan("a1111", "ddim", "normal", 20, 0.5)  # 10 of 951, 901, ..., 1
    assert len(made.sigmas) == 10
    alphas = TABLE.alphas_cumprod
    vp = math.sqrt(float(alphas[451]))  # sampling starts at 451 with a picture noised for 501
    assert made.picture_scale * vp == pytest.approx(math.sqrt(float(alphas[501])), rel=1e-4)
    assert made.scale * vp == pytest.approx(math.sqrt(1 - float(alphas[501])), rel=1e-4)


def test_names_that_mean_something_else_elsewhere() -> None:
    assert SCHEDULES[A1111.schedule_named("Beta")].name == "beta_sigma"
    assert SCHEDULES[A1111.schedule_named("KL Optimal")].name == "kl_optimal_open"
    assert SCHEDULES[COMFYUI.schedule_named("beta")].name == "beta"
    assert A1111.schedule("dpmpp_2m", "normal") == "karras"
    assert A1111.schedule("euler_ancestral", "karras") == "normal"
    assert A1111.options("lms", {}) == {"extrapolate_last": True}
    assert COMFYUI.options("lms", {"order": 2}) == {"order": 2}


def test_align_your_steps_is_another_for_sdxl() -> None:
    wanted = recipe(profile="a1111", schedule="align_your_steps")
    assert Job(tiny_model("sdxl"), wanted).recipe.schedule == "align_your_steps_sdxl"
    assert Job(tiny_model("sd1"), wanted).recipe.schedule == "align_your_steps"


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde", "ddim", "uni_pc", "plms", "euler_cfg_pp"])
def test_every_profile_makes_a_picture_twice_the_same(model: Model, name: str, sampler: str) -> None:
    wanted = recipe(profile=name, sampler=sampler, seed=3)
    first, again = latents(model, wanted), latents(model, wanted)
    assert first.isfinite().all()
    assert torch.equal(first, again)


def test_profiles_differ(model: Model) -> None:
    made = [latents(model, recipe(profile=name, prompt="a (red:1.4) [cat]", negative="x")) for name in PROFILES]
    for i, one in enumerate(made):
        for other in made[:i]:
            assert not torch.allclose(one, other, rtol=1e-2)


def test_pictures_of_different_profiles_share_a_run(model: Model) -> None:
    recipes = [recipe(profile=name, sampler="euler_ancestral", seed=i) for i, name in enumerate(PROFILES)]
    executor = Executor[int](model)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    for i, made in executor.run():
        alone = latents(model, recipes[i])
        assert float((made - alone).abs().max()) <= 2e-5 * float(alone.std())


def test_rounding_of_pixels() -> None:
    tensor = torch.full((1, 3, 1, 1), 100.7 / 127.5 - 1)
    assert (to_image(tensor).getpixel((0, 0)), to_image(tensor, down=True).getpixel((0, 0))) == (
        (101, 101, 101),
        (100, 100, 100),
    )


@pytest.fixture
def masked(tmp_path: Path) -> dict[str, ImageRef]:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return {"init": ImageRef.of(tmp_path / "photo.png"), "mask": ImageRef.of(tmp_path / "mask.png")}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "plms"])
def test_the_kept_latents_come_back(model: Model, masked: dict[str, ImageRef], name: str, sampler: str) -> None:
    wanted = recipe(profile=name, sampler=sampler, strength=0.8, **masked)
    job = Job(model, wanted)
    assert job.latents is not None
    made = latents(model, wanted)
    assert torch.allclose(made[..., :4], job.latents[..., :4], atol=1e-4)
    assert not torch.allclose(made[..., 4:], job.latents[..., 4:], atol=1e-2)


@pytest.mark.parametrize(("name", "kept"), [("native", True), ("a1111", True), ("comfyui", False)])
def test_who_brings_the_kept_pixels_back(model: Model, masked: dict[str, ImageRef], name: str, kept: bool) -> None:
    (made,) = generate(model, [recipe(profile=name, **masked)])
    before, after = np.asarray(Image.open(masked["init"].path)), np.asarray(made.image)
    assert (before[:, :32] == after[:, :32]).all() == kept


def test_ddim_in_comfyui_keeps_with_other_noise(model: Model, masked: dict[str, ImageRef]) -> None:
    base = recipe(profile="comfyui", schedule="normal", **masked)
    assert not torch.allclose(latents(model, base), latents(model, base.but(sampler="ddim")))
    plain = recipe(profile="comfyui", schedule="normal", init=masked["init"])
    assert torch.allclose(latents(model, plain), latents(model, plain.but(sampler="ddim")), atol=1e-5)
