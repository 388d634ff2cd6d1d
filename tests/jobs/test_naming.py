"""Names of files from patterns."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.job import ALONE, Member
from fromnoise.jobs.naming import DEFAULT, Named, free_name, name, words

RECIPE = Recipe(
    prompt="a red apple, (best quality:1.2), on a table / in the sun",
    negative="blurry",
    seed=42,
    steps=30,
    guidance_scale=7.5,
    sampler="dpmpp_2m",
    schedule="karras",
    model="sub/dream.v8.safetensors",
    model_hash="ab" * 32,
)
NAMED = Named(RECIPE, datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC), "ann", "cd" * 32, Member(2, 8, 4, 40, 47))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (DEFAULT, "2025-03-04/[number]-42"),
        ("[seed]-[steps]-[cfg]-[width]x[height]", "42-30-7.5-512x512"),
        ("[sampler] [scheduler]", "dpmpp_2m karras"),
        ("[model_name]/[model_hash]", "dream.v8/ababababab"),
        ("[prompt_words]", "a red apple best quality 1 2 on"),
        ("[prompt_spaces]", "a red apple, (best quality_1.2), on a table _ in the sun"),
        ("[prompt_hash]", hashlib.sha256(RECIPE.prompt.encode()).hexdigest()[:8]),
        ("[negative_prompt_hash<4>]", hashlib.sha256(b"blurry").hexdigest()[:4]),
        ("[image_hash<6>]", "cdcdcd"),
        ("[datetime<%H.%M>]", "05.06"),
        ("[datetime<%H.%M><Asia/Shanghai>]", "13.06"),
        ("[datetime<%H><No/Where>]", "20250304050607"),
        ("[job_timestamp]-[batch_number]-[batch_size]", "20250304050607-3-4"),
        ("[seed_first]-[seed_last]", "40-47"),
        ("[generation_number]", "3"),
        ("[hasprompt<APPLE|fruit><pear|no pear>]", "APPLEno pear"),
        ("[user]_[unknown]_[none]", "ann_[unknown]_"),
        ("[clip_skip][denoising][styles][vae_filename]", "1"),
        ("a\\b//c", "a/b/c"),
        ("[none]", "[number]"),
        ("../../[seed]", "42"),
    ],
)
def test_patterns(pattern: str, expected: str) -> None:
    assert name(pattern, NAMED) == expected


def test_every_word_of_automatic1111_is_known() -> None:
    known = (
        "basename seed seed_first seed_last steps cfg width height styles sampler sampler_scheduler scheduler "
        "model_hash model_name date datetime job_timestamp prompt_hash negative_prompt_hash full_prompt_hash prompt "
        "prompt_no_styles prompt_spaces prompt_words batch_number batch_size generation_number hasprompt "
        "clip_skip denoising user vae_filename none image_hash"
    )
    assert not set(known.split()) - words(NAMED).keys()
    init = {"path": "/kept/cat.v2.png", "sha256": "0" * 64}
    made = Named(RECIPE.but(init=init, strength=0.5, vae={"name": "soft.safetensors"}), NAMED.moment)
    assert name("[basename]-[vae_filename]-[denoising]", made) == "cat.v2-soft-0.5"


@pytest.mark.parametrize(
    ("member", "pattern", "expected"),
    [
        (Member(5, 8, 4, 7, 14), "[batch_number]-[generation_number]", "2-6"),
        (Member(1, 2, 1, 7, 8), "[seed]-[batch_number]-[generation_number]", "42-2"),
        (ALONE, "[number]-[seed]-[generation_number]", "[number]-42"),
        (ALONE, "[seed]/[batch_number]", "42"),
        (ALONE, "[seed_first]-[seed_last]x[batch_size]", "42x1"),
    ],
)
def test_numbers_of_what_is_alone_are_left_out_with_the_text_before(
    member: Member, pattern: str, expected: str
) -> None:
    assert name(pattern, replace(NAMED, member=member)) == expected


@pytest.mark.parametrize("prompt", ["../../x", "..", "con", "x" * 5000, "画" * 500, ".hidden", "a\nb", "a. . ."])
def test_no_prompt_leads_elsewhere(prompt: str) -> None:
    named = name("[prompt]/[seed]", Named(Recipe(prompt=prompt, seed=1), NAMED.moment))
    folder, _, file = named.rpartition("/")
    assert file == "1"
    assert folder.count("/") == 0
    assert not folder.startswith(".")
    assert len(folder.encode()) <= 200
    assert folder.lower() != "con"


def test_free_names(tmp_path: Path) -> None:
    assert free_name(tmp_path, "a/x", ".png", lambda name: False) == "a/x.png"
    assert free_name(tmp_path, "a/x", ".png", lambda name: name == "a/x.png") == "a/x-2.png"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x-2.png").touch()
    assert free_name(tmp_path, "a/x", ".png", lambda name: name == "a/x.png") == "a/x-3.png"


def test_numbers_go_on(tmp_path: Path) -> None:
    assert free_name(tmp_path, "a/[number]-7", ".png", lambda name: False) == "a/00001-7.png"
    (tmp_path / "a").mkdir()
    for there in ("00041-3.png", "00012.jpg", "note.txt", "99999999999999-1.png"):
        (tmp_path / "a" / there).touch()
    assert free_name(tmp_path, "a/[number]-7", ".png", lambda name: False) == "a/00042-7.png"
    assert free_name(tmp_path, "a/[number]-7", ".png", lambda name: "00042" in name) == "a/00043-7.png"
    assert free_name(tmp_path, "b-[number]", ".png", lambda name: False) == "b-00001.png"


def test_when_all_names_are_taken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another pattern"):
        free_name(tmp_path, "x", ".png", lambda name: True)
