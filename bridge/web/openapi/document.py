"""The OpenAPI document (pure): made of the table of routes, the structs that decode, and the table of errors."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import bridge
from bridge import errors
from bridge.errors import BridgeError, Outcome, RateLimited
from bridge.policy.access import Scope
from bridge.web.handlers.access import Access, Route
from bridge.web.handlers.path_params import PATH_SCHEMAS
from bridge.web.openapi.headers import ANSWER_HEADERS, EVERY_ANSWER, EVERY_REQUEST, OF_STATUS, REQUEST_HEADERS
from bridge.web.openapi.operation import BODY_ERRORS, ApiOperation, Content, Reply
from bridge.web.openapi.schemas import Schemas, first_paragraph, parameters_of
from bridge.web.wire.problems import CONTENT_TYPE, ROWS, Problem, problem_object

_SCHEMES: Final = ("Key", "Bearer", "KeyInQuery")
_PLACE: Final = re.compile(r"\{(\w+)\}")
# These end the process before it serves.
_NEVER_ANSWERED: Final = frozenset({errors.ConfigError, errors.StartupError})
# Of the request's head, the rules that it passes, and a log that fails: any operation can end with these.
_ANYWHERE: Final[tuple[type[BridgeError], ...]] = (
    errors.BadRequest,
    errors.Forbidden,
    errors.TargetTooLong,
    errors.MisdirectedRequest,
    errors.RateLimited,
    errors.HeaderTooLarge,
    errors.InternalError,
    errors.Overloaded,
    errors.DeadlineExceeded,
    errors.HttpVersionNotSupported,
)
_DESCRIPTION: Final = """\
An HTTP front door to a message log: Apache Iggy, or an embedded durable log.

Errors are `application/problem+json` with a stable code in `error`. `retryable` says whether the same request may succeed
later; after a write that failed `outcome` says whether it is `not_written` or `unknown`. A parameter or field that is not
known is a 400. Integers are written without a fraction or an exponent. What is no request in HTTP/1.1, or too long, is answered with 400, 408, 414, 431 or 505, and a method that
a path does not have with 405. What `GET` reads, `HEAD` answers without a body.

Where API_KEY, KEYS_FILE or JWT_ISSUER is set, every operation takes a key or token, but for the paths in AUTH_BYPASS_PATHS;
where none is, none does. Words in capitals are settings. The word beside a scheme in `security` is the scope that a restricted caller needs: 403 `insufficient_scope`
names the one that is missing. What such a caller may not see is a 404, as if it were not there.
"""
_TAGS: Final[Mapping[str, str]] = {
    "Messages": "In and out. The routes without a topic are of the default one.",
    "Groups": "Consumers that share the work: leases, acks, redelivery, dead letters.",
    "Topics": "Partitions, retention, durability.",
    "Streams": "Topics together.",
    "Stored offsets": "How far consumers came. A consumer is a name, or digits for its id.",
    "Service": "Probes, figures, the WebSocket.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of *routes*, as JSON values."""
    schemas = Schemas(_types(route.operation for route in routes))
    paths: dict[str, Any] = {}
    for route in routes:
        path = paths.setdefault(route.path, {})
        if not path and (places := _PLACE.findall(route.path)):
            path["parameters"] = [{"$ref": f"#/components/parameters/{place}"} for place in places]
        path[route.method.lower()] = _operation(route.operation, route.access, schemas)
    schemas.components["Problem"]["properties"]["error"]["enum"] = sorted({e.code for e in _answered()})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bridge",
            "version": bridge.__version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document is served"}],
        "security": _security(),
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "parameters": dict(_parameters()),
            "headers": dict(ANSWER_HEADERS),
            "responses": {f"Problem{status}": _problem(status) for status in _statuses(_answered())},
            "securitySchemes": {
                "Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key, by RFC 6750."},
                "KeyInQuery": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "api_key",
                    "description": "For browsers that cannot set headers; it ends up in the logs of proxies.",
                },
            },
        },
    }


def _types(operations: Iterable[ApiOperation]) -> Iterator[Any]:
    for operation in operations:
        for reply in operation.replies.values():
            for content in reply.contents:
                yield from content.types
        for content in operation.bodies:
            yield from content.types


