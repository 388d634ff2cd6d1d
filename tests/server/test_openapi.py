"""The schema that clients' types are made from."""

import re
from typing import Any

import pytest

from fromnoise.server.openapi import native_schema, schema

METHODS = ("get", "post", "put", "delete")


@pytest.fixture(scope="module")
def native() -> dict[str, Any]:
    return native_schema()


def operations(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, item[method]) for path, item in found["paths"].items() for method in METHODS if method in item]


def test_operations_have_names_that_read_well(native: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(native)]
    assert len(names) == len(set(names))
    assert {"submitJobs", "listPictures", "getCatalogue", "followEvents", "countPromptTokens"} <= set(names)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name) for name in names)


def test_every_answer_in_json_has_a_type_and_errors_are_described(native: dict[str, Any]) -> None:
    for path, operation in operations(native):
        for status, answer in operation["responses"].items():
            for media, content in answer.get("content", {}).items():
                assert media != "application/json" or content["schema"], (path, status)
        assert {"401", "403", "404", "422"} <= set(operation["responses"]), path
        assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")


def test_names_of_types_are_plain() -> None:
    assert [name for name in schema()["components"]["schemas"] if "__" in name or name.endswith("-Input")] == []
