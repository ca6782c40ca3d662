from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_ANNOTATIONS = {"title", "description", "default", "example", "examples"}
_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, wanted: (
        isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    ),
    "required": lambda value, wanted: all(name in value for name in wanted),
    "minLength": lambda value, wanted: len(value) >= wanted,
    "maxLength": lambda value, wanted: len(value) <= wanted,
    "maxItems": lambda value, wanted: len(value) <= wanted,
    "maxProperties": lambda value, wanted: len(value) <= wanted,
    "uniqueItems": lambda value, wanted: not wanted or all(item not in value[:at] for at, item in enumerate(value)),
    "enum": lambda value, wanted: value in wanted,
    "format": lambda value, wanted: wanted == "email" and value.count("@") == 1,
}


def violations(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], at: str = "$") -> list[str]:
    """Check a JSON value against the part of JSON Schema that the API documents use.

    Stricter in one point: where a schema lists properties, others are violations. Raises on keywords it does not
    know, so that it never passes what it has not understood.
    """
    if "$ref" in schema:
        return violations(value, _resolve(schema["$ref"], document), document, at)
    found: list[str] = []
    nested: list[tuple[Any, Mapping[str, Any], str]] = []
    for keyword, wanted in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword == "items":
            nested += [(item, wanted, f"{at}[{index}]") for index, item in enumerate(value)]
        elif keyword == "additionalProperties":
            nested += [(item, wanted, f"{at}.{name}") for name, item in value.items()]
        elif keyword == "properties":
            found += [f"{at}.{name}: unknown" for name in value if name not in wanted]
            nested += [(value[name], wanted[name], f"{at}.{name}") for name in value if name in wanted]
        elif not _RULES[keyword](value, wanted):
            found.append(f"{at}: {keyword} {wanted!r}")
    for item, inner, where in nested:
        found += violations(item, inner, document, where)
    return found


def _resolve(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved
