"""Defines a step of an explanation, and its verdict. Pure.

Much of a step was written by nodes, guests and tenants. Here it becomes fit to be shown: one line
of bounded length, without characters that steer a terminal or change the order of what is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from weft.observe.explain.evidence import Evidence
from weft.observe.render import lettering

LONGEST = 1000  # characters


class Verdict(StrEnum):
    """OK: nothing stops the packet here. NOTE: nothing to judge. UNSEEN: it could not be seen."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"
    UNSEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Step:
    """What was looked at, what was seen, and for a fault what to change."""

    name: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def line(text: str) -> str:
    """The text as it may be shown, at most LONGEST characters of it."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return lettering.printable(cut)


def ok(name: str, seen: str) -> Step:
    return Step(line(name), Verdict.OK, line(seen))


def note(name: str, seen: str) -> Step:
    return Step(line(name), Verdict.NOTE, line(seen))


def fault(name: str, seen: str, remedy: str = "") -> Step:
    return Step(line(name), Verdict.FAULT, line(seen), line(remedy))


def unseen(name: str, reason: str) -> Step:
    return Step(line(name), Verdict.UNSEEN, line(reason))


def connection_of(evidence: Evidence) -> str:
    """The connection in words: "TCP port 443", or "ping"."""
    connection = evidence.connection
    if connection.protocol is None:
        return "ping"
    return f"{connection.protocol} port {connection.port}"
