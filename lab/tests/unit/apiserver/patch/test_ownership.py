"""Who owns which fields: managers that update are merged when they are many."""

from __future__ import annotations

from weft_lab.apiserver.patch import ownership


def test_managers_that_only_update_are_at_most_ten() -> None:
    entries: list[ownership.Entry] = []
    for number in range(40):
        manager = ownership.Manager(f"m{number}", "Update", "v1")
        path = ("f:data", f"f:k{number}")
        entries = ownership.after_update(
            entries, {path}, set(), manager, f"2026-01-01T00:00:{number}Z"
        )
    assert len(entries) <= ownership.MOST
    assert entries[0]["manager"] == ownership.ANCIENT
    held = set().union(*(ownership.paths(entry) for entry in entries))
    assert held == {("f:data", f"f:k{number}") for number in range(40)}
