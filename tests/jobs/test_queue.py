"""Work is accepted once, waits in a fair line, and its owner may change their mind."""

import threading
from dataclasses import replace

import pytest

from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, KeyReused, Limits, NotNow, QueueFull, Result, UnknownJob, Work, new_id
from fromnoise.jobs.leases import Leases, Update
from fromnoise.jobs.queue import Queue

from .conftest import Clock


def work(name: str = "x", owner: str = "ann", **more: object) -> Work:
    return replace(Work("test", {"name": name}, owner), **more)  # type: ignore[arg-type]


def submit(queue: Queue, *names: str, owner: str = "ann", **more: object) -> list[Job]:
    return queue.submit([work(name, owner, **more) for name in names])


def taken(leases: Leases, count: int = 100) -> list[str]:
    """The names of the next jobs, done one after the other."""
    names = []
    for _ in range(count):
        jobs = leases.claim("w", 1)
        if not jobs:
            break
        names.append(str(jobs[0].work.body["name"]))
        leases.finish("w", jobs[0].id, [])
    return names


def events(queue: Queue, job: str) -> list[str]:
    return [event.kind for event in queue.events(job=job)]


def test_what_is_accepted_is_stored(queue: Queue, database: Database, clock: Clock) -> None:
    recipe = Recipe(prompt="一个红苹果", width=256, height=128, steps=10, sampler="euler")
    (job,) = queue.submit([Work.picture(recipe, owner="ann", group="g", folder="ann")])
    again = Queue(Database.open(database.engine.url.render_as_string(hide_password=False))).get(job.id)
    assert again == job
    assert Recipe.from_table(again.work.body) == recipe
    assert (again.state, again.created, again.work.cost) == ("queued", 1000.0, 0.0625)
    assert again.work.affinity == "builtin\n"
    assert events(queue, job.id) == ["queued"]
    assert queue.counts()["queued"] == 1


def test_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(5)]
    assert len(set(ids)) == 5
    assert [len(id_) for id_ in ids] == [28] * 5
    assert [id_[:12] for id_ in ids] == sorted(id_[:12] for id_ in ids)


def test_all_or_none(queue: Queue) -> None:
    with pytest.raises(UserError, match="can't be stored"):
        queue.submit([work("good"), Work("test", {"bad": float("nan")})])
    assert queue.jobs() == []


@pytest.mark.parametrize("body", [{"x": object()}, {"x": "a\0b"}, {"x": float("inf")}, {"x": "y" * (1 << 20)}])
def test_what_cannot_be_stored(queue: Queue, body: dict[str, object]) -> None:
    with pytest.raises(UserError):
        queue.submit([Work("test", body)])
    assert queue.jobs() == []


def test_a_key_is_one_job(queue: Queue) -> None:
    (first,) = submit(queue, "a", key="k")
    assert submit(queue, "a", key="k") == [first]
    assert submit(queue, "a", owner="bob", key="k") != [first]
    with pytest.raises(KeyReused):
        submit(queue, "b", key="k")
    assert len(queue.jobs()) == 2
    mixed = queue.submit([work("new", key="k2"), work("a", key="k")])
    assert mixed[1] == first
    assert len(queue.jobs(owner="ann")) == 2


def test_a_key_asked_for_by_many_at_once_is_one_job(database: Database) -> None:
    got: list[str] = []
    url = database.engine.url.render_as_string(hide_password=False)

    def ask() -> None:
        got.append(submit(Queue(Database.open(url)), "a", key="k")[0].id)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1


def test_too_much_is_refused_with_a_time(queue: Queue, leases: Leases, clock: Clock) -> None:
    submit(queue, *"abcdefghij")
    with pytest.raises(QueueFull) as caught:
        submit(queue, "k")
    assert (caught.value.of_owner, caught.value.retry_after) == (True, 5)
    submit(queue, *"abcdefghij", owner="bob")
    with pytest.raises(QueueFull) as caught:
        submit(queue, "k", owner="cid")
    assert not caught.value.of_owner
    for _ in range(4):
        clock.now += 30
        taken(leases, 1)
    with pytest.raises(QueueFull) as caught:
        submit(queue, *"abcdefg", owner="cid")
    assert caught.value.retry_after == 90
    assert len(submit(queue, *"abcd", owner="cid")) == 4


def test_owners_take_turns(queue: Queue, leases: Leases) -> None:
    submit(queue, *"123456")
    assert taken(leases, 2) == ["1", "2"]
    submit(queue, *"xyz", owner="bob")
    assert taken(leases) == ["x", "3", "y", "4", "z", "5", "6"]


