"""Decides which of a machine's migrations goes first, where several are made. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft_lab.vm import migration

Object = dict[str, Any]


def earlier(one: Object, others: Sequence[Object]) -> str:
    """The uid of one of an instance's migrations that is accepted already, or made before."""

    def age(of: Object) -> tuple[str, str]:
        return str(of["metadata"].get("creationTimestamp")), of["metadata"]["uid"]

    alive = (each for each in others if not migration.is_final(each) and age(each) != age(one))
    first = (each for each in alive if migration.phase(each) or age(each) < age(one))
    return next((str(each["metadata"]["uid"]) for each in first), "")
