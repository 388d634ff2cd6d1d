"""Processes that open pictures before they are wanted: kohya's `max_data_loader_n_workers`."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from random import Random

import torch

from fromnoise.train.data.batches import Item
from fromnoise.train.data.pictures import Cut, Seen, seen


class Openers:
    """So many processes; what they open is asked for by the number of its batch and its place there."""

    def __init__(self, count: int) -> None:
        fork = not torch.cuda.is_available() and "fork" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if fork else "spawn")
        self.pool = ProcessPoolExecutor(count, mp_context=context)
        self.waiting: dict[tuple[int, int], Future[Seen]] = {}

    def begin(self, place: tuple[int, int], item: Item, mirrored: bool | None, random: Random) -> None:
        """Open the picture of an item, as `opened` does."""
        if place not in self.waiting:
            self.waiting[place] = self.pool.submit(opened, item, mirrored, random)

    def end(self, place: tuple[int, int]) -> Seen | None:
        """What was opened for a place; None where nothing was asked for."""
        future = self.waiting.pop(place, None)
        return None if future is None else future.result()

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


def varies(item: Item) -> bool:
    """Whether a picture is cut or coloured anew each time."""
    rules = item.example.subset
    return rules.random_crop or rules.color_aug or rules.face_crop_aug_range is not None


def mirror(item: Item, random: Random) -> bool:
    """Whether it is mirrored this time."""
    return item.example.subset.flip_aug and random.random() < 0.5


def opened(item: Item, mirrored: bool | None, random: Random) -> Seen:
    """The picture cut in the middle, and mirrored as wanted; where `mirrored` is None as its rules and chance say."""
    if mirrored is None:
        return seen(item.example, item.fit, random)
    rules = item.example.subset.model_copy(update={"flip_aug": False})
    whole = seen(replace(item.example, subset=rules), item.fit, Random(0))
    if not mirrored:
        return whole
    cut = Cut(whole.cut.original, whole.cut.corner, True)
    flip = [None if t is None else t.flip(-1) for t in (whole.mask, whole.control)]
    return Seen(whole.pixels.flip(-1), cut, *flip)
