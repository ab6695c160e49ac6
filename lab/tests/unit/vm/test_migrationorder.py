"""Which of several migrations of one machine goes on."""

from __future__ import annotations

from typing import Any

from weft_lab.vm.migrationorder import earlier


def test_of_two_that_are_made_at_once_one_goes_on() -> None:
    """Whatever of the other one is known at that time."""

    def made(uid: str, phase: str = "") -> dict[str, Any]:
        meta = {"uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": meta, "status": {"phase": phase}}

    first, second = made("a"), made("b")
    both = [first, second]
    assert (earlier(first, both), earlier(second, both)) == ("", "a")
    assert earlier(first, [first, made("b", "Pending")]) == "b"
    assert earlier(second, [made("a", "Succeeded"), second]) == ""
