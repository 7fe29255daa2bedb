"""The document against the tables that it is made of, and its examples against its schemas."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from bridge import errors
from bridge.web.handlers.routes import ROUTES
from bridge.web.openapi.document import document
from bridge.web.wire.problems import ROWS
from tests.support.described import DOCUMENT, resolved, validator
from tests.support.events import generic_event, order_event, user_event

#: These end the process before it serves.
NEVER_ANSWERED = {errors.ConfigError, errors.StartupError}
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method.upper()} {path}", item[method]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def contents(node: Any) -> Iterator[dict[str, Any]]:
    """Every media type that has examples."""
    if isinstance(node, dict):
        if "schema" in node and "examples" in node:
            yield node
        for each in node.values():
            yield from contents(each)
    elif isinstance(node, list):
        for each in node:
            yield from contents(each)


def test_every_route_and_method_is_told_and_nothing_more() -> None:
    assert sorted(name for name, _ in operations()) == sorted(f"{each.method} {each.path}" for each in ROUTES)


def test_operations_have_names_of_their_own_and_chapters_that_are_told() -> None:
    told = [operation for _, operation in operations()]
    assert len({each["operationId"] for each in told}) == len(told)
    assert {tag for each in told for tag in each["tags"]} == {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(each["summary"] and each["description"] for each in told)


@pytest.mark.parametrize("error", sorted(set(ROWS) - NEVER_ANSWERED, key=str))
def test_every_problem_is_told_with_its_status_its_code_and_an_example(
    error: type[errors.BridgeError],
) -> None:
    row = ROWS[error]
    response = DOCUMENT["components"]["responses"][f"Problem{row.status}"]
    example = response["content"]["application/problem+json"]["examples"][error.__name__]["value"]
    assert (example["status"], example["error"], example["type"]) == (row.status, error.code, row.type)
    assert f"`{error.code}`" in response["description"]


def test_no_code_is_told_that_nobody_answers() -> None:
    enum = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["error"]["enum"]
    assert set(enum) == {error.code for error in set(ROWS) - NEVER_ANSWERED}


def test_every_place_of_a_path_is_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        named = [resolved(each) for each in item.get("parameters", [])]
        assert [each["name"] for each in named] == re.findall(r"\{(\w+)\}", path)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    assert all(resolved({"$ref": each}) for each in found)


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_every_example_is_valid_and_every_body_of_json_has_one() -> None:
    checked = 0
    for content in contents(DOCUMENT["paths"] | DOCUMENT["components"]["responses"]):
        if content["schema"].get("description", "").startswith("One event;"):
            # An example shows how several are written.
            continue
        for name, example in content["examples"].items():
            fault = next(validator(content["schema"]).iter_errors(example["value"]), None)
            assert fault is None, f"{name}: {fault}"
            checked += 1
    assert checked > 90
    for name, operation in operations():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or body["examples"], name


@pytest.mark.parametrize("event", [user_event(), order_event(), generic_event([1.5, None])])
def test_an_event_that_is_taken_is_valid(event: dict[str, Any]) -> None:
    assert validator({"$ref": "#/components/schemas/MessageBody"}).is_valid({"event": event})


def test_an_event_that_is_refused_is_invalid() -> None:
    body = validator({"$ref": "#/components/schemas/MessageBody"})
    nil = "00000000-0000-0000-0000-000000000000"
    for broken in (
        {"id": nil},
        {"event_type": ""},
        {"timestamp": "yesterday"},
        {"payload": {"type": "Other"}},
    ):
        assert not body.is_valid({"event": generic_event(1) | broken}), broken
    assert not body.is_valid({"event": generic_event(1), "key": "a"})


def test_words_for_readers_of_the_code_are_left_out() -> None:
    told = [schema.get("description", "") for schema in DOCUMENT["components"]["schemas"].values()]
    assert not [text for text in told if "Attributes:" in text or "\n" in text]


def test_the_document_is_the_same_however_often_it_is_made() -> None:
    assert json.loads(json.dumps(document(ROUTES))) == DOCUMENT
