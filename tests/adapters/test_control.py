"""Control networks beside the U-Net: what they add, alone and in batches, and that nothing stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.lllite import LLLiteHint
from fromnoise.adapters.reference import Reference, References, adain_places, noised
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.checkpoints.control import load_control
from fromnoise.engine.executor import Executor
from fromnoise.engine.library import Model
from fromnoise.nn.control_lllite import LLLite, LLLiteModule
from fromnoise.nn.controlnet import UnionConfig
from fromnoise.nn.t2i_adapter import places
from fromnoise.nn.unet import SD1, SDXL, TransformerBlock
from fromnoise.sampling.areas import Place
from fromnoise.sampling.guidance import Attachment, Cond, NetworkCall, classifier_free, drive
from fromnoise.sampling.guidance_companions import accompanied
from fromnoise.sampling.samplers import SAMPLERS, Evaluate
from fromnoise.sampling.schedules import sigmas_for
from tests import tiny_control
from tests.engine.models import tiny_model

SHAPE = (1, 4, 8, 8)
SIGMA = torch.tensor(3.0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


A, B = Cond(random(1, 77, 32, seed=1)), Cond(random(1, 77, 32, seed=2), negative=True)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def hint(seed: int, channels: int = 3) -> Tensor:
    return random(1, channels, 64, 64, seed=seed).sigmoid()


class Makers:
    """One attachment of every kind; another seed is another picture, for the same network."""

    def __init__(self, model: Model, folder: Path) -> None:
        unet, scales = model.unet, (1.0,) * (len(model.unet.input_blocks) + 1)
        plain = tiny_control.controlnet(unet, seed=1)
        pooled = tiny_control.controlnet(unet, seed=2, pooled=True)
        union = tiny_control.controlnet(unet, seed=3, union=UnionConfig(6))
        adapter = tiny_control.adapter(unet, seed=4)
        lite = lllite(model, folder)
        region = torch.zeros(1, 1, 64, 64)
        region[..., :32] = 1

        def controlnet(seed: int) -> Attachment:
            return ControlHint(plain, plain.guide([hint(seed)]), tuple(s * (0.5 + seed % 3) for s in scales))

        def typed(seed: int) -> Attachment:
            kind = seed % 6
            return ControlHint(union, union.guide([hint(seed)], [kind]), scales, (kind,))

        def t2i(seed: int) -> Attachment:
            features = tuple(adapter(hint(seed)))
            return AdapterHint(features, tuple(places(adapter.config, unet.config)), (1.0, 0.5 + seed % 2))

        def lite_hint(seed: int) -> Attachment:
            return LLLiteHint(lite, seen(lite, hint(seed)), 0.5 + seed % 3)

        def reference(seed: int, **options: bool) -> Attachment:
            one = Reference(
                random(*SHAPE, seed=seed), random(*SHAPE, seed=seed + 50), fidelity=0.2 * (seed % 4), **options
            )
            return References((one,), model.table.alphas_cumprod, negative=bool(seed % 2))

        self.kinds: dict[str, Callable[[int], Attachment]] = {
            "controlnet": controlnet,
            "region": lambda seed: replace(controlnet(seed), region=region),  # type: ignore[type-var]
            "pooled": lambda seed: ControlHint(pooled, pooled.guide([hint(seed)]), scales),
            "union": typed,
            "t2i adapter": t2i,
            "lllite": lite_hint,
            "reference only": reference,
            "reference adain": lambda seed: reference(seed, attention=False, adain=True),
            "reference both": lambda seed: reference(seed, adain=True),
        }


def lllite(model: Model, folder: Path) -> LLLite:
    network = load_control(tiny_control.written(folder / "lllite.safetensors", tiny_control.lllite(model.unet)))
    assert isinstance(network, LLLite)
    return network


def seen(network: LLLite, picture: Tensor) -> dict[str, Tensor]:
    found = {}
    for name, module in network.items():
        assert isinstance(module, LLLiteModule)
        found[name] = module.look(picture * 2 - 1)
    return found


@pytest.fixture(scope="module")
def makers(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Makers:
    return Makers(model, tmp_path_factory.mktemp("lllite"))


KINDS = (
    "controlnet", "region", "pooled", "union", "t2i adapter", "lllite", "reference only", "reference adain",
    "reference both",
)  # fmt: skip


def ask(model: Model, *conds: Cond, seed: int = 9) -> list[Tensor]:
    calls = [NetworkCall(random(*SHAPE, seed=seed + i) * SIGMA, SIGMA + i, cond) for i, cond in enumerate(conds)]
    return Executor[str](model, max_batch=16).answer(calls)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_the_same_alone_and_in_a_batch(model: Model, makers: Makers, kind: str) -> None:
    attached = [makers.kinds[kind](seed) for seed in range(4)]
    conds = [replace(A, attached=(one,)) for one in attached]
    executor = Executor[str](model, max_batch=16)
    calls = [NetworkCall(random(*SHAPE, seed=9 + i) * SIGMA, SIGMA + i, cond) for i, cond in enumerate(conds)]
    together = executor.answer([*calls, calls[0]._replace(cond=A)])
    assert executor.batches == 2
    for call, answer in zip(calls, together, strict=False):
        (alone,) = Executor[str](model).answer([call])
        torch.testing.assert_close(answer, alone, atol=2e-5, rtol=2e-5)
        (plain,) = Executor[str](model).answer([call._replace(cond=A)])
        assert not torch.allclose(alone, plain, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays(model: Model, makers: Makers, kind: str) -> None:
    before = {name: tensor.clone() for name, tensor in model.unet.state_dict().items()}
    hooks = hooked(model)
    plain = ask(model, A)
    ask(model, replace(A, attached=(makers.kinds[kind](1),)))
    one = makers.kinds[kind](1)
    with pytest.raises(KeyboardInterrupt), one.applied(model.unet, [one]):
        raise KeyboardInterrupt
    assert hooked(model) == hooks
    assert ask(model, A)[0].equal(plain[0])
    assert all(tensor.equal(before[name]) for name, tensor in model.unet.state_dict().items())


def hooked(model: Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.unet.modules())


def test_all_at_once_add_up(model: Model, makers: Makers) -> None:
    """Residuals and features are sums, so that the order does not matter and halves make a whole."""
    control, adapter = makers.kinds["controlnet"](1), makers.kinds["t2i adapter"](1)
    assert isinstance(control, ControlHint)
    halves = [replace(control, scales=tuple(s / 2 for s in control.scales)) for _ in range(2)]
    one = ask(model, replace(A, attached=(control, adapter)))[0]
    for attached in ((adapter, control), (*halves, adapter)):
        torch.testing.assert_close(ask(model, replace(A, attached=attached))[0], one, atol=2e-5, rtol=2e-5)


def test_a_region_bounds_what_acts(model: Model, makers: Makers) -> None:
    control = makers.kinds["controlnet"](1)
    assert isinstance(control, ControlHint)
    whole, none = (replace(control, region=torch.full((1, 1, 16, 16), value)) for value in (1.0, 0.0))
    plain, full = ask(model, A)[0], ask(model, replace(A, attached=(control,)))[0]
    torch.testing.assert_close(ask(model, replace(A, attached=(whole,)))[0], full, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ask(model, replace(A, attached=(none,)))[0], plain, atol=1e-5, rtol=1e-5)


def test_an_inpainting_model_shows_its_controlnet_the_picture_alone() -> None:
    model = tiny_model(in_channels=9)
    network = tiny_control.controlnet(tiny_model().unet)
    control = ControlHint(network, network.guide([hint(1)]), (1.0,) * (len(model.unet.input_blocks) + 1))
    cond = replace(A, concat=random(1, 5, 8, 8))
    plain, steered = ask(model, cond)[0], ask(model, replace(cond, attached=(control,)))[0]
    assert not torch.allclose(plain, steered, atol=1e-3)
    one = Reference(random(*SHAPE, seed=1), random(*SHAPE, seed=2))
    seen = ask(model, replace(cond, attached=(References((one,), model.table.alphas_cumprod),)))[0]
    assert not torch.allclose(plain, seen, atol=1e-3)


def published(model: Model, x: Tensor, t: Tensor, context: Tensor, members: list[Reference], negative: bool) -> Tensor:
    """Reference attention and adain written down from their definition, over changed forward methods."""
    unet, bank, norms, mode = model.unet, {}, {}, ["rest"]
    blocks = [m for m in unet.modules() if isinstance(m, TransformerBlock)]
    order = sorted(blocks, key=lambda block: -block.norm1.normalized_shape[0])
    current: list[Reference] = []

    def forward(self: TransformerBlock, x: Tensor, context: Tensor) -> Tensor:
        h, weight = self.norm1(x), order.index(self) / len(order)
        if mode[0] == "write" and current[0].attention and current[0].weight > weight:
            bank.setdefault(self, []).append((h, current[0].fidelity))
        out = self.attn1(h, h)
        if mode[0] == "read" and self in bank:
            style = sum(fidelity for _, fidelity in bank[self]) / len(bank[self])
            looked = self.attn1(h, torch.cat([h, *(tokens for tokens, _ in bank[self])], dim=1))
            out = style * (out if negative else looked) + (1 - style) * looked
        x = x + out
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))

    down, up = adain_places(unet.config)
    weights = {unet.middle_block: 0.0}
    weights |= {unet.input_blocks[place]: 2 * (1 - i / len(down)) for i, place in enumerate(down)}
    weights |= {unet.output_blocks[place]: 2 * (i / len(up)) for i, place in enumerate(up)}

    def normed(block: torch.nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        if mode[0] == "write" and current[0].adain and current[0].weight > weights[block]:
            norms.setdefault(block, []).append((out, current[0].fidelity))
        if mode[0] != "read" or block not in norms:
            return out
        var, mean = torch.var_mean(out, dim=(2, 3), keepdim=True, correction=0)
        theirs = [torch.var_mean(o, dim=(2, 3), keepdim=True, correction=0) for o, _ in norms[block]]
        style = sum(fidelity for _, fidelity in norms[block]) / len(norms[block])
        to_mean, to_var = sum(m for _, m in theirs) / len(theirs), sum(v for v, _ in theirs) / len(theirs)
        changed = (out - mean) / var.clamp_min(1e-6) ** 0.5 * to_var.clamp_min(1e-6) ** 0.5 + to_mean
        return style * (out if negative else changed) + (1 - style) * changed

    hooks = [block.register_forward_hook(normed) for block in weights]
    for block in blocks:
        block.forward = forward.__get__(block)  # type: ignore[method-assign]
    try:
        for member in members:
            mode[0], current[:] = "write", [member]
            unet(noised([member], model.table.alphas_cumprod, t), t, context)
        mode[0] = "read"
        return unet(x, t, context)
    finally:
        for hook in hooks:
            hook.remove()
        for block in blocks:
            del block.forward


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize(
    "kinds",
    [
        [{}],
        [{"weight": 0.45}],
        [{"attention": False, "adain": True}],
        [{"adain": True, "weight": 1.2, "fidelity": 0.9}],
        [{"fidelity": 0.1}, {"adain": True, "fidelity": 0.7, "weight": 0.6}],
    ],
)
def test_references_follow_their_definition(model: Model, kinds: list[dict[str, float]], negative: bool) -> None:
    members = [Reference(random(*SHAPE, seed=i), random(*SHAPE, seed=i + 9), **kind) for i, kind in enumerate(kinds)]  # type: ignore[arg-type]
    x, t = random(*SHAPE, seed=20), torch.tensor([300.4])
    expected = published(model, x, t, A.context, members, negative)
    references = References(tuple(members), model.table.alphas_cumprod, negative)
    with references.applied(model.unet, [references]):
        answer = model.unet(x, t, A.context)
    torch.testing.assert_close(answer, expected, atol=2e-5, rtol=2e-5)
    assert not torch.allclose(answer, model.unet(x, t, A.context), atol=1e-3)


def test_full_fidelity_leaves_the_negative_prompt_alone(model: Model) -> None:
    one = Reference(random(*SHAPE, seed=1), random(*SHAPE, seed=2), fidelity=1.0, adain=True)
    plain, cond, uncond = (
        ask(model, replace(A, attached=attached))[0]
        for attached in (
            (),
            (References((one,), model.table.alphas_cumprod),),
            (References((one,), model.table.alphas_cumprod, negative=True),),
        )
    )
    torch.testing.assert_close(uncond, plain, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(cond, plain, atol=1e-3)


def test_the_places_of_adain() -> None:
    assert adain_places(SD1) == ([4, 5, 7, 8, 10, 11], list(range(8)))
    assert adain_places(SDXL) == ([4, 5, 7, 8], list(range(6)))


class Steered:
    """A companion for the test: from a noise level down, for the prompt's side alone."""

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        return () if negative or ask.sigma > 5 else (self.attachment,)

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        return denoised * 0.99 if negative else denoised


