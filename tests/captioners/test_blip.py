"""BLIP through transformers: a tiny random model captions, and its preparation is transformers' own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.captioners import CAPTIONERS
from fromnoise.captioners.blip import Blip, SentenceRules, prepared
from fromnoise.errors import FileError

from .tiny_blip import WORDS, write_blip

transformers = pytest.importorskip("transformers")
PICTURE = Image.fromarray((np.random.default_rng(0).random((50, 70, 3)) * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blip(tmp_path_factory.mktemp("blip"))


def test_a_model_captions_the_same_each_time(folder: Path) -> None:
    load = CAPTIONERS["blip"].load(folder)
    first, again = load([PICTURE, PICTURE.rotate(90)]), load([PICTURE])
    assert first[0] == again[0]
    assert set(first[0].text.split()) <= set(WORDS)


def test_a_sentence_can_be_begun(folder: Path) -> None:
    rules = SentenceRules(prompt="a picture of", longest=12)
    assert Blip().load(folder, rules)([PICTURE])[0].text.startswith("a picture of")


def test_sampling_hangs_on_its_seed(folder: Path) -> None:
    texts = [Blip().load(folder, SentenceRules(search="sample", seed=seed))([PICTURE])[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_pictures_are_prepared_as_transformers_prepares_them() -> None:
    processor = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    wanted = np.asarray(processor(PICTURE, return_tensors="np")["pixel_values"])[0]
    np.testing.assert_allclose(prepared(PICTURE, 32), wanted, atol=2e-2)  # its resizing rounds otherwise


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"has no config\.json"):
        Blip().load(tmp_path)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{")
    with pytest.raises(FileError, match="not a BLIP model"):
        Blip().load(tmp_path)
