"""LoRAs, hypernetworks and embeddings in pictures: from tags and lists, by steps, in company, and without a trace."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.adapters.patched import Patched
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.errors import FileError, UserError
from fromnoise.nn.ops import merged
from fromnoise.settings import Settings
from tests.adapters import files
from tests.engine.models import tiny_model
from tests.no_trace import Interrupted, broken, untouched


def checkpoint(model: Model) -> Checkpoint:
    return Checkpoint(model.path, model.facts, model.unet, model.vae, model.text, {})


def write_lora(model: Model, path: Path, seed: int, metadata: dict[str, str] | None = None) -> None:
    made = checkpoint(model)
    wanted = {
        "unet": files.layers(made, "unet", nn.Linear, r"attn\d\.to_|ff\.net"),
        **{f"text{i}": files.layers(made, f"text{i}", nn.Linear, "mlp|self_attn") for i in range(len(model.text))},
    }
    tensors, _ = files.lora(made, files.kohya, "kohya", wanted, seed)
    files.saved(tensors, path, metadata)


def write_hypernetwork(path: Path, seed: int, width: int = 32) -> None:
    generator = torch.Generator().manual_seed(seed)

    def state() -> dict[str, Tensor]:
        first, second = (
            torch.randn(shape, generator=generator) * 0.3 for shape in ((2 * width, width), (width, 2 * width))
        )
        return {
            "linear.0.weight": first,
            "linear.0.bias": torch.zeros(2 * width),
            "linear.1.weight": second,
            "linear.1.bias": torch.zeros(width),
        }

    torch.save({width: (state(), state()), "activation_func": "relu", "activate_output": False}, path)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of models for the tiny SD 1.x and SDXL models."""
    root = tmp_path_factory.mktemp("models")
    for folder in ("loras", "hypernetworks", "embeddings"):
        (root / folder).mkdir()
    model = tiny_model()
    for seed, name in enumerate(("ink", "wash", "oil")):
        write_lora(model, root / "loras" / f"{name}.safetensors", seed)
    write_lora(model, root / "loras" / "file-v2.safetensors", 9, {"ss_output_name": "Painter"})
    write_lora(tiny_model("sdxl"), root / "loras" / "xl.safetensors", 0)
    write_hypernetwork(root / "hypernetworks" / "anime.pt", 1)
    generator = torch.Generator().manual_seed(3)
    for name, shape in (("style", (3, 32)), ("wide", (2, 64))):
        save_file({"emb_params": torch.randn(shape, generator=generator)}, root / "embeddings" / f"{name}.safetensors")
    pair = {"clip_l": torch.randn(2, 32, generator=generator), "clip_g": torch.randn(2, 64, generator=generator)}
    save_file(pair, root / "embeddings" / "pair.safetensors")
    return root


@pytest.fixture(scope="module")
def model(shelves: Path) -> Model:
    return replace(tiny_model(), settings=Settings(models=(shelves,)))


@pytest.fixture(scope="module")
def sdxl(shelves: Path) -> Model:
    return replace(tiny_model("sdxl"), settings=Settings(models=(shelves,)))


@pytest.fixture(autouse=True)
def no_trace(model: Model) -> Iterator[None]:
    with untouched(model.unet), untouched(model.text[0]):
        yield


def recipe(prompt: str = "a cat", **fields: object) -> Recipe:
    small = {"width": 64, "height": 64, "steps": 4, "seed": 5, "model": "tiny"}
    return Recipe.make(prompt=prompt, **{**small, **fields})


def drawn(model: Model, *recipes: Recipe, max_batch: int = 8) -> list[Tensor]:
    """Latents of pictures made side by side."""
    executor = Executor[int](model, max_batch)
    with torch.inference_mode():
        for index, job in enumerate(Job(model, one) for one in recipes):
            executor.add(index, job.picture(None, None))
        done = dict(executor.run())
    return [done[i] for i in range(len(recipes))]


