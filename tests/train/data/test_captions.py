"""Captions are varied in kohya's order."""

from random import Random

import pytest

from fromnoise.train.data.captions import CaptionRules, Moment, Replacements, spoken

NOW = Moment(step=0, steps=100, epoch=1)
TAGS = "1girl, solo, red hair, smile, outdoors"


def say(caption: str, seed: int = 0, now: Moment = NOW, **rules: object) -> str:
    return spoken(caption, CaptionRules(**rules), Random(seed), now)  # type: ignore[arg-type]


def test_without_rules_the_first_line_is_said_as_it_is() -> None:
    assert say("a cat ,  on a mat\nanother line") == "a cat ,  on a mat"


def test_prefix_and_suffix_stand_around_it() -> None:
    assert say("a cat", caption_prefix="photo of", caption_suffix="at night") == "photo of a cat at night"


def test_a_dropped_caption_is_empty_prefix_and_all() -> None:
    said = [say("a cat", seed, caption_prefix="x", caption_dropout_rate=0.25) for seed in range(400)]
    assert set(said) == {"", "x a cat"}
    assert 70 < said.count("") < 130


def test_nothing_is_said_in_every_third_epoch() -> None:
    said = [say("a cat", now=Moment(0, 1, epoch), caption_dropout_every_n_epochs=3) for epoch in range(1, 7)]
    assert said == ["a cat", "a cat", "", "a cat", "a cat", ""]


def test_shuffling_keeps_the_first_tags() -> None:
    said = {say(TAGS, seed, shuffle_caption=True, keep_tokens=2) for seed in range(50)}
    assert all(caption.startswith("1girl, solo, ") for caption in said)
    assert len(said) == 6
    assert all(sorted(caption.split(", ")) == sorted(TAGS.split(", ")) for caption in said)


def test_a_mark_parts_front_middle_and_end() -> None:
    caption = "a, b ||| c, d ||| e"
    said = {say(caption, seed, shuffle_caption=True, keep_tokens_separator="|||") for seed in range(20)}
    assert said == {"a, b, c, d, e", "a, b, d, c, e"}


def test_tags_are_dropped_but_never_those_that_are_kept() -> None:
    said = [say(TAGS, seed, caption_tag_dropout_rate=0.5, keep_tokens=1) for seed in range(200)]
    assert all(caption.startswith("1girl") for caption in said)
    count = sum(len(caption.split(", ")) - 1 for caption in said)
    assert 300 < count < 500  # half of 800


@pytest.mark.parametrize(("step", "count"), [(0, 1), (25, 2), (50, 3), (99, 4), (100, 5)])
def test_warming_up_says_more_and_more_tags(step: int, count: int) -> None:
    said = say(TAGS, now=Moment(step, 1000, 1), token_warmup_step=100, token_warmup_min=1)
    assert said == ", ".join(TAGS.split(", ")[:count])


def test_a_warm_up_may_be_a_share_of_the_training() -> None:
    assert say(TAGS, now=Moment(49, 100, 1), token_warmup_step=0.5).count(",") < 4
    assert say(TAGS, now=Moment(50, 100, 1), token_warmup_step=0.5) == TAGS


def test_choices_and_lines_are_made_by_chance_and_braces_can_be_meant() -> None:
    said = {say("a {red|blue} {{apple}}\na pear", seed, enable_wildcard=True) for seed in range(40)}
    assert said == {"a red {apple}", "a blue {apple}", "a pear"}


def test_tags_joined_by_the_second_separator_stay_together() -> None:
    said = {say("a;b, c", seed, shuffle_caption=True, secondary_separator=";") for seed in range(20)}
    assert said == {"a,b, c", "c, a,b"}


def test_replacements_come_last() -> None:
    words = Replacements({"cat": "<my-cat>"})
    assert spoken("a cat", CaptionRules(), Random(0), NOW, words) == "a <my-cat>"
    whole = Replacements({"": ["a photo of sks", "a picture of sks"]})
    assert spoken("a cat", CaptionRules(), Random(0), NOW, whole) in ("a photo of sks", "a picture of sks")


def test_the_same_random_state_says_the_same() -> None:
    assert say(TAGS, 5, shuffle_caption=True) == say(TAGS, 5, shuffle_caption=True)