def test_pictures_with_and_without_control_go_side_by_side(model: Model, makers: Makers) -> None:
    """Each comes out as it does alone: with heun, whose questions are at other levels, and a plain one among them."""
    plain = classifier_free(A, B, 5.0)
    guides = [plain, *(accompanied(plain, [Steered(makers.kinds[kind](3))]) for kind in KINDS)]
    sigmas = sigmas_for("karras", model.table, 3)

    def pictures(*which: int) -> dict[int, Tensor]:
        executor = Executor[int](model, max_batch=16)
        for i in which:
            sampler = SAMPLERS["heun" if i % 2 else "dpmpp_2m"]
            x = random(*SHAPE, seed=100 + i) * sigmas[0]
            executor.add(i, drive(sampler.start(x, sigmas), guides[i]))
        return dict(executor.run())

    together = pictures(*range(len(guides)))
    for i in together:
        own = pictures(i)[i]
        assert float((together[i] - own).abs().max()) <= 5e-5 * float(own.std())


def test_companions_come_to_the_model_alone(model: Model) -> None:
    one = Steered(References((Reference(random(*SHAPE), random(*SHAPE)),), model.table.alphas_cumprod))
    for cond, negative, sigma, brought in ((A, False, 1.0, 1), (A, False, 6.0, 0), (B, True, 1.0, 0)):
        for refiner in (False, True):
            asked = replace(cond, refiner=refiner)
            guiding = accompanied(classifier_free(asked, asked, 1.0), [one])(
                Evaluate(random(*SHAPE), torch.tensor(sigma))
            )
            (call,) = next(guiding)
            assert len(call.cond.attached) == (0 if refiner else brought)
            with pytest.raises(StopIteration) as stop:
                guiding.send([torch.ones(SHAPE)])
            assert float(stop.value.value.mean()) == pytest.approx(0.99 if negative and not refiner else 1.0)
