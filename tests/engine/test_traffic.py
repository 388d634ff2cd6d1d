"""Weights are moved while nobody works with them."""

import threading
from collections.abc import Callable

import torch

from fromnoise.engine.behind import Behind
from fromnoise.engine.memory import WAITING, Placement
from fromnoise.engine.residence import Residence
from fromnoise.engine.traffic import Traffic
from tests.engine.models import tiny_model

PATIENCE = 60  # seconds, if something is wrong


class Aside:
    """A function in a thread."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def ends(self) -> None:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def waits(traffic: Traffic) -> None:
    """Until somebody waits to move."""
    with traffic.changed:
        assert traffic.changed.wait_for(lambda: bool(traffic.movers), PATIENCE)


def test_who_moves_waits_for_who_works_and_holds_up_who_comes_later() -> None:
    traffic, notes = Traffic(), []

    def moving() -> None:
        with traffic.move():
            notes.append("moved")

    def working() -> None:
        with traffic.work():
            notes.append("worked")

    with traffic.work():
        mover = Aside(moving)
        waits(traffic)
        later = Aside(working)
        with traffic.work():  # who works already goes on
            notes.append("went on")
    mover.ends(), later.ends()
    assert notes == ["went on", "moved", "worked"]


def test_several_work_at_once() -> None:
    traffic, met = Traffic(), threading.Barrier(2, timeout=PATIENCE)

    def working() -> None:
        with traffic.work():
            met.wait()

    other = Aside(working)
    working()
    other.ends()
    with traffic.move(), traffic.move(), traffic.work():
        assert traffic.movers
    assert not traffic.movers
    assert not traffic.working


def test_weights_stay_while_a_picture_is_decoded() -> None:
    model = tiny_model()
    residence = Residence(model.unet, model.text, model.vae, Placement(torch.device("cpu"), torch.bfloat16))
    residence.settle(residence.plan)
    with residence.decoding():
        mover = Aside(lambda: residence.bring(WAITING))
        waits(residence.traffic)
        assert {parameter.dtype for parameter in model.vae.parameters()} == {torch.bfloat16}
    mover.ends()
    assert {parameter.dtype for parameter in model.vae.parameters()} == {torch.float32}, "as in its file"


class Stream:
    def __init__(self, notes: list[str], name: str) -> None:
        self.notes, self.name = notes, name

    def record_event(self) -> str:
        return f"what {self.name} was given"

    def wait_event(self, event: str) -> None:
        self.notes.append(f"{self.name} waits for {event}")

    def __enter__(self) -> None:
        self.notes.append(f"on {self.name}")

    def __exit__(self, *_: object) -> None:
        self.notes.append("done")


class Streams:
    """As torch.cuda has them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def Stream(self, device: torch.device) -> Stream:
        return Stream(self.notes, "aside")

    def current_stream(self, device: torch.device) -> Stream:
        return Stream(self.notes, "current")

    def stream(self, stream: Stream) -> Stream:
        return stream


def test_what_is_done_aside_waits_for_what_was_given_before() -> None:
    streams = Streams()
    with Behind[None](torch.device("cuda"), streams) as behind:
        behind.add(lambda: streams.notes.append("decode"), aside=True)
        list(behind.rest())
    assert streams.notes == ["on aside", "aside waits for what current was given", "decode", "done"]
