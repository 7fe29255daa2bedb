"""Structs as JSON Schema (pure): what msgspec says of them, with the words that are for users."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bridge.events import OrderItem
from bridge.web.openapi.live import LiveBye, LiveOpen, LiveProgress
from bridge.web.wire.cursors import CursorLine, GapLine
from bridge.web.wire.problems import Problem

_REF: Final = "#/components/schemas/{name}"
# Named by words and by other schemas alone: lines, events of streams, items that stay as they were written, errors.
_NAMED_ONLY: Final = (CursorLine, GapLine, LiveBye, LiveOpen, LiveProgress, OrderItem, Problem)


class Schemas:
    """The schemas of *types*, each struct once.

    Attributes:
        components: by name.
    """

    __slots__ = ("_by_type", "components")

    def __init__(self, types: Iterable[Any]) -> None:
        distinct = list(dict.fromkeys((*_NAMED_ONLY, *types)))
        roots, components = msgspec.json.schema_components(distinct, ref_template=_REF)
        self._by_type: Mapping[Any, dict[str, Any]] = dict(zip(distinct, roots, strict=True))
        self.components: dict[str, Any] = {name: _shown(components[name]) for name in sorted(components)}

    def of(self, types: Sequence[Any]) -> dict[str, Any]:
        """The schema of what is of one of *types*."""
        if len(types) == 1:
            return self._by_type[types[0]]
        return {"anyOf": [self._by_type[each] for each in types]}


def parameters_of(queries: Iterable[type[msgspec.Struct]]) -> list[dict[str, Any]]:
    """The fields of *queries* as parameters of a query; one of several structs is told as in the first.

    None is required, since requests of another kind go without.
    """
    found: dict[str, dict[str, Any]] = {}
    for query in queries:
        (_,), components = msgspec.json.schema_components((query,), ref_template=_REF)
        for name, field in components[query.__name__]["properties"].items():
            schema = dict(field)
            if "$ref" in schema:
                schema = {**_shown(components[schema["$ref"].rpartition("/")[2]]), **schema}
                del schema["$ref"]
            _told_default(schema)
            described = schema.pop("description", "")
            schema.pop("title", None)
            found.setdefault(
                name,
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    **({"description": described} if described else {}),
                    "schema": schema,
                },
            )
    return list(found.values())


def _told_default(schema: dict[str, Any]) -> None:
    """Tell the default of *schema* in words instead.

    Generated clients would always send it, though a query of another kind takes no such parameter, or ask for it.
    """
    default = schema.pop("default", None)
    if default is not None:
        told = (
            f"Default: `{json.dumps(default)}`" if not isinstance(default, str) else f"Default: `{default}`"
        )
        described = schema.get("description")
        schema["description"] = f"{described}. {told}" if described else told


def first_paragraph(text: str) -> str:
    """What a docstring says to users, on one line; the rest is for readers of the code."""
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def _shown(schema: dict[str, Any]) -> dict[str, Any]:
    if "description" in schema:
        schema["description"] = first_paragraph(schema["description"])
    for field in schema.get("properties", {}).values():
        _told_default(field)
    if "enum" in schema and all(isinstance(each, str) for each in schema["enum"]):
        schema["type"] = "string"
    return schema