def alike(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 5e-5 * float(b.std())


def test_a_tag_is_the_model_with_merged_weights(model: Model) -> None:
    (tagged,) = drawn(model, recipe("a cat <lora:ink:0.5:0.8>"))
    other = replace(tiny_model(), settings=model.settings)
    adapter = load_adapter(model.settings.models[0] / "loras" / "ink.safetensors", other.networks.networks)
    for name, network in other.networks.networks.items():
        for parameter, patches in adapter.patches(name, Strengths(unet=0.8, text=0.5)).items():
            network.get_parameter(parameter).copy_(merged(network.get_parameter(parameter), patches))
    plain, merged_in = drawn(model, recipe())[0], drawn(other, recipe())[0]
    assert alike(tagged, merged_in)
    assert not alike(tagged, plain)


def test_a_list_means_the_same_as_tags(model: Model) -> None:
    uses = [
        NetworkUse(name="ink", strength=0.8, text_strength=0.5, blocks="OUTALL"),
        NetworkUse(name="wash", strength=-0.3),
    ]
    listed, tagged = drawn(model, recipe(networks=uses), recipe("a cat <lora:ink:0.5:0.8:lbw=OUTALL> <lyco:wash:-0.3>"))
    assert listed.equal(tagged)


def test_strength_nought_changes_nothing(model: Model) -> None:
    plain, nothing = drawn(model, recipe(), recipe("a cat<lora:ink:0>"))
    assert nothing.equal(plain)


def test_text_and_picture_have_strengths_of_their_own(model: Model) -> None:
    pictures = drawn(model, *(recipe(f"a cat<lora:ink:{te}:{unet}>") for te, unet in ((0, 1), (1, 0), (1, 1), (0, 0))))
    assert not any(alike(a, b) for i, a in enumerate(pictures) for b in pictures[i + 1 :])
    plain = encode_prompts(model, recipe()).cond.context
    assert encode_prompts(model, recipe("a cat<lora:ink:0:1>")).cond.context.equal(plain)
    assert not encode_prompts(model, recipe("a cat<lora:ink:1:0>")).cond.context.equal(plain)


SETS = ("", "<lora:ink:0.8>", "<lora:wash:0.8>", "<lora:ink:0.8><lora:wash:0.5>", "<hypernet:anime:0.7>",
        "<lora:ink:1><hypernet:anime:1>", "<lora:oil:1:lbw=INS:start=2:stop=4>")  # fmt: skip


def test_pictures_with_different_sets_keep_each_other_company(model: Model) -> None:
    recipes = [recipe(f"a cat {tags}", seed=seed) for seed, tags in enumerate(SETS)]
    together = drawn(model, *recipes, max_batch=16)
    for one, picture in zip(recipes, together, strict=True):
        assert alike(picture, drawn(model, one)[0])
    same_seed = drawn(model, *(recipe(f"a cat {tags}") for tags in SETS))
    assert not any(alike(a, b) for i, a in enumerate(same_seed) for b in same_seed[i + 1 :])


def test_the_same_set_shares_batches_and_is_computed_once(shelves: Path) -> None:
    model = replace(tiny_model(), settings=Settings(models=(shelves,)))
    executor = Executor[int](model, max_batch=16)
    with torch.inference_mode():
        for seed in range(3):
            executor.add(seed, Job(replace(model), recipe("a cat<lora:ink:0.8>", seed=seed)).picture(None, None))
        list(executor.run())
    assert executor.batches == 4
    assert model.kept.copies.computed == 2  # the U-Net's and the text encoder's


def test_strengths_follow_the_steps(model: Model) -> None:
    """A picture with a schedule goes through the stages that pictures of constant strength are made of."""

    def stages(prompt: str, **fields: object) -> list[float]:
        """The U-Net's strength in each evaluation."""
        seen: list[float] = []
        job = Job(model, recipe(prompt, sampler="euler", **fields))
        picture = job.picture(None, None)
        calls = next(picture)
        executor = Executor[int](model)
        with suppress(StopIteration):
            while True:
                patched = [variant for variant in calls[0].variants if isinstance(variant, Patched)]
                seen.append(patched[0].uses[0][1].unet if patched else 0.0)
                calls = picture.send(executor.answer(calls))
        return seen

    for profile in ("native", "a1111"):
        assert stages("a<lora:ink:0.8:start=3>", profile=profile) == [0, 0, 0.8, 0.8]
        assert stages("a<lora:ink:0.8:stop=3>", profile=profile) == [0.8, 0.8, 0, 0]
        assert stages("a<lora:ink:0.8:step=2-4>", profile=profile) == [0, 0.8, 0.8, 0]
        assert stages("a<lora:ink:0.8:start=0.5:stop=0.9>", profile=profile) == [0, 0.8, 0.8, 0]
        ramp = stages("a<lora:ink:0@0,0.9@1>", profile=profile)
        np.testing.assert_allclose(ramp, [0, 0.3, 0.6, 0.9])
    listed = NetworkUse(name="ink", strength=0.5, schedule=((0.25, 2.0), (0.75, 0.0)))
    assert stages("a", networks=[listed]) == [0.5, 1.0, 1.0, 0]


def test_the_recipe_of_a_picture_knows_its_networks(model: Model) -> None:
    listed = NetworkUse(name="wash", strength=0.3)
    made = Job(model, recipe("a style cat <lora:ink:0.8> <hypernet:anime:0.5>", networks=[listed])).recipe
    notes = {(use.kind, use.name): use for use in made.networks}
    assert notes.keys() == {("lora", "wash"), ("lora", "ink"), ("hypernetwork", "anime"), ("embedding", "style")}
    assert all(len(use.hash or "") == 64 for use in made.networks)
    assert [use.in_prompt for use in made.networks] == [False, True, True, True]
    again = Job(model, made).recipe
    assert again == made
    assert drawn(model, made)[0].equal(drawn(model, recipe("a style cat <lora:ink:0.8> <hypernet:anime:0.5>",
                                                           networks=[listed]))[0])  # fmt: skip
    short = made.but(networks=[use.model_copy(update={"hash": (use.hash or "")[:12]}) for use in made.networks])
    assert Job(model, short).recipe == made
    wrong = made.but(networks=[notes["lora", "ink"].model_copy(update={"hash": "0" * 12})])
    with pytest.raises(UserError, match="ink: not the file of the recipe, whose hash is 000000000000"):
        Job(model, wrong)


def test_a_missing_file_is_named_with_near_names(model: Model) -> None:
    with pytest.raises(FileError, match="no LoRA 'inc'; did you mean 'ink'"):
        Job(model, recipe("a cat <lora:inc:1>"))
    with pytest.raises(FileError, match="no hypernetwork 'animee'; did you mean 'anime'"):
        Job(model, recipe("a cat <hypernet:animee>"))
    with pytest.raises(FileError, match="no embedding 'stile'; did you mean 'style'"):
        Job(model, recipe("a cat embedding:stile"))


def test_a_lora_is_found_by_what_its_trainer_called_it(model: Model) -> None:
    by_alias, by_file = drawn(model, recipe("a<lora:Painter:1>"), recipe("a<lora:file-v2:1>"))
    assert by_alias.equal(by_file)


def test_a_lora_for_another_family_is_refused(model: Model) -> None:
    with pytest.raises(FileError, match="match nothing in this model"):
        Job(model, recipe("a cat <lora:xl:1>"))
    forgiving = replace(model, allow_unmatched=True)
    assert not alike(drawn(forgiving, recipe("a<lora:xl:1>"))[0], drawn(forgiving, recipe("a"))[0])


def test_a_second_pass_has_its_own_networks(model: Model) -> None:
    def hires(prompt: str, later: str | None) -> Tensor:
        return drawn(model, recipe(prompt, hires={"scale": 1, "strength": 0.5, "prompt": later}))[0]

    both, first, neither = hires("a<lora:ink:1>", None), hires("a<lora:ink:1>", "a"), hires("a", "a")
    assert not alike(both, first)
    assert not alike(first, neither)
    assert [
        use.name for use in Job(model, recipe("a<lora:ink:1>", hires={"prompt": "a<lora:oil:1>"})).recipe.networks
    ] == [
        "ink",
        "oil",
    ]


def test_comfyui_knows_no_tags(model: Model) -> None:
    assert Job(model, recipe("a cat <lora:nothing:1>", profile="comfyui")).recipe.networks == ()


@pytest.mark.parametrize("tags", ["<lora:ink:1>", "<hypernet:anime:1>"])
def test_a_failure_in_the_middle_leaves_nothing(model: Model, tags: str) -> None:
    with untouched(model.unet), untouched(model.text[0]):
        with broken(model.unet), pytest.raises(Interrupted):
            drawn(model, recipe(f"a cat {tags}"))
        with broken(model.text[0]), pytest.raises(Interrupted):
            drawn(model, recipe(f"a cat {tags}"))
        executor = Executor[int](model)
        executor.add(0, Job(model, recipe(f"a cat {tags}")).picture(None, None))
        executor.step()
        executor.cancel(0)


def test_whole_pictures(model: Model) -> None:
    recipes = [recipe("a cat"), recipe("a cat <lora:ink:1>")]
    made = {one.index: one for one in generate(model, recipes)}
    assert np.asarray(made[0].image).tolist() != np.asarray(made[1].image).tolist()
    assert made[1].recipe.networks[0].name == "ink"


# --- embeddings -------------------------------------------------------------------------------------------------------


def context(model: Model, prompt: str, **fields: object) -> Tensor:
    return encode_prompts(model, recipe(prompt, **fields)).cond.context


def test_embeddings_are_found_in_both_dialects(model: Model) -> None:
    bare = context(model, "a style cat", profile="a1111")
    assert context(model, "a style cat").equal(bare)
    assert context(model, "a embedding:style cat").equal(bare)
    assert context(model, "a embedding:style.safetensors cat").equal(bare)
    assert context(model, "a embedding:style cat", profile="comfyui").equal(bare)
    assert context(model, "a Style cat", profile="a1111").equal(bare)  # tokens are in small letters
    assert not context(model, "a style cat", profile="comfyui").equal(bare)


def test_an_embedding_of_other_models_is_a_word_unless_it_is_named(model: Model, sdxl: Model) -> None:
    without = replace(model, settings=Settings(models=(Path("nowhere"),)))
    assert context(model, "a wide cat").equal(context(without, "a wide cat"))
    with pytest.raises(FileError, match="embedding 'wide' is for other models: it has 64 numbers, tiny takes 32"):
        context(model, "a embedding:wide cat")
    plain = context(replace(sdxl, settings=Settings(models=(Path("nowhere"),))), "a style cat")
    assert context(sdxl, "a style cat").equal(plain)  # one encoder of two is not enough
    assert not context(sdxl, "a embedding:style cat", profile="comfyui").equal(
        context(sdxl, "a cat", profile="comfyui")
    )  # but it is for ComfyUI


def test_sdxl_takes_pairs(sdxl: Model) -> None:
    pair = context(sdxl, "a pair cat")
    plain = context(replace(sdxl, settings=Settings(models=(Path("nowhere"),))), "a pair cat")
    assert pair.shape == plain.shape
    assert not torch.allclose(pair[..., :32], plain[..., :32])
    assert not torch.allclose(pair[..., 32:], plain[..., 32:])


def test_embeddings_that_are_said_later_are_loaded_as_well(model: Model) -> None:
    assert [use.name for use in Job(model, recipe("a [cat:style:2] hat")).recipe.networks] == ["style"]
    assert [use.name for use in Job(model, recipe("a cat", negative="style")).recipe.networks] == ["style"]


def test_a_lora_brings_embeddings_along(model: Model, tmp_path: Path) -> None:
    made = checkpoint(model)
    tensors, _ = files.lora(
        made, files.kohya, "kohya", {"unet": files.layers(made, "unet", nn.Linear, "proj_in|attn1")}
    )
    vectors = torch.randn(2, 32)
    path = files.saved({**tensors, "bundle_emb.trigger.string_to_param.*": vectors}, tmp_path / "bundle.safetensors")
    named = context(model, "a trigger cat", networks=[NetworkUse(name=str(path))])
    assert not named.equal(context(model, "a trigger cat"))
