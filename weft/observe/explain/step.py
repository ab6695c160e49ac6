"""Defines a step of an explanation, and its verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from weft.observe.explain.evidence import Evidence


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


def ok(name: str, seen: str) -> Step:
    return Step(name, Verdict.OK, seen)


def note(name: str, seen: str) -> Step:
    return Step(name, Verdict.NOTE, seen)


def fault(name: str, seen: str, remedy: str = "") -> Step:
    return Step(name, Verdict.FAULT, seen, remedy)


def unseen(name: str, reason: str) -> Step:
    return Step(name, Verdict.UNSEEN, reason)


def connection_of(evidence: Evidence) -> str:
    """The connection in words: "TCP port 443", or "ping"."""
    connection = evidence.connection
    if connection.protocol is None:
        return "ping"
    return f"{connection.protocol} port {connection.port}"
