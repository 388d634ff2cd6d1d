"""Buckets are kohya's: its sizes, its choice, its rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromnoise.errors import UserError
from fromnoise.train.data.buckets import BucketRules, Fit, bucket_sizes

AT_512 = (
    (256, 832), (256, 896), (256, 960), (256, 1024), (320, 704), (320, 768), (384, 640), (448, 576), (512, 512),
    (576, 448), (640, 384), (704, 320), (768, 320), (832, 256), (896, 256), (960, 256), (1024, 256),
)  # fmt: skip


def test_the_buckets_of_512_are_kohyas() -> None:
    assert bucket_sizes(512 * 512, 256, 1024, 64) == AT_512


def test_the_buckets_of_1024_are_as_many_as_kohyas() -> None:
    found = bucket_sizes(1024 * 1024, 512, 2048, 64)
    assert len(found) == 33
    assert (found[0], found[-1]) == ((512, 1856), (2048, 512))
    assert (1024, 1024) in found


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        ((512, 512), Fit((512, 512), (512, 512))),
        ((100, 100), Fit((512, 512), (512, 512))),
        ((1920, 1080), Fit((640, 384), (683, 384))),  # 1.78 lies between 1.67 and 2.2
        ((1080, 1920), Fit((384, 640), (384, 683))),
        ((3000, 1000), Fit((832, 256), (832, 277))),
    ],
)
def test_pictures_fall_where_their_proportions_are(size: tuple[int, int], fit: Fit) -> None:
    assert BucketRules().fit(size) == fit


def test_a_picture_as_large_as_a_bucket_stays_whole() -> None:
    assert BucketRules().fit((320, 768)) == Fit((320, 768), (320, 768))


@given(st.integers(64, 4000), st.integers(64, 4000), st.booleans())
def test_every_picture_covers_its_bucket_and_keeps_its_proportions(width: int, height: int, upscale: bool) -> None:
    rules = BucketRules(upscale=upscale)
    fit = rules.fit((width, height))
    assert min(fit.spare) >= 0
    assert fit.bucket[0] % 64 == fit.bucket[1] % 64 == 0
    bent = fit.resized[0] * height - fit.resized[1] * width  # half a pixel along one side, by rounding
    assert abs(bent) <= 0.5 * max(width, height) + 1e-6
    if not upscale:
        assert fit.resized[0] <= width
        assert fit.resized[1] <= height
        assert fit.bucket[0] * fit.bucket[1] <= 512 * 512


def test_without_enlarging_buckets_are_whole_steps_of_the_picture() -> None:
    assert BucketRules(upscale=False).fit((300, 500)) == Fit((256, 448), (300, 500))


def test_without_buckets_all_are_made_the_resolution() -> None:
    assert BucketRules((512, 512), enabled=False).fit((1000, 500)) == Fit((512, 512), (1024, 512))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"step": 60}, "multiples of 8"),
        ({"smallest": 1024, "largest": 512}, "above max_bucket_reso"),
        ({"smallest": 768}, "lower it"),
        ({"resolution": (2048, 2048)}, "raise it"),
    ],
)
def test_impossible_rules_say_why(rules: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BucketRules(**rules)  # type: ignore[arg-type]


def test_a_picture_too_small_for_a_step_is_named() -> None:
    with pytest.raises(UserError, match="40x400 is smaller than one step"):
        BucketRules(upscale=False).fit((40, 400))
