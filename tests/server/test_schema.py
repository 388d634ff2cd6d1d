"""What a machine makes up from the schema: every operation is called with values that fit it and values that don't."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from fromnoise.errors import FileError
from fromnoise.jobs.clerk import Clerk
from fromnoise.jobs.queue import Queue
from fromnoise.server.app import create_app, with_routes
from fromnoise.server.limits import Limiter, Rate
from fromnoise.server.patience import LONGEST_HEAD, configured
from fromnoise.settings import Settings

from .conftest import server_in, worker_of
from .listening import listening

ENDLESS = "/api/v1/events"  # a stream that lasts as long as somebody listens: test_events.py
THEIRS = "/sdapi/v1/options"  # AUTOMATIC1111 answers 500 to names that it does not know, and so do we, with its words
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
FITS, FITS_NOT = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
EACH = 14  # calls that fit an operation, and as many that don't
PATIENCE = 60.0  # seconds for an answer


class Illiterate(Clerk):
    """A clerk who can't read anything; the real one is tested elsewhere."""

    def ask(self, task: str, body: Any) -> dict[str, Any]:
        raise FileError("that file could not be read")


@dataclass
class Caller:
    """Calls a server that listens, and keeps count."""

    address: str
    queue: Queue
    calls: Counter[int] = field(default_factory=Counter)  # by status
    wrong: list[str] = field(default_factory=list)

    def ask(self, operation: APIOperation, mode: GenerationMode, count: int) -> None:
        """Call an operation so many times, with values of which no two are the same."""

        @hypothesis.settings(
            max_examples=count, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def call(case: Case) -> None:
            try:
                response = case.call(base_url=self.address, timeout=PATIENCE)
            except requests.ConnectionError as error:
                if error.request is None or len(str(error.request.url)) <= LONGEST_HEAD:
                    raise
                return  # an address so long is refused while it comes
            self.calls[response.status_code] += 1
            if response.status_code == 400 and len(str(response.request.url)) > LONGEST_HEAD:
                return  # an address so long is refused before anything looks at what it names
            meant = operation.path == THEIRS and b"something went wrong" not in response.content
            try:
                assert response.status_code < 500 or meant, response.text[:1000]
                case.validate_response(response, checks=CHECKS)
            except (Exception, BaseExceptionGroup) as error:  # it has many kinds of failures
                self.wrong.append(f"{operation.method} {operation.path}: {response.status_code} {error}")

        with suppress(Unsatisfiable):  # nothing can be wrong about a call without values
            call()
        self.queue.hold(False)  # lest nothing is made any more


@pytest.fixture
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("schema")
    with server_in(folder) as served, worker_of(served):
        often, here = Rate(10**6, 1.0), Settings(models=(folder / "models",), any_path=False)
        context = replace(
            served.context, settings=here, submissions=Limiter(often), sendings=Limiter(often), clerk=Illiterate()
        )
        with listening(configured(create_app(context), "127.0.0.1", 0, grace=1)) as port:
            yield Caller(f"http://127.0.0.1:{port}", context.queue)


def operations() -> list[APIOperation]:
    schema = schemathesis.openapi.from_dict(with_routes().openapi())
    return [found.ok() for found in schema.get_all_operations() if found.ok().path != ENDLESS]


def test_every_operation_keeps_what_its_schema_says(caller: Caller) -> None:
    for number, operation in enumerate(operations()):
        caller.ask(operation, (FITS, FITS_NOT)[number % 2], 2)
    assert caller.wrong == []
    assert caller.calls.total() > 120


@pytest.mark.slow
def test_two_thousand_calls_that_a_machine_makes_up(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    for operation in operations():
        caller.ask(operation, FITS, EACH)
        caller.ask(operation, FITS_NOT, EACH)
    with capsys.disabled():
        print(
            f"{caller.calls.total()} calls, by status {dict(sorted(caller.calls.items()))}, {len(caller.wrong)} wrong"
        )
    assert caller.wrong == []
    assert caller.calls.total() >= 2000
