"""Which pictures an epoch has, in which order, and which share a batch: keyed by seed and epoch, and by nothing else.

Batches never mix buckets; the last of a bucket may be short.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from fromnoise.errors import FileError, UserError
from fromnoise.train.data.buckets import BucketRules, Fit
from fromnoise.train.data.pictures import size_of
from fromnoise.train.data.source import Dataset, Example, Found, examples, with_regular


@dataclass(frozen=True)
class Item:
    """An example and its place in a bucket."""

    example: Example
    fit: Fit


@dataclass(frozen=True)
class Pool:
    """The pictures of one data set, each as often as an epoch has it."""

    items: tuple[Item, ...]
    batch_size: int
    skipped: tuple[str, ...] = ()  # one line for each picture that can't be read
    warnings: tuple[str, ...] = ()
    held_out: tuple[Item, ...] = ()  # to measure on, once each

    @property
    def pictures(self) -> list[Path]:
        """Every file once, in order."""
        return list(dict.fromkeys(item.example.path for item in self.items))


def gathered(dataset: Dataset, *, strict: bool = False, seed: int = 0) -> Pool:
    """Find the pictures of a data set and give each its bucket.

    What can't be read is skipped and named, or with `strict` refused (FileError). UserError where nothing is left.
    """
    found = [(subset, examples(subset)) for subset in dataset.subsets]
    own = [e for subset, f in found if not subset.is_reg for e in f.examples]
    regular = [e for subset, f in found if subset.is_reg for e in f.examples]
    if not own:
        raise UserError("the data set has only regularisation pictures; add those that show what is to be learnt")
    rules, skipped = dataset.buckets, list[str]()
    fits = dict(fitted((*own, *regular), rules, skipped, strict))
    own, held_out = split([e for e in own if e.path in fits], dataset, seed)
    if not own:
        raise UserError(f"none of the pictures can be used: {skipped[0] if skipped else 'all are held out'}")
    repeated = with_regular(own, [e for e in regular if e.path in fits])
    return Pool(
        tuple(Item(e, fits[e.path]) for e in repeated),
        dataset.batch_size,
        tuple(skipped),
        warnings(f for _, f in found),
        tuple(Item(e, fits[e.path]) for e in held_out),
    )


def fitted(
    found: Sequence[Example], rules: BucketRules, skipped: list[str], strict: bool
) -> Iterator[tuple[Path, Fit]]:
    """The places of those examples that can be read, masks and pictures that steer among what is read."""
    files = dict.fromkeys(path for e in found for path in (e.path, e.mask, e.control) if path is not None)
    with ThreadPoolExecutor() as threads:
        sizes = {path: threads.submit(size_of, path) for path in files}
    for example in {e.path: e for e in found}.values():
        try:
            for path in (example.mask, example.control):
                if path is not None:
                    sizes[path].result()
            yield example.path, rules.fit(sizes[example.path].result())
        except (FileError, UserError) as error:
            if strict:
                raise
            skipped.append(str(error))


def split(own: Sequence[Example], dataset: Dataset, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and those held out: a share chosen by the validation seed."""
    count = round(len(own) * dataset.validation_split)
    order = list(range(len(own)))
    Random(f"{seed if dataset.validation_seed is None else dataset.validation_seed}/held out").shuffle(order)
    chosen = set(order[:count])
    learnt = [e for i, e in enumerate(own) if i not in chosen]
    return learnt, [e for i, e in enumerate(own) if i in chosen]


def warnings(found: Iterator[Found] | Sequence[Found]) -> tuple[str, ...]:
    return tuple(text for one in found for text in one.warnings)


@dataclass(frozen=True)
class Schedule:
    """The batches of every epoch of some pools."""

    pools: tuple[Pool, ...]
    seed: int
    latest: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # the epoch that was asked for last

    def epoch(self, number: int) -> list[list[Item]]:
        """The batches of epoch `number`, from 1."""
        random = Random(f"{self.seed}/epoch/{number}")
        batches = [batch for pool in self.pools for batch in batched(pool, random)]
        random.shuffle(batches)
        return batches

    @cached_property
    def length(self) -> int:
        """Batches in an epoch."""
        return sum(-(-count // pool.batch_size) for pool in self.pools for count in buckets(pool).values())

    def at(self, step: int) -> tuple[int, list[Item]]:
        """The epoch, from 1, and the batch of a step, from 0."""
        epoch, index = divmod(step, self.length)
        if self.latest.get("number") != epoch + 1:
            self.latest.update(number=epoch + 1, batches=self.epoch(epoch + 1))
        return epoch + 1, self.latest["batches"][index]


def batched(pool: Pool, random: Random) -> Iterator[list[Item]]:
    """The pictures of a pool in another order, in batches of one bucket."""
    by_bucket: dict[tuple[int, int], list[Item]] = {}
    for item in pool.items:
        by_bucket.setdefault(item.fit.bucket, []).append(item)
    for _, items in sorted(by_bucket.items()):
        random.shuffle(items)
        for start in range(0, len(items), pool.batch_size):
            yield items[start : start + pool.batch_size]


def buckets(pool: Pool) -> dict[tuple[int, int], int]:
    """How many pictures each bucket has, repeats counted; smallest width first."""
    counts: dict[tuple[int, int], int] = {}
    for item in pool.items:
        counts[item.fit.bucket] = counts.get(item.fit.bucket, 0) + 1
    return dict(sorted(counts.items()))
