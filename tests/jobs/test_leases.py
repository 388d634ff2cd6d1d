"""Workers hold jobs as long as they live; what they leave behind is done by others, once."""

import os
from dataclasses import replace

import pytest

from fromnoise.jobs.job import Buried, Job, Result, Work
from fromnoise.jobs.leases import Leases, Update
from fromnoise.jobs.queue import Queue

from .conftest import Clock


def submit(queue: Queue, names: str, affinity: str | None = "m", **more: object) -> dict[str, str]:
    """The ids of new jobs by name."""
    works = [replace(Work("test", {"name": name}, affinity=affinity), **more) for name in names]  # type: ignore[arg-type]
    return {name: job.id for name, job in zip(names, queue.submit(works), strict=True)}


def names(jobs: list[Job]) -> str:
    return "".join(str(job.work.body["name"]) for job in jobs)


def test_a_worker_is_known(queue: Queue, leases: Leases) -> None:
    (worker,) = queue.workers()
    assert (worker["id"], worker["device"], worker["pid"], worker["lease"]) == ("w", "cpu", os.getpid(), 1010.0)


def test_jobs_of_one_model_are_taken_together(queue: Queue, leases: Leases) -> None:
    submit(queue, "ab", "m")
    submit(queue, "x", "n")
    submit(queue, "cd", "m")
    assert names(leases.claim("w", 3)) == "abc"
    assert names(leases.claim("w", 3)) == "d", "and more of it joins, past one that has not waited long"
    assert leases.claim("w", 0) == []


def test_the_first_in_line_does_not_wait_for_ever(queue: Queue, leases: Leases, clock: Clock) -> None:
    a = submit(queue, "a", "m")["a"]
    assert names(leases.claim("w", 4)) == "a"
    submit(queue, "x", "n")
    submit(queue, "b", "m")
    clock.now += 21
    assert leases.claim("w", 4) == []
    leases.beat("w")
    leases.finish("w", a, [])
    assert names(leases.claim("w", 4)) == "x"


def test_what_has_no_affinity_runs_alone(queue: Queue, leases: Leases) -> None:
    submit(queue, "ab", None)
    submit(queue, "c", "m")
    assert names(leases.claim("w", 4)) == "a"
    assert leases.claim("w", 3) == []


def test_kinds(queue: Queue, leases: Leases) -> None:
    submit(queue, "a", kind="picture")
    submit(queue, "b", kind="training")
    assert names(leases.claim("w", 4, {"training"})) == "b"
    assert leases.claim("w", 4, {"merge"}) == []


def test_two_workers_never_have_the_same_job(queue: Queue, leases: Leases) -> None:
    submit(queue, "abcdef")
    leases.enlist("v", "cuda:0")
    assert names(leases.claim("w", 2) + leases.claim("v", 2) + leases.claim("w", 2)) == "abcdef"


def test_the_jobs_of_a_dead_worker_go_to_another(queue: Queue, leases: Leases) -> None:
    ids = submit(queue, "ab")
    leases.claim("w", 2)
    leases.report("w", [Update(ids["a"], 5, 10)])
    leases.keep("w", ids["a"], 4)
    assert sorted(leases.bury("w")) == sorted(ids.values())
    a, b = queue.get(ids["a"]), queue.get(ids["b"])
    assert (a.state, a.step, a.kept, a.deaths, a.attempts, a.worker) == ("queued", 4, 4, 1, 1, None)
    assert (b.state, b.step, b.deaths) == ("queued", 0, 1)
    assert [event.kind for event in queue.events(job=a.id)] == ["queued", "started", "step", "kept", "interrupted"]
    assert leases.bury("w") == []
    assert queue.workers() == []


