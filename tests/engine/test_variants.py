"""Pictures with guidance of every kind share the executor, and come out as they do alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fromnoise.engine.executor import Executor
from fromnoise.engine.library import Model
from fromnoise.nn.hooks import AttentionMap, FreeU, PerturbedAttention, Seamless
from fromnoise.nn.token_merging import TokenMerging
from fromnoise.sampling.areas import Area
from fromnoise.sampling.guidance import Cond, Guidance, NetworkCall, Picture, classifier_free, drive
from fromnoise.sampling.guidance_attention import perturbed, self_attention
from fromnoise.sampling.guidance_inversion import inversion
from fromnoise.sampling.guidance_masks import Softness, differential, keep_by_level, keep_softly
from fromnoise.sampling.guidance_parts import (
    asking,
    contrasted,
    linear,
    negative_minimum_sigma,
    perp_neg,
    varied,
)
from fromnoise.sampling.guidance_regions import Region, regional
from fromnoise.sampling.guidance_rules import Momentum, projected, rescaled, zero_star
from fromnoise.sampling.guidance_threshold import Threshold, by_number, thresholded
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import sigmas_for
from tests.engine.models import tiny_model
from tests.sampling.exact import run

SHAPE = (1, 4, 8, 8)
A, B, C = (Cond(torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(seed))) for seed in range(3))
PLAIN = classifier_free(A, B, 5.0)
LATENTS = torch.randn(SHAPE, generator=torch.Generator().manual_seed(8))
MASK = torch.linspace(0, 1, 64).view(1, 1, 8, 8)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def ruled(rule: object) -> Guidance:
    return contrasted([(asking(A), 1.0)], asking(B), rule)  # type: ignore[arg-type]


GUIDES: dict[str, Callable[[Model], Guidance]] = {
    "plain": lambda model: PLAIN,
    "perturbed attention": lambda model: perturbed(PLAIN, asking(A), PerturbedAttention(), 3.0),
    "self-attention": lambda model: self_attention(PLAIN, B, AttentionMap(), 0.75),
    "free u": lambda model: varied(PLAIN, FreeU()),
    "token merging": lambda model: varied(PLAIN, TokenMerging(0.5)),
    "seamless": lambda model: varied(PLAIN, Seamless()),
    "seamless, perturbed": lambda model: varied(perturbed(PLAIN, asking(A), PerturbedAttention(), 2.0), Seamless()),
    "rescaled": lambda model: ruled(rescaled(linear(8.0), 0.7, model.scalings)),
    "projected": lambda model: ruled(projected(8.0, 0.0, 5.0, Momentum(-0.5))),
    "zero star": lambda model: ruled(zero_star(8.0)),
    "thresholded": lambda model: ruled(thresholded(15.0, Threshold(), by_number(5))),
    "skipping": lambda model: contrasted([(asking(A), 1.0)], asking(B), linear(5.0), negative_minimum_sigma(4.0)),
    "perpendicular": lambda model: perp_neg(asking(A), [(asking(C), 1.0)], asking(B), 6.0),
    "regional": lambda model: contrasted(
        [(regional([Region(A), Region(C, Area(2, 0, 6, 4))]), 1.0)], asking(B), linear(5.0)
    ),
    "gradual mask": lambda model: keep_by_level(
        PLAIN, LATENTS, differential(MASK, sigmas_for("karras", model.table, 5), model.table), LATENTS.flip(3)
    ),
    "soft mask": lambda model: keep_softly(PLAIN, LATENTS, MASK, Softness()),
}


def picture(model: Model, name: str) -> Picture:
    index = list(GUIDES).index(name)
    sigmas = sigmas_for("karras", model.table, 5)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(100 + index)) * sigmas[0]
    return drive(SAMPLERS["heun" if index % 3 == 2 else "dpmpp_2m"].start(x, sigmas), GUIDES[name](model))


def alone(model: Model, name: str) -> Tensor:
    executor = Executor[str](model)
    executor.add(name, picture(model, name))
    return dict(executor.run())[name]


@pytest.fixture(scope="module")
def together(model: Model) -> dict[str, Tensor]:
    executor = Executor[str](model, max_batch=16)
    for name in GUIDES:
        executor.add(name, picture(model, name))
    return dict(executor.run())


@pytest.mark.parametrize("name", GUIDES)
def test_a_picture_is_the_same_alone_and_among_all_others(model: Model, together: dict[str, Tensor], name: str) -> None:
    own = alone(model, name)
    assert float((together[name] - own).abs().max()) <= 5e-5 * float(own.std())


def test_each_guide_makes_another_picture(model: Model) -> None:
    sigmas = sigmas_for("karras", model.table, 5)
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(100)) * sigmas[0]
    executor = Executor[str](model, max_batch=16)
    for name, guide in GUIDES.items():
        executor.add(name, drive(SAMPLERS["euler"].start(start, sigmas), guide(model)))
    made = dict(executor.run())
    names = list(made)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not torch.allclose(made[one], made[other], atol=1e-4), (one, other)


def test_the_model_is_as_before(model: Model) -> None:
    before = {name: tensor.clone() for name, tensor in model.unet.state_dict().items()}
    answer = alone(model, "plain")
    for name in GUIDES:
        alone(model, name)
    assert torch.equal(alone(model, "plain"), answer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.unet.state_dict().items())


def test_equal_variants_share_a_batch_and_others_do_not(model: Model) -> None:
    def batches(*guides: Guidance) -> int:
        executor = Executor[int](model, max_batch=16)
        for index, guide in enumerate(guides):
            sigmas = sigmas_for("karras", model.table, 3)
            executor.add(index, drive(SAMPLERS["euler"].start(LATENTS * sigmas[0], sigmas), guide))
        list(executor.run())
        return executor.batches

    assert batches(varied(PLAIN, FreeU()), varied(PLAIN, FreeU())) == 3
    assert batches(varied(PLAIN, FreeU()), varied(PLAIN, FreeU(b1=1.1))) == 6
    assert batches(PLAIN, perturbed(PLAIN, asking(A), PerturbedAttention(), 3.0)) == 6  # plain calls go together


def test_readings_come_after_the_picture(model: Model) -> None:
    x, sigma = LATENTS, torch.tensor(2.0)
    call = NetworkCall(x, sigma, A)
    told, plain = Executor[int](model).answer([call._replace(variants=(AttentionMap(),)), call])
    assert told.shape == (1, 5, 8, 8)
    assert torch.equal(told[:, :4], plain)
    assert abs(float(told[:, 4].mean()) - 1) < 1e-5


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 5e-5), (5.0, 2e-4)])
def test_inversion_is_a_picture_among_others(model: Model, adjusted: bool, scale: float, tolerance: float) -> None:
    """To a share of the noise's deviation. High guidance multiplies float32's own rounding on the way up: at 5 both
    ways are up to 1e-4 from the answer in float64, at 1 (AUTOMATIC1111's usual) they are 1e-5."""
    sigmas = sigmas_for("normal", model.table, 6).flip(0)
    executor, single = Executor[str](model), Executor[str](model)
    executor.add("noise", drive(inversion(LATENTS, sigmas, adjusted), classifier_free(A, B, scale)))
    executor.add("other", picture(model, "perturbed attention"))
    noise = dict(executor.run())["noise"]

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        cond, base = single.answer([NetworkCall(x, sigma, A), NetworkCall(x, sigma, B)])
        return base + (cond - base) * scale

    alone = run(inversion(LATENTS, sigmas, adjusted), denoise)
    assert float((noise - alone).abs().max()) <= tolerance * float(alone.std())
