"""Makes the tables (meta.k8s.io/v1) that `kubectl get` asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from weft_lab.apiserver import printers
from weft_lab.apiserver.resources import Column, Object, Version

PARTIAL = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
TABLE = {"kind": "Table", "apiVersion": "meta.k8s.io/v1"}
NO_ROWS: Object = {**TABLE, "columnDefinitions": [], "rows": []}


def columns_of(version: Version) -> tuple[Column, ...]:
    return version.columns or printers.CUSTOM


def render(
    version: Version,
    objects: Iterable[Object],
    meta: dict[str, Any],
    include: str = "Metadata",
    *,
    columns: bool = True,
) -> bytes:
    """A meta.k8s.io/v1 Table of the objects; `include` is None, Metadata or Object."""
    shown = columns_of(version)
    return orjson.dumps(
        {
            **TABLE,
            "metadata": meta,
            "columnDefinitions": [_definition(column) for column in shown] if columns else None,
            "rows": [_row(shown, obj, include) for obj in objects],
        }
    )


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(columns: tuple[Column, ...], obj: Object, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [column.cell(obj) for column in columns]}
    row["object"] = obj if include == "Object" else None if include == "None" else partial(obj)
    return row


def partial(obj: Object) -> Object:
    """A PartialObjectMetadata: the object with nothing but its metadata."""
    return {**PARTIAL, "metadata": obj["metadata"]}


def partial_list(objects: Iterable[Object], meta: dict[str, Any]) -> bytes:
    """A PartialObjectMetadataList, for clients that need only metadata."""
    return orjson.dumps(
        {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "items": [partial(obj) for obj in objects] or None,
        }
    )
