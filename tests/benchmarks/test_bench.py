"""The bench: its jobs run, its records become tables and a page that says how to make them."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from bench import __main__ as bench
from bench import devices, foretelling, peak, report, turns, work
from bench.contenders import CONTENDERS, ours
from bench.contenders.peer_diffusers import PREPARED
from bench.turns import Entry, Failed
from bench.work import Job
from fromnoise.cli.probes import COSTS, Speeds
from fromnoise.engine import memory
from fromnoise.errors import UserError
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
    told = {name: value for name, value in asdict(Job("step", "sd15")).items() if name not in ("device", "threads")}
    assert report.about(line(job=told)) == report.about(line()), "an older one says less"
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
    elsewhere = report.record(Job("step", device="cuda:0", threads=2), entries, peak=1e12, machine="a machine")
    assert report.command(elsewhere).endswith(" --device cuda:0 --threads 2")


@pytest.mark.parametrize("task", work.TASKS)
def test_whoever_competes_by_default_can_do_the_work(task: work.Task) -> None:
    assert bench.rivals(task, None) == (["diffusers"] if task in PREPARED else [])
    assert bench.rivals(task, "") == []


def test_the_device_is_what_the_program_would_choose_and_a_processor_always_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "available_devices", lambda: ["cuda:0", "cpu"])
    assert bench.chosen("step", None) == "cuda:0"
    assert bench.chosen("step", "cpu") == "cpu"
    assert bench.chosen("merge", None) == "cpu"
    with pytest.raises(UserError, match="merge is measured on processors; on a GPU: step, "):
        bench.chosen("merge", "cuda")
    with pytest.raises(UserError, match="no device 'xpu' here"):
        bench.chosen("step", "xpu")


class Gpu:
    """Stands in for PyTorch's module of a device; work is done when it is waited for."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def synchronize(self, device: torch.device) -> None:
        self.notes.append("waited")

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        self.notes.append("watched")

    def max_memory_allocated(self, device: torch.device) -> int:
        return 3 << 30

    def get_device_name(self, device: torch.device) -> str:
        return "NVIDIA H100"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    found = Gpu()
    monkeypatch.setattr(torch, "get_device_module", lambda kind: found)
    monkeypatch.setattr(devices, "driver", lambda: "driver 999")
    return found


@pytest.mark.parametrize(("name", "counts"), [("cpu", [1, 2, 3]), ("cuda", [4, 7, 10])])
def test_a_device_is_warmed_up_waited_for_and_timed_over_many_works(
    name: str, counts: list[int], gpu: Gpu, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns.sys, "stdin", io.StringIO("go\n" * 3))
    monkeypatch.setattr(devices.Device, "repeats", lambda self, seconds: 1 if self.own is None else 3)
    done: list[int] = []

    def work() -> None:
        gpu.notes.append("worked")
        done.append(1)

    def prepare() -> turns.Work:
        return work

    turns.serve(prepare, devices.Device(name))
    replies = [json.loads(text) for text in capsys.readouterr().out.splitlines()][1:]
    assert sum(counts[:1]) + (len(done) - counts[0]) == counts[-1]
    assert {reply["there"] for reply in replies} == {0 if name == "cpu" else 3 << 30}
    if name == "cuda":
        warm, first, rest = ["worked"] * 3, ["watched", "waited", "worked", "waited"], ["worked"] * 3
        assert gpu.notes == [*warm, *first, *(["watched", "waited", *rest, "waited"] * 2)]


def test_short_works_are_repeated_on_a_device_alone(gpu: Gpu) -> None:
    assert [devices.Device("cuda").repeats(seconds) for seconds in (2.0, 0.005, 0.0)] == [1, 100, devices.MOST]
    assert devices.Device("cpu").repeats(0.005) == 1


def test_figures_of_a_device_name_it_and_what_is_wanted_of_it(gpu: Gpu) -> None:
    assert devices.Device("cuda:0").machine.startswith("NVIDIA H100, driver 999, ")
    entries = [Entry("fromnoise-graphs", 1.0, [0.028], there=8 * 10**9), Entry("diffusers", 1.0, [0.05])]
    made = report.record(Job("step", "sdxl", device="cuda:0"), entries, peak=8e14, machine="a GPU")
    table = report.table(made)
    assert "| 28.0 ms | 1.00 | 60% | 0.00 GB | 0.00 GB | 8.00 GB | 1.0 s |" in table
    assert "wanted on one H100: 30.0 ms, 60% of the matrix peak" in table
    assert report.title(made) == "step: sdxl, on cuda:0"
    here = report.record(Job("step", "sdxl"), entries[1:], peak=8e14, machine="a machine")
    assert "on the GPU" not in report.table(here)
    assert "wanted" not in report.table(here)


def test_the_peak_is_measured_on_the_device(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "ROWS", 8)
    monkeypatch.setattr(peak, "SHAPES", ((4, 4),))
    assert peak.matrix_peak(torch.float32) > 0
    assert not gpu.notes
    monkeypatch.setattr(devices.Device, "where", torch.device("cpu"))  # where the products are done here
    monkeypatch.setattr(devices.Device, "own", gpu)
    monkeypatch.setattr(peak, "LARGE", ((4, 4),))
    assert peak.matrix_peak(torch.float32, devices.Device("cuda")) > 0
    assert gpu.notes == ["waited"] * (2 * peak.PASSES)


@pytest.mark.parametrize(
    ("name", "job", "why"),
    [
        ("openvino", Job("step", "tiny", device="cuda"), "OpenVINO is measured on processors"),
        ("diffusers-tuned", Job("step", "tiny"), "is for GPUs"),
        ("fromnoise-graphs", Job("text", "tiny"), "text is not changed by graphs"),
    ],
)
def test_who_cannot_do_the_work_says_so(name: str, job: Job, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CONTENDERS[name].prepare(job)


def test_trials_are_off_where_the_device_has_none() -> None:
    ours.prepare(Job("step", "tiny", "float32"), trials=True)()


def test_what_the_doctor_foretold_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "LINES", tmp_path / "results.jsonl")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RESULTS.md")
    found = {"seconds foretold": 10.0, "seconds": 10.0, "bytes foretold": 1e9, "bytes": 1e9}
    monkeypatch.setattr(foretelling, "compared", lambda job: found)
    for _ in range(2):
        assert foretelling.main(["--models", "sd15", "--steps", "1", "--keep"]) == 0
    report.keep(line())
    (kept, _) = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(kept)["pictures"][1]["dtype"] == "float32"
    page = (tmp_path / "RESULTS.md").read_text()
    assert "`python -m bench doctor --models sd15 --steps 1`" in page
    assert foretelling.table(json.loads(kept)) in page
    assert page.count("## ") == 2
