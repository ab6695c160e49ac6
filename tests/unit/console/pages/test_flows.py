"""The form of flows: what was asked, and whom a text names."""

from __future__ import annotations

import threading
from contextlib import aclosing, nullcontext
from typing import Any

import pytest

from tests.support import consoled
from tests.support.memory_api import MemoryApi
from tests.unit.observe.test_members import nad
from weft import errors
from weft.console.nodes import ViewersNodes
from weft.console.page import JobAccess
from weft.console.pages import flows
from weft.kube import resources
from weft.observe.flows import collect
from weft.observe.flows.record import Report
from weft.observe.flows.subjects import Subject


def test_nothing_is_looked_at_before_the_form_is_sent() -> None:
    reading = consoled.read({resources.NADS: [nad("blue", "blue")]})
    assert not flows.view(reading, consoled.asked()).is_asked
    found = flows.view(reading, consoled.asked({"network": "", "dropped": "1"}))
    assert (found.is_asked, found.only_denied, found.networks) == (True, True, ("blue",))


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ("", None),
        ("web", Subject("shop", "web", False)),
        ("other/web", Subject("other", "web", False)),
        ("pod/other/web", Subject("other", "web", False)),
        ("vm/db", Subject("shop", "db", True)),
        ("vm/other/db", Subject("other", "db", True)),
    ],
)
def test_a_pod_or_a_machine_is_named(about: str, expected: Subject | None) -> None:
    assert flows.subject(about, "shop") == expected


def test_what_names_nothing_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="must be NAME or NAMESPACE/NAME"):
        flows.subject("a/b/c", "shop")


class Permissive(MemoryApi):
    async def request(self, method: str, path: str, **options: Any) -> Any:
        return {"status": {"allowed": True}}


async def test_nobody_waits_while_what_nodes_answer_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For hundreds of pods on some nodes it takes seconds, at each look."""
    threads, made = [], collect.made

    def watched(*given: Any) -> Report:
        threads.append(threading.current_thread())
        return made(*given)

    monkeypatch.setattr(collect, "made", watched)
    api = Permissive()
    access = JobAccess(api, nodes=ViewersNodes(api, nullcontext))
    async with aclosing(flows.look(access, consoled.asked({"network": ""}))) as looks:
        assert isinstance(await anext(looks), Report)
    assert threads
    assert threading.current_thread() not in threads