def test_a_buried_worker_can_do_nothing(queue: Queue, leases: Leases, clock: Clock) -> None:
    a = submit(queue, "a")["a"]
    leases.claim("w", 1)
    clock.now += 11
    assert leases.bury_expired() == ["w"]
    leases.enlist("v", "cpu")
    assert names(leases.claim("v", 1)) == "a"
    submit(queue, "b")
    for attempt in (
        lambda: leases.beat("w"),
        lambda: leases.claim("w", 1),
        lambda: leases.report("w", []),
        lambda: leases.drain("w"),
        lambda: leases.keep("w", a, 1),
        lambda: leases.finish("w", a, [Result("a.png")]),
        lambda: leases.fail("w", a, "x"),
        lambda: leases.stop("w", a, "cancelled"),
        lambda: leases.name_file("w", a, lambda taken: "a.png"),
    ):
        with pytest.raises(Buried):
            attempt()
    assert queue.results(a) == []
    leases.finish("v", a, [Result("a.png")])
    assert queue.get(a).state == "done"
    with pytest.raises(Buried):
        leases.finish("v", a, [Result("b.png")])
    assert [result.path for result in queue.results(a)] == ["a.png"]


def test_a_living_worker_keeps_its_lease(queue: Queue, leases: Leases, clock: Clock) -> None:
    submit(queue, "a")
    for _ in range(5):
        clock.now += 8
        leases.beat("w")
        assert leases.bury_expired() == []


def test_what_workers_die_of_runs_alone_and_fails_in_the_end(queue: Queue, leases: Leases) -> None:
    ids = submit(queue, "abc")
    assert names(leases.claim("w", 4)) == "abc"
    leases.bury("w")
    for expected in ("a", "a"):
        leases.enlist("w", "cpu")
        assert names(leases.claim("w", 4)) == expected
        assert leases.claim("w", 3) == [], "nothing joins a suspect"
        leases.bury("w", "killed by signal 11")
    a = queue.get(ids["a"])
    assert (a.state, a.error) == ("failed", "killed by signal 11, 3 times on this job")
    leases.enlist("w", "cpu")
    assert names(leases.claim("w", 4)) == "b"
    assert queue.retry(ids["a"]).deaths == 0


def test_a_step_that_was_kept_clears_the_blame(queue: Queue, leases: Leases) -> None:
    a = submit(queue, "a")["a"]
    for step in range(1, 6):
        assert names(leases.claim("w", 1)) == "a"
        leases.keep("w", a, step)
        leases.bury("w")
        leases.enlist("w", "cpu")
    assert queue.get(a).deaths == 1


def test_wishes_are_granted_though_the_worker_died(queue: Queue, leases: Leases) -> None:
    ids = submit(queue, "abc")
    leases.claim("w", 3)
    queue.cancel(ids["a"])
    queue.pause(ids["b"])
    queue.skip(ids["c"])
    leases.bury("w")
    assert [queue.get(ids[name]).state for name in "abc"] == ["cancelled", "paused", "cancelled"]
    assert queue.get(ids["a"]).finished == 1000.0


def test_a_worker_that_ends_in_order_leaves_no_blame(queue: Queue, leases: Leases) -> None:
    ids = submit(queue, "ab")
    leases.claim("w", 1)
    leases.drain("w")
    assert leases.claim("w", 1) == []
    leases.stop("w", ids["a"], "queued")
    assert leases.retire("w") == []
    a = queue.get(ids["a"])
    assert (a.state, a.deaths) == ("queued", 0)
    leases.enlist("w", "cpu")
    leases.claim("w", 2)
    assert len(leases.retire("w")) == 2
    assert queue.get(ids["a"]).deaths == 0


def test_a_file_has_one_name_for_ever(queue: Queue, leases: Leases) -> None:
    ids = submit(queue, "ab")
    leases.claim("w", 2)

    def first_free(taken: object) -> str:
        assert callable(taken)
        return next(name for name in ("1.png", "2.png") if not taken(name))

    assert leases.name_file("w", ids["a"], first_free) == "1.png"
    assert leases.name_file("w", ids["b"], first_free) == "2.png"
    leases.bury("w")
    leases.enlist("w", "cpu")
    leases.claim("w", 1)
    assert leases.name_file("w", ids["a"], lambda taken: "other.png") == "1.png"
