"""When the allocation of a NIC that a running pod names no more may be taken away."""

from __future__ import annotations

import json

from weft import model, names
from weft.api.pod import Pod, read
from weft.control.cluster.unplugging import GRACE, Unplugged, Unplugging

FIRST, PLUGGED = "default/blue", "default/blue/1"
HELD = {
    FIRST: model.Allocation("0a:58:0a:01:00:01"),
    PLUGGED: model.Allocation("0a:58:0a:01:00:02", interface="data0"),
}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pod(*interfaces: str) -> Pod:
    listed: list[dict[str, object]] = [{"name": "cbr0", "interface": "eth0", "default": True}]
    listed += [{"name": "default/blue", "interface": each} for each in interfaces]
    notes = {names.NETWORKS: "blue", names.NETWORK_STATUS: json.dumps(listed)}
    meta = {"name": "one", "namespace": "default", "uid": "u", "annotations": notes}
    return read({"metadata": meta, "status": {"phase": "Running"}})


def test_a_nic_that_status_has_named_goes_once_it_does_not_any_more() -> None:
    nics = Unplugging(Clock())
    assert not any(nics.judge(pod("net1", "data0"), HELD, set()))
    assert nics.judge(pod("net1"), HELD, {PLUGGED}) == Unplugged(frozenset({PLUGGED}), 0.0)
    nics.taken("u", {PLUGGED})
    assert not nics.judge(pod("net1"), HELD, {PLUGGED}).now, "the next one of that key is new"


def test_what_a_pod_had_from_its_start_goes_at_once() -> None:
    nics = Unplugging(Clock())
    assert nics.judge(pod(), HELD, {FIRST}) == Unplugged(frozenset({FIRST}), 0.0)


def test_a_nic_that_may_be_on_its_way_goes_after_a_while_without_being_named() -> None:
    clock = Clock()
    nics = Unplugging(clock)
    assert nics.judge(pod("net1"), HELD, {PLUGGED}) == Unplugged(frozenset(), GRACE)
    clock.now += GRACE - 1
    assert nics.judge(pod("net1"), HELD, {PLUGGED}) == Unplugged(frozenset(), 1.0)
    assert not nics.judge(pod("net1"), HELD, set()).later, "it is named again"
    assert nics.judge(pod("net1"), HELD, {PLUGGED}).later == GRACE
    clock.now += GRACE
    assert nics.judge(pod("net1"), HELD, {PLUGGED}) == Unplugged(frozenset({PLUGGED}), 0.0)


def test_a_nic_that_is_made_again_may_be_on_its_way() -> None:
    nics = Unplugging(Clock())
    assert not any(nics.judge(pod("net1", "data0"), HELD, set()))
    assert not any(nics.judge(pod("net1"), HELD, set())), "it is named again"
    assert nics.judge(pod("net1"), HELD, {PLUGGED}) == Unplugged(frozenset(), GRACE)


def test_nothing_is_kept_of_a_pod_that_is_gone() -> None:
    nics = Unplugging(Clock())
    assert not any(nics.judge(pod("net1", "data0"), HELD, set()))
    nics.forget("u")
    assert nics.judge(pod("net1"), HELD, {PLUGGED}).later == GRACE
