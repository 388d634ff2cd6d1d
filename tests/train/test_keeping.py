"""What the model knows stays: training is held to what it answered before, where the trigger is not said."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Example, Subset
from fromnoise.train.finetune import FineTuneTask, Lesson, in_full
from fromnoise.train.keeping import CALLS, Kept, drawings, drawn, known_words, other_captions, stored, trigger
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from tests.train.test_lora import model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (250, 40 * number, 0)).save(path / f"{number}.png")
        (path / f"{number}.txt").write_text(f"mycat, number {number}")
    return path


def task(folder: Path, method: str = "lora", keep: float = 4.0) -> FineTuneTask:
    on = model()
    fields = {"rank": 4, "alpha": 4} if method == "lora" else {"text": True} if method == "finetune" else {}
    training = METHODS[method].begin(on, METHODS[method].options.model_validate(fields), 0)
    dataset = Dataset(subsets=(Subset(image_dir=folder),), batch_size=2, resolution=64)
    lesson = Lesson(Schedule((gathered(dataset),), 0), 40, Objective(), Noising(), keep=keep, side=64)
    return FineTuneTask(on, training, lesson)


def learnt(folder: Path, place: Path, *, keep: bool, method: str = "lora") -> tuple[float, float]:
    """How far answers stray after a training, and the loss of its last steps."""
    one = task(folder, method)
    one.keep("mycat", place, False)
    kept = one.kept
    assert kept is not None
    if not keep:
        one.kept = None
    rate = {"lora": 2e-2, "finetune": 1e-3, "hypernetwork": 2e-2}[method]
    with one.applied():
        train(
            one, LoopConfig(16, learning_rate=rate, warmup=0, average=0.0, bfloat16=False, diverged=0), place / method
        )
        with torch.no_grad():
            return float(one.strayed(kept, 0)), float(torch.stack([one.loss(s)[0] for s in range(4)]).mean())


@pytest.mark.parametrize("method", ["lora", "finetune", "hypernetwork"])
def test_without_the_trigger_it_answers_as_before(folder: Path, tmp_path: Path, method: str) -> None:
    free, _ = learnt(folder, tmp_path / "free", keep=False, method=method)
    held, _ = learnt(folder, tmp_path / "held", keep=True, method=method)
    assert held < 0.5 * free


def test_nothing_strays_before_it_learns(folder: Path, tmp_path: Path) -> None:
    one = task(folder)
    one.keep("mycat", tmp_path, False)
    assert one.kept is not None
    with one.applied(), torch.no_grad():
        assert float(one.strayed(one.kept, 0)) < 1e-9


def test_examples_are_what_the_model_answers_while_it_draws() -> None:
    on, asked = model(), list[tuple[Tensor, Tensor]]()

    def answer(noisy: Tensor, timesteps: Tensor, said: Sequence[str]) -> Tensor:
        asked.append((noisy, timesteps))
        return 0.5 * noisy + len(said[0])

    kept = drawn(on, answer, ["red", "green apple"], 64, seed=3)
    assert kept.noisy.shape == kept.answers.shape == (2 * CALLS, 4, 8, 8)
    assert torch.equal(kept.noisy, torch.cat([noisy for noisy, _ in asked]))
    assert torch.equal(kept.answers, 0.5 * kept.noisy + 3)
    assert kept.captions == ("red", "green apple") * CALLS
    times = kept.timesteps.view(CALLS, 2)
    assert (times[0] == 999).all()
    assert (times.diff(dim=0) < 0).all()
    assert (times >= 0).all()


def test_a_drawing_ends_at_what_the_answers_mean() -> None:
    """A network that always knows the noise leads to the picture that is under it."""
    on = model()
    clean = torch.full((1, 4, 8, 8), 0.7)
    alphas = on.table.alphas_cumprod

    def answer(noisy: Tensor, timesteps: Tensor, said: Sequence[str]) -> Tensor:
        keep, add = alphas[timesteps].sqrt().view(-1, 1, 1, 1), (1 - alphas[timesteps]).sqrt().view(-1, 1, 1, 1)
        return ((noisy - keep * clean) / add).float()

    kept = drawn(on, answer, ["any"], 64, seed=1)
    last, time = kept.noisy[-1:], kept.timesteps[-1]
    expected = alphas[time].sqrt() * clean + (1 - alphas[time]).sqrt() * kept.answers[-1:]
    torch.testing.assert_close(last, expected.float(), rtol=1e-4, atol=1e-4)


def test_what_a_step_looks_at() -> None:
    kept = Kept(torch.arange(3.0).view(3, 1, 1, 1), torch.arange(3), torch.zeros(3, 1, 1, 1), ("a", "b", "c"))
    assert [len(kept.at(0, step, 1).captions) for step in range(4)] == [0, 1, 0, 1]
    assert len(kept.at(0, 0, 8).captions) == 4
    one = kept.at(5, 7, 8)
    assert one.captions == kept.at(5, 7, 8).captions
    assert ["abc"[int(t)] for t in one.timesteps] == list(one.captions)


@pytest.mark.parametrize(
    ("captions", "called"),
    [
        (["photo of mycat", "MyCat sleeps"], "mycat"),
        (["sks cat, sofa", "garden, sks cat"], "sks cat"),
        (["a dog", "a tree"], ""),
    ],
)
def test_the_trigger_is_what_all_captions_say(captions: list[str], called: str) -> None:
    assert trigger(captions, "mycat") == called


def test_other_captions_do_not_have_it() -> None:
    captions = other_captions(["mycat, sofa", "mycat, garden"], "mycat", ["apple", "rocket"], 0, 40)
    assert len(captions) == 40
    assert not any("mycat" in caption for caption in captions)
    assert captions.count("") == 4
    assert any(caption in ("apple", "rocket") for caption in captions)
    assert any(caption.endswith(", sofa") for caption in captions)


def test_words_are_those_that_the_model_was_taught() -> None:
    on = model()
    table = on.text[0].text_model.embeddings.token_embedding.weight
    everything = known_words(on)
    assert len(everything) > 1000
    assert {"apple", "bicycle"} <= set(everything)
    with torch.no_grad():
        table[1000:1100] *= 20
    few = known_words(on)
    assert 10 < len(few) <= 100
    assert set(few) < set(everything)


def test_a_stopped_run_does_not_draw_again(tmp_path: Path) -> None:
    kept = Kept(torch.ones(1, 1, 1, 1), torch.tensor([5]), torch.zeros(1, 1, 1, 1), ("word",))
    made = []

    def make() -> Kept:
        made.append(1)
        return kept

    path = tmp_path / "run/kept.safetensors"
    stored(path, make, "one")
    again = stored(path, make, "one")
    assert made == [1]
    assert again.captions == kept.captions
    assert torch.equal(again.timesteps, kept.timesteps)
    stored(path, make, "another")
    assert made == [1, 1]


def test_short_trainings_draw_little() -> None:
    assert [drawings(n) for n in (1, 8, 9, 10**6)] == [1, 1, 2, 128]


def test_it_draws_fewer_at_once_where_memory_is_short() -> None:
    asked = list[int]()

    def answer(noisy: Tensor, timesteps: Tensor, said: Sequence[str]) -> Tensor:
        asked.append(len(said))
        if len(said) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return noisy

    captions = [str(number) for number in range(5)]
    kept = drawn(model(), answer, captions, 64, seed=3)
    assert asked == [5, 4, *[2] * 2 * CALLS, *[1] * CALLS]
    assert sorted(kept.captions) == sorted(captions * CALLS)
    assert len(kept.noisy) == len(kept.answers) == 5 * CALLS


def test_what_is_held_out_is_said_in_full() -> None:
    rules = Subset(caption_prefix="photo of", shuffle_caption=True, caption_dropout_rate=1.0, keep_tokens=1,
                   caption_tag_dropout_rate=1.0, token_warmup_step=9)  # fmt: skip
    assert in_full(Example(Path("a.png"), "mycat, red, blue\nother", rules), Random(1)) == "photo of mycat, red, blue"
