"""Reads the flows that `weft flows --output json` printed: one document, or a flow a line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from weft import errors
from weft.observe.flows import record
from weft.observe.flows.record import FlowRecord

MOST = 200_000  # flows


def parse(text: str, where: str) -> tuple[FlowRecord, ...]:
    """The flows in a text. Raise InvalidInput, which names `where` and the line or field."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and "flows" in whole:
        return record.parse(whole, where).flows
    found: list[Any] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if len(found) >= MOST:
            rule = f"has more than {MOST} flows"
            raise errors.InvalidInput(where, "flows", None, rule, hint="give it in parts")
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            rule = "is no JSON, as weft flows --output json prints it"
            raise errors.InvalidInput(where, f"line {number}", line, rule) from None
    return record.parse({"flows": found}, where).flows


def merged(flows: Iterable[FlowRecord]) -> tuple[FlowRecord, ...]:
    """Each flow once, however often it was looked at: from the first time to the last."""
    found: dict[object, FlowRecord] = {}
    for each in flows:
        known = found.get(each.key)
        if known is None:
            found[each.key] = each
            continue
        firsts = [one for one in (known.first_seen, each.first_seen) if one]
        found[each.key] = replace(
            each,
            first_seen=min(firsts, default=""),
            last_seen=max(known.last_seen, each.last_seen),
            connections=_most(known.connections, each.connections),
        )
    return tuple(found.values())


def _most(one: int | None, other: int | None) -> int | None:
    known = [each for each in (one, other) if each is not None]
    return max(known, default=None)
