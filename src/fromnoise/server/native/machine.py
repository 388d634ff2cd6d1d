"""The machine: what it is, what it has, and how busy it is."""

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from fromnoise import __version__
from fromnoise.jobs.job import Work
from fromnoise.server.context import Admin, Here
from fromnoise.server.native.orders import accepted
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

router = new_part()


class Room(BaseModel):
    """Bytes."""

    total: int | None
    free: int | None


class WorkerView(BaseModel):
    """A process that makes pictures."""

    id: str
    device: str
    name: str = Field(description="Of the processor or accelerator.")
    dtype: str
    torch: str
    threads: int | None
    memory: Room = Field(description="Of the device.")
    used: int | None = Field(description="Bytes that the worker has there.")
    models: list[str] = Field(description="That it holds.")
    jobs: int = Field(description="That it is at.")
    started: float
    draining: bool


class Machine(BaseModel):
    """What the service runs on, now."""

    version: str
    python: str
    platform: str
    processor: str
    cores: int
    load: list[float] = Field(description="Programs that want to run, on average over 1, 5 and 15 minutes.")
    memory: Room
    disk: Room = Field(description="Where pictures go.")
    server: int | None = Field(description="Bytes of memory that the server has.")
    database: str = Field(description="sqlite or postgresql.")
    workers: list[WorkerView]


@router.get("/machine")
def get_machine(here: Here, who: Admin) -> Machine:
    """What the service runs on, and how busy that is."""
    disk = shutil.disk_usage(here.outputs)
    running = here.queue.jobs(states=["running"], limit=1000)
    return Machine(
        version=__version__, python=platform.python_version(), platform=platform.platform(terse=True),
        processor=processor(), cores=cores(), load=[] if sys.platform == "win32" else list(os.getloadavg()),
        memory=memory(), disk=Room(total=disk.total, free=disk.free), server=resident(),
        database="sqlite" if here.queue.database.is_sqlite else "postgresql",
        workers=[worker(one, sum(job.worker == one["id"] for job in running)) for one in here.queue.workers()],
    )  # fmt: skip


@router.post("/machine/doctor", status_code=202)
def examine_machine(here: Here, who: Admin) -> JobView:
    """Measure how long pictures take here, as a job; its result's data are `lines` of text, in Chinese `lines_zh`."""
    return JobView.of(accepted(here.queue, [Work("doctor", {}, owner=who.name)])[0])


def worker(row: Any, jobs: int) -> WorkerView:
    info = row["info"] or {}
    return WorkerView(
        id=row["id"], device=row["device"], name=str(info.get("name", "")), dtype=str(info.get("dtype", "")),
        torch=str(info.get("torch", "")), threads=info.get("threads"),
        memory=Room(total=info.get("memory"), free=info.get("free")), used=info.get("used"),
        models=[str(name) for name in info.get("models", [])], jobs=jobs, started=row["started"],
        draining=row["draining"],
    )  # fmt: skip


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def processor() -> str:
    """Its name, as far as the system tells."""
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory() -> Room:
    """Of the whole machine, or what a control group leaves of it (Linux); nothing elsewhere."""
    lines = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines() if ":" in line)
    if "MemTotal" not in lines:
        return Room(total=None, free=None)
    total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit, used = (read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        total, free = min(total, int(limit)), min(free, max(0, int(limit) - int(used)))
    return Room(total=total, free=free)


def resident() -> int | None:
    """Bytes of memory that this process has (Linux)."""
    fields = read("/proc/self/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""
