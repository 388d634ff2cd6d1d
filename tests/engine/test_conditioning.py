"""What prompts say at each step, in both dialects, and what SDXL is told besides."""

import pytest
import torch
from torch import Tensor

from fromnoise.engine.conditioning import Prompts, Words, encode_prompts, spoken
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.nn.unet import timestep_embedding
from fromnoise.sampling.resume import Recording
from fromnoise.text.encode import encode
from fromnoise.text.prompt_weights import Piece, parse_weights
from fromnoise.text.tokenizer import Tokenizer
from tests.engine.models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def sdxl() -> Model:
    return tiny_model("sdxl")


def recipe(prompt: str = "", **changes: object) -> Recipe:
    return Recipe.make(**{"prompt": prompt, "width": 64, "height": 64, "steps": 10, "sampler": "euler", **changes})


def said(model: Model, one: Recipe) -> list[Prompts]:
    return spoken(model, one, Words.of(one))


def states(model: Model, text: str) -> Tensor:
    return encode(parse_weights(text), model.text[0], Tokenizer()).context


def latents(model: Model, one: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, None))
    ((_, done),) = executor.run()
    return done


def test_a_prompt_changes_at_its_moment(model: Model) -> None:
    found = said(model, recipe("a [cat:dog:0.4]", negative="[fog:rain:7]"))
    assert [prompts.start for prompts in found] == [0, 4, 7]
    for prompts, text, without in zip(found, ("a cat", "a dog", "a dog"), ("fog", "fog", "rain"), strict=True):
        assert torch.allclose(prompts.cond.context, states(model, text), atol=1e-6)
        assert torch.allclose(prompts.uncond.context, states(model, without), atol=1e-6)


def test_alternation_says_each_in_turn(model: Model) -> None:
    found = said(model, recipe("a [cat|dog]"))
    assert len(found) == 10
    for prompts in found:
        text = ("a cat", "a dog")[prompts.start % 2]
        assert torch.allclose(prompts.cond.context, states(model, text), atol=1e-6)


def test_a1111_changes_a_step_late(model: Model) -> None:
    assert [prompts.start for prompts in said(model, recipe("a [cat:dog:4]", profile="a1111"))] == [0, 5]


def test_comfyui_has_no_editing(model: Model) -> None:
    (prompts,) = said(model, recipe("a [cat:dog:4] <lora:x:1>", profile="comfyui"))
    wanted = encode([Piece("a [cat:dog:4] <lora:x:1>")], model.text[0], Tokenizer(), dialect="comfyui")
    assert torch.allclose(prompts.cond.context, wanted.context, atol=1e-6)


def test_and_gives_several_subprompts_with_weights(model: Model) -> None:
    (prompts,) = said(model, recipe("a cat AND a dog :-0.5", negative="fog AND rain"))
    assert [weight for _, weight in prompts.conds] == [1.0, -0.5]
    assert torch.allclose(prompts.conds[1][0].context, states(model, "a dog"), atol=1e-6)
    assert torch.allclose(prompts.uncond.context, states(model, "fog AND rain"), atol=1e-6)


def test_and_is_composed(model: Model) -> None:
    same = latents(model, recipe("a cat AND a cat :0.5", guidance_scale=4))
    assert torch.allclose(same, latents(model, recipe("a cat", guidance_scale=6)), atol=1e-3)


@pytest.mark.parametrize("profile", ["native", "a1111"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_a_changed_prompt_changes_only_what_comes_after(model: Model, profile: str, sampler: str) -> None:
    def guesses(prompt: str) -> list[Tensor]:
        seen: list[Tensor] = []
        executor = Executor[int](model)
        job = Job(model, recipe(prompt, profile=profile, sampler=sampler))
        executor.add(0, job.picture(lambda step: seen.append(step.denoised), None))
        list(executor.run())
        return seen

    edited, first = guesses("a [cat:dog:0.5]"), guesses("a cat")
    equal = [torch.allclose(a, b, atol=1e-5) for a, b in zip(edited, first, strict=True)]
    changes = equal.index(False)
    calls = 2 if sampler == "heun" else 1
    late = 1 if profile == "a1111" else 0
    looks_ahead = profile == "native" and sampler == "heun"  # its second call of a step is at the next level
    assert changes == 5 * calls + late - looks_ahead
    assert not any(equal[changes:])


@pytest.mark.parametrize("profile", ["native", "a1111"])
def test_an_edited_prompt_survives_a_stop(model: Model, profile: str) -> None:
    one, recording = recipe("a [cat:dog:0.5] [x|y]", profile=profile), Recording()
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, recording))
    for _ in range(4):
        executor.step()
    executor.add(0, Job(model, one).picture(None, Recording.from_tensors(recording.tensors())))
    ((_, resumed),) = executor.run()
    assert torch.equal(resumed, latents(model, one))


def test_break_starts_another_chunk(model: Model) -> None:
    (prompts,) = said(model, recipe("a cat BREAK a dog"))
    assert prompts.cond.context.shape[1] == 2 * 77
    assert prompts.uncond.context.shape[1] == 2 * 77  # lengthened to share batches