def test_costs_count(queue: Queue, leases: Leases) -> None:
    submit(queue, *"1234", cost=1.0)
    submit(queue, *"XY", owner="bob", cost=3.0)
    assert taken(leases) == ["1", "X", "2", "3", "4", "Y"]


def test_who_asks_one_by_one_overtakes_nobody(queue: Queue, leases: Leases) -> None:
    submit(queue, *"123", owner="bob")
    order = []
    for name in "xyz":
        submit(queue, name)
        order += taken(leases, 2)
    assert order == ["1", "x", "2", "y", "3", "z"]


def test_cancelled_jobs_cost_no_turns(queue: Queue, leases: Leases) -> None:
    for job in submit(queue, *"123456789"):
        queue.cancel(job.id)
    submit(queue, "A")
    submit(queue, *"xy", owner="bob")
    assert taken(leases) == ["A", "x", "y"]


def test_priority_comes_before_fairness(queue: Queue, leases: Leases) -> None:
    submit(queue, *"12")
    submit(queue, "now", owner="bob", priority=1)
    (late,) = submit(queue, "late", priority=-1)
    assert [job.work.body["name"] for job in queue.line()] == ["now", "1", "2", "late"]
    assert [job.work.body["name"] for job in queue.line(limit=2)] == ["now", "1"]
    queue.prioritise(late.id, 5)
    assert taken(leases) == ["late", "now", "1", "2"]


def test_places(queue: Queue, leases: Leases, clock: Clock) -> None:
    first, second, third = submit(queue, *"123")
    assert [queue.place(job.id).ahead for job in (first, second, third)] == [0, 1, 2]
    assert queue.place(third.id).wait is None
    taken(leases, 1)
    clock.now += 4
    taken(leases, 1)
    assert queue.place(third.id) == replace(queue.place(third.id), ahead=0, wait=4.0)
    with pytest.raises(NotNow):
        queue.place(first.id)


def test_moving(queue: Queue, leases: Leases) -> None:
    a, b, _, d = submit(queue, *"abcd")
    submit(queue, "x", owner="bob")
    queue.move(d.id, before=a.id, owner="ann")
    queue.move(a.id, before=None)
    queue.move(b.id, before=b.id)
    assert taken(leases) == ["d", "x", "b", "c", "a"]
    with pytest.raises(NotNow):
        queue.move(a.id, before=None)
    assert events(queue, d.id)[:2] == ["queued", "moved"]


def test_one_cannot_move_before_others(queue: Queue) -> None:
    (a,), (x,) = submit(queue, "a"), submit(queue, "x", owner="bob")
    with pytest.raises(NotNow):
        queue.move(a.id, before=x.id)
    (high,) = submit(queue, "h", priority=1)
    with pytest.raises(NotNow):
        queue.move(a.id, before=high.id)


def test_cancelling_what_waits(queue: Queue, leases: Leases) -> None:
    a, _ = submit(queue, *"ab")
    assert queue.cancel(a.id).state == "cancelled"
    assert taken(leases) == ["b"]
    with pytest.raises(NotNow, match="cancelled already"):
        queue.cancel(a.id)
    assert events(queue, a.id) == ["queued", "cancelled"]


def test_wishes_reach_the_worker(queue: Queue, leases: Leases) -> None:
    jobs = submit(queue, *"abc", affinity="m")
    assert len(leases.claim("w", 3)) == 3
    for job, wish in zip(jobs, ("cancel", "skip", "pause"), strict=True):
        assert getattr(queue, wish)(job.id).wish == wish
    assert leases.beat("w") == dict(zip([job.id for job in jobs], ("cancel", "skip", "pause"), strict=True))
    assert queue.resume(jobs[2].id).wish is None
    leases.stop("w", jobs[0].id, "cancelled")
    leases.finish("w", jobs[1].id, [])
    queue.pause(jobs[2].id)
    leases.stop("w", jobs[2].id, "paused")
    assert [queue.get(job.id).state for job in jobs] == ["cancelled", "done", "paused"]
    assert [queue.get(job.id).wish for job in jobs] == [None] * 3


def test_pausing_and_resuming(queue: Queue, leases: Leases) -> None:
    a, _ = submit(queue, *"ab")
    assert queue.pause(a.id).state == "paused"
    assert queue.pause(a.id).state == "paused"
    assert taken(leases, 1) == ["b"]
    submit(queue, "c")
    assert queue.resume(a.id).state == "queued"
    assert taken(leases) == ["a", "c"], "it kept its place"
    with pytest.raises(NotNow):
        queue.resume(a.id)