def _parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for place, schema in PATH_SCHEMAS.items():
        yield place, {"name": place, "in": "path", "required": True, "schema": dict(schema)}
    yield from REQUEST_HEADERS.items()


def _operation(operation: ApiOperation, access: Access, schemas: Schemas) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(filter(None, (operation.description, access.needs))),
        "parameters": [
            *parameters_of(operation.queries),
            *({"$ref": f"#/components/parameters/{name}"} for name in (*EVERY_REQUEST, *operation.headers)),
        ],
        "responses": _responses(operation, schemas),
    }
    if operation.bodies:
        shown["requestBody"] = {
            "required": operation.body_required,
            "content": _contents(operation.bodies, schemas),
        }
    if not operation.needs_key:
        shown["security"] = []
    elif access.scope is not None:
        # What stands beside a scheme that is not OAuth's is a name of what the caller must be allowed (OpenAPI 3.1,
        # Security Requirement Object).
        shown["security"] = _security(access.scope)
    return shown


def _security(*scopes: str) -> list[dict[str, list[str]]]:
    return [{scheme: list(scopes)} for scheme in _SCHEMES]


def _responses(operation: ApiOperation, schemas: Schemas) -> dict[str, Any]:
    failing = {*_ANYWHERE, *operation.errors}
    if operation.bodies:
        failing.update(BODY_ERRORS)
    if operation.needs_key:
        failing.add(errors.Unauthorized)
    found = {status: {"$ref": f"#/components/responses/Problem{status}"} for status in _statuses(failing)}
    for status, reply in operation.replies.items():
        shown = _reply(reply, schemas)
        if status in found:
            # The same status with two bodies: what the operation says, or that it was not asked at all.
            shown["content"] |= _problem(status)["content"]
        found[status] = shown
    return {str(status): found[status] for status in sorted(found)}


def _reply(reply: Reply, schemas: Schemas) -> dict[str, Any]:
    return {
        "description": reply.description,
        "headers": _headers(reply.headers),
        **({"content": _contents(reply.contents, schemas)} if reply.contents else {}),
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {
        name.partition(".")[0]: {"$ref": f"#/components/headers/{name}"} for name in (*EVERY_ANSWER, *names)
    }


def _contents(contents: Iterable[Content], schemas: Schemas) -> dict[str, Any]:
    return {content.media_type: _content(content, schemas) for content in contents}


def _content(content: Content, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of(content.types) if content.types else content.schema or _text(content)
    examples = {name: {"value": value} for name, value in content.examples.items()}
    return {"schema": schema, **({"examples": examples} if examples else {})}


def _text(content: Content) -> dict[str, Any]:
    least = {"minLength": content.bytes_min} if content.bytes_min else {}
    binary = {"format": "binary"} if content.media_type == "application/octet-stream" else {}
    return {"type": "string", **binary, "description": content.text, **least}


def _answered() -> Iterator[type[BridgeError]]:
    yield from (error for error in ROWS if error not in _NEVER_ANSWERED)


def _statuses(kinds: Iterable[type[BridgeError]]) -> list[int]:
    return sorted({ROWS[kind].status for kind in kinds})


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind in _answered() if ROWS[kind].status == status]
    told = [f"`{kind.code}`: {first_paragraph(kind.__doc__ or '')}" for kind in kinds]
    return {
        "description": f"{HTTPStatus(status).phrase}. {' '.join(told)}",
        "headers": _headers(OF_STATUS.get(status, ())),
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
                "examples": {kind.__name__: {"value": _example(kind)} for kind in kinds},
            }
        },
    }


def _example(kind: type[BridgeError]) -> dict[str, object]:
    wait_ms = 1000
    if issubclass(kind, RateLimited):
        error: BridgeError = kind(retry_after_ms=wait_ms)
    elif issubclass(kind, errors.InsufficientScope):
        error = kind(scope=Scope.PRODUCE)
    elif issubclass(kind, errors.SendError):
        error = kind(outcome=Outcome.UNKNOWN)
    else:
        error = kind()
    return problem_object(
        error,
        request_id="a3c31ee6-61c9-48b9-8e44-701e93edee1f",
        instance="/streams/{stream}/topics/{topic}/messages",
    )
