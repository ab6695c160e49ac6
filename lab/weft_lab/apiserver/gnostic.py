"""Encodes the OpenAPI v2 document in protobuf, the only form that older kubectls read.

Only the messages and fields that our own documents use; field numbers are those of the gnostic
OpenAPI v2 messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def encode(document: Mapping[str, Any]) -> bytes:
    """The Document message."""
    info = document["info"]
    return b"".join(
        (
            _text(1, document["swagger"]),
            _bytes(2, _text(1, info["title"]) + _text(2, info["version"])),
            _bytes(8, _named(2, document["paths"], _path)),
            _bytes(9, _named(1, document["definitions"], _schema)),
        )
    )


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode()) if text else b""


def _named(field: int, found: Mapping[str, Any], write: Any) -> bytes:
    """A map, as the list of its names and values."""
    return b"".join(
        _bytes(field, _text(1, name) + _bytes(2, write(value))) for name, value in found.items()
    )


def _any(value: Any) -> bytes:
    return _text(2, orjson.dumps(value).decode())


def _extensions(field: int, found: Mapping[str, Any]) -> bytes:
    return _named(field, {k: v for k, v in found.items() if k.startswith("x-")}, _any)


_OPERATIONS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_PARAMETERS = 9  # of a whole path


def _path(found: Mapping[str, Any]) -> bytes:
    parts = [
        _bytes(_OPERATIONS[verb], _operation(operation))
        for verb, operation in found.items()
        if verb in _OPERATIONS
    ]
    parts += [_bytes(_PARAMETERS, _parameter(one)) for one in found.get("parameters") or ()]
    return b"".join(parts)


def _operation(found: Mapping[str, Any]) -> bytes:
    media = _texts(6, found.get("produces") or ()) + _texts(7, found.get("consumes") or ())
    parameters = b"".join(_bytes(8, _parameter(one)) for one in found["parameters"])
    responses = _bytes(9, _named(1, found["responses"], _response))
    return media + parameters + responses + _extensions(13, found)


def _parameter(found: Mapping[str, Any]) -> bytes:
    """A parameter, inside the messages that say of which sort it is."""
    place, name = found["in"], found["name"]
    if place == "body":
        body = _text(2, name) + _text(3, place) + _flag(4, found)
        return _bytes(1, _bytes(1, body + _bytes(5, _schema(found["schema"]))))
    is_query = place == "query"
    inner = _flag(1, found) + _text(2, place) + _text(4, name)
    inner += _text(6 if is_query else 5, found["type"])
    return _bytes(1, _bytes(2, _bytes(3 if is_query else 4, inner)))


def _flag(field: int, found: Mapping[str, Any]) -> bytes:
    return _varint(field << 3) + b"\x01" if found.get("required") else b""


def _response(found: Mapping[str, Any]) -> bytes:
    schema = _bytes(2, _bytes(1, _schema(found["schema"]))) if "schema" in found else b""
    return _bytes(1, _text(1, found["description"]) + schema)


_DOUBLES = {"multipleOf": 6, "maximum": 7, "minimum": 9}
_FLAGS = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16}
_COUNTS = {
    "maxLength": 11,
    "minLength": 12,
    "maxItems": 14,
    "minItems": 15,
    "maxProperties": 17,
    "minProperties": 18,
}


def _bounds(found: Mapping[str, Any]) -> bytes:
    parts = [
        _varint(field << 3 | 1) + struct.pack("<d", found[name])
        for name, field in _DOUBLES.items()
        if found.get(name)
    ]
    parts += [_varint(field << 3) + b"\x01" for name, field in _FLAGS.items() if found.get(name)]
    parts += [
        _varint(field << 3) + _varint(found[name])
        for name, field in _COUNTS.items()
        if found.get(name)
    ]
    return b"".join(parts) + _text(13, found.get("pattern", ""))


def _schema(found: Mapping[str, Any]) -> bytes:
    parts = [
        _text(1, found.get("$ref", "")),
        _text(2, found.get("format", "")),
        _text(4, found.get("description", "")),
        _bounds(found),
        *(_text(19, name) for name in found.get("required") or ()),
        *(_bytes(20, _any(value)) for value in found.get("enum") or ()),
    ]
    if "additionalProperties" in found:
        parts.append(_bytes(21, _bytes(1, _schema(found["additionalProperties"]))))
    if "type" in found:
        parts.append(_bytes(22, _texts(1, [found["type"]])))
    if "items" in found:
        parts.append(_bytes(23, _bytes(1, _schema(found["items"]))))
    if "properties" in found:
        parts.append(_bytes(25, _named(1, found["properties"], _schema)))
    parts.append(_extensions(31, found))
    return b"".join(parts)


def _texts(field: int, found: Iterable[str]) -> bytes:
    return b"".join(_text(field, one) for one in found)
