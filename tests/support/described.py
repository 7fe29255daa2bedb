"""Holds answers to the OpenAPI document: a status, header or body that it does not describe fails the test."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jsonschema_rs
from multidict import CIMultiDict

from bridge.web.handlers.reference import document_json
from bridge.web.handlers.routes import ROUTES

__all__ = ("DOCUMENT", "check_described", "check_event", "resolved", "validator")

DOCUMENT: Final[dict[str, Any]] = json.loads(document_json())
_METHODS: Final = {"HEAD": "get"}
_PROBLEM: Final = "application/problem+json"
#: The router's own word for a path that has no route, or not that method.
_NO_ROUTE: Final = (404, 405)
_PREFLIGHT: Final = 204
_NDJSON: Final = "application/x-ndjson"
_LINES: Final = ("CursorLine", "GapLine", "PlacedMessage")
_EVENTS: Final = {
    "message": "PlacedMessage",
    "open": "LiveOpen",
    "progress": "LiveProgress",
    "gap": "MissingMessages",
    "bye": "LiveBye",
}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """*node*, or what its `$ref` leads to."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/")]
    return resolved(found)


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {**json.loads(schema), "components": DOCUMENT["components"]}, validate_formats=True
    )


def validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Of a schema whose `$ref`s lead into the document."""
    return _validator(json.dumps(schema))


def check_event(name: str, data: Any) -> None:
    """Fail unless the document describes what an event of a stream says; *name* is `message` where it has none."""
    _check(f"the event {name}", _component(_EVENTS[name]), data)


def _component(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _check(what: str, schema: Mapping[str, Any], value: Any) -> None:
    fault = next(validator(schema).iter_errors(value), None)
    assert fault is None, f"{what}: {fault}"


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for route in ROUTES:
        pattern = re.sub(r"\{\w+\}", "[^/]+", route.path)
        if route.method.lower() == _METHODS.get(method, method.lower()) and re.fullmatch(pattern, path):
            found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
            return found
    return None


def check_described(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """
    Fail unless the document describes this answer.

    Args:
        path: as it was sent, without the query.
        body: whole; of a stream that was not read, nothing.
    """
    if method == "OPTIONS" and status == _PREFLIGHT:
        # Browsers ask so before they call; it is no operation.
        return
    operation = _operation(method, path)
    if operation is None:
        assert status >= 400, f"{method} {path} is not in the document, and answers {status}"
        responses = {str(code): DOCUMENT["components"]["responses"][f"Problem{code}"] for code in (status,)}
    else:
        responses = operation["responses"]
        if status in _NO_ROUTE:
            responses = {
                f"{each}": {"$ref": f"#/components/responses/Problem{each}"} for each in _NO_ROUTE
            } | responses
    assert str(status) in responses, f"{method} {path} answers {status}, which the document does not tell"
    response = resolved(responses[str(status)])
    _check_headers(f"{method} {path} {status}", response, CIMultiDict(headers))
    if method != "HEAD" and (body or "content" in response):
        _check_body(f"{method} {path} {status}", response, headers.get("Content-Type", ""), body)


def _check_headers(what: str, response: dict[str, Any], headers: "CIMultiDict[str]") -> None:
    for name, reference in response.get("headers", {}).items():
        header = resolved(reference)
        value = headers.get(name)
        assert value is not None or not header.get("required"), f"{what} lacks {name}"
        if value is not None:
            read: Any = int(value) if header["schema"].get("type") == "integer" else value
            assert validator(header["schema"]).is_valid(read), f"{what}: {name} is not as described"


def _check_body(what: str, response: dict[str, Any], content_type: str, body: bytes) -> None:
    media_type = content_type.partition(";")[0]
    contents = response.get("content", {})
    assert media_type in contents, f"{what} is {media_type!r}, which the document does not tell"
    schema = contents[media_type]["schema"]
    if media_type == _NDJSON:
        for line in body.splitlines():
            _check(what, {"anyOf": [_component(name) for name in _LINES]}, json.loads(line))
    if not media_type.endswith("json") or media_type == _NDJSON:
        return
    _check(what, schema, json.loads(body))
    if media_type == _PROBLEM:
        told = json.loads(body)
        codes = {each["value"]["error"] for each in contents[media_type]["examples"].values()}
        assert told["error"] in codes, f"{what}: the code {told['error']} is not told"