@pytest.mark.parametrize(("profile", "length"), [("a1111", 77), ("comfyui", 77), ("diffusers", 77), ("native", 231)])
def test_who_lengthens_the_negative_prompt(model: Model, profile: str, length: int) -> None:
    (prompts,) = said(model, recipe("word " * 160, profile=profile))
    assert prompts.uncond.context.shape[1] == length
    assert prompts.cond.context.shape[1] == (77 if profile == "diffusers" else 231)


def test_a1111_lengthens_subprompts_by_their_last_state(model: Model) -> None:
    (prompts,) = said(model, recipe("a cat AND " + "word " * 80, profile="a1111"))
    short = prompts.conds[0][0].context
    assert short.shape[1] == 154
    assert torch.equal(short[:, 77:], short[:, 76:77].expand(-1, 77, -1))


def test_a1111_restores_the_mean_over_all_that_is_said(model: Model) -> None:
    edited = said(model, recipe("(a cat:1.6) [x:(y y y y y y y y:5):0.5]", profile="a1111"))
    plain = [states(model, text) for text in ("a cat x", "a cat y y y y y y y y")]
    weights = torch.ones(2, 1, 77, 1)
    weights[:, 0, 1:3] = 1.6
    weights[1, 0, 3:11] = 5
    weighted = [z * w for z, w in zip(plain, weights, strict=True)]
    restored = torch.cat(plain).mean() / torch.cat(weighted).mean()
    for prompts, z in zip(edited, weighted, strict=True):
        assert torch.allclose(prompts.cond.context, z * restored, atol=1e-4)
    alone = said(model, recipe("(a cat:1.6) x", profile="a1111"))[0].cond.context
    assert not torch.allclose(edited[0].cond.context, alone, atol=1e-2)


def test_emphasis_can_be_chosen(model: Model) -> None:
    plain, ignored, changed = (
        said(model, recipe(text, emphasis=rule))[0].cond.context
        for text, rule in (("a cat", None), ("a (cat:1.5)", "ignore"), ("a (cat:1.5)", "no norm"))
    )
    assert torch.allclose(plain, ignored, atol=1e-6)
    assert not torch.allclose(plain, changed, atol=1e-3)


def test_networks_have_no_place_in_a_negative_prompt(model: Model) -> None:
    with pytest.raises(UserError, match="<lora:paint> is in the negative prompt"):
        encode_prompts(model, recipe("a cat", negative="bad <lora:paint:0.8>"))
    as_text = encode_prompts(model, recipe("a cat", negative="bad <lora:paint:0.8>", profile="a1111"))
    without = encode_prompts(model, recipe("a cat", negative="bad", profile="a1111"))
    assert not torch.equal(as_text.uncond.context, without.uncond.context)


def test_old_timing_of_prompts(model: Model) -> None:
    assert [p.start for p in said(model, recipe("[a:b:3.0]", old_prompt_timing=True))] == [0, 3]
    assert [p.start for p in said(model, recipe("[a:b:3.0]"))] == [0]


# --- families ---------------------------------------------------------------------------------------------------------


def numbers(y: Tensor, *wanted: float) -> bool:
    return torch.allclose(y[:, 64:], timestep_embedding(torch.tensor(wanted), 256).reshape(1, -1))


def test_sdxl_is_told_sizes(sdxl: Model) -> None:
    base = recipe("a cat", width=128)
    plain = encode_prompts(sdxl, base).cond.y
    told = encode_prompts(sdxl, base.but(sizes={"original": (1000, 500), "crop": (3, 7), "target": (96, 80)})).cond.y
    assert plain is not None
    assert told is not None
    assert numbers(plain, 64, 128, 0, 0, 64, 128)
    assert numbers(told, 500, 1000, 7, 3, 80, 96)


@pytest.mark.parametrize(
    ("profile", "zeros"), [("a1111", True), ("diffusers", True), ("comfyui", False), ("native", False)]
)
def test_empty_negative_prompts_of_sdxl(sdxl: Model, profile: str, zeros: bool) -> None:
    empty = encode_prompts(sdxl, recipe("a cat", profile=profile)).uncond
    assert empty.y is not None
    assert (not empty.context.any() and not empty.y[:, :64].any()) == zeros
    assert encode_prompts(sdxl, recipe("a cat", profile=profile, negative="x")).uncond.context.any()


@pytest.mark.parametrize(("profile", "acts"), [("native", True), ("comfyui", True), ("a1111", False)])
def test_clip_skip_of_sdxl(sdxl: Model, profile: str, acts: bool) -> None:
    own, first, second = (
        encode_prompts(sdxl, recipe("a cat", profile=profile, clip_skip=skip)).cond.context for skip in (None, 1, 2)
    )
    assert torch.equal(own, second)
    assert torch.equal(own, first) != acts


def test_clip_skip_of_sd1_has_the_final_norm(model: Model) -> None:
    encoder = model.text[0]
    context = encode_prompts(model, recipe("a cat", clip_skip=2)).cond.context
    hidden = encoder(torch.tensor([Tokenizer().encode_window("a cat")])).hidden_states[-2]
    assert torch.allclose(context, encoder.text_model.final_layer_norm(hidden), atol=1e-6)
