"""Every method begins as it should, learns, goes on exactly after a kill, and its file does what it did in training."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.hypernetwork import Hypernetworks, build
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.engine.library import SCALINGS, Model
from fromnoise.errors import UserError
from fromnoise.nn.controlnet import ControlNet
from fromnoise.nn.ops import patching
from fromnoise.nn.t2i_adapter import T2IAdapter, places
from fromnoise.nn.unet import UNet, UNetConfig
from fromnoise.text.encode import encode
from fromnoise.text.prompt_weights import Piece
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.embedding import EmbeddingOptions, EmbeddingTraining
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.trainable import Trainable
from tests import tiny
from tests.train.test_lora import model
from tools.ports import free_port

RATES = {"finetune": 1e-3, "dreambooth": 1e-3, "embedding": 3e-1, "hypernetwork": 1e-2, "controlnet": 3e-3,
         "t2i-adapter": 3e-3, "custom": 1e-2, "lcm": 1e-2, "lora": 1e-2}  # fmt: skip
NOTHING_AT_FIRST = {"lora", "hypernetwork", "controlnet", "t2i-adapter", "lcm", "custom"}
ALL = list(METHODS)
TINY_XL = ("t2i-adapter", "sdxl")  # SDXL's adapters want three levels: see below


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    (path / "steering").mkdir()
    for number in range(3):
        picture = Image.effect_noise((64, 64), 80).convert("RGB")
        picture.save(path / f"{number}.png")
        picture.rotate(90).save(path / "steering" / f"{number}.png")
        (path / f"{number}.txt").write_text(f"newword number {number}")
    return path


def options(method: str, **more: object) -> Any:
    fields: dict[str, object] = {"token": "newword"} if "token" in METHODS[method].options.model_fields else {}
    if "rank" in METHODS[method].options.model_fields:
        fields |= {"rank": 4, "alpha": 4}
    return METHODS[method].options.model_validate({**fields, **more})


def begun(method: str, on: Model, **more: object) -> Trainable:
    return METHODS[method].begin(on, options(method, **more), 0)


def task(method: str, folder: Path, family: str = "sd1", recompute: bool = False, **more: object) -> FineTuneTask:
    on = model(family.removesuffix("-v"))
    if family.endswith("-v"):
        on = replace(on, facts=replace(on.facts, prediction="v"), scalings=SCALINGS["v"])
    training = begun(method, on, **more)
    subset = Subset(image_dir=folder, conditioning_data_dir=folder / "steering" if training.wants_controls else None)
    schedule = Schedule((gathered(Dataset(subsets=(subset,), batch_size=2, resolution=64)),), seed=0)
    lesson = Lesson(schedule, 100, Objective(), Noising(), recompute=recompute)
    return METHODS[method].task(on, training, lesson)


def answer(on: Model, context: Tensor | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    if context is None:
        context = torch.randn(1, 77, on.unet.config.context_dim, generator=generator)
    size = on.unet.config.vector_dim
    y = torch.randn(1, size, generator=generator) if size else None
    with torch.no_grad():
        out: Tensor = on.unet(x, torch.tensor([500.0]), context, y)
    return out


def shaken(module: nn.Module, by: float = 0.05) -> None:
    generator = torch.Generator().manual_seed(2)
    for p in module.parameters():
        p.data.add_(torch.randn(p.shape, generator=generator) * by)


STEERING = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("method", sorted(NOTHING_AT_FIRST))
def test_it_begins_as_nothing_and_leaves_no_trace(method: str) -> None:
    on = model()
    before = answer(on)
    training = begun(method, on)
    with training.applied(), training.steered(STEERING):
        torch.testing.assert_close(answer(on), before, rtol=1e-5, atol=1e-6)
        shaken(training.module)
    with training.applied(), training.steered(STEERING):
        assert not torch.allclose(answer(on), before, rtol=1e-3, atol=1e-3)
    assert torch.equal(answer(on), before)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sd2-v", "sdxl"])
@pytest.mark.parametrize("method", ALL)
def test_it_learns(method: str, family: str, folder: Path) -> None:
    if (method, family) == TINY_XL:
        return
    torch.manual_seed(0)
    one = task(method, folder, family)
    optimizer = torch.optim.AdamW(one.module.parameters(), lr=RATES[method], weight_decay=0)
    losses = []
    for _ in range(10):
        loss, _ = one.loss(0)  # the same step over and over
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.99 * losses[0]
    if method not in ("finetune", "dreambooth"):
        networks = (one.model.unet, one.model.vae, *one.model.text)
        assert all(p.grad is None for network in networks for p in network.parameters())


@pytest.mark.parametrize("method", ALL)
def test_recomputing_changes_no_gradient(method: str, folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        one = task(method, folder, recompute=recompute)
        shaken(one.module, 0.01)
        with one.applied():
            one.loss(0)[0].backward()
        gradients.append({name: p.grad for name, p in one.module.named_parameters() if p.grad is not None})
        assert not any("forward" in m.__dict__ for m in one.model.unet.modules())
    assert gradients[0].keys() == gradients[1].keys() != set()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7)


CONFIG = LoopConfig(
    steps=8, learning_rate=1e-3, warmup=1, decay=4, average=0.9, log_every=1, save_every=3, report_every=8
)


@pytest.mark.parametrize("method", ALL)
def test_after_sigkill_it_goes_on_to_the_last_bit(method: str, folder: Path, tmp_path: Path) -> None:
    more = {"dropout": 0.2} if method in ("lora", "lcm") else {}

    def run(place: Path, killed: bool) -> FineTuneTask:
        one = task(method, folder, **more)
        if killed:
            parts = one.parts

            def deadly(step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
                if step == 5:
                    os.kill(os.getpid(), signal.SIGKILL)
                return parts(step)

            one.parts = deadly  # type: ignore[method-assign]
        with one.applied():
            train(one, CONFIG, place)
        return one

    whole = run(tmp_path / "whole", False)
    fork = multiprocessing.get_context("fork").Process(target=run, args=(tmp_path / "parts", True))
    fork.start()
    fork.join()
    assert fork.exitcode == -signal.SIGKILL
    again = run(tmp_path / "parts", False)
    for (name, a), (_, b) in zip(whole.module.named_parameters(), again.module.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def losses(place: Path) -> list[float]:
    lines = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@contextmanager
def control(path: Path, on: Model) -> Iterator[None]:
    network = load_control(path, on.unet)
    hint: ControlHint | AdapterHint
    if isinstance(network, ControlNet):
        hint = ControlHint(network, network.guide([STEERING]), (1.0,) * (len(network.zero_convs) + 1))
    else:
        assert isinstance(network, T2IAdapter)
        features = tuple(network(STEERING))
        hint = AdapterHint(features, tuple(places(network.config, on.unet.config)), (1.0,) * len(features))
    with hint.applied(on.unet, [hint]):
        yield


@contextmanager
def lora(path: Path, on: Model) -> Iterator[None]:
    networks: dict[str, nn.Module] = {"unet": on.unet, **{f"text{i}": encoder for i, encoder in enumerate(on.text)}}
    adapter = load_adapter(path, networks)
    assert not adapter.unmatched
    with ExitStack() as stack:
        for name, network in networks.items():
            stack.enter_context(patching(network, adapter.patches(name, Strengths())))
        yield


@contextmanager
def hypernetwork(path: Path, on: Model) -> Iterator[None]:
    with Hypernetworks(((build(read_hypernetwork(path), path), 1.0),)).applied(on.unet):
        yield


READERS: dict[str, Callable[[Path, Model], Any]] = {
    "lora": lora, "lcm": lora, "custom": lora, "hypernetwork": hypernetwork, "controlnet": control,
    "t2i-adapter": control,
}  # fmt: skip


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("method", list(READERS))
def test_its_file_does_what_it_did_in_training(method: str, family: str, tmp_path: Path) -> None:
    if (method, family) == TINY_XL:
        return
    on = model(family)
    training = begun(method, on)
    shaken(training.module)
    path = training.write(tmp_path / f"it{METHODS[method].ending}", {"ss_steps": "3"})
    with training.applied(), training.steered(STEERING):
        wanted = answer(on)
    with torch.no_grad(), READERS[method](path, on):
        found = answer(on)
    torch.testing.assert_close(found, wanted, rtol=2e-2, atol=2e-2)  # the file is in float16
    assert not torch.allclose(answer(on), wanted, rtol=2e-2, atol=2e-2)


def test_a_whole_model_is_a_checkpoint_again(tmp_path: Path) -> None:
    on = model("sd1")
    training = begun("finetune", on, text=True, precision="float")
    shaken(training.module)
    wanted = answer(on)
    path = training.write(tmp_path / "it.safetensors", {"modelspec.title": "it"})
    again = load_checkpoint(path)
    for network, other in ((on.unet, again.unet), (on.text[0], again.text[0])):
        theirs = other.state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(answer(on), wanted)
    assert again.metadata["modelspec.title"] == "it"


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_an_embedding_says_what_it_said_in_training(family: str, ending: str, tmp_path: Path) -> None:
    on = model(family)
    training = EmbeddingTraining(on, EmbeddingOptions(token="newword", init_word="cat", vectors=3), 0)
    shaken(training.module)
    file = read_embedding(training.write(tmp_path / f"newword{ending}", {}))
    assert file.count == 3
    for index, encoder in enumerate(on.text):
        vectors = [training.embeddings()[index]["newword"].detach(), file.vectors[index].float()]
        states = [
            encode([Piece("a newword")], encoder, Tokenizer(), embeddings={"newword": v}).context for v in vectors
        ]
        torch.testing.assert_close(states[1], states[0], rtol=1e-2, atol=1e-2)
        other = encode([Piece("a dog")], encoder, Tokenizer()).context
        assert not torch.allclose(other, states[0], rtol=1e-2, atol=1e-2)


def test_a_word_begins_as_the_one_it_means() -> None:
    on = model()
    training = EmbeddingTraining(on, EmbeddingOptions(token="newword", init_word="cat", vectors=2), 0)
    table = on.text[0].text_model.embeddings.token_embedding.weight
    assert torch.equal(training.tensors()["emb_params"], table[Tokenizer().encode("cat") * 2])


def test_sentences_around_a_word() -> None:
    training = EmbeddingTraining(model(), EmbeddingOptions(token="newword"), 0)
    assert training.said("a newword here", Random(0)) == "a newword here"
    assert "newword" in training.said("in the snow", Random(0))
    assert training.said("in the snow", Random(0)).endswith(", in the snow")
    style = EmbeddingTraining(model(), EmbeddingOptions(token="newword", template="style"), 0)
    assert "newword" in style.said("", Random(1))


def test_of_a_picture_whose_caption_is_dropped_nothing_is_said(folder: Path) -> None:
    """Not even a sentence around the word."""
    data = Dataset(subsets=(Subset(image_dir=folder, caption_dropout_rate=0.5),), batch_size=3, resolution=64)
    lesson = Lesson(Schedule((gathered(data),), seed=0), 20, Objective(), Noising())
    training = EmbeddingTraining(model(), EmbeddingOptions(token="other"), 0)
    one = FineTuneTask(training.model, training, lesson)
    _, items = lesson.schedule.at(0)
    said = [caption for step in range(20) for caption in one.captions(items, step, 1)]
    assert all(caption == "" or "other" in caption for caption in said)
    assert 15 < said.count("") < 45


def test_the_start_token_does_not_learn_in_custom_diffusion(folder: Path) -> None:
    one = task("custom", folder)
    with one.applied():
        site = one.trainable.network.sites[0]  # type: ignore[attr-defined]
        layer = one.model.unet.get_submodule(site.layer)
        states = torch.randn(1, 5, layer.in_features)
        out = layer(states)
        out[:, :1].sum().backward(retain_graph=True)
        weight = one.trainable.network.factors[site.name]["diff"]  # type: ignore[attr-defined]
        assert weight.grad is None or not weight.grad.any()
        out[:, 1:].sum().backward()
        assert weight.grad.any()


def test_an_lcm_lora_is_the_identity_where_there_is_no_noise(folder: Path) -> None:
    one: Any = task("lcm", folder)
    x, answered = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    assert torch.equal(one.final(x, torch.tensor([0, 0]), answered), x)
    clean, noise = one.meant(x, torch.tensor([500, 500]), answered)
    kept = one.model.table.alphas_cumprod[500]
    torch.testing.assert_close(kept.sqrt() * clean + (1 - kept).sqrt() * noise, x)


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("embedding", {"token": " "}, "a word to learn is missing"),
        ("finetune", {"unet": False}, "nothing would be trained"),
    ],
)
def test_what_cannot_be_is_said(method: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        begun(method, model(), **more)


def test_files_tell_their_hashes(tmp_path: Path) -> None:
    from fromnoise.checkpoints.hashes import legacy_hash, tensors_hash

    path = begun("lora", model()).write(tmp_path / "it.safetensors", {"ss_output_name": "it"})
    told = read(path).metadata
    assert told["sshs_model_hash"] == tensors_hash(path)
    assert told["sshs_legacy_hash"] == legacy_hash(path)
    assert list(tmp_path.glob(".*")) == []


def test_an_adapter_for_sdxl_has_its_four_features(tmp_path: Path) -> None:
    unet = UNetConfig.uniform(
        model_channels=32, channel_mult=(1, 2, 4), level_depths=(0, 1, 1), res_blocks=1, context_dim=96, heads=4,
        vector_dim=64 + 6 * 256, linear_proj=True,
    )  # fmt: skip
    on = replace(model("sdxl"), unet=tiny.filled(UNet(unet), torch.Generator().manual_seed(0)))
    training = begun("t2i-adapter", on)
    shaken(training.module, 0.01)
    hint, x = torch.rand(1, 3, 128, 128), torch.randn(1, 4, 16, 16)
    inputs = x, torch.tensor([500.0]), torch.randn(1, 77, 96), torch.randn(1, 64 + 6 * 256)
    with training.steered(hint):
        out = on.unet(*inputs)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in training.module.parameters())
    path = training.write(tmp_path / "it.safetensors", {})
    network = load_control(path, on.unet)
    assert isinstance(network, T2IAdapter)
    assert network.config.xl


@pytest.mark.parametrize("rules", [{"flip_aug": True}, {"random_crop": True}])
def test_processes_that_open_pictures_change_nothing(rules: dict[str, bool], folder: Path) -> None:
    figures = []
    for workers in (0, 2):
        on = model()
        data = Dataset(subsets=(Subset(image_dir=folder, **rules),), batch_size=2, resolution=64)  # type: ignore[arg-type]
        lesson = Lesson(Schedule((gathered(data),), seed=0), 8, Objective(), Noising(), workers=workers)
        one = FineTuneTask(on, begun("lora", on), lesson)
        with one.applied():
            figures.append([float(one.loss(step)[0].detach()) for step in range(4)])
        assert not multiprocessing.active_children()
    assert figures[0] == figures[1]


def test_two_processes_of_torchrun_lose_what_one_does_that_accumulates(folder: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=4, bfloat16=False, average=0.0)
    alone = task("lora", folder)
    with alone.applied():
        train(alone, replace(config, accumulate=2), tmp_path / "alone")
    context = multiprocessing.get_context("fork")
    port = str(free_port())
    ranks = [context.Process(target=ranked, args=(n, port, config, folder, tmp_path / "ranks")) for n in range(2)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    assert [one.exitcode for one in ranks] == [0, 0]
    assert losses(tmp_path / "ranks") == pytest.approx(losses(tmp_path / "alone"), rel=1e-6)
    states = [read(tmp_path / name / "state.safetensors") for name in ("alone", "ranks")]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-4, atol=1e-6)


def ranked(number: int, port: str, config: LoopConfig, folder: Path, place: Path) -> None:
    """One of torchrun's processes, by the variables that it sets."""
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=port)  # fmt: skip
    one = task("lora", folder)
    with one.applied():
        train(one, config, place)
