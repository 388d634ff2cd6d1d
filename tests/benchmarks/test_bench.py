"""The bench: its jobs run, its records become tables and a page that says how to make them."""

import json
from pathlib import Path

import pytest

from bench import foretelling, report, turns, work
from bench.contenders import CONTENDERS, ours
from bench.turns import Entry, Failed
from bench.work import Job
from fromnoise.cli.probes import COSTS, Speeds
from fromnoise.nn import fp8, int8


@pytest.mark.parametrize(
    "task", ["step", "decode", "text", "picture", "batch", "memory", "lora_switch", "merge", "prune"]
)
def test_our_side_of_each_job_runs(task: work.Task) -> None:
    ours.prepare(Job(task, "tiny", "float32", steps=2, batch=2))()


@pytest.mark.parametrize("lossy", [{"step_reuse": {}}, {"int8": True}, {"fp8": True}])
def test_what_is_lossy_tells_how_near_its_pictures_are(
    lossy: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "int8" in lossy and not int8.is_there():
        pytest.skip("no 8-bit products here")
    monkeypatch.setattr(int8, "FEW", 0)
    monkeypatch.setattr(int8, "NARROW", 32)
    monkeypatch.setattr(fp8, "FEW", 0)
    monkeypatch.setattr(fp8, "NARROW", 32)
    monkeypatch.setattr(fp8, "is_there", lambda device: True)
    notes = ours.prepare(Job("picture", "tiny", "float32", steps=4, batch=2), lossy=lossy)()
    assert notes is not None
    assert 5 < notes["PSNR in dB"] < 80


def test_what_does_not_change_a_job_is_refused() -> None:
    with pytest.raises(ValueError, match="decode is not changed by step_reuse"):
        ours.prepare(Job("decode", "tiny", "float32"), lossy={"step_reuse": {}})


def line(**changes: object) -> dict[str, object]:
    entries = [
        Entry("fromnoise", 1.0, [2.0, 1.0, 3.0], peak=10**9, private=5 * 10**8),
        Entry("diffusers", 2.0, [4.0, 3.0, 5.0], peak=2 * 10**9, private=10**9),
    ]
    return report.record(Job("step", "sd15"), entries, peak=1.607e12, machine="a machine") | changes


def test_a_record_compares_medians_with_the_first_and_with_the_peak() -> None:
    first, second = line()["entries"]  # type: ignore[misc]
    assert (first["median"], second["median"], second["ratio"]) == (2.0, 4.0, 2.0)
    assert first["of_peak"] == pytest.approx(0.5)
    assert "| 4.00 s | 2.00 | 25% | 2.00 GB | 1.00 GB | 2.0 s |" in report.table(line())


def test_a_new_record_takes_the_place_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "LINES", tmp_path / "results.jsonl")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RESULTS.md")
    for date in ("2026-01-01", "2026-01-02"):
        report.keep(line(date=date))
    report.keep(line(machine="another machine"))
    dates = [json.loads(text)["date"] for text in (tmp_path / "results.jsonl").read_text().splitlines()]
    page = (tmp_path / "RESULTS.md").read_text()
    assert dates[0] == "2026-01-02"
    assert len(dates) == 2
    assert "`python -m bench step --model sd15 --against diffusers --rounds 3`" in page


def test_a_contender_that_dies_is_named() -> None:
    with pytest.raises(Failed, match="fromnoise stopped with status"):
        turns.compete(Job("step", "no such size"), ["fromnoise"], 1, lambda text: None)


def test_private_memory_is_watched() -> None:
    with turns.watched() as memory:
        block = bytearray(64 << 20)
        block[::4096] = b"x" * len(block[::4096])
        turns.time.sleep(0.05)
    assert memory.private >= len(block)


def test_the_bench_page_of_the_project_is_what_its_records_make() -> None:
    if not report.LINES.exists():
        pytest.skip("no records yet")
    lines = [json.loads(text) for text in report.LINES.read_text("utf-8").splitlines()]
    assert report.PAGE.read_text("utf-8") == report.page(lines)


def test_every_contender_says_what_it_is() -> None:
    assert all(contender.what and ":" in contender.function for contender in CONTENDERS.values())


@pytest.mark.parametrize(("seconds", "private", "far"), [(10.0, 2.7e9, 0), (20.0, 2.7e9, 1), (10.0, 9e9, 1)])
def test_what_the_doctor_foretells_is_compared_with_what_it_takes(
    seconds: float, private: float, far: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = next(cost for cost in COSTS if cost.label == "SD 1.5")
    speeds = Speeds({"sd1": 2 * cost.unet}, decoder=cost.decoder / 8)  # a second a step, and eight for the decoder
    monkeypatch.setattr(foretelling, "measure", lambda placement: speeds)
    monkeypatch.setattr(foretelling, "seen_by", lambda job: Entry("fromnoise", seconds=[seconds], private=int(private)))
    assert foretelling.main(["--models", "sd15", "--dtypes", "bfloat16", "--steps", "2"]) == far
    table = capsys.readouterr().out
    assert "| SD 1.5, 512x512, bfloat16, 2 steps | 10.0 |" in table


def test_the_command_of_a_record_makes_it_again() -> None:
    entries = [Entry("fromnoise-int8", 1.0, [2.0]), Entry("fromnoise", 2.0, [4.0])]
    made = report.record(Job("picture", "sd15", steps=8, batch=2), entries, peak=1e12, machine="a machine")
    assert report.command(made) == (
        "picture --model sd15 --against fromnoise --rounds 1 --ours fromnoise-int8 --batch 2 --steps 8"
    )
    job = Job("memory", "sdxl", "float32", steps=1, memory=4e9)
    alone = report.record(job, [Entry("fromnoise", 1.0, [2.0])], peak=1e12, machine="a machine")
    assert report.command(alone) == (
        'memory --model sdxl --against "" --rounds 1 --steps 1 --dtype float32 --memory 4GB'
    )
