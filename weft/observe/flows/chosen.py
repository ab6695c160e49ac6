"""Chooses which records are listed, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from weft.observe.chassis import natural_key
from weft.observe.flows.record import EndKind, FlowRecord, Verdict

LIMIT = 500


def choose(
    records: Iterable[FlowRecord],
    *,
    networks: Collection[str] = (),
    pods: Collection[str] = (),
    only_denied: bool = False,
    limit: int = LIMIT,
) -> tuple[list[FlowRecord], int]:
    """The records in question, sorted, at most `limit`; and how many were left off.

    Denied ones are kept first, then those between pods, then those with most connections.
    """
    found = [
        each
        for each in records
        if (not networks or each.network in networks)
        and (not pods or {_pod(each, True), _pod(each, False)} & set(pods))
        and (not only_denied or each.verdict is Verdict.DENIED)
    ]
    found.sort(key=_rank)
    return sorted(found[:limit], key=_order), max(len(found) - limit, 0)


def _pod(record: FlowRecord, is_source: bool) -> str:
    end = record.source if is_source else record.target
    return f"{end.namespace}/{end.pod}"


def _rank(record: FlowRecord) -> tuple[Any, ...]:
    strangers = sum(end.kind is EndKind.NONE for end in (record.source, record.target))
    return (
        record.verdict is not Verdict.DENIED,
        strangers,
        -(record.connections or 0),
        -(record.packets or 0),
    )


def _order(record: FlowRecord) -> tuple[Any, ...]:
    return (
        *map(natural_key, (record.network, str(record.source), str(record.target))),
        record.protocol,
        record.port or 0,
        record.verdict,
        record.source.address,
    )
