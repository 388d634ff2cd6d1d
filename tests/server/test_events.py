"""Events: every step in order, over both doors, with previews."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from fromnoise.jobs.leases import Update
from fromnoise.jobs.queue import Queue
from fromnoise.server.access import LOCAL
from fromnoise.server.app import create_app
from fromnoise.server.native.events import Stream, sent

from .conftest import HOST, Served
from .test_native import order

ORIGIN = {"origin": HOST, "host": "127.0.0.1:7860"}


def read(stream: Stream, count: int) -> list[dict[str, object]]:
    """The first events of a stream of Server-Sent Events."""
    found: list[dict[str, object]] = []

    async def is_gone() -> bool:
        return len(found) >= count

    async def listen() -> None:
        async for text in sent(stream, is_gone):
            lines = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
            if lines:
                found.append({"event": lines["event"], "id": lines.get("id"), **json.loads(lines["data"])})

    asyncio.run(asyncio.wait_for(listen(), 20))
    return found


def drawn(served: Served) -> list[dict[str, object]]:
    """Two jobs that are taken, advance with previews, and end."""
    jobs = order(served, 2)
    served.leases.claim("w", 2)
    for step in (1, 2):
        served.leases.report("w", [Update(str(job["id"]), step, 2, b"jpeg%d" % step) for job in jobs])
    for job in jobs:
        served.leases.finish("w", str(job["id"]), [])
    return jobs


def test_events_tell_every_step_in_order(served: Served) -> None:
    jobs = drawn(served)
    events = read(Stream(served.context, LOCAL), 10)
    numbers = [int(str(event["id"])) for event in events]
    assert numbers == sorted(numbers)
    for job in jobs:
        kinds = [(event["event"], event.get("step")) for event in events if event["job"] == job["id"]]
        assert kinds == [("queued", None), ("started", None), ("step", 1), ("step", 2), ("done", None)]


def test_remarks_are_told_without_the_machines_folders(served: Served) -> None:
    (job,) = order(served)
    served.leases.claim("w", 1)
    served.leases.remark("w", str(job["id"]), ["/srv/models/ink.pt: it goes slowly", "twice", "twice"])
    served.leases.remark("w", str(job["id"]), ["twice"])
    told = read(Stream(served.context, LOCAL), 3)[-1]
    assert (told["event"], told["remarks"]) == ("remarked", ["ink.pt: it goes slowly", "twice"])
    assert served.client.get(f"/api/v1/jobs/{job['id']}").json()["remarks"] == told["remarks"]


def test_a_stream_goes_on_where_it_broke_off(served: Served) -> None:
    drawn(served)
    first = read(Stream(served.context, LOCAL), 10)
    rest = read(Stream(served.context, LOCAL, after=int(str(first[5]["id"]))), 4)
    assert [event["id"] for event in rest] == [event["id"] for event in first[6:]]


def test_previews_come_once_each_and_have_no_number(served: Served) -> None:
    (job,) = order(served)
    served.leases.claim("w", 1)
    stream = Stream(served.context, LOCAL, previews=True)
    served.leases.report("w", [Update(str(job["id"]), 1, 2, b"one")])
    told = read(stream, 4)
    assert [one["event"] for one in told] == ["queued", "started", "step", "preview"]
    preview = {"event": "preview", "id": None, "job": job["id"], "step": 1, "image": "data:image/jpeg;base64,b25l"}
    assert told[-1] == preview
    served.leases.report("w", [Update(str(job["id"]), 2, 2)])
    served.leases.finish("w", str(job["id"]), [])
    assert [one["event"] for one in read(stream, 2)] == ["step", "done"]


def test_many_listeners_are_told_all_by_one_who_looks(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 of them, some from the start and some from now, each every event of theirs in order."""
    looks: list[int] = []
    events = Queue.events

    def counted(queue: Queue, *given: Any, **named: Any) -> Any:
        looks.append(1)
        return events(queue, *given, **named)

    monkeypatch.setattr(Queue, "events", counted)
    before = drawn(served)
    start = served.context.queue.last_event()
    streams = [Stream(served.context, LOCAL, after=0 if number % 2 else start) for number in range(64)]
    heard: list[list[int]] = [[] for _ in streams]

    async def listen(number: int) -> None:
        async def is_gone() -> bool:
            return len(heard[number]) >= (10 if number % 2 else 0) + 50

        async for told in streams[number].messages(is_gone):
            heard[number] += [] if told is None else [told["number"]]

    async def make() -> None:
        for _ in range(5):
            await asyncio.to_thread(drawn, served)
            await asyncio.sleep(0.05)

    async def all_of_it() -> None:
        await asyncio.wait_for(asyncio.gather(make(), *(listen(number) for number in range(64))), 30)

    asyncio.run(all_of_it())
    assert len(before) == 2
    every = [event.number for event in events(served.context.queue)]
    assert all(numbers == (every if number % 2 else every[10:]) for number, numbers in enumerate(heard))
    assert len(looks) < 64 * 5, "each of them would have looked again and again"


def test_a_socket_tells_the_same(served: Served) -> None:
    jobs = drawn(served)
    with served.client.websocket_connect("/api/v1/ws?after=0", headers=ORIGIN) as socket:
        assert socket.receive_json() == {"event": "here", "number": 0}
        told = [socket.receive_json() for _ in range(12)]
    assert [one["number"] for one in told[:10]] == sorted(one["number"] for one in told[:10])
    assert [one["event"] for one in told[10:]] == ["preview"] * 2
    assert {one["job"] for one in told} == {job["id"] for job in jobs}


def test_strangers_open_no_socket_and_users_see_their_own(served: Served) -> None:
    ann, bob = served.token("ann"), served.token("bob")
    order(served, 1, headers=ann)
    (mine,) = order(served, 1, headers=bob)
    with pytest.raises(WebSocketDisconnect), served.client.websocket_connect("/api/v1/ws", headers=ORIGIN):
        pass
    elsewhere = {**bob, "host": "127.0.0.1:7860", "origin": "https://evil.example"}
    with pytest.raises(WebSocketDisconnect), served.client.websocket_connect("/api/v1/ws", headers=elsewhere):
        pass
    with served.client.websocket_connect("/api/v1/ws?after=0", headers={**ORIGIN, **bob}) as socket:
        assert socket.receive_json()["event"] == "here"
        assert socket.receive_json()["job"] == mine["id"]


def test_nobody_follows_streams_without_end(served: Served) -> None:
    served = replace(served, context=replace(served.context, most_streams=1))
    client = TestClient(create_app(served.context), base_url=HOST, client=("127.0.0.1", 5))
    ann, bob = (served.token(name) | ORIGIN for name in ("ann", "bob"))
    with client.websocket_connect("/api/v1/ws", headers=ann) as first:
        assert first.receive_json()["event"] == "here"
        while served.context.feed.listeners("ann") < 1:
            time.sleep(0.01)
        refused = client.get("/api/v1/events", headers=ann)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/v1/ws", headers=ann):
            pass
        assert closed.value.code == 1013
        with client.websocket_connect("/api/v1/ws", headers=bob) as other:
            assert other.receive_json()["event"] == "here"
    while served.context.feed.listeners("ann"):
        time.sleep(0.01)
    with client.websocket_connect("/api/v1/ws", headers=ann) as again:
        assert again.receive_json()["event"] == "here"