def test_trying_again(queue: Queue, leases: Leases) -> None:
    (a,) = submit(queue, "a")
    leases.claim("w", 1)
    leases.fail("w", a.id, "no such model")
    failed = queue.get(a.id)
    assert (failed.state, failed.error) == ("failed", "no such model")
    with pytest.raises(NotNow):
        queue.resume(a.id)
    again = queue.retry(a.id)
    assert (again.state, again.error, again.finished) == ("queued", None, None)
    with pytest.raises(NotNow):
        queue.retry(a.id)
    assert taken(leases) == ["a"]
    with pytest.raises(NotNow):
        queue.retry(a.id)


def test_a_held_queue_gives_nothing(queue: Queue, leases: Leases) -> None:
    submit(queue, "a")
    queue.hold()
    assert queue.is_held()
    assert taken(leases) == []
    queue.hold(False)
    assert taken(leases) == ["a"]


def test_somebody_elses_job_is_none(queue: Queue, leases: Leases) -> None:
    (a,) = submit(queue, "a")
    for name in ("get", "cancel", "skip", "pause", "resume", "retry", "results", "preview", "place", "remove"):
        with pytest.raises(UnknownJob):
            getattr(queue, name)(a.id, "bob")
        with pytest.raises(UnknownJob):
            getattr(queue, name)("nothing\0")
    with pytest.raises(UnknownJob):
        queue.move(a.id, None, "bob")
    assert queue.get(a.id, "ann").state == "queued"


def test_pages(queue: Queue) -> None:
    ids = [submit(queue, name, group=name)[0].id for name in "abcde"]
    submit(queue, "x", owner="bob")
    page = queue.jobs(owner="ann", limit=2)
    assert len(page) == 2
    rest = queue.jobs(owner="ann", before=page[-1].id)
    assert sorted(job.id for job in page + rest) == sorted(ids)
    assert [job.work.body["name"] for job in queue.jobs(group="c")] == ["c"]
    assert queue.jobs(states=["done"]) == []
    assert queue.jobs(kind="picture") == []


def test_events_are_numbered_for_all(queue: Queue, leases: Leases) -> None:
    (a,), (x,) = submit(queue, "a"), submit(queue, "x", owner="bob")
    seen = queue.last_event()
    leases.claim("w", 1)
    leases.report(
        "w",
        [
            Update(a.id, 1, 2, b"jpeg"),
        ],
    )
    leases.report("w", [Update(a.id, 2, 2)])
    assert queue.preview(a.id) == (1, b"jpeg")
    leases.finish("w", a.id, [Result("a.png", "0" * 64, data={"width": 8})])
    found = queue.events(after=seen)
    assert [event.kind for event in found] == ["started", "step", "step", "done"]
    assert [event.number for event in found] == sorted({event.number for event in found})
    assert found[1].data == {"step": 1, "steps": 2, "preview": True}
    assert [event.job for event in queue.events(owner="bob")] == [x.id]
    assert queue.events(after=found[-1].number) == []
    assert queue.results(a.id) == [Result("a.png", "0" * 64, "image/png", {"width": 8})]
    assert (queue.get(a.id).step, queue.get(a.id).progress) == (2, 1.0)


def test_forgetting(queue: Queue, leases: Leases, clock: Clock) -> None:
    (a,), (b,) = submit(queue, "a"), submit(queue, "b")
    leases.claim("w", 1)
    leases.report("w", [Update(a.id, 1, 1, b"x")])
    leases.finish("w", a.id, [Result("a.png")])
    with pytest.raises(NotNow):
        queue.remove(b.id)
    clock.now += 100
    assert queue.prune(jobs_before=0, steps_before=clock.now) == 0
    assert events(queue, a.id) == ["queued", "started", "done"]
    assert queue.preview(a.id) is None
    last = queue.last_event()
    assert queue.prune(jobs_before=clock.now, steps_before=clock.now) == 1
    assert [job.id for job in queue.jobs()] == [b.id]
    queue.cancel(b.id)
    queue.remove(b.id)
    assert queue.jobs() == []
    submit(queue, "c")
    assert queue.last_event() > last, "numbers are never used again"


def test_limits_have_defaults(database: Database) -> None:
    assert Queue(database).limits == Limits()
