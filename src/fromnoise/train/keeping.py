"""Keeping what the model knows: where the trigger is not said, what trains should answer as the model did before.

Learning without forgetting (Li and Hoiem, 2016) on drawings of the model's own: before it learns, it draws pictures of
random words, and what it answers at each step of those drawings is what it should go on answering. So prior
preservation costs one call of the network for each example, and no pictures of a class.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.errors import FileError, is_out_of_memory
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.data.captions import tags
from fromnoise.train.emoji import philox
from fromnoise.train.noising import normal
from fromnoise.train.objective import STEPS, mixing

DRAWINGS = 128  # of random words, at most
CALLS = 4  # of the network for each
SHARE = 2  # so many pictures are learnt from for each example that is kept
TOGETHER = 8
SAYINGS = 2  # captions that text encoders are asked for each picture that is learnt from
EMPTY, ALONE = 0.1, 0.5  # shares of drawings under no caption, and under words without the rest of a caption
FEWEST = 50  # words that stand out, to count as those the model knows
Answer = Callable[[Tensor, Tensor, Sequence[str]], Tensor]  # noisy (b c h w), timesteps (b), captions: like noisy


@dataclass(frozen=True)
class KeptStates:
    """What the text encoders said: of n captions, each of one window."""

    captions: tuple[str, ...]
    contexts: Tensor  # (n 77 d)

    def at(self, seed: int, step: int, batch: int) -> tuple[list[str], Tensor]:
        """Those of a step of so many pictures."""
        chosen = philox(seed, 27, step).integers(0, len(self.captions), batch * SAYINGS).tolist()
        return [self.captions[i] for i in chosen], self.contexts[chosen]


@dataclass(frozen=True)
class Kept:
    """What the model answered: n examples."""

    noisy: Tensor  # (n c h w)
    timesteps: Tensor  # (n) int64
    answers: Tensor  # (n c h w)
    captions: tuple[str, ...]

    def at(self, seed: int, step: int, batch: int) -> "Kept":
        """Those of a step of so many pictures; in some steps there may be none."""
        count = (step + 1) * batch // SHARE - step * batch // SHARE
        chosen = philox(seed, 25, step).integers(0, len(self.captions), count).tolist()
        captions = tuple(self.captions[i] for i in chosen)
        return Kept(self.noisy[chosen], self.timesteps[chosen], self.answers[chosen], captions)

    def some(self, now: slice) -> "Kept":
        return Kept(self.noisy[now], self.timesteps[now], self.answers[now], self.captions[now])


def drawings(pictures: int) -> int:
    """How many it takes for a training that looks at so many pictures."""
    return max(1, min(DRAWINGS, -(-pictures // (SHARE * CALLS))))


def short(captions: Sequence[str]) -> list[str]:
    """Those that fit into one window."""
    tokenizer = Tokenizer()
    return [caption for caption in captions if len(tokenizer.encode(caption)) <= tokenizer.window - 2]


def trigger(captions: Sequence[str], name: str) -> str:
    """What calls up what is learnt: the name, or the first tag, that every caption has; "" where there is none."""
    if all(name.lower() in caption.lower() for caption in captions):
        return name
    shared = [tag for tag in tags(captions[0], ",") if all(tag in tags(caption, ",") for caption in captions)]
    return shared[0] if shared else ""


def known_words(model: Model) -> list[str]:
    """Whole words that a model may know: where only some vectors of its table have grown in training, those words."""
    table = model.text[0].text_model.embeddings.token_embedding.weight
    sizes = table.detach().float().norm(dim=1)
    grown = (sizes > 2 * sizes.median()).nonzero().flatten().tolist()
    tokenizer = Tokenizer()
    spelt = [tokenizer.token(i) for i in (grown if len(grown) >= FEWEST else range(len(table)))]
    return [
        s.removesuffix("</w>")
        for s in spelt
        if s.endswith("</w>") and len(s) > 6 and s[:-4].isascii() and s[:-4].isalpha()
    ]


def other_captions(captions: Sequence[str], called: str, words: Sequence[str], seed: int, count: int) -> list[str]:
    """Captions without the trigger: random words in its place, or alone; some say nothing."""
    random = Random(f"{seed}/keep")
    found = []
    for number in range(count):
        other = " ".join(random.choice(words) for _ in range(random.choice((1, 1, 2))))
        caption = random.choice(captions)
        said = caption.replace(called, other) if called in caption else f"{other}, {caption}"
        chance = (number + 0.5) / count
        found.append("" if chance < EMPTY else other if chance < EMPTY + ALONE else said)
    return found


@torch.no_grad()
def drawn(model: Model, answer: Answer, captions: Sequence[str], side: int, seed: int) -> Kept:
    """Draw the captions in a few steps (Song et al., 2021, equation 12), and note what is asked and answered.

    As many together as memory allows.
    """
    parts, start, together = list[Kept](), 0, TOGETHER
    while start < len(captions):
        said = captions[start : start + together]
        try:
            parts.append(answered(model, answer, said, side, philox(seed, 26, start)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or together == 1:
                raise
            together //= 2
            continue
        start += len(said)
    return Kept(
        torch.cat([part.noisy for part in parts]), torch.cat([part.timesteps for part in parts]),
        torch.cat([part.answers for part in parts]), tuple(caption for part in parts for caption in part.captions),
    )  # fmt: skip


def answered(model: Model, answer: Answer, said: Sequence[str], side: int, rng: np.random.Generator) -> Kept:
    """Some captions, drawn side by side."""
    channels, size = model.unet.config.in_channels, side // model.vae.config.downscale
    device, table = model.placement.device, model.table
    noisy, timesteps, answers = list[Tensor](), list[Tensor](), list[Tensor]()
    x = normal(rng, (len(said), channels, size, size)).to(device)
    shift = rng.random((len(said), CALLS))
    times = [torch.from_numpy(STEPS - 1 - ((i - shift[:, i]) * STEPS / CALLS).clip(0)).long() for i in range(CALLS)]
    for number, now in enumerate(times):
        now = now.to(device)
        told = answer(x, now, said).float()
        for found, new in ((noisy, x), (timesteps, now), (answers, told)):
            found.append(new.cpu())
        keep, add = mixing(now, table, x)
        if model.facts.prediction == "v":
            clean, noise = keep * x - add * told, keep * told + add * x
        else:
            clean, noise = (x - add * told) / keep, told
        if number + 1 < CALLS:
            keep, add = mixing(times[number + 1].to(device), table, x)
            x = keep * clean + add * noise
    return Kept(torch.cat(noisy), torch.cat(timesteps), torch.cat(answers), tuple(said) * CALLS)


def stored(path: Path, make: Callable[[], Kept], key: str) -> Kept:
    """What a run that was stopped drew, or what `make` draws; `key` says what it hangs on."""
    if path.exists():
        try:
            tensors = read(path)
            if tensors.metadata.get("key") == key:
                said = tuple(json.loads(tensors.metadata["captions"]))
                return Kept(tensors["noisy"], tensors["timesteps"], tensors["answers"], said)
        except (FileError, KeyError, ValueError):
            pass  # drawn anew
    kept = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"noisy": kept.noisy, "timesteps": kept.timesteps, "answers": kept.answers}
    save_checkpoint(path, named, dtype=None, metadata={"key": key, "captions": json.dumps(kept.captions)})
    return kept
