"""Every picture is in an epoch as often as it should, in batches of one bucket, in an order that the seed decides."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.errors import FileError, UserError
from fromnoise.train.data.batches import Pool, Schedule, buckets, gathered
from fromnoise.train.data.source import Dataset, Subset

SIZES = [(64, 64)] * 3 + [(96, 48)] * 4 + [(48, 96)] * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, size in enumerate(SIZES):
        Image.new("RGB", size).save(tmp_path / f"{index}.png")
    return tmp_path


def dataset(folder: Path, **fields: object) -> Dataset:
    given = {
        "subsets": [Subset(image_dir=folder, num_repeats=2)], "batch_size": 3, "resolution": 64, "enable_bucket": True,
        "min_bucket_reso": 64, "max_bucket_reso": 128, "bucket_reso_steps": 8,
    }  # fmt: skip
    return Dataset.model_validate({**given, **fields})


def test_batches_hold_one_bucket_and_all_pictures(folder: Path) -> None:
    pool = gathered(dataset(folder, min_bucket_reso=64, max_bucket_reso=64))
    assert len(pool.items) == 18
    schedule = Schedule((pool,), seed=1)
    epoch = schedule.epoch(1)
    assert len(epoch) == schedule.length
    assert all(len({item.fit.bucket for item in batch}) == 1 for batch in epoch)
    assert Counter(i.example.path.stem for b in epoch for i in b) == {str(i): 2 for i in range(9)}


def small(folder: Path) -> Pool:
    return gathered(dataset(folder, resolution=(64, 64), bucket_no_upscale=True))


def test_the_order_is_the_seeds_and_the_epochs(folder: Path) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        return [i.example.path.stem for b in Schedule((small(folder),), seed).epoch(epoch) for i in b]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_steps_run_through_epochs(folder: Path) -> None:
    schedule = Schedule((small(folder),), 3)
    length = schedule.length
    assert schedule.at(0) == (1, schedule.epoch(1)[0])
    assert schedule.at(length - 1) == (1, schedule.epoch(1)[-1])
    assert schedule.at(length) == (2, schedule.epoch(2)[0])


def test_short_batches_stay(folder: Path) -> None:
    pool = small(folder)
    assert sum(buckets(pool).values()) == 18
    assert Schedule((pool,), 0).length == sum(-(-n // 3) for n in buckets(pool).values())


def test_what_cannot_be_read_is_skipped_and_named_or_refused(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG")
    pool = gathered(dataset(folder))
    assert len(pool.items) == 18
    assert "bad.png" in pool.skipped[0]
    with pytest.raises(FileError, match=r"bad\.png"):
        gathered(dataset(folder), strict=True)


def test_a_share_is_held_out_and_the_same_each_time(folder: Path) -> None:
    wanted = dataset(folder, validation_split=0.34, validation_seed=5)
    first, second = gathered(wanted, seed=1), gathered(wanted, seed=2)
    held_out = {item.example.path for item in first.held_out}
    assert len(held_out) == 3
    assert held_out == {item.example.path for item in second.held_out}
    assert not held_out & set(first.pictures)


def test_a_data_set_of_regular_pictures_alone_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="only regularisation pictures"):
        gathered(dataset(folder, subsets=[Subset(image_dir=folder, is_reg=True)]))
